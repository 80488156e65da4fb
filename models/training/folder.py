"""The data folder on disk: which splits, classes and pictures are in it.

    >>> class_names = find_classes(Path("data"))
    >>> listing = list_split(Path("data"), "val", class_names)
    >>> len(listing.files), listing.targets[:3]
    (3589, [0, 0, 0])

Folders count by the names of their classes, never by their places: the same name means the same class in train, val,
test and in a checkpoint, whatever else is there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.datasets.people import choose_val, doubt_groups, find_groups, find_pattern
from models.errors import DatasetError
from models.expressions import CLASS_NAMES, expression_of
from models.pictures import PICTURE_SUFFIXES

SPLIT_NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}


@dataclass(frozen=True)
class ValShare:
    """A share of train that stands for val, where there is none: always the same pictures of the same folder.

    Attributes:
        share: From 0 to 0.5, of the people.
        group_pattern: Who is in a picture, see `people.find_groups`; None for what the names tell by themselves.
    """

    share: float
    group_pattern: str | None = None


@dataclass(frozen=True)
class Listing:
    """Pictures on disk, class by class, in the order of their names, and their class numbers.

    Attributes:
        remark: What a person should know of how they were chosen, or "".
    """

    files: list[Path]
    targets: list[int]
    remark: str = ""

    def limited(self, limit: int | None) -> "Listing":
        """So many of the pictures, spread evenly, or all."""
        if not limit or limit >= len(self.files):
            return self
        return self.taking(np.linspace(0, len(self.files) - 1, limit).round().astype(int).tolist())

    def taking(self, places: Sequence[int]) -> "Listing":
        return Listing([self.files[i] for i in places], [self.targets[i] for i in places], self.remark)


def find_split(data: Path, split: str) -> Path | None:
    """The folder of a split, by any of its usual names, or None.

    Raises:
        DatasetError: There are several.
    """
    folders = sorted(data.iterdir()) if data.is_dir() else []
    found = [folder for folder in folders if folder.name.lower() in SPLIT_NAMES[split] and folder.is_dir()]
    if len(found) > 1:
        names = " and ".join(folder.name for folder in found)
        raise DatasetError(f"{data} holds {names}, which are both called {split}: leave one of them there")
    return found[0] if found else None


def find_classes(data: Path) -> list[str]:
    """The names of a data folder's classes.

    Folders named 0 to 6 are FER2013's. For classes of one's own, the folders in `data/train` bear the names; or
    they are numbered and `data/classes.txt` holds the names, one a line.

    Raises:
        DatasetError: There is no `data/train`, or too few classes are in it.
    """
    train = find_split(data, "train")
    if train is None:
        output = "" if data == Path("data") else f" --output {data}"
        raise DatasetError(
            f"there is no folder {data / 'train'}: make it from FER2013 with `python preprocess.py fer2013.csv{output}`"
        )
    return name_classes(train, data / "classes.txt")


def absent_classes(data: Path, class_names: Sequence[str]) -> list[str]:
    """FER2013's classes that are not among these, where the folders are numbered as FER2013 numbers them."""
    is_own = (data / "classes.txt").is_file() or not set(class_names) <= set(CLASS_NAMES)
    return [] if is_own else [name for name in CLASS_NAMES if name not in class_names]


def name_classes(folder: Path, listed: Path) -> list[str]:
    """The names of the classes whose folders lie in `folder`; where those are numbered, the file `listed` names them.

    Of FER2013's seven, those whose folders are empty are left out: preprocess.py writes all, and not every set has all.

    Raises:
        DatasetError: There are fewer than two class folders, two with one name, or their numbers are not those of the
            names.
    """
    folders = _class_folders(folder)
    if len(folders) < 2:
        raise DatasetError(f"{folder} holds {len(folders)} class folders: at least two are needed, one a class")
    names = _names_of_numbers(listed) if all(name.isdecimal() for name in folders) else folders
    _refuse_alike(names, listed if names is not folders else folder)
    if names is not folders and sorted(folders, key=int) != [str(number) for number in range(len(names))]:
        raise DatasetError(
            f"{folder} should hold the folders 0 to {len(names) - 1}, one for each of {', '.join(names)}; "
            f"for other classes write their names into {listed}, one a line, or name the folders by them"
        )
    if names == list(CLASS_NAMES):
        filled = [name for number, name in enumerate(names) if _pictures_in(folder / str(number))]
        return filled if len(filled) > 1 else names
    return names


def _class_folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _names_of_numbers(listed: Path) -> list[str]:
    names = listed.read_text(encoding="utf-8-sig").split("\n") if listed.is_file() else list(CLASS_NAMES)
    return [name.strip() for name in names if name.strip()]


def _refuse_alike(names: Sequence[str], place: Path) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other is not name:
            raise DatasetError(f"{place} has {other} and {name}, which are one class to any reader: make them one")


def list_split(data: Path, split: str, class_names: Sequence[str], val_share: ValShare | None = None) -> Listing:
    """The pictures of a split.

    Args:
        class_names: From `find_classes`, or of the checkpoint that is evaluated.
        val_share: Where `data` has no val, val is this share of train, and train is the rest.

    Raises:
        DatasetError: The split is missing, has a folder that is no class of these, or no picture; or of train, it
            lacks pictures of a class.
    """
    folder = find_split(data, split)
    shares = val_share if split != "test" and find_split(data, "val") is None else None
    if shares:
        listing = list_pictures(find_split(data, "train") or data / "train", class_names, data / "classes.txt")
        return _share_of(listing, shares, is_val=split == "val")
    if folder is None:
        remedy = "; --val-share 0.1 takes a tenth of train for it, by person" if split == "val" else ""
        raise DatasetError(
            f"there is no folder {data / split}: see `python preprocess.py --help` for how to make it{remedy}"
        )
    return list_pictures(folder, class_names, data / "classes.txt", needs_all=split == "train")


def list_pictures(folder: Path, class_names: Sequence[str], listed: Path, needs_all: bool = True) -> Listing:
    """The pictures of a folder of class folders, which are matched with the classes by name.

    Args:
        listed: The file that names numbered folders; without it they are FER2013's.
        needs_all: Whether each class must have pictures.

    Raises:
        DatasetError: A folder is no class of these, two are one class, or there is no picture (of a class).
    """
    found: dict[int, list[Path]] = {}
    for name in _class_folders(folder) if folder.is_dir() else ():
        if pictures := _pictures_in(folder / name):
            number = _class_number(name, class_names, listed, folder)
            if number in found:
                other = found[number][0].parent
                raise DatasetError(f"{other} and {folder / name} are both {class_names[number]}: make them one")
            found[number] = pictures
    for number, name in enumerate(class_names):
        if needs_all and number not in found:
            raise DatasetError(
                f"there is no picture of {name} in {folder}: each of the {len(class_names)} classes needs some"
            )
    files = [file for number in sorted(found) for file in found[number]]
    targets = [number for number in sorted(found) for _ in found[number]]
    if not files:
        raise DatasetError(f"there is no picture in {folder}'s class folders: {', '.join(class_names)}")
    return Listing(files, targets)


def _class_number(name: str, class_names: Sequence[str], listed: Path, folder: Path) -> int:
    """Which class a folder is of.

    Raises:
        DatasetError: It is none of them.
    """
    meant, told = name, ""
    if name.isdecimal() and name not in class_names:
        names = _names_of_numbers(listed)
        meant = names[int(name)] if int(name) < len(names) else name
        told = f" ({meant} by {listed})" if listed.is_file() else f" ({meant} in FER2013; {listed} may say otherwise)"
    for same in (str, str.casefold, lambda word: expression_of(word) or word):
        alike = [number for number, own in enumerate(class_names) if same(own) == same(meant)]
        if alike:
            return alike[0]
    raise DatasetError(
        f"{folder / name}{told} is none of the classes {', '.join(class_names)}: move it away, "
        "or see `python preprocess.py --help` for sets that name or number them in another way"
    )


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(
        file for file in folder.glob("*")
        if file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".")  # macOS puts ._1.jpg by 1.jpg
    )  # fmt: skip


def _share_of(listing: Listing, val_share: ValShare, is_val: bool) -> Listing:
    """Val's pictures or train's, of a listing of both, with nobody in the two."""
    names = [file.name for file in listing.files]
    if val_share.group_pattern:
        groups = find_groups(names, val_share.group_pattern)
    else:
        pattern = find_pattern(names)
        told = [re.match(pattern, name) for name in names]
        groups = [
            find_groups([name], pattern)[0] if match else str(file)
            for name, match, file in zip(names, told, listing.files)
        ]
    remark = doubt_groups(groups) or ""
    if untold := [group for group, file in zip(groups, listing.files) if group == str(file)]:
        remark = (
            f"{len(untold)} of {len(groups)} file names do not tell who is in them, {Path(untold[0]).name} for one: "
            "pictures of one person may be in train and in val; --group-pattern says what in a name tells the person"
        )
    chosen = choose_val(groups, np.array(listing.targets), val_share.share)
    part = listing.taking(np.flatnonzero(chosen if is_val else ~chosen).tolist())
    return Listing(part.files, part.targets, remark)
