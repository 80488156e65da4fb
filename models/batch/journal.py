"""What is done, kept so that a run killed at any moment goes on: the truth that tables and reports are made from.

    with Journal(output / FOLDER / "parts", rank=0) as journal:
        remaining = [picture for picture in pictures if picture.name not in journal.done]
        journal.append(record)
        write_table(path, journal.records(order), class_names)

A part for each process that labels, in it a line of JSON a picture, appended when all else of that picture is written.
A line counts when it is whole. So at worst the pictures that were under way at a kill are done again.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from models.batch.records import Record


class Journal:
    """The parts of a run, of which this process appends to its own. A context manager, open from its making on.

    Attributes:
        done: Names of the pictures that were done when it was opened, in any part.
    """

    def __init__(self, folder: Path, rank: int = 0):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        own = folder / f"{rank}.jsonl"
        own.touch()
        self.done: set[str] = set()
        for part in self._parts():
            whole = 0
            for end, values in whole_lines(part):
                self.done.add(values["file"])
                whole = end
            if part == own:
                os.truncate(part, whole)  # a line that a kill cut short
        self._file = open(own, "ab", buffering=0)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, record: Record) -> None:
        """Writes down that a picture is done.

        Raises:
            OSError: The disk is full; the part ends with the picture before.
        """
        line = json.dumps(record.to_json()).encode() + b"\n"
        end = self._file.tell()
        try:
            written = self._file.write(line)
            if written != len(line):  # the disk is full: the next write raises
                self._file.write(line[written:])
        except OSError:
            self._file.truncate(end)
            raise

    def records(self, order: Sequence[str]) -> Iterator[Record]:
        """All that is done, in every part, in the order of the names; what is not among them comes last.

        The records are read as they are needed: only their places are in memory.
        """
        place_in_order = {name: place for place, name in enumerate(order)}
        parts = self._parts()
        lines = []  # place in the order, number of the part, offset in it
        for number, part in enumerate(parts):
            start = 0
            for end, values in whole_lines(part):
                lines.append((place_in_order.get(values["file"], len(order)), number, start))
                start = end
        lines.sort()
        with ExitStack() as stack:
            files = [stack.enter_context(open(part, "rb")) for part in parts]
            for _, number, start in lines:
                files[number].seek(start)
                yield Record.from_json(json.loads(files[number].readline()))

    def _parts(self) -> list[Path]:
        return sorted(self._folder.glob("*.jsonl"))


def whole_lines(part: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The whole lines of a part: where each ends, and what it says."""
    with open(part, "rb") as file:
        end = 0
        for line in file:
            end += len(line)
            try:
                values = json.loads(line)
            except ValueError:  # zeros, as a power cut leaves them
                return
            if not line.endswith(b"\n"):
                return
            yield end, values
