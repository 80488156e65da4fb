"""The sets that preprocess.py knows, each as its authors give it out and as it is repackaged most."""

import csv
import io
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from models.datasets.fer2013 import Fer2013, FerPlus
from models.datasets.layouts import Layout, NamedFiles, Place, Survey, file_of, folder_of, most, split_of
from models.datasets.people import PERSON_PATTERNS, find_groups
from models.errors import DatasetError
from models.expressions import CLASS_NAMES, expression_of

ANGRY, DISGUSTED, FEARFUL, HAPPY, SAD, SURPRISED, NEUTRAL = CLASS_NAMES
CONTEMPT, TURNED = "contempt", "turned away from the camera (--all-angles takes them)"


class RafDb(Layout):
    """RAF-DB (Li et al., 2017), its basic expressions: `list_patition_label.txt`, or a folder a number."""

    name, title = "rafdb", "RAF-DB"
    numbers = {1: SURPRISED, 2: FEARFUL, 3: DISGUSTED, 4: HAPPY, 5: SAD, 6: ANGRY, 7: NEUTRAL}
    official = {"train": (705, 717, 281, 4772, 1982, 1290, 2524), "test": (162, 160, 74, 1185, 478, 329, 680)}
    pattern = re.compile(r"(?i)(train|test)_\d+(_aligned)?\.")

    def recognises(self, survey: Survey) -> bool:
        names = [self.pattern.match(file_of(name)) for name in survey.pictures]
        return most(map(bool, names)) and bool(
            survey.texts("list_patition_label.txt") or any(match and match[2] for match in names)
        )

    def places(self, survey: Survey) -> dict[str, Place | str]:
        lists = survey.texts("list_patition_label.txt")  # its authors' spelling
        words = " ".join(text for name, text in lists.items() if not is_compound(name)).split()
        labels = dict(zip(words[::2], words[1::2]))
        self.photographs = not any(_is_face(name) for name in survey.pictures)
        if not labels and not any(self.expression(folder_of(name)) for name in survey.pictures):
            raise DatasetError("RAF-DB's labels are missing: put list_patition_label.txt beside the pictures.")
        return {name: self._listed(name, labels) for name in survey.pictures}

    def _listed(self, name: str, labels: dict[str, str]) -> Place | str:
        match = self.pattern.match(file_of(name))
        if is_compound(name):
            return Place(None, "compound expressions")
        if not self.photographs and not _is_face(name):
            return Place(None, "whole photographs, whose faces are there as well")
        expression = self.expression(labels.get(file_of(name).replace("_aligned", ""), folder_of(name)))
        if expression is None:
            return "list_patition_label.txt does not name it, and its folder is none of 1 to 7"
        return Place(match[1].lower() if match else split_of(name), expression)


def is_compound(name: str) -> bool:
    return "compound" in name.lower().split("/")


def _is_face(name: str) -> bool:
    return PurePosixPath(name).stem.endswith("_aligned") or folder_of(name).isdecimal()


class AffectNet(Layout):
    """AffectNet (Mollahosseini et al., 2017): `train_set/annotations/0_exp.npy`, its csv files, or numbered folders."""

    name, title = "affectnet", "AffectNet"
    numbers = dict(enumerate((NEUTRAL, HAPPY, SAD, SURPRISED, FEARFUL, DISGUSTED, ANGRY, CONTEMPT)))
    numbers |= {8: "none of the expressions", 9: "uncertain", 10: "not a face"}
    official = {"train": (24882, 3803, 6378, 134415, 25459, 14090, 74874), "val": (500,) * 7}

    def recognises(self, survey: Survey) -> bool:
        return any(name.endswith("_exp.npy") for name in survey.notes) or bool(self._tables(survey))

    def places(self, survey: Survey) -> dict[str, Place | str]:
        if tables := self._tables(survey):
            rows = {path: place for name, text in tables.items() for path, place in self._rows(name, text)}
            return {name: rows.get("/".join(name.split("/")[-2:]), "no csv names it") for name in survey.pictures}
        if any(name.endswith("_exp.npy") for name in survey.notes):
            return {name: self._annotated(name, survey.notes) for name in survey.pictures}
        return super().places(survey)

    def _annotated(self, name: str, notes: dict[str, bytes]) -> Place | str:
        picture = PurePosixPath(name)
        note = notes.get(f"{picture.parent.parent}/annotations/{picture.stem}_exp.npy")
        if note is None:
            return f"there is no annotations/{picture.stem}_exp.npy for it"
        label = str(int(np.load(io.BytesIO(note), allow_pickle=False).astype(str).item().split(".")[0]))
        return Place(split_of(name), self.expression(label) or f"label {label}")

    def _tables(self, survey: Survey) -> dict[str, str]:
        return {name: text for name, text in survey.texts(r".*\.csv").items() if text.startswith("subDirectory_")}

    def _rows(self, table: str, text: str) -> list[tuple[str, Place]]:
        split = "val" if "valid" in file_of(table).lower() else "train"
        rows = []
        for row in csv.DictReader(io.StringIO(text)):
            numbers = [row[f"face_{side}"].split(".")[0] for side in ("x", "y", "width", "height")]
            left, top, width, height = map(int, numbers) if all(map(str.isdecimal, numbers)) else (0, 0, 0, 0)
            box = (left, top, left + width, top + height) if width and height else None
            expression = self.expression(row["expression"]) or f"label {row['expression']}"
            rows.append((row["subDirectory_filePath"], Place(split, expression, "", box)))
        return rows


class CkPlus(Layout):
    """CK+ (Lucey et al., 2010): sequences of frames with `Emotion/`, its peak frames as folders, or as a csv.

    Of a labelled sequence, from a neutral face to the expression's peak, the last three frames show the expression
    and the first shows none, as is usual.
    """

    name, title = "ckplus", "CK+"
    numbers = dict(enumerate((NEUTRAL, ANGRY, CONTEMPT, DISGUSTED, FEARFUL, HAPPY, SAD, SURPRISED)))
    official = {"all": (135, 177, 75, 207, 84, 249, 327)}  # 3 frames of each labelled sequence, and 1
    reads_tables = True
    pattern = re.compile(PERSON_PATTERNS["CK+"])
    peak_frames = 3

    def recognises(self, survey: Survey) -> bool:
        return most(bool(self.pattern.match(file_of(name))) for name in survey.pictures)

    def place_of_row(self, number: int, split: str, label: str) -> Place | str:
        # The csv that goes round (ckextended.csv) numbers as FER2013 does, and contempt behind that.
        expression = dict(enumerate((*CLASS_NAMES, CONTEMPT))).get(int(label) if label.isdecimal() else -1)
        return f"unknown label {label[:20]!r}" if expression is None else Place(split, expression)

    def places(self, survey: Survey) -> dict[str, Place | str]:
        emotions = survey.texts(r".*_emotion\.txt")
        self.photographs = bool(emotions)
        if not emotions:
            self.official = {"all": (*self.official["all"][:-1], 0)}
            if survey.pictures and not any(expression_of(folder_of(name)) for name in survey.pictures):
                raise DatasetError("CK+'s labels are missing: put Emotion_labels.zip beside the pictures.")
            return {name: self._peak(name) for name in survey.pictures}
        labels = {}
        for name, text in emotions.items():  # S005_001_00000011_emotion.txt holds "   3.0000000e+00"
            labels["_".join(file_of(name).split("_")[:2])] = self.numbers.get(int(float(text or -1)), f"label {text}")
        takes = defaultdict(list)
        for name in sorted(survey.pictures, key=file_of):
            takes["_".join(file_of(name).split("_")[:2])].append(name)
        return {name: place for take, names in takes.items() for name, place in self._take(names, labels.get(take))}

    def _peak(self, name: str) -> Place | str:
        expression = expression_of(folder_of(name))
        if expression is None or not self.pattern.match(file_of(name)):
            return "unknown label: its folder or its name is none of CK+'s"
        return Place(split_of(name), expression, _person(name))

    def _take(self, names: list[str], expression: str | None) -> list[tuple[str, Place | str]]:
        """The frames of one sequence, in order."""
        shown = ["sequences without a label" if expression is None else "frames before the peak"] * len(names)
        if expression is not None:
            shown[-self.peak_frames :] = [expression] * len(shown[-self.peak_frames :])
            shown[0] = NEUTRAL
        return [
            (
                name,
                Place(None, word, _person(name)) if self.pattern.match(file_of(name)) else "its name is none of CK+'s",
            )
            for name, word in zip(names, shown)
        ]


def _person(name: str) -> str:
    return find_groups([file_of(name)], PERSON_PATTERNS["CK+"])[0].upper()


class Jaffe(NamedFiles):
    """JAFFE (Lyons et al., 1998): `KA.AN1.39.tiff` is person KA, angry."""

    name, title = "jaffe", "JAFFE"
    official = {"all": (30, 29, 32, 31, 31, 30, 30)}
    pattern = re.compile(r"(?i)[A-Z]{2}\.(?P<expression>AN|DI|FE|HA|SA|SU|NE)\d\.\d+")
    words = dict(zip(("an", "di", "fe", "ha", "sa", "su", "ne"), CLASS_NAMES))


class Kdef(NamedFiles):
    """KDEF (Lundqvist et al., 1998): `AF01ANS.JPG` is session A, person F01, angry, straight."""

    name, title = "kdef", "KDEF"
    official = {"all": (140,) * 7}
    pattern = re.compile(r"(?i)[AB][FM]\d{2}(?P<expression>AF|AN|DI|HA|NE|SA|SU)(?P<angle>S|HL|HR|FL|FR)\.")
    words = dict(zip(("an", "di", "af", "ha", "sa", "su", "ne"), CLASS_NAMES))

    angles = 5

    def place(self, name: str) -> Place | str:
        if "akdef" in name.lower().split("/"):  # which comes along in KDEF_and_AKDEF.zip
            return Place(None, "averaged faces")
        return super().place(name)

    def turned(self, match: re.Match) -> str | None:
        return None if match["angle"].upper() == "S" else TURNED


class Rafd(NamedFiles):
    """RaFD (Langner et al., 2010): `Rafd090_01_Caucasian_female_angry_frontal.jpg`, camera at 90 degrees, model 01."""

    name, title = "rafd", "RaFD"
    official = {"all": (201,) * 7}
    words = dict(zip(("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral"), CLASS_NAMES))
    words |= {"contemptuous": CONTEMPT}
    pattern = re.compile(rf"(?i)Rafd(?P<camera>\d{{3}})_\d{{2}}_\w+?_(?:fe)?male_(?P<expression>{'|'.join(words)})_")

    angles = 5

    def turned(self, match: re.Match) -> str | None:
        return None if match["camera"] == "090" else TURNED


class Folders(Layout):
    """Any set in folders that bear the expressions' names, or are numbered, the names being told beside them."""

    name, title = "folders", "folders named by the expressions"

    def __init__(self, classes: Sequence[str] = ()):
        self.classes = classes

    def recognises(self, survey: Survey) -> bool:
        return bool(survey.texts("classes.txt")) or any(isinstance(self.place(name), Place) for name in survey.pictures)

    def places(self, survey: Survey) -> dict[str, Place | str]:
        listed = {
            tuple(filter(None, map(str.strip, text.split("\n")))) for text in survey.texts("classes.txt").values()
        }
        if len(listed) > 1 and not self.classes:
            raise DatasetError(
                "There are several classes.txt, which differ: say with --classes what the numbers stand for."
            )
        self.number({int(word) for word in map(folder_of, survey.pictures) if word.isdecimal()}, *listed)
        return super().places(survey)

    def number(self, found: set[int], listed: Sequence[str] = ()) -> None:
        """Learns what the numbers stand for, from --classes or else from classes.txt, and says so.

        Args:
            found: The numbers that there are.

        Raises:
            DatasetError: A name is none that is known, or it cannot be told whether they begin with 0 or 1.
        """
        names = list(self.classes or listed)
        if not names or not found:
            return
        for name in names:
            if expression_of(name) is None:
                raise DatasetError(
                    f"{name} is no expression: take {', '.join(CLASS_NAMES)}, or contempt, unknown or none for what is "
                    "to be left out."
                )
        start = 0 if 0 in found else 1
        if max(found) >= start + len(names) or (start and max(found) < len(names)):
            raise DatasetError(
                f"The numbers are {min(found)} to {max(found)}, and there are {len(names)} names: name each from "
                "the first on, also those of which there is no picture."
            )
        self.numbers = {number: expression_of(name) or name for number, name in enumerate(names, start)}
        told = ", ".join(f"{number} {name}" for number, name in self.numbers.items())
        print(f"The numbers stand for: {told}.", file=sys.stderr)


def make_layouts(classes: Sequence[str] = (), all_angles: bool = False) -> dict[str, Layout]:
    """The sets by the names that `--dataset` takes, the most easily told first."""
    layouts = [
        Fer2013(), FerPlus(), RafDb(), AffectNet(), CkPlus(),
        Jaffe(all_angles), Kdef(all_angles), Rafd(all_angles), Folders(classes),
    ]  # fmt: skip
    return {layout.name: layout for layout in layouts}


def choose_layout(layouts: dict[str, Layout], survey: Survey, asked: str | None) -> Layout | None:
    """The layout that was asked for, else the one whose marks are there, else None.

    Raises:
        DatasetError: It may be several.
    """
    if asked:
        return layouts[asked]
    for layout in layouts.values():
        if layout.recognises(survey):
            return layout
    numbers = sorted({int(word) for word in map(folder_of, survey.pictures) if word.isdecimal()})
    if len(numbers) > 1:
        raise DatasetError(
            f"The folders are numbered {numbers[0]} to {numbers[-1]}, and each set numbers expressions in its own way: "
            "0 is Angry in FER2013 and Neutral in AffectNet, and RAF-DB begins with 1, Surprised. Say which, with "
            "--dataset fer2013, affectnet or rafdb, or with --classes and the names in the order of the numbers."
        )
    return None
