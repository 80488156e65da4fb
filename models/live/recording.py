"""What stays of a run: the annotated video, the log of expressions, the pictures of a moment.

    recorder = VideoRecorder(Path("film.mp4"), frame_rate=30, size=(640, 480))
    recorder.write(picture)
    recorder.close()

Nothing is written over: a file that is there already is an error.
"""

import csv
import errno
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.errors import UserError
from models.faces import face_crop
from models.live.sources import Frame
from models.live.tracking import Track
from models.pictures import write_picture

CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
# An mp4 cannot be played without its index, which is written last: recording ends while there is room for it.
RESERVE = 32 << 20


class RecordingError(UserError):
    """A recording that cannot begin or go on; the message says why, and what is left of it."""


class VideoRecorder:
    """Writes frames into a video file.

    Attributes:
        path: The file.
        frames: Frames in it.
    """

    def __init__(self, path: Path, frame_rate: float, size: tuple[int, int]):
        """Begins a file.

        Args:
            path: Its suffix says the format: mp4, m4v, mov, mkv or avi. Missing folders are made.
            frame_rate: Frames a second.
            size: Width and height in pixels; frames of another size are scaled.

        Raises:
            RecordingError: The file is there already, cannot be made, or its format cannot be written here.
        """
        codec = CODECS.get(path.suffix.lower())
        if codec is None:
            raise RecordingError(f"{path} is no video that can be written: name it {', '.join(CODECS)}")
        reserve_file(path)
        self.path, self.frames, self._frame_rate, self._size = path, 0, frame_rate, size
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), frame_rate, size)
        if not self._writer.isOpened():
            path.unlink()
            raise RecordingError(
                f"this OpenCV has no {codec} codec to write {path.name} with: try the suffix .avi or .mkv"
            )
        self._check_room()

    def write(self, picture: np.ndarray, seconds: float | None = None) -> None:
        """Adds a frame.

        Args:
            picture: BGR uint8 `[H, W, 3]`.
            seconds: When it was shown, since the recording began. It is then repeated or left out as the frame rate
                wants it, so that the video runs at the speed of life. Without, it is the next frame.

        Raises:
            RecordingError: The disk is full. The recording is closed, and can be played.
        """
        self._check_room()
        if (picture.shape[1], picture.shape[0]) != self._size:  # a camera that came back with another size
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        due = self.frames + 1 if seconds is None else round(seconds * self._frame_rate) + 1
        while self.frames < due:
            self._writer.write(picture)
            self.frames += 1

    def close(self) -> None:
        """Ends the file. One without a frame is removed: no player opens it."""
        self._writer.release()
        if not self.frames:
            self.path.unlink(missing_ok=True)

    def _check_room(self) -> None:
        # OpenCV does not tell when writing fails, so it must not come to that.
        if shutil.disk_usage(self.path.parent).free < RESERVE:
            self.close()
            outcome = f"what is in {self.path} can be played" if self.frames else f"{self.path} was not begun"
            raise RecordingError(f"the disk is full, recording has ended: {outcome}")


class ExpressionLog:
    """A csv file with a row for each face and refresh of its label; it has whole rows alone, whatever happens next.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, class_names: Sequence[str]):
        """Begins a file; missing folders are made.

        Raises:
            RecordingError: The file is there already, or cannot be made.
        """
        reserve_file(path)
        self.path, self._file = path, path.open("wb", buffering=0)
        columns = ("time", "frame", "track", "x", "y", "width", "height", "expression", "confidence")
        self._add([(*columns, *(name.lower() for name in class_names))])

    def write(self, frame: Frame, tracks: Sequence[Track]) -> None:
        """Adds a row for each of a frame's faces.

        Raises:
            OSError: The disk is full, or gone.
        """
        self._add(
            (
                f"{frame.seconds:.3f}",
                frame.number,
                track.number,
                *(round(float(value)) for value in track.box),
                track.label,
                f"{track.confidence:.4f}",
                *(f"{value:.4f}" for value in track.probabilities),
            )
            for track in tracks
        )

    def close(self) -> None:
        """Ends the file."""
        self._file.close()

    def _add(self, rows: Iterable[Sequence[Any]]) -> None:
        text = StringIO()
        csv.writer(text).writerows(rows)
        data, end = text.getvalue().encode(), self._file.tell()
        if self._file.write(data) < len(data):  # there was room for a part of it
            self._file.truncate(end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refuse_existing(*paths: Path | None) -> None:
    """Raises `RecordingError` if one of these files is there."""
    for path in filter(None, paths):
        if path.exists():
            raise RecordingError(
                f"{path} is there already, and is not written over: name another file, or move it away"
            )


def reserve_file(path: Path) -> None:
    """Makes an empty file, and the folders to it.

    Raises:
        RecordingError: It is there already, or cannot be made.
    """
    refuse_existing(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("xb").close()
    except OSError as error:
        raise RecordingError(f"{path} cannot be written: {error.strerror or error}") from error


def new_names(folder: Path, *endings: str) -> list[Path]:
    """Paths with the time and the first number with which none of them is there."""
    stem = f"camera-{time.strftime('%Y%m%d-%H%M%S')}"
    names = ([folder / f"{stem}-{number}{ending}" for ending in endings] for number in count(1))
    return next(paths for paths in names if not any(path.exists() for path in paths))


def save_moment(folder: Path, drawn: np.ndarray, tracks: Sequence[Track]) -> list[Path]:
    """Saves an annotated frame and, where there is a face, the largest as the network saw it last.

    Args:
        folder: Where to.
        drawn: BGR uint8 `[H, W, 3]`.
        tracks: Largest first.

    Raises:
        OSError: The pictures cannot be written.
    """
    frame_path, face_path = new_names(folder, "-frame.jpg", "-face.png")
    write_picture(frame_path, cv2.cvtColor(drawn, cv2.COLOR_BGR2RGB))
    if not tracks:
        return [frame_path]
    picture = cv2.cvtColor(tracks[0].frame.picture, cv2.COLOR_BGR2RGB)
    write_picture(face_path, face_crop(picture, tracks[0].detection))
    return [frame_path, face_path]
