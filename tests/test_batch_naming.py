"""What the classes of a checkpoint are called in tables, logs and folders, and tables as other programs read them."""

import csv
import json
from pathlib import Path

import pytest

from models.batch.naming import class_columns, class_folders
from models.batch.records import OK, FaceRecord, Record
from models.batch.tables import FIRST, LAST, write_table
from models.expressions import CLASS_NAMES
from tests.batch import AWKWARD, COLUMNS, face, files, label, photos, rows, stand_in  # noqa: F401 - fixtures

# ruff: noqa: F811 - fixtures are arguments


def write(path: Path, class_names: list[str]) -> list[float]:
    probabilities = tuple(round(0.01 * (index + 1), 4) for index in range(len(class_names)))
    write_table(
        path, [Record("ü.jpg", OK, "", (FaceRecord((1, 2, 3, 4), 0.9, "Ärger", 0.5, probabilities),))], class_names
    )
    return list(probabilities)


def test_ordinary_classes_have_the_columns_that_they_always_had(tmp_path):
    write(tmp_path / "results.csv", list(CLASS_NAMES))
    with open(tmp_path / "results.csv", newline="", encoding="utf-8-sig") as file:
        assert next(csv.reader(file)) == COLUMNS
    assert class_columns(["Calm", "Not calm"], FIRST) == ["calm", "not calm"]


def test_a_class_called_as_a_column_or_as_another_class_has_a_column_of_its_own():
    assert class_columns(["Face", "x", "Happy", "happy", "Sad", ""], [*FIRST, *LAST]) == [
        "class_Face", "class_x", "class_Happy", "class_happy", "sad", "class_",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_every_column_keeps_its_values_whatever_the_classes_are_called(tmp_path, suffix):
    path = tmp_path / f"results.{suffix}"
    if suffix == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
    probabilities = write(path, AWKWARD)
    if suffix == "csv":
        with open(path, newline="", encoding="utf-8-sig") as file:
            names, values = csv.reader(file, strict=True)
    elif suffix == "jsonl":
        (line,) = path.read_text("utf-8").splitlines()
        names, values = zip(*json.loads(line, object_pairs_hook=list), strict=True)
    else:
        (row,) = parquet.read_table(path).to_pylist()
        names, values = list(row), list(row.values())
    assert len(set(names)) == len(names) == len(FIRST) + len(AWKWARD) + len(LAST)
    row = dict(zip(names, values, strict=True))
    assert [str(row[name]) for name in ("face", "x", "confidence", "file")] == ["1", "1", "0.5", "ü.jpg"]
    assert [float(value) for value in values[len(FIRST) : -len(LAST)]] == pytest.approx(probabilities)
    assert row["expression"] == "Ärger"


def test_a_table_begins_with_the_mark_by_which_spreadsheets_know_utf_8(tmp_path):
    path = tmp_path / "results.csv"
    write(path, list(CLASS_NAMES))
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbffile,status,") and data.count(b"\xef\xbb\xbf") == 1
    assert "ü.jpg" in data.decode("utf-8-sig")


def test_pandas_reads_the_table_as_it_is(tmp_path):
    pandas = pytest.importorskip("pandas")
    write(tmp_path / "results.csv", AWKWARD)
    table = pandas.read_csv(tmp_path / "results.csv")
    assert list(table)[:2] == ["file", "status"] and table["file"][0] == "ü.jpg" and table["x"][0] == 1


def test_no_two_expressions_share_a_folder():
    names = ["Happy", "happy", "No-face", "uncertain!", "Uncertain", "a/b", "a_b", "", " ", "..", "(earlier)"]
    folders = class_folders(names)
    assert folders["Happy"] == "happy" and folders["uncertain"] == "uncertain"
    used = [*folders.values(), "no-face"]
    assert len({name.casefold() for name in used}) == len(used) == len(names) + 2
    assert not [name for name in used if not name.strip() or set(name) & set("/.()")]


def test_pictures_of_a_class_called_no_face_are_not_among_those_without_a_face(photos, label, stand_in):
    stand_in.class_names = ["No-Face"]
    assert label(photos, "--sort-into", "sorted") == 0
    assert set(files("sorted")) == {"no-face 2/a.jpg", "no-face/b.png"}


def test_a_checkpoint_with_a_class_called_uncertain_takes_no_min_confidence(photos, label, stand_in, capsys):
    stand_in.class_names = [*CLASS_NAMES[:-1], "uncertain"]
    assert label(photos, "--min-confidence", "0.5") == 2
    assert "--min-confidence" in capsys.readouterr().err
    assert label(photos) == 0


def test_the_label_is_uncertain_by_the_probability_that_the_table_shows(photos, label):
    assert label(photos, "--min-confidence", "0.7") == 0
    assert rows()[0]["confidence"] == "0.7" and rows()[0]["expression"] != "uncertain"


def test_class_columns_are_the_checkpoints_own(photos, label, stand_in):
    stand_in.class_names = ["Calm", "Not calm"]
    assert label(photos) == 0
    assert list(rows()[0])[-3:] == ["calm", "not calm", "reason"]
