"""report.html: a page to look through the results, opened from disk, without a network.

    write_report(Path("output/report.html"), journal.records(order), classifier.class_names)

The page is report_template.html with the records in it as JSON; the thumbnails lie in a folder beside it, and a
browser loads those that come into view. All that comes from outside (file names, reasons, class names) reaches the
page as JSON text, and its script sets it as text, never as markup.
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from models.batch.records import Record
from models.expressions import UNCERTAIN, class_colour
from models.files import replacing

REPORT = "report.html"
TEMPLATE = Path(__file__).parent / "report_template.html"
DATA = "<!-- data -->"  # its place in the template


def write_report(path: Path, records: Iterable[Record], class_names: Sequence[str]) -> None:
    """Writes the page, whole or not at all; the records pass through one at a time.

    Raises:
        OSError: The disk is full; a page that was there is as it was.
    """
    before, after = TEMPLATE.read_text("utf-8").split(DATA)
    colours = [(name, class_colour(name, index)) for index, name in enumerate([*class_names, UNCERTAIN])]
    labels = [[name, f"rgb({red} {green} {blue})"] for name, (red, green, blue) in colours]
    with replacing(path) as file:
        file.write(before.encode())
        file.write(b'{"labels":' + _json(labels) + b',"pictures":[')
        separator = b"\n"
        for record in records:
            file.write(separator + _json(_picture(record)))
            separator = b",\n"
        file.write(b"]}" + after.encode())


def _picture(record: Record) -> list:
    """What the page knows of a picture, as briefly as ten thousand of them should be."""
    faces = [[face.box, face.label, face.confidence, face.probabilities] for face in record.faces]
    return [record.file, record.status, record.reason, record.size, _url(record.thumbnail), _url(record.copy), faces]


def _url(path: str | None) -> str | None:
    return path and quote(os.fsencode(path))


def _json(value: object) -> bytes:
    """JSON that may stand in a script element, which ends at the first `</`; invalid bytes of names become escapes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return text.encode("utf-8", "backslashreplace")
