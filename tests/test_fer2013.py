"""FER2013 as a csv, row by row and with all that may be wrong with one, and FER+'s votes on it."""

import csv
import hashlib
import io
from pathlib import Path

import pytest

import preprocess
from models.datasets.fer2013 import FerPlus
from models.expressions import CLASS_NAMES, expression_of
from preprocess import main
from tests.fer2013_samples import FOLDERS, csv_lines, make_samples, write_csv, write_data_folder
from tests.fer2013_sources import CSV, EXPECTED, SAMPLES, SOURCES, rows, write_lines, written
from tests.small_sets import ONE_EACH, counts, lay, picture

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.mark.parametrize("name", ["fer2013.csv", "contest.zip"])
def test_md5_is_that_of_the_csv_in_whatever_archive(name, capsys, monkeypatch):
    Path(name).write_bytes(SOURCES[name])
    digest = hashlib.md5(CSV).hexdigest()
    main([name])
    assert f"The csv's MD5, {digest}, is not an original file's." in capsys.readouterr().out
    monkeypatch.setitem(preprocess.ORIGINAL_MD5, digest, "fer2013.csv")
    main([name, "--overwrite"])
    assert f"The csv's MD5, {digest}, is the original fer2013.csv's." in capsys.readouterr().out


def test_blank_lines_are_no_rows(tmp_path):
    path = write_csv(tmp_path / "fer2013.csv", SAMPLES)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n\n") + b"\r\n")
    assert main(["fer2013.csv"]) == 0
    assert written() == EXPECTED


# Bad rows

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


# FER+


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


# The samples that tests are made of


def test_write_data_folder_of_the_test_helper_equals_what_the_script_makes(tmp_path):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    main(["fer2013.csv"])
    write_data_folder(tmp_path / "direct", {"train": 2, "val": 1, "test": 1})
    assert written("direct") == EXPECTED
    assert all((Path("direct") / name).read_bytes() == (Path("data") / name).read_bytes() for name in EXPECTED)


def test_helper_folder_names_are_in_the_order_of_the_classes():
    assert tuple(map(expression_of, FOLDERS)) == CLASS_NAMES
