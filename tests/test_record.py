import csv
import json
from datetime import date

import pytest

from tests.benchmarks import record
from tests.benchmarks.record import Table, end


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(record, "describe_processor", lambda device: f"the-{device}")
    monkeypatch.setattr(record.torch, "__version__", "2.14.1+cpu")


def filled(name: str = "speed", *conditions: str, **device: str) -> Table:
    table = Table(name, ["views", "ms, 32 a call"], *conditions, **device)
    table.add("two", 1.5)
    return table


def test_a_files_name_holds_the_conditions(tmp_path):
    filled("speed", "int8", "96px").end(tmp_path / "made")
    filled("speed", device="cuda").end(tmp_path / "made")
    names = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert names == ["speed-int8-96px-the-cpu-torch2.14.csv", "speed-the-cuda-torch2.14.csv"]


def test_a_file_holds_the_rows_and_the_date(tmp_path):
    filled().write(tmp_path)
    (path,) = tmp_path.iterdir()
    with path.open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"views": "two", "ms, 32 a call": "1.5", "date": date.today().isoformat()}
        ]


def test_rows_are_printed_as_they_come_and_a_line_of_json_is_the_last(capsys):
    table = filled("speed", "int8")
    assert capsys.readouterr().out == "| views | ms, 32 a call |\n|---|---|\n| two | 1.5 |\n"
    table.end()
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "benchmark": "speed", "conditions": ["int8", "the-cpu", "torch2.14"],
        "rows": [{"views": "two", "ms, 32 a call": "1.5"}],
    }  # fmt: skip


def test_several_tables_end_in_one_line_of_json_and_a_file_each(tmp_path, capsys):
    tables = [filled("one"), filled("other")]
    capsys.readouterr()
    end(tables, tmp_path)
    (line,) = capsys.readouterr().out.splitlines()
    assert [content["benchmark"] for content in json.loads(line)] == ["one", "other"]
    assert all(content["rows"] == [{"views": "two", "ms, 32 a call": "1.5"}] for content in json.loads(line))
    assert sorted(path.name[:3] for path in tmp_path.iterdir()) == ["one", "oth"]


def test_nothing_is_written_where_no_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    filled().end()
    end([filled()])
    assert list(tmp_path.iterdir()) == []


def test_a_row_with_too_few_or_too_many_cells_is_refused():
    for cells in (["two"], ["two", 1, 2]):
        with pytest.raises(AssertionError, match="2 columns"):
            filled().add(*cells)
