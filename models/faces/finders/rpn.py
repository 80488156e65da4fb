"""The project's own proposal network, run by OpenCV: one pass finds faces of 12 pixels and of the whole picture, turned
any way, with the landmarks by which they are turned upright.

`training/` made it; models/weights/rpn_faces.md tells of what, and how well it does.
"""

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from models.faces.detection import MEASURED_WITHIN, Detection, DetectorError
from models.faces.framing import cut_square, placement

NETWORK = Path(__file__).parents[2] / "weights" / "rpn_faces.onnx"
CHANNELS = 14  # logit of a face's middle, log of its size in cells, then six points in sizes: middle, eyes, nose, mouth
STRIDE = 4  # pixels from one cell to the next
SIDE_MULTIPLE = 64  # of a picture that goes in: it is halved six times
PADDING = (127, 127, 127)
INPUT_MEAN, INPUT_SCALE = 127.5, 1 / 128

# Of a look: below the first, a cell is passed over; from SURE_SCORE on a face that leans by less than UPRIGHT is taken
# without a second look. MIN_SCORE is what the geometric mean of both looks must reach.
FAINT_SCORE, LEAST_SCORE, SURE_SCORE, MIN_SCORE = 0.35, 0.02, 0.8, 0.6
UPRIGHT, AS_THOUGHT = math.radians(20), math.radians(4)
CLEAR_SPREAD = 0.7  # of the face's side, below which the landmarks' square shows that they are not known
SECOND_SIDE, SECOND_SHARE = 128, 0.58  # pixels of the second look, and how much of it the face takes
SAME_FACE = 0.35  # intersection over union of two squares
# Pixels of a face in what goes in: the least with which it is seen, and enough to be seen well. The smallest wanted
# face has half its own, within these bounds.
SMALLEST_SEEN, WELL_SEEN = 12, 24
SMALL_PICTURE = 192  # pixels of the longer side, to which a picture may be shrunk without saving much time
ONE_PASS, OVERVIEW = 448, 320  # longer sides: up to the first one look sees all; large pictures get one of the second
TILE, MARGIN = 1152, 64  # pixels of a tile, and of its edge in which another tile sees better


class Finder:
    """Anchor-free, single-stage region proposals (Ren et al., 2015; Zhou et al., 2019).

    A picture is shrunk until the smallest wanted face has 12 to 24 pixels. If it is still large, it is looked at in
    tiles, and once more as a whole for the faces that are larger than a tile's margin. A face that leans, or is not
    sure, is looked at a second time, upright and at one size: that tells faces from what but looks like one, and where
    the landmarks of a leaning face are.
    """

    name, framing, takes_model, sees_all = "rpn", 1.07, True, True

    def __init__(self, model_path: str | os.PathLike | None = None):
        path = Path(model_path or NETWORK)
        remedy = f"`git checkout -- models/weights/{NETWORK.name}` in the project's folder brings it back"
        if model_path:
            remedy = "leave --detector-model out, and the project's own is taken"
        if not path.is_file():
            raise DetectorError(f"the network that finds faces, {path}, is missing: {remedy}")
        try:
            self._network = cv2.dnn.readNetFromONNX(str(path))
            self._second = cv2.dnn.readNetFromONNX(str(path))  # changing a network's input size takes 2 ms
            answer = _run(self._second, np.zeros((SECOND_SIDE, SECOND_SIDE, 3), np.uint8))
        except cv2.error as error:
            raise DetectorError(f"the network that finds faces, {path}, is damaged: {remedy}") from error
        if answer.shape != (CHANNELS, SECOND_SIDE // STRIDE, SECOND_SIDE // STRIDE):
            raise DetectorError(f"{path} is another network than the one that finds faces: {remedy}")

    def find(self, picture: np.ndarray, min_face: float) -> list[Detection]:
        looks = [self._look(picture, look) for look in plan(picture.shape[0], picture.shape[1], min_face)]
        faces = keep_best(Faces(*(np.concatenate(parts) for parts in zip(*looks))))
        found = []
        for points, size, score in zip(faces.points, faces.sizes.tolist(), faces.scores.tolist()):
            if size < MEASURED_WITHIN * min_face:
                continue
            x, y = points[0].tolist()
            detection = Detection((x - size / 2, y - size / 2, size, size), score, points[1:], self.name, self.framing)
            lean, spread = _lean(detection)
            if score < SURE_SCORE or abs(lean) > UPRIGHT or spread < CLEAR_SPREAD * size:
                detection = self._look_again(picture, detection)
            if detection.score >= MIN_SCORE:
                found.append(detection)
        return found

    def _look_again(self, picture: np.ndarray, detection: Detection) -> Detection:
        """The face as it is seen upright, with the geometric mean of both looks' scores; 0 where it is not seen again.

        Landmarks that lie close together say that which way up the face is was not clear: then each quarter turn is
        tried, and the first has to be beaten by a sixth. Where a face leans otherwise than was thought, it is looked at
        once more.
        """
        lean, spread = _lean(detection)
        tried = (lean,) if spread > CLEAR_SPREAD * detection.box[2] else (0.0, math.pi / 2, math.pi, -math.pi / 2)
        looks = [(lean, self._look_upright(picture, detection, lean)) for lean in tried]
        thought, seen = max(looks, key=lambda look: look[1].score * (1 if look[0] == tried[0] else 0.85))
        lean, _ = _lean(seen)
        if seen.score and abs(math.remainder(lean - thought, 2 * math.pi)) > AS_THOUGHT:
            again = self._look_upright(picture, seen, lean)
            seen = again if again.score > seen.score else seen
        return replace(seen, score=math.sqrt(detection.score * seen.score))

    def _look_upright(self, picture: np.ndarray, detection: Detection, lean: float) -> Detection:
        """What is seen of a face in a square around it that is turned by `lean`, with that look's score alone."""
        x, y, size, _ = detection.box
        centre, axis = complex(x + size / 2, y + size / 2), np.exp(1j * lean) * size / SECOND_SHARE
        finer = min(max(round(abs(axis) / SECOND_SIDE), 1), 4)  # shrunk by averaging, a very large one by leaving out
        square = cut_square(picture, centre, axis, SECOND_SIDE * finer)
        square = cv2.resize(square, (SECOND_SIDE, SECOND_SIDE), interpolation=cv2.INTER_AREA)
        points, sizes, scores = decode(_run(self._second, square), LEAST_SCORE)
        aside = np.linalg.norm(points[:, 0] - SECOND_SIDE / 2, axis=1) / SECOND_SIDE
        same = (aside < 0.3 * SECOND_SHARE) & (np.abs(np.log(sizes / (SECOND_SIDE * SECOND_SHARE))) < 0.5)
        if not same.any():
            return replace(detection, score=0.0)
        best = np.flatnonzero(same)[scores[same].argmax()]
        places = centre + axis * ((points[best, 1:] - SECOND_SIDE / 2) @ (1, 1j)) / SECOND_SIDE
        landmarks = np.stack([places.real, places.imag], axis=1).astype(np.float32)
        return replace(detection, landmarks=landmarks, score=float(scores[best]))

    def _look(self, picture: np.ndarray, look: "Look") -> "Faces":
        """The faces of a part of the picture, in the picture's pixels."""
        (left, right), (top, bottom) = look.columns.window, look.rows.window
        piece = picture[top:bottom, left:right]
        if look.scale < 1:
            size = max(1, round((right - left) * look.scale)), max(1, round((bottom - top) * look.scale))
            piece = cv2.resize(piece, size, interpolation=cv2.INTER_AREA)
        points, sizes, scores = decode(_run(self._network, piece), FAINT_SCORE)
        enlarged = np.array([(right - left) / piece.shape[1], (bottom - top) / piece.shape[0]], np.float32)
        points = points * enlarged + np.array([left, top], np.float32)
        within = look.columns.holds(points[:, 0, 0]) & look.rows.holds(points[:, 0, 1])
        return Faces(points[within], (sizes * math.sqrt(enlarged.prod()))[within], scores[within])


def _run(network: cv2.dnn.Net, picture: np.ndarray) -> np.ndarray:
    """The network's answer, float32 `[14, h, w]`, to RGB uint8 `[H, W, 3]`."""
    network.setInput(cv2.dnn.blobFromImage(padded(picture), INPUT_SCALE, mean=(INPUT_MEAN,) * 3))
    return network.forward()[0]


def _lean(detection: Detection) -> tuple[float, float]:
    """How a face's landmarks lie: the angle by which they lean, in radians, clockwise, and the side of their square."""
    _, axis = placement(detection)
    return float(np.angle(axis)), abs(axis)


class Faces(NamedTuple):
    """Faces as arrays.

    Attributes:
        points: float32 `[N, 6, 2]`, x and y in pixels of the middle, the eyes, the nose and the mouth's corners.
        sizes: float32 `[N]`, the sides of their squares in pixels.
        scores: float32 `[N]`, 0 to 1.
    """

    points: np.ndarray
    sizes: np.ndarray
    scores: np.ndarray


class Span(NamedTuple):
    """A part of the picture's width or height: what is looked at, and where the middles of faces count."""

    window: tuple[int, int]
    core: tuple[float, float]

    def holds(self, places: np.ndarray) -> np.ndarray:
        """Which of the places, `[N]`, lie in the core."""
        return (places >= self.core[0]) & (places < self.core[1])


class Look(NamedTuple):
    """A part of the picture, and how much it is shrunk for the network."""

    rows: Span
    columns: Span
    scale: float


def plan(height: int, width: int, min_face: float) -> list[Look]:
    """What is looked at in a picture of this size, in pixels, to find faces from `min_face` pixels up."""
    longer = max(height, width)
    seen = min(max(min_face / 2, SMALLEST_SEEN), WELL_SEEN)
    scale = min(1.0, max(seen / min_face, SMALL_PICTURE / longer))
    looks = []
    while longer * scale > ONE_PASS:
        looks += [Look(rows, columns, scale) for rows in spans(height, scale) for columns in spans(width, scale)]
        # A face of less than two margins is whole in the tile that has its middle. One of a margin and a half has 12
        # pixels at an eighth of the scale.
        scale = max(scale * SMALLEST_SEEN / (1.5 * MARGIN), OVERVIEW / longer)
    rows, columns = (Span((0, length), (-math.inf, math.inf)) for length in (height, width))
    return [*looks, Look(rows, columns, scale)]


def spans(length: int, scale: float) -> list[Span]:
    """A side of the picture in equal parts, each looked at with a margin, none longer than a tile at this scale."""
    count = 1 if length * scale <= TILE else math.ceil(length * scale / (TILE - 2 * MARGIN))
    margin = math.ceil(MARGIN / scale)
    edges = [round(length * part / count) for part in range(count + 1)]
    return [
        Span(
            (max(0, low - margin), min(length, high + margin)),
            (low if low else -math.inf, high if high < length else math.inf),
        )
        for low, high in zip(edges, edges[1:])
    ]


def padded(picture: np.ndarray) -> np.ndarray:
    """The picture, grey added below and at the right so that its sides are multiples of 64."""
    height, width = picture.shape[:2]
    below, right = -height % SIDE_MULTIPLE, -width % SIDE_MULTIPLE
    return cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_CONSTANT, value=PADDING)


def decode(answer: np.ndarray, min_score: float) -> Faces:
    """The faces in a network's answer, float32 `[14, h, w]`: cells that are surer than the eight around them."""
    heat = answer[0]
    peaks = (heat >= math.log(min_score / (1 - min_score))) & (heat >= cv2.dilate(heat, np.ones((3, 3), np.uint8)))
    rows, columns = np.nonzero(peaks)
    sizes = np.exp(answer[1, rows, columns]) * STRIDE
    cells = ((np.stack([columns, rows], axis=1) + 0.5) * STRIDE).astype(np.float32)
    points = cells[:, None] + answer[2:, rows, columns].T.reshape(-1, 6, 2) * sizes[:, None, None]
    return keep_best(Faces(points, sizes, 1 / (1 + np.exp(-heat[rows, columns]))))


def keep_best(faces: Faces) -> Faces:
    """Each face once, as it was seen best; the best first."""
    boxes = np.column_stack([faces.points[:, 0] - faces.sizes[:, None] / 2, faces.sizes, faces.sizes])
    kept = np.array(cv2.dnn.NMSBoxes(boxes.tolist(), faces.scores.tolist(), 0.0, SAME_FACE), int)
    return Faces(*(part[kept] for part in faces))
