"""From a frame to faces and their probabilities, and the thread that does it to the newest frame.

    analyzer = Analyzer(classifier, detector)
    analysis = analyzer.analyze(frame)

Nothing here knows of earlier frames: that is the tracker's.
"""

import threading
from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from models.classifier import ExpressionClassifier
from models.faces import Detection, FaceDetector, face_crop
from models.live.sources import Feed, Frame
from models.threads import usable_cores


@dataclass(frozen=True, eq=False)
class Analysis:
    """What was found in a frame.

    Attributes:
        frame: The frame that was looked at.
        detections: Its faces, largest first, in the frame's own pixels.
        probabilities: float32 `[N, C]`, a row a face.
    """

    frame: Frame
    detections: list[Detection]
    probabilities: np.ndarray


class Analyzer:
    """Finds the faces in a frame and classifies them, all in one batch.

    Attributes:
        class_names: Expressions, in the order of the probabilities.
    """

    def __init__(self, classifier: ExpressionClassifier, detector: FaceDetector):
        self.class_names = classifier.class_names
        self._classifier, self._detector = classifier, detector

    def analyze(self, frame: Frame) -> Analysis:
        """Analyzes a frame."""
        picture = cv2.cvtColor(frame.picture, cv2.COLOR_BGR2RGB)
        detections = self._detector.detect(picture)
        crops = [face_crop(picture, detection) for detection in detections]
        return Analysis(frame, detections, self._classifier.classify(crops))

    def warm_up(self, size: tuple[int, int]) -> None:
        """Does what is done once for frames of this width and height, before a person waits for it: the network's
        first answer takes several times as long as the next.
        """
        width, height = size
        blank = np.zeros((height, width, 3), np.uint8)
        self.analyze(Frame(0, 0.0, blank, 0.0))
        self._classifier.classify([blank])


class AnalysisThread(threading.Thread):
    """Analyzes the newest frame of a feed, again and again, while others show each frame."""

    def __init__(self, feed: Feed, analyzer: Analyzer):
        super().__init__(name="analysis", daemon=True)
        self._feed, self._analyzer = feed, analyzer
        self._newest: deque[Analysis] = deque(maxlen=1)
        self._failure: Exception | None = None
        self._stopping = threading.Event()

    def __enter__(self) -> "AnalysisThread":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join(timeout=5)

    def take(self) -> Analysis | None:
        """The newest analysis, once; None where there is none since the last call.

        Raises:
            Exception: What ended the thread.
        """
        if self._failure is not None:
            raise self._failure
        return self._newest.pop() if self._newest else None

    def run(self) -> None:
        number = -1
        try:
            while not self._stopping.is_set():
                frame = self._feed.wait_newer(number, timeout=0.1)
                if frame is not None:
                    number = frame.number
                    self._newest.append(self._analyzer.analyze(frame))
                elif self._feed.state in ("ended", "lost"):
                    return
        except Exception as error:  # told to the main thread, which alone can end the program
            self._failure = error


def leave_a_core_for_the_display() -> bool:
    """Has the network and OpenCV compute on all cores but one; returns whether there is one more.

    With all of them, each frame that is shown waits for its turn between two layers of the network.
    """
    threads = max(1, min(torch.get_num_threads(), usable_cores() - 1))
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    return threads < usable_cores()
