"""A run's epochs, one after another: each is shown, evaluated on val, written down and saved.

>>> finished = train_epochs(run, trainer, train_split, val_split, stop)
"""

import time
from functools import partial

import torch
from tqdm import tqdm

from models.training.dataset import Split
from models.training.loop import Trainer, TrainingDiverged
from models.training.recipe import Progress
from models.training.run import Run
from models.training.stop import StopSignal
from models.views import average_views

SAVE_EVERY = 600  # seconds of an epoch; on a CPU one may take hours


def train_epochs(run: Run, trainer: Trainer, train_split: Split, val_split: Split, stop: StopSignal) -> bool:
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


def finish_epoch(run: Run, trainer: Trainer, val_split: Split) -> None:
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
