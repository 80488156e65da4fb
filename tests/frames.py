"""Frames that can be told apart, and what a source gives: its frames, when each is shown and what is in it."""

from pathlib import Path

import numpy as np

from models.live.opening import open_source
from tests.films import grey

MARKED = np.zeros((48, 64, 3), np.uint8)
MARKED[:16, :16] = 255  # one corner says which way a picture lies


def corner(picture: np.ndarray) -> str:
    """Where a picture is bright."""
    height, width = picture.shape[:2]
    corners = {
        "upper left": picture[: height // 6, : width // 6], "upper right": picture[: height // 6, -width // 6 :],
        "lower left": picture[-height // 6 :, : width // 6], "lower right": picture[-height // 6 :, -width // 6 :],
    }  # fmt: skip
    return max(corners, key=lambda name: corners[name].mean())


def levels(count: int) -> list[np.ndarray]:
    """Grey pictures that can be told apart: 0, 10, 20 and so on."""
    return [grey(10 * number) for number in range(count)]


def read_all(path: Path, **options):
    """All frames of a source, closed again, and the source."""
    with open_source(str(path), **options) as source:
        return list(iter(source.read, None)), source


def seconds_of(frames) -> list[float]:
    return [round(frame.seconds, 3) for frame in frames]


def numbers_of(frames) -> list[int]:
    """Which of `levels` each frame shows."""
    return [round(float(frame.picture.mean()) / 10) for frame in frames]
