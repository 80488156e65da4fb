"""A training run: its folder, its epochs, how it stops and what it reports.

>>> run = Run.start(config, Path("output/train"))
>>> with StopSignal(60, workers, device) as stop:
...     finished = train_epochs(run, trainer, train_split, val_split, stop)
"""

import csv
import io
import itertools
import json
import os
import signal
import sys
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from models import drawing
from models.checkpoint import build_network, load_checkpoint, make_checkpoint, read_weights_file, save_atomically
from models.errors import UserError
from models.training.dataset import Split, load_split
from models.training.folder import find_split
from models.training.loop import Progress, Trainer, TrainingDiverged
from models.training.metrics import (
    classification_report,
    cross_fitted_calibration_error,
    fit_temperature,
    format_report,
)
from models.training.workers import Workers
from models.views import average_views

SAVE_EVERY = 600  # seconds of an epoch; on a CPU one may take hours
METRIC_COLUMNS = (
    "epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "pictures_per_second", "seconds",
)  # fmt: skip
SUMMARY = (  # what a checkpoint tells
    "accuracy", "balanced_accuracy", "macro_f1", "expected_calibration_error", "cross_fitted_calibration_error", "n",
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
                drawing.plot_curves(list(csv.DictReader(file)), self.folder / "curves.png")


def _names(paths: str | list[str]) -> str | list[str]:
    return Path(paths).name if isinstance(paths, str) else [Path(path).name for path in paths]


def train_epochs(run: Run, trainer: Trainer, train_split: Split, val_split: Split, stop: "StopSignal") -> bool:
    """Trains from where the run stands to its last epoch; returns whether it got there."""
    epochs = trainer.recipe.epochs
    run.saved = time.monotonic()

    def after_batch(bar: EpochBar, progress: Progress, batches: int) -> bool:
        bar.show(progress, batches)
        # Only while the sums in `progress` are complete does what is saved go on bit for bit.
        if progress.batch % trainer.check_every == 0 and time.monotonic() - run.saved >= SAVE_EVERY:
            save_within_epoch(run, trainer, batches)
        return stop.asked()

    while trainer.progress.epoch < epochs and not stop.asked():
        try:
            with EpochBar(trainer) as bar:
                finished = trainer.train_one_epoch(train_split, partial(after_batch, bar))
        except TrainingDiverged as error:
            run.log(f"stopped: {error}. The weights of the epochs before are in {run.folder}; try a smaller --lr")
            return False
        if finished:
            finish_epoch(run, trainer, val_split)
    if stop.asked():
        run.write_last(trainer)
    if trainer.progress.epoch < epochs:
        run.log_stop(stop.reason, f"in epoch {trainer.progress.epoch + 1}")
        return False
    return True


def save_within_epoch(run: Run, trainer: Trainer, batches: int) -> None:
    """Saves what a kill would lose, and says how far the epoch is, also where there is no terminal for the bar."""
    progress = trainer.progress
    run.write_last(trainer)
    run.log(
        f"epoch {progress.epoch + 1:>3}/{trainer.recipe.epochs}  {progress.batch / batches:.0%} done and saved  "
        f"train loss {progress.loss_sum / progress.counted:.4f} accuracy {progress.correct / progress.counted:.2%}  "
        f"{progress.seen / progress.seconds:.0f} pictures/s  "
        f"{progress.seconds / progress.batch * (batches - progress.batch) / 60:.0f} minutes left"
    )


def finish_epoch(run: "Run", trainer: Trainer, val_split: Split) -> None:
    """Evaluates on val, keeps the weights if they are the best so far, and writes the epoch down."""
    progress, recipe = trainer.progress, trainer.recipe
    loss_sum, correct, seen = trainer.workers.sum(
        progress.loss_sum, progress.correct, progress.seen / trainer.workers.world, device=trainer.device
    )
    speed = progress.seen / max(progress.seconds, 1e-9)
    logits = trainer.evaluate(val_split)
    probabilities = average_views(logits)
    accuracy = (probabilities.argmax(1) == val_split.targets).float().mean().item()
    row = {
        "epoch": progress.epoch + 1,
        "lr": trainer.optimizer.param_groups[0]["lr"],
        "train_loss": loss_sum / seen,
        "train_accuracy": correct / seen,
        "val_loss": torch.nn.functional.cross_entropy(logits[0], val_split.targets).item(),
        "val_accuracy": accuracy,
        "pictures_per_second": speed,
        "seconds": progress.seconds,
    }
    is_best = run.chooses_epoch and accuracy > progress.best_accuracy
    progress.best_accuracy = max(accuracy, progress.best_accuracy)
    progress.start_next_epoch()
    if is_best:
        run.write_weights("best.pt", trainer, {"val_accuracy": accuracy, "tta": "none"})
    if run.writes:
        run.write_row(row)
    if run.may_save or progress.epoch == recipe.epochs:
        run.plot_curves()
        run.write_last(trainer)  # last: what is killed before it does the epoch, and writes all of the above, again
    run.log(
        f"epoch {row['epoch']:>3}/{recipe.epochs}  "
        f"train loss {row['train_loss']:.4f} accuracy {row['train_accuracy']:.2%}  "
        f"val loss {row['val_loss']:.4f} accuracy {accuracy:.2%}{' *' if is_best else ''}  "
        f"{speed:.0f} pictures/s  {row['seconds']:.0f} s"
    )


def report_best(run: "Run", trainer: Trainer, val_split: Split) -> None:
    """Calibrates the best weights on val, then reports them on val and, once, on test if it is there."""
    checkpoint = load_checkpoint(run.folder / "best.pt")
    trainer.average.load_state_dict(build_network(checkpoint).state_dict())
    class_names, tta = checkpoint["class_names"], "flip"
    started = time.perf_counter()
    logits = trainer.evaluate(val_split, tta)
    temperature = fit_temperature(logits, val_split.targets)
    report = make_report(logits, val_split, class_names, "val", tta, temperature)
    report["seconds"] = round(time.perf_counter() - started, 2)
    report["cross_fitted_calibration_error"] = cross_fitted_calibration_error(logits, val_split.targets)
    data, test_report = Path(run.config["data"]), None
    if find_split(data, "test"):
        test_split = load_split(
            data, "test", trainer.input_spec["resize"], run.config["limit"], class_names,
            skip_unreadable=run.config["skip_unreadable"],
        )  # fmt: skip
        run.log_unreadable(test_split)
        started = time.perf_counter()
        test_report = make_report(trainer.evaluate(test_split, tta), test_split, class_names, "test", tta, temperature)
        test_report["seconds"] = round(time.perf_counter() - started, 2)
    if not trainer.workers.is_writer:
        return
    checkpoint["temperature"] = temperature
    checkpoint["metrics"] = {"split": "val", "tta": tta, **{key: report[key] for key in SUMMARY}}
    save_atomically(run.folder / "best.pt", checkpoint)
    drawing.plot_confusion_matrix(report, run.folder / "confusion_matrix.png")
    run.log(f"best epoch {checkpoint['epoch']}, on val with --tta {tta}:\n{format_report(report)}")
    if test_report:
        run.write_json("report_test.json", test_report)
        run.log(f"the same weights on test:\n{format_report(test_report)}")
    run.write_json("report.json", report)  # last: where it is, all of the run is
    print(f"wrote {run.folder}: best.pt, report.json, curves.png, confusion_matrix.png")


def make_report(
    logits: torch.Tensor, split: Split, class_names: list[str], split_name: str, tta: str, temperature: float
) -> dict[str, Any]:
    probabilities = average_views(logits, temperature).numpy()
    report = classification_report(probabilities, split.targets.numpy(), class_names)
    return {**report, "split": split_name, "tta": tta, "temperature": temperature}


class EpochBar:
    """The running epoch's progress: a bar with loss, accuracy, pictures/s and what is left, on a terminal."""

    def __init__(self, trainer: Trainer):
        hidden = None if trainer.workers.is_writer else True  # None: hidden unless stderr is a terminal
        title = f"epoch {trainer.progress.epoch + 1}/{trainer.recipe.epochs}"
        self.bar = tqdm(desc=title, unit="batch", leave=False, disable=hidden)

    def __enter__(self) -> "EpochBar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def show(self, progress: Progress, batches: int) -> None:
        self.bar.total = batches
        self.bar.update(progress.batch - self.bar.n)
        if progress.counted:
            self.bar.set_postfix_str(
                f"loss {progress.loss_sum / progress.counted:.3f}, accuracy {progress.correct / progress.counted:.1%}, "
                f"{progress.seen / progress.seconds:.0f} pictures/s",
                refresh=False,
            )


class StopSignal:
    """Whether to stop after the current step: on Ctrl-C, SIGTERM, or when the minutes are used up.

    The minutes count from when it is made, the signals within its `with` block. A second Ctrl-C stops at once.
    """

    def __init__(self, max_minutes: float | None, workers: Workers, device: torch.device):
        self.started = time.monotonic()
        self.deadline = self.started + max_minutes * 60 if max_minutes else float("inf")
        self.workers, self.device = workers, device
        self.reason = ""

    def __enter__(self) -> "StopSignal":
        self.before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: object) -> None:
        self.reason = f"by {signal.Signals(number).name}"
        signal.signal(signal.SIGINT, self.before[signal.SIGINT])

    def seconds(self) -> float:
        """Since it was made."""
        return time.monotonic() - self.started

    def asked(self) -> bool:
        if not self.reason and time.monotonic() > self.deadline:
            self.reason = "by --max-minutes"
        if self.workers.world > 1 and any(self.workers.sum(float(bool(self.reason)), device=self.device)):
            self.reason = self.reason or "by another process"
        return bool(self.reason)
