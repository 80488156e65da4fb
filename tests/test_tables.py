"""The tables in the documents are what the csv files in R/ say, and these say where they were measured."""

import re

import pytest

from R import make_tables
from R.make_tables import DOCUMENTS, HERE, PLACE, TABLES, newest, read, renew

BY_HAND = {"published", "widths", "stages", "rpn_training"}  # and what training runs wrote
CONDITIONS = re.compile(r"[a-z]+(-[\w.]+)*-\d+x-[\w-]+-torch\d+\.\d+")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(HERE.parent)))
def test_tables_are_what_the_csv_files_say(document):
    text = document.read_text(encoding="utf-8")
    assert len(PLACE.findall(text)) == text.count("<!-- table: ") == text.count("<!-- end of table -->") > 0
    assert renew(document) == text, "python -m R.make_tables makes the tables anew"


def test_a_figure_that_was_changed_by_hand_is_noticed(tmp_path):
    card = tmp_path / "README.md"
    text = DOCUMENTS[0].read_text(encoding="utf-8")
    card.write_text(text.replace("73.22 %", "83.22 %"), encoding="utf-8")
    assert "83.22 %" not in PLACE.search(renew(card))[0]


def test_a_new_measurement_takes_the_place_of_the_older(tmp_path, monkeypatch):
    for day, processor in (("2026-01-02", "8x-fast"), ("2026-01-01", "2x-slow")):
        (tmp_path / f"accuracy-int8-{processor}-torch2.14.csv").write_text(f"weights,date\naccurate,{day}\n")
    (tmp_path / "accuracy_of_others.csv").write_text("weights,date\nother,2027-01-01\n")
    monkeypatch.setattr(make_tables, "HERE", tmp_path)
    assert newest("accuracy").name == "accuracy-int8-8x-fast-torch2.14.csv"
    with pytest.raises(FileNotFoundError, match="no speed"):
        newest("speed")


def test_a_row_with_a_comma_too_many_is_refused(tmp_path):
    (tmp_path / "published.csv").write_text("network,PublicTest\nseven (Pham, 2020),76.82 %\n")
    with pytest.raises(ValueError, match="longer"):
        read(tmp_path / "published.csv")


def test_names_of_measurements_hold_their_conditions_and_rows_their_day():
    measured = [file for file in HERE.glob("*.csv") if file.stem not in BY_HAND]
    assert [file.name for file in measured if not CONDITIONS.fullmatch(file.stem)] == []
    assert [
        file.name for file in measured for row in read(file) if not re.fullmatch(r"20\d\d-\d\d-\d\d", row["date"])
    ] == []


def test_every_table_has_its_place_in_a_document():
    places = {name for document in DOCUMENTS for _, name, _ in PLACE.findall(document.read_text(encoding="utf-8"))}
    assert places == TABLES.keys()


def test_our_published_figures_are_the_measured_ones():
    measured = {row["weights"]: row["accuracy %"] for row in read(newest("accuracy")) if row["views"] == "flip"}
    published = {row["network"]: row["PublicTest"] for row in read(newest("published"))}
    (accurate,) = [figure for name, figure in published.items() if name.startswith("**this project**")]
    assert (accurate, published["this project, fast"]) == (f"{measured['accurate']} %", f"{measured['fast']} %")
