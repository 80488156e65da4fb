"""Files that are there whole or not at all, and a lock that dies with its process."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from models.errors import UserError

HELD = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}  # by another process, in the words of several systems


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of `path` when it is complete; whatever fails leaves that as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path, place: Path) -> Iterator[None]:
    """Holds a lock on a file, which the system lifts when the process ends, however it ends.

    Args:
        place: What it guards, for the message.

    Raises:
        UserError: Another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        try:
            _lock(file)
        except OSError as error:  # some network file systems know no locks: a run there goes without
            if error.errno in HELD:
                raise UserError(f"another run is at work in {place}: wait, or choose another --output") from error
        yield


def _lock(file: IO[bytes]) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def refuse_existing(*paths: Path | None) -> None:
    """Raises `UserError` if one of these files is there."""
    for path in filter(None, paths):
        if path.exists():
            raise UserError(f"{path} is there already, and is not written over: name another file, or move it away")


def reserve(path: Path) -> None:
    """Makes an empty file, and the folders to it.

    Raises:
        UserError: It is there already, or cannot be made.
    """
    refuse_existing(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("xb").close()
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
