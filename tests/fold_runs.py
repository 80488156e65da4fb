"""A folder of several people, for cross-validation, and train.py's flags for it."""

from collections import Counter
from pathlib import Path

from tests.fer2013_samples import make_samples
from tests.training_runs import quick

CLASSES = ("calm", "cross", "glad")
PEOPLE, FRAMES = 6, 2  # frames of each person in each class
PICTURES = len(CLASSES) * PEOPLE * FRAMES


def write_people_folder(folder: Path) -> Path:
    """Three classes of one's own, their pictures named as CK+ names them and of many sizes."""
    counts: Counter[int] = Counter()
    for sample in make_samples({"train": PEOPLE * FRAMES}):
        if sample.label >= len(CLASSES):
            continue
        person, frame = divmod(counts[sample.label], FRAMES)
        counts[sample.label] += 1
        path = folder / CLASSES[sample.label] / f"S{person + 1:03}_001_{frame + 10:08}.png"
        path.parent.mkdir(exist_ok=True)
        sample.picture.resize((48 + 40 * person, 48 + 10 * frame)).save(path)
    return folder


def flags(data: Path, output: Path, *more: str) -> list[str]:
    return quick(data, output, "--folds", "3", "--epochs", "2", *more)
