"""This project's classifiers beside those of the packages people use: the same val faces, one core, one run.

    python -m tests.benchmarks.packages --data data                # 1,000 faces
    python -m tests.benchmarks.packages --data data --faces 100    # a short look
    python -m tests.benchmarks.packages --data data --checkpoints a.pt b.pt --record R    # as a csv file as well

A package takes part if it is installed and brings its weights along: `fer` (both of its networks) and
`facial-emotion-recognition`. Each gets the whole 48×48 face, grey, with no detector and no margin, and prepares it by
its own code; where a package scales its answers' names otherwise they are put in our order. First one face a call,
then `TOGETHER`, in a loop where a package takes but one; they have to be answered as they were alone. Times are of
processors, so that work beside this counts little. Whether a package was trained on these faces is not known.
`--checkpoints` adds networks of one's own. Last comes a line of JSON; of what `--record` writes
`R/make_pictures.py` makes the picture.
"""

import argparse
import functools
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import torch

from models.checkpoint import FAST_CHECKPOINT, SHIPPED_CHECKPOINT, load_checkpoint
from models.classifier import ExpressionClassifier
from models.errors import UserError
from models.expressions import CLASS_NAMES
from models.training.dataset import PICTURE_SIDE, load_split
from tests.benchmarks.faces import to_48
from tests.benchmarks.record import Table, add_record_argument

TOGETHER = 32
COLUMNS = ["classifier", "ours", "right %", "faces", "ms alone", f"ms, {TOGETHER} a call"]
Answer = Callable[[np.ndarray], list[str]]  # grey faces, uint8 [N, 48, 48], to the names of their expressions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder that preprocess.py made")
    parser.add_argument("--faces", type=int, default=1000, help="of val, spread evenly over the classes' pictures")
    parser.add_argument("--checkpoints", type=Path, nargs="+", default=[], metavar="FILE", help="networks of one's own")
    add_record_argument(parser)
    arguments = parser.parse_args()
    if arguments.faces < TOGETHER:
        parser.error(f"--faces: {TOGETHER} are looked at together, so take as many or more")
    try:
        split = load_split(arguments.data, "val", PICTURE_SIDE, arguments.faces, list(CLASS_NAMES))
        classifiers: dict[str, Callable[[], Answer]] = {}
        for path in arguments.checkpoints:
            name = f"ours, {describe(path)}"
            classifiers[f"{name}, {path}" if name in classifiers else name] = functools.partial(ours, path)
    except UserError as error:
        parser.error(str(error))
    with one_core() as pool:
        precision = pool.submit(precision_of, SHIPPED_CHECKPOINT).result()
    table = Table("packages", COLUMNS, precision, "1-core")
    faces = np.stack([to_48(picture) for picture in split.pictures.numpy()])
    expected = [CLASS_NAMES[target] for target in split.targets]
    for name, make in {**CLASSIFIERS, **classifiers}.items():
        with one_core() as pool:
            try:
                cells = pool.submit(measure, make, faces, expected).result()
            except ImportError as error:
                print(f"{name}: cannot be imported: {error}", file=sys.stderr)
                continue
            except BrokenProcessPool:
                print(f"{name}: crashed", file=sys.stderr)
                continue
        table.add(name, "ours" in name, *cells)
    table.end(arguments.record)


def describe(path: Path) -> str:
    checkpoint = load_checkpoint(path)
    return f"{checkpoint.get('width', 1.0):.3g} of the width, {checkpoint['input']['size']} pixels"


def one_core() -> ProcessPoolExecutor:
    """For a classifier a process of its own: the packages' libraries do not bear one another."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=keep_to_one_core)


def precision_of(checkpoint: Path) -> str:
    return ExpressionClassifier.load(checkpoint).precision


def keep_to_one_core() -> None:
    """Before any library is asked to start its threads: they start as many as there are cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def measure(make: Callable[[], Answer], faces: np.ndarray, expected: list[str]) -> tuple[str, int, str, str]:
    """A classifier's accuracy, and its median processor time a face in ms, alone and of many together."""
    answer = make()
    answer(faces[:1])  # what is done at the first call alone does not count
    alone, given = time_calls(answer, [faces[index : index + 1] for index in range(len(faces))])
    right = sum(one == other for one, other in zip(given, expected)) / len(faces)
    batches = [faces[start : start + TOGETHER] for start in range(0, len(faces) - TOGETHER + 1, TOGETHER)]
    together, again = time_calls(answer, batches)
    differing = sum(one != other for one, other in zip(given, again))
    if differing > 0.01 * len(again):
        print(f"{differing} of {len(again)} faces are answered otherwise together", file=sys.stderr)
    return f"{100 * right:.2f}", len(faces), f"{alone:.3f}", f"{together / TOGETHER:.3f}"


def time_calls(answer: Answer, batches: list[np.ndarray]) -> tuple[float, list[str]]:
    """The median processor time of a call in ms, and all answers."""
    took, given = [], []
    for batch in batches:
        started = time.process_time()
        given += answer(batch)
        took.append(1000 * (time.process_time() - started))
    return statistics.median(took), given


def ours(checkpoint: Path, tta: str = "none") -> Answer:
    classifier = ExpressionClassifier.load(checkpoint, tta=tta)
    return lambda faces: [classifier.class_names[row.argmax()] for row in classifier.classify(faces)]


def fer(quantised: bool) -> Answer:
    from fer.fer import FER

    names = dict(zip(("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"), CLASS_NAMES))
    detector = FER(use_tflite=quantised, offsets=(0, 0))

    def answer(faces: np.ndarray) -> list[str]:
        # Faces side by side are a picture, as it takes them, with as many rectangles.
        picture, side = cv2.cvtColor(np.hstack(list(faces)), cv2.COLOR_GRAY2BGR), faces.shape[1]
        places = [(number * side, 0, side, side) for number in range(len(faces))]
        found = detector.detect_emotions(picture, face_rectangles=places)
        return [names[max(each["emotions"], key=each["emotions"].get)] for each in found]

    return answer


def facial_emotion_recognition() -> Answer:
    from facial_emotion_recognition import EmotionRecognition

    names = dict(zip(("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral"), CLASS_NAMES))
    on_cpu = functools.partial(torch.load, map_location="cpu")  # the package's weights were saved on a GPU
    with mock.patch("torch.load", on_cpu):
        recognition = EmotionRecognition(device="cpu")

    def answer(faces: np.ndarray) -> list[str]:
        with torch.inference_mode():
            return [names[recognition._predict(face)] for face in faces]

    return answer


def installed(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except ImportError:
        return package


CLASSIFIERS: dict[str, Callable[[], Answer]] = {
    "ours, accurate, one view": functools.partial(ours, SHIPPED_CHECKPOINT),
    "ours, accurate, two views": functools.partial(ours, SHIPPED_CHECKPOINT, "flip"),
    "ours, fast, one view": functools.partial(ours, FAST_CHECKPOINT),
    "ours, fast, two views": functools.partial(ours, FAST_CHECKPOINT, "flip"),
    f"{installed('fer')}, quantised (its default)": functools.partial(fer, quantised=True),
    f"{installed('fer')}, float32": functools.partial(fer, quantised=False),
    installed("facial-emotion-recognition"): facial_emotion_recognition,
}


if __name__ == "__main__":
    main()
