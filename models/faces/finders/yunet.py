"""YuNet, with a model of the person's own."""

import os
from pathlib import Path

import cv2
import numpy as np

from models.faces.detection import Detection, DetectorError


class Finder:
    """YuNet (Wu et al., 2023), with a model of the person's own."""

    name, framing, takes_model, sees_all = "yunet", 1.03, True, False
    MIN_SCORE, MIN_SCORE_TURNED, SURE_SCORE = 0.7, 0.8, 0.92
    SAME_FACE = 0.3
    PUBLISHED = "https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet"

    def __init__(self, model_path: str | os.PathLike | None = None):
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
            Detection(tuple(row[:4].tolist()), float(row[14]), row[4:14].reshape(5, 2).copy(), self.name, self.framing)
            for row in (rows if rows is not None else ())
        ]
