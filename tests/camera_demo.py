"""demo_camera.py as a process of its own, with a film and a network camera to show it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.films import serve_motion_jpeg, write_film

QUIET = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}  # a machine without a display


@pytest.fixture(scope="session")
def film(tmp_path_factory) -> Path:
    """Four seconds: one empty, then one face that moves, from the second to the third another beside it."""
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4")


@pytest.fixture
def network_camera():
    with serve_motion_jpeg() as server:
        yield server


def start(*arguments: str | Path, display: str = "") -> subprocess.Popen:
    """Starts the script as a process of its own."""
    environment = {**os.environ, **QUIET, "DISPLAY": display}
    command = [sys.executable, "demo_camera.py", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(condition, seconds: float = 200):
    """What `condition()` returns once it is true. Patient, for machines that have other work as well."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)
    return value


def is_all_that_was_said(error: str) -> bool:
    """Whether stderr has the precision alone: no progress, where there is no terminal, and no words of FFmpeg."""
    return error.startswith("computing on ") and error.count("\n") == 1
