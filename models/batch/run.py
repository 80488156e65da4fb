"""Whose the files in an output folder are, and so what a run may do there.

    run = Run(sources.identity, settings, files=["results.csv", "annotated"])
    goes_on, remark = check_run(output, run, resume=True)
    settled = settle(output, run, earlier if goes_on else None, sources)   # earlier.py
    begin_run(output, run, goes_on)

`output/.batch/run.json` keeps what the run there is. Nothing is replaced that is not known from it.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from models.errors import UserError
from models.files import replacing

FOLDER, PARTS = ".batch", "parts"
WEIGHTS = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True)
class Run:
    """A run into an output folder.

    Attributes:
        input: What it was asked to label.
        settings: The flags that its answers and copies depend on.
        files: Names of the files and folders that it writes in the output folder, the table first.
        complete: Whether it came to its end.
        table_sha256: What its table held: one that a person has changed since is theirs.
        root: The folder whose tree its copies mirror.
        weights: What identifies the networks' files.
    """

    input: list[str]
    settings: dict[str, Any]
    files: list[str] = field(default_factory=list)
    complete: bool = False
    table_sha256: str | None = None
    root: str = ""
    weights: str | None = None

    @classmethod
    def read(cls, output: Path) -> "Run | None":
        """The run whose results lie in the output folder, or None.

        Raises:
            UserError: Its run.json is damaged.
        """
        path = output / FOLDER / "run.json"
        try:
            return cls(**json.loads(path.read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError) as error:
            raise UserError(f"{path} is damaged: remove {path.parent}, or choose another --output") from error

    def write(self, output: Path) -> None:
        """Writes run.json, whole or not at all."""
        with replacing(output / FOLDER / "run.json") as file:
            file.write(json.dumps(asdict(self), indent=1).encode())

    def completed(self, output: Path) -> "Run":
        """The run when all is written."""
        return replace(self, complete=True, table_sha256=_sha256(output / self.files[0]))

    def is_as_left(self, output: Path) -> bool:
        """Whether it came to its end, and its table is as it left it or was taken away."""
        table = output / self.files[0]
        return self.complete and (not table.exists() or _sha256(table) == self.table_sha256)


def check_run(output: Path, wanted: Run, resume: bool = False, overwrite: bool = False) -> tuple[bool, str]:
    """Decides whether a run may write into the output folder; writes nothing itself.

    - Where nothing is that it will write, it may.
    - Where a complete run over the same input left its results, and nobody changed the table, they are replaced.
    - Where a run was stopped, it goes on with `resume`, if input and settings are the same.
    - Anything else may be a person's: `overwrite` alone replaces it.

    Returns:
        Whether it goes on with an earlier run; and what a person should know of it, or "".

    Raises:
        UserError: It may not; the message says what would help.
    """
    nearest = next(folder for folder in (output, *output.absolute().parents) if folder.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise UserError(f"{output} is no folder that can be written to: choose another --output")
    earlier = Run.read(output)
    if overwrite:
        return False, ""
    known, remark = [], ""
    in_the_way = [wanted.settings.get("sort_into")]  # what was sorted otherwise before would stay, and be in two places
    if earlier and resume:
        _check_same(earlier, wanted, output)
        known = earlier.files
        in_the_way = [output / known[0]] if earlier.complete and not earlier.is_as_left(output) else []
    elif earlier and not earlier.complete:
        raise UserError(f"a run was stopped in {output}: --resume goes on with it, --overwrite begins again")
    elif earlier and earlier.input == wanted.input and earlier.is_as_left(output):
        known, remark = earlier.files, f"replacing what the last run over the same pictures left in {output}"
    in_the_way += [output / name for name in wanted.files if name not in known]
    names = ", ".join(str(path) for path in in_the_way if path and _holds_something(Path(path)))
    if names:
        raise UserError(f"{names} would be written over: --overwrite allows it, or choose another --output")
    return earlier is not None and resume, remark


def begin_run(output: Path, run: Run, goes_on: bool) -> None:
    """Writes down that a run is at work, with nothing done yet unless it goes on."""
    if not goes_on:
        shutil.rmtree(output / FOLDER / PARTS, ignore_errors=True)
    run.write(output)


def weights_digest(own: Iterable[Path]) -> str:
    """What changes when the weights do that the answers come from: the shipped ones, and a person's own."""
    digest = hashlib.sha256()
    for path in [*sorted(path for path in WEIGHTS.iterdir() if path.suffix in (".pt", ".onnx")), *own]:
        with suppress(OSError):  # who reads it says what is wrong
            digest.update(_sha256(path).encode())
    return digest.hexdigest()


def _check_same(earlier: Run, wanted: Run, output: Path) -> None:
    if earlier.input != wanted.input:
        before = ", ".join(earlier.input)
        raise UserError(f"the run in {output} was over another input, {before}: choose another --output")
    if earlier.weights and earlier.weights != wanted.weights:
        raise UserError(f"the run in {output} was with other weights: begin again with --overwrite")
    # A run that an older version began lacks the newer flags: none was set.
    differing = [
        name for name, value in wanted.settings.items() if (earlier.settings.get(name) or None) != (value or None)
    ]
    if differing:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in differing)
        raise UserError(f"the run in {output} had another {flags}: repeat it, or begin again with --overwrite")


def _holds_something(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
