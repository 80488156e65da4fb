"""Where frames come from: a camera, a video file, numbered pictures or a stream.

    with Source("film.mp4") as source:
        while (frame := source.read()) is not None: ...

That gives every frame; where the newest counts, a thread of its own reads them and keeps that:

    with Feed(Source("0")) as feed:
        frame = feed.wait_newer(-1, timeout=1.0)
"""

import os
import re
import sys
import threading
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.errors import UserError
from models.pictures import PICTURE_SUFFIXES

# OpenCV and FFmpeg tell on stderr, in words of their own, about everything that fails. Each failure has a sentence
# here instead; who wants to hear them sets these variables (OpenCV's documentation, "environment variables reference").
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")  # seconds without a frame until a camera counts as gone
os.environ.setdefault(
    "OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0"
)  # with them, Windows takes ten seconds to open a camera
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

STREAM_TIMEOUT = 5000  # milliseconds
RETRY_SECONDS, RETRY_PAUSE = 5.0, 0.25
USUAL_FRAME_RATE = 30.0
ANIMATED_SUFFIXES = frozenset((".gif", ".webp"))
SMALL_SIDE = 320  # of the grey copy that motion is followed in


class SourceError(UserError):
    """A source that gives no frames; the message says why and what else to try."""


class Frame:
    """A frame of a source.

    Attributes:
        number: From 0; of a file, its place in the file.
        seconds: Since the source's beginning; of a file, in the film's own time.
        picture: BGR uint8 `[H, W, 3]`. Not to be drawn into: other threads look at it.
        captured: `time.perf_counter()` when it was read.
    """

    def __init__(self, number: int, seconds: float, picture: np.ndarray, captured: float):
        self.number, self.seconds, self.picture, self.captured = number, seconds, picture, captured

    @property
    def small_scale(self) -> float:
        """Pixels of `small` per pixel of `picture`."""
        return min(1.0, SMALL_SIDE / max(self.picture.shape[:2]))

    @cached_property
    def small(self) -> np.ndarray:
        """A grey uint8 copy, its longer side at most 320."""
        scale = self.small_scale
        return cv2.cvtColor(
            cv2.resize(self.picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY
        )


class Source:
    """An opened source.

    Attributes:
        name, title: What it was asked for by, and what to call it in a sentence.
        is_film: It has an end and a rate of its own: a video file, numbered pictures, a video at a URL.
        frame_rate: Frames a second, as the source says it, or 30 where it says nothing sensible.
        frame_count: Frames that a film says it has, or None. Some containers guess.
        size: Width and height of its frames.
    """

    def __init__(
        self, name: str, width: int | None = None, height: int | None = None, fps: float | None = None,
        mirror: bool | None = None, open_capture: Callable[..., Any] = cv2.VideoCapture,
    ):  # fmt: skip
        """Opens a source and reads its first frame.

        Args:
            name: A camera's number, the path of a video file, a pattern such as `frames/%04d.jpg`, or a URL.
            width, height, fps: What a camera is asked for; it gives the nearest that it can. To numbered pictures,
                `fps` gives the rate that they have not.
            mirror: Flip frames left to right; by default a camera's, as in a mirror, and no other's.
            open_capture: What stands for `cv2.VideoCapture`.

        Raises:
            SourceError: It cannot be opened, or gives no frame.
        """
        camera = re.fullmatch(r"(?:/dev/video)?(\d+)", name)
        self._camera = int(camera[1]) if camera else None
        self.name, self.title = name, name if self._camera is None else f"camera {self._camera}"
        self._is_stream = "://" in name
        self._is_pattern = "%" in name and not self._is_stream and not Path(name).exists()
        self._mirror = self._camera is not None if mirror is None else mirror
        self._wanted = [(cv2.CAP_PROP_FRAME_WIDTH, width), (cv2.CAP_PROP_FRAME_HEIGHT, height), (cv2.CAP_PROP_FPS, fps)]
        self._open_capture = open_capture
        if self._camera is None and not self._is_stream and not self._is_pattern:
            self._check_path()
        self._next = self._open()
        if self._next is None:
            reason = self._why_nothing_came()
            self._capture.release()
            raise SourceError(reason)
        said_rate, said_count = (self._capture.get(key) for key in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        self.is_film = self._camera is None and (not self._is_stream or said_count > 0)
        self.frame_rate = fps if fps and self._is_pattern else said_rate if 1 <= said_rate <= 240 else USUAL_FRAME_RATE
        self.frame_count = int(said_count) if self.is_film and said_count > 0 else None
        self.size = self._next.shape[1], self._next.shape[0]
        self._number = 0
        self._started: float | None = None  # a camera's time begins with the first frame that is asked for

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> Frame | None:
        """The next frame; None at a film's end, or where a camera or stream has vanished."""
        picture, self._next = self._next if self._next is not None else self._grab(), None
        if picture is None:
            return None
        captured = time.perf_counter()
        if self._started is None:
            self._started = captured
        seconds = self._number / self.frame_rate if self.is_film else captured - self._started
        frame = Frame(self._number, seconds, cv2.flip(picture, 1) if self._mirror else picture, captured)
        self._number += 1
        return frame

    def reopen(self) -> bool:
        """Tries once to get a vanished camera or stream back."""
        self._capture.release()
        self._next = self._open()
        return self._next is not None

    def close(self) -> None:
        self._capture.release()

    def _open(self) -> np.ndarray | None:
        if self._is_stream:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, STREAM_TIMEOUT, cv2.CAP_PROP_READ_TIMEOUT_MSEC, STREAM_TIMEOUT]
            self._capture = self._open_capture(self.name, cv2.CAP_FFMPEG, limits)
        else:
            self._capture = self._open_capture(self.name if self._camera is None else self._camera)
        if self._camera is not None and self._capture.isOpened():
            self._ask_camera()
        return self._grab()

    def _ask_camera(self) -> None:
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # a queue of old frames is latency
        wanted = [(key, value) for key, value in self._wanted if value]
        if wanted:  # over USB, large frames come at full rate as JPEG only
            self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        for key, value in wanted:
            self._capture.set(key, value)

    def _grab(self) -> np.ndarray | None:
        try:
            there, picture = self._capture.read()
        except cv2.error:  # some backends raise when the device goes
            return None
        if not there:
            return None
        return picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)

    def _check_path(self) -> None:
        path = Path(self.name)
        if path.is_dir():
            raise SourceError(
                f"{self.name} is a folder: --source takes a video file, or a pattern such as {path / '%04d.jpg'}"
            )
        if not path.exists():
            raise SourceError(
                f"there is no {self.name}: --source takes a camera's number, a video file or a stream's URL"
            )
        if not os.access(path, os.R_OK):
            raise SourceError(f"{self.name} may not be read: you have no permission")
        if path.suffix.lower() in PICTURE_SUFFIXES - ANIMATED_SUFFIXES:
            raise SourceError(f"{self.name} is a picture, not a video: demo_image.py reads pictures")

    def _why_nothing_came(self) -> str:
        if self._is_stream:
            return f"no picture comes from {self.name}: is the address right and the stream running?"
        if self._is_pattern:
            return (
                f"no picture is named {self.name}, counted from 0 or 1: --source takes a pattern like frames/%04d.jpg"
            )
        if self._camera is None:
            return f"{self.name} cannot be read as a video: it is damaged, or of a kind that this OpenCV does not know"
        remedy = "name another camera, a video file or a stream's URL with --source"
        device = Path(f"/dev/video{self._camera}")
        if sys.platform == "linux" and device.exists() and not os.access(device, os.R_OK | os.W_OK):
            return f"{device} may not be opened: `sudo usermod -aG video $USER` and a new login let you, or {remedy}"
        if self._capture.isOpened() or (sys.platform == "linux" and device.exists()):
            return f"camera {self._camera} gives no picture: close the program that uses it, or {remedy}"
        privacy = "" if sys.platform == "linux" else ", or the system's privacy settings forbid it"
        return f"there is no camera {self._camera}{privacy}: {remedy}"


class Feed(threading.Thread):
    """Reads a source in a thread of its own and keeps the newest frame, so that nobody waits and nothing piles up.

    A film is read at its own rate. A camera or stream that vanishes is tried again for five seconds.

    Attributes:
        newest: The newest frame, or None before the first.
        state: `playing`, `retrying`, `ended` (a film is over) or `lost` (a camera has vanished for good).
    """

    def __init__(self, source: Source):
        super().__init__(name="capture", daemon=True)
        self.source, self.state = source, "playing"
        self.newest: Frame | None = None
        self._changed, self._stopping = threading.Condition(), threading.Event()

    def __enter__(self) -> "Feed":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join(timeout=2)
        if not self.is_alive():  # else it hangs in a driver: releasing the camera under it would crash
            self.source.close()

    def wait_newer(self, number: int, timeout: float) -> Frame | None:
        """The newest frame if it is newer than `number`, waiting up to `timeout` seconds for one; else None."""
        with self._changed:
            self._changed.wait_for(lambda: self._newer(number) or self.state in ("ended", "lost"), timeout)
            return self.newest if self._newer(number) else None

    def _newer(self, number: int) -> bool:
        return self.newest is not None and self.newest.number > number

    def run(self) -> None:
        started = time.perf_counter()
        while not self._stopping.is_set():
            frame = self.source.read()
            if frame is None:
                if self.source.is_film or not self._retry():
                    break
                continue
            if self.source.is_film:
                self._stopping.wait(max(0.0, started + frame.seconds - time.perf_counter()))
                frame.captured = time.perf_counter()
            self._tell(frame, "playing")
        self._tell(self.newest, "ended" if self.source.is_film else "lost")

    def _retry(self) -> bool:
        self._tell(self.newest, "retrying")
        give_up = time.perf_counter() + RETRY_SECONDS
        while time.perf_counter() < give_up and not self._stopping.wait(RETRY_PAUSE):
            if self.source.reopen():
                return True
        return False

    def _tell(self, frame: Frame | None, state: str) -> None:
        with self._changed:
            self.newest, self.state = frame, state
            self._changed.notify_all()
