"""demo_image_batch.py with a stand-in for the network, which answers by the brightness of a face, and photos for it.

`python -m tests.batch ARGUMENTS` is the script with the stand-in.
"""

import csv
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import demo_image_batch
from demo_image_batch import main
from models.batch.journal import Journal
from models.batch.records import Record
from models.command_line import leave
from models.expressions import CLASS_NAMES
from tests.conftest import ROOT

COLUMNS = ["file", "status", "face", "x", "y", "width", "height", "detector_score", "expression", "confidence"]
COLUMNS += [*map(str.lower, CLASS_NAMES), "reason"]
AWKWARD = [
    "face", "Confidence", "x", "REASON", "file", "Class_x", "class_x", "class_face", "Happy", "happy", "", " ", "a\nb",
    "a,b", "=1+1", "'=1+1", "Ärger", "class_", "x_2", "\udcff", "\\udcff", "happy", 'quo"te', "class_happy",
]  # fmt: skip


class StandIn:
    """In the classifier's place: a face's brightness says its class."""

    class_names = list(CLASS_NAMES)
    device, precision, arch, head = torch.device("cpu"), "fp32", "vgg16_bn", "gap"
    seconds_a_face = 0.0

    def __init__(self):
        self.batches: list[int] = []

    def classify(self, crops, batch_size=32):
        self.batches.append(len(crops))
        time.sleep(self.seconds_a_face * len(crops))
        probabilities = np.full((len(crops), len(self.class_names)), 0.05, np.float32)
        for row, crop in zip(probabilities, crops, strict=True):
            row[int(crop.mean()) % len(self.class_names)] = 0.7
        return probabilities


def run(most_lines: float = math.inf) -> None:
    """The script with the stand-in, slow; with so many lines in its journal it waits to be stopped."""
    append = Journal.append

    def append_and_wait(journal: Journal, record: Record) -> None:
        append(journal, record)
        if lines_done() >= most_lines:
            time.sleep(300)

    Journal.append = append_and_wait
    StandIn.seconds_a_face = 0.03
    demo_image_batch.load_classifier = lambda arguments: StandIn()
    leave(main(sys.argv[1:]))


def lines_done() -> int:
    part = Path("output/.batch/parts/0.jsonl")
    return part.read_bytes().count(b"\n") if part.exists() else 0


def start(*arguments) -> subprocess.Popen:
    code = "from tests.batch import run; run(60)"
    command = [sys.executable, "-c", code, *map(str, arguments), "--detector", "haar", "--workers", "2"]
    environment, pipe = os.environ | {"PYTHONPATH": str(ROOT)}, subprocess.PIPE

    def take_ctrl_c() -> None:  # a shell's background jobs, and what they start, are deaf to it
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True, preexec_fn=take_ctrl_c
    )


@pytest.fixture(scope="session")
def face() -> Image.Image:
    """A photograph, small and quick to search, with one face."""
    with Image.open(ROOT / "input/4.jpg") as picture:
        return picture.crop((100, 10, 350, 260)).resize((128, 128))


@pytest.fixture
def photos(tmp_path, monkeypatch, face) -> Path:
    """A folder with a face in `a.jpg` and none in `b.png`, beside which the test stands."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    face.save(folder / "a.jpg")
    Image.new("RGB", (80, 60), "teal").save(folder / "b.png")
    return folder


@pytest.fixture
def many(photos, face) -> Path:
    """A folder of 70 pictures, most with a face, in brightnesses that are different classes."""
    empty = Image.new("RGB", (90, 90))
    for number in range(2, 70):
        darker = face.point([max(value - number % 7, 0) for value in range(256)] * 3)
        (darker if number % 5 else empty).save(photos / f"{number}.png")
    return photos


@pytest.fixture
def stand_in(monkeypatch) -> StandIn:
    classifier = StandIn()
    monkeypatch.setattr(demo_image_batch, "load_classifier", lambda arguments: classifier)
    return classifier


@pytest.fixture
def label(stand_in):
    """Runs the script in this process; returns its exit code."""
    return lambda *arguments: main([*map(str, arguments), "--detector", "haar", "--workers", "1"])


def rows(output="output") -> list[dict]:
    with open(Path(output) / "results.csv", encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def files(folder) -> dict[str, bytes]:
    """Everything in a folder, but for what a run keeps for itself."""
    below = (path for path in Path(folder).rglob("*") if path.is_file() and ".batch" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in below}


if __name__ == "__main__":
    run()
