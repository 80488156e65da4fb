"""How well faces are found, and how well the crops are classified: FER2013's val faces, pasted into larger pictures.

    python -m tests.benchmarks.faces --data data                                # 200 faces a row, all detectors
    python -m tests.benchmarks.faces --data data --sample 40 --detectors auto   # a short look
    python -m tests.benchmarks.faces --data data --record R                     # as csv files as well

A row is a condition. For each detector it tells how many faces are found; how many of all are found and labelled
rightly; and, of those found, how many are labelled rightly from the detector's crop, from a crop at the very place
where the face was pasted, and from FER2013's own picture. The first two are equal where a detector frames as the
classifier needs it; between the last two stands what pasting does to a picture. Then: boxes in pictures that show no
face, and times. The pasted face is cut off at FER2013's edge and so is harder to find than one that sits on a head.
Last comes a line of JSON.
"""

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.classifier import ExpressionClassifier
from models.errors import UserError
from models.expressions import CLASS_NAMES
from models.faces import FER2013_LANDMARKS, Detection, FaceDetector, face_crop, frame_box, make_detector
from models.pictures import find_pictures, read_picture
from models.training.dataset import PICTURE_SIDE
from tests.benchmarks.record import Table, add_record_argument, end

ROCKET = Path(__file__).parents[2] / "input" / "5.jpg"
CANVAS_SIDE = 350


@dataclass(frozen=True)
class Condition:
    """How faces are pasted: their sizes in pixels, the degrees by which they lean, what spoils the picture."""

    name: str
    sides: tuple[int, ...] = (80, 120, 200, 300)
    angles: tuple[int, ...] = (0,)
    spoiled_by: str = ""


CONDITIONS = [
    Condition("upright"),
    Condition("leaning by 15°", angles=(15, -15)),
    Condition("leaning by 30°", angles=(30, -30)),
    *(Condition(f"{side} pixels", sides=(side,)) for side in (40, 60, 100, 200, 400)),
    *(Condition(kind, spoiled_by=kind) for kind in ("noise", "blur", "dark")),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder that preprocess.py made")
    parser.add_argument("--sample", type=int, default=200, help="faces a condition, and pictures without a face")
    parser.add_argument("--detectors", nargs="+", default=["haar", "mtcnn", "auto"], help="auto haar mtcnn yunet")
    parser.add_argument("--detector-model", type=Path, help="the YuNet model, for yunet")
    parser.add_argument("--threads", type=int, default=2, help="of OpenCV")
    add_record_argument(parser)
    arguments = parser.parse_args()
    cv2.setNumThreads(arguments.threads)
    try:
        models = {"yunet": arguments.detector_model}
        detectors = {name: make_detector(name, models.get(name)) for name in arguments.detectors}
        classifier = ExpressionClassifier.load()
    except UserError as error:
        parser.error(str(error))
    faces = load_faces(arguments.data, arguments.sample)
    if not faces:
        parser.error(f"{arguments.data} holds no val pictures: make them with `python preprocess.py`")

    threads = f"{arguments.threads}-thread{'s' * (arguments.threads != 1)}"
    columns = ["condition", "detector", "found %", "found and right %", "right from crop %", "right from true place %",
               "right from original %", "faces"]  # fmt: skip
    accuracy = Table("faces", columns, classifier.precision, threads, device=classifier.device.type)
    for condition in CONDITIONS:
        report_accuracy(accuracy, condition, detectors, classifier, faces)
    print()
    empty = Table("faces-empty", ["detector", "pictures without a face in which one is found %", "pictures"], threads)
    report_false_finds(empty, detectors, arguments.sample)
    print()
    times = Table("faces-times", ["detector", "ms with a face", "ms without", "ms at 24 megapixels"], threads)
    report_times(times, detectors, faces[: min(30, len(faces))])
    end([accuracy, empty, times], arguments.record)


def load_faces(data: Path, count: int) -> list[tuple[np.ndarray, int]]:
    """A fixed choice of val pictures, uint8 `[48, 48, 3]`, with their class numbers."""
    labelled = [(path, label) for label in range(len(CLASS_NAMES)) for path in list_class(data / "val" / str(label))]
    chosen = np.random.default_rng(0).permutation(len(labelled))[:count]
    return [(to_48(read_picture(labelled[index][0])), labelled[index][1]) for index in chosen]


def list_class(folder: Path) -> list[Path]:
    return find_pictures(folder) if folder.is_dir() else []


def to_48(picture: np.ndarray) -> np.ndarray:
    """FER2013's own pixels: enlarging put them in the middle of each step."""
    step = PICTURE_SIDE // 48
    return np.ascontiguousarray(picture[step // 2 :: step, step // 2 :: step])


def report_accuracy(
    table: Table,
    condition: Condition,
    detectors: dict[str, FaceDetector],
    classifier: ExpressionClassifier,
    faces: list[tuple[np.ndarray, int]],
) -> None:
    chance = np.random.default_rng(1)
    pasted = [paste(face, condition, chance) for face, _ in faces]
    labels = np.array([label for _, label in faces])
    right_from_original = classifier.classify([face for face, _ in faces]).argmax(1) == labels
    right_from_place = classifier.classify([face_crop(*one) for one in pasted]).argmax(1) == labels
    for name, detector in detectors.items():
        crops, found = [], np.zeros(len(faces), bool)
        for index, (picture, true) in enumerate(pasted):
            hits = [hit for hit in detector.detect(picture) if overlap(frame_box(hit), frame_box(true)) > 0.4]
            found[index] = bool(hits)
            crops += [face_crop(picture, hit) for hit in hits[:1]]
        right = classifier.classify(crops).argmax(1) == labels[found]
        cells = [f"{100 * share:.2f}" for share in (found.mean(), right.sum() / len(faces))]
        compared = (right, right_from_place[found], right_from_original[found])
        cells += [f"{100 * values.mean():.2f}" if found.any() else "-" for values in compared]
        table.add(condition.name, name, *cells, len(faces))


def paste(face: np.ndarray, condition: Condition, chance: np.random.Generator) -> tuple[np.ndarray, Detection]:
    """A picture with one face at a random place, and the face as a detector that never errs would find it."""
    side, angle = int(chance.choice(condition.sides)), int(chance.choice(condition.angles))
    turn = np.exp(1j * np.deg2rad(angle))
    reach = side / 2 * (abs(turn.real) + abs(turn.imag))
    size = max(CANVAS_SIDE, round(2.4 * reach))
    x, y = chance.uniform(reach, size - reach, 2)
    # Pixel (u, v) of the 48 lies at the middle of the square + step * ((u, v) - 23.5).
    step = turn * side / 48
    start = complex(x - 0.5, y - 0.5) - step * complex(23.5, 23.5)
    matrix = np.array([[step.real, -step.imag, start.real], [step.imag, step.real, start.imag]])
    # Without a soft edge the square's outline would be the strongest thing in the picture.
    inside = np.zeros((48, 48, 1), np.float32)
    inside[1:-1, 1:-1] = 1
    opacity = cv2.warpAffine(inside, matrix, (size, size))[..., None]
    warped = cv2.warpAffine(face, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    picture = background(size, chance) * (1 - opacity) + warped * opacity
    points = complex(x, y) + turn * side * (FER2013_LANDMARKS @ (1, 1j))
    landmarks = np.stack([points.real, points.imag], axis=1).astype(np.float32)
    box = (x - side / 2, y - side / 2, side, side)
    # As MTCNN's, since its landmarks span FER2013's square as they are.
    return spoil(picture, condition.spoiled_by, chance), Detection(box, 1.0, landmarks, "mtcnn")


def spoil(picture: np.ndarray, kind: str, chance: np.random.Generator) -> np.ndarray:
    """Noise of deviation 20, blur of deviation 3 pixels, or a fifth of the light with noise of deviation 4."""
    if kind == "blur":
        picture = cv2.GaussianBlur(picture, (0, 0), 3)
    elif kind == "dark":
        picture = picture * 0.2 + chance.normal(0, 4, picture.shape)
    elif kind == "noise":
        picture = picture + chance.normal(0, 20, picture.shape)
    return picture.clip(0, 255).round().astype(np.uint8)


def background(size: int, chance: np.random.Generator) -> np.ndarray:
    """A picture without a face, float `[size, size, 3]` from 0 to 255, of one of six kinds."""
    kind = chance.integers(6)
    rows, columns = np.mgrid[0:size, 0:size] / size
    if kind == 0:  # a piece of the shipped photograph without a face
        rocket = read_picture(ROCKET)
        side = int(chance.integers(100, 400))
        top, left = (int(chance.integers(length - side)) for length in rocket.shape[:2])
        piece = rocket[top : top + side, left : left + side]
        return cv2.resize(piece, (size, size), interpolation=cv2.INTER_LINEAR).astype(float)
    if kind == 1:  # a gradient
        grey = rows * chance.uniform(-1, 1) + columns * chance.uniform(-1, 1)
    elif kind == 2:  # waves
        grey = sum(np.sin(6.3 * (rows * a + columns * b + c)) for a, b, c in chance.uniform(-15, 15, (4, 3)))
    elif kind == 3:  # clouds: noise of several sizes
        layers = [chance.normal(size=(2**n, 2**n)) * 0.6**n for n in range(1, 8)]
        grey = sum(cv2.resize(layer, (size, size), interpolation=cv2.INTER_CUBIC) for layer in layers)
    elif kind == 4:  # fine noise
        grey = chance.normal(size=(size, size))
    else:  # discs and boxes
        grey = np.zeros((size, size))
        for _ in range(60):
            place, radius = chance.integers(0, size, 2).tolist(), int(chance.integers(3, size // 4))
            if chance.random() < 0.5:
                cv2.circle(grey, place, radius, chance.uniform(), -1, cv2.LINE_AA)
            else:
                cv2.rectangle(grey, (*place, radius, radius), chance.uniform(), -1)
    grey = (grey - grey.min()) / max(np.ptp(grey), 1e-9)
    return grey[..., None] * chance.uniform(60, 255, 3)


def overlap(square: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two squares, not turned: x, y, side, side."""
    shared = np.prod([max(0, min(a + square[2], b + other[2]) - max(a, b)) for a, b in zip(square[:2], other[:2])])
    return float(shared / (square[2] ** 2 + other[2] ** 2 - shared))


def report_false_finds(table: Table, detectors: dict[str, FaceDetector], count: int) -> None:
    chance = np.random.default_rng(2)
    pictures = [background(CANVAS_SIDE, chance).round().astype(np.uint8) for _ in range(count)]
    for name, detector in detectors.items():
        share = np.mean([bool(detector.detect(picture)) for picture in pictures])
        table.add(name, f"{100 * share:.2f}", count)


def report_times(table: Table, detectors: dict[str, FaceDetector], faces: list[tuple[np.ndarray, int]]) -> None:
    """Medians, of pictures of 350 x 350; the 24 megapixels are a face of 5 % of the height in 6000 x 4000."""
    chance = np.random.default_rng(3)
    small = [paste(face, Condition("any", sides=(100, 150, 200)), chance)[0] for face, _ in faces]
    empty = [background(CANVAS_SIDE, chance).round().astype(np.uint8) for _ in faces]
    large = np.full((4000, 6000, 3), 120, np.uint8)
    large[2000:2200, 3000:3200] = cv2.resize(faces[0][0], (200, 200))
    for name, detector in detectors.items():
        times = [median_milliseconds(detector, pictures) for pictures in (small, empty, [large] * 5)]
        table.add(name, *(f"{value:.0f}" for value in times))


def median_milliseconds(detector: FaceDetector, pictures: list[np.ndarray]) -> float:
    detector.detect(pictures[0])
    times = []
    for picture in pictures:
        start = time.perf_counter()
        detector.detect(picture)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


if __name__ == "__main__":
    main()
