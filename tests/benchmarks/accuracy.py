"""How often the shipped networks are right on val: `train.py --evaluate`, the accurate one and the fast one.

    python -m tests.benchmarks.accuracy --data data               # all of val; on two cores some minutes
    python -m tests.benchmarks.accuracy --data data --record R    # csv files and report.json in R as well
    python -m tests.benchmarks.accuracy --data data --views flip --limit 300    # a short look

A row is a network with one, two or ten views of a face: accuracy on all faces and on those of which train has no copy,
the mean of the classes' recalls, macro F1, and the error of the probabilities, with the temperature that is in the
checkpoint and with one from the other half of val (cross-fitted). Then a row a class, of the answers of two views
(flip). Last comes a line of JSON. report.json is train.py's report on the accurate network with two views.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

from models.checkpoint import FAST_CHECKPOINT, SHIPPED_CHECKPOINT
from models.command_line import positive
from models.device import choose_device
from models.files import replacing
from models.views import TTA_MODES
from tests.benchmarks.record import Table, add_record_argument, end

TRAIN = Path(__file__).parents[2] / "train.py"
WEIGHTS = {"accurate": SHIPPED_CHECKPOINT, "fast": FAST_CHECKPOINT}
COLUMNS = [
    "weights", "views", "accuracy %", "without copies %", "balanced %", "macro F1 %", "calibration error %",
    "cross-fitted %", "faces",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder that preprocess.py made")
    parser.add_argument("--views", choices=TTA_MODES, nargs="+", default=list(TTA_MODES))
    parser.add_argument("--limit", type=positive(int), metavar="N", help="use N pictures, spread evenly over val")
    add_record_argument(parser)
    arguments = parser.parse_args()
    device = choose_device("auto").type
    table, reports, precisions = Table("accuracy", COLUMNS, device=device), {}, set()
    for name, checkpoint in WEIGHTS.items():
        for views in arguments.views:
            report, precision = evaluate(checkpoint, views, arguments.data, arguments.limit)
            precisions.add(precision)
            table.add(name, views, *figures(report))
            if views == "flip":
                reports[name] = report
    tables = [table]
    if reports:
        print()
        tables.append(
            Table(
                "classes", ["weights", "class", "precision %", "recall %", "F1 %", "faces"], "tta-flip", device=device
            )
        )
    for name, report in reports.items():
        for class_name, values in report["per_class"].items():
            shares = (percent(values[kind]) for kind in ("precision", "recall", "f1"))
            tables[1].add(name, class_name, *shares, values["support"])
    for each in tables:  # known only now
        each.conditions[:0] = sorted(precisions)
    if arguments.record and reports:
        with replacing(arguments.record / "report.json") as file:
            file.write(json.dumps(reports["accurate"], indent=1).encode())
    end(tables, arguments.record)


def evaluate(checkpoint: Path, views: str, data: Path, limit: int | None) -> tuple[dict, str]:
    """train.py's report, and the precision that it says it computed in; what it refuses ends all."""
    command = [sys.executable, TRAIN, "--evaluate", "--split", "val", "--checkpoint", checkpoint, "--tta", views]
    command += ["--data", data, *(["--limit", str(limit)] if limit else [])]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        print(ended.stderr, end="", file=sys.stderr)
        sys.exit(ended.returncode)
    return json.loads(ended.stdout), re.search(r"computing on \S+ in (\w+)", ended.stderr)[1]  # type: ignore[index]


def figures(report: dict) -> list[object]:
    """A report's part of a row of the table."""
    without = report.get("without_copies")
    names = "balanced_accuracy", "macro_f1", "expected_calibration_error", "cross_fitted_calibration_error"
    return [
        percent(report["accuracy"]), percent(without["accuracy"]) if without else "-",
        *(percent(report[name]) for name in names), report["n"],
    ]  # fmt: skip


def percent(share: float) -> str:
    return f"{100 * share:.2f}"


if __name__ == "__main__":
    main()
