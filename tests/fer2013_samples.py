"""A small synthetic set of seven classes, written in FER2013's own formats.

Each class is a pattern of its own under noise, so that a network tells them apart after a few steps, mirrored and
shifted too::

    from tests.fer2013_samples import make_samples, write_csv, write_data_folder
    write_csv(tmp_path / "fer2013.csv", make_samples())
    write_data_folder(tmp_path / "data", {"train": 16, "val": 4})
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from models.datasets.writing import Sample, write_sample

SIDE = 48
PER_CLASS = {"train": 8, "val": 4, "test": 4}
USAGES = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}
FOLDERS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

ROWS, COLUMNS = np.mgrid[0:SIDE, 0:SIDE]
RADIUS = np.hypot(ROWS - 23.5, COLUMNS - 23.5)
PATTERNS = (
    ROWS // 6 % 2,  # lying stripes
    COLUMNS // 6 % 2,  # standing stripes
    (ROWS // 8 + COLUMNS // 8) % 2,  # chessboard
    RADIUS < 14,  # disc
    (RADIUS > 12) & (RADIUS < 20),  # ring
    ROWS > 23,  # lower half bright
    np.minimum(abs(ROWS - 23.5), abs(COLUMNS - 23.5)) < 4,  # cross
)


def make_samples(per_class: dict[str, int] = PER_CLASS, seed: int = 0) -> list[Sample]:
    """Draw the pictures: those of one seed are always the same.

    Args:
        per_class: how many of each class a split has; a split that is not named has none.
        seed: of the noise.

    Returns:
        The rows of a csv in order: numbers from 0 on, split after split, the classes in turn; 48x48 grey pictures.
    """
    random = np.random.default_rng(seed)
    places = [(split, label) for split, count in per_class.items() for _ in range(count) for label in range(7)]
    return [Sample(split, label, number, _draw(label, random)) for number, (split, label) in enumerate(places)]


def _draw(label: int, random: np.random.Generator) -> Image.Image:
    dark, bright = random.uniform(30, 80), random.uniform(160, 220)
    pixels = np.where(PATTERNS[label], bright, dark) + random.normal(0, 12, (SIDE, SIDE))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def csv_lines(samples: Iterable[Sample]) -> list[str]:
    """The lines of fer2013.csv, without line ends: `emotion,pixels,Usage`."""
    rows = (f"{sample.label},{_pixel_text(sample)},{USAGES[sample.split]}" for sample in samples)
    return ["emotion,pixels,Usage", *rows]


def icml_csv_lines(samples: Iterable[Sample]) -> list[str]:
    """The lines of icml_face_data.csv: the columns in another order, with blanks in the header."""
    rows = (f"{sample.label},{USAGES[sample.split]},{_pixel_text(sample)}" for sample in samples)
    return ["emotion, Usage, pixels", *rows]


def _pixel_text(sample: Sample) -> str:
    return " ".join(map(str, sample.picture.tobytes()))


def write_csv(path: Path, samples: Iterable[Sample]) -> Path:
    """Write fer2013.csv and return its path."""
    path.write_bytes(("\n".join(csv_lines(samples)) + "\n").encode())
    return path


def write_class_folders(folder: Path, samples: Iterable[Sample]) -> Path:
    """Write `train/angry/Training_3.jpg`, both test splits in one folder, as the best known repackaging has it."""
    for sample in samples:
        top = "train" if sample.split == "train" else "test"
        path = folder / top / FOLDERS[sample.label] / f"{USAGES[sample.split]}_{sample.number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        sample.picture.save(path, quality=95)
    return folder


def write_data_folder(folder: Path, per_class: dict[str, int] = PER_CLASS, seed: int = 0, size: int = 240) -> Path:
    """Write what preprocess.py makes of the samples, `train/0/00000.jpg`..., and return the folder."""
    for sample in make_samples(per_class, seed):
        write_sample(folder, sample, size)
    return folder
