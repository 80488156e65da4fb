"""How much of val is still labelled rightly when a camera has spoiled it: noise, blur, bad light, compression, a bar.

    python -m tests.benchmarks.robustness --data data                              # the shipped weights, all of val
    python -m tests.benchmarks.robustness --data data --limit 1200 --checkpoints before.pt after.pt
    python -m tests.benchmarks.robustness --data data --record R                   # csv files in R as well

The kinds are those of Hendrycks and Dietterich, Benchmarking Neural Network Robustness (2019), that a camera makes,
and a bar over eyes or mouth, each at three strengths, on faces of 96 pixels. They are made here by NumPy and OpenCV, in
fixed steps, and not by `models/training/corruption.py`, but they are of the same kinds: what is told of a network that
was trained with --corruption is how it holds out against what it was trained for.

Prints a row a kind, strength and checkpoint, then one a kind, and ends with a line of JSON; writes the former to
output/robustness/robustness.csv and draws robustness.png beside it. Started again, it goes on: rows that are there, of
these very weights and as many pictures, are not measured again.
"""

import argparse
import csv
import hashlib
import io
import statistics
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from models import plots
from models.checkpoint import SHIPPED_CHECKPOINT, build_network, load_checkpoint
from models.command_line import positive
from models.device import choose_device
from models.errors import UserError
from models.files import replacing
from models.inference import choose_precision, prepare_for_inference
from models.training.dataset import Split, load_split
from models.views import TTA_MODES, average_views, predict_logits, to_grey_squares
from tests.benchmarks.ladder import read_rows
from tests.benchmarks.record import Table, add_record_argument, end

SIDE = 96  # of the faces that are spoiled
CLEAN = "as it is"
COLUMNS = ("checkpoint", "kind", "strength", "accuracy", "n", "tta", "precision", "weights")


def noise(face: np.ndarray, chance: np.random.Generator, deviation: float) -> np.ndarray:
    return face + chance.normal(0, deviation, face.shape)


def photons(face: np.ndarray, chance: np.random.Generator, of_white: float) -> np.ndarray:
    return chance.poisson(face / 255 * of_white) / of_white * 255


def dots(face: np.ndarray, chance: np.random.Generator, share: float) -> np.ndarray:
    hit = chance.random(face.shape)
    return np.where(hit < share / 2, 0, np.where(hit > 1 - share / 2, 255, face))


def defocus(face: np.ndarray, chance: np.random.Generator, radius: float) -> np.ndarray:
    places = np.arange(-int(radius) - 1, int(radius) + 2)
    disc = np.clip(radius + 0.5 - np.hypot(places, places[:, None]), 0, 1)
    return cv2.filter2D(face, -1, disc / disc.sum(), borderType=cv2.BORDER_REPLICATE)


def motion(face: np.ndarray, chance: np.random.Generator, length: float) -> np.ndarray:
    kernel = np.zeros((2 * int(length) + 1,) * 2, np.float32)
    middle, turn = int(length), chance.uniform(0, np.pi)
    reach = np.array([np.cos(turn), np.sin(turn)]) * length / 2 * 16
    start, end = (tuple(int(part) for part in np.round(middle * 16 + way * reach)) for way in (-1, 1))
    cv2.line(kernel, start, end, 1, lineType=cv2.LINE_AA, shift=4)
    return cv2.filter2D(face, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def darkness(face: np.ndarray, chance: np.random.Generator, light: float) -> np.ndarray:
    return face * light + chance.normal(0, 3, face.shape)


def overexposure(face: np.ndarray, chance: np.random.Generator, light: float) -> np.ndarray:
    return face * light + 20


def glare(face: np.ndarray, chance: np.random.Generator, brightness: float) -> np.ndarray:
    x, y = chance.uniform(0.2, 0.8, 2)
    across = (np.arange(SIDE) + 0.5) / SIDE
    return face + brightness * np.exp(-((across - x) ** 2 + (across[:, None] - y) ** 2) / (2 * 0.22**2))


def shadow(face: np.ndarray, chance: np.random.Generator, depth: float) -> np.ndarray:
    turn = chance.uniform(0, 2 * np.pi)
    across = (np.arange(SIDE) + 0.5) / SIDE - 0.5
    into_it = (across * np.cos(turn) + across[:, None] * np.sin(turn)) / 0.1
    return face * (1 - depth / (1 + np.exp(-into_it)))


def low_contrast(face: np.ndarray, chance: np.random.Generator, share: float) -> np.ndarray:
    return face.mean() + (face - face.mean()) * share


def jpeg(face: np.ndarray, chance: np.random.Generator, quality: int) -> np.ndarray:
    _, content = cv2.imencode(".jpg", face.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)


def few_pixels(face: np.ndarray, chance: np.random.Generator, side: int) -> np.ndarray:
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)


def bar_over_eyes(face: np.ndarray, chance: np.random.Generator, height: float) -> np.ndarray:
    return _bar(face, chance, 0.38, height)


def bar_over_mouth(face: np.ndarray, chance: np.random.Generator, height: float) -> np.ndarray:
    return _bar(face, chance, 0.78, height)


def _bar(face: np.ndarray, chance: np.random.Generator, middle: float, height: float) -> np.ndarray:
    spoiled = face.copy()
    top, bottom = (round((middle + way * height / 2) * SIDE) for way in (-1, 1))
    spoiled[top:bottom, SIDE // 10 : -SIDE // 10] = chance.uniform(0, 255)
    return spoiled


# From float32 [96, 96] of 0 to 255 to the same, what exceeds the range being cut off afterwards; and three strengths.
Kind = Callable[[np.ndarray, np.random.Generator, float], np.ndarray]
KINDS: dict[Kind, tuple[float, float, float]] = {
    noise: (12, 25, 40),
    photons: (60, 20, 8),
    dots: (0.02, 0.06, 0.12),
    defocus: (1.5, 3, 4.5),
    motion: (5, 9, 14),
    darkness: (0.4, 0.2, 0.1),
    overexposure: (1.4, 1.8, 2.3),
    glare: (80, 160, 300),
    shadow: (0.5, 0.75, 0.9),
    low_contrast: (0.4, 0.2, 0.1),
    jpeg: (20, 10, 5),
    few_pixels: (32, 24, 16),
    bar_over_eyes: (0.1, 0.18, 0.26),
    bar_over_mouth: (0.1, 0.18, 0.26),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder that preprocess.py made")
    parser.add_argument("--checkpoints", type=Path, nargs="+", default=[SHIPPED_CHECKPOINT], metavar="FILE")
    parser.add_argument("--limit", type=positive(int), metavar="N", help="use N pictures, spread evenly over val")
    parser.add_argument("--tta", choices=TTA_MODES, default="none")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--output", type=Path, default=Path("output/robustness"))
    add_record_argument(parser)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    conditions = [(CLEAN, 0), *((kind.__name__, number) for kind in KINDS for number in (1, 2, 3))]
    stems = [path.stem for path in arguments.checkpoints]
    names = stems if len(set(stems)) == len(stems) else [str(path) for path in arguments.checkpoints]
    rows = []
    try:
        how = f"tta-{arguments.tta}", f"{SIDE}px"
        table = Table("robustness", list(COLUMNS), *how, device=choose_device(arguments.device).type)
        for path, name in zip(arguments.checkpoints, names):
            for row in measure_all(path, name, conditions, arguments):
                rows.append(row)
                table.add(*(row[column] for column in COLUMNS))
    except UserError as error:
        parser.error(str(error))
    plots.plot_robustness(rows, arguments.output / "robustness.png")
    print()
    columns = ["checkpoint", "kind", "faint %", "middle %", "strong %", "mean %"]
    kinds = Table("robustness-kinds", columns, *how, device=choose_device(arguments.device).type)
    add_kinds(kinds, rows, names)
    for each in (table, kinds):  # known only now: rows that were there may be of others
        each.conditions[:0] = sorted({row["precision"] for row in rows})
    end([table, kinds], arguments.record)


def measure_all(
    path: Path, name: str, conditions: list[tuple[str, int]], arguments: argparse.Namespace
) -> Iterator[dict]:
    """A row a condition, of those that robustness.csv has or else measured and added to it."""
    table = arguments.output / "robustness.csv"
    checkpoint, device = load_checkpoint(path), choose_device(arguments.device)
    spec, network = checkpoint["input"], build_network(checkpoint)
    precision = choose_precision("auto", device, network)
    network = prepare_for_inference(network, device, precision, spec)
    split = load_split(arguments.data, "val", SIDE, arguments.limit, checkpoint["class_names"])
    weights = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    measurement = {"weights": weights, "n": str(len(split)), "tta": arguments.tta}
    for kind, number in conditions:
        key = {**measurement, "kind": kind, "strength": str(number)}
        kept = read_rows(table)
        row = next((old for old in kept if key.items() <= old.items()), None)
        if row is None:
            pictures = to_grey_squares(spoil(split, kind, number), spec["resize"])
            answers = average_views(predict_logits(network, pictures, spec, arguments.tta)).argmax(1)
            accuracy = (answers == split.targets).float().mean().item()
            row = {**key, "checkpoint": name, "accuracy": f"{accuracy:.5f}", "precision": precision}
            write_rows(table, [*kept, row])
        yield {**row, "checkpoint": name}


def spoil(split: Split, name: str, number: int) -> np.ndarray:
    """The split's pictures, uint8 `[N, 96, 96]`, spoiled in the same way each time."""
    pictures = split.pictures.numpy()
    if name == CLEAN:
        return pictures
    chance = np.random.default_rng(zlib.crc32(f"{name} {number}".encode()))
    kind = next(kind for kind in KINDS if kind.__name__ == name)
    spoiled = [kind(face.astype(np.float32), chance, KINDS[kind][number - 1]) for face in pictures]
    return np.stack(spoiled).round().clip(0, 255).astype(np.uint8)


def write_rows(table: Path, rows: list[dict]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replacing(table) as file:
        file.write(text.getvalue().encode())


def add_kinds(table: Table, rows: list[dict[str, str]], checkpoints: list[str]) -> None:
    """Adds a row a kind and checkpoint, and the mean of all kinds and strengths."""
    for kind in dict.fromkeys(row["kind"] for row in rows):
        for checkpoint in checkpoints:
            of_both = [row for row in rows if (row["checkpoint"], row["kind"]) == (checkpoint, kind)]
            values = [f"{100 * float(row['accuracy']):.2f}" for row in of_both] if kind != CLEAN else ["-"] * 3
            table.add(checkpoint, kind.replace("_", " "), *values, mean_accuracy(of_both))
    for checkpoint in checkpoints:
        spoiled = [row for row in rows if row["checkpoint"] == checkpoint and row["kind"] != CLEAN]
        table.add(checkpoint, "mean of the spoiled", *["-"] * 3, mean_accuracy(spoiled))


def mean_accuracy(rows: list[dict[str, str]]) -> str:
    return f"{100 * statistics.mean(float(row['accuracy']) for row in rows):.2f}"


if __name__ == "__main__":
    main()
