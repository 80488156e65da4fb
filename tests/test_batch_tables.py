"""The table of demo_image_batch.py: its rows and columns in every format, whole and safe whatever the names."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from models.batch.records import UNREADABLE, Record
from models.batch.tables import write_table
from models.expressions import CLASS_NAMES
from tests.batch import COLUMNS, face, label, photos, rows, stand_in  # noqa: F401 - fixtures

# ruff: noqa: F811 - fixtures are arguments

NASTY_NAMES = [
    "with space.jpg", 'quote".jpg', "apostrophe's.jpg", "comma,semi;colon.jpg", "line\nend.jpg", "return\rhere.jpg",
    "=1+1.jpg", "+a.jpg", "-rf.jpg", "@x.jpg", "\ttab.jpg", "<b>&amp;.jpg", "'=quoted.jpg", "emoji 😀.jpg",
    os.fsdecode(b"bytes \xff\xfe.jpg"),
]  # fmt: skip


def test_table_has_a_row_a_face_and_one_for_a_picture_without(photos, label, capsys):
    two_faces = Image.new("RGB", (400, 256))
    with Image.open(photos / "a.jpg") as picture:
        two_faces.paste(picture.resize((256, 256)), (0, 0))
        two_faces.paste(picture, (264, 60))
    two_faces.save(photos / "c.jpg")
    assert label(photos) == 0
    table = rows()
    assert list(table[0]) == COLUMNS
    assert [(row["file"], row["status"], row["face"]) for row in table] == [
        ("a.jpg", "ok", "1"), ("b.png", "no-face", ""), ("c.jpg", "ok", "1"), ("c.jpg", "ok", "2"),
    ]  # fmt: skip
    assert int(table[2]["width"]) > int(table[3]["width"]) > 30
    assert 0 <= int(table[0]["x"]) < 128
    assert table[0]["expression"] in CLASS_NAMES
    assert table[0]["confidence"] == table[0][table[0]["expression"].lower()] == "0.7"
    assert set(list(table[1].values())[2:]) == {""}
    printed = capsys.readouterr().out
    assert "a.jpg  ok" in printed
    assert str(Path("output/annotated/a.jpg")) in printed and str(Path("output/results.csv")) in printed


def test_csv_is_whole_and_safe_whatever_the_names(photos, label, face):
    (photos / "a.jpg").unlink()
    (photos / "b.png").unlink()
    for name in NASTY_NAMES:
        face.save(photos / "x.jpg")
        (photos / "x.jpg").rename(photos / name)
    assert label(photos) == 0
    table = rows()
    names = {os.path.normpath(row["file"].replace("\\udcff\\udcfe", "\udcff\udcfe")) for row in table}
    assert names == set(NASTY_NAMES)
    cells = [cell for row in table for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert {path.name for path in Path("output/annotated").iterdir()} == set(NASTY_NAMES)


def test_a_formula_in_a_class_name_is_defused(tmp_path):
    write_table(tmp_path / "results.csv", [Record("a.jpg", UNREADABLE, "=1+1")], ["=HYPERLINK()"])
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert ",'=hyperlink()," in lines[0] and lines[1].endswith(",'=1+1")


def test_jsonl_gives_undecodable_names_back(photos, label):
    name = os.fsdecode("bytes 😀 ".encode() + b"\xff.jpg")
    (photos / "a.jpg").rename(photos / name)
    assert label(photos, "--format", "jsonl") == 0
    lines = [json.loads(line) for line in Path("output/results.jsonl").read_text("utf-8").splitlines()]
    assert [line["file"] for line in lines] == ["b.png", name]
    assert list(lines[0]) == COLUMNS and lines[0]["x"] is None and lines[1]["confidence"] == 0.7


def test_parquet_holds_the_same_table(photos, label):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert label(photos, "--format", "parquet") == 0
    table = parquet.read_table("output/results.parquet").to_pylist()
    assert list(table[0]) == COLUMNS and [row["status"] for row in table] == ["ok", "no-face"]


def test_parquet_without_its_package_names_it(photos, label, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert label(photos, "--format", "parquet") == 2
    assert "pip install pyarrow" in capsys.readouterr().err
