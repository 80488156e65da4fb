"""A data set's pictures, labelled, from whatever form it comes in.

source = Source(Tree(Path("fer2013.zip"), left_out=set()), asked=None)
for sample in source.samples():
    ...
"""

import hashlib
import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from models.datasets import parquet
from models.datasets.archives import Tree, is_picture
from models.datasets.cutting import cut_face, decode
from models.datasets.fer2013 import COLUMNS, OFFICIAL_COUNTS, ORIGINAL_MD5, columns_of, parse_row, split_line
from models.datasets.layouts import Place, Survey, file_of
from models.datasets.people import PERSON_PATTERNS, assign_folds, find_groups, find_pattern
from models.datasets.sets import choose_layout, make_layouts
from models.datasets.writing import Sample
from models.errors import DatasetError, UserError
from models.faces import make_detector

NOTES = re.compile(
    r"(list_patition_label|classes|.*_emotion)\.txt|.*_exp\.npy|fer2013new\.csv|label\.csv", re.IGNORECASE
)
LONGEST_LINE = 1 << 20  # bytes; a row of FER2013 has at most 9,230
MOST_REPORTED = 20
WHERE_TO_GET = """Get FER2013 from one of
  https://www.kaggle.com/competitions/challenges-in-representation-learning-facial-expression-recognition-challenge/data
  https://www.kaggle.com/datasets/msambare/fer2013
put the file into data/, packed as it is, and type
  python preprocess.py"""


class Source:
    """A data set in any of its forms, read as a stream.

    Attributes:
        tree: The csv, archive or folder.
        layout: What set it is.
        total: How many samples to expect, for the progress bar.
        skipped: How many rows or pictures could not be used so far.
        left_out: How many were usable and are of no class, by what they are.
        divided: Whether the set has no splits, and train and val were made here.
        people: Who is in the pictures; "" stands for those of whom that is not told.
        md5: Hash over the csv's bytes, complete once `samples` has ended; None for other forms.
    """

    def __init__(
        self,
        tree: Tree,
        asked: str | None = None,
        classes: Sequence[str] = (),
        all_angles: bool = False,
        group_pattern: str | None = None,
        val_share: float = 0.2,
        crop: bool | None = None,
    ):
        """Looks through the tree and finds out what set it is.

        Args:
            asked: The set's name, a key of `sets.make_layouts`; by default it is told by its marks.
            classes: What numbered folders stand for.
            all_angles: Take pictures of faces that are turned away from the camera too.
            group_pattern: Who is in a picture of a set that does not tell, see `people.find_groups`.
            val_share: Of the people (of the pictures, where nobody is named) of a set without splits; 0 for none.
            crop: Whether faces are found and cut out; by default where the set's pictures show more than faces.

        Raises:
            DatasetError: It is none, may be several, or cannot be read to its end.
        """
        self.tree = tree
        self.skipped, self.divided = 0, False
        self.left_out: Counter[str] = Counter()
        self.people: set[str] = set()
        self.md5: Any = None
        self._group_pattern, self._val_share, self._crop = group_pattern, val_share, crop
        self._detector: Any = None
        with tree.reading():
            self._survey = self._look_through()
        layouts = make_layouts(classes, all_angles)
        asked = "folders" if classes or (not asked and self._survey.parquets and not self._survey.tables) else asked
        layout = choose_layout(layouts, self._survey, asked)
        if layout is None:
            raise DatasetError(
                f"No FER2013 in {tree.path}, nor another set: no csv with the columns emotion, pixels, Usage and no "
                f"class folders like train/angry.\n{WHERE_TO_GET}"
            )
        self.layout = layout
        self.total = sum(map(sum, OFFICIAL_COUNTS.values()))

    def samples(self) -> Iterator[Sample]:
        """Yields every usable sample; each other one is reported on stderr and counted in `skipped`.

        Raises:
            DatasetError: It cannot be read to its end.
        """
        survey = self._survey
        try:
            places = self.layout.places(survey)
        except (ValueError, KeyError) as error:
            if isinstance(error, DatasetError):
                raise
            raise DatasetError(f"{self.layout.title}'s labels cannot be read ({error}): download it again.") from error
        self._crops = self.layout.photographs if self._crop is None else self._crop
        with self.tree.reading():
            if survey.tables and self.layout.reads_tables:
                yield from self._rows(self._one_table(survey.tables))
            elif survey.pictures:
                yield from self._pictures(places)
            else:
                yield from self._parquet_rows()

    def _look_through(self) -> Survey:
        survey = Survey()
        for name, open_file in self.tree.files():
            if is_picture(name):
                survey.pictures.append(name)
            elif is_parquet(name):
                survey.parquets.append(name)
            else:
                with io.BufferedReader(open_file(), LONGEST_LINE) as stream:
                    header = stream.readline(LONGEST_LINE)
                    if set(columns_of(header)) >= COLUMNS:
                        survey.tables.append(name)
                    elif NOTES.fullmatch(file_of(name)) or header.startswith(b"subDirectory_filePath"):
                        survey.notes[name] = header + stream.read()
        return survey

    def _one_table(self, tables: list[str]) -> str:
        """The csv to read: FER2013 was given out as two with the same rows."""
        others = sorted({file_of(name) for name in tables} - set(ORIGINAL_MD5.values()))
        if len(tables) > 1 and others:
            raise DatasetError(f"There are several csv files with FER2013's columns, {', '.join(tables)}: name one.")
        return tables[0]

    def _rows(self, table: str) -> Iterator[Sample]:
        for name, open_file in self.tree.files():
            if name == table:
                with io.BufferedReader(open_file(), LONGEST_LINE) as lines:
                    yield from self._rows_of(name, lines)
                return

    def _rows_of(self, table: str, lines: io.BufferedReader) -> Iterator[Sample]:
        # Line by line, since no row of FER2013 spans two: a stray quote then spoils its own row alone.
        header = lines.readline(LONGEST_LINE)
        columns = columns_of(header)
        self.md5 = hashlib.md5(header, usedforsecurity=False)
        number = 0
        for line_number, line in enumerate(iter(partial(lines.readline, LONGEST_LINE), b""), start=2):
            self.md5.update(line)
            if not line.strip():
                continue
            with self._skipping(f"{table}, line {line_number}"):
                split, label, picture = parse_row(split_line(line.decode("ascii", "replace")), columns)
                place = self.layout.place_of_row(number, split, label)
                yield from self._sample(place, number, lambda: picture)  # noqa: B023 - called at once
            number += 1

    def _parquet_rows(self) -> Iterator[Sample]:
        number = 0
        for name, open_file in self.tree.files():
            for split, word, content in parquet.rows(open_file(), name) if is_parquet(name) else ():
                expression = self.layout.expression(word)
                if expression is None and word.isdecimal():
                    raise DatasetError(
                        f"{name} has numbers for labels and no names for them: say what they stand for, with --classes "
                        "and the names in their order, or with --dataset fer2013 for FER2013's own numbers."
                    )
                place = Place(split, expression) if expression else f"unknown label {word[:20]!r}"
                with self._skipping(f"{name}, row {number}"):
                    yield from self._sample(place, number, partial(decode, content))
                number += 1

    def _pictures(self, places: dict[str, Place | str]) -> Iterator[Sample]:
        places = self._divide(self._name_people(places))
        self.total = len(places)
        numbers = number_pictures(places)
        for name, open_file in self.tree.files():
            if is_picture(name):
                with open_file() as file, self._skipping(name):
                    yield from self._sample(places[name], numbers[name], lambda: decode(file.read()))

    def _sample(self, place: Place | str, number: int, picture: Callable[[], Image.Image]) -> Iterator[Sample]:
        """Yields the sample, if it is of a class.

        Raises:
            ValueError: It is of none, for the reason that `place` is, or the picture is damaged.
        """
        if isinstance(place, str):
            raise ValueError(place)
        if place.label is None:
            self.left_out[place.expression] += 1
            return
        if place.split is None:
            raise ValueError(
                "unknown split: its name does not begin with Training_, and no folder is train, val or test"
            )
        if place.box or self._crops:
            self._detector = self._detector or make_detector()
            shown = cut_face(picture(), place.box, self._detector)
        else:
            shown = picture()
        if shown is None:
            self.left_out["no face found in it"] += 1
        else:
            yield Sample(place.split, place.label, number, shown.convert("L"), place.person)

    @contextmanager
    def _skipping(self, where: str) -> Iterator[None]:
        """Reports and counts what is wrong with one row or picture."""
        try:
            yield
        except UserError:
            raise
        except ValueError as reason:
            self.skipped += 1
            if self.skipped <= MOST_REPORTED:
                tqdm.write(f"Skipped {where}: {reason}.", file=sys.stderr)

    def _name_people(self, places: dict[str, Place | str]) -> dict[str, Place | str]:
        """Who is in each picture, where the set itself does not tell and the names do."""
        told = {name: place for name, place in places.items() if isinstance(place, Place) and place.label is not None}
        files = [file_of(name) for name in told]
        pattern = self._group_pattern or (find_pattern(files) if self.layout.name == "folders" else None)
        if self._group_pattern or pattern in PERSON_PATTERNS.values():
            people = dict(zip(told, find_groups(files, pattern)))
            places = places | {name: replace(place, person=plain(people[name])) for name, place in told.items()}
        self.people = {
            place.person for place in places.values() if isinstance(place, Place) and place.label is not None
        }
        pictures = Counter((file_of(name), place.expression) for name, place in told.items())
        twice = [name for (name, _), count in pictures.items() if count > 1]
        if "" not in self.people and twice:
            raise DatasetError(
                f"{twice[0]} is there twice: leave one copy of each picture, so that none is in two splits."
            )
        return places

    def _divide(self, places: dict[str, Place | str]) -> dict[str, Place | str]:
        """Divides a set without splits into train and val, so that nobody is in both."""
        told = {name: place for name, place in places.items() if isinstance(place, Place) and place.label is not None}
        if not told or any(place.split for place in told.values()):
            return places
        self.divided = True
        groups = [place.person or name for name, place in told.items()]
        is_val = np.zeros(len(groups), bool)
        if self._val_share:
            parts = min(round(1 / self._val_share), len(set(groups)))
            if parts < 2:
                raise DatasetError(f"All pictures are of {groups[0]}: --val-share 0 puts them into train.")
            targets = np.array([place.label for place in told.values()])
            is_val = assign_folds(groups, targets, parts, seed=0) == 1
        splits = np.where(is_val, "val", "train").tolist()
        return places | {name: replace(place, split=split) for (name, place), split in zip(told.items(), splits)}


def plain(person: str) -> str:
    """A person as a file's name may begin; without the sign that parts it from the number."""
    return re.sub("[^A-Za-z0-9-]", "-", person)


def is_parquet(name: str) -> bool:
    return name.lower().endswith(".parquet")


def number_pictures(places: dict[str, Place | str]) -> dict[str, int]:
    """Numbers each picture by the last number in its name, or all from 0 on where two of a split would then be one."""
    digits = [re.findall("[0-9]+", PurePosixPath(name).stem)[-1:] for name in places]
    splits = [place.split if isinstance(place, Place) else "" for place in places.values()]
    if all(digits) and len({(split, int(last)) for split, [last] in zip(splits, digits)}) == len(places):
        return {name: int(last) for name, [last] in zip(places, digits)}
    return {name: number for number, name in enumerate(places)}
