"""The pictures of a moment that a person saves while watching.

paths = save_moment(Path("output"), drawn, tracker.tracks)
"""

import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from models.faces import face_crop
from models.live.tracking import Track
from models.pictures import write_picture


def new_names(folder: Path, *endings: str) -> list[Path]:
    """Paths with the time and the first number with which none of them is there."""
    stem = f"camera-{time.strftime('%Y%m%d-%H%M%S')}"
    names = ([folder / f"{stem}-{number}{ending}" for ending in endings] for number in count(1))
    return next(paths for paths in names if not any(path.exists() for path in paths))


def save_moment(folder: Path, drawn: np.ndarray, tracks: Sequence[Track]) -> list[Path]:
    """Saves an annotated frame and, where there is a face, the largest as the network saw it last.

    Both are PNGs, which lose nothing: a small face loses much of its expression in a JPEG.

    Args:
        folder: Where to.
        drawn: BGR uint8 `[H, W, 3]`.
        tracks: Largest first.

    Raises:
        OSError: The pictures cannot be written.
    """
    frame_path, face_path = new_names(folder, "-frame.png", "-face.png")
    write_picture(frame_path, cv2.cvtColor(drawn, cv2.COLOR_BGR2RGB))
    if not tracks:
        return [frame_path]
    picture = cv2.cvtColor(tracks[0].frame.picture, cv2.COLOR_BGR2RGB)
    write_picture(face_path, face_crop(picture, tracks[0].detection))
    return [frame_path, face_path]
