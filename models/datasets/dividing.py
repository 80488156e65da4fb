"""Who is in a set's pictures, and train and val where a set has none.

places, remarks = name_people(places, group_pattern=None, by_names=True)
places = divide(places, share=0.2)
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import PurePosixPath

import numpy as np

from models.datasets.layouts import Place, file_of
from models.datasets.people import PERSON_PATTERNS, choose_val, find_groups, find_pattern
from models.errors import DatasetError

Places = dict[str, Place | str]  # of each picture by its name, see layouts.Layout.places


def told(places: Places) -> dict[str, Place]:
    """The pictures that are of a class."""
    return {name: place for name, place in places.items() if isinstance(place, Place) and place.label is not None}


def name_people(places: Places, group_pattern: str | None, by_names: bool) -> tuple[Places, list[str]]:
    """Says who is in each picture, where the set itself does not tell and the file names do.

    Args:
        group_pattern: See `people.find_groups`.
        by_names: Whether names as another set has them tell it too.

    Returns:
        The places, and what a person should know of them.

    Raises:
        DatasetError: A picture of a set that names people is there twice.
    """
    known = told(places)
    files = [file_of(name) for name in known]
    pattern = group_pattern or (find_pattern(files) if by_names else None)
    if group_pattern or pattern in PERSON_PATTERNS.values():
        people = dict(zip(known, find_groups(files, pattern)))
        short = plain_names(people.values())
        known = {name: replace(place, person=short[people[name]]) for name, place in known.items()}
    if all(place.person for place in known.values()):
        pictures = Counter((file_of(name), place.expression, place.split) for name, place in known.items())
        twice = [name for (name, *_), number in pictures.items() if number > 1]
        if twice:
            raise DatasetError(f"{twice[0]} is there twice: leave one copy of each, so that none is in two splits.")
    splits = {(place.person, place.split) for place in known.values() if place.person}
    shared = [person for person, number in Counter(person for person, _ in splits).items() if number > 1]
    remarks = (
        [f"{len(shared)} people are in several splits, {shared[0]} for one: the figures flatter"] if shared else []
    )
    return {**places, **known}, remarks


def divide(places: Places, share: float) -> Places:
    """Puts each picture into train or val, so that nobody is in both; see `people.choose_val`."""
    known = told(places)
    groups = [place.person or name for name, place in known.items()]
    is_val = choose_val(groups, np.array([place.label for place in known.values()]), share)
    splits = np.where(is_val, "val", "train").tolist()
    return {**places, **{name: replace(place, split=split) for (name, place), split in zip(known.items(), splits)}}


def plain_names(people: Iterable[str]) -> dict[str, str]:
    """People as files' names may begin: letters and figures, without the sign that parts them from the number."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for person in dict.fromkeys(people):
        names[person] = next(name for name in _numbered(re.sub(r"[\W_]", "-", person)) if name.casefold() not in taken)
        taken.add(names[person].casefold())
    return names


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in count(2))


def number_pictures(places: dict[str, Place | str]) -> dict[str, int]:
    """Numbers each picture by the last number in its name, or all from 0 on where two of a split would then be one."""
    digits = [re.findall("[0-9]+", PurePosixPath(name).stem)[-1:] for name in places]
    splits = [place.split if isinstance(place, Place) else "" for place in places.values()]
    if all(digits) and len({(split, int(last)) for split, [last] in zip(splits, digits)}) == len(places):
        return {name: int(last) for name, [last] in zip(places, digits)}
    return {name: number for number, name in enumerate(places)}
