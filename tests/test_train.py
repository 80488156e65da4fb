"""train.py as a person runs it."""

import json
import os

import pytest
import torch

import train
from models.checkpoint import SHIPPED_CHECKPOINT, load_checkpoint
from models.training.loop import Trainer
from tests.conftest import run_script
from tests.fer2013_samples import write_data_folder
from tests.training_runs import RUN_FILES, only_run, quick, rows


def test_training_on_easy_pictures_reaches_a_high_accuracy(tmp_path):
    data = write_data_folder(tmp_path / "data", {"train": 12, "val": 4})
    code = train.main(quick(data, tmp_path / "runs", "--init", str(SHIPPED_CHECKPOINT), "--epochs", "3"))
    assert code == 0
    assert json.loads((only_run(tmp_path / "runs") / "report.json").read_text())["accuracy"] > 0.6
    assert not (only_run(tmp_path / "runs") / "report_test.json").exists()  # no test split, no report of it


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
