"""Cross-validation: train.py --folds as a person runs it."""

import csv
import json
import os
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch

import train
from models.checkpoint import load_checkpoint
from models.training.folds import MEASURES
from models.training.loop import Trainer
from tests.conftest import narrow_network
from tests.fold_runs import CLASSES, FRAMES, PEOPLE, PICTURES, flags, write_people_folder
from tests.training_runs import only_run, stop_after


@pytest.fixture(scope="module")
def people_folder(tmp_path_factory) -> Path:
    return write_people_folder(tmp_path_factory.mktemp("people"))


FOLD_FILES = {"final.pt", "report.json", "confusion_matrix.png", "metrics.csv", "curves.png", "train.log"}
SUMMARY_FILES = {"config.json", "train.log", "folds.csv", "folds.json", "confusion_matrix.png"}


@pytest.fixture(scope="module")
def finished_folds(people_folder, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as monkeypatch:
        narrow_network(monkeypatch)
        assert train.main(flags(people_folder, output)) == 0
    return only_run(output)


def names_of(run: Path) -> set[str]:
    return {path.name for path in run.iterdir() if path.name != ".lock"}


def weights_of(run: Path, fold: int) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / f"fold-{fold}" / "final.pt")["state_dict"]


def test_people_are_counted_before_the_first_fold(finished_folds):
    log = (finished_folds / "train.log").read_text()
    assert log.index("36 pictures of 6 people: S001, S002, S003, S004, S005, …") < log.index("fold 1 of 3")
    assert "beware" not in log


def test_groups_that_can_hardly_be_people_are_warned_of(people_folder, tmp_path, narrow, monkeypatch, capsys):
    for file in people_folder.rglob("*.png"):
        copy = tmp_path / "own" / file.parent.name / f"{file.parent.name}{file.name}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    stop_after(monkeypatch, 1)
    train.main(flags(tmp_path / "own", tmp_path / "runs", "--group-pattern", "(.+)"))
    assert "beware: each picture counts as another person's" in capsys.readouterr().err


def test_each_fold_is_reported_with_their_mean_and_deviation(finished_folds):
    assert names_of(finished_folds) == {"fold-1", "fold-2", "fold-3", *SUMMARY_FILES}
    reports = [json.loads((finished_folds / f"fold-{number}" / "report.json").read_text()) for number in (1, 2, 3)]
    summary = json.loads((finished_folds / "folds.json").read_text())
    for measure in MEASURES:
        values = [report[measure] for report in reports]
        assert [row[measure] for row in summary["per_fold"]] == values
        assert summary["mean"][measure] == pytest.approx(sum(values) / 3)
        assert summary["standard_deviation"][measure] == pytest.approx(statistics.stdev(values))
    assert [row["n"] for row in summary["per_fold"]] == [PICTURES // 3] * 3
    assert [row["groups"] for row in summary["per_fold"]] == [PEOPLE // 3] * 3
    assert summary["all_folds"]["n"] == PICTURES and np.sum(summary["all_folds"]["confusion_matrix"]) == PICTURES
    assert [row["support"] for row in summary["all_folds"]["per_class"].values()] == [PEOPLE * FRAMES] * 3
    with open(finished_folds / "folds.csv", newline="") as file:
        assert len({(row["group"], row["fold"]) for row in csv.DictReader(file)}) == PEOPLE


def test_the_last_epoch_is_tested_and_none_is_chosen(narrow, people_folder, tmp_path, monkeypatch):
    averages = []  # after each epoch
    state_dict = Trainer.state_dict

    def note_and_return_state(self):
        averages.append(self.average.classifier[1].weight.half().clone())
        return state_dict(self)

    monkeypatch.setattr(Trainer, "state_dict", note_and_return_state)
    assert train.main(flags(people_folder, tmp_path)) == 0
    assert len(averages) == 3 * 2
    for fold in (1, 2, 3):
        folder = only_run(tmp_path) / f"fold-{fold}"
        assert names_of(folder) == FOLD_FILES
        checkpoint = load_checkpoint(folder / "final.pt")
        assert checkpoint["epoch"] == 2 and checkpoint["temperature"] == 1.0
        assert checkpoint["class_names"] == list(CLASSES)
        assert torch.equal(checkpoint["state_dict"]["classifier.1.weight"], averages[2 * fold - 1])
        assert checkpoint["metrics"]["accuracy"] == json.loads((folder / "report.json").read_text())["accuracy"]


def test_in_training_no_fold_sees_a_person_whom_it_tests(narrow, people_folder, tmp_path, monkeypatch):
    trained: list[set[str]] = []
    tested: list[list[str]] = []
    learn, evaluate = Trainer.train_one_epoch, Trainer.evaluate

    def learn_and_note(self, split, on_batch):
        trained.append(set(split.names))
        return learn(self, split, on_batch)

    def evaluate_and_note(self, split, tta="none"):
        if tta == "flip":
            tested.append(split.names)
        return evaluate(self, split, tta)

    monkeypatch.setattr(Trainer, "train_one_epoch", learn_and_note)
    monkeypatch.setattr(Trainer, "evaluate", evaluate_and_note)
    assert train.main(flags(people_folder, tmp_path, "--epochs", "1")) == 0
    assert len(trained) == len(tested) == 3
    for seen, held_out in zip(trained, tested):
        people = [{name.split("/")[1].split("_")[0] for name in names} for names in (seen, held_out)]
        assert people[0].isdisjoint(people[1]) and len(people[0] | people[1]) == PEOPLE
    assert sorted(sum(tested, [])) == sorted(f"{file.parent.name}/{file.name}" for file in people_folder.glob("*/*"))


def test_every_fold_starts_from_the_same_weights(narrow, people_folder, tmp_path, monkeypatch):
    starts = []
    monkeypatch.setattr(
        "models.training.fit.train_epochs", lambda run, trainer, *_: starts.append(trainer.network) or True
    )
    assert train.main(flags(people_folder, tmp_path)) == 0
    for key, value in starts[0].state_dict().items():
        assert all(torch.equal(value, other.state_dict()[key]) for other in starts[1:]), key


def test_the_table_is_printed_and_the_last_line_names_what_was_written(narrow, finished_folds, capsys):
    assert train.main(["--resume", str(finished_folds)]) == 0  # nothing is left to train
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:6]] == ["fold", "fold", "fold", "mean", "std"]
    mean = json.loads((finished_folds / "folds.json").read_text())["mean"]["accuracy"]
    assert f"{mean:.2%}" in lines[4] and str(finished_folds) in lines[-1] and "folds.json" in lines[-1]


def test_a_stopped_run_goes_on_in_its_fold_bit_for_bit(
    narrow, people_folder, finished_folds, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patched:
        stop_after(patched, batches=10)  # in the second fold
        assert train.main(flags(people_folder, tmp_path)) == 1
    run = only_run(tmp_path)
    assert f"--resume {run} goes on" in capsys.readouterr().err
    assert (run / "fold-2" / "last.pt").is_file() and not (run / "fold-2" / "report.json").exists()
    first = (run / "fold-1" / "final.pt").stat().st_mtime_ns
    assert train.main(["--resume", "--output", str(tmp_path)]) == 0
    assert only_run(tmp_path) == run and names_of(run) == names_of(finished_folds)
    assert (run / "fold-1" / "final.pt").stat().st_mtime_ns == first  # not done again
    for fold in (1, 2, 3):
        ours, theirs = weights_of(run, fold), weights_of(finished_folds, fold)
        assert all(torch.equal(theirs[key], ours[key]) for key in theirs)
    assert (run / "folds.json").read_text() == (finished_folds / "folds.json").read_text()


def test_a_run_killed_between_two_folds_goes_on_with_the_next(narrow, finished_folds, tmp_path):
    run = shutil.copytree(finished_folds, tmp_path / "runs" / "killed")
    for left in ("fold-2", "fold-3"):
        shutil.rmtree(run / left)
    (run / "folds.json").unlink()
    older = shutil.copytree(finished_folds, tmp_path / "runs" / "older")
    for file in older.glob("*/*.pt"):
        os.utime(file, (0, 0))
    assert train.main(["--resume", "--output", str(tmp_path / "runs")]) == 0
    assert (run / "folds.json").read_text() == (finished_folds / "folds.json").read_text()


def test_a_stop_asked_while_a_fold_ends_comes_before_the_next(narrow, people_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "models.training.stop.StopSignal.asked", lambda self: any(tmp_path.glob("*/fold-1/report.json"))
    )
    monkeypatch.setattr("models.training.stop.StopSignal.reason", "by SIGINT", raising=False)
    assert train.main(flags(people_folder, tmp_path)) == 1
    assert "before fold 2 of 3" in capsys.readouterr().err
    assert not (only_run(tmp_path) / "fold-2" / "last.pt").exists()


def test_other_pictures_than_those_divided_are_refused_on_resume(narrow, people_folder, tmp_path, monkeypatch, capsys):
    data = shutil.copytree(people_folder, tmp_path / "data")
    with monkeypatch.context() as patched:
        stop_after(patched, batches=10)
        assert train.main(flags(data, tmp_path / "runs")) == 1
    shutil.copy(next((data / "calm").iterdir()), data / "calm" / "S999_001_00000001.png")
    capsys.readouterr()
    assert train.main(["--resume", "--output", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert "no longer holds the pictures" in said and len(said.splitlines()) == 1
