"""train.py's flags: what each takes and why its default stands where it stands, and what does not go together.

>>> arguments = read_flags(new_parser("Train a network"), ["--epochs", "10"])
>>> arguments.epochs, arguments.batch_size
(10, 64)
"""

import argparse
from fractions import Fraction
from pathlib import Path

from models.architectures import OWN
from models.checkpoint import SHIPPED_CHECKPOINT
from models.command_line import PRECISIONS, not_negative, positive
from models.datasets.layouts import SPLITS
from models.errors import UserError
from models.training.augmentation import Augmentation
from models.training.compiling import COMPILE_MODES
from models.training.recipe import BALANCES
from models.training.settings import RESUME_MAY_CHANGE
from models.vgg16 import HEADS, WidthError, check_width
from models.views import TTA_MODES

RUNS = Path("output/train")


def read_flags(parser: argparse.ArgumentParser, argv: list[str] | None = None) -> argparse.Namespace:
    """Adds train.py's flags to a parser, reads them and refuses what does not go together.

    Args:
        argv: The flags as typed; None for those of the command line.

    Raises:
        UserError: A network is to be trained in int8.
    """
    for add_flags in (
        _add_data_flags, _add_fold_flags, _add_model_flags, _add_optimisation_flags, _add_augmentation_flags,
        _add_system_flags, _add_output_flags, _add_evaluation_flags,
    ):  # fmt: skip
        add_flags(parser)
    arguments = parser.parse_args(argv)
    _refuse_contradictions(parser, arguments)
    if arguments.resume:
        _refuse_changes_on_resume(parser, arguments)
    return arguments


def _add_data_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument("--data", type=Path, default=Path("data"), help="folder made by preprocess.py")
    group.add_argument(
        "--limit", type=positive(int), metavar="N", help="use N pictures of each split, to try things out"
    )
    group.add_argument(
        "--val-share", type=_val_share, metavar="SHARE",
        help="where --data has no val: take this share of train for it, by person where file names tell",
    )  # fmt: skip
    group.add_argument(
        "--skip-unreadable", action="store_true", help="leave pictures out that cannot be read, and count them"
    )
    # Rare classes are missed: of FER2013 1.5 % are disgusted. What is gained on those is lost on the others.
    group.add_argument(
        "--balance", choices=BALANCES, default="none",
        help="let rare classes count more: weights, by the root of their rarity in the loss; sampling, all alike, by "
        "how often a picture is drawn",
    )  # fmt: skip
    group.add_argument(
        "--group-pattern", metavar="REGEX",
        help="who is in a picture, for --folds and --val-share: the expression's groups, joined, matched against the "
        "beginning of the file's name; by default what stands before the first _, as in S005_001_00000011.png, and "
        "known of RaFD, KDEF and JAFFE",
    )  # fmt: skip
    group.add_argument(
        "--votes", type=Path, metavar="CSV",
        help="FER+'s fer2013new.csv: how ten people voted, a second target in training",
    )  # fmt: skip
    group.add_argument(
        "--teachers", type=Path, nargs="+", metavar="CHECKPOINT",
        help="trained networks whose averaged answers are a part of the target (distillation)",
    )  # fmt: skip


def _add_fold_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("cross-validation")
    group.add_argument(
        "--folds", type=_folds, metavar="K",
        help="train K times, each time on all but a K-th of the people, and test on those; --data is then one folder "
        "with a folder a class directly in it (of a folder with train/ in it, name one split: data/train)",
    )  # fmt: skip


def _add_model_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--arch", default=OWN, metavar="NAME",
        help="vgg16, with BatchNorm, or another of torchvision's classifiers: resnet18, mobilenet_v2, densenet121, "
        "efficientnet_b0, convnext_tiny and more",
    )  # fmt: skip
    group.add_argument(
        "--init",
        default="imagenet",
        help="start weights: imagenet (downloaded), scratch, or the path of a checkpoint or of torchvision's weights",
    )
    group.add_argument(
        "--head", choices=HEADS, default="gap",
        help="of vgg16: gap is light and takes any input size, fc is the classic 4096-4096",
    )  # fmt: skip
    group.add_argument(
        "--width", type=_width, default=1.0, metavar="SHARE",
        help="of vgg16: the share of each convolution's channels that there are; 1/4 computes a sixteenth",
    )  # fmt: skip
    # VGG16's own input. Small inputs train many times as fast: the cost goes with the square.
    group.add_argument("--input-size", type=_size, default=224, metavar="PIXELS", help="side of the crops, 32 or more")
    group.add_argument("--dropout", type=_share, default=0.5, help="dropout in the head")
    group.add_argument(
        "--freeze-blocks", type=int, choices=range(6), default=0,
        help="keep the first N of vgg16's five blocks as they start",
    )  # fmt: skip


def _add_optimisation_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("optimisation (SGD with Nesterov momentum, cosine schedule)")
    group.add_argument("--epochs", type=positive(int), default=40, help="of which the best on val is kept")
    group.add_argument(
        "--fit-minutes", type=positive(float), metavar="M",
        help="train for fewer epochs where --epochs would take longer than M minutes here, by a short measurement",
    )  # fmt: skip
    group.add_argument("--batch-size", type=positive(int), default=64, help="pictures a step and process")
    group.add_argument("--lr", type=positive(float), default=0.01, help="peak learning rate")
    group.add_argument("--warmup-epochs", type=not_negative, default=0.5, help="epochs of linear warm-up")
    group.add_argument("--momentum", type=_share, default=0.9)
    group.add_argument("--weight-decay", type=not_negative, default=5e-4, help="on matrices and kernels only")
    # FER+'s ten annotators, where they agree, confirm 72 % of FER2013's labels: certainty must not be learned from
    # them.
    group.add_argument("--label-smoothing", type=_share, default=0.1)
    group.add_argument(
        "--votes-weight", type=positive(float), default=0.5, help="of the votes' loss beside the labels'"
    )
    group.add_argument(
        "--teachers-weight", type=_share, default=0.5, help="of the teachers' answers in the target, the label the rest"
    )
    group.add_argument(
        "--ema-decay", type=_share, default=0.998, help="of the averaged weights, which are what is kept"
    )


def _add_augmentation_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("augmentation (crop 224/240 and mirror image always)")
    defaults = Augmentation(size=224)
    group.add_argument("--rotation", type=not_negative, default=defaults.rotation, help="largest, degrees")
    group.add_argument("--scale", type=_share, default=defaults.scale, help="largest change of scale")
    group.add_argument("--shift", type=_share, default=defaults.shift, help="largest shift beyond the crop's")
    group.add_argument(
        "--brightness", type=_share, default=defaults.brightness, help="largest change of brightness and contrast"
    )
    group.add_argument(
        "--corruption", type=_share, default=defaults.corruption, metavar="SHARE",
        help="share of the pictures to spoil as cameras do: noise, blur, bad light, JPEG, something in front",
    )  # fmt: skip
    group.add_argument("--erasing", type=_share, default=defaults.erasing, help="probability of erasing a rectangle")
    group.add_argument(
        "--mixup", type=not_negative, default=0.0, metavar="ALPHA",
        help="blend each picture and its target with another's, by a share from Beta(ALPHA, ALPHA); 0 for none",
    )  # fmt: skip


def _add_system_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("system")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    group.add_argument("--precision", choices=PRECISIONS, default="auto", help="int8 with --evaluate alone")
    # What compiling costs, half a minute and more at the start, small networks and long runs on a GPU earn back.
    group.add_argument(
        "--compile", choices=COMPILE_MODES, default="off",
        help="torch.compile the network: default fuses operations, reduce-overhead also replays them as CUDA graphs",
    )  # fmt: skip
    group.add_argument("--seed", type=_seed, default=0)
    group.add_argument(
        "--max-minutes", type=positive(float), metavar="M", help="stop after M minutes; --resume goes on"
    )


def _add_output_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output", type=Path, default=RUNS,
        help="folder of the run folders; with --export the file, by default output/<checkpoint's name>.onnx",
    )  # fmt: skip
    group.add_argument(
        "--resume", nargs="?", const="latest", metavar="RUN", help="go on with a run folder, by default the latest"
    )


def _add_evaluation_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("evaluation and export")
    instead = group.add_mutually_exclusive_group()
    instead.add_argument("--evaluate", action="store_true", help="evaluate a checkpoint instead of training")
    instead.add_argument(
        "--export", choices=("onnx",), help="write a checkpoint's network for other programs instead of training"
    )
    group.add_argument(
        "--checkpoint", type=Path, default=SHIPPED_CHECKPOINT, help="the checkpoint to evaluate or export"
    )
    group.add_argument("--split", choices=SPLITS, default="val")
    group.add_argument(
        "--tta", choices=TTA_MODES, default="flip",
        help="views averaged: the centre, with its mirror image, or ten crops",
    )  # fmt: skip


def _refuse_contradictions(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
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


def _refuse_changes_on_resume(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    changed = [
        "--" + name.replace("_", "-")
        for name, value in vars(arguments).items()
        if name not in (*RESUME_MAY_CHANGE, "output", "evaluate") and value != parser.get_default(name)
    ]
    if changed:
        parser.error(f"--resume goes on with the run's own settings: leave out {', '.join(changed)}")


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
