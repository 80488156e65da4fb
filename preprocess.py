"""Turn FER2013 or another set of expressions, in any form that people have it in, into the folders that train.py reads.

    python preprocess.py                            # finds the csv, or the archive it came in, in data/
    python preprocess.py ~/Downloads/archive.zip
    python preprocess.py RAF-DB --output rafdb      # another set, told by its files
    python preprocess.py AffectNet/archive.zip --dataset affectnet --output affectnet
    python preprocess.py mine --classes neutral happy sad --output own     # folders 0, 1 and 2

SOURCE is a folder, a file or an archive (zip, tar.gz, gz, xz, one in the other too): `fer2013.csv` or
`icml_face_data.csv`, class folders (`train/angry/Training_3908.jpg`), parquet files of Hugging Face (with the package
pyarrow), or FER+, RAF-DB, AffectNet, CK+, JAFFE, KDEF or RaFD as they are given out. Pictures are put into classes by
the expressions' names, whatever a set's numbers are; what is of none of the seven (contempt) is left out and counted.

Each picture becomes grey and 240x240 by bilinear interpolation, as `data/{train,val,test}/{0..6}/NNNNN.jpg`, where
NNNNN is FER2013's row in the csv; where the set tells who is in a picture, `PERSON_NNNNN.jpg`. In photographs (JAFFE,
KDEF, RaFD, CK+'s sequences) the face is found and cut out as the demos do. A set without splits is divided into train
and val, by person.

The three splits are replaced together: however a run ends, data/ holds the old pictures or the new ones, never a mix.
Exit code: 0 done, 1 done but rows were skipped, 2 nothing done (and said why), 130 stopped by Ctrl-C.
"""

import argparse
import errno
import os
import sys
from collections import Counter
from pathlib import Path

from models.packages import check_packages

if __name__ == "__main__":
    check_packages("cv2")  # before the imports that need them

from tqdm import tqdm

from models.command_line import new_parser
from models.datasets.archives import Tree
from models.datasets.fer2013 import OFFICIAL_COUNTS, ORIGINAL_MD5, SIDE
from models.datasets.layouts import SPLITS
from models.datasets.sets import make_layouts
from models.datasets.source import MOST_REPORTED, NO_FACE, WHERE_TO_GET, Source
from models.datasets.writing import SWAP, TEMPORARY, check_output, commit, recover, write_sample
from models.errors import DatasetError, UserError
from models.expressions import CLASS_NAMES

DATA = Path("data")
MOST_SKIPPED = 0.01


def find_tree(path: Path | None, output: Path) -> Tree:
    """Finds out what to read; None stands for whatever is in data/.

    Raises:
        DatasetError: It is missing, empty, or inside what is to be replaced.
    """
    made_here = [output] if path else [output, DATA]
    left_out = {(folder / split).resolve() for folder in made_here for split in SPLITS}
    path = path or DATA
    if not path.exists():
        raise DatasetError(f"{path} does not exist.\n{WHERE_TO_GET}")
    if path.is_file() and path.stat().st_size == 0:
        raise DatasetError(f"{path} is empty: download it again.")
    if left_out & {path.resolve(), *path.resolve().parents}:
        raise DatasetError(f"{path} lies in what would be replaced: move it, or write elsewhere with --output.")
    return Tree(path, left_out)


def check_complete(source: Source, written: int) -> None:
    """Raises `DatasetError` where too little of the source could be used to call the result the set."""
    total = written + source.skipped + source.left_out.total()
    if source.skipped > MOST_SKIPPED * total:
        raise DatasetError(
            f"{source.skipped:,} of {total:,} rows or pictures cannot be used (see above), which is more than 1 %. "
            f"Nothing was changed: download {source.tree.path} again, mend it, or say what set it is with --dataset."
        )
    if written == 0 and source.left_out:
        remedy = " --no-crop-faces takes pictures whole." if source.left_out[NO_FACE] else ""
        raise DatasetError(
            f"{source.tree.path} holds nothing of the seven classes: {describe(source.left_out)}.{remedy}"
        )
    if written == 0:
        raise DatasetError(f"{source.tree.path} has the header of FER2013, but no rows: download it again.")


def describe(left_out: Counter) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in left_out.most_common())


def print_report(source: Source, counts: Counter, output: Path, size: int) -> None:
    """Prints the counts beside the set's official ones, whether it is the original, and where the pictures are."""
    official = source.layout.official
    totals = {split: sum(counts[split, label] for label in range(len(CLASS_NAMES))) for split in SPLITS}
    if not official and any(totals[split] == sum(OFFICIAL_COUNTS[split]) for split in SPLITS):
        official = OFFICIAL_COUNTS
    shown = [split for split in SPLITS if totals[split] or split in official]
    columns = {split: [counts[split, label] for label in range(len(CLASS_NAMES))] for split in shown}
    if "all" in official:
        columns["all"] = [sum(row) for row in zip(*columns.values())]
    header, rows = "", ["" for _ in (*CLASS_NAMES, "all")]
    for split, values in columns.items():
        header += f"{split:>8}" + (f"{'official':>10}" if split in official else "")
        told = [*official.get(split, ()), sum(official.get(split, ()))]
        for place, value in enumerate([*values, sum(values)]):
            rows[place] += f"{value:>8}" + (f"{told[place]:>10}" if split in official else "")
    print(" " * 12 + header)
    for label, (name, row) in enumerate(zip((*CLASS_NAMES, "all"), rows)):
        print(f"{label} {name:<10}{row}" if name != "all" else f"{name:<12}{row}")
    told = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"} if source.md5 else {}
    for split in () if source.divided else SPLITS:
        if totals[split] == 0:
            print(f"No {split}: the source has no {told.get(split, split)} pictures.")
    if source.divided and totals["val"]:
        whose = (
            f"by person: {len(source.people)} people"
            if "" not in source.people
            else "by picture, since no person is told"
        )
        print(f"The set has no splits: divided {whose} (--val-share).")
    if not source.divided and not totals["val"]:
        print("For val, `python train.py --val-share 0.1` takes a share of train.")
    if source.left_out:
        print(f"Left out: {describe(source.left_out)}.")
    if source.skipped:
        named = "named above" if source.skipped <= MOST_REPORTED else f"the first {MOST_REPORTED} are named above"
        print(f"Skipped {source.skipped:,} rows or pictures: {named}.", file=sys.stderr)
    if source.md5:
        digest = source.md5.hexdigest()
        verdict = f"is the original {ORIGINAL_MD5[digest]}'s" if digest in ORIGINAL_MD5 else "is not an original file's"
        print(f"The csv's MD5, {digest}, {verdict}.")
    print(f"Wrote {counts.total():,} pictures of {size}x{size} to {output}")


def preprocess(arguments: argparse.Namespace) -> int:
    """Reads the set, writes it below the output folder, prints the report.

    Returns:
        Exit code: 0, or 1 if rows were skipped.

    Raises:
        DatasetError: Nothing was changed; the text says why.
        OSError: The file system refused; the output holds the old pictures, or the next run finishes the new ones.
    """
    output = arguments.output
    if (output / SWAP).exists():
        print("The last run was interrupted while its pictures moved in: finishing that first.", file=sys.stderr)
    recover(output)
    check_output(output, arguments.overwrite)
    source = Source(
        find_tree(arguments.source, output), arguments.dataset, arguments.classes or (), arguments.all_angles,
        arguments.group_pattern, arguments.val_share, arguments.crop_faces,
    )  # fmt: skip
    if arguments.dataset is None and source.layout.name not in ("fer2013", "folders"):
        print(f"This is {source.layout.title}, by its files; --dataset takes it for another set.", file=sys.stderr)
    counts = Counter()
    temporary = output / f"{TEMPORARY}{os.getpid()}"
    try:
        with tqdm(total=source.total, unit=" pictures", disable=None) as progress:
            for sample in source.samples():
                write_sample(temporary / "new", sample, arguments.size)
                counts[sample.split, sample.label] += 1
                progress.total = source.total
                progress.update()
        check_complete(source, counts.total())
        commit(temporary, output, counts.total())
    finally:
        recover(output)
    print_report(source, counts, output, arguments.size)
    return 1 if source.skipped else 0


def picture_size(text: str) -> int:
    """Parses --size. Raises `argparse.ArgumentTypeError` or ValueError where it is no sensible size."""
    size = int(text)
    if not SIDE <= size <= 1024:
        raise argparse.ArgumentTypeError(f"{size} is not from {SIDE} to 1024")
    return size


def share(text: str) -> float:
    """Parses --val-share. Raises `argparse.ArgumentTypeError` or ValueError where it is no sensible share."""
    value = float(text)
    if not 0 <= value <= 0.5:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 0.5")
    return value


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("source", nargs="?", type=Path, metavar="SOURCE", help="the data set, see above; by default what is in data/")
    add(
        "--output", type=Path, default=DATA, metavar="FOLDER", help="where train/, val/ and test/ are made",
    )  # fmt: skip
    add("--size", type=picture_size, default=240, metavar="PIXELS", help="side of the pictures, 48 to 1024")
    add("--overwrite", action="store_true", help="replace train/, val/ and test/ where they are there")
    add = parser.add_argument_group("data sets").add_argument
    add("--dataset", choices=tuple(make_layouts()), help="what set it is; by default it is told by its files")
    add("--classes", nargs="+", metavar="NAME", help="what numbered folders or labels stand for, in their order")
    add("--all-angles", action="store_true", help="KDEF, RaFD: take faces that are turned away from the camera too")
    add(
        "--crop-faces", action=argparse.BooleanOptionalAction, default=None,
        help="find the face in each picture and cut it out; by default in sets of photographs",
    )  # fmt: skip
    add(
        "--val-share", type=share, default=0.2, metavar="SHARE",
        help="of the people (or pictures) of a set without splits, that become val; 0 for none, as --folds needs it",
    )  # fmt: skip
    add(
        "--group-pattern", metavar="REGEX",
        help="who is in a picture: the expression's groups, matched against the beginning of the file's name; known of "
        "CK+, JAFFE, KDEF and RaFD",
    )  # fmt: skip
    arguments = parser.parse_args(argv)
    if arguments.classes and arguments.dataset not in (None, "folders"):
        parser.error("--classes names what numbers stand for, and so does --dataset: take one of them")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the script with these arguments (None: the command line's) and return its exit code."""
    arguments = parse_arguments(argv)
    output = arguments.output
    try:
        return preprocess(arguments)
    except UserError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        reason = f"{error.filename or output}: {error.strerror or error}."
        remedy = "Free about 500 MB" if error.errno == errno.ENOSPC else "Make it a folder that you may write to"
        print(f"{reason} {remedy}, or choose another --output.", file=sys.stderr)
    except KeyboardInterrupt:
        after = "run it again to finish" if (output / SWAP).exists() else f"{output} is as it was"
        print(f"Interrupted: {after}.", file=sys.stderr)
        return 130
    return 2


if __name__ == "__main__":
    sys.exit(main())
