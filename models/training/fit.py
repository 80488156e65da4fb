"""One training, from a run's settings to its last epoch.

>>> trainer = fit(run, train_split, val_split, class_names, workers=workers, device=device, stop=stop)
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from models.checkpoint import read_weights_file, save_atomically
from models.command_line import because
from models.errors import DatasetError
from models.inference import choose_precision, explain_precision
from models.training.augmentation import Augmentation
from models.training.dataset import Split, count_batches
from models.training.epochs import train_epochs
from models.training.loop import Trainer, TrainingDiverged
from models.training.recipe import Recipe
from models.training.run import Run
from models.training.settings import AUGMENTATION_FLAGS, RECIPE_FLAGS
from models.training.start import start_network
from models.training.stop import StopSignal
from models.training.teachers import ask_teachers
from models.training.votes import load_votes
from models.training.workers import Workers
from models.views import make_input_spec

FIT_SHARE = 0.9  # of what is left of --fit-minutes: the rest is for saving, and for what slows down


def fit(
    run: Run, train_split: Split, val_split: Split, class_names: list[str],
    *, workers: Workers, device: torch.device, stop: StopSignal, compile_mode: str = "off", why: Sequence[str] = (),
) -> Trainer | None:  # fmt: skip
    """Trains a run from where it stands to its last epoch.

    Args:
        train_split: At 240×240.
        val_split: At the input's `resize`; each epoch is evaluated on it.
        class_names: What the class numbers stand for.
        compile_mode: One of `compiling.COMPILE_MODES`.
        why: What made this the device, where the flags left it open.

    Returns:
        The trainer as it is after that epoch; None if it was stopped before, or the loss became no number.

    Raises:
        DatasetError: There are too few pictures for a batch, or no votes for them.
        UserError: The network that it starts with, or a teacher, is none that can be taken.
    """
    config = run.config
    if not count_batches(len(train_split), config["batch_size"], workers.world):
        raise DatasetError(
            f"{len(train_split)} training pictures, {config['batch_size']} a step and process, make no batch of two "
            "or more for each process: raise --batch-size, or --limit"
        )
    if config["votes"]:
        train_split.votes = load_votes(Path(config["votes"]), train_split.names)
    trainer = _make_trainer(run, train_split, class_names, workers, device, compile_mode)
    if config["teachers"]:
        train_split.answers = _teachers_answers(run, train_split, class_names, device, stop)
        if train_split.answers is None:
            run.write_last(trainer)
            run.log_stop(stop.reason, "while the teachers were asked")
            return None
    train_split = train_split.to(device)
    try:
        if config["fit_minutes"] and trainer.progress.steps == 0:
            _fit_epochs(run, trainer, train_split, val_split, stop)
    except TrainingDiverged as error:
        run.log(f"stopped: {error}; try a smaller --lr")
        return None
    _log_start(run, trainer, train_split, val_split, why)
    return trainer if train_epochs(run, trainer, train_split, val_split, stop) else None


def _make_trainer(
    run: Run, train_split: Split, class_names: list[str], workers: Workers, device: torch.device, compile_mode: str
) -> Trainer:
    """The network that the settings ask for, in training: at its start, or where the run stands."""
    config, spec = run.config, make_input_spec(run.config["input_size"])
    precision = choose_precision(config["precision"], device)
    torch.manual_seed(config["seed"])
    network = start_network(
        "scratch" if run.was_begun else config["init"],
        arch=config["arch"], head=config["head"], width=config["width"],
        num_classes=len(class_names), dropout=config["dropout"], class_names=class_names,
        pictures=train_split.pictures[:: len(train_split) // 512 + 1], input_spec=spec,
    )  # fmt: skip
    trainer = Trainer(
        network.to(device).to(memory_format=torch.channels_last), class_names, spec,
        Augmentation(config["input_size"], **{name: config[name] for name in AUGMENTATION_FLAGS}),
        Recipe(**{name: config[name] for name in RECIPE_FLAGS}, precision=precision),
        workers, with_votes=bool(config["votes"]), compile_mode=compile_mode,
    )  # fmt: skip
    if run.was_begun:
        trainer.load_state_dict(run.read_last())
    return trainer


def _teachers_answers(
    run: Run, split: Split, class_names: list[str], device: torch.device, stop: StopSignal
) -> torch.Tensor | None:
    """What the teachers say of the training pictures, asked once a run; None if stopped meanwhile."""
    kept = run.folder / "teachers.pt"
    if kept.is_file():
        return read_weights_file(kept)["answers"]
    teachers = [Path(path) for path in run.config["teachers"]]
    run.log(f"asking {', '.join(map(str, teachers))} about {len(split)} pictures, which on a CPU takes minutes")
    answers = ask_teachers(teachers, split, class_names, device, stop.asked)
    if run.writes and answers is not None:
        save_atomically(kept, {"answers": answers})
    return answers


def _fit_epochs(run: Run, trainer: Trainer, split: Split, val_split: Split, stop: StopSignal) -> None:
    """Makes the epochs as few as --fit-minutes says, before the first one, and writes that into the settings.

    What is behind already (reading, asking teachers, compiling) counts, as do val after each epoch and the report.
    """
    speed = trainer.measure_speed(split)
    started = time.monotonic()
    trainer.evaluate(val_split)
    looking = time.monotonic() - started
    left = FIT_SHARE * (60 * run.config["fit_minutes"] - stop.seconds() - 2 * looking)
    fitting = trainer.workers.gather(max(1, int(left / (len(split) / speed + looking))))[0]
    run.log(
        f"{speed:.0f} pictures/s: {fitting} epochs fit into {run.config['fit_minutes']:g} minutes; "
        f"training for {min(fitting, run.config['epochs'])}"
    )
    run.config["epochs"] = min(fitting, run.config["epochs"])
    run.write_json("config.json", run.config)
    trainer.recipe = replace(trainer.recipe, epochs=run.config["epochs"])


def _log_start(run: Run, trainer: Trainer, train_split: Split, val_split: Split, why: Sequence[str]) -> None:
    """Says what is trained on what; and why on this device and in this precision, where the flags left that open."""
    config, network, device, precision = run.config, trainer.network, trainer.device, trainer.recipe.precision
    reasons = [*why, explain_precision(precision, device)] if config["precision"] == "auto" else why
    run.log(
        f"{len(train_split)} train and {len(val_split)} val pictures; {network.arch}, head {network.head}, "
        f"input {config['input_size']}, {precision} on {_describe(device, trainer.workers)}{because(*reasons)}; "
        f"epochs {trainer.progress.epoch + 1} to {trainer.recipe.epochs}, into {run.folder}"
    )


def _describe(device: torch.device, workers: Workers) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"a CPU, {torch.get_num_threads()} threads"
    return name if workers.world == 1 else f"{workers.world} processes, each on {name}"
