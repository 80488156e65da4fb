"""preprocess.py as a person runs it: every form of FER2013, every bad input, interruptions at the worst moments."""

import errno
import gzip
import hashlib
import io
import lzma
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import preprocess
from models.datasets import cutting
from models.expressions import CLASS_NAMES, expression_of
from preprocess import main
from tests.fer2013_samples import (
    FOLDERS,
    csv_lines,
    icml_csv_lines,
    make_samples,
    write_class_folders,
    write_csv,
    write_data_folder,
)

ROOT = Path(preprocess.__file__).resolve().parent
SAMPLES = make_samples({"train": 2, "val": 1, "test": 1})
LINES = csv_lines(SAMPLES)
CSV = "".join(line + "\n" for line in LINES).encode()
ICML = "".join(line + "\r\n" for line in icml_csv_lines(SAMPLES)).encode()
EXPECTED = {f"{sample.split}/{sample.label}/{sample.number:05d}.jpg" for sample in SAMPLES}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Each test stands in a folder of its own, where data/ is not there yet."""
    monkeypatch.chdir(tmp_path)


def written(folder="data") -> set[str]:
    """What is below the folder, hidden files included, as paths relative to it."""
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()}


def rows(count: int) -> list[str]:
    """Header and rows of a csv of this many good rows."""
    return [LINES[0], *(LINES[1 + index % len(SAMPLES)] for index in range(count))]


def write_lines(lines: list[str]) -> str:
    Path("fer2013.csv").write_text("\n".join(lines) + "\n")
    return "fer2013.csv"


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def folder_files() -> dict[str, bytes]:
    """The samples as class folders, name to content, as they lie in a zip."""
    folder = write_class_folders(Path("unpacked"), SAMPLES)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.jpg"))}


def noise_jpeg(side: int = 48) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)).save(encoded, "JPEG")
    return encoded.getvalue()


SOURCES = {
    "fer2013.csv": CSV,
    "icml_face_data.csv": ICML,
    "with_byte_order_mark.csv": b"\xef\xbb\xbf" + CSV,
    "quoted.csv": CSV.replace(b"Training", b'"Training"'),
    "fer2013.csv.gz": gzip.compress(CSV),
    "fer2013.csv.xz": lzma.compress(CSV),
    "icml_face_data.csv.gz": gzip.compress(ICML),
    "fer2013.zip": zipped({"readme.txt": b"hello", "fer2013/fer2013.csv": CSV}),
    "icml_face_data.csv.zip": zipped({"icml_face_data.csv": ICML}),
    "fer2013.tar.gz": tarred({"fer2013/README": b"hello" * 1000, "fer2013/fer2013.csv": CSV}),
    "fer2013.tar.xz": tarred({"fer2013/fer2013.csv": CSV}, "w:xz"),
    "contest.zip": zipped(
        {
            "example_submission.csv": b"emotion\n0\n",
            "fer2013.tar.gz": tarred({"fer2013/fer2013.csv": CSV}),
            "test.csv": b"pixels\n0 0 0\n",
            "train.csv": b"emotion,pixels\n0,0 0 0\n",
        }
    ),
    "zip_in_zip.zip": zipped({"icml_face_data.csv.zip": zipped({"icml_face_data.csv": ICML})}),
    "name_without_extension": gzip.compress(CSV),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_form_of_the_csv_gives_the_same_pictures(name):
    Path(name).write_bytes(SOURCES[name])
    assert main([name]) == 0
    assert written() == EXPECTED


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
def test_class_folders_keep_the_numbers_and_the_test_splits_of_their_names(form):
    files = folder_files()
    if form == "zip":
        Path("source").write_bytes(zipped(files))
    elif form == "tar.gz":
        Path("source").write_bytes(tarred(files))
    assert main(["unpacked" if form == "folder" else "source"]) == 0
    assert written() == EXPECTED


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


def test_size_is_that_of_the_flag(tmp_path):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    assert main(["fer2013.csv", "--size", "96", "--output", "small"]) == 0
    with Image.open("small/train/0/00000.jpg") as picture:
        assert picture.size == (96, 96)


def test_write_data_folder_of_the_test_helper_equals_what_the_script_makes(tmp_path):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    main(["fer2013.csv"])
    write_data_folder(tmp_path / "direct", {"train": 2, "val": 1, "test": 1})
    assert written("direct") == EXPECTED
    assert all((Path("direct") / name).read_bytes() == (Path("data") / name).read_bytes() for name in EXPECTED)


def test_class_folder_pictures_of_any_size_become_240(tmp_path):
    path = Path("set/train/happy/photo_7.png")
    path.parent.mkdir(parents=True)
    Image.new("RGB", (300, 400), "red").save(path)
    assert main(["set"]) == 0
    with Image.open("data/train/3/00007.jpg") as picture:
        assert (picture.mode, picture.size) == ("L", (240, 240))


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


def test_pictures_whose_numbers_repeat_are_numbered_anew():
    files = {f"train/{folder}/im{number}.jpg": noise_jpeg() for folder in ("angry", "sad") for number in (0, 1)}
    Path("set.zip").write_bytes(zipped(files))
    assert main(["set.zip"]) == 0
    assert written() == {"train/0/00000.jpg", "train/0/00001.jpg", "train/4/00002.jpg", "train/4/00003.jpg"}


def test_litter_of_a_mac_in_a_zip_is_no_data():
    files = {"train/sad/1.jpg": noise_jpeg(), "__MACOSX/train/sad/._1.jpg": b"x", "train/sad/.hidden.jpg": b"x"}
    Path("set.zip").write_bytes(zipped(files))
    assert main(["set.zip"]) == 0
    assert written() == {"train/4/00001.jpg"}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_names_in_an_archive_cannot_reach_outside_the_output(pack):
    Path("inside").mkdir()
    Path("inside/set").write_bytes(pack({"../../train/sad/../../train/sad/1.jpg": noise_jpeg()}))
    assert main(["inside/set", "--output", "inside/data"]) == 0
    assert written(".") == {"inside/set", "inside/data/train/4/00001.jpg"}


@pytest.mark.parametrize("name", ["fer2013.csv", "fer2013.tar.gz", "contest.zip"])
def test_without_source_it_finds_what_is_in_data_and_leaves_it_there(name):
    Path("data").mkdir()
    Path("data/README.md").write_text("the data goes here")
    Path("data", name).write_bytes(SOURCES[name])
    assert main([]) == 0
    assert written() == EXPECTED | {name, "README.md"}


def test_without_source_it_finds_class_folders_in_data(tmp_path):
    write_class_folders(tmp_path / "data" / "fer2013", SAMPLES)
    assert main([]) == 0
    assert written() > EXPECTED


def test_without_source_and_data_it_says_where_to_get_fer2013_and_what_to_type(capsys):
    for _ in range(2):  # without a data folder, then with one that holds a README alone
        assert main([]) == 2
        error = capsys.readouterr().err
        assert "kaggle.com/datasets/msambare/fer2013" in error
        assert "challenges-in-representation-learning-facial-expression-recognition-challenge" in error
        assert error.rstrip().endswith("python preprocess.py")
        Path("data").mkdir(exist_ok=True)
        Path("data/README.md").write_text("the data goes here")


def test_report_has_the_counts_beside_the_official_ones_and_ends_with_the_folder(tmp_path, capsys):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    main(["fer2013.csv"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["train", "official", "val", "official", "test", "official"]
    assert lines[2].split() == ["1", "Disgusted", "2", "436", "1", "56", "1", "55"]
    assert lines[8].split() == ["all", "14", "28709", "7", "3589", "7", "3589"]
    assert lines[-1] == "Wrote 28 pictures of 240x240 to data"


def test_absent_split_is_said_and_is_no_error(tmp_path, capsys):
    write_csv(tmp_path / "fer2013.csv", make_samples({"train": 1, "val": 1}))
    assert main(["fer2013.csv"]) == 0
    assert "No test: the source has no PrivateTest pictures." in capsys.readouterr().out
    assert not Path("data/test").exists()


@pytest.mark.parametrize("name", ["fer2013.csv", "contest.zip"])
def test_md5_is_that_of_the_csv_in_whatever_archive(name, capsys, monkeypatch):
    Path(name).write_bytes(SOURCES[name])
    digest = hashlib.md5(CSV).hexdigest()
    main([name])
    assert f"The csv's MD5, {digest}, is not an original file's." in capsys.readouterr().out
    monkeypatch.setitem(preprocess.ORIGINAL_MD5, digest, "fer2013.csv")
    main([name, "--overwrite"])
    assert f"The csv's MD5, {digest}, is the original fer2013.csv's." in capsys.readouterr().out


PIXELS = "0 " * 2303
BAD_ROWS = {
    f"0,{PIXELS},Training": "2303 pixels instead of 2304",
    f"0,{PIXELS}0 0,Training": "2305 pixels instead of 2304",
    f"0,{PIXELS}256,Training": "a pixel is not a whole number from 0 to 255",
    f"0,{PIXELS}-1,Training": "a pixel is not a whole number from 0 to 255",
    f"0,{PIXELS}1.5,Training": "a pixel is not a whole number from 0 to 255",
    f"0,{PIXELS}x,Training": "a pixel is not a whole number from 0 to 255",
    f"0,{PIXELS}0,Holiday": "unknown usage 'Holiday'",
    f"7,{PIXELS}0,Training": "unknown label '7'",
    f"0,{PIXELS}0": "2 columns instead of 3",
    f'0,"{PIXELS}0,Training': "2 columns instead of 3",
    "0," + "1" * 140_000 + ",Training": "1 columns instead of 3",
    "0,\0,Training": "1 pixels instead of 2304",
}


@pytest.mark.parametrize("row", BAD_ROWS, ids=list(BAD_ROWS.values()))
def test_malformed_row_is_reported_with_its_line_and_skipped(row, capsys):
    lines = rows(101)
    lines[4] = row
    source = write_lines(lines)
    assert main([source, "--size", "48"]) == 1
    error = capsys.readouterr().err
    assert f"Skipped fer2013.csv, line 5: {BAD_ROWS[row]}." in error
    assert "Skipped 1 rows or pictures: named above." in error
    assert len(written()) == 100
    assert {Path(name).stem for name in written()} == {f"{number:05d}" for number in range(101)} - {"00003"}


def test_one_malformed_row_of_a_hundred_is_not_too_many_but_two_are(capsys):
    lines = rows(100)
    lines[1] = lines[1][:-10]
    assert main([write_lines(lines), "--size", "48"]) == 1
    before = written()
    lines[2] = lines[2][:-10]
    assert main([write_lines(lines), "--overwrite"]) == 2
    assert "2 of 100 rows or pictures cannot be used" in capsys.readouterr().err
    assert written() == before


def test_no_more_than_twenty_malformed_rows_are_listed(capsys):
    lines = rows(30)
    assert main([write_lines([lines[0], *("7" + line[1:] for line in lines[1:])])]) == 2
    error = capsys.readouterr().err
    assert error.count("unknown label") == 20
    assert "30 of 30" in error
    assert written(".") == {"fer2013.csv"}


def test_blank_lines_are_no_rows(tmp_path):
    path = write_csv(tmp_path / "fer2013.csv", SAMPLES)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n\n") + b"\r\n")
    assert main(["fer2013.csv"]) == 0
    assert written() == EXPECTED


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


BAD_SOURCES = {
    "empty.csv": (b"", "is empty"),
    "header_only.csv": (b"emotion,pixels,Usage\n", "no rows"),
    "other.csv": (b"name,age\nAda,36\n", "No FER2013 in other.csv"),
    "train.csv": (b"emotion,pixels\n0,0 0\n", "columns emotion, pixels, Usage"),
    "page.zip": (b"<!DOCTYPE html><html>Sign in to Kaggle</html>", "No FER2013 in page.zip"),
    "noise.bin": (np.random.default_rng(0).bytes(5000), "No FER2013 in noise.bin"),
    "face.jpg": (noise_jpeg(), "No FER2013 in face.jpg"),
    "other.zip": (zipped({"a.txt": b"a", "holiday/1.jpg": noise_jpeg()}), "No FER2013 in other.zip"),
    "truncated.zip": (SOURCES["fer2013.zip"][:-1000], "cut short or damaged"),
    "truncated.csv.gz": (SOURCES["fer2013.csv.gz"][:-1000], "cut short or damaged"),
    "truncated.csv.xz": (SOURCES["fer2013.csv.xz"][:-1000], "cut short or damaged"),
    "truncated.tar.gz": (SOURCES["fer2013.tar.gz"][:-1000], "cut short or damaged"),
    "truncated.tar": (tarred({"fer2013.csv": CSV}, "w")[:20_000], "cut short or damaged"),
    "later.zip": (SOURCES["fer2013.zip"].replace(b"PK\1\2\x14\3\x14", b"PK\1\2\x14\3\x63"), "cut short or damaged"),
}


@pytest.mark.parametrize("name", BAD_SOURCES)
def test_bad_source_is_one_sentence_and_changes_nothing(name, tmp_path, capsys):
    content, sentence = BAD_SOURCES[name]
    write_data_folder(tmp_path / "data", {"train": 1})
    before = written()
    Path(name).write_bytes(content)
    assert main([name, "--overwrite"]) == 2
    output = capsys.readouterr()
    assert sentence in output.err
    assert "download it again" in output.err or "python preprocess.py" in output.err
    assert output.out == ""
    assert written() == before


def test_bad_byte_in_the_middle_of_an_archive_changes_nothing(capsys):
    packed = bytearray(SOURCES["fer2013.csv.gz"])
    packed[len(packed) // 2] ^= 0xFF
    Path("fer2013.csv.gz").write_bytes(packed)
    assert main(["fer2013.csv.gz"]) == 2
    assert "fer2013.csv.gz is cut short or damaged" in capsys.readouterr().err
    assert not written()


def test_encrypted_zip_is_a_sentence(capsys):
    packed = bytearray(SOURCES["icml_face_data.csv.zip"])
    packed[6] |= 1  # the flag "encrypted", in the file's own header and in the directory's
    packed[packed.index(b"PK\1\2") + 8] |= 1
    Path("secret.zip").write_bytes(packed)
    assert main(["secret.zip"]) == 2
    assert "encrypted" in capsys.readouterr().err


def test_source_that_is_not_there_is_a_sentence(capsys):
    assert main(["nowhere.csv"]) == 2
    assert "nowhere.csv does not exist" in capsys.readouterr().err
    assert not Path("data").exists()


@pytest.mark.parametrize("size", ["0", "47", "1025", "big"])
def test_senseless_size_is_refused(size, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fer2013.csv", "--size", size])
    assert stop.value.code == 2
    assert "--size" in capsys.readouterr().err


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


def run_process(code: str, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


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


def test_as_a_process_it_prints_results_on_stdout_and_nothing_on_a_stderr_that_is_no_terminal(tmp_path):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    command = [sys.executable, str(ROOT / "preprocess.py"), "fer2013.csv"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    assert result.stderr == ""
    assert result.stdout.splitlines()[-1] == "Wrote 28 pictures of 240x240 to data"


def test_progress_is_shown_on_a_terminal(tmp_path, capsys, monkeypatch):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["fer2013.csv"]) == 0
    assert "0/35887" in capsys.readouterr().err


def test_it_starts_without_torch():
    assert run_process("import sys, preprocess; sys.exit('torch' in sys.modules)").returncode == 0


def test_helper_folder_names_are_in_the_order_of_the_classes():
    assert tuple(map(expression_of, FOLDERS)) == CLASS_NAMES
