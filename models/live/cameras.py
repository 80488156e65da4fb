"""Cameras, through OpenCV.

with Camera(0, width=1280, height=720) as camera:
    frame = camera.read()
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.live.sources import USUAL_FRAME_RATE, Frame, Source, SourceError

# OpenCV tells on stderr, in words of its own, about everything that fails. Each failure has a sentence here instead;
# who wants to hear them sets these variables (OpenCV's documentation, "environment variables reference").
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")  # seconds without a frame until a camera counts as gone
os.environ.setdefault(
    "OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0"
)  # with them, Windows takes ten seconds to open a camera
if "OPENCV_LOG_LEVEL" not in os.environ:
    if hasattr(cv2, "setLogLevel"):  # to OpenCV 4.12
        cv2.setLogLevel(0)
    else:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class Camera(Source):
    """An opened camera. Its time begins with the first frame that is asked for."""

    is_film = False

    def __init__(
        self, number: int, width: int | None = None, height: int | None = None, fps: float | None = None,
        mirror: bool = True, open_capture: Callable[[int], Any] = cv2.VideoCapture,
    ):  # fmt: skip
        """Opens a camera and reads its first frame.

        Args:
            number: From 0.
            width, height, fps: What it is asked for; it gives the nearest that it can.
            mirror: Flip frames left to right, as in a mirror.
            open_capture: What stands for `cv2.VideoCapture`.

        Raises:
            SourceError: It cannot be opened, or gives no frame.
        """
        super().__init__(str(number), f"camera {number}")
        self._camera, self._mirror, self._open_capture = number, mirror, open_capture
        self._wanted = [(cv2.CAP_PROP_FRAME_WIDTH, width), (cv2.CAP_PROP_FRAME_HEIGHT, height), (cv2.CAP_PROP_FPS, fps)]
        self._next = self._open()
        if self._next is None:
            reason = self._why_nothing_came()
            self._capture.release()
            raise SourceError(reason)
        said = self._capture.get(cv2.CAP_PROP_FPS)
        self.frame_rate = said if 1 <= said <= 240 else USUAL_FRAME_RATE
        self.size = self._next.shape[1], self._next.shape[0]
        self._number = 0
        self._started: float | None = None

    def read(self) -> Frame | None:
        picture, self._next = self._next if self._next is not None else self._grab(), None
        if picture is None:
            return None
        captured = time.perf_counter()
        if self._started is None:
            self._started = captured
        picture = cv2.flip(picture, 1) if self._mirror else picture
        frame = Frame(self._number, captured - self._started, picture, captured)
        self._number, self.end = self._number + 1, frame.seconds + 1 / self.frame_rate
        return frame

    def reopen(self) -> bool:
        self._capture.release()
        self._next = self._open()
        return self._next is not None

    def close(self) -> None:
        self._capture.release()

    def _open(self) -> np.ndarray | None:
        self._capture = self._open_capture(self._camera)
        if self._capture.isOpened():
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # a queue of old frames is latency
            wanted = [(key, value) for key, value in self._wanted if value]
            if wanted:  # over USB, large frames come at full rate as JPEG only
                self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            for key, value in wanted:
                self._capture.set(key, value)
        return self._grab()

    def _grab(self) -> np.ndarray | None:
        try:
            there, picture = self._capture.read()
        except cv2.error:  # some backends raise when the device goes
            return None
        if not there:
            return None
        return picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)

    def _why_nothing_came(self) -> str:
        remedy = "name another camera, a video file or a stream's URL with --source"
        device = Path(f"/dev/video{self._camera}")
        if sys.platform == "linux" and device.exists() and not os.access(device, os.R_OK | os.W_OK):
            return f"{device} may not be opened: `sudo usermod -aG video $USER` and a new login let you, or {remedy}"
        if self._capture.isOpened() or (sys.platform == "linux" and device.exists()):
            return f"camera {self._camera} gives no picture: close the program that uses it, or {remedy}"
        privacy = "" if sys.platform == "linux" else ", or the system's privacy settings forbid it"
        return f"there is no camera {self._camera}{privacy}: {remedy}"
