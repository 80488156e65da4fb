"""A finished network evaluated on a split."""

import json
import shutil

import pytest

import train
from models.checkpoint import load_checkpoint
from models.inference.int8 import Int8VGG16
from tests.conftest import run_script
from tests.training_runs import only_run, quick


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
