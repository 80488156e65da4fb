"""What train.py does with a finished network instead of training one: it evaluates it, or exports it.

>>> evaluate(read_flags(parser, ["--evaluate", "--split", "val"]))     # the report, in JSON, on stdout
0
>>> export(read_flags(parser, ["--export", "onnx"]))                    # output/vgg16_fer2013.onnx
0
"""

import argparse
import json
import sys
import time
from pathlib import Path

from models.checkpoint import build_network, load_checkpoint
from models.command_line import DONE, tell_choices
from models.device import choose_device
from models.errors import DatasetError
from models.export import ExportError, export_onnx
from models.inference import choose_precision, prepare_for_inference
from models.training.dataset import find_copies, load_split
from models.training.flags import RUNS
from models.training.metrics import cross_fitted_calibration_error, format_report
from models.training.report import make_report
from models.training.settings import val_share
from models.views import average_views, predict_logits

EXPORT_CHECKED_ON = 256  # pictures


def evaluate(arguments: argparse.Namespace) -> int:
    """Evaluates a checkpoint on a split: a table on stderr, the report as one line of JSON on stdout."""
    device = choose_device(arguments.device)
    checkpoint = load_checkpoint(arguments.checkpoint)
    spec, class_names = checkpoint["input"], checkpoint["class_names"]
    split = load_split(
        arguments.data, arguments.split, spec["resize"], arguments.limit, class_names,
        val_share(vars(arguments)), arguments.skip_unreadable,
    )  # fmt: skip
    for fault in split.unreadable:
        print(f"left out: {fault}", file=sys.stderr)
    network = build_network(checkpoint)
    precision = choose_precision(arguments.precision, device, network)
    tell_choices(arguments, device, precision, network, threads=False)
    ready = prepare_for_inference(network, device, precision, spec)
    started = time.perf_counter()
    logits = predict_logits(ready, split.pictures, spec, arguments.tta)
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
    return DONE


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
    return DONE
