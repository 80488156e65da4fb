"""A set in a folder or in archives at any depth, whole, cut short, damaged or malicious."""

from pathlib import Path

import numpy as np
import pytest

from preprocess import main
from tests.fer2013_samples import write_class_folders, write_data_folder
from tests.fer2013_sources import CSV, EXPECTED, SAMPLES, SOURCES, noise_jpeg, tarred, written, zipped
from tests.small_sets import counts, lay, named, picture

pytestmark = pytest.mark.usefixtures("empty_folder")


def folder_files() -> dict[str, bytes]:
    """The samples as class folders, name to content, as they lie in a zip."""
    folder = write_class_folders(Path("unpacked"), SAMPLES)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.jpg"))}


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


def test_linked_folders_and_rarer_suffixes_are_read():
    lay(named({"elsewhere/1.png": "sad", "set/train/happy/2.png": "happy"}), ".")
    lay({"train/angry/3.jfif": picture("angry", ".jpg"), "train/angry/4.JPE": picture("angry", ".jpg")})
    Path("set/train/sad").symlink_to("../../elsewhere")
    Path("set/train/sad/loop").symlink_to("..")
    assert main(["set"]) == 0
    assert counts() == {"train": {"Happy": 1, "Sad": 1, "Angry": 2}}


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
