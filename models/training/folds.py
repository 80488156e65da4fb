"""K-fold cross-validation: every picture is tested once, by a network that saw no picture of the same person.

    >>> plan = plan_folds(Path("ck"), count=10, group_pattern=None, seed=0)
    >>> finished = cross_validate(run, plan, fit, test_side=240, stop=stop)

Sets of film frames such as CK+ (Lucey et al., 2010) hold several nearly identical pictures of each person. Were
they spread over training and test, the network would be asked what it has learned by heart. So all pictures of a
group, as a rule one person, are in one fold.

The epoch is not chosen: what is tested is the average of the weights after the last one. To take the epoch that
does best on a fold, and report it on that same fold, would flatter.
"""

import csv
import io
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models import plots
from models.checkpoint import build_network, load_checkpoint, save_atomically
from models.datasets.people import assign_folds, describe_groups, doubt_groups, find_groups
from models.errors import DatasetError
from models.training.dataset import PICTURE_SIDE, Split, read_pictures
from models.training.folder import Listing, find_split, list_pictures, name_classes
from models.training.loop import Trainer
from models.training.metrics import format_report
from models.training.report import SUMMARY, make_report
from models.training.run import Run, RunError
from models.training.stop import StopSignal

MEASURES = ("accuracy", "balanced_accuracy", "macro_f1")
TTA = "flip"


@dataclass(frozen=True)
class FoldPlan:
    """Which picture is tested in which fold.

    Attributes:
        class_names: What the class numbers stand for.
        listing: The pictures, and their classes.
        groups: Who is in them; all pictures of a group are in one fold.
        folds: int64 `[N]`, the fold in which each is tested, from 1 to `count`.
        count: How many folds there are.
    """

    class_names: list[str]
    listing: Listing
    groups: list[str]
    folds: np.ndarray
    count: int

    def load(self, number: int, test_side: int, skip_unreadable: bool = False) -> tuple[Split, Split]:
        """Reads the pictures that fold `number` trains on, at 240×240, and those that it tests, at `test_side`."""
        trained, tested = (np.flatnonzero(chosen) for chosen in (self.folds != number, self.folds == number))
        return (
            read_pictures(self.listing.taking(trained.tolist()), PICTURE_SIDE, "train", skip_unreadable),
            read_pictures(self.listing.taking(tested.tolist()), test_side, f"fold {number}", skip_unreadable),
        )

    def groups_in(self, number: int) -> set[str]:
        return {group for group, fold in zip(self.groups, self.folds) if fold == number}

    def table(self) -> str:
        """The plan as csv, a row a picture: file, group, fold."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("file", "group", "fold"))
        for file, group, fold in zip(self.listing.files, self.groups, self.folds):
            writer.writerow((f"{file.parent.name}/{file.name}", group, fold))
        return text.getvalue()


def plan_folds(data: Path, count: int, group_pattern: str | None, seed: int, limit: int | None = None) -> FoldPlan:
    """Divides a folder of class folders into folds.

    Args:
        data: The class folders lie directly in it; `classes.txt` names them if they are numbered, see
            `folder.find_classes`.
        count: How many folds, 2 or more.
        group_pattern: Says who is in a picture, by the file's name, see `people.find_groups`.
        seed: Decides between divisions that are as even.
        limit: Take this many pictures, spread evenly over the folder, instead of all.

    Raises:
        DatasetError: The folder is none of class folders, a name does not say who is in the picture, there are
            fewer groups than folds, or a class is in one fold alone.
    """
    if not data.is_dir():
        raise DatasetError(f"there is no folder {data}: --folds takes one folder that holds a folder a class")
    if train := find_split(data, "train"):
        raise DatasetError(
            f"{data} is divided already, and --folds divides one folder of class folders: name that, "
            f"for example --data {train}"
        )
    class_names = name_classes(data, data / "classes.txt")
    listing = list_pictures(data, class_names, data / "classes.txt").limited(limit)
    groups = find_groups([file.name for file in listing.files], group_pattern)
    targets = np.array(listing.targets)
    folds = assign_folds(groups, targets, count, seed)
    for number, name in enumerate(class_names):
        if len(np.unique(folds[targets == number])) < 2:
            raise DatasetError(
                f"all pictures of {name} are in one fold, whose network would never see it in training: each class "
                "needs pictures of two people or more; where it has them, another --seed or number of folds may help"
            )
    return FoldPlan(class_names, listing, groups, folds, count)


def cross_validate(
    run: Run, plan: FoldPlan, fit: Callable[[Run, Split, Split], Trainer | None], test_side: int, stop: StopSignal
) -> bool:
    """Trains and tests fold after fold, leaving out those that an earlier call finished, then writes the summary.

    Args:
        run: The folds' common run; each fold gets a folder in it.
        fit: Trains a fold's run from where it stands on the first split, watched on the second; None if it stopped.
        test_side: Side of the pictures that are tested.

    Returns:
        Whether all folds are done.

    Raises:
        RunError: The run was begun with other pictures, or they were divided in another way.
    """
    _keep_to_plan(run, plan)
    run.log(describe_groups(plan.groups))
    if doubt := doubt_groups(plan.groups, plan.listing.targets):
        run.log(f"beware: {doubt}")
    with stop:
        for number in range(1, plan.count + 1):
            fold = run.fold(number)
            if _report_file(fold).is_file():
                continue
            if stop.asked():
                run.log_stop(stop.reason, f"before fold {number} of {plan.count}")
                return False
            run.log(f"fold {number} of {plan.count}")
            if not _do_fold(fold, number, plan, fit, test_side):
                return False
    if run.writes:
        _write_summary(run, plan)
    return True


def _keep_to_plan(run: Run, plan: FoldPlan) -> None:
    """Writes folds.csv, or makes sure that the one that is there says the same: else somebody might change folds."""
    listed = run.folder / "folds.csv"
    if not listed.is_file():
        run.write_text("folds.csv", plan.table())
    elif listed.read_text(encoding="utf-8", errors="surrogateescape") != plan.table():
        raise RunError(
            f"{run.config['data']} no longer holds the pictures that {listed} divides: "
            "put those back, or leave out --resume and start anew"
        )


def _do_fold(fold: Run, number: int, plan: FoldPlan, fit: Callable, test_side: int) -> bool:
    train_split, test_split = plan.load(number, test_side, fold.config["skip_unreadable"])
    fold.log_unreadable(test_split)  # each picture is tested once, and so told once
    trainer = fit(fold, train_split, test_split)
    if trainer is None:
        return False
    report_fold(fold, trainer, test_split, f"fold {number}")
    return True


def report_fold(fold: Run, trainer: Trainer, test_split: Split, name: str) -> None:
    """Tests the weights of the last epoch, as final.pt holds them, on what they were not trained on.

    The temperature stays 1: there is nothing to fit it on but what is tested.
    """
    fold.write_weights("final.pt", trainer, {})
    trainer.workers.gather(None)  # no process reads the file before it is whole
    checkpoint = load_checkpoint(fold.folder / "final.pt")
    trainer.average.load_state_dict(build_network(checkpoint).state_dict())
    logits = trainer.evaluate(test_split, TTA)
    if not fold.writes:
        return
    report = make_report(logits, test_split, trainer.class_names, name, TTA, checkpoint["temperature"])
    checkpoint["metrics"] = {"split": name, "tta": TTA, **{key: report[key] for key in SUMMARY if key in report}}
    save_atomically(fold.folder / "final.pt", checkpoint)
    plots.plot_confusion_matrix(report, fold.folder / "confusion_matrix.png")
    fold.log(f"{name}, weights of the last epoch, with --tta {TTA}:\n{format_report(report)}")
    fold.write_json("report.json", report)  # last: with it the fold is done
    (fold.folder / "last.pt").unlink(missing_ok=True)


def _report_file(fold: Run) -> Path:
    return fold.folder / "report.json"


def _write_summary(run: Run, plan: FoldPlan) -> None:
    reports = [json.loads(_report_file(run.fold(number)).read_text()) for number in range(1, plan.count + 1)]
    summary = summarise_folds(reports, [len(plan.groups_in(number)) for number in range(1, plan.count + 1)])
    run.write_json("folds.json", summary)
    plots.plot_confusion_matrix(summary["all_folds"], run.folder / "confusion_matrix.png")
    print(format_folds(summary))
    print(f"wrote {run.folder}: folds.json, folds.csv, confusion_matrix.png, and a folder a fold")


def summarise_folds(reports: Sequence[dict[str, Any]], groups: Sequence[int]) -> dict[str, Any]:
    """What the folds' reports say together.

    Args:
        reports: A report a fold, see `metrics.classification_report`.
        groups: How many groups each fold tests.

    Returns:
        `per_fold`, the measures of each; `mean` and `standard_deviation` (of a sample, divided by K - 1) over the
        folds; `all_folds`, every picture's one answer put together: accuracy, n, per_class support and
        confusion_matrix.
    """
    per_fold = [
        {"fold": number, **{measure: report[measure] for measure in MEASURES}, "n": report["n"], "groups": count}
        for number, (report, count) in enumerate(zip(reports, groups), start=1)
    ]
    columns = {measure: [report[measure] for report in reports] for measure in MEASURES}
    matrix = np.sum([report["confusion_matrix"] for report in reports], axis=0)
    return {
        "per_fold": per_fold,
        "mean": {measure: statistics.mean(values) for measure, values in columns.items()},
        "standard_deviation": {measure: statistics.stdev(values) for measure, values in columns.items()},
        "all_folds": {
            "split": "all folds",
            "accuracy": float(matrix.trace() / matrix.sum()),
            "n": int(matrix.sum()),
            "per_class": {
                name: {"recall": float(row[place] / row.sum()), "support": int(row.sum())}
                for place, (name, row) in enumerate(zip(reports[0]["per_class"], matrix))
            },
            "confusion_matrix": matrix.tolist(),
        },
        "weights": "averaged, after the last epoch",
        "tta": TTA,
    }


def format_folds(summary: dict[str, Any]) -> str:
    """The summary as a table for a terminal."""
    lines = [f"{'':<10}{'accuracy':>10}{'balanced':>10}{'macro F1':>10}{'pictures':>10}{'people':>10}"]
    rows = [(f"fold {row['fold']}", row, f"{row['n']:>10}{row['groups']:>10}") for row in summary["per_fold"]]
    rows += [("mean", summary["mean"], ""), ("std", summary["standard_deviation"], "")]
    for title, values, sizes in rows:
        lines.append(f"{title:<10}" + "".join(f"{values[measure]:>10.2%}" for measure in MEASURES) + sizes)
    return "\n".join(lines)
