"""A column of the table, and a folder for sorted copies, for each class: whatever the classes are called.

>>> class_columns(["Happy", "Face"], taken=["file", "face"])
['happy', 'class_Face']
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from models.batch.records import NO_FACE
from models.expressions import UNCERTAIN

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def class_columns(class_names: Sequence[str], taken: Iterable[str]) -> list[str]:
    """Names the classes' columns: each has one of its own, apart from those that the table has anyway.

    Args:
        class_names: The checkpoint's; any text.
        taken: The table's other columns.

    Returns:
        For each class its name in lower case where that is no blank, and neither another column's name nor another
        class's; else `class_` and its name as it is, and a number behind that where even this is not free.
    """
    lower = [name.lower() for name in class_names]
    wanted = Counter(map(_as_written, lower))
    used = set(map(_as_written, taken))
    free = [name.strip() and wanted[_as_written(name)] == 1 and _as_written(name) not in used for name in lower]
    used.update(_as_written(name) for name, is_free in zip(lower, free, strict=True) if is_free)
    columns = []
    for name, in_lower_case, is_free in zip(class_names, lower, free, strict=True):
        column = in_lower_case if is_free else _first_free(f"class_{name}", "_", used)
        columns.append(column.encode("utf-8", "backslashreplace").decode())
    return columns


def class_folders(class_names: Sequence[str]) -> dict[str, str]:
    """The folder for the pictures of each expression, `uncertain` among them: label → name, no two the same.

    It is the label in lower case, other signs than letters, digits, blanks, - and _ made _; with a number behind it
    where an earlier class, `uncertain` or `no-face` has that name.
    """
    used = {NO_FACE.encode(), UNCERTAIN.encode()}
    folders = {UNCERTAIN: UNCERTAIN}
    for label in dict.fromkeys(class_names):
        plain = "".join(letter if letter.isalnum() or letter in " -_" else "_" for letter in label.lower())
        folders[label] = _first_free(plain.strip() or "class", " ", used)
    return folders


def defused(text: str) -> str:
    """The text such that a spreadsheet takes it for no formula."""
    return "'" + text if text.startswith(FORMULA_STARTS) else text


def _as_written(text: str) -> bytes:
    """As a table holds it: two names that differ before may be the same there."""
    return defused(text).encode("utf-8", "backslashreplace")


def _first_free(name: str, separator: str, used: set[bytes]) -> str:
    free = next(text for text in _numbered(name, separator) if _as_written(text) not in used)
    used.add(_as_written(free))
    return free


def _numbered(name: str, separator: str) -> Iterator[str]:
    yield name
    yield from (f"{name}{separator}{number}" for number in count(2))
