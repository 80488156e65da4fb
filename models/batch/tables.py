"""The table of a run: a row a face, in csv, JSON lines or parquet.

    write_table(Path("output/results.csv"), journal.records(order), classifier.class_names)

Columns: file, status (ok, no-face, unreadable), face (1 is the largest), x, y, width, height (pixels), detector_score,
expression, confidence, a column a class, reason. A picture without a face, or that cannot be read, has one row.
A class's column is its name in lower case; where that is one of the others or another class's, or blank, it is `class_`
and the name as it is: `class_Face` for a class Face, `class_Happy` and `class_happy` where there are both.

The csv is as RFC 4180 has it, in UTF-8 behind a byte order mark, without which Excel takes it for another encoding. A
program reads it with `encoding="utf-8-sig"`; pandas need not be told. It opens safely in a spreadsheet: a text that it
would take for a formula (one that begins with = + - @, a tab or a line end) is led by `./` if it is a file, which is
the same file, else by `'`. Bytes of a name that are no valid UTF-8 are written as `\\udcXX`, XX being the byte in
hexadecimal; in JSON lines that is JSON's own escape, and `os.fsencode` gives the name back.
"""

import codecs
import importlib.util
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from models.batch.naming import FORMULA_STARTS, class_columns, defused
from models.batch.records import Record
from models.errors import UserError
from models.files import replacing

FORMATS = ("csv", "jsonl", "parquet")
ROW_GROUP = 20_000  # rows that parquet gathers before it writes

# The columns, before and behind the classes', and what they hold.
FIRST: dict[str, type] = {"file": str, "status": str, "face": int, "x": int, "y": int, "width": int, "height": int}
FIRST |= {"detector_score": float, "expression": str, "confidence": float}
LAST: dict[str, type] = {"reason": str}

Row = dict[str, Any]


def check_format(name: str) -> None:
    """Raises `UserError` where a format's package is missing."""
    if name == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UserError("--format parquet needs a package: `python -m pip install pyarrow`; or take csv or jsonl")


def write_table(path: Path, records: Iterable[Record], class_names: Sequence[str]) -> None:
    """Writes the table, whole or not at all; the suffix says the format.

    Raises:
        OSError: The disk is full; a table that was there is as it was.
    """
    columns = class_columns(class_names, [*FIRST, *LAST])
    types = FIRST | dict.fromkeys(columns, float) | LAST
    rows = (row for record in records for row in _rows(record, columns))
    write = {".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet}[path.suffix]
    with replacing(path) as file:
        write(file, rows, types)


def _rows(record: Record, columns: Sequence[str]) -> Iterator[Row]:
    about = {"file": record.file, "status": record.status, "reason": record.reason or None}
    if not record.faces:
        yield about
    for number, face in enumerate(record.faces, start=1):
        place = dict(zip(("x", "y", "width", "height"), face.box, strict=True))
        answer = {"detector_score": face.detector_score, "expression": face.label, "confidence": face.confidence}
        probabilities = dict(zip(columns, face.probabilities, strict=True))
        yield {**about, "face": number, **place, **answer, **probabilities}


def _write_csv(file: Any, rows: Iterable[Row], types: dict[str, type]) -> None:
    def write_line(values: Iterable[Any]) -> None:
        file.write((",".join(map(_cell, values)) + "\r\n").encode("utf-8", "backslashreplace"))

    file.write(codecs.BOM_UTF8)
    write_line(types)
    for row in rows:
        if row["file"].startswith(FORMULA_STARTS):
            row = {**row, "file": "./" + row["file"]}
        write_line(row.get(name) for name in types)


def _cell(value: Any) -> str:
    if not isinstance(value, str):
        return "" if value is None else str(value)
    value = defused(value)
    # A semicolon parts cells in many countries' spreadsheets, and what follows it could be a formula.
    if any(character in value for character in '",;\t\r\n') or value != value.strip():
        return '"' + value.replace('"', '""') + '"'
    return value


def _write_jsonl(file: Any, rows: Iterable[Row], types: dict[str, type]) -> None:
    for row in rows:
        text = json.dumps({name: row.get(name) for name in types}, ensure_ascii=False)
        file.write((text + "\n").encode("utf-8", "backslashreplace"))


def _write_parquet(file: Any, rows: Iterator[Row], types: dict[str, type]) -> None:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    kinds = {str: pyarrow.string(), int: pyarrow.int32(), float: pyarrow.float32()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in types.items()])
    with ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, ROW_GROUP)):
            for row in group:
                texts = {name: value for name, value in row.items() if isinstance(value, str)}
                row.update({name: text.encode("utf-8", "backslashreplace").decode() for name, text in texts.items()})
            writer.write_table(pyarrow.Table.from_pylist(group, schema))
