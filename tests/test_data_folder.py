"""The data folder on disk: classes by their names, splits by any of theirs."""

from pathlib import Path

import pytest

import train
from models.errors import DatasetError
from models.expressions import CLASS_NAMES
from models.training.folder import find_classes, list_split
from tests.own_classes import OWN, evaluate, lay, write_answering_glad
from tests.training_runs import quick


def classes_of(data: Path, split: str, names: list[str]) -> dict[str, str]:
    """Which class each folder of a split counts as."""
    listing = list_split(data, split, names)
    return {file.parent.name: names[target] for file, target in zip(listing.files, listing.targets)}


@pytest.fixture
def answering_glad(tmp_path) -> Path:
    return write_answering_glad(tmp_path / "glad.pt")


def test_a_missing_folder_says_how_to_make_it(tmp_path):
    with pytest.raises(DatasetError, match="python preprocess.py fer2013.csv --output"):
        find_classes(tmp_path)


def test_classes_come_from_folder_names_or_a_list(tmp_path):
    for name in ("calm", "cross", "glad"):
        (tmp_path / "named" / "train" / name).mkdir(parents=True)
    assert find_classes(tmp_path / "named") == ["calm", "cross", "glad"]
    for number in range(3):
        (tmp_path / "numbered" / "train" / str(number)).mkdir(parents=True)
    with pytest.raises(DatasetError, match="0 to 6"):
        find_classes(tmp_path / "numbered")
    for encoding in ("utf-8", "utf-8-sig"):  # some editors begin a file with a mark
        (tmp_path / "numbered" / "classes.txt").write_text("calm\ncross\nglad\n", encoding=encoding)
        assert find_classes(tmp_path / "numbered") == ["calm", "cross", "glad"]


def test_evaluate_matches_numbered_folders_with_the_checkpoint_by_classes_txt(answering_glad, tmp_path, capsys):
    data = tmp_path / "data"
    lay(data / "val", {"0": 3, "1": 1, "2": 1})  # in another order than the checkpoint's
    (data / "classes.txt").write_text("glad\ncalm\ncross\n")
    report = evaluate(answering_glad, data, capsys)
    assert report["accuracy"] == pytest.approx(0.6)
    assert {name: row["support"] for name, row in report["per_class"].items()} == {"calm": 1, "cross": 1, "glad": 3}


def test_numbered_folders_without_names_are_fer2013s_and_refused_for_other_classes(answering_glad, tmp_path, capsys):
    lay(tmp_path / "data" / "val", {"0": 1, "1": 1, "2": 1})
    assert train.main(["--evaluate", "--checkpoint", str(answering_glad), "--data", str(tmp_path / "data")]) == 2
    error = capsys.readouterr().err
    assert "none of the classes calm, cross, glad" in error and "classes.txt may say otherwise" in error
    assert classes_of(tmp_path / "data", "val", list(CLASS_NAMES)) == {"0": "Angry", "1": "Disgusted", "2": "Fearful"}


def test_folders_are_matched_whatever_their_case_or_the_word_another_set_has(tmp_path):
    lay(tmp_path / "val", {"happiness": 1, "ANGRY": 1, "Sad": 1})
    assert classes_of(tmp_path, "val", list(CLASS_NAMES)) == {"happiness": "Happy", "ANGRY": "Angry", "Sad": "Sad"}
    assert classes_of(tmp_path, "val", ["sad", "angry", "happy"]) == {
        "happiness": "happy", "ANGRY": "angry", "Sad": "sad",
    }  # fmt: skip


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_class_that_only_another_split_has_is_refused_before_a_run_begins(split, tmp_path, capsys):
    data = tmp_path / "data"
    for part in ("train", "val", "test"):
        lay(data / part, dict.fromkeys(OWN, 3))
    lay(data / split, {"contempt": 3})
    assert train.main(quick(data, tmp_path / "runs")) == 2
    assert f"{data / split / 'contempt'} is none of the classes" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_two_folders_that_are_one_class_are_refused(tmp_path):
    lay(tmp_path / "train", {"Happy": 1, "happy": 1, "sad": 1})
    with pytest.raises(DatasetError, match="Happy and happy"):
        find_classes(tmp_path)
    lay(tmp_path / "val", {"Happy": 1, "happiness": 1})
    with pytest.raises(DatasetError, match="are both Happy"):
        list_split(tmp_path, "val", list(CLASS_NAMES))


def test_a_rare_class_may_be_absent_from_a_split_that_is_evaluated_but_not_from_train(answering_glad, tmp_path, capsys):
    lay(tmp_path / "data" / "val", {"glad": 3, "calm": 1})
    report = evaluate(answering_glad, tmp_path / "data", capsys)
    assert (report["n"], report["accuracy"], report["balanced_accuracy"]) == (4, 0.75, 0.5)
    with pytest.raises(DatasetError, match="no picture of cross"):
        lay(tmp_path / "data" / "train", {"glad": 3, "calm": 1, "cross": 0})
        list_split(tmp_path / "data", "train", OWN)


@pytest.mark.parametrize("name", ["validation", "valid", "Val", "VALIDATION"])
def test_val_goes_by_any_of_its_names(name, answering_glad, tmp_path, capsys):
    lay(tmp_path / name, {"glad": 2})
    assert evaluate(answering_glad, tmp_path, capsys)["n"] == 2


def test_two_folders_for_one_split_are_refused(tmp_path):
    lay(tmp_path / "val", {"glad": 2})
    lay(tmp_path / "validation", {"glad": 2})
    with pytest.raises(DatasetError, match="val and validation"):
        list_split(tmp_path, "val", OWN)
