"""The table and the report of a run, while it is at work and at its end."""

from pathlib import Path

from models.batch import results
from models.batch.journal import Journal
from tests.batch import face, files, label, photos, rows, stand_in  # noqa: F401 - fixtures

# ruff: noqa: F811 - fixtures are arguments


def test_a_whole_table_is_there_while_the_run_is_at_work(photos, label, monkeypatch):
    monkeypatch.setattr(results, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(results, "LARGEST_SHARE", 1e9)
    append, seen = Journal.append, []

    def append_and_look(journal, record):
        seen.append(len(rows()) if Path("output/results.csv").exists() else 0)
        append(journal, record)

    monkeypatch.setattr(Journal, "append", append_and_look)
    assert label(photos) == 0
    assert seen == [0, 1]


def test_report_is_written_with_thumbnails(photos, label):
    assert label(photos, "--report") == 0
    written = files("output")
    assert b'"a.jpg"' in written["report.html"]
    assert len([name for name in written if name.startswith("report-thumbnails/")]) == 2
