"""Several processes that torchrun started for one run of demo_image_batch.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import demo_image_batch
from models.batch.ranks import Ranks
from tests.batch import face, files, label, many, photos, stand_in  # noqa: F401 - fixtures
from tests.conftest import ROOT

# ruff: noqa: F811 - fixtures are arguments


def test_two_processes_of_torchrun_give_the_table_of_one(many, label):
    assert label(many, "--output", "one") == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command = [*torchrun, "tests.batch", many, "--output", "two", "--detector", "haar"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert files("two") == files("one")
    parts = [path.read_bytes().count(b"\n") for path in Path("two/.batch/parts").iterdir()]
    assert len(parts) == 2 and sum(parts) == 70 and min(parts) > 15


@pytest.mark.parametrize("asked, workers, ranks, said", [
    (None, 4, Ranks(), "4 processes to read (one a core)"),
    (None, 1, Ranks(), "1 process to read (one a picture)"),
    (3, 3, Ranks(), "3 processes to read"),
    (None, 2, Ranks(0, 2, 0, 2), "2 processes to read for each of 2 (one a core)"),
])  # fmt: skip
def test_it_is_said_how_many_processes_read_and_why(monkeypatch, asked, workers, ranks, said):
    monkeypatch.setattr("models.batch.ranks.usable_cores", lambda: 4)
    assert demo_image_batch.describe_workers(asked, workers, ranks) == said
