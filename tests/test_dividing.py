"""Train and val of a set without splits, people kept apart, and the numbers of its pictures."""

from pathlib import Path

import pytest

from models.expressions import CLASS_NAMES
from preprocess import main
from tests.fer2013_sources import noise_jpeg, written, zipped
from tests.small_sets import ONE_EACH, WORDS, counts, jaffe, lay, named, names, picture

pytestmark = pytest.mark.usefixtures("empty_folder")


def test_folders_without_splits_are_divided_and_it_says_that_people_are_not_told(capsys):
    files = {f"own/{word}/{word}{number}.png": picture(word) for word in WORDS for number in range(10)}
    assert main([lay(files)]) == 0
    assert counts() == {"train": dict.fromkeys(CLASS_NAMES, 8), "val": dict.fromkeys(CLASS_NAMES, 2)}
    assert "no person is told" in capsys.readouterr().out


def test_folders_are_divided_by_the_person_that_a_pattern_finds():
    files = {
        f"own/{word}/take1-{person}-{word}.png": picture(word) for word in WORDS for person in ("ann", "bob", "cy")
    }
    assert main([lay(files), "--group-pattern", "take1-([a-z]+)-", "--val-share", "0.33"]) == 0
    assert counts() == {"train": dict.fromkeys(CLASS_NAMES, 2), "val": ONE_EACH}
    assert len({name.split("_")[0] for name in names("val")}) == 1


def test_people_of_any_letters_are_kept_apart():
    people = ("王芳", "李娜", "张伟", "Zoë", "Zoé", "ann.b", "ann b", "Bob")
    files = named({f"own/{word}/{who}_{word}.png": word for word in WORDS for who in people})
    assert main([lay(files), "--group-pattern", "([^_]+)_", "--val-share", "0.25"]) == 0
    found = {split: {name.split("_")[0] for name in names(split)} for split in ("train", "val")}
    assert found["train"] | found["val"] == {"王芳", "李娜", "张伟", "Zoë", "Zoé", "ann-b", "ann-b-2", "Bob"}
    assert len(found["val"]) == 2 and not found["train"] & found["val"]


def test_a_set_may_be_left_in_one_piece_for_folds():
    assert main([lay(jaffe()), "--no-crop-faces", "--val-share", "0"]) == 0
    assert counts() == {"train": dict.fromkeys(CLASS_NAMES, 30)}


def test_pictures_whose_numbers_repeat_are_numbered_anew():
    files = {f"train/{folder}/im{number}.jpg": noise_jpeg() for folder in ("angry", "sad") for number in (0, 1)}
    Path("set.zip").write_bytes(zipped(files))
    assert main(["set.zip"]) == 0
    assert written() == {"train/0/00000.jpg", "train/0/00001.jpg", "train/4/00002.jpg", "train/4/00003.jpg"}
