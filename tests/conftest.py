"""What several tests share: a small data folder, a quickly made checkpoint, and scripts run as a person runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models import vgg16
from models.checkpoint import make_checkpoint, save_atomically
from models.expressions import CLASS_NAMES
from models.vgg16 import VGG16
from models.views import make_input_spec
from tests.fer2013_samples import write_data_folder

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 56 train, 28 val and 28 test pictures."""
    return write_data_folder(tmp_path_factory.mktemp("fer") / "data")


@pytest.fixture(scope="session")
def untrained_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint whose network knows nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "untrained.pt"
    spec = make_input_spec(48)
    save_atomically(path, make_checkpoint(VGG16(), CLASS_NAMES, spec, metrics={}, config={}, epoch=0))
    return path


def narrow_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has this process build VGG16 with an eighth of its channels, which trains in a moment."""
    blocks = tuple(tuple(width // 8 for width in block) for block in vgg16.BLOCKS)
    monkeypatch.setattr(vgg16, "BLOCKS", blocks)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow_network(monkeypatch)


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test stands in a folder of its own, where data/ is not there yet."""
    monkeypatch.chdir(tmp_path)


def run_script(*arguments: str | Path, **options) -> subprocess.CompletedProcess:
    """Runs `python <arguments>` from the project's folder, as a person would."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, text=True, capture_output=True, timeout=300,
        env={**os.environ, **options.pop("env", {})}, **options,
    )  # fmt: skip
