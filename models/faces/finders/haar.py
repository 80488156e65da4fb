"""OpenCV's Haar cascade."""

import math
from pathlib import Path

import cv2
import numpy as np

from models.faces.detection import Detection, DetectorError
from models.packages import opencv_remedy


class Finder:
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

    name, framing, takes_model, sees_all = "haar", 1.07, False, False
    # Sums of the last stage's votes. 54.5 leaves 0.5 % false finds upright, 56 none in turned pictures.
    MIN_SCORE, MIN_SCORE_TURNED, SURE_SCORE = 54.5, 56.0, 55.5

    def __init__(self) -> None:
        if not hasattr(cv2, "CascadeClassifier"):
            raise DetectorError(
                f"OpenCV {cv2.__version__} knows no Haar cascades: {opencv_remedy()} brings one that does"
            )
        path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"
        if not path.is_file():
            raise DetectorError(f"OpenCV's cascade {path} is missing: {opencv_remedy()} brings it")
        self._cascade = cv2.CascadeClassifier(str(path))

    def find(self, picture: np.ndarray, min_face: float) -> list[Detection]:
        smallest = math.ceil(min_face / self.framing)
        boxes, _, scores = self._cascade.detectMultiScale3(
            cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY),
            scaleFactor=1.1,
            minNeighbors=5,
            minSize=(smallest, smallest),
            outputRejectLevels=True,
        )
        return [
            Detection((float(x), float(y), float(width), float(height)), float(score), None, self.name, self.framing)
            for (x, y, width, height), score in zip(boxes, np.ravel(scores), strict=True)
            if score >= self.MIN_SCORE
        ]
