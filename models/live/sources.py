"""Where frames come from: what a source is, and a thread that keeps its newest frame.

    while (frame := source.read()) is not None: ...

That gives every frame; where the newest counts, a thread of its own reads them and keeps that:

    with Feed(source) as feed:
        frame = feed.wait_newer(-1, timeout=1.0)
"""

import re
import threading
import time
from abc import ABC, abstractmethod
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.errors import UserError

if TYPE_CHECKING:
    from models.live.sound import Sound

RETRY_SECONDS, RETRY_PAUSE = 5.0, 0.25
USUAL_FRAME_RATE = 30.0
SMALL_SIDE = 320  # of the grey copy that motion is followed in


class SourceError(UserError):
    """A source that gives no frames; the message says why and what else to try."""


class Frame:
    """A frame of a source.

    Attributes:
        number: From 0; of a file, its place in the file.
        seconds: Since the source's beginning; of a film, in its own time.
        picture: BGR uint8 `[H, W, 3]`, upright, with square pixels. Not to be drawn into: other threads look at it.
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


class Source(ABC):
    """An opened source.

    Attributes:
        name, title: What it was asked for by, and what to call it in a sentence: a URL without its password.
        is_film: It has an end and times of its own: a video file, numbered pictures, a video at a URL.
        frame_rate: Frames a second, on average.
        time_base: Seconds, of which each frame's time is a multiple.
        duration: Seconds that a film says it lasts, or None.
        size: Width and height of its frames.
        end: Seconds at which the last frame that was read ceases to stand.
        remarks: Sentences about what a person should know of its times.
        problems: Sentences about what is missing or spoiled in what has been read.
    """

    is_film = True
    frame_rate = USUAL_FRAME_RATE
    time_base = Fraction(1, 90000)
    duration: float | None = None
    size: tuple[int, int]
    end = 0.0

    def __init__(self, name: str, title: str):
        self.name, self.title = name, title
        self.remarks: list[str] = []
        self.problems: list[str] = []

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def read(self) -> Frame | None:
        """The next frame; None at a film's end, or where a camera or stream has vanished."""

    def reopen(self) -> bool:
        """Tries once to get a vanished camera or stream back."""
        return False

    def sound(self) -> "Sound | None":
        """Its sound, to be copied into a recording; None where it has none."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Lets go of it."""


def without_secrets(url: str) -> str:
    """A URL without what may be a password: neither the user's name and password nor what follows the path.

    A password may have any sign in it: all that stands before the last @ is left out.
    """
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{re.split('[?#]', rest.rpartition('@')[2])[0]}"


def fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture `[H, W, 3]` in this width and height: scaled as a whole, with black at two sides if need be."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    scale = min(size[0] / width, size[1] / height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    fitted = np.zeros((size[1], size[0], 3), np.uint8)
    fitted[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner, interpolation=method)
    return fitted


class Feed(threading.Thread):
    """Reads a source in a thread of its own and keeps the newest frame, so that nobody waits and nothing piles up.

    A film is read at its own speed. A camera or stream that vanishes is tried again for five seconds.

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
