"""What a finished run reports: its best weights, calibrated on val, on val and once on test.

>>> report_best(run, trainer, val_split)    # report.json, report_test.json, confusion_matrix.png; and a line on stdout
"""

import time
from pathlib import Path
from typing import Any

import torch

from models import plots
from models.checkpoint import build_network, load_checkpoint, save_atomically
from models.training.dataset import Split, load_split
from models.training.folder import find_split
from models.training.loop import Trainer
from models.training.metrics import (
    classification_report,
    cross_fitted_calibration_error,
    fit_temperature,
    format_report,
)
from models.training.run import Run
from models.views import average_views

SUMMARY = (  # what a checkpoint tells
    "accuracy", "balanced_accuracy", "macro_f1", "expected_calibration_error", "cross_fitted_calibration_error", "n",
)  # fmt: skip


def report_best(run: Run, trainer: Trainer, val_split: Split) -> None:
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
    plots.plot_confusion_matrix(report, run.folder / "confusion_matrix.png")
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
