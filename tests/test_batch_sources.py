"""Which pictures demo_image_batch.py takes: lists in any coding, names beside a list, and what it passes over."""

import codecs
import io
import json
import os
import sys
from pathlib import Path

import pytest

from models.batch.lists import split_list
from models.batch.passed_over import count_passed_over, in_words
from models.errors import UserError
from tests.batch import face, files, label, photos, rows, stand_in  # noqa: F401 - fixtures

# ruff: noqa: F811 - fixtures are arguments

NAMES = ["photos/b.png", "photos/ä 一Ā😀.jpg", "photos/一.jpg"]
CODINGS = [("utf-8", b""), ("utf-8", codecs.BOM_UTF8), ("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-le", b"")]
CODINGS += [("utf-16-be", codecs.BOM_UTF16_BE), ("utf-16-be", b""), ("utf-32-le", codecs.BOM_UTF32_LE)]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("coding, mark", CODINGS)
def test_a_list_is_read_in_the_coding_that_it_is_in(coding, mark, line_end):
    for names in (NAMES, NAMES[:1], ["照片照片照片照片照片照片.jpg"] * 2):
        data = mark + "".join(name + line_end for name in names).encode(coding)
        assert split_list(data, "names.txt") == names


@pytest.mark.parametrize("names", [
    [b"a.jpg", b"line\nend.jpg"], [b"./1.jpg", b"./2.jpg"], [b"img_001.jpg"] * 9, [b"a", b"xyz"], [b"ab", b"c"],
    [b"\xff\xee.jpg"], [b"./10.jpg", *[b"./1.jpg"] * 4, b"./55.jpg"], [b"odd name\n", b"xy.jpg", b"abc.jpg", b"12.jpg"],
])  # fmt: skip
def test_a_list_with_nul_between_names_of_any_bytes_is_not_taken_for_utf_16(names):
    assert split_list(b"".join(name + b"\0" for name in names), "-") == list(map(os.fsdecode, names))


@pytest.mark.parametrize("data", [b"\xff\xfea", b"\xff\xfe\x00\xd8\x0a\x00", b"\xff\xfe\x00\x00a"])
def test_a_damaged_list_is_refused_in_a_sentence(data):
    with pytest.raises(UserError, match=r"names\.txt looks like UTF-(16|32) but is damaged"):
        split_list(data, "names.txt")


def test_a_list_of_powershell_is_labelled_from_a_file_and_from_standard_input(photos, label, monkeypatch):
    data = codecs.BOM_UTF16_LE + "photos/a.jpg\r\nphotos/b.png\r\n".encode("utf-16-le")
    Path("names.txt").write_bytes(data)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    for argument in ("names.txt", "-"):
        assert label(argument, "--output", f"output {argument}") == 0
        assert [row["file"] for row in rows(f"output {argument}")] == ["photos/a.jpg", "photos/b.png"]


def test_a_list_that_may_not_be_read_is_wrong_use(photos, label, monkeypatch, capsys):
    Path("names.txt").touch()

    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert label("names.txt") == 2
    assert "names.txt cannot be read: Permission denied" in capsys.readouterr().err


def test_a_name_in_a_list_means_the_current_folder_or_else_the_lists_own(photos, label, face):
    Path("lists/photos").mkdir(parents=True)
    face.save("lists/beside.jpg")
    Path("lists/photos/b.png").symlink_to(photos / "b.png")  # the same file at both places
    Path("lists/names.txt").write_text("beside.jpg\nphotos/a.jpg\nphotos/b.png\nnowhere.jpg\n")
    assert label("lists/names.txt") == 1
    statuses = [(row["file"], row["status"]) for row in rows()]
    assert statuses == [
        ("lists/beside.jpg", "ok"), ("photos/a.jpg", "ok"), ("photos/b.png", "no-face"), ("nowhere.jpg", "unreadable"),
    ]  # fmt: skip
    assert set(files("output/annotated")) == {"lists/beside.jpg", "photos/a.jpg"}


def test_a_name_that_means_two_files_is_refused_also_by_resume(photos, label, face, capsys):
    Path("lists").mkdir()
    face.save("lists/a.jpg")
    Path("lists/names.txt").write_text("a.jpg\n")
    assert label("lists/names.txt") == 0
    face.save("a.jpg")
    for flags in ([], ["--resume"]):
        assert label("lists/names.txt", *flags) == 2
        assert "'a.jpg' in lists/names.txt" in capsys.readouterr().err
    assert [row["file"] for row in rows()] == ["lists/a.jpg"]


def test_two_lists_with_one_name_for_two_files_have_two_rows(photos, label, face):
    for folder in ("one", "two"):
        Path(folder).mkdir()
        face.save(f"{folder}/a.jpg")
        Path(folder, "names.txt").write_text("a.jpg\n")
    assert label("one/names.txt", "two/names.txt") == 0
    assert [row["file"] for row in rows()] == ["one/a.jpg", "two/a.jpg"]


# --- what is passed over ---


def add_others(folder: Path) -> None:
    for name in ("a.mp4", "b.MP4", "c.cr2", "README", ".hidden", "sub/d.mp4", "sub/deep/e.xyz", ".git/f.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "linked").symlink_to("sub")


def test_what_is_passed_over_is_counted_by_kind(photos, label, capsys):
    add_others(photos)
    assert label(photos) == 0
    told = capsys.readouterr().err
    assert "passed over: 2 .mp4, 2 folders, 1 .cr2, 1 without an extension;" in told
    assert "export raw pictures as JPEG" in told and "--recursive" in told
    assert label(photos, "--recursive", "--json", "--output", "other") == 0
    printed = capsys.readouterr()
    counts = {".mp4": 3, ".cr2": 1, ".xyz": 1, "without an extension": 1, "linked folder": 1}
    assert json.loads(printed.out)["passed_over"] == counts
    assert "passed over: 3 .mp4, " in printed.err and "--recursive" not in printed.err


def test_a_folder_without_a_picture_says_what_it_holds(photos, label, capsys):
    films = Path("films")
    films.mkdir()
    for arguments, expected in (
        (["films"], "there is no picture in films\n"),
        (["films"], "there is no picture in films: 3 .mp4 are passed over\n"),
        (["films/*"], "there is no picture in films/*: 3 .mp4 are passed over\n"),
    ):
        assert label(*arguments) == 1
        assert capsys.readouterr().err == expected
        for number in range(3):
            (films / f"{number}.mp4").touch()


@pytest.mark.parametrize("output", ["photos", "photos/output"])
def test_what_the_run_wrote_itself_is_not_passed_over(photos, label, capsys, output):
    flags = ["--output", output, "--sort-into", "photos/sorted", "--report", "--overwrite"]
    (photos / "film.mp4").touch()
    for recursive in ([], ["--recursive"]):
        for _ in range(2):
            assert label(photos, *flags, *recursive) == 0
            assert "passed over: 1 .mp4\n" in capsys.readouterr().err


def test_a_folder_that_is_named_twice_is_counted_once(photos):
    add_others(photos)
    named = [str(photos), f"{photos}/sub", f"{photos}/../photos", str(photos / "linked")]
    assert count_passed_over(named, recursive=True) == count_passed_over(named[:1], recursive=True)


def test_of_many_kinds_the_most_frequent_are_named(tmp_path):
    for number in range(20):
        (tmp_path / f"a.{number:02}").touch()
    (tmp_path / "b.19").touch()
    words = in_words(count_passed_over([str(tmp_path)]))
    assert words.startswith("2 .19, 1 .") and words.endswith(", 8 of other kinds") and words.count(",") == 12


# --- what is named ---


def test_pictures_pattern_list_and_standard_input(photos, label, monkeypatch):
    Path("names.txt").write_bytes(b"\xef\xbb\xbfphotos/b.png\r\nphotos/a.jpg\r\n")
    feed = lambda data: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))  # noqa: E731
    for number, (arguments, data, expected) in enumerate([
        (["photos/b.png", "photos/a.jpg", "./photos/b.png"], b"", ["photos/b.png", "photos/a.jpg"]),
        (["photos/*.jpg"], b"", ["photos/a.jpg"]),
        (["names.txt"], b"", ["photos/b.png", "photos/a.jpg"]),
        (["-"], b"photos/a.jpg\nphotos/b.png\n", ["photos/a.jpg", "photos/b.png"]),
        (["-"], b"photos/b.png\0photos/a.jpg\0", ["photos/b.png", "photos/a.jpg"]),
        (["photos", "names.txt"], b"", ["photos/a.jpg", "photos/b.png"]),
    ]):  # fmt: skip
        feed(data)
        assert label(*arguments, "--output", f"output{number}") == 0
        assert [row["file"] for row in rows(f"output{number}")] == expected
        assert (Path(f"output{number}") / "annotated/a.jpg").exists()


def test_a_name_in_a_list_that_is_gone_is_a_row(photos, label):
    Path("names.txt").write_text("photos/gone.jpg\nphotos/a.jpg\n")
    assert label("names.txt") == 1
    statuses = [(row["file"], row["status"]) for row in rows()]
    assert statuses == [("photos/gone.jpg", "unreadable"), ("photos/a.jpg", "ok")]


# --- what the run wrote itself ---


@pytest.mark.parametrize("output", ["photos", "photos/output"])
def test_output_in_the_input_overwrites_no_source_and_is_no_input(photos, label, output):
    before = files(photos)
    flags = ("--recursive", "--report", "--sort-into", f"{output}/sorted", "--output", output)
    assert label(photos, *flags) == 0
    assert label(photos, *flags, "--overwrite") == 0
    assert [row["file"] for row in rows(output)] == ["a.jpg", "b.png"]
    assert before.items() <= files(photos).items()


def test_own_copies_are_no_input_even_when_asked_for(photos, label, capsys):
    label(photos, "--output", photos)
    before = files(photos)
    assert label(photos / "annotated", "--output", photos) == 1
    assert "left out" in capsys.readouterr().err
    assert files(photos) == before
