"""What an earlier run into the same output folder left, and what of it still holds.

    settled = settle(output, run, earlier, sources)

A run's answer holds while the picture is the file that was read. What does not hold goes out of the journal's parts,
and what the run wrote for it goes out of the folders of copies: by the record, and where it is still as it was written,
for what a person moved or edited is theirs. A sorted copy may be the last of a picture that was replaced or deleted: it
is moved aside, never removed.

A kill at any moment does no harm: first the records are marked, which is never undone, then the files go, and the
records last; the next run does what was left.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.batch.journal import whole_lines
from models.batch.records import UNREADABLE
from models.batch.run import FOLDER, PARTS, Run
from models.batch.sources import Sources, file_stamp
from models.batch.worker import THUMBNAILS
from models.files import replacing

TEMPORARY = re.compile(r"\.([0-9a-f]{16}|[0-9a-f]{24}\.jpg)\.part")  # names of files that are under way
ASIDE = "(earlier)"  # in the folder of sorted copies; no expression's folder can have this name

Values = dict[str, Any]  # a record's, as the journal has them


@dataclass(frozen=True)
class Settled:
    """How many pictures are done again, and are no longer there; and how many sorted copies were moved aside."""

    again: int = 0
    left_out: int = 0
    moved: int = 0

    def in_words(self, sort_into: Path | None) -> list[str]:
        """What a person should know of it, a sentence a line."""
        lines = [
            (self.again, "done again: the file is not what was read, or what was read is not known"),
            (self.left_out, "left out: no longer among the pictures"),
            (self.moved, f"sorted copies moved to {sort_into}/{ASIDE}: of pictures that were replaced or are gone"),
        ]
        return [f"{count} {what}" for count, what in lines if count]


def settle(output: Path, run: Run, earlier: Run | None, sources: Sources) -> Settled:
    """Takes away what an earlier run left that does not hold in this one; one process does it, before any journal.

    Args:
        output: The output folder.
        run: Says which folders it writes; what lies elsewhere stays.
        earlier: The run that this one goes on with; None: nothing of what was done before holds.
        sources: The pictures of this run.

    Raises:
        OSError: The disk is full, or something may not be removed. The next call does the rest.
    """
    paths = {picture.name: picture.path for picture in sources.pictures}
    parts = sorted((output / FOLDER / PARTS).glob("*.jsonl"))
    same_root = earlier is not None and earlier.root == run.root
    stale: dict[str, Values] = {}
    unchanged = set()  # of the stale ones, those whose picture is there as it was read
    for _, values in (line for part in parts for line in whole_lines(part)):
        name = values["file"]
        is_unchanged = name in paths and values.get("stamp") == list(file_stamp(paths[name]))
        if earlier is None or not (is_unchanged and _may_stay(values, same_root)):
            stale[name] = values
            unchanged.update([name] * is_unchanged)
    folders = [output / name for name in run.files[1:]]
    sorted_copies = run.settings.get("sort_into")
    sorting = Path(os.path.abspath(sorted_copies)) if sorted_copies else None
    if earlier and not earlier.complete:
        _sweep([output / FOLDER, *folders, *filter(None, [sorting])])
    if not stale:
        return Settled()
    _rewrite(parts, lambda values: values | {"stamp": None} if values["file"] in stale else values)
    moved = sum(_take_away(values, output, folders, sorting, name in unchanged) for name, values in stale.items())
    _rewrite(parts, lambda values: None if values["file"] in stale else values)
    if earlier is None:
        return Settled(moved=moved)
    again = sum(name in paths for name in stale)
    return Settled(again, len(stale) - again, moved)


def _may_stay(values: Values, same_root: bool) -> bool:
    """Whether an answer about an unchanged picture holds: its copies lie where they should, and no package lacked."""
    copies = [name for name in values["written"] if not name.startswith(f"{THUMBNAILS}/")]
    lacked_package = values["status"] == UNREADABLE and "pip install" in values["reason"]
    return (same_root or not copies) and not lacked_package


def _sweep(folders: Sequence[Path]) -> None:
    """Removes the halves of files that a kill left."""
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in filter(TEMPORARY.fullmatch, names):
                os.unlink(os.path.join(place, name))


def _take_away(values: Values, output: Path, folders: Sequence[Path], sorting: Path | None, unchanged: bool) -> int:
    """Removes what was written for a picture, or moves it aside; returns how many files were moved."""
    moved = 0
    for name, stamp in values.get("written", {}).items():
        path = output / name  # of a sorted copy it is absolute
        if ".." in path.parts or path.is_symlink() or list(file_stamp(path)) != stamp:
            continue
        if sorting and sorting in path.parents and not unchanged:
            target = next(
                target for target in _places(sorting / ASIDE / path.relative_to(sorting)) if not target.exists()
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(path, target)
            moved += 1
        elif any(folder in path.parents for folder in (*folders, *filter(None, [sorting]))):
            path.unlink()
    return moved


def _places(path: Path) -> Iterator[Path]:
    yield path
    number = 2
    while True:
        yield path.with_name(f"{path.stem} {number}{path.suffix}")
        number += 1


def _rewrite(parts: Sequence[Path], change: Callable[[Values], Values | None]) -> None:
    """Changes or drops records of the parts, each part whole or not at all."""
    for part in parts:
        with replacing(part) as file:
            for _, values in whole_lines(part):
                changed = change(values)
                if changed is not None:
                    file.write(json.dumps(changed).encode() + b"\n")
