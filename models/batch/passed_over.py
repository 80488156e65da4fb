"""What a folder holds that is no picture here, counted by kind, so that nothing is left out in silence.

>>> in_words(count_passed_over(["photos"], recursive=True))
'12 .mp4, 3 .cr2, 1 without an extension'
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from models.pictures import PICTURE_SUFFIXES

NO_SUFFIX, FOLDER, LINK, CLOSED = "without an extension", "folder", "linked folder", "folder that may not be read"
# Raw data of cameras' sensors.
# fmt: off
RAW_SUFFIXES = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw",
    ".orf", ".pef", ".raf", ".raw", ".rw2", ".srw", ".x3f",
})
# fmt: on
MOST_KINDS = 12  # that are named


def count_passed_over(
    folders: Iterable[str], recursive: bool = False, is_own: Callable[[str], bool] = lambda path: False
) -> Counter[str]:
    """Counts what lies in the folders and is not taken for a picture, each folder once. Hidden names do not count.

    The names alone are looked at: for a hundred thousand files that is a tenth of what finding the pictures takes.

    Args:
        recursive: Whether the folders in them were searched as well.
        is_own: Whether a path, its links resolved, is of what a run writes itself: that does not count.

    Returns:
        How many by kind: the extension in lower case, or one of the constants above.
    """
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    for folder in folders:
        for place, below, files in os.walk(folder, onerror=lambda _: counts.update([CLOSED])):
            real = os.path.realpath(place)
            kinds = [] if real in seen else [*_files(real, files, is_own), *_folders(real, below, recursive, is_own)]
            counts.update(kinds)
            below[:] = [name for name in below if recursive and real not in seen and not _skips(real, name, is_own)]
            seen.add(real)
    return counts


def _files(place: str, names: list[str], is_own: Callable[[str], bool]) -> Iterator[str]:
    for name in names:
        suffix = os.path.splitext(name)[1].lower()
        if suffix not in PICTURE_SUFFIXES and not _skips(place, name, is_own):
            yield suffix or NO_SUFFIX


def _folders(place: str, names: list[str], recursive: bool, is_own: Callable[[str], bool]) -> Iterator[str]:
    for name in names:
        if not _skips(place, name, is_own):
            if not recursive:
                yield FOLDER
            elif os.path.islink(os.path.join(place, name)):
                yield LINK


def _skips(place: str, name: str, is_own: Callable[[str], bool]) -> bool:
    return name.startswith(".") or is_own(os.path.join(place, name))


def in_words(counts: Counter[str]) -> str:
    """The counts, the most frequent kind first."""
    common = counts.most_common(MOST_KINDS)
    words = [f"{count} {_plural(kind) if count > 1 else kind}" for kind, count in common]
    if others := counts.total() - sum(count for _, count in common):
        words.append(f"{others} of other kinds")
    return ", ".join(words)


def remedies(counts: Counter[str]) -> str:
    """What would have them labelled, or ""."""
    raw = "; export raw pictures as JPEG" if RAW_SUFFIXES & counts.keys() else ""
    return raw + ("; --recursive looks into the folders" if counts[FOLDER] else "")


def _plural(kind: str) -> str:
    return kind.replace("folder", "folders") if kind in (FOLDER, LINK, CLOSED) else kind
