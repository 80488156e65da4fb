"""What a run knows of a picture when it is done with it: the one thing that journal, tables and report are made of."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

OK, NO_FACE, UNREADABLE = STATUSES = "ok", "no-face", "unreadable"
Stamp = tuple[int, ...]


@dataclass(frozen=True)
class FaceRecord:
    """A face: see `classifier.Face`. Plain values, so that the worker processes need no torch to draw it.

    Attributes:
        box: x, y, width, height, whole pixels within the picture.
        detector_score: The detector's own confidence.
        label: The most probable expression, or `uncertain` where it is less probable than was asked for.
        confidence: Probability of the most probable expression.
        probabilities: In the order of the classifier's `class_names`.
    """

    box: tuple[int, int, int, int]
    detector_score: float
    label: str
    confidence: float
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Record:
    """A picture that is done.

    Attributes:
        file: Its name, as `sources.Picture` has it.
        status: `ok`, `no-face` or `unreadable`.
        reason: Why it is unreadable, or why a copy of it could not be made.
        faces: Largest first.
        size: Width and height in pixels, where it could be read.
        copy: Path of the annotated copy below the output folder.
        thumbnail: Path of the thumbnail below the output folder.
        stamp: `sources.file_stamp` of the picture before it was read; None where it is not known.
        written: The files that were written for it, by path below the output folder (absolute, of a sorted copy),
            each with its stamp.
    """

    file: str
    status: str
    reason: str = ""
    faces: tuple[FaceRecord, ...] = ()
    size: tuple[int, int] | None = None
    copy: str | None = None
    thumbnail: str | None = None
    stamp: Stamp | None = None
    written: dict[str, Stamp] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Record":
        faces = tuple(
            FaceRecord(**{**face, "box": tuple(face["box"]), "probabilities": tuple(face["probabilities"])})
            for face in values["faces"]
        )
        return cls(**{**values, "faces": faces})


@dataclass
class Summary:
    """Counts over records.

    Attributes:
        pictures: How many there are.
        statuses: Pictures by status.
        faces: Faces by expression, `uncertain` among them.
        incomplete: Pictures of which something could not be read or written.
        copies: Annotated copies.
    """

    pictures: int = 0
    statuses: Counter = field(default_factory=Counter)
    faces: Counter = field(default_factory=Counter)
    incomplete: int = 0
    copies: int = 0

    def counting(self, records: Iterable[Record]) -> Iterator[Record]:
        """Passes records on and counts them."""
        for record in records:
            self.pictures += 1
            self.statuses[record.status] += 1
            self.faces.update(face.label for face in record.faces)
            self.incomplete += bool(record.reason)
            self.copies += record.copy is not None
            yield record

    def to_json(self) -> dict[str, Any]:
        """The counts as plain values."""
        statuses = {status: self.statuses[status] for status in STATUSES}
        return {**vars(self), "statuses": statuses, "faces": dict(self.faces)}
