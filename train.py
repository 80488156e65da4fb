#!/usr/bin/env python3
"""Train a network on the seven expressions; or evaluate or export a checkpoint.

    python train.py                                     # data/ → output/train/<time>/, on a GPU if there is one
    python train.py --input-size 96 --epochs 10         # what a CPU does in some hours
    python train.py --arch resnet18                     # another of torchvision's networks in VGG16's place
    python train.py --resume                            # go on with the run that was stopped last
    python train.py --evaluate --split val --tta flip   # the shipped weights on data/val
    python train.py --data rafdb --val-share 0.1        # a set without val/, see preprocess.py
    python train.py --data ck --folds 10                # cross-validation by person on a folder of class folders
    python train.py --export onnx                       # the shipped weights → output/vgg16_fer2013.onnx
    torchrun --nproc-per-node 4 train.py                # four GPUs

A run folder holds config.json, train.log, metrics.csv (a row an epoch), curves.png, best.pt (the averaged weights
that did best on val, float16), last.pt (everything, to go on from), confusion_matrix.png and report.json. Epochs
and settings are chosen on val alone; test, where there is one, is evaluated once, on the weights chosen.

With --folds it holds a folder a fold and, at the end, folds.json: accuracy, balanced accuracy and macro F1 of each
fold, their mean and standard deviation. No fold chooses its epoch: the weights after the last one are tested, since
choosing on the fold that is reported would flatter.

Exit code: 0 done; 1 stopped before the end, --resume goes on; 2 wrong use or something missing; 130 stopped by Ctrl-C
before or after training.
"""

import argparse
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from models.packages import check_packages

if __name__ == "__main__":
    check_packages("cv2")  # before the imports that need them

import torch  # after models, which tells its threads how to wait

from models.architectures import check_input_size
from models.command_line import DONE, IN_PART, leave, new_parser, script
from models.datasets.layouts import SPLITS
from models.device import explain_device, make_ready_to_train
from models.errors import DatasetError, UserError
from models.files import locked
from models.training.dataset import PICTURE_SIDE, Split, load_split, read_pictures
from models.training.evaluation import evaluate, export
from models.training.fit import fit
from models.training.flags import read_flags
from models.training.folder import absent_classes, find_classes, find_split, list_split
from models.training.folds import FoldPlan, cross_validate, plan_folds
from models.training.loop import Trainer
from models.training.report import report_best
from models.training.run import Run
from models.training.settings import run_settings, val_share
from models.training.stop import StopSignal
from models.training.workers import Workers, join_workers
from models.views import make_input_spec


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    return read_flags(new_parser(__doc__), argv)


@script
def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    if arguments.evaluate:
        return evaluate(arguments)
    if arguments.export:
        return export(arguments)
    try:
        with join_workers(arguments.device) as (workers, device):
            return train(arguments, workers, device)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"the GPU's memory is full ({str(error).splitlines()[0]}): take a smaller --batch-size or --input-size, "
            "or end what else runs on it"
        ) from error


def train(arguments: argparse.Namespace, workers: Workers, device: torch.device) -> int:
    """Trains, or goes on training, into a run folder."""
    stop = StopSignal(arguments.max_minutes, workers, device)
    resumed = Run.resume(arguments.resume, arguments.output, workers) if arguments.resume else None
    config = run_settings(arguments)
    if resumed:  # one begun by an older version lacks the newer flags
        config = resumed.config = {**config, **resumed.config}
    data = Path(config["data"])
    # What is missing is said before a folder is made.
    check_input_size(config["arch"], config["input_size"])
    plan, class_names = None, []
    if config.get("folds"):
        plan = plan_folds(data, config["folds"], config["group_pattern"], config["seed"], config["limit"])
    else:
        class_names = find_classes(data)
        for split in SPLITS[: 3 if find_split(data, "test") else 2]:
            list_split(data, split, class_names, val_share(config))
    make_ready_to_train(device)
    run = resumed or Run.start(config, arguments.output, workers)
    with locked(run.folder / ".lock", run.folder) if run.writes else nullcontext():
        fit_here = partial(
            fit, workers=workers, device=device, stop=stop, compile_mode=arguments.compile,
            why=[explain_device(device)] if arguments.device == "auto" else [],
        )  # fmt: skip
        return _train(run, plan, class_names, fit_here, stop)


def _train(
    run: Run, plan: FoldPlan | None, class_names: list[str], fit_here: Callable[..., Trainer | None], stop: StopSignal
) -> int:
    """Trains what `train` has looked at: fold after fold, or once."""
    test_side = make_input_spec(run.config["input_size"])["resize"]
    if plan:
        fit_fold = partial(fit_here, class_names=plan.class_names)
        return DONE if cross_validate(run, plan, fit_fold, test_side, stop) else IN_PART
    train_split, val_split = _read_splits(run, class_names, test_side)
    with stop:
        trainer = fit_here(run, train_split, val_split, class_names)
    if trainer is None:
        return IN_PART
    report_best(run, trainer, val_split)
    return DONE


def _read_splits(run: Run, class_names: list[str], test_side: int) -> tuple[Split, Split]:
    """Decodes train and val, and says what a person should know of them."""
    data, limit, skip = Path(run.config["data"]), run.config["limit"], run.config["skip_unreadable"]
    shares = val_share(run.config)
    train_split = load_split(data, "train", PICTURE_SIDE, limit, class_names, shares, skip)
    val_listing = list_split(data, "val", class_names, shares)
    val_split = read_pictures(val_listing.limited(limit), test_side, "val", skip)
    if absent := absent_classes(data, class_names):
        run.log(f"beware: {data} has no training picture of {', '.join(absent)}: training on the other classes alone")
    if gone := set(range(len(class_names))) - set(train_split.targets.tolist()):
        lost = ", ".join(class_names[number] for number in sorted(gone))
        if not limit:
            raise DatasetError(f"no training picture of {lost} can be read: mend some, or move the class away")
    run.log_unreadable(train_split)
    run.log_unreadable(val_split)
    if shares:
        run.keep_val([f"{file.parent.name}/{file.name}" for file in val_listing.files])
    if val_listing.remark:
        run.log(f"beware: {val_listing.remark}")
    return train_split, val_split


if __name__ == "__main__":
    leave(main())
