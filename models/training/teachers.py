"""Distillation (Hinton et al., 2015): what trained networks answer, as a part of the target.

    >>> split.answers = ask_teachers([Path("a/best.pt"), Path("b/best.pt")], split, class_names, device)

Several networks together are more often right than one, and say as well which faces are ambiguous. One network that
learns from their mean keeps some of that, at the cost of one.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from models.checkpoint import build_network, load_checkpoint
from models.errors import UserError
from models.inference import choose_precision, prepare_for_inference
from models.training.dataset import Split
from models.views import average_views, predict_logits, to_grey_squares

SOFTENING = 2.0  # of the teachers' logits: they know the training pictures, and are surer of them than of any other
PART = 256  # pictures between two steps of the progress bar, and looks at whether to stop


def ask_teachers(
    paths: Sequence[Path], split: Split, class_names: list[str], device: torch.device,
    stop_asked: Callable[[], bool] = lambda: False,
) -> torch.Tensor | None:  # fmt: skip
    """The mean of the teachers' softened probabilities for each picture, seen straight and mirrored.

    Args:
        paths: Checkpoints, of any input size, that know the same classes.
        split: The training pictures.
        stop_asked: Whether to stop; looked at every `PART` pictures.

    Returns:
        float32 `[N, C]` on the CPU, each row sums to 1; None if stopped.

    Raises:
        CheckpointError: A file is no checkpoint.
        UserError: A teacher knows other classes.
    """
    answers = torch.zeros(len(split), len(class_names))
    for path in paths:
        checkpoint = load_checkpoint(path)
        if checkpoint["class_names"] != class_names:
            raise UserError(
                f"--teachers {path}: it knows {', '.join(checkpoint['class_names'])}, the data {', '.join(class_names)}"
            )
        spec, temperature = checkpoint["input"], checkpoint["temperature"] * SOFTENING
        network = build_network(checkpoint)
        ready = prepare_for_inference(network, device, choose_precision("auto", device, network), spec)
        parts = list(zip(split.pictures.split(PART), answers.split(PART)))
        for pictures, sums in tqdm(parts, desc=f"asking {path.name}", leave=False, disable=None):
            if stop_asked():
                return None
            grey = to_grey_squares(pictures.numpy(), spec["resize"])
            sums += average_views(predict_logits(ready, grey, spec), temperature)
    return answers / len(paths)
