"""The log of a run: who was seen when, and with which expression.

log = ExpressionLog(Path("log.csv"), class_names)
log.write(frame, tracks)
log.close()

Columns: time (seconds of the film, or since the start), frame, track, x, y, width, height (pixels), expression,
confidence, and a column a class, named as in the table of a folder (`models.batch.tables`). Like that, it is UTF-8
behind a byte order mark, which spreadsheets need; a program reads it with `encoding="utf-8-sig"`.
"""

import codecs
import csv
import errno
import os
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from models.batch.naming import class_columns, defused
from models.files import reserve
from models.live.sources import Frame
from models.live.tracking import Track


class ExpressionLog:
    """A csv file with a row for each face of each frame that was analyzed, and one without a face where there was none.

    It has whole rows alone, whatever happens next.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, class_names: Sequence[str]):
        """Begins a file; missing folders are made.

        Raises:
            UserError: The file is there already, or cannot be made.
        """
        reserve(path)
        self.path, self._file = path, path.open("wb", buffering=0)
        columns = ("time", "frame", "track", "x", "y", "width", "height", "expression", "confidence")
        self._columns = (*columns, *class_columns(class_names, columns))
        self._add([[defused(column) for column in self._columns]], codecs.BOM_UTF8)

    def write(self, frame: Frame, tracks: Sequence[Track]) -> None:
        """Adds a row for each of a frame's faces, or one that says that there was none.

        Raises:
            OSError: The disk is full, or gone.
        """
        when = f"{frame.seconds:.3f}", frame.number
        nobody = [(*when, *[""] * (len(self._columns) - len(when)))]
        self._add(
            [
                (
                    *when,
                    track.number,
                    *(round(float(value)) for value in track.box),
                    track.label,
                    f"{track.confidence:.4f}",
                    *(f"{value:.4f}" for value in track.probabilities),
                )
                for track in tracks
            ]
            or nobody
        )

    def close(self) -> None:
        """Ends the file."""
        self._file.close()

    def _add(self, rows: Iterable[Sequence[Any]], mark: bytes = b"") -> None:
        text = StringIO()
        csv.writer(text).writerows(rows)
        data, end = mark + text.getvalue().encode("utf-8", "backslashreplace"), self._file.tell()
        if self._file.write(data) < len(data):  # there was room for a part of it
            self._file.truncate(end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
