"""Which pictures a run labels: what a person names, as names for the table and paths to open.

>>> found = find_sources(["photos"], recursive=True)
>>> found.pictures[0]
Picture(name='2024/beach.jpg', path='photos/2024/beach.jpg')
"""

import glob
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from models.batch.lists import read_list, split_list
from models.batch.passed_over import NO_SUFFIX, count_passed_over
from models.batch.records import Stamp
from models.errors import UserError
from models.pictures import PICTURE_SUFFIXES, PictureError, find_pictures


class Picture(NamedTuple):
    """A picture to label; both are str with the surrogate escapes of names that are no valid text.

    Attributes:
        name: As the table has it: within the folder where one folder was named, else as it was given.
        path: Where to open it.
    """

    name: str
    path: str


@dataclass(frozen=True)
class Sources:
    """The pictures of a run, each once, in a stable order.

    Attributes:
        pictures: What to label.
        root: The folder, absolute, whose tree the copies mirror: above all pictures.
        identity: What was asked for, absolute: the same again means the same run.
        left_out: How many of a run's own copies lay among the pictures, and were passed over.
        passed_over: What else the folders and patterns hold, by kind (`passed_over.py`).
    """

    pictures: list[Picture]
    root: str
    identity: list[str]
    left_out: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)


def file_stamp(path: str | os.PathLike) -> Stamp:
    """A file's size in bytes and time of its last change in ns; empty where there is none that may be read."""
    try:
        status = os.stat(path)
        return (status.st_size, status.st_mtime_ns) if os.access(path, os.R_OK) else ()
    except (OSError, ValueError):
        return ()


def find_sources(arguments: Sequence[str], recursive: bool = False, own: Iterable[Path] = ()) -> Sources:
    """Lists the pictures that the arguments mean.

    Args:
        arguments: Folders, pictures, patterns such as `photos/*.jpg` (for shells that leave them as they are),
            `.txt` files with a name a line, or `-` for such a list on standard input (`lists.py`).
        recursive: Look into the folders in the folders as well; links to folders are not followed.
        own: Folders and files that the run writes: what lies there is no source.

    Raises:
        UserError: An argument names nothing, its folder cannot be listed, or a list cannot be understood.
    """
    is_own = _owner(own)
    passed_over = count_passed_over(filter(os.path.isdir, arguments), recursive, is_own)
    if len(arguments) == 1 and os.path.isdir(arguments[0]):
        root = os.path.abspath(arguments[0])
        pictures = _in_folder(arguments[0], recursive, relative=True)
        identity = [root]
    else:
        unique: dict[str, Picture] = {}
        identity = []
        for argument in arguments:
            found, identified = _meant_by(argument, recursive, passed_over)
            for picture in found:
                unique.setdefault(os.path.abspath(picture.path), picture)
            identity += identified
        pictures = list(unique.values())
        root = _common_folder(pictures)
    real_folder = lru_cache(os.path.realpath)  # of the folders with the pictures, each asked for many times
    sources = [picture for picture in pictures if not is_own(real_folder(os.path.dirname(picture.path)))]
    identity.append(f"recursive={recursive}")
    return Sources(sources, root, identity, len(pictures) - len(sources), passed_over)


def _owner(own: Iterable[Path]) -> Callable[[str], bool]:
    """Whether a path whose links are resolved is one of these, or lies in one."""
    begins = tuple(os.path.join(os.path.realpath(path), "") for path in own)
    return lambda path: os.path.join(path, "").startswith(begins)


def _meant_by(argument: str, recursive: bool, passed_over: Counter[str]) -> tuple[list[Picture], list[str]]:
    """The pictures that one argument means, and what identifies it."""
    if argument == "-":
        names = split_list(sys.stdin.buffer.read(), "standard input")
        digest = hashlib.sha256(os.fsencode("\0".join(names))).hexdigest()
        return [Picture(name, name) for name in names], ["-", digest]
    identity = [os.path.abspath(argument)]
    if os.path.isdir(argument):
        return _in_folder(argument, recursive, relative=False), identity
    if os.path.lexists(argument):
        if argument.lower().endswith(".txt"):
            return [Picture(name, name) for name in read_list(argument)], identity
        return [Picture(argument, argument)], identity
    matches = [(path, os.path.splitext(path)[1].lower()) for path in sorted(glob.glob(argument))]
    if not matches:
        raise UserError(f"there is no {argument}: name folders, pictures, a .txt file with a name a line, or -")
    passed_over.update(suffix or NO_SUFFIX for _, suffix in matches if suffix not in PICTURE_SUFFIXES)
    return [Picture(path, path) for path, suffix in matches if suffix in PICTURE_SUFFIXES], identity


def _in_folder(folder: str, recursive: bool, relative: bool) -> list[Picture]:
    try:
        paths = find_pictures(folder, recursive)
    except PictureError as error:
        raise UserError(f"{folder} {error}") from error
    return [Picture((path.relative_to(folder) if relative else path).as_posix(), str(path)) for path in paths]


def _common_folder(pictures: Sequence[Picture]) -> str:
    if not pictures:
        return os.getcwd()
    try:
        return os.path.commonpath([os.path.dirname(os.path.abspath(picture.path)) for picture in pictures])
    except ValueError as error:  # Windows
        raise UserError("the pictures are on several drives, and no folder holds all: take a run for each") from error
