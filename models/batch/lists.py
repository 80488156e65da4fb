"""Lists of pictures: a .txt file with a name a line, or the same on standard input.

names = read_list("names.txt")
names = split_list(sys.stdin.buffer.read(), "standard input")
"""

import codecs
import os
from pathlib import Path

from models.errors import UserError

# UTF-32's mark for little endian begins with UTF-16's: it comes first.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),  # what PowerShell 5 writes behind >
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_list(path: str) -> list[str]:
    """The names in a file. A relative one means the current folder, or else the list's own.

    Raises:
        UserError: The list cannot be read, or one of its names means two files.
    """
    try:
        names = split_list(Path(path).read_bytes(), path)
    except OSError as error:
        raise UserError(f"the list {path} cannot be read: {error.strerror or error}") from error
    folder = os.path.dirname(path)
    return names if os.path.abspath(folder) == os.getcwd() else [_found(name, folder, path) for name in names]


def _found(name: str, folder: str, list_path: str) -> str:
    beside = os.path.join(folder, name)
    if os.path.isabs(name) or not os.path.exists(beside):
        return name
    if not os.path.exists(name):
        return beside
    if not os.path.samefile(name, beside):
        raise UserError(
            f"{name!r} in {list_path} is a file in the current folder and another one in {folder}: "
            "write whole paths into the list, or start from the list's folder"
        )
    return name


def split_list(data: bytes, where: str) -> list[str]:
    """The names in a list, one a line, or parted by NUL where it holds one, as `find -print0` writes it.

    It is UTF-8, or whatever bytes the file system's names are; and UTF-16 or UTF-32 where it says so with a mark at
    its beginning, or is UTF-16 beyond doubt.

    Args:
        where: The list's name, for the message.

    Raises:
        UserError: It says that it is UTF-16 or UTF-32, and is not.
    """
    mark, encoding = next(((mark, name) for mark, name in MARKS if data.startswith(mark)), (b"", _unmarked(data)))
    data = data[len(mark) :]
    if encoding != "utf-8":
        try:
            data = data.decode(encoding).encode()
        except UnicodeError as error:
            kind = encoding.upper().removesuffix("-LE").removesuffix("-BE")
            raise UserError(f"{where} looks like {kind} but is damaged: save it as UTF-8") from error
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _unmarked(data: bytes) -> str:
    """The encoding of a list without a mark.

    In UTF-16, one byte of each plain letter is NUL, always the first or always the second; so are those of full stops
    and line ends. Of names that NULs part, none ends with a full stop or a line end, and few have but three bytes.
    """
    units = {data[at : at + 2] for at in range(0, min(len(data), 1 << 16), 2)}
    for encoding, first, full_stop, line_end in (("utf-16-le", 1, b".\0", b"\n\0"), ("utf-16-be", 0, b"\0.", b"\0\n")):
        nuls, others = data[first::2].count(0), data[1 - first :: 2].count(0)
        is_text = line_end in units or (full_stop in units and 4 * nuls > len(data))
        if is_text and nuls > 3 * others and len(data) % 2 == 0:
            return encoding
    return "utf-8"
