"""What it costs to save small face crops as JPEG: val's faces at their own 48 pixels, as they are and after a JPEG.

    python -m tests.benchmarks.crops --data data --record R    # as a csv file as well

Prints a row a quality and ends with a line of JSON.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from models import CLASS_NAMES, ExpressionClassifier
from models.errors import UserError
from models.training.dataset import PICTURE_SIDE, load_split
from tests.benchmarks.faces import to_48
from tests.benchmarks.record import Table, add_record_argument

QUALITIES = (None, 92, 75, 30)  # what the demos write, Pillow's default, a small preview's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder that preprocess.py made")
    parser.add_argument("--faces", type=int, metavar="N", help="of val, spread evenly; by default all")
    add_record_argument(parser)
    arguments = parser.parse_args()
    try:
        split = load_split(arguments.data, "val", PICTURE_SIDE, arguments.faces, list(CLASS_NAMES))
    except UserError as error:
        parser.error(str(error))
    faces = [to_48(picture) for picture in split.pictures.numpy()]
    classifier = ExpressionClassifier.load()
    table = Table(
        "crops", ["saved as", "right %", "faces"], classifier.precision, "tta-flip", device=classifier.device.type
    )
    for quality in QUALITIES:
        answers = classifier.classify([saved(face, quality) for face in faces]).argmax(1)
        right = 100 * (answers == split.targets.numpy()).mean()
        table.add(f"JPEG, quality {quality}" if quality else "PNG", f"{right:.2f}", len(faces))
    table.end(arguments.record)


def saved(face: np.ndarray, quality: int | None) -> np.ndarray:
    """A grey face as it is read again."""
    if quality is None:
        return face
    encoded = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)


if __name__ == "__main__":
    main()
