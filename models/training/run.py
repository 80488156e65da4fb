"""A run's folder: its settings, its log, its table of epochs and its weights, all written whole or not at all.

>>> run = Run.start(config, Path("output/train"), workers)
>>> run.log("epoch   1/40 ...")
"""

import csv
import io
import itertools
import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from models import plots
from models.checkpoint import make_checkpoint, read_weights_file, save_atomically
from models.errors import UserError
from models.training.dataset import Split
from models.training.loop import Trainer
from models.training.workers import Workers

METRIC_COLUMNS = (
    "epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "pictures_per_second", "seconds",
)  # fmt: skip


class RunError(UserError):
    """There is no run to go on with; the message says what is missing."""


class Run:
    """A run folder and what is written into it; in processes other than the writer nothing is.

    Attributes:
        folder: Where the run writes.
        config: The settings.
        writes: Whether this process is the writer.
        whole: The folder that --resume goes on with: of a fold the one that the folds lie in, else the run's own.
        saved: When last.pt was written last, or training begun, on the monotonic clock.
        saving_took: How long that took, seconds.
    """

    def __init__(self, folder: Path, config: dict[str, Any], writes: bool, whole: Path | None = None):
        self.folder = folder
        self.config = config
        self.writes = writes
        self.whole = whole or folder
        self.saved = time.monotonic()
        self.saving_took = 0.0

    @classmethod
    def start(cls, config: dict[str, Any], runs: Path, workers: Workers) -> "Run":
        """Makes a new folder in `runs`, named by the time, and writes the settings into it."""
        folder = runs / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        if workers.is_writer:
            for number in itertools.count(2):
                try:
                    folder.mkdir(parents=True)
                    break
                except FileExistsError:
                    folder = folder.with_name(f"{folder.name.split('+')[0]}+{number}")
        run = cls(workers.gather(folder)[0], config, workers.is_writer)
        run.write_json("config.json", config)
        return run

    @classmethod
    def resume(cls, name: str, runs: Path, workers: Workers) -> "Run":
        """The run folder `name`, or with `latest` the one in `runs` that was written to last.

        Raises:
            RunError: There is none that could go on.
        """
        folder = Path(name)
        if name == "latest":
            found = [*runs.glob("*/last.pt"), *runs.glob("*/fold-*/*.pt")]
            if not found:
                raise RunError(f"there is no run in {runs} to go on with: leave out --resume to start one")
            latest = max(found, key=lambda file: file.stat().st_mtime)
            folder = runs / latest.relative_to(runs).parts[0]
        settings = folder / "config.json"
        config = json.loads(settings.read_text()) if settings.is_file() else {}
        # Folds that were stopped before the first of them had a last.pt still know how the pictures are divided.
        if not config or not (config.get("folds") or (folder / "last.pt").is_file()):
            raise RunError(f"{folder} is no run folder that can go on: it needs config.json and last.pt")
        return cls(folder, config, workers.is_writer)

    def fold(self, number: int) -> "Run":
        """The run of one fold of a cross-validation, in a folder of its own within this one's."""
        folder = self.folder / f"fold-{number}"
        if self.writes:
            folder.mkdir(exist_ok=True)
        return Run(folder, self.config, self.writes, whole=self.folder)

    @property
    def chooses_epoch(self) -> bool:
        """Whether the epoch that does best on val is kept; of a fold, whose val is its test, the last one is."""
        return self.whole == self.folder

    @property
    def was_begun(self) -> bool:
        """Whether there is a state to go on from."""
        return (self.folder / "last.pt").is_file()

    def log(self, text: str) -> None:
        if self.writes:
            tqdm.write(text, file=sys.stderr)
            with open(self.folder / "train.log", "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {text}\n")

    def keep_val(self, names: list[str]) -> None:
        """Writes down which pictures are val where they are a share of train, or makes sure that they are the same.

        Raises:
            RunError: The data folder changed, and with it who is in val: some were trained on before.
        """
        kept = self.folder / "val.txt"
        text = "\n".join(names)
        if not kept.is_file():
            self.write_text("val.txt", text)
        elif kept.read_text(encoding="utf-8", errors="surrogateescape") != text:
            raise RunError(
                f"{self.config['data']} no longer holds the pictures that this run divided into train and val, see "
                f"{kept}: put those back, or leave out --resume and start anew"
            )

    def log_unreadable(self, split: Split) -> None:
        """Says what --skip-unreadable left out of a split."""
        if split.unreadable:
            shown = "\n  ".join(split.unreadable)
            self.log(f"left out {len(split.unreadable)} pictures that cannot be read:\n  {shown}")

    def log_stop(self, reason: str, place: str) -> None:
        self.log(f"stopped {reason} {place}; python train.py --resume {self.whole} goes on")

    def write_text(self, name: str, text: str) -> None:
        """Writes a small file whole or, where the process is killed, not at all."""
        if self.writes:
            temporary = self.folder / f".{name}.tmp"
            temporary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
            os.replace(temporary, self.folder / name)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        self.write_text(name, json.dumps(content, indent=1) + "\n")

    def write_weights(self, name: str, trainer: Trainer, metrics: dict[str, Any]) -> None:
        """Writes the averaged weights, as they are now, as a checkpoint."""
        if not self.writes:
            return
        # A checkpoint travels: of the files that made it, it keeps the names, not where they lay.
        config = {
            key: _names(value) if key in ("data", "init", "votes", "teachers") and value else value
            for key, value in self.config.items()
        }
        checkpoint = make_checkpoint(
            trainer.average, trainer.class_names, trainer.input_spec,
            metrics=metrics, config=config, epoch=trainer.progress.epoch,
        )  # fmt: skip
        save_atomically(self.folder / name, checkpoint)

    def write_last(self, trainer: Trainer) -> None:
        started = time.monotonic()
        if self.writes:
            save_atomically(self.folder / "last.pt", trainer.state_dict())
        self.saved = time.monotonic()
        self.saving_took = self.saved - started

    @property
    def may_save(self) -> bool:
        """Whether saving now costs less than a tenth of the time: on a GPU an epoch may be done sooner than saved."""
        return time.monotonic() - self.saved >= 9 * self.saving_took

    def read_last(self) -> dict[str, Any]:
        return read_weights_file(self.folder / "last.pt")

    def write_row(self, row: dict[str, Any]) -> None:
        """Adds an epoch to metrics.csv; a row of the same epoch, left by a run that was killed, is replaced."""
        path = self.folder / "metrics.csv"
        rows = []
        if path.exists():
            with open(path, newline="") as file:
                rows = [old for old in csv.DictReader(file) if int(old["epoch"]) < row["epoch"]]
        rows.append({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})
        table = io.StringIO()
        writer = csv.DictWriter(table, METRIC_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
        self.write_text("metrics.csv", table.getvalue())

    def plot_curves(self) -> None:
        if self.writes:
            with open(self.folder / "metrics.csv", newline="") as file:
                plots.plot_curves(list(csv.DictReader(file)), self.folder / "curves.png")


def _names(paths: str | list[str]) -> str | list[str]:
    return Path(paths).name if isinstance(paths, str) else [Path(path).name for path in paths]
