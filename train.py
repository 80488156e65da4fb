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
import json
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from models.packages import check_packages

if __name__ == "__main__":
    check_packages("cv2")  # before the imports that need them

import torch  # after models, which tells its threads how to wait

from models.architectures import OWN, check_input_size
from models.checkpoint import (
    SHIPPED_CHECKPOINT,
    build_network,
    load_checkpoint,
    read_weights_file,
    save_atomically,
)
from models.command_line import (
    DONE,
    IN_PART,
    PRECISIONS,
    leave,
    new_parser,
    not_negative,
    positive,
    script,
    tell_precision,
)
from models.datasets.layouts import SPLITS
from models.device import choose_device, choose_precision, make_ready_to_train
from models.errors import DatasetError, UserError
from models.export import ExportError, export_onnx
from models.files import locked
from models.training.augmentation import Augmentation
from models.training.dataset import PICTURE_SIDE, Split, count_batches, find_copies, load_split, read_pictures
from models.training.folder import ValShare, absent_classes, find_classes, find_split, list_split
from models.training.folds import FoldPlan, cross_validate, plan_folds
from models.training.loop import BALANCES, COMPILE_MODES, Recipe, Trainer, TrainingDiverged
from models.training.metrics import cross_fitted_calibration_error, format_report
from models.training.run import Run, StopSignal, make_report, report_best, train_epochs
from models.training.start import start_network
from models.training.teachers import ask_teachers
from models.training.votes import load_votes
from models.training.workers import Workers, join_workers
from models.vgg16 import HEADS, WidthError, check_width, prepare_for_inference
from models.views import TTA_MODES, average_views, make_input_spec, predict_logits

AUGMENTATION_FLAGS = ("rotation", "scale", "shift", "brightness", "corruption", "erasing")
RECIPE_FLAGS = (
    "epochs", "batch_size", "lr", "warmup_epochs", "momentum", "weight_decay", "label_smoothing", "mixup",
    "votes_weight", "teachers_weight", "ema_decay", "freeze_blocks", "seed", "balance",
)  # fmt: skip
# What --resume may change of a run; all else stands in its config.json.
RESUME_MAY_CHANGE = ("resume", "device", "compile", "max_minutes")
RUNS = Path("output/train")
EXPORT_CHECKED_ON = 256  # pictures
FIT_SHARE = 0.9  # of what is left of --fit-minutes: the rest is for saving, and for what slows down


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    data = parser.add_argument_group("data")
    data.add_argument("--data", type=Path, default=Path("data"), help="folder made by preprocess.py")
    data.add_argument(
        "--limit", type=positive(int), metavar="N", help="use N pictures of each split, to try things out"
    )
    data.add_argument(
        "--val-share", type=_val_share, metavar="SHARE",
        help="where --data has no val: take this share of train for it, by person where file names tell",
    )  # fmt: skip
    data.add_argument(
        "--skip-unreadable", action="store_true", help="leave pictures out that cannot be read, and count them"
    )
    # Rare classes are missed: of FER2013 1.5 % are disgusted. What is gained on those is lost on the others.
    data.add_argument(
        "--balance", choices=BALANCES, default="none",
        help="let rare classes count more: weights, by the root of their rarity in the loss; sampling, all alike, by "
        "how often a picture is drawn",
    )  # fmt: skip
    data.add_argument(
        "--group-pattern", metavar="REGEX",
        help="who is in a picture, for --folds and --val-share: the expression's groups, joined, matched against the "
        "beginning of the file's name; by default what stands before the first _, as in S005_001_00000011.png, and "
        "known of RaFD, KDEF and JAFFE",
    )  # fmt: skip
    data.add_argument(
        "--votes", type=Path, metavar="CSV",
        help="FER+'s fer2013new.csv: how ten people voted, a second target in training",
    )  # fmt: skip
    data.add_argument(
        "--teachers", type=Path, nargs="+", metavar="CHECKPOINT",
        help="trained networks whose averaged answers are a part of the target (distillation)",
    )  # fmt: skip

    folds = parser.add_argument_group("cross-validation")
    folds.add_argument(
        "--folds", type=_folds, metavar="K",
        help="train K times, each time on all but a K-th of the people, and test on those; --data is then one folder "
        "with a folder a class directly in it (of a folder with train/ in it, name one split: data/train)",
    )  # fmt: skip
    model = parser.add_argument_group("model")
    model.add_argument(
        "--arch", default=OWN, metavar="NAME",
        help="vgg16, with BatchNorm, or another of torchvision's classifiers: resnet18, mobilenet_v2, densenet121, "
        "efficientnet_b0, convnext_tiny and more",
    )  # fmt: skip
    model.add_argument(
        "--init",
        default="imagenet",
        help="start weights: imagenet (downloaded), scratch, or the path of a checkpoint or of torchvision's weights",
    )
    model.add_argument(
        "--head", choices=HEADS, default="gap",
        help="of vgg16: gap is light and takes any input size, fc is the classic 4096-4096",
    )  # fmt: skip
    model.add_argument(
        "--width", type=_width, default=1.0, metavar="SHARE",
        help="of vgg16: the share of each convolution's channels that there are; 1/4 computes a sixteenth",
    )  # fmt: skip
    # VGG16's own input. Small inputs train many times as fast: the cost goes with the square.
    model.add_argument("--input-size", type=_size, default=224, metavar="PIXELS", help="side of the crops, 32 or more")
    model.add_argument("--dropout", type=_share, default=0.5, help="dropout in the head")
    model.add_argument(
        "--freeze-blocks", type=int, choices=range(6), default=0,
        help="keep the first N of vgg16's five blocks as they start",
    )  # fmt: skip

    optimisation = parser.add_argument_group("optimisation (SGD with Nesterov momentum, cosine schedule)")
    optimisation.add_argument("--epochs", type=positive(int), default=40, help="of which the best on val is kept")
    optimisation.add_argument(
        "--fit-minutes", type=positive(float), metavar="M",
        help="train for fewer epochs where --epochs would take longer than M minutes here, by a short measurement",
    )  # fmt: skip
    optimisation.add_argument("--batch-size", type=positive(int), default=64, help="pictures a step and process")
    optimisation.add_argument("--lr", type=positive(float), default=0.01, help="peak learning rate")
    optimisation.add_argument("--warmup-epochs", type=not_negative, default=0.5, help="epochs of linear warm-up")
    optimisation.add_argument("--momentum", type=_share, default=0.9)
    optimisation.add_argument("--weight-decay", type=not_negative, default=5e-4, help="on matrices and kernels only")
    # FER+'s ten annotators, where they agree, confirm 72 % of FER2013's labels: certainty must not be learned from
    # them.
    optimisation.add_argument("--label-smoothing", type=_share, default=0.1)
    optimisation.add_argument(
        "--votes-weight", type=positive(float), default=0.5, help="of the votes' loss beside the labels'"
    )
    optimisation.add_argument(
        "--teachers-weight", type=_share, default=0.5, help="of the teachers' answers in the target, the label the rest"
    )
    optimisation.add_argument(
        "--ema-decay", type=_share, default=0.998, help="of the averaged weights, which are what is kept"
    )

    augmentation = parser.add_argument_group("augmentation (crop 224/240 and mirror image always)")
    defaults = Augmentation(size=224)
    augmentation.add_argument("--rotation", type=not_negative, default=defaults.rotation, help="largest, degrees")
    augmentation.add_argument("--scale", type=_share, default=defaults.scale, help="largest change of scale")
    augmentation.add_argument("--shift", type=_share, default=defaults.shift, help="largest shift beyond the crop's")
    augmentation.add_argument(
        "--brightness", type=_share, default=defaults.brightness, help="largest change of brightness and contrast"
    )
    augmentation.add_argument(
        "--corruption", type=_share, default=defaults.corruption, metavar="SHARE",
        help="share of the pictures to spoil as cameras do: noise, blur, bad light, JPEG, something in front",
    )  # fmt: skip
    augmentation.add_argument(
        "--erasing", type=_share, default=defaults.erasing, help="probability of erasing a rectangle"
    )
    augmentation.add_argument(
        "--mixup", type=not_negative, default=0.0, metavar="ALPHA",
        help="blend each picture and its target with another's, by a share from Beta(ALPHA, ALPHA); 0 for none",
    )  # fmt: skip

    system = parser.add_argument_group("system")
    system.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    system.add_argument("--precision", choices=PRECISIONS, default="auto", help="int8 with --evaluate alone")
    # What compiling costs, half a minute and more at the start, small networks and long runs on a GPU earn back.
    system.add_argument(
        "--compile", choices=COMPILE_MODES, default="off",
        help="torch.compile the network: default fuses operations, reduce-overhead also replays them as CUDA graphs",
    )  # fmt: skip
    system.add_argument("--seed", type=_seed, default=0)
    system.add_argument(
        "--max-minutes", type=positive(float), metavar="M", help="stop after M minutes; --resume goes on"
    )

    output = parser.add_argument_group("output")
    output.add_argument(
        "--output", type=Path, default=RUNS,
        help="folder of the run folders; with --export the file, by default output/<checkpoint's name>.onnx",
    )  # fmt: skip
    output.add_argument(
        "--resume", nargs="?", const="latest", metavar="RUN", help="go on with a run folder, by default the latest"
    )

    evaluation = parser.add_argument_group("evaluation and export")
    instead = evaluation.add_mutually_exclusive_group()
    instead.add_argument("--evaluate", action="store_true", help="evaluate a checkpoint instead of training")
    instead.add_argument(
        "--export", choices=("onnx",), help="write a checkpoint's network for other programs instead of training"
    )
    evaluation.add_argument(
        "--checkpoint", type=Path, default=SHIPPED_CHECKPOINT, help="the checkpoint to evaluate or export"
    )
    evaluation.add_argument("--split", choices=SPLITS, default="val")
    evaluation.add_argument(
        "--tta", choices=TTA_MODES, default="flip",
        help="views averaged: the centre, with its mirror image, or ten crops",
    )  # fmt: skip

    arguments = parser.parse_args(argv)
    if arguments.folds and arguments.teachers:
        parser.error("--teachers may have been trained on the people that a fold tests: leave them out with --folds")
    if arguments.folds and arguments.fit_minutes:
        parser.error("--fit-minutes would give each fold its own number of epochs: name --epochs with --folds")
    if arguments.folds and arguments.val_share:
        parser.error("--val-share is for training on all but a share once, and --folds does that K times: take one")
    if arguments.precision == "int8" and not arguments.evaluate:
        raise UserError("int8 is for --evaluate and the demos: train in --precision auto, fp32 or bf16")
    if arguments.arch != OWN and (arguments.freeze_blocks or arguments.head != "gap" or arguments.width != 1):
        parser.error("--freeze-blocks, --head and --width are vgg16's: leave them out with another --arch")
    if arguments.resume:
        _refuse_changes_on_resume(parser, arguments)
    return arguments


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share from 0 to 1, 1 excluded")
    return value


def _val_share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 0.5:
        raise argparse.ArgumentTypeError(f"{text} is not a share above 0, 0.5 at most")
    return value


def _width(text: str) -> float:
    try:
        width = float(Fraction(text) if "/" in text else text)
    except (ZeroDivisionError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text} is no number") from error
    try:
        check_width(width)
    except WidthError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return width


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {2**32 - 1}")
    return value


def _folds(text: str) -> int:
    value = int(text)
    if value < 2:
        raise argparse.ArgumentTypeError(f"{text} is too few: some people train, others test, so 2 folds or more")
    return value


def _size(text: str) -> int:
    value = int(text)
    if not 32 <= value <= 1024:
        raise argparse.ArgumentTypeError(f"{text} is not from 32 to 1024: five poolings need 32 pixels or more")
    return value


def _refuse_changes_on_resume(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    changed = [
        "--" + name.replace("_", "-")
        for name, value in vars(arguments).items()
        if name not in (*RESUME_MAY_CHANGE, "output", "evaluate") and value != parser.get_default(name)
    ]
    if changed:
        parser.error(f"--resume goes on with the run's own settings: leave out {', '.join(changed)}")


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


def evaluate(arguments: argparse.Namespace) -> int:
    """Evaluates a checkpoint on a split: a table on stderr, the report as one line of JSON on stdout."""
    device = choose_device(arguments.device)
    checkpoint = load_checkpoint(arguments.checkpoint)
    spec, class_names = checkpoint["input"], checkpoint["class_names"]
    split = load_split(
        arguments.data, arguments.split, spec["resize"], arguments.limit, class_names,
        _shares(vars(arguments)), arguments.skip_unreadable,
    )  # fmt: skip
    for fault in split.unreadable:
        print(f"left out: {fault}", file=sys.stderr)
    network = build_network(checkpoint)
    precision = choose_precision(arguments.precision, device, network)
    tell_precision(device, precision, "")
    network = prepare_for_inference(network, device, precision, spec)
    started = time.perf_counter()
    logits = predict_logits(network, split.pictures, spec, arguments.tta)
    report = make_report(logits, split, class_names, arguments.split, arguments.tta, checkpoint["temperature"])
    report["seconds"] = round(time.perf_counter() - started, 2)
    if arguments.split == "val":  # on which the temperature was fitted
        report["cross_fitted_calibration_error"] = cross_fitted_calibration_error(logits, split.targets)
    if arguments.split != "train":  # FER2013's splits share some pictures
        own = ~find_copies(arguments.data, arguments.split, split.names)
        if own.any() and not own.all():
            right = average_views(logits, checkpoint["temperature"]).argmax(1) == split.targets
            report["without_copies"] = {"accuracy": float(right.numpy()[own].mean()), "n": int(own.sum())}
    print(format_report(report), file=sys.stderr)
    print(json.dumps(report))
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Writes a checkpoint's network as an ONNX file, checked on val pictures if there are any, else on random ones."""
    checkpoint = load_checkpoint(arguments.checkpoint)
    path = Path("output") / f"{arguments.checkpoint.stem}.onnx" if arguments.output == RUNS else arguments.output
    if path.is_dir():
        raise ExportError(f"{path} is a folder: --output takes the file to write, {path / 'network.onnx'} for example")
    try:
        side, names = checkpoint["input"]["resize"], checkpoint["class_names"]
        split = load_split(arguments.data, "val", side, EXPORT_CHECKED_ON, names)
        pictures, checked_on = split.pictures, f"{len(split)} val pictures"
    except DatasetError:
        pictures, checked_on = None, "random pictures"
    difference = export_onnx(checkpoint, path, pictures)
    print(f"wrote {path}: on {checked_on} its probabilities differ from the network's by {difference:.1e} at most")
    return 0


def train(arguments: argparse.Namespace, workers: Workers, device: torch.device) -> int:
    """Trains, or goes on training, into a run folder."""
    stop = StopSignal(arguments.max_minutes, workers, device)
    resumed = Run.resume(arguments.resume, arguments.output, workers) if arguments.resume else None
    config = _config(arguments)
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
            list_split(data, split, class_names, _shares(config))
    run = resumed or Run.start(config, arguments.output, workers)
    with locked(run.folder / ".lock", run.folder) if run.writes else nullcontext():
        return _train(run, plan, class_names, workers, device, stop, arguments.compile)


def _train(
    run: Run, plan: FoldPlan | None, class_names: list[str],
    workers: Workers, device: torch.device, stop: StopSignal, compile_mode: str,
) -> int:  # fmt: skip
    config = run.config
    data, limit, test_side = Path(config["data"]), config["limit"], make_input_spec(config["input_size"])["resize"]
    make_ready_to_train(device)
    fit = partial(_fit, workers=workers, device=device, stop=stop, compile_mode=compile_mode)
    if plan:
        fit = partial(fit, class_names=plan.class_names)
        return DONE if cross_validate(run, plan, fit, test_side, stop) else IN_PART

    shares, skip = _shares(config), config["skip_unreadable"]
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
    with stop:
        trainer = fit(run, train_split, val_split, class_names)
    if trainer is None:
        return IN_PART
    report_best(run, trainer, val_split)
    return DONE


def _fit(
    run: Run, train_split: Split, val_split: Split, class_names: list[str],
    *, workers: Workers, device: torch.device, stop: StopSignal, compile_mode: str,
) -> Trainer | None:  # fmt: skip
    """Trains a run from where it stands to its last epoch; None if it was stopped before."""
    config, precision = run.config, choose_precision(run.config["precision"], device)
    if not count_batches(len(train_split), config["batch_size"], workers.world):
        raise DatasetError(
            f"{len(train_split)} training pictures, {config['batch_size']} a step and process, make no batch of two "
            "or more for each process: raise --batch-size, or --limit"
        )
    spec = make_input_spec(config["input_size"])
    if config["votes"]:
        train_split.votes = load_votes(Path(config["votes"]), train_split.names)
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
    run.log(
        f"{len(train_split)} train and {len(val_split)} val pictures; {network.arch}, head {network.head}, "
        f"input {config['input_size']}, {precision} on {_describe(device, workers)}; "
        f"epochs {trainer.progress.epoch + 1} to {trainer.recipe.epochs}, into {run.folder}"
    )
    return trainer if train_epochs(run, trainer, train_split, val_split, stop) else None


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


def _shares(config: dict[str, Any]) -> ValShare | None:
    return ValShare(config["val_share"], config["group_pattern"]) if config["val_share"] else None


def _config(arguments: argparse.Namespace) -> dict[str, Any]:
    """The flags that say what a run is, as plain values."""
    elsewhere = ("evaluate", "export", "checkpoint", "split", "tta", "output", *RESUME_MAY_CHANGE)
    config = {name: value for name, value in vars(arguments).items() if name not in elsewhere}
    return json.loads(json.dumps(config, default=str))  # paths as text


def _describe(device: torch.device, workers: Workers) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"a CPU, {torch.get_num_threads()} threads"
    return name if workers.world == 1 else f"{workers.world} processes, each on {name}"


if __name__ == "__main__":
    leave(main())
