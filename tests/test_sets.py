"""The sets that preprocess.py knows, each as it is given out and as it is repackaged."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.expressions import CLASS_NAMES
from preprocess import main
from tests.fer2013_samples import csv_lines, make_samples
from tests.small_sets import AFFECT_NUMBERS, ONE_EACH, WORDS, counts, jaffe, lay, named, names, pack, picture

pytestmark = pytest.mark.usefixtures("empty_folder")


# RAF-DB

RAF_NUMBERS = ("surprised", "fearful", "disgusted", "happy", "sad", "angry", "neutral")  # from 1 on


def raf_basic() -> dict[str, bytes | str]:
    listed, files = "", {}
    for split in ("train", "test"):
        for number, word in enumerate(RAF_NUMBERS, start=1):
            listed += f"{split}_{number:05d}.jpg {number}\n"
            files[f"basic/Image/aligned/{split}_{number:05d}_aligned.jpg"] = picture(word, ".jpg", "RGB")
    return files | {"basic/EmoLabel/list_patition_label.txt": listed}


@pytest.mark.parametrize("put", [lay, pack])
def test_rafdb_is_read_by_its_list(put, capsys):
    assert main([put(raf_basic())]) == 0
    assert counts() == {"train": ONE_EACH, "test": ONE_EACH}
    assert names("train") == {f"{number:05d}.jpg" for number in range(1, 8)}
    output = capsys.readouterr()
    assert "This is RAF-DB" in output.err
    rows = output.out.splitlines()
    assert rows[0].split() == ["train", "official", "test", "official"]
    assert rows[1].split() == ["0", "Angry", "1", "705", "1", "162"]
    assert rows[8].split() == ["all", "7", "12271", "7", "3068"]
    assert "train.py --val-share" in output.out


def test_rafdb_leaves_out_whole_photographs_and_compound_expressions_and_counts_them(capsys):
    files = raf_basic() | {
        "basic/Image/original/train_00001.jpg": picture("none"),
        "compound/Image/aligned/train_00001_aligned.jpg": picture("none"),
        "compound/EmoLabel/list_patition_label.txt": "train_00001.jpg 11\n",
    }
    assert main([lay(files)]) == 0
    assert counts() == {"train": ONE_EACH, "test": ONE_EACH}
    output = capsys.readouterr().out
    assert "1 whole photographs, whose faces are there as well" in output and "1 compound expressions" in output


def test_rafdb_in_numbered_folders():
    files = {
        f"DATASET/{split}/{number}/{split}_{number:05d}_aligned.jpg": picture(word, ".jpg")
        for split in ("train", "test") for number, word in enumerate(RAF_NUMBERS, start=1)
    }  # fmt: skip
    assert main([lay(files)]) == 0
    assert counts() == {"train": ONE_EACH, "test": ONE_EACH}


def test_raf_dbs_numbers_are_not_taken_for_anybody_elses(capsys):
    files = named({f"train/{number}/train_{number:05d}.png": "happy" for number in range(1, 7)})
    assert main([lay(files)]) == 2
    assert "numbered 1 to 6" in capsys.readouterr().err


# AffectNet


def npy(value) -> bytes:
    encoded = io.BytesIO()
    np.save(encoded, np.array(value))
    return encoded.getvalue()


@pytest.mark.parametrize("kind", [str, int, float])
def test_affectnet_is_read_by_its_annotations(kind, capsys):
    files = {}
    for split in ("train_set", "val_set"):
        for number, word in enumerate(AFFECT_NUMBERS):
            files[f"{split}/images/{number}.jpg"] = picture(word, ".jpg")
            files[f"{split}/annotations/{number}_exp.npy"] = npy(kind(number))
            files[f"{split}/annotations/{number}_val.npy"] = npy(0.5)
    assert main([lay(files)]) == 0
    assert counts() == {"train": ONE_EACH, "val": ONE_EACH}
    output = capsys.readouterr().out
    assert "2 contempt" in output and "2 not a face" in output and "134415" in output


def test_affectnet_is_read_by_its_tables_and_the_faces_cut_out_by_their_boxes():
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n"
    files, lines = {}, {"training.csv": header, "validation.csv": header}
    for table in lines:
        for number, word in enumerate(AFFECT_NUMBERS):
            place = f"{number}/{table}{number}.jpg"
            with Image.open(io.BytesIO(picture(word))) as face:
                whole = Image.new("RGB", (300, 200), "white")
                whole.paste(face, (100, 40))
            encoded = io.BytesIO()
            whole.save(encoded, "PNG")
            files[f"Manually_Annotated_Images/{place}"] = encoded.getvalue()
            lines[table] += f"{place},102,45,45,50,1;2;3,{number},0.1,0.2\n"
    assert main([lay(files | lines)]) == 0
    assert counts() == {"train": ONE_EACH, "val": ONE_EACH}


# CK+ and portraits


def ck_sequences(people: int = 5) -> dict[str, bytes | str]:
    """Every person shows all of CK+'s emotions, in six frames from neutral on; a sequence more has no label."""
    emotions = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    files: dict[str, bytes | str] = {}
    for person in range(people):
        for take, word in enumerate((*emotions[1:], None), start=1):
            stem = f"S{person + 10:03d}/{take:03d}/S{person + 10:03d}_{take:03d}"
            for frame in range(1, 7):
                shown = "neutral" if frame == 1 or word is None else word if frame > 3 else "none"
                files[f"cohn-kanade-images/{stem}_{frame:08d}.png"] = picture(shown)
            if word:
                files[f"Emotion/{stem}_00000006_emotion.txt"] = f"   {emotions.index(word)}.0000000e+00\n"
    return files


def test_ckplus_takes_the_peak_of_each_sequence_and_one_neutral_frame(capsys):
    assert main([lay(ck_sequences()), "--no-crop-faces"]) == 0
    found = counts()
    per_person = {name: 3 for name in CLASS_NAMES} | {"Neutral": 7}
    assert found == {
        "train": {name: 4 * number for name, number in per_person.items()},
        "val": per_person,
    }
    people = {split: {name.split("_")[0] for name in names(split)} for split in ("train", "val")}
    assert len(people["train"]) == 4 and len(people["val"]) == 1 and not people["train"] & people["val"]
    output = capsys.readouterr().out
    assert (
        "15 contempt" in output and "70 frames before the peak" in output and "30 sequences without a label" in output
    )
    assert "by person: 5 people" in output


def test_ckplus_as_folders_of_peak_frames():
    files = {
        f"CK+48/{word}/S{person:03d}_{number:03d}_{frame:08d}.png": picture(word)
        for person in range(10) for number, word in enumerate(("anger", "contempt", "disgust", "fear", "happy"))
        for frame in (10, 11, 12)
    }  # fmt: skip
    assert main([lay(files), "--val-share", "0.1"]) == 0
    assert counts()["val"] == dict.fromkeys(("Angry", "Disgusted", "Fearful", "Happy"), 3)
    people = {split: {name.split("_")[0] for name in names(split)} for split in ("train", "val")}
    assert people["train"] | people["val"] == {f"S{person:03d}" for person in range(10)}
    assert len(people["val"]) == 1 and not people["train"] & people["val"]


def test_ckplus_as_a_csv_is_asked_for_and_its_contempt_left_out(capsys):
    lines = csv_lines(make_samples({"train": 3, "val": 1, "test": 1}))
    contempt = [f"7,{line.split(',')[1]},Training" for line in lines[1:4]]
    source = lay({"ckextended.csv": "\n".join([*lines, *contempt])})
    assert main([source]) == 2
    assert "unknown label '7'" in (error := capsys.readouterr().err) and "--dataset" in error
    assert main([source, "--dataset", "ckplus"]) == 0
    assert "3 contempt" in capsys.readouterr().out
    assert len(list(Path("data").rglob("*.jpg"))) == 35


def test_missing_labels_are_named(capsys):
    files = named({f"S005/001/S005_001_{number:08d}.png": "happy" for number in range(1, 5)})
    assert main([lay(files)]) == 2
    assert "Emotion_labels.zip" in capsys.readouterr().err


def test_jaffe_is_read_by_its_names_and_divided_by_person(capsys):
    assert main([lay(jaffe()), "--no-crop-faces"]) == 0
    assert counts() == {"train": dict.fromkeys(CLASS_NAMES, 24), "val": dict.fromkeys(CLASS_NAMES, 6)}
    people = {split: {name.split("_")[0] for name in names(split)} for split in ("train", "val")}
    assert len(people["val"]) == 2 and not people["train"] & people["val"]
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["train", "val", "all", "official"] and rows[1].split()[-2:] == ["30", "30"]


def test_kdef_takes_straight_faces_of_both_sessions(capsys):
    codes = dict(zip(("AN", "DI", "AF", "HA", "SA", "SU", "NE"), WORDS))
    files = {
        f"KDEF/{session}{person}/{session}{person}{code}{angle}.JPG": picture(word if angle == "S" else "none", ".jpg")
        for session in "AB" for person in ("F01", "F02", "M01", "M35", "F35") for code, word in codes.items()
        for angle in ("S", "HL", "HR", "FL", "FR")
    }  # fmt: skip
    assert main([lay(files), "--no-crop-faces"]) == 0
    assert counts() == {"train": dict.fromkeys(CLASS_NAMES, 8), "val": dict.fromkeys(CLASS_NAMES, 2)}
    assert {name.split("_")[0] for name in names("train") | names("val")} == {"F01", "F02", "M01", "M35", "F35"}
    assert "280 turned away" in capsys.readouterr().out
    assert main(["set", "--no-crop-faces", "--overwrite", "--all-angles"]) == 0
    assert len(list(Path("data").rglob("*.jpg"))) == 350


def test_rafd_takes_the_camera_in_front_and_knows_the_model_for_the_person():
    groups = ("Caucasian_female", "Kid_male", "Moroccan_male", "Caucasian_male", "Kid_female")
    words = ("angry", "contemptuous", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")
    files = {
        f"Rafd{camera}_{person:02d}_{group}_{word}_{gaze}.jpg": picture(word if camera == "090" else "none", ".jpg")
        for camera in ("000", "045", "090", "135", "180")
        for person, group in enumerate(groups, 1)
        for word in words for gaze in ("frontal", "left", "right")
    }  # fmt: skip
    assert main([lay(files), "--no-crop-faces"]) == 0
    assert counts() == {"train": dict.fromkeys(CLASS_NAMES, 12), "val": dict.fromkeys(CLASS_NAMES, 3)}
    assert {name.split("_")[0] for name in names("train") | names("val")} == {
        f"Rafd{number:02d}" for number in range(1, 6)
    }


def test_known_sets_are_known_in_lower_case_and_with_what_comes_along():
    codes = dict(zip(("an", "di", "af", "ha", "sa", "su", "ne"), WORDS))
    files = named(
        {f"kdef/{who}/{who}{code}s.jpg": word for who in ("af01", "bf01", "am02") for code, word in codes.items()}
    )
    averaged = named({f"AKDEF/mean{number}.jpg": "none" for number in range(7)})
    assert main([lay(files | averaged), "--no-crop-faces", "--val-share", "0.5"]) == 0
    assert {name.split("_")[0] for name in names("train") | names("val")} == {"F01", "M02"}
