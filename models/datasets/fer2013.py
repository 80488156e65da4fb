"""FER2013 (Goodfellow et al., 2013) as it was given out, a csv with a picture a row, and FER+'s votes on it."""

import csv
import io
from collections import Counter

from PIL import Image

from models.datasets.layouts import USAGES, Counts, Layout, Place, Survey, file_of, folder_of, most, split_of
from models.errors import DatasetError
from models.expressions import CLASS_NAMES, expression_of

COLUMNS = {"emotion", "pixels", "usage"}
SIDE = 48
OFFICIAL_COUNTS: dict[str, Counts] = {
    "train": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "val": (467, 56, 496, 895, 653, 415, 607),
    "test": (491, 55, 528, 879, 594, 416, 626),
}
ORIGINAL_MD5 = {
    "f8428a1edbd21e88f42c73edd2a14f95": "fer2013.csv",
    "b114b9e04e6949e5fe8b6a98b3892b1d": "icml_face_data.csv",
}


class Fer2013(Layout):
    """FER2013: the csv, or folders with its prefixes or its very counts."""

    name, title = "fer2013", "FER2013"
    numbers = dict(enumerate(CLASS_NAMES))
    official = OFFICIAL_COUNTS
    reads_tables = True

    def recognises(self, survey: Survey) -> bool:
        if survey.tables or most(file_of(name).lower().split("_")[0] in USAGES for name in survey.pictures):
            return True
        counts = Counter(self.expression(folder_of(name)) for name in survey.pictures if split_of(name) == "train")
        return tuple(counts[name] for name in CLASS_NAMES) == OFFICIAL_COUNTS["train"]


class FerPlus(Layout):
    """FER+ (Barsoum et al., 2016): ten people's votes on each of FER2013's pictures, of which the most count."""

    name, title = "ferplus", "FER+"
    reads_tables = True
    columns = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")

    def recognises(self, survey: Survey) -> bool:
        return not survey.tables and bool(self._lists(survey))

    def places(self, survey: Survey) -> dict[str, Place | str]:
        self._votes = []
        for text in survey.texts("fer2013new.csv").values():
            rows = csv.DictReader(io.StringIO(text))
            if not set(self.columns) <= set(rows.fieldnames or ()):
                raise DatasetError("fer2013new.csv does not hold FER+'s ten columns of votes: download it again.")
            self._votes = [[int(row[column] or 0) for column in self.columns] for row in rows]
        if not survey.pictures and not self._votes:
            raise DatasetError(
                "FER+'s votes are missing: put its fer2013new.csv beside fer2013.csv, and name the folder."
            )
        lists = self._lists(survey)
        return {name: self._listed(name, lists) for name in survey.pictures}

    def place_of_row(self, number: int, split: str, label: str) -> Place | str:
        if number >= len(self._votes):
            return "fer2013new.csv has no votes on it"
        return Place(split, self.winner(self._votes[number]))

    def winner(self, votes: list[int]) -> str:
        """The expression with the most votes, or what the picture is left out as."""
        most_votes = max(votes)
        if votes.count(most_votes) > 1:
            return "a tie of votes"
        word = self.columns[votes.index(most_votes)]
        return "not a face" if word == "NF" else expression_of(word) or word

    def _lists(self, survey: Survey) -> dict[str, list[int]]:
        """The votes in the `label.csv` beside the pictures: name, box, then the ten columns."""
        rows: dict[str, list[int]] = {}
        for name, text in survey.texts("label.csv").items():
            for fields in csv.reader(io.StringIO(text)):
                if len(fields) == 2 + len(self.columns) and all(map(str.isdecimal, fields[2:])):
                    rows[f"{name.rpartition('/')[0]}/{fields[0]}"] = list(map(int, fields[2:]))
        return rows

    def _listed(self, name: str, lists: dict[str, list[int]]) -> Place | str:
        return Place(split_of(name), self.winner(lists[name])) if name in lists else "no label.csv has votes on it"


def columns_of(header: bytes) -> list[str]:
    """The names of a csv's columns, in lower case."""
    return [column.strip().lower() for column in split_line(header.decode("utf-8-sig", "replace"))]


def split_line(line: str) -> list[str]:
    """The fields of one csv line; the whole line as one field where csv gives up on it (a field too long)."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return [line]


def parse_row(fields: list[str], columns: list[str]) -> tuple[str, str, Image.Image]:
    """Reads one row of a FER2013 csv, whose columns may be in any order.

    Returns:
        The split, the label as it stands there, and the picture, 48x48, 8-bit grey.

    Raises:
        ValueError: The row is malformed; the text says how.
    """
    if len(fields) != len(columns):
        raise ValueError(f"{len(fields)} columns instead of {len(columns)}")
    row = dict(zip(columns, fields))
    usage, emotion, values = row["usage"].strip(), row["emotion"].strip(), row["pixels"].split()
    if usage.lower() not in USAGES:
        raise ValueError(f"unknown usage {usage[:20]!r}")
    if len(values) != SIDE * SIDE:
        raise ValueError(f"{len(values)} pixels instead of {SIDE * SIDE}")
    try:
        pixels = bytes(map(int, values))  # bytes() refuses what is outside 0 to 255
    except ValueError:
        raise ValueError("a pixel is not a whole number from 0 to 255") from None
    return USAGES[usage.lower()], emotion, Image.frombytes("L", (SIDE, SIDE), pixels)
