"""The table and the report of a run, written from its journal: now and then while it is at work, and at its end."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from models.batch.journal import Journal
from models.batch.records import Record, Summary
from models.batch.report import REPORT, write_report
from models.batch.run import FOLDER, Run
from models.batch.tables import write_table

SECONDS_BETWEEN = 30.0  # at least, from one table to the next while the run is at work
RESERVED_BYTES = 300  # for each picture, kept free for the table
LARGEST_SHARE = 0.02  # of the time, that writing tables may take: the longer the table, the less often


class Results:
    """Writes what a person reads. What it replaces is replaced whole, so that at any moment a whole table is there.

    Args:
        output: The output folder.
        run: Says which files there are to be.
        journal: What is done.
        order: The pictures' names, in the order that the table has them.
        class_names: The classifier's.
    """

    def __init__(self, output: Path, run: Run, journal: Journal, order: Sequence[str], class_names: Sequence[str]):
        self._output, self._run, self._journal = output, run, journal
        self._order, self._class_names = order, class_names
        self.table = output / run.files[0]
        self._due = time.monotonic() + SECONDS_BETWEEN
        self._reserve = output / FOLDER / "reserve"

    def reserve(self) -> None:
        """Takes up the room that the table will need, so that a disk which the copies fill still has it.

        Raises:
            OSError: There is not even that much.
        """
        with open(self._reserve, "wb") as file:
            for _ in self._order:
                file.write(os.urandom(RESERVED_BYTES))  # some file systems give zeros no room

    def write_table(self) -> Summary:
        """Writes the table of all that is done, and counts it."""
        summary = Summary()
        write_table(self.table, summary.counting(self.records()), self._class_names)
        return summary

    def records(self) -> Iterator[Record]:
        """All that is done, in the table's order."""
        return self._journal.records(self._order)

    def write_table_when_due(self) -> None:
        """Writes the table if the last one is old."""
        started = time.monotonic()
        if started >= self._due:
            with suppress(PermissionError):  # Windows, while a person has the table open: the next will do
                self.write_table()
            ended = time.monotonic()
            self._due = ended + max(SECONDS_BETWEEN, (ended - started) / LARGEST_SHARE)

    def write_last_table(self) -> Summary:
        """Writes the table in the room that was kept for it."""
        self._reserve.unlink(missing_ok=True)
        return self.write_table()

    def complete(self) -> Summary:
        """Writes the table and the report, and that the run came to its end."""
        summary = self.write_last_table()
        if REPORT in self._run.files:
            write_report(self._output / REPORT, self.records(), self._class_names)
        self._run.completed(self._output).write(self._output)
        return summary
