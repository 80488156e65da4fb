"""A share of train that stands for val, with nobody in both."""

from pathlib import Path

import pytest
from PIL import Image

import train
from models.errors import DatasetError
from models.training.folder import ValShare, list_split
from tests.fer2013_samples import write_data_folder
from tests.own_classes import OWN, evaluate, lay, people_folder, write_answering_glad
from tests.training_runs import only_run, quick


@pytest.fixture
def answering_glad(tmp_path) -> Path:
    return write_answering_glad(tmp_path / "glad.pt")


def test_without_val_a_share_of_the_people_stands_for_it_on_request(answering_glad, tmp_path, capsys):
    data = people_folder(tmp_path / "data")
    assert train.main(["--evaluate", "--checkpoint", str(answering_glad), "--data", str(data)]) == 2
    assert "--val-share 0.1" in capsys.readouterr().err
    shares = ValShare(0.2)
    parts = {split: list_split(data, split, OWN, shares) for split in ("train", "val")}
    people = {split: {file.name.split("_")[0] for file in part.files} for split, part in parts.items()}
    assert len(people["val"]) == 2 and len(people["train"]) == 8 and not people["val"] & people["train"]
    assert parts["val"].files == list_split(data, "val", OWN, shares).files  # always the same
    report = evaluate(answering_glad, data, capsys, "--val-share", "0.2")
    assert (report["n"], report["accuracy"]) == (18, pytest.approx(1 / 3)) and "without_copies" not in report


def test_training_takes_the_share_and_names_that_nobody_is_told(tmp_path, narrow):
    data = write_data_folder(tmp_path / "data", {"train": 10})
    assert train.main(quick(data, tmp_path / "runs", "--val-share", "0.2", "--epochs", "2")) == 0
    log = (only_run(tmp_path / "runs") / "train.log").read_text()
    assert "70 of 70 file names do not tell who is in them" in log and "56 train and 14 val pictures" in log


def test_a_val_that_is_there_is_taken_whatever_share_is_asked_for(tmp_path):
    data = people_folder(tmp_path / "data")
    lay(data / "val", {"glad": 2})
    assert len(list_split(data, "val", OWN, ValShare(0.2)).files) == 2
    assert len(list_split(data, "train", OWN, ValShare(0.2)).files) == 90


def test_words_that_are_classes_are_not_taken_for_people(tmp_path):
    for name in OWN:
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(6):
            (tmp_path / "train" / name / f"{name}_{number}.png").touch()
    with pytest.raises(DatasetError, match="tell the classes"):
        list_split(tmp_path, "val", OWN, ValShare(0.2))


def test_a_single_name_that_tells_nobody_does_not_part_those_that_do(tmp_path):
    data = people_folder(tmp_path)
    (data / "train" / "glad" / "1.png").touch()
    parts = {split: list_split(data, split, OWN, ValShare(0.2)) for split in ("train", "val")}
    people = [{file.name.split("_")[0] for file in part.files if "_" in file.name} for part in parts.values()]
    assert not people[0] & people[1]
    assert "1 of 91 file names do not tell" in parts["val"].remark


def test_a_resumed_run_keeps_to_its_share(tmp_path, narrow, capsys):
    data = people_folder(tmp_path / "data")
    runs = tmp_path / "runs"
    assert train.main(quick(data, runs, "--val-share", "0.2", "--epochs", "2")) == 0
    for name in OWN:
        for number in range(9):
            Image.new("L", (48, 48), number).save(data / "train" / name / f"new_{number}.png")
    assert train.main(["--resume", "--output", str(runs)]) == 2
    assert "no longer holds the pictures" in capsys.readouterr().err
