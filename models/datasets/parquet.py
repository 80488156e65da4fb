"""A set as Hugging Face serves it: parquet files, a picture a row, which the package pyarrow reads.

    >>> for split, word, picture in rows(file, "data/train-00000-of-00001.parquet"): ...
    ('train', 'happy', b'\\x89PNG...')

Hugging Face numbers classes by the alphabet where a set came as folders: there 4 is neutral, not sad. So numbers count
by the names in the file alone, and where it has none, by those that a person gives.
"""

import json
import re
from collections.abc import Iterator
from typing import IO, Any

from models.datasets.layouts import SPLIT_FOLDERS, file_of, split_of
from models.errors import DatasetError

PICTURE_COLUMNS = ("image", "img", "img_bytes", "image_bytes")
LABEL_COLUMNS = ("label", "labels", "emotion", "expression")
SPLIT_COLUMNS = ("usage", "split")
ROWS = 256  # read at a time


def rows(file: IO[bytes], name: str) -> Iterator[tuple[str | None, str, bytes]]:
    """Yields split (None where it is not told), label (a name, or a number as text) and encoded picture of each row.

    Raises:
        DatasetError: pyarrow is missing, the file is damaged, or a column of pictures or labels is missing.
    """
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise DatasetError(f"{name} is a parquet file, which `python -m pip install pyarrow` reads.") from error
    try:
        table = ParquetFile(pyarrow.BufferReader(file.read()))
        picture, label, usage = (
            _column(table.schema_arrow.names, known) for known in (PICTURE_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS)
        )
        if not (picture and label):
            raise DatasetError(
                f"{name} has no column of pictures ({', '.join(PICTURE_COLUMNS)}) and of labels "
                f"({', '.join(LABEL_COLUMNS)}): it has {', '.join(table.schema_arrow.names)}."
            )
        names = _class_names(table.schema_arrow, label)
        own_split = next(
            filter(None, map(SPLIT_FOLDERS.get, re.split(r"[-_.]", file_of(name).lower()))), split_of(name)
        )
        for batch in table.iter_batches(ROWS, columns=[column for column in (picture, label, usage) if column]):
            for row in batch.to_pylist():
                content, value = row[picture], row[label]
                content = content.get("bytes") if isinstance(content, dict) else content
                split = SPLIT_FOLDERS.get(str(row[usage]).lower()) if usage else own_split
                yield split, _word(value, names), content if isinstance(content, bytes) else b""
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{name} is cut short or damaged ({error}): download it again.") from error


def _column(names: list[str], known: tuple[str, ...]) -> str | None:
    return next((name for name in names if name.lower() in known), None)


def _word(value: Any, names: list[str]) -> str:
    """A label as text, by its name where the file has one; "" without a label."""
    if value is None:
        return ""
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else str(value)


def _class_names(schema: Any, label: str) -> list[str]:
    """The names behind a column's numbers, as the library `datasets` writes them; empty without."""
    about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    return about.get("info", {}).get("features", {}).get(label, {}).get("names") or []
