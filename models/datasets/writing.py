"""The dataset folder, written so that it holds the old pictures or the new ones, never a mix.

check_output(output, overwrite=False)
write_sample(temporary / "new", sample, size=240)
commit(temporary, output, total=1)
recover(output)
"""

import io
import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from models.datasets.archives import is_hidden
from models.datasets.layouts import SPLITS
from models.errors import DatasetError
from models.expressions import CLASS_NAMES

# Measured on 500 rows: at 95 the root mean square error is 0.55 of 255 grey levels, no pixel is off by more than 5, and
# all of FER2013 takes 370 MB. 85 gives 0.90, 9 and 210 MB; 100 gives 0.24, 2 and 650 MB.
JPEG_QUALITY = 95
TEMPORARY = ".preprocess-"
SWAP = TEMPORARY + "swap"


@dataclass(frozen=True)
class Sample:
    """One labelled picture.

    Attributes:
        split: "train", "val" or "test".
        label: class 0 to 6, an index into `CLASS_NAMES`.
        number: names the file; the row in the csv, counted from 0.
        picture: 8-bit grey (mode "L"), 48x48 from a csv, any size from class folders.
        person: who is in it, and begins the file's name; "" where the set does not tell.
    """

    split: str
    label: int
    number: int
    picture: Image.Image
    person: str = ""

    @property
    def file_name(self) -> str:
        return f"{self.person}_{self.number:05d}.jpg" if self.person else f"{self.number:05d}.jpg"


def write_sample(folder: Path, sample: Sample, size: int) -> None:
    """Write a sample as a square grey JPEG, `folder/{split}/{label}/{file_name}`, of `size` pixels a side."""
    path = folder / sample.split / str(sample.label) / sample.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = io.BytesIO()
    sample.picture.resize((size, size), Image.Resampling.BILINEAR).save(encoded, "JPEG", quality=JPEG_QUALITY)
    path.write_bytes(encoded.getbuffer())  # on a full disk, Pillow's save(path) writes half a picture silently


def check_output(output: Path, overwrite: bool) -> None:
    """Make sure that nothing of a person's is replaced unasked.

    Raises:
        DatasetError: a split is there already and `overwrite` is off, or it holds what this script never writes.
    """
    if (output / "classes.txt").exists():
        raise DatasetError(
            f"{output / 'classes.txt'} says what numbered folders stand for, and those written here are numbered "
            "as FER2013's: move it away, or write elsewhere with --output."
        )
    for folder in (output / split for split in SPLITS):
        names = {path.name for path in folder.iterdir() if not is_hidden(path.name)} if folder.exists() else set()
        foreign = sorted(names - set(map(str, range(len(CLASS_NAMES)))))
        if foreign:
            raise DatasetError(
                f"{folder} would be replaced, but holds {foreign[0]}, which preprocess.py never wrote. If this is the "
                f"source, move it, say to {output / 'fer2013' / folder.name}, and run this again."
            )
        if names and not overwrite:
            raise DatasetError(
                f"{folder} is there already: add --overwrite to replace {', '.join(SPLITS)} in {output}."
            )


def commit(temporary: Path, output: Path, total: int) -> None:
    """Declare the new pictures complete, by one rename: an interruption before it leaves the old, after it the new.

    Raises:
        DatasetError: there are fewer pictures than the `total` that was written.
    """
    if sum(1 for _ in (temporary / "new").rglob("*.jpg")) != total:
        raise DatasetError(
            f"Pictures vanished from {temporary}: is another preprocess.py at work there? Run one at a time."
        )
    (temporary / "old").mkdir()
    for split in SPLITS:
        (temporary / "new" / split).mkdir(exist_ok=True)  # empty where the source has no such split
    if any((temporary / "new" / "train").iterdir()):  # that a class is empty is no mistake then
        for label in range(len(CLASS_NAMES)):
            (temporary / "new" / "train" / str(label)).mkdir(exist_ok=True)
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
