"""Every file in a folder or an archive, at any depth, as a stream.

for name, open_file in walk(Path("fer2013.tar.gz"), left_out=set()):
    ...
"""

import bz2
import gzip
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from models.errors import DatasetError
from models.pictures import PICTURE_SUFFIXES

# What Python's readers raise for archives that are cut short, garbled, or of a later version than they know.
DAMAGED = (
    EOFError,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    tarfile.TarError,
    zipfile.BadZipFile,
    NotImplementedError,
)

Stream = Any  # a binary file, or what is read as one
Opener = Callable[[], Stream]


class Tree:
    """A folder, a file or an archive whose files can be gone through any number of times.

    Attributes:
        path: Where it is.
    """

    def __init__(self, path: Path, left_out: set[Path]):
        """`left_out`: resolved paths of folders that are not looked into, since they hold the output."""
        self.path = path
        self._left_out = left_out
        self._reading = path

    def files(self) -> Iterator[tuple[str, Opener]]:
        """Yields (name, open_file) for every file, going into archives.

        `open_file` must be called before the next pair is asked for. A name is relative to the folder that the tree
        lies in, so that `python preprocess.py fer2013/train` still says which split it is.
        """
        source = self.path.resolve()
        for path in files_below(source, self._left_out):
            self._reading = path
            yield from unpack(path.relative_to(source.parent).as_posix(), partial(open, path, "rb"))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turns what is wrong with the file that is being read into a sentence.

        Raises:
            DatasetError: It cannot be read to its end.
        """
        try:
            yield
        except DAMAGED as error:
            raise DatasetError(f"{self._reading} is cut short or damaged ({error}): download it again.") from error
        except OSError as error:
            raise DatasetError(f"{self._reading}: {error.strerror or error}. See that you may read it.") from error


def files_below(source: Path, left_out: set[Path]) -> Iterator[Path]:
    """Yield a file itself, or every file in a folder but for the hidden ones, in the order of their names."""
    if source.is_file():
        yield source
        return
    seen = {source}
    for folder, folders, files in os.walk(source, onerror=raise_error, followlinks=True):
        inner = {name: Path(folder, name).resolve() for name in sorted(folders) if not is_hidden(name)}
        folders[:] = [name for name, path in inner.items() if path not in left_out | seen]  # a link may lead back
        seen |= set(inner.values())
        paths = (Path(folder, name) for name in sorted(files) if not is_hidden(name))
        yield from (path for path in paths if path.is_file())  # opening a pipe would wait for ever


def raise_error(error: OSError) -> None:
    """Keep `os.walk` from passing over a folder that it may not read."""
    raise error


def unpack(name: str, open_file: Opener) -> Iterator[tuple[str, Opener]]:
    """Yield a file as it is or, if it is an archive, every file in it, at any depth.

    The first bytes decide, not the name. Nothing is written to disk, so no name in an archive can reach outside it.
    """
    if is_picture(name):  # there are 35,887 of them: not opened before they are wanted
        yield name, open_file
        return
    with open_file() as stream:
        start = stream.read(512)
        stream.seek(0)
        if start.startswith(b"\x1f\x8b"):
            yield from unpack(name, partial(gzip.GzipFile, fileobj=stream))
        elif start.startswith(b"\xfd7zXZ\0"):
            yield from unpack(name, partial(lzma.LZMAFile, stream))
        elif start.startswith(b"BZh"):
            yield from unpack(name, partial(bz2.BZ2File, stream))
        elif start.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(stream) as archive:
                for member in archive.infolist():
                    if not member.is_dir() and not is_hidden(member.filename):
                        yield from unpack(f"{name}/{member.filename}", partial(open_zipped, archive, member))
        elif start[257:262] == b"ustar":
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                for entry in tar:
                    if entry.isfile() and not is_hidden(entry.name):
                        yield from unpack(f"{name}/{entry.name}", partial(tar.extractfile, entry))
        else:
            yield name, lambda: stream


def open_zipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Stream:
    """Open a file in a zip.

    Raises:
        DatasetError: it is encrypted, or packed in a way that Python does not know.
    """
    try:
        return archive.open(member)
    except RuntimeError as error:
        raise DatasetError(f"{error}. Unpack the archive and name the folder or csv instead.") from error


def is_hidden(name: str) -> bool:
    """Whether this is no data: `.DS_Store`, `.venv/`, the `__MACOSX/._...` twins that a Mac puts into a zip."""
    return any(part.startswith(".") and part.strip(".") for part in name.split("/"))


def is_picture(name: str) -> bool:
    """Whether the name, not the content, is a picture's."""
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES
