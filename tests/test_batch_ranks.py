"""Several processes that torchrun started for one run of demo_image_batch.py."""

import os
import subprocess
import sys
from pathlib import Path

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
