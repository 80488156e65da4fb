"""This project's classifier beside those of the packages people use: the same val faces, one machine, one run.

    python -m tests.benchmarks.packages --data data                # 1,000 faces
    python -m tests.benchmarks.packages --data data --faces 100    # a short look

A package takes part if it is installed and brings its weights along: `fer` (both of its networks) and
`facial-emotion-recognition`. Each gets the whole 48×48 face, grey, with no detector and no margin, one face a call,
and prepares it by its own code; where a package scales its answers' names otherwise they are put in our order. Whether
a package was trained on these faces is not known.
"""

import argparse
import functools
import statistics
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

from models.classifier import ExpressionClassifier
from models.errors import UserError
from models.expressions import CLASS_NAMES
from models.training.dataset import PICTURE_SIDE, load_split
from tests.benchmarks.faces import to_48

Answer = Callable[[np.ndarray], str]  # a grey face, uint8 [48, 48], to the name of its expression in CLASS_NAMES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder that preprocess.py made")
    parser.add_argument("--faces", type=int, default=1000, help="of val, spread evenly over the classes' pictures")
    arguments = parser.parse_args()
    try:
        split = load_split(arguments.data, "val", PICTURE_SIDE, arguments.faces, list(CLASS_NAMES))
    except UserError as error:
        parser.error(str(error))
    print(f"{len(split)} val faces, one a call, {torch.get_num_threads()} threads of torch\n")
    print("| classifier | accuracy | ms a face |")
    print("|---|---|---|")
    faces = np.stack([to_48(picture) for picture in split.pictures.numpy()])
    expected = [CLASS_NAMES[target] for target in split.targets]
    for name in CLASSIFIERS:
        # Each in a process of its own: the packages' libraries do not bear one another.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            try:
                cells = pool.submit(measure, name, faces, expected).result()
            except ImportError as error:
                cells = f"cannot be imported: {error} | -"
            except BrokenProcessPool:
                cells = "crashed | -"
        print(f"| {name} | {cells} |", flush=True)


def measure(name: str, faces: np.ndarray, expected: list[str]) -> str:
    """A classifier's accuracy and median time, as cells of the table."""
    answer = CLASSIFIERS[name]()
    answer(faces[0])  # what is done at the first call alone does not count
    right, took = 0, []
    for face, expression in zip(faces, expected):
        started = time.perf_counter()
        given = answer(face)
        took.append(time.perf_counter() - started)
        right += given == expression
    return f"{right / len(faces):.1%} | {1000 * statistics.median(took):.1f}"


def ours(tta: str) -> Answer:
    classifier = ExpressionClassifier.load(tta=tta)
    return lambda face: classifier.class_names[classifier.classify([face])[0].argmax()]


def fer(quantised: bool) -> Answer:
    from fer.fer import FER

    names = dict(zip(("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"), CLASS_NAMES))
    detector = FER(use_tflite=quantised, offsets=(0, 0))

    def answer(face: np.ndarray) -> str:
        colour = cv2.cvtColor(face, cv2.COLOR_GRAY2BGR)
        (found,) = detector.detect_emotions(colour, face_rectangles=[(0, 0, *face.shape)])
        return names[max(found["emotions"], key=found["emotions"].get)]

    return answer


def facial_emotion_recognition() -> Answer:
    from facial_emotion_recognition import EmotionRecognition

    names = dict(zip(("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral"), CLASS_NAMES))
    on_cpu = functools.partial(torch.load, map_location="cpu")  # the package's weights were saved on a GPU
    with mock.patch("torch.load", on_cpu):
        recognition = EmotionRecognition(device="cpu")

    def answer(face: np.ndarray) -> str:
        with torch.inference_mode():
            return names[recognition._predict(face)]

    return answer


def installed(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except ImportError:
        return package


CLASSIFIERS: dict[str, Callable[[], Answer]] = {
    "this project, one view": lambda: ours("none"),
    "this project, two views (the default)": lambda: ours("flip"),
    f"{installed('fer')}, quantised (its default)": lambda: fer(quantised=True),
    f"{installed('fer')}, float32": lambda: fer(quantised=False),
    installed("facial-emotion-recognition"): facial_emotion_recognition,
}


if __name__ == "__main__":
    main()
