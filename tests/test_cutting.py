"""From an encoded picture of a set to a face: decoded, or cut out of a photograph as the demos do."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models import read_picture
from models.datasets import cutting
from models.faces import face_crop, make_detector
from preprocess import main
from tests.conftest import ROOT
from tests.fer2013_sources import noise_jpeg, written, zipped
from tests.small_sets import counts, lay, named, names, picture

pytestmark = pytest.mark.usefixtures("empty_folder")


def test_faces_of_photographs_are_cut_out_as_the_demos_do(capsys):
    photograph, other = ((ROOT / "input" / f"{number}.jpg").read_bytes() for number in (1, 4))
    nobody = picture("happy", ".jpg", "RGB")
    files = {"jaffe/KA.HA1.29.jpg": photograph, "jaffe/KL.HA1.158.jpg": nobody, "jaffe/KM.HA1.4.jpg": other}
    assert main([lay(files), "--val-share", "0", "--size", "96"]) == 0
    assert names("train") == {"KA_00029.jpg", "KM_00004.jpg"}
    assert "1 no face found in it" in capsys.readouterr().out
    whole = read_picture(ROOT / "input" / "1.jpg")
    face = Image.fromarray(face_crop(whole, make_detector().detect(whole)[0])).convert("L").resize((96, 96), 2)
    with Image.open("data/train/3/KA_00029.jpg") as written:
        assert np.abs(np.asarray(written, float) - np.asarray(face, float)).mean() < 2


def test_boxes_are_left_alone_where_pictures_are_to_be_taken_whole():
    table = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n"
    lay(named({"a/1.png": "happy"}) | {"training.csv": table + "a/1.png,1,1,8,8,1;2,1,0,0\n"})
    assert main(["set", "--no-crop-faces"]) == 0
    assert counts() == {"train": {"Happy": 1}}


def test_damaged_picture_in_a_class_folder_is_reported_and_skipped(capsys):
    files = {f"train/sad/{number}.jpg": noise_jpeg() for number in range(101)}
    files["train/sad/5.jpg"] = files["train/sad/5.jpg"][:300]
    Path("set.zip").write_bytes(zipped(files))
    assert main(["set.zip"]) == 1
    assert "Skipped set.zip/train/sad/5.jpg: unreadable picture" in capsys.readouterr().err
    assert written() == {f"train/4/{number:05d}.jpg" for number in range(101) if number != 5}


@pytest.mark.parametrize(
    "name, reason",
    [("train/holiday/1.jpg", "unknown label"), ("sad/1.jpg", "unknown split"), ("train/sad/1.png", "too large")],
)
def test_picture_that_cannot_be_placed_or_is_too_large_is_reported(name, reason, capsys, monkeypatch):
    monkeypatch.setattr(cutting, "LARGEST_PICTURE", 48 * 48)
    Path("set.zip").write_bytes(zipped({"train/angry/1.jpg": noise_jpeg(), name: noise_jpeg(49)}))
    assert main(["set.zip"]) == 2
    assert reason in capsys.readouterr().err
    assert not written()
