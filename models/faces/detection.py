"""What a detector answers, and what it says when it cannot be had."""

from dataclasses import dataclass

import numpy as np

from models.errors import UserError

MEASURED_WITHIN = 0.85  # a face of just the smallest wanted size may be measured so much smaller


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
        detector: Name of the finder that found it: rpn, haar, mtcnn or yunet.
        framing: FER2013's side over that of the box, or of the square that the landmarks span where there are some.
        turn: Degrees (0, 90, 180, 270) by which the picture was turned counter-clockwise when the face was found.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray | None = None
    detector: str = "haar"
    framing: float = 1.0
    turn: int = 0
