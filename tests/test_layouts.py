"""Where a set keeps labels and splits: class folders, numbered or named, and what splits are called."""

from pathlib import Path

import pytest

from preprocess import main
from tests.fer2013_samples import write_class_folders
from tests.fer2013_sources import EXPECTED, SAMPLES, noise_jpeg, written, zipped
from tests.small_sets import AFFECT_NUMBERS, ONE_EACH, WORDS, counts, lay, named, pack, picture

pytestmark = pytest.mark.usefixtures("empty_folder")


# Numbered folders


def test_numbered_folders_are_never_guessed(capsys):
    files = {f"train/{number}/{number}.jpg": picture(word, ".jpg") for number, word in enumerate(AFFECT_NUMBERS[:8])}
    source = lay(files)
    assert main([source]) == 2
    error = capsys.readouterr().err
    assert "numbered 0 to 7" in error and "--dataset" in error and not Path("data/train").exists()
    assert main([source, "--dataset", "affectnet"]) == 0
    assert counts() == {"train": ONE_EACH}
    assert "Left out: 1 contempt" in capsys.readouterr().out


@pytest.mark.parametrize("first", [0, 1])
def test_numbered_folders_go_by_the_names_that_a_person_gives(first):
    files = {f"train/{number}/{number}.png": picture(word) for number, word in enumerate(WORDS[::-1], first)}
    assert main([lay(files), "--classes", *WORDS[::-1]]) == 0
    assert counts() == {"train": ONE_EACH}


def test_numbered_folders_go_by_the_names_in_classes_txt():
    files = {f"train/{number}/{number}.png": picture(word) for number, word in enumerate(WORDS[::-1])}
    assert main([lay(files | {"classes.txt": "\n".join(WORDS[::-1])})]) == 0
    assert counts() == {"train": ONE_EACH}


def test_folders_with_the_very_counts_of_fer2013_are_its(monkeypatch):
    monkeypatch.setattr("models.datasets.fer2013.OFFICIAL_COUNTS", {"train": (1,) * 7})
    files = {f"train/{number}/{number}.png": picture(word) for number, word in enumerate(WORDS)}
    assert main([lay(files)]) == 0
    assert counts() == {"train": ONE_EACH}


@pytest.mark.parametrize(
    "numbers, classes, sentence",
    [
        (range(1, 7), WORDS, "name each"),
        (range(9), WORDS, "name each"),
        (range(3), ("angry", "hapy", "sad"), "hapy is no"),
    ],
)
def test_numbers_whose_meaning_is_in_doubt_are_refused(numbers, classes, sentence, capsys):
    files = named({f"train/{number}/{number}.png": "happy" for number in numbers})
    assert main([lay(files), "--classes", *classes]) == 2
    assert sentence in capsys.readouterr().err


def test_lists_that_contradict_each_other_are_refused(capsys):
    files = named({f"{split}/0/{split}.png": "happy" for split in ("train", "test")})
    assert main([lay(files | {"train/classes.txt": "happy\nsad", "test/classes.txt": "sad\nhappy"})]) == 2
    assert "several classes.txt" in capsys.readouterr().err


# Named folders

SPELLINGS = {
    0: ["angry", "anger", "Angry"],
    1: ["disgust", "disgusted"],
    2: ["fear", "fearful"],
    3: ["happy", "happiness", "HAPPY"],
    4: ["sad", "sadness"],
    5: ["surprise", "surprised"],
    6: ["neutral"],
}


@pytest.mark.parametrize("label", SPELLINGS)
def test_class_folders_may_be_spelt_in_many_ways(label):
    picture = noise_jpeg()
    names = {f"train/{folder}/{number}.jpg": picture for number, folder in enumerate(SPELLINGS[label])}
    Path("set.zip").write_bytes(zipped(names))
    assert main(["set.zip"]) == 0
    assert written() == {f"train/{label}/{number:05d}.jpg" for number in range(len(names))}


def test_nothing_of_the_seven_classes_is_a_sentence(capsys):
    assert main([lay({"train/contempt/1.png": picture("none"), "train/unknown/2.png": picture("none")})]) == 2
    assert "nothing of the seven classes: 1 contempt, 1 unknown" in capsys.readouterr().err


# Splits


@pytest.mark.parametrize(
    "name, split",
    [
        ("train/sad/1.jpg", "train"),
        ("images/validation/sad/1.jpg", "val"),
        ("val/sad/1.jpg", "val"),
        ("Valid/sad/1.jpg", "val"),
        ("test/sad/1.jpg", "test"),
        ("test/sad/PublicTest_1.jpg", "val"),
        ("test/sad/PrivateTest_1.jpg", "test"),
        ("sad/Training_1.jpg", "train"),
        ("test/train/sad/1.jpg", "train"),
    ],
)
def test_split_is_told_by_the_prefix_or_else_by_the_folder(name, split):
    Path("set.zip").write_bytes(zipped({name: noise_jpeg()}))
    assert main(["set.zip"]) == 0
    assert written() == {f"{split}/4/00001.jpg"}


def test_a_single_split_folder_says_its_split_itself(tmp_path):
    write_class_folders(tmp_path / "set", SAMPLES)
    for path in Path("set/train").rglob("*.jpg"):
        path.rename(path.with_name(path.name.removeprefix("Training_")))
    assert main(["set/train"]) == 0
    assert written() == {name for name in EXPECTED if name.startswith("train")}


@pytest.mark.parametrize(
    "folders, expected",
    [
        (("train.zip", "test.zip"), ("train", "test")),
        (("Training set", "test_set"), ("train", "test")),
        (("train", "dev"), ("train", "val")),
    ],
)
def test_splits_are_known_by_the_names_of_archives_and_folders(folders, expected):
    for folder in folders:
        files = named({f"{word}/{folder}{number}.png": word for number, word in enumerate(WORDS)})
        if folder.endswith(".zip"):
            pack(files)
            Path("set").mkdir(exist_ok=True)
            Path("set.zip").rename(f"set/{folder}")
        else:
            lay(files, f"set/{folder}")
    assert main(["set"]) == 0
    assert counts() == dict.fromkeys(expected, ONE_EACH)


def test_splits_of_a_set_of_people_are_kept_and_people_in_both_are_warned_of(capsys):
    files = named({f"{split}/KA.HA{number}.{number}.png": "happy" for split, number in (("train", 1), ("test", 2))})
    assert main([lay(files | named({"train/KL.AN1.3.png": "angry"})), "--no-crop-faces"]) == 0
    assert counts() == {"train": {"Happy": 1, "Angry": 1}, "test": {"Happy": 1}}
    assert "Beware: 1 people are in several splits, KA" in capsys.readouterr().err
