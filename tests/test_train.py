"""train.py as a person runs it."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import train
from models.checkpoint import load_checkpoint
from models.int8 import Int8VGG16
from models.training.loop import Trainer
from models.training.run import Run, StopSignal
from models.training.teachers import ask_teachers
from tests.conftest import ROOT, narrow_network, run_script
from tests.fer2013_samples import write_data_folder

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
    monkeypatch.setattr("models.training.run.StopSignal.asked", lambda self: next(asked) > batches)


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


def test_training_on_easy_pictures_reaches_a_high_accuracy(tmp_path):
    data = write_data_folder(tmp_path / "data", {"train": 12, "val": 4})
    code = train.main(quick(data, tmp_path / "runs", "--init", str(train.SHIPPED_CHECKPOINT), "--epochs", "3"))
    assert code == 0
    assert json.loads((only_run(tmp_path / "runs") / "report.json").read_text())["accuracy"] > 0.6
    assert not (only_run(tmp_path / "runs") / "report_test.json").exists()  # no test split, no report of it


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
        patched.setattr("models.training.run.SAVE_EVERY", 0)
        patched.setattr("models.training.run.StopSignal.asked", die)
        with pytest.raises(MemoryError):
            train.main(quick(data_folder, tmp_path, "--epochs", "4"))
    run = only_run(tmp_path)
    state = torch.load(run / "last.pt", weights_only=True)["progress"]
    assert (state["epoch"], state["batch"], state["counted"]) == (1, 3, 48)
    assert "epoch   2/4  75% done and saved" in capsys.readouterr().err
    assert train.main(["--resume", "--output", str(tmp_path)]) == 0
    assert_same_end(run, finished_run)


def start_process(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "train.py", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


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
    monkeypatch.setattr("train.ask_teachers", lambda *_: pytest.fail("asked again"))
    assert train.main(["--resume", "--output", str(tmp_path)]) == 0
    assert (run / "teachers.pt").read_bytes() == kept
    assert load_checkpoint(run / "best.pt")["config"]["teachers"] == ["best.pt"]


def test_ctrl_c_while_teachers_are_asked_stops_at_once_and_the_run_can_go_on(
    narrow, data_folder, finished_run, tmp_path, monkeypatch, capsys
):
    def ask_and_interrupt(*arguments):
        signal.raise_signal(signal.SIGINT)
        return ask_teachers(*arguments)

    monkeypatch.setattr("train.ask_teachers", ask_and_interrupt)
    with_teacher = quick(data_folder, tmp_path, "--epochs", "1", "--teachers", str(finished_run / "best.pt"))
    assert train.main(with_teacher) == 1
    error = capsys.readouterr().err
    assert f"asking {finished_run / 'best.pt'} about" in error
    assert "stopped by SIGINT while the teachers were asked" in error
    run = only_run(tmp_path)
    assert not (run / "teachers.pt").exists() and not (run / "metrics.csv").exists()
    monkeypatch.setattr("train.ask_teachers", ask_teachers)
    assert train.main(["--resume", "--output", str(tmp_path)]) == 0
    assert (run / "teachers.pt").exists()


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


def test_two_processes_train_together_and_one_writes(data_folder, tmp_path):
    result = run_script(
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py",
        *quick(data_folder, tmp_path, "--epochs", "2", "--batch-size", "8"), env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    run = only_run(tmp_path)
    assert {path.name for path in run.iterdir() if path.name != ".lock"} == RUN_FILES and len(rows(run)) == 2
    assert "2 processes" in (run / "train.log").read_text()
    assert json.loads((run / "report.json").read_text())["n"] == 28
    assert torch.load(run / "last.pt", weights_only=True)["progress"]["steps"] == 2 * 4  # 56 pictures in batches of 2×8


def test_max_minutes_stops_after_the_running_step(narrow, data_folder, tmp_path, capsys):
    assert train.main(quick(data_folder, tmp_path, "--max-minutes", "0.0001")) == 1
    assert "stopped by --max-minutes in epoch 1" in capsys.readouterr().err
    assert torch.load(only_run(tmp_path) / "last.pt", weights_only=True)["progress"]["batch"] <= 1


def test_a_loss_that_is_no_number_ends_with_a_sentence_and_keeps_the_good_weights(
    narrow, data_folder, tmp_path, capsys, monkeypatch
):
    from models.training.loop import Trainer

    step = Trainer._step

    def spoiled(self, *arguments):
        loss, hits = step(self, *arguments)
        return (loss * float("nan") if self.progress.epoch == 1 else loss), hits

    monkeypatch.setattr(Trainer, "_step", spoiled)
    assert train.main(quick(data_folder, tmp_path, "--epochs", "3")) == 1
    assert "the loss is not a number" in capsys.readouterr().err
    run = only_run(tmp_path)
    assert load_checkpoint(run / "best.pt")["epoch"] == 1
    assert torch.load(run / "last.pt", weights_only=True)["progress"]["epoch"] == 1


def test_a_full_disk_is_said_and_the_last_whole_files_stay(narrow, data_folder, tmp_path, capsys, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.training.run.save_atomically", full)
    assert train.main(quick(data_folder, tmp_path, "--epochs", "1")) == 1
    assert "No space left" in capsys.readouterr().err


@pytest.mark.parametrize("arguments, message", [
    (["--data", "nowhere"], "python preprocess.py fer2013.csv"),
    (["--device", "cuda:7"], "--device cpu" if not torch.cuda.is_available() else "cuda:7"),
    (["--init", "absent.pt"], "there is no file absent.pt"),
    (["--resume", "--output", "nowhere"], "leave out --resume"),
    (["--resume", "nowhere"], "needs config.json and last.pt"),
    (["--evaluate", "--checkpoint", "absent.pt"], "there is no file absent.pt"),
    (["--evaluate", "--split", "test", "--data", "nowhere"], "there is no folder"),
    (["--init", "scratch", "--limit", "1"], "raise --batch-size, or --limit"),
    (["--init", "scratch", "--batch-size", "1"], "raise --batch-size, or --limit"),
])  # fmt: skip
def test_wrong_use_is_one_sentence_with_the_remedy(arguments, message, data_folder, tmp_path, capsys):
    if "--data" not in arguments and "--resume" not in arguments:
        arguments = [*arguments, "--data", str(data_folder)]
    if "--output" not in arguments:
        arguments = [*arguments, "--output", str(tmp_path)]
    assert train.main(arguments) == 2
    said = capsys.readouterr().err.strip()
    assert message in said and "Traceback" not in said and len(said.splitlines()) == 1


def test_ctrl_c_while_the_pictures_are_read_is_no_traceback(data_folder, tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "load_split", interrupted)
    assert train.main(quick(data_folder, tmp_path)) == 130
    assert capsys.readouterr().err == "train.py: stopped\n"


def test_an_epoch_is_in_the_table_before_it_counts_as_done(narrow, data_folder, tmp_path, monkeypatch):
    done_and_written = []
    write_last = Run.write_last

    def note_and_write(self, trainer):
        done_and_written.append((trainer.progress.epoch, len(rows(self.folder))))
        write_last(self, trainer)

    monkeypatch.setattr(Run, "write_last", note_and_write)
    assert train.main(quick(data_folder, tmp_path, "--epochs", "2")) == 0
    assert done_and_written == [(1, 1), (2, 2)]


@pytest.mark.parametrize("arguments", [
    ["--resume", "--lr", "0.1"], ["--epochs", "0"], ["--input-size", "16"], ["--dropout", "1"],
    ["--weight-decay", "-1"], ["--rotation", "nan"], ["--seed", "-1"], ["--seed", str(2**64)],
    ["--folds", "2", "--teachers", "best.pt"], ["--width", "1/0"], ["--width", "wide"],
    ["--width", "1e400"], ["--width", "-1/4"], ["--width", "2"], ["--arch", "resnet18", "--width", "1/2"],
])  # fmt: skip
def test_wrong_flags_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as exit:
        train.main(arguments)
    assert exit.value.code == 2
    assert "--lr" in capsys.readouterr().err or arguments[0] != "--resume"


def test_a_width_without_whole_channels_is_refused_with_the_nearest(capsys):
    with pytest.raises(SystemExit):
        train.main(["--width", "1/3"])
    assert "the nearest that do are 21/64 (0.328125) and 22/64 (0.34375)" in capsys.readouterr().err


def test_a_narrow_network_is_trained_goes_on_is_evaluated_and_teaches_one_that_starts_with_it(
    data_folder, tmp_path, capsys
):
    narrow = quick(data_folder, tmp_path / "runs", "--width", "1/16")
    assert train.main([*narrow, "--epochs", "2", "--max-minutes", "0.0001"]) == 1
    assert train.main(["--resume", "--output", str(tmp_path / "runs")]) == 0
    best = only_run(tmp_path / "runs") / "best.pt"
    checkpoint = load_checkpoint(best)
    assert checkpoint["width"] == checkpoint["config"]["width"] == 1 / 16
    assert checkpoint["state_dict"]["features.0.weight"].shape == (4, 3, 3, 3)
    assert train.main(["--evaluate", "--data", str(data_folder), "--checkpoint", str(best), "--device", "cpu"]) == 0
    narrower = ["--init", str(best), "--teachers", str(best), "--width", "1/32", "--epochs", "1"]
    assert train.main(quick(data_folder, tmp_path / "more", *narrower)) == 0
    assert load_checkpoint(only_run(tmp_path / "more") / "best.pt")["width"] == 1 / 32


def test_evaluate_prints_a_table_and_ends_stdout_with_json(data_folder, tmp_path):
    data = shutil.copytree(data_folder, tmp_path / "data")
    shutil.copy(next((data / "train" / "0").iterdir()), next((data / "test" / "0").iterdir()))
    result = run_script("train.py", "--evaluate", "--data", data, "--split", "test", "--tta", "ten", "--device", "cpu")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    assert (report["split"], report["tta"], report["n"]) == ("test", "ten", 28)
    measures = {"accuracy", "balanced_accuracy", "macro_f1", "expected_calibration_error", "per_class", "seconds"}
    assert measures <= report.keys()
    assert report["without_copies"]["n"] == 27
    assert result.stderr.startswith("computing on cpu in ")
    assert "Surprised" in result.stderr and f"accuracy {report['accuracy']:.2%}" in result.stderr


def test_int8_is_for_evaluation_not_for_training(data_folder, untrained_checkpoint, tmp_path, capsys):
    assert train.main(["--precision", "int8", "--data", str(data_folder), "--output", str(tmp_path)]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "train in --precision auto, fp32 or bf16" in said and not any(tmp_path.iterdir())
    if Int8VGG16.runs_here():
        flags = ["--data", str(data_folder), "--checkpoint", str(untrained_checkpoint), "--device", "cpu"]
        assert train.main(["--evaluate", "--precision", "int8", *flags]) == 0
        assert capsys.readouterr().err.startswith("computing on cpu in int8\n")


def test_a_split_of_copies_alone_has_no_accuracy_without_them(data_folder, untrained_checkpoint, tmp_path, capsys):
    for split in ("train", "val"):
        shutil.copytree(data_folder / "train", tmp_path / split)
    flags = ["--data", str(tmp_path), "--checkpoint", str(untrained_checkpoint), "--limit", "7", "--device", "cpu"]
    assert train.main(["--evaluate", *flags]) == 0
    assert "without_copies" not in json.loads(capsys.readouterr().out)


def test_a_persons_own_three_classes_are_trained_and_carried_along(narrow, tmp_path, capsys):
    seven = write_data_folder(tmp_path / "seven", {"train": 6, "val": 3})
    for split in ("train", "val"):
        for number, name in enumerate(("calm", "cross", "glad")):
            (tmp_path / "own" / split).mkdir(parents=True, exist_ok=True)
            os.rename(seven / split / str(number), tmp_path / "own" / split / name)
    assert train.main(quick(tmp_path / "own", tmp_path / "runs", "--epochs", "1")) == 0
    checkpoint = only_run(tmp_path / "runs") / "best.pt"
    assert load_checkpoint(checkpoint)["class_names"] == ["calm", "cross", "glad"]
    capsys.readouterr()
    assert train.main(["--evaluate", "--checkpoint", str(checkpoint), "--data", str(tmp_path / "own")]) == 0
    assert set(json.loads(capsys.readouterr().out)["per_class"]) == {"calm", "cross", "glad"}


def test_epochs_are_as_many_as_fit_into_the_minutes(narrow, data_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "measure_speed", lambda self, split: 56 / 2)  # two seconds an epoch
    monkeypatch.setattr(StopSignal, "seconds", lambda self: 12)  # are behind
    fitting = ["--epochs", "30", "--fit-minutes", "0.8"]
    assert train.main(quick(data_folder, tmp_path / "a", *fitting)) == 0
    run = only_run(tmp_path / "a")
    epochs = json.loads((run / "config.json").read_text())["epochs"]
    assert len(rows(run)) == epochs and 12 <= epochs <= 16  # 90 % of 36 seconds, and looking at val takes a part
    assert f"28 pictures/s: {epochs} epochs fit into 0.8 minutes" in (run / "train.log").read_text()
    assert train.main(quick(data_folder, tmp_path / "b", "--epochs", "2", "--fit-minutes", "9")) == 0
    assert len(rows(only_run(tmp_path / "b"))) == 2  # no more than were asked for


def test_a_run_that_was_fitted_goes_on_to_the_same_end(narrow, data_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "measure_speed", lambda self, split: 56 / 2)
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        assert train.main(quick(data_folder, tmp_path, "--fit-minutes", "0.1")) == 1
    assert train.main(["--resume", "--output", str(tmp_path)]) == 0
    assert len(rows(only_run(tmp_path))) in (1, 2)


def test_minutes_are_kept_in_mind_by_a_run_that_was_stopped_while_teachers_were_asked(
    narrow, data_folder, untrained_checkpoint, tmp_path, monkeypatch
):
    monkeypatch.setattr(Trainer, "measure_speed", lambda self, split: 56 / 2)
    with monkeypatch.context() as patch:
        patch.setattr("models.training.run.StopSignal.asked", lambda self: True)
        patch.setattr(train, "ask_teachers", lambda *_: None)
        flags = ["--teachers", str(untrained_checkpoint), "--epochs", "30", "--fit-minutes", "0.1"]
        assert train.main(quick(data_folder, tmp_path, *flags)) == 1
    monkeypatch.setattr(train, "ask_teachers", lambda paths, split, *_: torch.full((len(split), 7), 1 / 7))
    assert train.main(["--resume", "--output", str(tmp_path)]) == 0
    assert len(rows(only_run(tmp_path))) < 4


def test_a_loss_that_is_no_number_in_the_measurement_is_a_sentence_too(narrow, data_folder, tmp_path, capsys):
    assert train.main(quick(data_folder, tmp_path, "--lr", "1e30", "--fit-minutes", "1")) == 1
    assert "try a smaller --lr" in capsys.readouterr().err


def test_folds_have_equally_many_epochs(capsys):
    with pytest.raises(SystemExit):
        train.parse_arguments(["--folds", "3", "--fit-minutes", "5"])
    assert "name --epochs with --folds" in capsys.readouterr().err


def test_a_step_that_memory_cannot_hold_is_a_sentence_with_the_remedy(
    narrow, data_folder, tmp_path, capsys, monkeypatch
):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "train_one_epoch", full)
    assert train.main(quick(data_folder, tmp_path)) == 2
    assert "take a smaller --batch-size or --input-size" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_machine_that_cannot_compile_is_told_to_leave_it_out(
    narrow, data_folder, tmp_path, capsys, monkeypatch, direction
):
    def refuse(*_):
        raise torch._dynamo.exc.InternalTorchDynamoError("there is no compiler\nand more")

    def fails(network, **_):
        def call(pictures):
            logits = network(pictures)
            logits.register_hook(refuse)
            return refuse() if direction == "forward" else logits

        return call

    monkeypatch.setattr(torch, "compile", fails)
    assert train.main(quick(data_folder, tmp_path, "--compile", "default")) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "train.py: torch.compile does not work here (there is no compiler): leave out --compile"


def test_on_val_the_calibration_is_told_as_it_is_on_pictures_that_it_was_not_fitted_on(
    narrow, data_folder, tmp_path, capsys
):
    assert train.main(quick(data_folder, tmp_path, "--epochs", "1")) == 0
    run = only_run(tmp_path)
    kept = load_checkpoint(run / "best.pt")["metrics"]["cross_fitted_calibration_error"]
    assert kept == json.loads((run / "report.json").read_text())["cross_fitted_calibration_error"]
    capsys.readouterr()
    flags = ["--evaluate", "--checkpoint", str(run / "best.pt"), "--data", str(data_folder), "--precision", "fp32"]
    assert train.main(flags) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["cross_fitted_calibration_error"] == pytest.approx(kept, abs=1e-6)
    assert "held against the last fifth" in said.err
    assert train.main([*flags, "--split", "test"]) == 0
    assert "cross_fitted_calibration_error" not in json.loads(capsys.readouterr().out)


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
