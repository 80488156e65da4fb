"""How well and how fast faces are found in pictures of heads: each finder, beside an earlier checkout if one is named.

    python -m tests.benchmarks.finders --faces output/faces/portraits.json --empty photos-of-things
    python -m tests.benchmarks.finders --faces output/faces/portraits.json --detectors auto --against ../before
    python -m tests.benchmarks.finders --faces output/faces/portraits.json --record R    # as a csv file as well

`portraits.json` is what `python -m models.faces.training` writes: portraits and where their faces are. Those that it
holds out are taken: turned, at sizes from 16 to 400 pixels, spoiled, and as groups of 130 in 12 and 126 in 24
megapixels. Printed are the faces found (their middle within 0.3 of the face's side, the side within 0.6 to 1.67 of it),
boxes too many (where nobody is, the pictures with a box), and the processor time a picture on one thread, the median.
Last a line of JSON has it all.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.errors import UserError
from models.faces import frame_box, make_detector
from models.faces.training.material import HELD_OUT, read_portrait
from models.faces.training.portraits import Portrait, leaning
from models.pictures import PictureError, find_pictures, read_picture
from tests.benchmarks.against import as_in_a_shell
from tests.benchmarks.faces import background, spoil
from tests.benchmarks.record import Table, add_record_argument

SIDE = 350
SIZES = (16, 24, 32, 48, 100, 200, 400)
GROUPS = {"130 faces in 12 megapixels": (3000, 4000, 10, 13, (88, 137)), "126 in 24": (4000, 6000, 9, 14, (106, 168))}
# What an earlier checkout is asked, in a process of its own: the frames and the seconds of each picture.
ASK = """
import json, sys, time
import cv2, numpy as np
from models.faces import frame_box, make_detector
cv2.setNumThreads(1)
detector = make_detector(sys.argv[1], min_face=float(sys.argv[3]) or None)
answers = []
pictures = [picture for picture in np.load(sys.argv[2]).values()]
detector.detect(pictures[0])
for picture in pictures:
    start = time.process_time()
    frames = [frame_box(found)[:3] for found in detector.detect(picture)]
    answers.append([frames, time.process_time() - start])
print(json.dumps(answers))
"""

Answer = tuple[list[tuple[float, float, float]], float]  # frames as x, y and side; seconds


@dataclass(frozen=True, eq=False)
class Row:
    """Pictures of one condition, and the faces in each: x, y of the middle, and side."""

    name: str
    pictures: list[np.ndarray]
    faces: list[list[tuple[float, float, float]]]
    min_face: float = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="portraits.json, which the finder's training writes")
    parser.add_argument("--empty", type=Path, help="a folder of pictures in which nobody is")
    parser.add_argument("--sample", type=int, default=150, help="faces a row")
    parser.add_argument("--detectors", nargs="+", default=["auto", "mtcnn", "haar"], help="auto rpn haar mtcnn yunet")
    parser.add_argument("--detector-model", type=Path, help="the YuNet model, for yunet")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="an earlier checkout, whose auto looks too")
    add_record_argument(parser)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    portraits = [read_portrait(label) for label in json.loads(arguments.faces.read_text())[::HELD_OUT]]
    askers: dict[str, Callable[[Row], list[Answer]]] = {}
    if arguments.against:
        askers["auto before"] = lambda row: ask_checkout(arguments.against, row)
    for name in arguments.detectors:
        askers[name] = lambda row, name=name: ask(name, arguments.detector_model, row)  # type: ignore[misc]
    table = Table("finders", ["pictures", "detector", "found", "of", "too many", "ms"], "1-thread")
    for row in make_rows(portraits[: arguments.sample], arguments.empty):
        for name, asker in askers.items():
            try:
                answers = asker(row)
            except UserError as error:
                parser.error(str(error))
            table.add(row.name, name, *judge(row, answers))
    table.end(arguments.record)


def make_rows(portraits: list[Portrait], empty: Path | None) -> Iterator[Row]:
    """The conditions, one after the other: a group is made when it is looked at."""
    for angle in (0, 20, 40, 90):
        yield row_of(f"turned by {angle}°", [leaning_face(portrait, angle) for portrait in portraits])
    for size in SIZES:
        chance = np.random.default_rng(size)
        pasted = [on_background(portrait, size, chance) for portrait in portraits]
        yield row_of(f"{size} pixels", pasted, 0.8 * size if size < 30 else 0)
    for kind in ("noise", "blur", "dark"):
        chance = np.random.default_rng(1)
        spoiled = [(spoil(picture.astype(float), kind, chance), face) for picture, face in map(leaning_face, portraits)]
        yield row_of(kind, spoiled)
    for name, shape in GROUPS.items():
        picture, faces = group(portraits, *shape)
        yield Row(name, [picture], [faces])
    if empty:
        pictures = []
        for path in find_pictures(empty, recursive=True):
            try:
                pictures.append(read_picture(path))
            except PictureError as error:
                print(f"{path} {error}", file=sys.stderr)
        yield Row(f"{len(pictures)} without a person", pictures, [[] for _ in pictures])


def row_of(name: str, shown: list[tuple[np.ndarray, tuple[float, float, float]]], min_face: float = 0) -> Row:
    return Row(name, [picture for picture, _ in shown], [[face] for _, face in shown], min_face)


def leaning_face(portrait: Portrait, angle: float = 0) -> tuple[np.ndarray, tuple[float, float, float]]:
    """The portrait at 350 pixels, turned about its middle."""
    picture, (x, y), size = leaning(portrait, angle, SIDE)
    return picture, (x, y, size)


def on_background(
    portrait: Portrait, size: float, chance: np.random.Generator
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """The portrait with its face at this size, somewhere in 640x640 without a face."""
    picture = background(640, chance).round().astype(np.uint8)
    small = with_face_of(portrait, size)[:640, :640]
    left, top = (int(chance.integers(0, 641 - length)) for length in small.shape[1::-1])
    picture[top : top + small.shape[0], left : left + small.shape[1]] = small
    x, y = portrait.centre * size / portrait.size + (left, top)
    return picture, (x, y, size)


def with_face_of(portrait: Portrait, size: float) -> np.ndarray:
    """The portrait enlarged or shrunk until its face has this size."""
    scale = size / portrait.size
    return cv2.resize(portrait.levels[0], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def group(
    portraits: list[Portrait], height: int, width: int, rows: int, columns: int, sizes: tuple[int, int]
) -> tuple[np.ndarray, list[tuple[float, float, float]]]:
    """People in rows, on a picture without a face."""
    chance = np.random.default_rng(0)
    picture = cv2.resize(background(640, chance).round().astype(np.uint8), (width, height))
    faces = []
    for number in range(rows * columns):
        portrait, size = portraits[number % len(portraits)], chance.uniform(*sizes)
        small = with_face_of(portrait, size)
        left = int((number % columns + 0.5) * width / columns - small.shape[1] / 2 + chance.normal(0, 15))
        top = int((number // columns + 0.5) * height / rows - small.shape[0] / 2 + chance.normal(0, 15))
        picture[top : top + small.shape[0], left : left + small.shape[1]] = small
        x, y = portrait.centre * size / portrait.size + (left, top)
        faces.append((x, y, size))
    return picture, faces


def ask(name: str, model: Path | None, row: Row) -> list[Answer]:
    """What a detector of this checkout answers."""
    detector = make_detector(name, model if name == "yunet" else None, min_face=row.min_face or None)
    detector.detect(row.pictures[0])  # warm
    answers = []
    for picture in row.pictures:
        start = time.process_time()
        frames = [frame_box(found)[:3] for found in detector.detect(picture)]
        answers.append((frames, time.process_time() - start))
    return answers


def ask_checkout(checkout: Path, row: Row) -> list[Answer]:
    """What `auto` of another checkout answers."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures.npz"
        np.savez(pictures, *row.pictures)
        command = [sys.executable, "-c", ASK, "auto", str(pictures), str(row.min_face)]
        ended = subprocess.run(command, cwd=checkout, capture_output=True, check=True, text=True, env=as_in_a_shell())
        return json.loads(ended.stdout)


def judge(row: Row, answers: list[Answer]) -> tuple[int | str, int, int, str]:
    """How many faces were found, of how many, boxes too many, milliseconds a picture."""
    found = extra = 0
    for faces, (frames, _) in zip(row.faces, answers):
        matched = sum(any(is_same(face, frame) for frame in frames) for face in faces)
        found, extra = found + matched, extra + len(frames) - matched
    total = sum(map(len, row.faces))
    if not total:  # nobody is there: how many pictures have a box
        found = extra = sum(bool(frames) for frames, _ in answers)
    milliseconds = statistics.median(seconds for _, seconds in answers) * 1000
    return found if total else "-", total, extra, f"{milliseconds:.1f}"


def is_same(face: tuple[float, float, float], frame: tuple[float, float, float]) -> bool:
    x, y, side = face
    left, top, frame_side = frame
    distance = np.hypot(left + frame_side / 2 - x, top + frame_side / 2 - y)
    return bool(distance < 0.3 * side and 0.6 < frame_side / side < 1.67)


if __name__ == "__main__":
    main()
