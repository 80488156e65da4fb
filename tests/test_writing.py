"""The dataset folder: how a picture is written, and old pictures or new ones but no mix, however a run ends."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import preprocess
from preprocess import main
from tests.conftest import ROOT
from tests.fer2013_samples import make_samples, write_class_folders, write_csv, write_data_folder
from tests.fer2013_sources import EXPECTED, SAMPLES, rows, run_process, write_lines, written
from tests.small_sets import lay, named

pytestmark = pytest.mark.usefixtures("empty_folder")


def test_pictures_are_grey_bilinear_enlargements(tmp_path):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    assert main(["fer2013.csv"]) == 0
    sample = SAMPLES[9]
    with Image.open(f"data/{sample.split}/{sample.label}/00009.jpg") as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "L", (240, 240))
        pixels = np.asarray(picture, np.int32)
    original = np.asarray(sample.picture, np.float64)
    position = ((np.arange(240) + 0.5) / 5 - 0.5).clip(0, 47)  # pixel centres, in pixels of the original
    below, share = np.floor(position).astype(int), position % 1
    above = np.minimum(below + 1, 47)
    lines = original[below] * (1 - share)[:, None] + original[above] * share[:, None]
    expected = lines[:, below] * (1 - share) + lines[:, above] * share
    assert np.abs(pixels - expected).max() <= 8
    assert np.abs(pixels - expected).mean() < 1


def test_class_folder_pictures_of_any_size_become_240(tmp_path):
    path = Path("set/train/happy/photo_7.png")
    path.parent.mkdir(parents=True)
    Image.new("RGB", (300, 400), "red").save(path)
    assert main(["set"]) == 0
    with Image.open("data/train/3/00007.jpg") as picture:
        assert (picture.mode, picture.size) == ("L", (240, 240))


# What is replaced


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_present_data_is_kept_unless_overwrite_is_given(split, tmp_path, capsys):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    write_data_folder(tmp_path / "data", {split: 3}, size=48)
    before = written()
    assert main(["fer2013.csv"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert written() == before
    assert main(["fer2013.csv", "--overwrite"]) == 0
    assert written() == EXPECTED


def test_overwrite_removes_a_split_that_the_new_source_lacks(tmp_path):
    write_data_folder(tmp_path / "data", {"train": 3, "test": 3})
    write_csv(tmp_path / "fer2013.csv", make_samples({"train": 1, "val": 1}))
    assert main(["fer2013.csv", "--overwrite"]) == 0
    assert {name.split("/")[0] for name in written()} == {"train", "val"}


@pytest.mark.parametrize("arguments", [[], ["data"], ["data/train"]])
def test_source_unpacked_where_the_output_goes_is_never_replaced(arguments, tmp_path, capsys):
    write_class_folders(tmp_path / "data", SAMPLES)
    before = written()
    assert main([*arguments, "--overwrite"]) == 2
    assert str(Path("data/fer2013/train")) in capsys.readouterr().err
    assert written() == before


def test_output_is_never_its_own_source(tmp_path, capsys):
    write_data_folder(tmp_path / "data", {"train": 1})
    before = written()
    assert main(["data/train", "--overwrite"]) == 2
    assert "lies in what would be replaced" in capsys.readouterr().err
    assert main(["data", "--overwrite"]) == 2
    assert written() == before


def test_output_that_is_a_file_is_a_sentence(tmp_path, capsys):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    Path("file").write_text("mine")
    assert main(["fer2013.csv", "--output", "file"]) == 2
    assert "choose another --output" in capsys.readouterr().err
    assert Path("file").read_text() == "mine"


def test_a_list_of_other_classes_in_the_output_is_never_left_beside_new_folders(capsys):
    lay({"classes.txt": "angry\nneutral\n"}, "data")
    assert main([lay(named({"train/happy/1.png": "happy", "train/sad/2.png": "sad"}))]) == 2
    assert "classes.txt" in capsys.readouterr().err


# Interruptions


@pytest.mark.parametrize("code, remedy", [(errno.ENOSPC, "Free about 500 MB"), (errno.EACCES, "may write to")])
def test_file_system_that_refuses_leaves_the_old_data(code, remedy, tmp_path, capsys, monkeypatch):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    write_data_folder(tmp_path / "data", {"train": 1})
    before = written()
    write_bytes = Path.write_bytes

    def refuse(path: Path, content) -> int:
        if path.name == "00020.jpg":
            raise OSError(code, os.strerror(code), str(path))
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert main(["fer2013.csv", "--overwrite"]) == 2
    error = capsys.readouterr().err
    assert os.strerror(code) in error and remedy in error
    assert written() == before


def test_ctrl_c_leaves_the_old_data_and_no_rubbish(tmp_path, capsys, monkeypatch):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    write_data_folder(tmp_path / "data", {"train": 1})
    before = written()

    def interrupt(folder, sample, size):
        if sample.number == 20:
            raise KeyboardInterrupt
        write_sample(folder, sample, size)

    write_sample = preprocess.write_sample
    monkeypatch.setattr(preprocess, "write_sample", interrupt)
    assert main(["fer2013.csv", "--overwrite"]) == 130
    assert "data is as it was" in capsys.readouterr().err
    assert written() == before
    assert not list(Path("data").glob(".*"))


def test_second_run_at_the_same_time_cannot_make_half_a_set(tmp_path, capsys, monkeypatch):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    write_sample = preprocess.write_sample

    def sweep_away(folder, sample, size):
        if sample.number == 20:
            preprocess.recover(Path("data"))  # what the other run begins with
        write_sample(folder, sample, size)

    monkeypatch.setattr(preprocess, "write_sample", sweep_away)
    assert main(["fer2013.csv"]) == 2
    assert "another preprocess.py" in capsys.readouterr().err
    assert not written()


# Runs the script and dies, as by kill -9, at the n-th call that moves or removes something.
DIE_AT_CALL = """
import os, pathlib, shutil, sys, preprocess
left = int(sys.argv.pop(1))
def deadly(function):
    def call(*arguments, **keywords):
        global left
        left -= 1
        if left == 0:
            os._exit(9)
        return function(*arguments, **keywords)
    return call
pathlib.Path.rename = deadly(pathlib.Path.rename)
pathlib.Path.rmdir = deadly(pathlib.Path.rmdir)
os.unlink = deadly(os.unlink)
sys.exit(preprocess.main(sys.argv[1:]))
"""


def splits_by_age() -> dict[str, str]:
    """Which splits data/ shows, and whether they are the old ones (48 pixels) or the new ones (240)."""
    shown = {}
    for split in preprocess.SPLITS:
        for path in sorted(Path("data", split).rglob("*.jpg"))[:1]:
            with Image.open(path) as picture:
                shown[split] = {48: "old", 240: "new"}[picture.width]
    return shown


@pytest.mark.parametrize("call", range(1, 10))
def test_kill_between_any_two_moves_shows_old_or_new_but_no_mix_and_the_next_run_mends_it(call, tmp_path):
    write_data_folder(tmp_path / "data", {"train": 1, "val": 1, "test": 1}, size=48)
    write_csv(tmp_path / "fer2013.csv", make_samples({"train": 1, "val": 1}))
    assert run_process(DIE_AT_CALL, str(call), "fer2013.csv", "--overwrite").returncode == 9

    old, new = dict.fromkeys(("train", "val", "test"), "old"), dict.fromkeys(("train", "val"), "new")
    shown = splits_by_age()
    assert len(set(shown.values())) <= 1
    assert "train" not in shown or shown in (old, new)  # train.py never sees part of a set

    assert main(["fer2013.csv"]) == 2  # without --overwrite: mends what was begun, and does no more
    assert splits_by_age() == (old if call == 1 else new)
    assert not list(Path("data").glob(".*"))


def test_killed_while_writing_it_leaves_the_old_data_and_the_next_run_starts_afresh(tmp_path):
    write_data_folder(tmp_path / "data", {"train": 1, "val": 1, "test": 1}, size=48)
    Path("data/notes.txt").write_text("mine")
    before = written()
    write_lines(rows(3000))
    process = subprocess.Popen([sys.executable, str(ROOT / "preprocess.py"), "fer2013.csv", "--overwrite"])
    deadline = time.monotonic() + 30
    while not list(Path("data").glob(".preprocess-*/new/*/0/*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() != 0
    assert before < written()  # it was killed in the middle: its pictures lie beside the old ones
    assert {name for name in written() if not name.startswith(".preprocess-")} == before

    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    assert main(["fer2013.csv", "--overwrite"]) == 0
    assert written() == EXPECTED | {"notes.txt"}
