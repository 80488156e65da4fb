"""A set's pictures in whatever form: what is there twice or several times, and what is left out."""

from pathlib import Path

import pytest

import train
from models.checkpoint import load_checkpoint
from preprocess import main
from tests.fer2013_samples import csv_lines, make_samples
from tests.small_sets import WORDS, jaffe, lay, named, pack, picture
from tests.training_runs import only_run, quick

pytestmark = pytest.mark.usefixtures("empty_folder")


def test_a_picture_that_is_there_twice_is_refused_where_it_would_leak(capsys):
    files = jaffe()
    twice = {name.replace("jaffe/", "copy/"): content for name, content in list(files.items())[:1]}
    assert main([lay(files | twice), "--no-crop-faces"]) == 2
    assert "KA.AN1.0.tiff is there twice" in capsys.readouterr().err


def test_copies_are_left_out_where_they_would_be_in_train_and_val(capsys):
    files = named({f"faces/{word}/{word}{number}.png": word for word in WORDS for number in range(9)})
    files |= {"faces/happy/again.png": files["faces/happy/happy1.png"]}
    assert main([lay(files)]) == 0
    assert "1 copies of pictures" in capsys.readouterr().out and len(list(Path("data").rglob("*.jpg"))) == 63


def test_an_archive_beside_its_folder_is_refused(capsys):
    files = named({f"faces/{word}/{word}{number}.png": word for word in WORDS for number in range(5)})
    lay(files)
    pack(files)
    Path("set.zip").rename("set/faces.zip")
    assert main(["set"]) == 2
    assert "35 pictures are there twice" in capsys.readouterr().err


def test_several_tables_of_pixels_are_not_guessed_between(capsys):
    text = "\n".join(csv_lines(make_samples({"train": 1})))
    assert main([lay({"ckextended.csv": text, "fer2013.csv": text})]) == 2
    assert "name one" in capsys.readouterr().err


def test_a_set_that_lacks_a_class_is_trained_on_the_others(narrow, capsys):
    files = {f"CK/{word}/S{person:03d}_001_{10 + number:08d}.png": picture(word)
             for word in WORDS[:3] for person in range(5) for number in range(3)}  # fmt: skip
    assert main([lay(files)]) == 0
    assert train.main(quick(Path("data"), Path("runs"), "--epochs", "1")) == 0
    assert load_checkpoint(only_run(Path("runs")) / "best.pt")["class_names"] == ["Angry", "Disgusted", "Fearful"]
    assert "no training picture of Happy, Sad, Surprised, Neutral" in capsys.readouterr().err
    assert main(["set", "--val-share", "0", "--output", "whole"]) == 0
    assert train.main(quick(Path("whole/train"), Path("folds"), "--folds", "2", "--epochs", "1")) == 0
