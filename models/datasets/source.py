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
from functools import partial
from typing import Any

from PIL import Image
from tqdm import tqdm

from models.datasets import parquet
from models.datasets.archives import Opener, Tree, is_picture
from models.datasets.cutting import cut_face, decode
from models.datasets.dividing import divide, name_people, number_pictures, told
from models.datasets.fer2013 import COLUMNS, OFFICIAL_COUNTS, ORIGINAL_MD5, columns_of, parse_row, split_line
from models.datasets.layouts import Place, Survey, file_of
from models.datasets.sets import Folders, choose_layout, make_layouts
from models.datasets.writing import Sample
from models.errors import DatasetError, UserError

NOTES = re.compile(
    r"(list_patition_label|classes|.*_emotion)\.txt|.*_exp\.npy|fer2013new\.csv|label\.csv", re.IGNORECASE
)
LONGEST_LINE = 1 << 20  # bytes; a row of FER2013 has at most 9,230
LABELS_BESIDE = re.compile(r"(label|annotation|emotion)[^/]*\.(csv|txt|json|xlsx?)$", re.IGNORECASE)
COPIES, NO_FACE = "copies of pictures that are there already", "no face found in it"
MOST_REPORTED = 20
WHERE_TO_GET = """Get FER2013 from one of
  https://www.kaggle.com/competitions/challenges-in-representation-learning-facial-expression-recognition-challenge/data
  https://www.kaggle.com/datasets/msambare/fer2013
put the file into data/, packed as it is, and type
  python preprocess.py"""


class Copy(ValueError):
    """A picture that was seen before."""


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
        self._seen: set[tuple[bytes, str]] = set()
        self._written = 0
        self._group_pattern, self._val_share, self._crop = group_pattern, val_share, crop
        with tree.reading():
            self._survey = self._look_through()
        layouts = make_layouts(classes, all_angles)
        asked = "folders" if classes or (not asked and self._survey.parquets and not self._survey.tables) else asked
        layout = choose_layout(layouts, self._survey, asked)
        if layout is None:
            closed = [name for name in self._survey.others if name.lower().endswith((".rar", ".7z"))]
            if closed:
                raise DatasetError(f"{closed[0]} is of a kind that is not read here: unpack it, and name the folder.")
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
        is_table = bool(survey.tables) and self.layout.reads_tables
        if survey.tables and not is_table and not survey.pictures:
            raise DatasetError(f"{survey.tables[0]} is a csv as of FER2013: read it with --dataset fer2013 or ferplus.")
        try:
            places = self.layout.places(survey)
        except (ValueError, KeyError) as error:
            if isinstance(error, DatasetError):
                raise
            raise DatasetError(f"{self.layout.title}'s labels cannot be read ({error}): download it again.") from error
        self._crops = self.layout.photographs if self._crop is None else self._crop
        labelled = len(told(places))
        beside = [name for name in survey.others if LABELS_BESIDE.search(name) and name not in survey.notes]
        if beside and labelled:
            self._say(f"labels are taken from folders and names; {', '.join(beside[:3])} is not read")
        if labelled and survey.parquets and not is_table:
            raise DatasetError(f"{self.tree.path} holds pictures in folders and parquet files: name one of them.")
        with self.tree.reading():
            if is_table:
                if labelled:
                    self._say(f"the csv is read; {labelled:,} pictures in folders beside it are not")
                yield from self._rows(self._one_table(survey.tables))
            elif survey.parquets:
                yield from self._parquet_rows()
            else:
                yield from self._pictures(places)
        if 3 * self.left_out[COPIES] > self.left_out.total() + self._written:
            raise DatasetError(
                f"{self.left_out[COPIES]:,} pictures are there twice: does an archive lie beside its folder? Name one."
            )

    def _look_through(self) -> Survey:
        survey = Survey()
        for name, open_file in self.tree.files():
            if is_picture(name):
                survey.pictures.append(name)
            elif is_parquet(name):
                survey.parquets.append(name)
            else:
                survey.others.append(name)
                with io.BufferedReader(open_file(), LONGEST_LINE) as stream:
                    header = stream.readline(LONGEST_LINE)
                    if set(columns_of(header)) >= COLUMNS:
                        survey.tables.append(name)
                    elif NOTES.fullmatch(file_of(name)) or header.startswith(b"subDirectory_filePath"):
                        survey.notes[name] = header + stream.read()
        return survey

    def _one_table(self, tables: list[str]) -> str:
        """The csv to read: FER2013 was given out as two with the same rows."""
        names = [file_of(name) for name in tables]
        if len(tables) > 1 and not (len(set(names)) == len(names) and set(names) <= set(ORIGINAL_MD5.values())):
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
        number, share = 0, self._val_share
        if isinstance(self.layout, Folders) and self.layout.classes:
            found = (row for name, open_file in self._parquet_files() for row in parquet.rows(open_file(), name))
            self.layout.number({int(word) for _, word, _ in found if word.isdecimal()})
        for name, open_file in self._parquet_files():
            for split, word, content in parquet.rows(open_file(), name):
                if split is None:
                    self.divided = True
                    split = "val" if int((number + 1) * share) > int(number * share) else "train"
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

    def _parquet_files(self) -> Iterator[tuple[str, Opener]]:
        return ((name, open_file) for name, open_file in self.tree.files() if is_parquet(name))

    def _pictures(self, places: dict[str, Place | str]) -> Iterator[Sample]:
        places, remarks = name_people(places, self._group_pattern, self.layout.name == "folders")
        splits = {place.split for place in told(places).values()}
        if splits == {None}:
            self.divided, places = True, divide(places, self._val_share)
        self.people = {place.person for place in told(places).values()}
        for remark in remarks:
            self._say(remark)
        self.total = len(places)
        numbers = number_pictures(places)
        for name, open_file in self.tree.files():
            if is_picture(name):
                with open_file() as file, self._skipping(name):
                    yield from self._sample(places[name], numbers[name], lambda: self._decoded(name, file.read()))  # noqa: B023

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
        is_cut = self._crops or (place.box is not None and self._crop is None)
        shown = cut_face(picture(), place.box) if is_cut else picture()
        if shown is None:
            self.left_out[NO_FACE] += 1
        else:
            self._written += 1
            yield Sample(place.split, place.label, number, shown.convert("L"), place.person)

    def _decoded(self, name: str, content: bytes) -> Image.Image:
        """The picture, unless it is there already: where train and val are made here, one copy would be in each.

        Raises:
            Copy: It was seen before; where a set has splits, by the same name: some sets hold copies from the first.
        """
        digest = hashlib.blake2b(content, digest_size=16).digest()
        key = (digest, "") if self.divided else (digest, "/".join(name.split("/")[-3:]))
        if key in self._seen:
            raise Copy
        self._seen.add(key)
        return decode(content)

    @contextmanager
    def _skipping(self, where: str) -> Iterator[None]:
        """Reports and counts what is wrong with one row or picture."""
        try:
            yield
        except UserError:
            raise
        except Copy:
            self.left_out[COPIES] += 1
        except ValueError as reason:
            self.skipped += 1
            if self.skipped <= MOST_REPORTED:
                tqdm.write(f"Skipped {where}: {reason}.", file=sys.stderr)

    @staticmethod
    def _say(text: str) -> None:
        tqdm.write(f"Beware: {text}.", file=sys.stderr)


def is_parquet(name: str) -> bool:
    return name.lower().endswith(".parquet")
