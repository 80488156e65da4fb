"""Checkpoints: one `.pt` file that describes itself, written atomically and read without running code from it.

    >>> checkpoint = load_checkpoint(SHIPPED_CHECKPOINT)
    >>> checkpoint["class_names"][3], checkpoint["input"]["size"]
    ('Happy', 96)
    >>> network = build_network(checkpoint)

A checkpoint is a dict of tensors and plain Python values:

    format_version  1
    arch            vgg16_bn or vgg16, or torchvision's name of another network (see architectures.py)
    head            gap or fc, of another network linear
    width           share of VGG16's channels that there are; without this entry all
    class_names     list of str, in the order of the outputs
    input           size, resize (pixels), channels (3, grey replicated), mean, std (of values from 0 to 1)
    state_dict      weights, float16 or float32; BatchNorm statistics always float32
    temperature     the logits are divided by it before the softmax (Guo et al., 2017)
    metrics         accuracy and the like on val
    config          the settings that trained it
    epoch           epochs behind it
"""

import os
import pickle
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from models.architectures import OWN_STORED, Network, TorchvisionNetwork, is_known
from models.errors import UserError
from models.vgg16 import VGG16, WidthError

FORMAT_VERSION = 1
SHIPPED_CHECKPOINT = Path(__file__).parent / "weights" / "vgg16_fer2013.pt"
FAST_CHECKPOINT = SHIPPED_CHECKPOINT.with_name("vgg16_fer2013_fast.pt")
_REQUIRED = ("arch", "head", "class_names", "input", "state_dict", "metrics", "config", "epoch")


class CheckpointError(UserError):
    """The file is missing, damaged, or not a checkpoint of this project; the message says which."""


def save_atomically(path: str | Path, content: dict[str, Any]) -> None:
    """Writes `content` with `torch.save` so that `path` holds the old file or the whole new one, never a part.

    Raises:
        OSError: The disk is full or the folder cannot be written; `path` is then as it was.
    """
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes the file private
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, RuntimeError):  # torch.save's way to say that a write failed
            raise OSError(f"cannot write {path}: {error}") from error
        raise


def make_checkpoint(
    network: Network, class_names: list[str], input_spec: dict[str, Any], *, metrics: dict[str, Any],
    config: dict[str, Any], epoch: int, temperature: float = 1.0, half: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """A checkpoint of `network` as it is now.

    Args:
        half: Store matrices and kernels as float16, half the file. All else stays as it is: the variance in a trunk
            that began as ImageNet's exceeds float16's range, and ConvNeXt's scales begin below it.
    """
    weights = {
        key: value.detach().cpu().to(torch.float16 if half and _is_kernel(value) else value.dtype).clone()
        for key, value in network.state_dict().items()
    }
    return {
        "format_version": FORMAT_VERSION,
        "arch": network.arch,
        "head": network.head,
        "width": network.width,
        "class_names": list(class_names),
        "input": dict(input_spec),
        "state_dict": weights,
        "temperature": float(temperature),
        "metrics": metrics,
        "config": config,
        "epoch": epoch,
    }


def _is_kernel(value: torch.Tensor) -> bool:
    return value.is_floating_point() and value.dim() in (2, 4)


def read_weights_file(path: str | Path) -> dict[str, Any]:
    """Reads any `.pt`/`.pth` file of tensors and plain Python values, onto the CPU.

    Raises:
        CheckpointError: There is no such file, it is damaged, or it holds anything but tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a file of weights alone, or it is damaged; only tensors and plain values are read"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read as weights: it is damaged or incomplete") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no dict of weights")
    return content


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint of this project and checks that it is one.

    Raises:
        CheckpointError: With one sentence that says what is wrong.
    """
    checkpoint = read_weights_file(path)
    missing = [key for key in ("format_version", *_REQUIRED) if key not in checkpoint]
    if missing:
        raise CheckpointError(f"{path} is not a checkpoint of this project: it lacks {', '.join(missing)}")
    if checkpoint["format_version"] != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format {checkpoint['format_version']}, this version reads {FORMAT_VERSION}: update the project"
        )
    if not is_known(checkpoint["arch"], checkpoint["head"]):
        raise CheckpointError(f"{path} holds an unknown network: {checkpoint['arch']} with head {checkpoint['head']}")
    return checkpoint


def load_weights(network: torch.nn.Module, weights: dict[str, torch.Tensor], **options: bool) -> None:
    """`network.load_state_dict(weights, **options)` for weights from a file, which kept no versions of the modules.

    torchvision's MNASNet refuses weights without a version, and takes those without one for another network's.
    """
    versioned = OrderedDict(weights)
    versioned._metadata = network.state_dict()._metadata  # type: ignore[attr-defined]
    network.load_state_dict(versioned, **options)


def build_network(checkpoint: dict[str, Any], as_stored: bool = False) -> Network:
    """The network that a checkpoint describes, float32, on the CPU, in evaluation mode.

    Args:
        as_stored: Leave the weights as they are stored, float16 most of them, in the checkpoint's own memory, for
            `inference.prepare_for_inference` to convert layer by layer.

    Raises:
        CheckpointError: The weights do not fit the network that the checkpoint names.
    """
    arch, head, count = checkpoint["arch"], checkpoint["head"], len(checkpoint["class_names"])
    network: Network
    if arch in OWN_STORED:
        # Memory for the parameters comes from the file: initialising them first would only cost time.
        with torch.device("meta"):
            try:
                network = VGG16(count, head, batch_norm=arch == "vgg16_bn", width=checkpoint.get("width", 1.0))
            except WidthError as error:
                raise CheckpointError(f"the checkpoint names a network that there is not: {error}") from error
    else:
        network = TorchvisionNetwork(arch, count)
    weights = {key: value.float() if value.is_floating_point() and not as_stored else value
               for key, value in checkpoint["state_dict"].items()}  # fmt: skip
    try:
        load_weights(network, weights, assign=True)
    except RuntimeError as error:
        raise CheckpointError("the checkpoint's weights do not fit the network that it names") from error
    return network.eval()
