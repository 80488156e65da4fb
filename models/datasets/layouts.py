"""What a data set is: where it keeps labels, splits and people.

    >>> layout = choose_layout(survey, asked=None)
    >>> layout.places(survey)["basic/Image/aligned/train_00001_aligned.jpg"]
    Place(split='train', expression='Sad', person='', box=None)

A new set is a class in `sets.py`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from models.datasets.people import PERSON_PATTERNS, find_groups
from models.expressions import CLASS_NAMES, expression_of

SPLITS = ("train", "val", "test")
# How sets name their splits, in lower case.
USAGES = {"training": "train", "publictest": "val", "privatetest": "test"}
SPLIT_FOLDERS = {"train": "train", "val": "val", "test": "test", "valid": "val", "validation": "val", "testing": "test"}
SPLIT_FOLDERS |= {"dev": "val"} | USAGES
SPLIT_FOLDERS |= {f"{name}_set": split for name, split in SPLIT_FOLDERS.items()}
SPLIT_FOLDERS |= {"fer2013train": "train", "fer2013valid": "val", "fer2013test": "test"}

Counts = tuple[int, ...]  # of each class, in the order of CLASS_NAMES


@dataclass(frozen=True)
class Place:
    """What a set says of a picture.

    Attributes:
        split: "train", "val", "test", or None where the set has none.
        expression: One of `CLASS_NAMES`; any other text says what the picture is left out as.
        person: Who is in it; "" where the set does not tell.
        box: left, top, right, bottom of the face in pixels, where the set names it.
    """

    split: str | None
    expression: str
    person: str = ""
    box: tuple[int, int, int, int] | None = None

    @property
    def label(self) -> int | None:
        """The class, 0 to 6; None for what is left out."""
        return CLASS_NAMES.index(self.expression) if self.expression in CLASS_NAMES else None


@dataclass
class Survey:
    """What lies in a source, seen without decoding a picture.

    Attributes:
        pictures: Names of the pictures.
        notes: Small files that tell labels, by name.
        tables: Names of csv files with FER2013's columns.
        parquets: Names of parquet files.
        others: Names of whatever else is there.
    """

    pictures: list[str] = field(default_factory=list)
    notes: dict[str, bytes] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    parquets: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def texts(self, pattern: str) -> dict[str, str]:
        """The notes whose file names match, by name."""
        found = {name: note for name, note in self.notes.items() if re.fullmatch(pattern, file_of(name))}
        return {name: note.decode("utf-8-sig", "replace") for name, note in found.items()}


class Layout:
    """A data set's way of telling labels, splits and people; as it stands here, by folders.

    Attributes:
        name: What `--dataset` takes.
        title: What people call it.
        numbers: What numbered folders, or labels in a table, stand for.
        official: How many pictures a split has by the set's own account; "all" where it has no splits.
        photographs: Whether the pictures show more than a face, which is then looked for.
        reads_tables: Whether it may come as a csv with FER2013's columns.
    """

    name = title = ""
    numbers: dict[int, str] = {}
    official: dict[str, Counts] = {}
    photographs = False
    reads_tables = False

    def recognises(self, survey: Survey) -> bool:
        """Whether what is there can hardly be another set."""
        return False

    def places(self, survey: Survey) -> dict[str, Place | str]:
        """What the set says of each picture; where it says nothing, a text that names what is missing."""
        return {name: self.place(name) for name in survey.pictures}

    def place(self, name: str) -> Place | str:
        """What a picture's folders say."""
        expression = self.expression(folder_of(name))
        if expression is None:  # happy/ann/1.png, happy/train/1.png
            expression = next(filter(None, map(expression_of, reversed(name.split("/")[:-1]))), None)
        if expression is None:
            return f"unknown label: its folder is none of {', '.join(CLASS_NAMES)}"
        return Place(split_of(name), expression)

    def place_of_row(self, number: int, split: str, label: str) -> Place | str:
        """What row `number` of a csv with FER2013's columns says, counted from 0."""
        expression = self.expression(label)
        return f"unknown label {label[:20]!r}" if expression is None else Place(split, expression)

    def expression(self, word: str) -> str | None:
        """The expression that a word or number stands for, or what is left out as; None for any other word."""
        return self.numbers.get(int(word)) if word.isdecimal() else expression_of(word)


class NamedFiles(Layout):
    """A set whose file names tell it all.

    Attributes:
        angles: From how many sides each face was photographed.
        pattern: Matches a file name's beginning; its group `expression` is a key of `words`.
    """

    photographs = True
    pattern = re.compile("")
    words: dict[str, str] = {}

    angles = 1

    def __init__(self, all_angles: bool = False):
        self.all_angles = all_angles
        if all_angles:
            self.official = {"all": tuple(count * self.angles for count in self.official["all"])}

    def recognises(self, survey: Survey) -> bool:
        return most(bool(self.pattern.match(file_of(name))) for name in survey.pictures)

    def place(self, name: str) -> Place | str:
        match = self.pattern.match(file_of(name))
        if match is None:
            return f"its name is none of {self.title}'s"
        [person] = find_groups([file_of(name)], PERSON_PATTERNS[self.title])
        person = person.upper().replace("RAFD", "Rafd")
        turned = None if self.all_angles else self.turned(match)
        return Place(split_of(name), turned or self.words[match["expression"].lower()], person)

    def turned(self, match: re.Match) -> str | None:
        """What the picture is left out as where it does not show the face from the front."""
        return None


def file_of(name: str) -> str:
    return PurePosixPath(name).name


def folder_of(name: str) -> str:
    """The name of the folder that a picture lies in; "" where it lies in none."""
    return PurePosixPath(name).parent.name


def split_of(name: str) -> str | None:
    """The split that a picture's prefix (`PublicTest_1.jpg`) or else the nearest folder names; None where none does."""
    *folders, file_name = name.lower().split("/")
    named = [USAGES.get(file_name.split("_")[0]), *map(split_called, reversed(folders))]
    return next(filter(None, named), None)


def split_called(folder: str) -> str | None:
    """The split that a folder or an archive is called: `Training set`, `train_set.tar`."""
    return SPLIT_FOLDERS.get(re.sub(r"[ -]", "_", folder.lower().split(".")[0]))


def most(found: Iterable[bool]) -> bool:
    """Whether more than half of them are, and there are some."""
    found = list(found)
    return 2 * sum(found) > len(found)
