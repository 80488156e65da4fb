"""train.py's runs made short, and what is read of them."""

import csv
from pathlib import Path

import pytest

QUICK = ["--init", "scratch", "--input-size", "32", "--batch-size", "16", "--device", "cpu", "--precision", "fp32"]
RUN_FILES = {"config.json", "train.log", "metrics.csv", "curves.png", "best.pt", "last.pt", "confusion_matrix.png",
             "report.json", "report_test.json"}  # fmt: skip


def quick(data: Path, output: Path, *more: str) -> list[str]:
    return ["--data", str(data), "--output", str(output), *QUICK, *more]


def only_run(output: Path) -> Path:
    (folder,) = output.iterdir()
    return folder


def rows(run: Path) -> list[dict[str, str]]:
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def stop_after(monkeypatch: pytest.MonkeyPatch, batches: int) -> None:
    """Has the next run stop, as on Ctrl-C, when so many batches are done."""
    asked = iter(range(10_000))
    monkeypatch.setattr("models.training.stop.StopSignal.asked", lambda self: next(asked) > batches)
