"""What trained networks answer, as a part of the target."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from models.checkpoint import make_checkpoint, save_atomically
from models.errors import UserError
from models.expressions import CLASS_NAMES
from models.training.teachers import SOFTENING, ask_teachers
from models.vgg16 import VGG16
from models.views import make_input_spec
from tests.training_samples import RECIPE, make_trainer, small_split


def write_teacher(path: Path, size: int, favourite: int, class_names=CLASS_NAMES) -> Path:
    """A network that answers with one class whatever it sees, sure of it by 4 in the logits."""
    network = VGG16(len(class_names))
    nn.init.zeros_(network.classifier[-1].weight)
    network.classifier[-1].bias.data = 4 * torch.eye(len(class_names))[favourite]
    spec = make_input_spec(size)
    save_atomically(path, make_checkpoint(network, class_names, spec, metrics={}, config={}, epoch=0))
    return path


def test_teachers_of_any_input_size_answer_together(narrow, tmp_path):
    paths = [write_teacher(tmp_path / f"{size}.pt", size, size // 16) for size in (32, 48)]
    answers = ask_teachers(paths, small_split(), list(CLASS_NAMES), torch.device("cpu"))
    softened = torch.softmax(torch.tensor([4.0, 0, 0, 0, 0, 0, 0]) / SOFTENING, 0)
    expected = torch.full((24, 7), softened[1].item())
    expected[:, [2, 3]] = softened[:2].mean()
    assert torch.allclose(answers, expected, atol=1e-3)


def test_a_teacher_of_other_classes_is_refused(narrow, tmp_path):
    path = write_teacher(tmp_path / "other.pt", 32, 0, ["calm", "cross", "glad"])
    with pytest.raises(UserError, match=r"other.pt: it knows calm, cross, glad, the data Angry"):
        ask_teachers([path], small_split(), list(CLASS_NAMES), torch.device("cpu"))


def test_what_teachers_answer_draws_the_network_away_from_the_labels(narrow):
    split = small_split()
    split.targets[:] = 0
    shares = []
    for answers in (None, torch.eye(7)[[3]].expand(24, -1)):
        split.answers = answers
        trainer = make_trainer(replace(RECIPE, lr=0.05, epochs=8, teachers_weight=0.9))
        for _ in range(8):
            trainer.train_one_epoch(split)
            trainer.progress.start_next_epoch()
        shares.append(trainer.evaluate(split)[0].softmax(1).mean(0))
    assert shares[0].argmax() == 0 and shares[1].argmax() == 3
