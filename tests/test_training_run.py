"""A run folder: what it holds, what is saved when, and how a run that was stopped goes on."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import train
from models.checkpoint import load_checkpoint
from models.training.run import Run
from models.training.stop import StopSignal
from models.training.teachers import ask_teachers
from tests.conftest import ROOT, narrow_network
from tests.training_runs import RUN_FILES, only_run, quick, rows, stop_after


def assert_same_end(run: Path, other: Path) -> None:
    """Two runs ended bit for bit alike, having gone the same way."""
    ours, theirs = (torch.load(folder / "last.pt", weights_only=True) for folder in (run, other))
    assert ours["progress"]["steps"] == theirs["progress"]["steps"] == 16
    for part in ("learner", "average"):
        for key, value in theirs[part].items():
            assert torch.equal(value, ours[part][key]), f"{part} {key}"
    for row, other_row in zip(rows(run), rows(other), strict=True):
        for name in ("train_loss", "train_accuracy", "val_accuracy"):
            assert row[name] == other_row[name], name


@pytest.fixture(scope="module")
def finished_run(data_folder, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as monkeypatch:
        narrow_network(monkeypatch)
        assert train.main(quick(data_folder, output, "--epochs", "4")) == 0
    return only_run(output)


def test_a_run_folder_holds_all_that_was_promised(finished_run):
    assert {path.name for path in finished_run.iterdir() if path.name != ".lock"} == RUN_FILES
    assert [row["epoch"] for row in rows(finished_run)] == ["1", "2", "3", "4"]
    assert json.loads((finished_run / "config.json").read_text())["epochs"] == 4
    assert "epoch   4/4" in (finished_run / "train.log").read_text()
    for picture in ("curves.png", "confusion_matrix.png"):
        assert (finished_run / picture).read_bytes().startswith(b"\x89PNG")


def test_best_is_chosen_on_val_and_test_is_reported_with_the_same_weights(finished_run):
    best = load_checkpoint(finished_run / "best.pt")
    accuracies = [float(row["val_accuracy"]) for row in rows(finished_run)]
    assert best["epoch"] == accuracies.index(max(accuracies)) + 1
    names = ("report.json", "report_test.json")
    report, test_report = (json.loads((finished_run / name).read_text()) for name in names)
    assert (report["split"], test_report["split"]) == ("val", "test")
    assert report["temperature"] == test_report["temperature"] == best["temperature"]
    assert best["metrics"]["accuracy"] == report["accuracy"]
    assert best["config"]["data"] == "data"  # a name, not the path on this machine


def test_an_epoch_is_in_the_table_before_it_counts_as_done(narrow, data_folder, tmp_path, monkeypatch):
    done_and_written = []
    write_last = Run.write_last

    def note_and_write(self, trainer):
        done_and_written.append((trainer.progress.epoch, len(rows(self.folder))))
        write_last(self, trainer)

    monkeypatch.setattr(Run, "write_last", note_and_write)
    assert train.main(quick(data_folder, tmp_path, "--epochs", "2")) == 0
    assert done_and_written == [(1, 1), (2, 2)]


def test_saving_takes_a_tenth_of_the_time_at_most_and_never_leaves_out_the_end(
    narrow, data_folder, tmp_path, monkeypatch
):
    saved, now = [], [0.0]
    write_last = Run.write_last

    def slow(run, trainer):
        write_last(run, trainer)
        saved.append(trainer.progress.epoch)
        run.saved, run.saving_took = now[0], 2.5

    def second_later(run, row):
        now[0] += 10
        write_row(run, row)

    write_row = Run.write_row
    monkeypatch.setattr(Run, "write_last", slow)
    monkeypatch.setattr(Run, "write_row", second_later)
    monkeypatch.setattr("models.training.run.time.monotonic", lambda: now[0])
    assert train.main(quick(data_folder, tmp_path, "--epochs", "8")) == 0
    assert saved == [1, 4, 7, 8]  # each 30 seconds of 2.5 to save, and at the end


def test_a_full_disk_is_said_and_the_last_whole_files_stay(narrow, data_folder, tmp_path, capsys, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.training.run.save_atomically", full)
    assert train.main(quick(data_folder, tmp_path, "--epochs", "1")) == 1
    assert "No space left" in capsys.readouterr().err


def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(narrow, data_folder, finished_run, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        stop_after(patched, batches=12)  # 4 batches an epoch, asked between epochs too: in the middle of the third
        assert train.main(quick(data_folder, tmp_path, "--epochs", "4")) == 1
    run = only_run(tmp_path)
    assert len(rows(run)) == 2
    assert train.main(["--resume", "--output", str(tmp_path)]) == 0
    assert only_run(tmp_path) == run and {path.name for path in run.iterdir() if path.name != ".lock"} == RUN_FILES
    assert_same_end(run, finished_run)


def test_what_dies_within_a_long_epoch_goes_on_from_its_last_save_bit_for_bit(
    narrow, data_folder, finished_run, tmp_path, monkeypatch, capsys
):
    asked = iter(range(1, 10_000))

    def die(_: StopSignal) -> bool:
        if next(asked) == 9:  # 4 batches an epoch, asked between epochs too: after the third of the second epoch
            raise MemoryError
        return False

    with monkeypatch.context() as patched:
        patched.setattr("models.training.epochs.SAVE_EVERY", 0)
        patched.setattr("models.training.stop.StopSignal.asked", die)
        with pytest.raises(MemoryError):
            train.main(quick(data_folder, tmp_path, "--epochs", "4"))
    run = only_run(tmp_path)
    state = torch.load(run / "last.pt", weights_only=True)["progress"]
    assert (state["epoch"], state["batch"], state["counted"]) == (1, 3, 48)
    assert "epoch   2/4  75% done and saved" in capsys.readouterr().err
    assert train.main(["--resume", "--output", str(tmp_path)]) == 0
    assert_same_end(run, finished_run)


def test_a_run_of_an_older_version_goes_on_with_the_flags_it_had(narrow, data_folder, tmp_path, monkeypatch):
    stop_after(monkeypatch, 1)
    assert train.main(quick(data_folder, tmp_path, "--epochs", "1")) == 1
    monkeypatch.undo()
    narrow_network(monkeypatch)
    settings = only_run(tmp_path) / "config.json"
    config = json.loads(settings.read_text())
    del config["teachers"], config["mixup"]
    settings.write_text(json.dumps(config))
    assert train.main(["--resume", "--output", str(tmp_path)]) == 0


def test_teachers_are_asked_once_a_run_and_named_in_its_checkpoint(
    narrow, data_folder, finished_run, tmp_path, monkeypatch
):
    with_teacher = quick(data_folder, tmp_path, "--epochs", "2", "--teachers", str(finished_run / "best.pt"))
    stop_after(monkeypatch, 1)
    assert train.main(with_teacher) == 1
    monkeypatch.undo()
    narrow_network(monkeypatch)
    run = only_run(tmp_path)
    kept = (run / "teachers.pt").read_bytes()
    monkeypatch.setattr("models.training.fit.ask_teachers", lambda *_: pytest.fail("asked again"))
    assert train.main(["--resume", "--output", str(tmp_path)]) == 0
    assert (run / "teachers.pt").read_bytes() == kept
    assert load_checkpoint(run / "best.pt")["config"]["teachers"] == ["best.pt"]


def test_ctrl_c_while_teachers_are_asked_stops_at_once_and_the_run_can_go_on(
    narrow, data_folder, finished_run, tmp_path, monkeypatch, capsys
):
    def ask_and_interrupt(*arguments):
        signal.raise_signal(signal.SIGINT)
        return ask_teachers(*arguments)

    monkeypatch.setattr("models.training.fit.ask_teachers", ask_and_interrupt)
    with_teacher = quick(data_folder, tmp_path, "--epochs", "1", "--teachers", str(finished_run / "best.pt"))
    assert train.main(with_teacher) == 1
    error = capsys.readouterr().err
    assert f"asking {finished_run / 'best.pt'} about" in error
    assert "stopped by SIGINT while the teachers were asked" in error
    run = only_run(tmp_path)
    assert not (run / "teachers.pt").exists() and not (run / "metrics.csv").exists()
    monkeypatch.setattr("models.training.fit.ask_teachers", ask_teachers)
    assert train.main(["--resume", "--output", str(tmp_path)]) == 0
    assert (run / "teachers.pt").exists()


def start_process(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "train.py", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_ctrl_c_saves_everything_and_resume_goes_on(data_folder, tmp_path, monkeypatch):
    process = start_process(*quick(data_folder, tmp_path, "--epochs", "500"))
    wait_for(lambda: list(tmp_path.glob("*/metrics.csv")))
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 1 and "stopped by SIGINT" in messages and "--resume" in messages
    assert "Traceback" not in messages
    before = len(rows(only_run(tmp_path)))
    stop_after(monkeypatch, batches=6)
    assert train.main(["--resume", "--output", str(tmp_path)]) == 1
    assert len(rows(only_run(tmp_path))) > before


def test_kill_9_loses_at_most_the_running_epoch(data_folder, tmp_path, monkeypatch):
    process = start_process(*quick(data_folder, tmp_path, "--epochs", "500"))
    wait_for(lambda: list(tmp_path.glob("*/metrics.csv")) and len(rows(only_run(tmp_path))) >= 2)
    process.kill()
    process.communicate()
    run = only_run(tmp_path)
    finished = torch.load(run / "last.pt", weights_only=True)["progress"]["epoch"]
    load_checkpoint(run / "best.pt")
    stop_after(monkeypatch, batches=6)
    assert train.main(["--resume", str(run)]) == 1
    epochs = [int(row["epoch"]) for row in rows(run)]
    assert epochs == list(range(1, len(epochs) + 1)) and epochs[-1] > finished


def test_max_minutes_stops_after_the_running_step(narrow, data_folder, tmp_path, capsys):
    assert train.main(quick(data_folder, tmp_path, "--max-minutes", "0.0001")) == 1
    assert "stopped by --max-minutes in epoch 1" in capsys.readouterr().err
    assert torch.load(only_run(tmp_path) / "last.pt", weights_only=True)["progress"]["batch"] <= 1
