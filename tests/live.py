"""Faces in frames as an analysis gives them, and a detector and a classifier that answer at once."""

import numpy as np

from models.expressions import CLASS_NAMES
from models.faces import Detection
from models.live.analysis import Analysis
from models.live.sources import Frame
from models.live.tracking import Tracker

HAPPY, SAD = CLASS_NAMES.index("Happy"), CLASS_NAMES.index("Sad")


def make_frame(picture: np.ndarray | None = None, number: int = 0, seconds: float = 0.0) -> Frame:
    return Frame(number, seconds, np.zeros((240, 320, 3), np.uint8) if picture is None else picture, seconds)


def make_probabilities(index: int = HAPPY, confidence: float = 0.9, classes: int = 7) -> np.ndarray:
    probabilities = np.full(classes, (1 - confidence) / (classes - 1), np.float32)
    probabilities[index] = confidence
    return probabilities


def make_analysis(frame: Frame, *boxes: tuple, index: int = HAPPY, confidence: float = 0.9) -> Analysis:
    probabilities = np.array([make_probabilities(index, confidence) for _ in boxes], np.float32).reshape(-1, 7)
    return Analysis(frame, [Detection(box, 1.0, None, "haar") for box in boxes], probabilities)


def see(tracker: Tracker, seconds: float, *boxes: tuple, index: int = HAPPY, confidence: float = 0.9) -> list:
    """Has the tracker see faces in an empty picture, where nothing can be followed."""
    frame = make_frame(seconds=seconds)
    return tracker.update(make_analysis(frame, *boxes, index=index, confidence=confidence), frame)


def make_tracks(*boxes: tuple, index: int = HAPPY, confidence: float = 0.9) -> list:
    tracker = Tracker(CLASS_NAMES)
    return see(tracker, 0.0, *boxes, index=index, confidence=confidence)


class FakeDetector:
    """Finds one face, of the whole picture's middle, in every picture that is not black."""

    def detect(self, picture):
        height, width = picture.shape[:2]
        return (
            [Detection((width / 4, height / 4, width / 2, height / 2), 1.0, None, "haar")] if picture.max() > 20 else []
        )


class FakeClassifier:
    class_names = list(CLASS_NAMES)

    def classify(self, faces):
        return np.array([make_probabilities() for _ in faces], np.float32).reshape(-1, 7)
