"""Whose the files in an output folder are: what a run replaces, what it leaves, and which run it goes on with."""

import shutil
from pathlib import Path

from models.batch.journal import Journal
from tests.batch import face, files, label, photos, rows, stand_in  # noqa: F401 - fixtures

# ruff: noqa: F811 - fixtures are arguments


def test_a_second_run_replaces_the_first_ones_table_and_says_so(photos, label, capsys):
    assert label(photos) == 0
    first = files("output")
    (photos / "b.png").unlink()
    assert label(photos) == 0
    assert "replacing" in capsys.readouterr().err
    assert len(rows()) == 1 and files("output")["annotated/a.jpg"] == first["annotated/a.jpg"]


def test_nothing_of_a_persons_is_overwritten_unasked(photos, label, capsys):
    Path("output/annotated").mkdir(parents=True)
    for name in ("output/results.csv", "output/annotated/mine.jpg"):
        Path(name).write_text("mine")
        assert label(photos) == 2
        message = capsys.readouterr().err
        assert name.removesuffix("/mine.jpg") in message and "--overwrite" in message
    assert files("output") == {"results.csv": b"mine", "annotated/mine.jpg": b"mine"}
    assert label(photos, "--overwrite") == 0
    assert len(rows()) == 2


def test_a_table_that_a_person_changed_or_that_is_of_other_pictures_stays(photos, label, tmp_path):
    assert label(photos) == 0
    other = tmp_path / "other"
    shutil.copytree(photos, other)
    assert label(other) == 2
    table = Path("output/results.csv")
    table.write_text(table.read_text() + "a note\n")
    assert label(photos) == 2
    assert table.read_text().endswith("a note\n")


def test_two_runs_do_not_share_an_output_folder_at_a_time(photos, label, capsys):
    from models.files import locked

    with locked(Path("output/.batch/lock"), Path("output")):
        assert label(photos) == 2
    assert "another run" in capsys.readouterr().err
    assert label(photos) == 0


def test_a_stopped_run_is_gone_on_with_only_as_it_was_begun(photos, label, monkeypatch, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", stopped)
        assert label(photos) == 130
    assert "--resume" in capsys.readouterr().err
    assert label(photos) == 2
    assert "--resume" in capsys.readouterr().err
    assert label(photos, "--resume", "--min-confidence", "0.9") == 2
    assert "--min-confidence" in capsys.readouterr().err
    assert label(photos, "--resume") == 0
    assert len(rows()) == 2


def test_resume_where_nothing_was_begun_begins_and_later_takes_what_is_new(photos, label, face):
    assert label(photos, "--resume") == 0
    face.save(photos / "0.jpg")
    assert label(photos, "--resume") == 0
    assert [row["file"] for row in rows()] == ["0.jpg", "a.jpg", "b.png"]
