"""The processes that read pictures: what happens when one dies, hangs or cannot start."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from models.batch import pool
from models.batch.pipeline import label_pictures
from models.batch.pool import WorkerError, WorkerPool
from models.batch.records import OK, UNREADABLE, Record
from models.batch.sources import find_sources
from models.batch.worker import Job
from models.faces import Detection
from tests.batch import StandIn


@dataclass(frozen=True)
class Deadly:
    """A detector that ends its process, or hangs, at a red picture, and finds a face in any other."""

    act: str = "die"

    def __call__(self):
        if self.act == "die at once":
            os._exit(3)
        return self

    def detect(self, picture):
        if picture[..., 0].mean() > 200:
            os.kill(os.getpid(), signal.SIGKILL) if self.act == "die" else time.sleep(60)
        return [Detection((10.0, 10.0, 40.0, 40.0), 1.0, None, "haar")]


def label_with(detector: Deadly, folder: Path, count: int = 12) -> list[Record]:
    """Labels a folder's pictures, of which number 5 is red."""
    for number in range(count):
        Image.new("RGB", (60, 60), "red" if number == 5 else "teal").save(folder / f"{number}.png")
    sources = find_sources([str(folder)])
    with WorkerPool(2, Job(detector, sources.root, folder / "output")) as pool:
        return list(label_pictures(sources.pictures, StandIn(), pool))


def test_a_picture_that_kills_its_process_is_unreadable_and_the_others_are_done(tmp_path):
    records = label_with(Deadly(), tmp_path)
    assert [record.status for record in records] == [OK] * 5 + [UNREADABLE] + [OK] * 6
    assert "killed" in records[5].reason
    others = records[:5] + records[6:]
    assert all(record.reason == "" and (tmp_path / "output" / record.copy).exists() for record in others)


def test_a_picture_that_takes_forever_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "LONGEST_SECONDS", 4.0)
    records = label_with(Deadly("hang"), tmp_path)
    assert [record.status for record in records] == [OK] * 5 + [UNREADABLE] + [OK] * 6
    assert "4 seconds" in records[5].reason


def test_processes_that_cannot_start_are_an_error_and_not_unreadable_pictures(tmp_path):
    with pytest.raises(WorkerError, match="exit code 3"):
        label_with(Deadly("die at once"), tmp_path)
