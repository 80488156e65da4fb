"""Data sets made tiny in the forms that they are given out and repackaged in, and what is written of them."""

import io
import zipfile
from collections import Counter
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from models.expressions import CLASS_NAMES, expression_of

NUMBERS = count()
WORDS = ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")
AFFECT_NUMBERS = (
    "neutral",
    "happy",
    "sad",
    "surprised",
    "fearful",
    "disgusted",
    "angry",
    "contempt",
    "none",
    "none",
    "none",
)
ONE_EACH = dict.fromkeys(CLASS_NAMES, 1)


def shade(label: int) -> int:
    """The grey of a class's pictures, by which they are known again."""
    return 20 + 30 * label


def picture(word: str, suffix: str = ".png", mode: str = "L") -> bytes:
    """An encoded picture, no two alike, mostly in its expression's grey; black for what is none of the seven."""
    name, drawn = expression_of(word), next(NUMBERS)
    grey = shade(CLASS_NAMES.index(name)) if name in CLASS_NAMES else 0
    encoded = io.BytesIO()
    kind = {".jpg": "JPEG", ".tiff": "TIFF"}.get(suffix.lower(), "PNG")
    image = Image.new("L", (50, 60), grey)
    for bit, place in enumerate((8 * column, 8 * row) for row in range(4) for column in range(4)):
        image.paste(grey + 20 * (drawn >> bit & 1), (*place, place[0] + 8, place[1] + 8))  # no two are alike
    image.convert(mode).save(encoded, kind)
    return encoded.getvalue()


def named(names: dict[str, str]) -> dict[str, bytes]:
    """Pictures by their names, each with the word of its expression."""
    return {name: picture(word) for name, word in names.items()}


def lay(files: dict[str, bytes | str], folder: str = "set") -> str:
    for name, content in files.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def pack(files: dict[str, bytes | str]) -> str:
    with zipfile.ZipFile("set.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return "set.zip"


def jaffe() -> dict[str, bytes]:
    codes = dict(zip(("AN", "DI", "FE", "HA", "SA", "SU", "NE"), WORDS))
    return {
        f"jaffe/{person}.{code}{number}.{index}.tiff": picture(word, ".tiff")
        for index, (person, code, number) in enumerate(
            (person, code, number)
            for person in ("KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM")
            for code in codes for number in (1, 2, 3)
        ) for word in [codes[code]]
    }  # fmt: skip


def counts(folder: str = "data") -> dict[str, dict[str, int]]:
    """How many pictures each split has of each class; of each picture the grey is held against its class."""
    found: dict[str, Counter[str]] = {}
    for path in sorted(Path(folder).rglob("*.jpg")):
        split, label = path.parts[-3], int(path.parts[-2])
        with Image.open(path) as image:
            assert abs(np.median(np.asarray(image, float)) - shade(label)) < 3, path
        found.setdefault(split, Counter())[CLASS_NAMES[label]] += 1
    return {split: dict(number) for split, number in found.items()}


def names(split: str) -> set[str]:
    return {path.name for path in Path("data", split).rglob("*.jpg")}
