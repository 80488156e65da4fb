"""Finds faces: finders behind one small interface.

    from models.faces import face_crop, make_detector

    detector = make_detector()                      # "auto"; or "rpn", "haar", "mtcnn", "yunet"
    for detection in detector.detect(picture):      # RGB uint8 [H, W, 3]; the largest face first
        crop = face_crop(picture, detection)        # upright, framed like FER2013's pictures

`finders/` has a file for each way of finding; `training/` made the network that `auto` uses.
`python -m tests.benchmarks.faces` measures and times them.
"""

from models.faces.detection import Detection, DetectorError
from models.faces.detector import FaceDetector, make_detector
from models.faces.framing import FER2013_LANDMARKS, box_within, face_crop, frame_box

__all__ = [
    "FER2013_LANDMARKS",
    "Detection",
    "DetectorError",
    "FaceDetector",
    "box_within",
    "face_crop",
    "frame_box",
    "make_detector",
]
