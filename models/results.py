"""Names for results: each picture has one of its own, in one run and over several, and no other file is replaced.

    path = result_path(Path("output"), picture)  # output/face-result.jpg, or the next name that is free
    write_picture(path, drawn, comment=mark(picture))

The comment in a result's JPEG header tells whose it is by digests of the picture's path: no path leaves with a result.
"""

import hashlib
import os
import re
import unicodedata
from itertools import chain, count
from pathlib import Path

MARK = re.compile(rb"demo_image\.py ([0-9a-f]{32}) ([0-9a-f]{32})")
HEADER_BYTES = 1024  # write_picture's comments stand within


def mark(picture: Path) -> str:
    """What a result says in its header: digests of the picture's path without its extension, and of all of it."""
    path = os.path.normcase(os.path.realpath(picture))
    digests = [hashlib.sha256(os.fsencode(text)).hexdigest()[:32] for text in (os.path.splitext(path)[0], path)]
    return " ".join(["demo_image.py", *digests])


def result_path(folder: Path, picture: Path) -> Path:
    """Where a picture's result goes: its earlier one, else the first name that no file has, in whatever case.

    Where the picture that has `face-result.jpg` differs in its extension alone, that is `face.png-result.jpg`, else
    `face-result-2.jpg` and so on.

    Raises:
        OSError: The folder cannot be listed.
    """
    own = mark(picture)
    named = re.compile(rf"({re.escape(_fold(picture.stem))}|{re.escape(_fold(picture.name))})-result(-\d+)?\.jpg")
    there = sorted(
        (name for name in os.listdir(folder) if named.fullmatch(_fold(name))), key=lambda name: (len(name), name)
    )
    marks = {name: _read_mark(folder / name) for name in there}
    for name, found in marks.items():
        if found == own:
            return folder / name
    taken = {_fold(name): found for name, found in marks.items()}
    first = taken.get(_fold(f"{picture.stem}-result.jpg"), "")
    base = picture.name if first[:-32] == own[:-32] else picture.stem
    names = chain((f"{base}-result.jpg",), (f"{base}-result-{number}.jpg" for number in count(2)))
    return next(folder / name for name in names if _fold(name) not in taken)


def _fold(name: str) -> str:
    """The same for names that some file system takes for one: in other case, or with accents written otherwise."""
    return unicodedata.normalize("NFC", name.casefold())


def _read_mark(path: Path) -> str:
    """The mark in a file, or nothing where it has none, cannot be read, or is no file."""
    try:
        if not path.is_file():
            return ""
        with open(path, "rb") as file:
            found = MARK.search(file.read(HEADER_BYTES))
    except OSError:
        return ""
    return found[0].decode() if found else ""
