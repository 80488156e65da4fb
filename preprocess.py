"""Turn FER2013, in any form that people have it in, into the folders of pictures that train.py reads.

    python preprocess.py                            # finds the csv, or the archive it came in, in data/
    python preprocess.py ~/Downloads/archive.zip

SOURCE may be `fer2013.csv` or `icml_face_data.csv`, either of them in a zip, tar.gz, gz or xz (or in a tar.gz in a zip,
as the contest gives it out), or a folder or archive of class folders (`train/angry/Training_3908.jpg`). Each 48x48
picture becomes 240x240 by bilinear interpolation, as `data/{train,val,test}/{0..6}/NNNNN.jpg`, where NNNNN is its row
in the csv.

The three splits are replaced together: however a run ends, data/ holds the old pictures or the new ones, never a mix.
Exit code: 0 done, 1 done but rows were skipped, 2 nothing done (and said why), 130 stopped by Ctrl-C.
"""

import argparse
import csv
import errno
import gzip
import hashlib
import io
import lzma
import os
import re
import shutil
import sys
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from PIL import Image, ImageOps
from tqdm import tqdm

from models.expressions import CLASS_NAMES

DATA = Path("data")
SPLITS = ("train", "val", "test")

# How FER2013 and those who repackaged it name the splits and classes, in lower case.
USAGES = {"training": "train", "publictest": "val", "privatetest": "test"}
SPLIT_FOLDERS = {split: split for split in SPLITS} | {"valid": "val", "validation": "val", "testing": "test"} | USAGES
LABELS = {name.lower(): label for label, name in enumerate(CLASS_NAMES)}
LABELS |= {"anger": 0, "disgust": 1, "fear": 2, "happiness": 3, "sadness": 4, "surprise": 5}
LABELS |= {str(label): label for label in range(len(CLASS_NAMES))}

COLUMNS = {"emotion", "pixels", "usage"}
SIDE = 48
OFFICIAL_COUNTS = {
    "train": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "val": (467, 56, 496, 895, 653, 415, 607),
    "test": (491, 55, 528, 879, 594, 416, 626),
}
ORIGINAL_MD5 = {
    "f8428a1edbd21e88f42c73edd2a14f95": "fer2013.csv",
    "b114b9e04e6949e5fe8b6a98b3892b1d": "icml_face_data.csv",
}

# Measured on 500 rows: at 95 the root mean square error is 0.55 of 255 grey levels, no pixel is off by more than 5, and
# all of FER2013 takes 370 MB. 85 gives 0.90, 9 and 210 MB; 100 gives 0.24, 2 and 650 MB.
JPEG_QUALITY = 95
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}
LARGEST_PICTURE = 64_000_000  # pixels: a small file may unpack to billions
LONGEST_LINE = 1 << 20  # bytes; a row of FER2013 has at most 9,230
MOST_REPORTED = 20
MOST_SKIPPED = 0.01

# What Python's readers raise for archives that are cut short, garbled, or of a later version than they know.
DAMAGED = (
    EOFError,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    tarfile.TarError,
    zipfile.BadZipFile,
    NotImplementedError,
)
WHERE_TO_GET = """Get FER2013 from one of
  https://www.kaggle.com/competitions/challenges-in-representation-learning-facial-expression-recognition-challenge/data
  https://www.kaggle.com/datasets/msambare/fer2013
put the file into data/, packed as it is, and type
  python preprocess.py"""

TEMPORARY = ".preprocess-"
SWAP = TEMPORARY + "swap"

Opener = Callable[[], BinaryIO]


class Refusal(Exception):
    """Something that a person can put right; the text says what and how."""


@dataclass(frozen=True)
class Sample:
    """One labelled picture.

    Attributes:
        split: "train", "val" or "test".
        label: class 0 to 6, an index into `CLASS_NAMES`.
        number: names the file; the row in the csv, counted from 0.
        picture: 8-bit grey (mode "L"), 48x48 from a csv, any size from class folders.
    """

    split: str
    label: int
    number: int
    picture: Image.Image


class Source:
    """FER2013 in any of its forms, read as a stream.

    Attributes:
        path: the csv, archive or folder.
        total: how many samples to expect, for the progress bar.
        skipped: how many rows or pictures could not be used so far.
        md5: hash over the csv's bytes, complete once `samples` has ended; None for class folders.
    """

    def __init__(self, path: Path, left_out: set[Path]):
        """`left_out`: resolved paths of folders that are not looked into, since they hold the output."""
        self.path = path
        self.total = sum(map(sum, OFFICIAL_COUNTS.values()))
        self.skipped = 0
        self.md5 = None
        self._left_out = left_out
        self._reading = path

    def samples(self) -> Iterator[Sample]:
        """Yield every usable sample; each other one is reported on stderr and counted in `skipped`.

        Raises:
            Refusal: there is no FER2013 in it, or it cannot be read to its end.
        """
        try:
            yield from self._samples()
        except DAMAGED as error:
            raise Refusal(f"{self._reading} is cut short or damaged ({error}): download it again.") from error
        except OSError as error:
            raise Refusal(f"{self._reading}: {error.strerror or error}. See that you may read it.") from error

    def _samples(self) -> Iterator[Sample]:
        pictures = []
        for name, open_file in self._files():
            if is_picture(name):
                pictures.append(name)
                continue
            lines = io.BufferedReader(open_file(), LONGEST_LINE)
            header = lines.readline(LONGEST_LINE)
            columns = [column.strip().lower() for column in split_line(header.decode("utf-8-sig", "replace"))]
            if set(columns) >= COLUMNS:
                self.md5 = hashlib.md5(header, usedforsecurity=False)
                yield from self._csv_samples(name, lines, columns)
                return
        if all(label_of(name) is None for name in pictures):
            raise Refusal(
                f"No FER2013 in {self.path}: no csv with the columns emotion, pixels, Usage and no class folders like "
                f"train/angry.\n{WHERE_TO_GET}"
            )
        yield from self._folder_samples(pictures)

    def _files(self) -> Iterator[tuple[str, Opener]]:
        """Yield (name, open_file) for every file, going into archives.

        `open_file` must be called before the next pair is asked for. A name is relative to the folder that SOURCE lies
        in, so that `python preprocess.py fer2013/train` still says which split it is.
        """
        source = self.path.resolve()
        for path in files_below(source, self._left_out):
            self._reading = path
            yield from unpack(path.relative_to(source.parent).as_posix(), partial(open, path, "rb"))

    def _csv_samples(self, name: str, lines: BinaryIO, columns: list[str]) -> Iterator[Sample]:
        # Line by line, since no row of FER2013 spans two: a stray quote then spoils its own row alone.
        number = 0
        for line_number, line in enumerate(iter(partial(lines.readline, LONGEST_LINE), b""), start=2):
            self.md5.update(line)
            if not line.strip():
                continue
            try:
                yield parse_row(split_line(line.decode("ascii", "replace")), columns, number)
            except ValueError as error:
                self._skip(f"{name}, line {line_number}", error)
            number += 1

    def _folder_samples(self, names: list[str]) -> Iterator[Sample]:
        self.total = len(names)
        numbers = iter(number_pictures(names))
        for name, open_file in self._files():
            if is_picture(name):
                with open_file() as file:
                    encoded = file.read()
                try:
                    yield parse_picture(name, encoded, next(numbers))
                except ValueError as error:
                    self._skip(name, error)

    def _skip(self, place: str, reason: ValueError) -> None:
        self.skipped += 1
        if self.skipped <= MOST_REPORTED:
            tqdm.write(f"Skipped {place}: {reason}.", file=sys.stderr)


def files_below(source: Path, left_out: set[Path]) -> Iterator[Path]:
    """Yield a file itself, or every file in a folder but for the hidden ones, in the order of their names."""
    if source.is_file():
        yield source
        return
    for folder, folders, files in os.walk(source, onerror=raise_error):
        folders[:] = sorted(name for name in folders if not is_hidden(name) and Path(folder, name) not in left_out)
        paths = (Path(folder, name) for name in sorted(files) if not is_hidden(name))
        yield from (path for path in paths if path.is_file())  # opening a pipe would wait for ever


def raise_error(error: OSError) -> None:
    """Keep `os.walk` from passing over a folder that it may not read."""
    raise error


def unpack(name: str, open_file: Opener) -> Iterator[tuple[str, Opener]]:
    """Yield a file as it is or, if it is an archive, every file in it, at any depth.

    The first bytes decide, not the name. Nothing is written to disk, so no name in an archive can reach outside it.
    """
    if is_picture(name):  # there are 35,887 of them: not opened before they are wanted
        yield name, open_file
        return
    with open_file() as stream:
        start = stream.read(512)
        stream.seek(0)
        if start.startswith(b"\x1f\x8b"):
            yield from unpack(name, partial(gzip.GzipFile, fileobj=stream))
        elif start.startswith(b"\xfd7zXZ\0"):
            yield from unpack(name, partial(lzma.LZMAFile, stream))
        elif start.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(stream) as archive:
                for member in archive.infolist():
                    if not member.is_dir() and not is_hidden(member.filename):
                        yield from unpack(f"{name}/{member.filename}", partial(open_zipped, archive, member))
        elif start[257:262] == b"ustar":
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                for member in archive:
                    if member.isfile() and not is_hidden(member.name):
                        yield from unpack(f"{name}/{member.name}", partial(archive.extractfile, member))
        else:
            yield name, lambda: stream


def open_zipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    """Open a file in a zip.

    Raises:
        Refusal: it is encrypted, or packed in a way that Python does not know.
    """
    try:
        return archive.open(member)
    except RuntimeError as error:
        raise Refusal(f"{error}. Unpack the archive and name the folder or csv instead.") from error


def is_hidden(name: str) -> bool:
    """Whether this is no data: `.DS_Store`, `.venv/`, the `__MACOSX/._...` twins that a Mac puts into a zip."""
    return any(part.startswith(".") and part.strip(".") for part in name.split("/"))


def is_picture(name: str) -> bool:
    """Whether the name, not the content, is a picture's."""
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES


def split_line(line: str) -> list[str]:
    """The fields of one csv line; the whole line as one field where csv gives up on it (a field too long)."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return [line]


def parse_row(fields: list[str], columns: list[str], number: int) -> Sample:
    """Read one row of a FER2013 csv, whose columns may be in any order.

    Raises:
        ValueError: the row is malformed; the text says how.
    """
    if len(fields) != len(columns):
        raise ValueError(f"{len(fields)} columns instead of {len(columns)}")
    row = dict(zip(columns, fields))
    usage, emotion, values = row["usage"].strip(), row["emotion"].strip(), row["pixels"].split()
    if usage.lower() not in USAGES:
        raise ValueError(f"unknown usage {usage[:20]!r}")
    if emotion.lower() not in LABELS:
        raise ValueError(f"unknown label {emotion[:20]!r}")
    if len(values) != SIDE * SIDE:
        raise ValueError(f"{len(values)} pixels instead of {SIDE * SIDE}")
    try:
        pixels = bytes(map(int, values))  # bytes() refuses what is outside 0 to 255
    except ValueError:
        raise ValueError("a pixel is not a whole number from 0 to 255") from None
    return Sample(USAGES[usage.lower()], LABELS[emotion.lower()], number, Image.frombytes("L", (SIDE, SIDE), pixels))


def parse_picture(name: str, encoded: bytes, number: int) -> Sample:
    """Read one picture of a class folder set; its name says split and class.

    Raises:
        ValueError: the picture is damaged, or its name does not say enough.
    """
    split, label = split_of(name), label_of(name)
    if label is None:
        raise ValueError(f"unknown label: its folder is none of {', '.join(CLASS_NAMES)}")
    if split is None:
        raise ValueError("unknown split: its name does not begin with Training_, and no folder is train, val or test")
    try:
        with Image.open(io.BytesIO(encoded), formats=("JPEG", "PNG", "BMP")) as image:
            if image.width * image.height > LARGEST_PICTURE or image.mode.startswith("I"):
                raise ValueError(f"{image.width} x {image.height} in mode {image.mode} is too large or too deep")
            picture = ImageOps.exif_transpose(image).convert("L")
    except Exception as error:  # on damaged files Pillow raises a dozen kinds of error
        raise ValueError(f"unreadable picture ({error})") from error
    return Sample(split, label, number, picture)


def split_of(name: str) -> str | None:
    """The split that a picture's prefix (`PublicTest_1.jpg`) or else the nearest folder names; None where none does."""
    *folders, file_name = name.lower().split("/")
    named = [USAGES.get(file_name.split("_")[0]), *map(SPLIT_FOLDERS.get, reversed(folders))]
    return next(filter(None, named), None)


def label_of(name: str) -> int | None:
    """The class, 0 to 6, that a picture's folder names; None where it names none."""
    return LABELS.get(PurePosixPath(name).parent.name.lower())


def number_pictures(names: list[str]) -> list[int]:
    """Number each picture by the last number in its name, or all from 0 on where two of a split would then be one."""
    digits = [re.findall("[0-9]+", PurePosixPath(name).stem)[-1:] for name in names]
    if all(digits) and len({(split_of(name), int(last)) for name, [last] in zip(names, digits)}) == len(names):
        return [int(last) for [last] in digits]
    return list(range(len(names)))


def write_sample(folder: Path, sample: Sample, size: int) -> None:
    """Write a sample as a square grey JPEG, `folder/{split}/{label}/NNNNN.jpg`, of `size` pixels a side."""
    path = folder / sample.split / str(sample.label) / f"{sample.number:05d}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = io.BytesIO()
    sample.picture.resize((size, size), Image.Resampling.BILINEAR).save(encoded, "JPEG", quality=JPEG_QUALITY)
    path.write_bytes(encoded.getbuffer())  # on a full disk, Pillow's save(path) writes half a picture silently


def check_output(output: Path, overwrite: bool) -> None:
    """Make sure that nothing of a person's is replaced unasked.

    Raises:
        Refusal: a split is there already and `overwrite` is off, or it holds what this script never writes.
    """
    for folder in (output / split for split in SPLITS):
        names = {path.name for path in folder.iterdir() if not is_hidden(path.name)} if folder.exists() else set()
        foreign = sorted(names - set(map(str, range(len(CLASS_NAMES)))))
        if foreign:
            raise Refusal(
                f"{folder} would be replaced, but holds {foreign[0]}, which preprocess.py never wrote. If this is the "
                f"source, move it, say to {output / 'fer2013' / folder.name}, and run this again."
            )
        if names and not overwrite:
            raise Refusal(f"{folder} is there already: add --overwrite to replace {', '.join(SPLITS)} in {output}.")


def commit(temporary: Path, output: Path, total: int) -> None:
    """Declare the new pictures complete, by one rename: an interruption before it leaves the old, after it the new.

    Raises:
        Refusal: there are fewer pictures than the `total` that was written.
    """
    if sum(1 for _ in (temporary / "new").rglob("*.jpg")) != total:
        raise Refusal(f"Pictures vanished from {temporary}: is another preprocess.py at work there? Run one at a time.")
    (temporary / "old").mkdir()
    for split in SPLITS:
        (temporary / "new" / split).mkdir(exist_ok=True)  # empty where the source has no such split
    temporary.rename(output / SWAP)


def recover(output: Path) -> None:
    """Finish what was committed and remove what was not, whether this run or an earlier one was interrupted.

    The old splits move out, train first, before any new one moves in, train last. So an interrupted swap never leaves
    old beside new, and never a train folder with the others missing. A split in `new` tells that it is still to move.
    """
    swap = output / SWAP
    if swap.exists():
        pending = [split for split in SPLITS if (swap / "new" / split).exists()]
        for split in pending:
            if (output / split).exists():
                (output / split).rename(swap / "old" / split)
        for split in reversed(pending):
            if any((swap / "new" / split).iterdir()):
                (swap / "new" / split).rename(output / split)
            else:
                (swap / "new" / split).rmdir()
    for leftover in output.glob(TEMPORARY + "*"):
        shutil.rmtree(leftover)


def open_source(path: Path | None, output: Path) -> Source:
    """Find out what to read; None stands for whatever is in data/.

    Raises:
        Refusal: it is missing, empty, or inside what is to be replaced.
    """
    made_here = [output] if path else [output, DATA]
    left_out = {(folder / split).resolve() for folder in made_here for split in SPLITS}
    path = path or DATA
    if not path.exists():
        raise Refusal(f"{path} does not exist.\n{WHERE_TO_GET}")
    if path.is_file() and path.stat().st_size == 0:
        raise Refusal(f"{path} is empty: download it again.")
    if left_out & {path.resolve(), *path.resolve().parents}:
        raise Refusal(f"{path} lies in what would be replaced: move it, or write elsewhere with --output.")
    return Source(path, left_out)


def check_complete(source: Source, written: int) -> None:
    """Raises `Refusal` where too little of the source could be used to call the result FER2013."""
    total = written + source.skipped
    if source.skipped > MOST_SKIPPED * total:
        raise Refusal(
            f"{source.skipped:,} of {total:,} rows or pictures cannot be used (see above), which is more than 1 %. "
            f"Nothing was changed: download {source.path} again, or mend it."
        )
    if written == 0:
        raise Refusal(f"{source.path} has the header of FER2013, but no rows: download it again.")


def print_report(source: Source, counts: Counter, output: Path, size: int) -> None:
    """Print the counts beside the official ones, whether the source is the original, and where the pictures are."""
    print(" " * 12 + "".join(f"{split:>8}{'official':>10}" for split in SPLITS))
    for label, name in enumerate(CLASS_NAMES):
        columns = (f"{counts[split, label]:>8}{OFFICIAL_COUNTS[split][label]:>10}" for split in SPLITS)
        print(f"{label} {name:<10}" + "".join(columns))
    totals = {split: sum(counts[split, label] for label in range(len(CLASS_NAMES))) for split in SPLITS}
    print(f"{'all':<12}" + "".join(f"{totals[split]:>8}{sum(OFFICIAL_COUNTS[split]):>10}" for split in SPLITS))
    for split, usage in zip(SPLITS, ("Training", "PublicTest", "PrivateTest")):
        if totals[split] == 0:
            print(f"No {split}: the source has no {usage} pictures.")
    if source.skipped:
        named = "named above" if source.skipped <= MOST_REPORTED else f"the first {MOST_REPORTED} are named above"
        print(f"Skipped {source.skipped:,} rows or pictures: {named}.", file=sys.stderr)
    if source.md5:
        digest = source.md5.hexdigest()
        verdict = f"is the original {ORIGINAL_MD5[digest]}'s" if digest in ORIGINAL_MD5 else "is not an original file's"
        print(f"The csv's MD5, {digest}, {verdict}.")
    print(f"Wrote {counts.total():,} pictures of {size}x{size} to {output}")


def preprocess(path: Path | None, output: Path, size: int, overwrite: bool) -> int:
    """Read FER2013 from `path` (None: from data/), write it below `output`, print the report.

    Returns:
        Exit code: 0, or 1 if rows were skipped.

    Raises:
        Refusal: nothing was changed; the text says why.
        OSError: the file system refused; `output` holds the old pictures, or the next run finishes the new ones.
    """
    if (output / SWAP).exists():
        print("The last run was interrupted while its pictures moved in: finishing that first.", file=sys.stderr)
    recover(output)
    check_output(output, overwrite)
    source = open_source(path, output)
    counts = Counter()
    temporary = output / f"{TEMPORARY}{os.getpid()}"
    try:
        with tqdm(total=source.total, unit=" pictures", disable=None) as progress:
            for sample in source.samples():
                write_sample(temporary / "new", sample, size)
                counts[sample.split, sample.label] += 1
                progress.total = source.total
                progress.update()
        check_complete(source, counts.total())
        commit(temporary, output, counts.total())
    finally:
        recover(output)
    print_report(source, counts, output, size)
    return 1 if source.skipped else 0


def picture_size(text: str) -> int:
    """Parse --size. Raises `argparse.ArgumentTypeError` or ValueError where it is no sensible size."""
    size = int(text)
    if not SIDE <= size <= 1024:
        raise argparse.ArgumentTypeError(f"{size} is not from {SIDE} to 1024")
    return size


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Turn FER2013 into the folders of pictures that train.py reads.")
    parser.add_argument(
        "source",
        nargs="?",
        type=Path,
        metavar="SOURCE",
        help="fer2013.csv, icml_face_data.csv, an archive of one, or a folder or archive of class folders such as "
        "train/angry (default: whichever of these is in data/)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=DATA,
        metavar="FOLDER",
        help="where train/, val/ and test/ are made (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        type=picture_size,
        default=240,
        metavar="PIXELS",
        help="side of the pictures, 48 to 1024 (default: %(default)s)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace train/, val/ and test/ where they are there")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the script with these arguments (None: the command line's) and return its exit code."""
    arguments = parse_arguments(argv)
    output = arguments.output
    try:
        return preprocess(arguments.source, output, arguments.size, arguments.overwrite)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
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
