"""As many epochs as fit into the minutes that a person has."""

import json

import torch

import train
from models.training.loop import Trainer
from models.training.stop import StopSignal
from tests.training_runs import only_run, quick, rows, stop_after


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
        patch.setattr("models.training.stop.StopSignal.asked", lambda self: True)
        patch.setattr("models.training.fit.ask_teachers", lambda *_: None)
        flags = ["--teachers", str(untrained_checkpoint), "--epochs", "30", "--fit-minutes", "0.1"]
        assert train.main(quick(data_folder, tmp_path, *flags)) == 1
    monkeypatch.setattr("models.training.fit.ask_teachers", lambda paths, split, *_: torch.full((len(split), 7), 1 / 7))
    assert train.main(["--resume", "--output", str(tmp_path)]) == 0
    assert len(rows(only_run(tmp_path))) < 4


def test_a_loss_that_is_no_number_in_the_measurement_is_a_sentence_too(narrow, data_folder, tmp_path, capsys):
    assert train.main(quick(data_folder, tmp_path, "--lr", "1e30", "--fit-minutes", "1")) == 1
    assert "try a smaller --lr" in capsys.readouterr().err
