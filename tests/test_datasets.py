"""preprocess.py on other sets than FER2013, each made tiny here in the forms that it is given out and repackaged in."""

import csv
import io
import json
import zipfile
from collections import Counter
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import train
from models import read_picture
from models.checkpoint import load_checkpoint
from models.datasets.fer2013 import FerPlus
from models.datasets.people import choose_val, describe_groups, doubt_groups, find_groups
from models.expressions import CLASS_NAMES, expression_of
from models.faces import face_crop, make_detector
from preprocess import main
from tests.fer2013_samples import csv_lines, make_samples
from tests.test_train import only_run, quick

ROOT = Path(__file__).parent.parent
NUMBERS = count()
WORDS = ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def shade(label: int) -> int:
    """The grey of a class's pictures, by which they are known again."""
    return 20 + 30 * label


def picture(word: str, suffix: str = ".png", mode: str = "L") -> bytes:
    """An encoded picture, no two alike, mostly in its expression's grey; black for what is none of the seven."""
    name, drawn = expression_of(word), next(NUMBERS)
    grey = shade(CLASS_NAMES.index(name)) if name in CLASS_NAMES else 0
    encoded = io.BytesIO()
    kind = {".jpg": "JPEG", ".tiff": "TIFF"}.get(suffix.lower(), "PNG")
    image = Image.new("L", (50, 60), grey)
    for bit, place in enumerate((8 * column, 8 * row) for row in range(4) for column in range(4)):
        image.paste(grey + 20 * (drawn >> bit & 1), (*place, place[0] + 8, place[1] + 8))  # no two are alike
    image.convert(mode).save(encoded, kind)
    return encoded.getvalue()


def lay(files: dict[str, bytes | str], folder: str = "set") -> str:
    for name, content in files.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def pack(files: dict[str, bytes | str]) -> str:
    with zipfile.ZipFile("set.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return "set.zip"


def counts(folder: str = "data") -> dict[str, dict[str, int]]:
    """How many pictures each split has of each class; of each picture the grey is held against its class."""
    found: dict[str, Counter[str]] = {}
    for path in sorted(Path(folder).rglob("*.jpg")):
        split, label = path.parts[-3], int(path.parts[-2])
        with Image.open(path) as image:
            assert abs(np.median(np.asarray(image, float)) - shade(label)) < 3, path
        found.setdefault(split, Counter())[CLASS_NAMES[label]] += 1
    return {split: dict(number) for split, number in found.items()}


def names(split: str) -> set[str]:
    return {path.name for path in Path("data", split).rglob("*.jpg")}


ONE_EACH = dict.fromkeys(CLASS_NAMES, 1)

# ------------------------------------------------------------------------------------------------------- RAF-DB

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


# ---------------------------------------------------------------------------------------------------- AffectNet

AFFECT_NUMBERS = (
    "neutral",
    "happy",
    "sad",
    "surprised",
    "fearful",
    "disgusted",
    "angry",
    "contempt",
    "none",
    "none",
    "none",
)


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


# --------------------------------------------------------------------------------------------------------- FER+


def votes_table(samples, winners: list[str]) -> str:
    lines = ["Usage,Image name," + ",".join(FerPlus.columns)]
    for sample, winner in zip(samples, winners):
        votes = [7 if column == winner else 1 if column == "fear" else 0 for column in FerPlus.columns]
        if winner == "tie":
            votes[:2] = [5, 5]
        lines.append(f"Training,fer{sample.number:07d}.png," + ",".join(map(str, votes)))
    return "\n".join(lines)


def test_ferplus_takes_the_most_votes_and_leaves_out_what_has_no_such_class(capsys):
    samples = make_samples({"train": 1})
    winners = ["happiness", "neutral", "NF", "contempt", "tie", "unknown", "disgust"]
    files = {"fer2013.csv": "\n".join(csv_lines(samples)), "fer2013new.csv": votes_table(samples, winners)}
    assert main([lay(files), "--dataset", "ferplus"]) == 0
    written = sorted(path.relative_to("data").as_posix() for path in Path("data").rglob("*.jpg"))
    assert written == ["train/1/00006.jpg", "train/3/00000.jpg", "train/6/00001.jpg"]
    output = capsys.readouterr().out
    for left_out in ("1 not a face", "1 contempt", "1 a tie of votes", "1 unknown"):
        assert left_out in output
    assert main(["set", "--overwrite"]) == 0  # without --dataset the csv is FER2013
    assert len(list(Path("data").rglob("*.jpg"))) == 7


def test_ferplus_without_its_votes_is_a_sentence(capsys):
    assert main([lay({"fer2013.csv": "\n".join(csv_lines(make_samples({"train": 1})))}), "--dataset", "ferplus"]) == 2
    assert "fer2013new.csv" in capsys.readouterr().err


def test_ferplus_as_pictures_with_a_list():
    files, rows = {}, {}
    for folder in ("FER2013Train", "FER2013Valid", "FER2013Test"):
        rows[folder] = io.StringIO()
        for number, word in enumerate(("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")):
            name = f"fer{number:07d}.png"
            files[f"{folder}/{name}"] = picture(word)
            votes = [8 if column == word else 0 for column in FerPlus.columns]
            csv.writer(rows[folder]).writerow([name, "(0, 0, 48, 48)", *votes])
        files[f"{folder}/label.csv"] = rows[folder].getvalue()
    assert main([lay(files)]) == 0
    assert counts() == {"train": ONE_EACH, "val": ONE_EACH, "test": ONE_EACH}


# ----------------------------------------------------------------------------------------------- CK+ and portraits


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


def jaffe() -> dict[str, bytes]:
    codes = dict(zip(("AN", "DI", "FE", "HA", "SA", "SU", "NE"), WORDS))
    return {
        f"jaffe/{person}.{code}{number}.{index}.tiff": picture(word, ".tiff")
        for index, (person, code, number) in enumerate(
            (person, code, number)
            for person in ("KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM")
            for code in codes for number in (1, 2, 3)
        ) for word in [codes[code]]
    }  # fmt: skip


def test_jaffe_is_read_by_its_names_and_divided_by_person(capsys):
    assert main([lay(jaffe()), "--no-crop-faces"]) == 0
    assert counts() == {"train": dict.fromkeys(CLASS_NAMES, 24), "val": dict.fromkeys(CLASS_NAMES, 6)}
    people = {split: {name.split("_")[0] for name in names(split)} for split in ("train", "val")}
    assert len(people["val"]) == 2 and not people["train"] & people["val"]
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["train", "val", "all", "official"] and rows[1].split()[-2:] == ["30", "30"]


def test_a_set_may_be_left_in_one_piece_for_folds():
    assert main([lay(jaffe()), "--no-crop-faces", "--val-share", "0"]) == 0
    assert counts() == {"train": dict.fromkeys(CLASS_NAMES, 30)}


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


# ------------------------------------------------------------------------------------------- folders and parquet


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


def test_a_picture_that_is_there_twice_is_refused_where_it_would_leak(capsys):
    files = jaffe()
    twice = {name.replace("jaffe/", "copy/"): content for name, content in list(files.items())[:1]}
    assert main([lay(files | twice), "--no-crop-faces"]) == 2
    assert "KA.AN1.0.tiff is there twice" in capsys.readouterr().err


def test_nothing_of_the_seven_classes_is_a_sentence(capsys):
    assert main([lay({"train/contempt/1.png": picture("none"), "train/unknown/2.png": picture("none")})]) == 2
    assert "nothing of the seven classes: 1 contempt, 1 unknown" in capsys.readouterr().err


def test_several_tables_of_pixels_are_not_guessed_between(capsys):
    text = "\n".join(csv_lines(make_samples({"train": 1})))
    assert main([lay({"ckextended.csv": text, "fer2013.csv": text})]) == 2
    assert "name one" in capsys.readouterr().err


def parquet(words_of_numbers: list[str] | None, labels: list, column: str = "label") -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    rows = [{"image": {"bytes": picture(word), "path": None}, column: label} for word, label in labels]
    table = pyarrow.Table.from_pylist(rows)
    if words_of_numbers:
        features = {column: {"names": words_of_numbers, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    encoded = io.BytesIO()
    write_table(table, encoded)
    return encoded.getvalue()


def test_parquet_goes_by_the_names_in_it_not_by_fer2013s_numbers():
    words = sorted(WORDS)  # by the alphabet, 4 is neutral
    files = {
        f"data/{split}-00000-of-00001.parquet": parquet(words, [(word, words.index(word)) for word in WORDS])
        for split in ("train", "validation", "test")
    }
    assert main([lay(files)]) == 0
    assert counts() == {"train": ONE_EACH, "val": ONE_EACH, "test": ONE_EACH}


def test_parquet_with_names_for_labels():
    assert main([lay({"train.parquet": parquet(None, [(word, word) for word in WORDS], "labels")})]) == 0
    assert counts() == {"train": ONE_EACH}


def test_parquet_with_bare_numbers_is_asked_about(capsys):
    source = lay({"train.parquet": parquet(None, [(word, number) for number, word in enumerate(WORDS)])})
    assert main([source]) == 2
    assert "--classes" in capsys.readouterr().err
    assert main([source, "--dataset", "fer2013"]) == 0
    assert counts() == {"train": ONE_EACH}


def test_a_set_that_lacks_a_class_is_trained_on_the_others(narrow, capsys):
    files = {f"CK/{word}/S{person:03d}_001_{10 + number:08d}.png": picture(word)
             for word in WORDS[:3] for person in range(5) for number in range(3)}  # fmt: skip
    assert main([lay(files)]) == 0
    assert train.main(quick(Path("data"), Path("runs"), "--epochs", "1")) == 0
    assert load_checkpoint(only_run(Path("runs")) / "best.pt")["class_names"] == ["Angry", "Disgusted", "Fearful"]
    assert "no training picture of Happy, Sad, Surprised, Neutral" in capsys.readouterr().err
    assert main(["set", "--val-share", "0", "--output", "whole"]) == 0
    assert train.main(quick(Path("whole/train"), Path("folds"), "--folds", "2", "--epochs", "1")) == 0


def test_parquet_without_its_package_names_it(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert main([lay({"train.parquet": b"PAR1"})]) == 2
    assert "pip install pyarrow" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------------- people

PEOPLE = {
    "S005_001_00000011.png": "S005",
    "KA.AN1.39.tiff": "KA",
    "AF01ANS.JPG": "F01",
    "Rafd090_01_Caucasian_female_angry_frontal.jpg": "Rafd01",
    "ann_00012.jpg": "ann",
}


@pytest.mark.parametrize("name", PEOPLE)
def test_names_of_known_sets_tell_the_person(name):
    assert find_groups([name]) == [PEOPLE[name]]


def test_people_are_counted_and_groups_that_can_hardly_be_people_doubted():
    people = [f"Rafd{number:02d}" for number in range(12) for _ in range(15)]
    assert describe_groups(people) == "180 pictures of 12 people: Rafd00, Rafd01, Rafd02, Rafd03, Rafd04, …"
    assert doubt_groups(people) is None
    assert "5 people with 36 pictures each" in doubt_groups([str(number % 5) for number in range(180)])
    assert "another person's" in doubt_groups([str(number) for number in range(180)])


# ------------------------------------------------------------------------- what would go wrong without a word


def named(names: dict[str, str]) -> dict[str, bytes]:
    """Pictures by their names, each with the word of its expression."""
    return {name: picture(word) for name, word in names.items()}


def test_a_list_of_other_classes_in_the_output_is_never_left_beside_new_folders(capsys):
    lay({"classes.txt": "angry\nneutral\n"}, "data")
    assert main([lay(named({"train/happy/1.png": "happy", "train/sad/2.png": "sad"}))]) == 2
    assert "classes.txt" in capsys.readouterr().err


def test_an_archive_beside_its_folder_is_refused(capsys):
    files = named({f"faces/{word}/{word}{number}.png": word for word in WORDS for number in range(5)})
    lay(files)
    pack(files)
    Path("set.zip").rename("set/faces.zip")
    assert main(["set"]) == 2
    assert "35 pictures are there twice" in capsys.readouterr().err


def test_copies_are_left_out_where_they_would_be_in_train_and_val(capsys):
    files = named({f"faces/{word}/{word}{number}.png": word for word in WORDS for number in range(9)})
    files |= {"faces/happy/again.png": files["faces/happy/happy1.png"]}
    assert main([lay(files)]) == 0
    assert "1 copies of pictures" in capsys.readouterr().out and len(list(Path("data").rglob("*.jpg"))) == 63


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


def test_linked_folders_and_rarer_suffixes_are_read():
    lay(named({"elsewhere/1.png": "sad", "set/train/happy/2.png": "happy"}), ".")
    lay({"train/angry/3.jfif": picture("angry", ".jpg"), "train/angry/4.JPE": picture("angry", ".jpg")})
    Path("set/train/sad").symlink_to("../../elsewhere")
    Path("set/train/sad/loop").symlink_to("..")
    assert main(["set"]) == 0
    assert counts() == {"train": {"Happy": 1, "Sad": 1, "Angry": 2}}


def test_people_of_any_letters_are_kept_apart():
    people = ("王芳", "李娜", "张伟", "Zoë", "Zoé", "ann.b", "ann b", "Bob")
    files = named({f"own/{word}/{who}_{word}.png": word for word in WORDS for who in people})
    assert main([lay(files), "--group-pattern", "([^_]+)_", "--val-share", "0.25"]) == 0
    found = {split: {name.split("_")[0] for name in names(split)} for split in ("train", "val")}
    assert found["train"] | found["val"] == {"王芳", "李娜", "张伟", "Zoë", "Zoé", "ann-b", "ann-b-2", "Bob"}
    assert len(found["val"]) == 2 and not found["train"] & found["val"]


def test_known_sets_are_known_in_lower_case_and_with_what_comes_along():
    codes = dict(zip(("an", "di", "af", "ha", "sa", "su", "ne"), WORDS))
    files = named(
        {f"kdef/{who}/{who}{code}s.jpg": word for who in ("af01", "bf01", "am02") for code, word in codes.items()}
    )
    averaged = named({f"AKDEF/mean{number}.jpg": "none" for number in range(7)})
    assert main([lay(files | averaged), "--no-crop-faces", "--val-share", "0.5"]) == 0
    assert {name.split("_")[0] for name in names("train") | names("val")} == {"F01", "M02"}


def test_raf_dbs_numbers_are_not_taken_for_anybody_elses(capsys):
    files = named({f"train/{number}/train_{number:05d}.png": "happy" for number in range(1, 7)})
    assert main([lay(files)]) == 2
    assert "numbered 1 to 6" in capsys.readouterr().err


def test_missing_labels_are_named(capsys):
    files = named({f"S005/001/S005_001_{number:08d}.png": "happy" for number in range(1, 5)})
    assert main([lay(files)]) == 2
    assert "Emotion_labels.zip" in capsys.readouterr().err


def test_boxes_are_left_alone_where_pictures_are_to_be_taken_whole():
    table = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n"
    lay(named({"a/1.png": "happy"}) | {"training.csv": table + "a/1.png,1,1,8,8,1;2,1,0,0\n"})
    assert main(["set", "--no-crop-faces"]) == 0
    assert counts() == {"train": {"Happy": 1}}


@pytest.mark.parametrize("share", [0.1, 0.15, 0.4, 0.45])
def test_the_share_is_what_was_asked_for(share):
    groups = [str(number) for number in range(600)]
    chosen = choose_val(groups, np.arange(600) % 7, share)
    assert chosen.mean() == pytest.approx(share, abs=0.02)


def test_a_class_of_one_person_stays_in_train():
    groups = ["a", "a", "b", "c", "d", "d"]
    chosen = choose_val(groups, np.array([0, 1, 0, 0, 0, 2]), 0.25)
    assert chosen.any() and not chosen[[0, 1, 4, 5]].any()


def test_parquet_in_a_folder_a_split_and_without_splits():
    files = {"default/train/0000.parquet": parquet(None, [(word, word) for word in WORDS])}
    assert main([lay(files | {"assets/example.png": picture("none")})]) == 0
    assert counts() == {"train": ONE_EACH}
    lay({"faces.parquet": parquet(None, [(word, word) for word in WORDS for _ in range(5)])}, "bare")
    assert main(["bare", "--overwrite"]) == 0
    assert {split: sum(found.values()) for split, found in counts().items()} == {"train": 28, "val": 7}


def test_parquet_numbers_from_one_go_by_the_names_that_a_person_gives():
    source = lay({"train.parquet": parquet(None, [(word, number) for number, word in enumerate(WORDS, 1)])})
    assert main([source, "--classes", *WORDS]) == 0
    assert counts() == {"train": ONE_EACH}
