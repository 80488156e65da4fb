"""Which pictures a run labels: what a person names, as names for the table and paths to open.

>>> found = find_sources(["photos"], recursive=True)
>>> found.pictures[0]
Picture(name='2024/beach.jpg', path='photos/2024/beach.jpg')
"""

import codecs
import glob
import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

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
    """

    pictures: list[Picture]
    root: str
    identity: list[str]
    left_out: int = 0


def find_sources(arguments: Sequence[str], recursive: bool = False, own_folders: Iterable[Path] = ()) -> Sources:
    """Lists the pictures that the arguments mean.

    Args:
        arguments: Folders, pictures, patterns such as `photos/*.jpg` (for shells that leave them as they are),
            `.txt` files with a name a line, or `-` for such a list on standard input. A list that holds a NUL, as
            `find -print0` writes it, is split there, so that names may hold line ends.
        recursive: Look into the folders in the folders as well; links to folders are not followed.
        own_folders: Where the run writes copies: what lies there is no source.

    Raises:
        UserError: An argument names nothing, or its folder cannot be listed.
    """
    if len(arguments) == 1 and os.path.isdir(arguments[0]):
        root = os.path.abspath(arguments[0])
        pictures = _in_folder(arguments[0], recursive, relative=True)
        identity = [root]
    else:
        unique: dict[str, Picture] = {}
        identity = []
        for argument in arguments:
            found, identified = _meant_by(argument, recursive)
            for picture in found:
                unique.setdefault(os.path.abspath(picture.path), picture)
            identity += identified
        pictures = list(unique.values())
        root = _common_folder(pictures)
    own = tuple(os.path.join(os.path.realpath(folder), "") for folder in own_folders)
    real_folder = lru_cache(os.path.realpath)  # of the folders with the pictures, each asked for many times

    def is_own(picture: Picture) -> bool:
        return os.path.join(real_folder(os.path.dirname(picture.path)), "").startswith(own)

    sources = [picture for picture in pictures if not is_own(picture)]
    return Sources(sources, root, [*identity, f"recursive={recursive}"], len(pictures) - len(sources))


def _meant_by(argument: str, recursive: bool) -> tuple[list[Picture], list[str]]:
    """The pictures that one argument means, and what identifies it."""
    if argument == "-":
        names = _split_list(sys.stdin.buffer.read())
        digest = hashlib.sha256(os.fsencode("\0".join(names))).hexdigest()
        return [Picture(name, name) for name in names], ["-", digest]
    identity = [os.path.abspath(argument)]
    if os.path.isdir(argument):
        return _in_folder(argument, recursive, relative=False), identity
    if os.path.lexists(argument):
        if argument.lower().endswith(".txt"):
            return [Picture(name, name) for name in _split_list(Path(argument).read_bytes())], identity
        return [Picture(argument, argument)], identity
    matches = sorted(path for path in glob.glob(argument) if os.path.splitext(path)[1].lower() in PICTURE_SUFFIXES)
    if not matches:
        raise UserError(f"there is no {argument}: name folders, pictures, a .txt file with a name a line, or -")
    return [Picture(path, path) for path in matches], identity


def _in_folder(folder: str, recursive: bool, relative: bool) -> list[Picture]:
    try:
        paths = find_pictures(folder, recursive)
    except PictureError as error:
        raise UserError(f"{folder} {error}") from error
    return [Picture((path.relative_to(folder) if relative else path).as_posix(), str(path)) for path in paths]


def _split_list(data: bytes) -> list[str]:
    data = data.removeprefix(codecs.BOM_UTF8)  # Windows' editors put it there
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _common_folder(pictures: Sequence[Picture]) -> str:
    if not pictures:
        return os.getcwd()
    try:
        return os.path.commonpath([os.path.dirname(os.path.abspath(picture.path)) for picture in pictures])
    except ValueError as error:  # Windows
        raise UserError("the pictures are on several drives, and no folder holds all: take a run for each") from error
