"""K-fold cross-validation: every picture is tested once, by a network that saw no picture of the same person.

    >>> plan = plan_folds(Path("ck"), count=10, group_pattern=PERSON_PATTERN, seed=0)
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
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models import drawing
from models.checkpoint import build_network, load_checkpoint, save_atomically
from models.training.dataset import PICTURE_SIDE, DatasetError, Split, list_pictures, name_classes, read_pictures
from models.training.loop import Trainer
from models.training.metrics import format_report
from models.training.run import SUMMARY, Run, RunError, StopSignal, make_report

PERSON_PATTERN = "([^_]+)_"  # CK+'s S005_001_00000011.png is frame 11 of take 1 of person S005
MEASURES = ("accuracy", "balanced_accuracy", "macro_f1")
TTA = "flip"


@dataclass(frozen=True)
class FoldPlan:
    """Which picture is tested in which fold.

    Attributes:
        class_names: What the class numbers stand for.
        files: The pictures.
        targets: int64 `[N]`, their classes.
        groups: Who is in them; all pictures of a group are in one fold.
        folds: int64 `[N]`, the fold in which each is tested, from 1 to `count`.
        count: How many folds there are.
    """

    class_names: list[str]
    files: list[Path]
    targets: np.ndarray
    groups: list[str]
    folds: np.ndarray
    count: int

    def load(self, number: int, test_side: int) -> tuple[Split, Split]:
        """Reads the pictures that fold `number` trains on, at 240×240, and those that it tests, at `test_side`."""
        trained, tested = (np.flatnonzero(chosen) for chosen in (self.folds != number, self.folds == number))
        return self._read(trained, PICTURE_SIDE, "train"), self._read(tested, test_side, f"fold {number}")

    def groups_in(self, number: int) -> set[str]:
        return {group for group, fold in zip(self.groups, self.folds) if fold == number}

    def table(self) -> str:
        """The plan as csv, a row a picture: file, group, fold."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("file", "group", "fold"))
        for file, group, fold in zip(self.files, self.groups, self.folds):
            writer.writerow((f"{file.parent.name}/{file.name}", group, fold))
        return text.getvalue()

    def _read(self, places: np.ndarray, side: int, title: str) -> Split:
        return read_pictures([self.files[i] for i in places], self.targets[places].tolist(), side, title)


def plan_folds(data: Path, count: int, group_pattern: str, seed: int, limit: int | None = None) -> FoldPlan:
    """Divides a folder of class folders into folds.

    Args:
        data: The class folders lie directly in it; `classes.txt` names them if they are numbered, see
            `dataset.find_classes`.
        count: How many folds, 2 or more.
        group_pattern: Its first group, matched against the beginning of a file's name, says who is in the picture.
        seed: Decides between divisions that are as even.
        limit: Take this many pictures, spread evenly over the folder, instead of all.

    Raises:
        DatasetError: The folder is none of class folders, a name does not say who is in the picture, there are
            fewer groups than folds, or a class is in one fold alone.
    """
    if not data.is_dir():
        raise DatasetError(f"there is no folder {data}: --folds takes one folder that holds a folder a class")
    if (data / "train").is_dir():
        raise DatasetError(
            f"{data} is divided already, and --folds divides one folder of class folders: name that, "
            f"for example --data {data / 'train'}"
        )
    class_names = name_classes(data, data / "classes.txt")
    files, class_numbers = list_pictures(data, class_names, limit)
    groups, targets = find_groups([file.name for file in files], group_pattern), np.array(class_numbers)
    folds = assign_folds(groups, targets, count, seed)
    for number, name in enumerate(class_names):
        if len(np.unique(folds[targets == number])) < 2:
            raise DatasetError(
                f"all pictures of {name} are in one fold, whose network would never see it in training: each class "
                "needs pictures of two people or more; where it has them, another --seed or number of folds may help"
            )
    return FoldPlan(class_names, files, targets, groups, folds, count)


def find_groups(names: Sequence[str], pattern: str) -> list[str]:
    """Who is in each picture: what the pattern's first group matches at the beginning of its file name.

    Raises:
        DatasetError: The pattern is no regular expression with a group, or a name does not match it.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise DatasetError(f"--group-pattern {pattern} is no regular expression: {error}") from error
    if not expression.groups:
        raise DatasetError(f"--group-pattern {pattern} has no group: put what names the person in parentheses")
    groups = []
    for name in names:
        match = expression.match(name)
        if not match or not match[1]:
            raise DatasetError(
                f"the name {name} does not say who is in the picture, by the pattern {pattern}: give one that fits as "
                "--group-pattern; '(.+)' takes each picture for another person's, right only where that is so"
            )
        groups.append(match[1])
    return groups


def assign_folds(groups: Sequence[str], targets: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Puts each group whole into one of `count` folds, so that classes and pictures are spread as evenly as may be.

    Greedy: the groups are taken one by one, those first that hold the largest shares of a class; each goes where
    the sum, over folds and classes, of the squared shares grows least. Every class counts the same, however
    rare, and so does the number of pictures in all.

    Args:
        groups: The group of each picture.
        targets: int `[N]`, the class of each picture.

    Returns:
        int64 `[N]`, the fold of each picture, from 1 to `count`; no fold is empty.

    Raises:
        DatasetError: There are fewer groups than folds.
    """
    names, group_of = np.unique(np.array(groups), return_inverse=True)
    if len(names) < count:
        raise DatasetError(
            f"{count} folds need {count} people or more, and the file names tell of {len(names)}: "
            "take fewer --folds, or see --group-pattern"
        )
    pictures = np.zeros((len(names), targets.max() + 1))
    np.add.at(pictures, (group_of, targets), 1)
    shares = np.column_stack([pictures, pictures.sum(1)])
    shares /= np.maximum(shares.sum(0), 1)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-(shares[order] ** 2).sum(1).round(9), kind="stable")]
    loads = np.zeros((count, shares.shape[1]))
    fold_of = np.empty(len(names), np.int64)
    for group in order:
        # (load + share)² - load² differs between folds in 2·load·share alone. Rounded, so that a tie is one anywhere.
        fold_of[group] = (loads @ shares[group]).round(9).argmin()
        loads[fold_of[group]] += shares[group]
    return fold_of[group_of] + 1


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
    train_split, test_split = plan.load(number, test_side)
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
    drawing.plot_confusion_matrix(report, fold.folder / "confusion_matrix.png")
    fold.log(f"{name}, weights of the last epoch, with --tta {TTA}:\n{format_report(report)}")
    fold.write_json("report.json", report)  # last: with it the fold is done
    (fold.folder / "last.pt").unlink(missing_ok=True)


def _report_file(fold: Run) -> Path:
    return fold.folder / "report.json"


def _write_summary(run: Run, plan: FoldPlan) -> None:
    reports = [json.loads(_report_file(run.fold(number)).read_text()) for number in range(1, plan.count + 1)]
    summary = summarise_folds(reports, [len(plan.groups_in(number)) for number in range(1, plan.count + 1)])
    run.write_json("folds.json", summary)
    drawing.plot_confusion_matrix(summary["all_folds"], run.folder / "confusion_matrix.png")
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
