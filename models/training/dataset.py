"""The data folder in memory: each split decoded once and kept as uint8, on the device that trains.

    >>> train = load_split(Path("data"), "train", PICTURE_SIDE, limit=None, class_names=find_classes(Path("data")))
    >>> train.pictures.shape, train.pictures.dtype, train.targets.shape
    (torch.Size([28709, 240, 240]), torch.uint8, torch.Size([28709]))

Decoding 28,709 JPEGs takes one core some 20 seconds; done in each epoch it would starve a GPU and cost a CPU
as much as small crops cost the network. Kept at 240×240 they take 1.65 GB.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from models.errors import UserError
from models.expressions import CLASS_NAMES

PICTURE_SIDE = 240  # what preprocess.py writes
SPLITS = ("train", "val", "test")
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".pgm", ".webp"}


class DatasetError(UserError):
    """The data folder is missing, empty or holds something unreadable; the message names the remedy."""


@dataclass
class Split:
    """Pictures and labels of one split.

    Attributes:
        pictures: uint8 `[N, side, side]`, grey.
        targets: int64 `[N]`, class numbers.
        names: File names within the split, `3/00042.jpg`, in the same order.
        votes: float32 `[N, 10]`, a second target for training, see `votes.load_votes`; None without.
        answers: float32 `[N, C]`, what teachers answer, see `teachers.ask_teachers`; None without.
    """

    pictures: torch.Tensor
    targets: torch.Tensor
    names: list[str]
    votes: torch.Tensor | None = None
    answers: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device) -> "Split":
        votes, answers = (None if each is None else each.to(device) for each in (self.votes, self.answers))
        return Split(self.pictures.to(device), self.targets.to(device), self.names, votes, answers)


def load_split(data: Path, split: str, side: int, limit: int | None, class_names: list[str]) -> Split:
    """Decodes the pictures of `data/<split>`, a folder a class, into memory.

    Args:
        side: Pictures of another size are resized to side×side.
        limit: Take this many pictures, spread evenly over the split, instead of all.
        class_names: From `find_classes`, or of the checkpoint that is evaluated.

    Raises:
        DatasetError: With one sentence that says what is missing or unreadable.
    """
    if not (data / split).is_dir():
        raise DatasetError(f"there is no folder {data / split}: see `python preprocess.py --help` for how to make it")
    files, targets = list_pictures(data / split, class_names, limit)
    return read_pictures(files, targets, side, split)


def read_pictures(files: Sequence[Path], targets: Sequence[int], side: int, title: str) -> Split:
    """Decodes files into memory, as grey squares.

    Args:
        targets: The files' class numbers.
        side: Pictures of another size are resized to side×side.
        title: What the pictures are, for the progress bar.

    Raises:
        DatasetError: A file cannot be read as a picture.
    """
    pictures = torch.empty(len(files), side, side, dtype=torch.uint8)
    squares = pictures.numpy()

    def decode(index: int) -> None:
        squares[index] = _decode_grey(files[index], side)

    with ThreadPoolExecutor() as pool:  # OpenCV decodes outside Python's lock
        steps = pool.map(decode, range(len(files)))
        for _ in tqdm(steps, total=len(files), desc=f"reading {title}", unit="pictures", leave=False, disable=None):
            pass
    names = [f"{file.parent.name}/{file.name}" for file in files]
    return Split(pictures, torch.tensor(targets, dtype=torch.int64), names)


def find_classes(data: Path) -> list[str]:
    """The names of a data folder's classes.

    Folders named 0 to 6 are FER2013's. For classes of one's own, the folders in `data/train` bear the names; or
    they are numbered and `data/classes.txt` holds the names, one a line.

    Raises:
        DatasetError: There is no `data/train`, or too few classes are in it.
    """
    train = data / "train"
    if not train.is_dir():
        output = "" if data == Path("data") else f" --output {data}"
        raise DatasetError(
            f"there is no folder {train}: make it from FER2013 with `python preprocess.py fer2013.csv{output}`"
        )
    return name_classes(train, data / "classes.txt")


def name_classes(folder: Path, listed: Path) -> list[str]:
    """The names of the classes whose folders lie in `folder`; where those are numbered, the file `listed` names them.

    Raises:
        DatasetError: There are fewer than two class folders, or their numbers are not those of the names.
    """
    folders = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(folders) < 2:
        raise DatasetError(f"{folder} holds {len(folders)} class folders: at least two are needed, one a class")
    if not all(name.isdecimal() for name in folders):
        return folders
    names = listed.read_text(encoding="utf-8-sig").split("\n") if listed.is_file() else list(CLASS_NAMES)
    names = [name.strip() for name in names if name.strip()]
    if sorted(folders, key=int) != [str(number) for number in range(len(names))]:
        raise DatasetError(
            f"{folder} should hold the folders 0 to {len(names) - 1}, one for each of {', '.join(names)}; "
            f"for other classes write their names into {listed}, one a line, or name the folders by them"
        )
    return names


def list_pictures(folder: Path, class_names: list[str], limit: int | None) -> tuple[list[Path], list[int]]:
    """The pictures of a folder of class folders and their class numbers, class by class, in the order of their names.

    Args:
        limit: Take this many pictures, spread evenly over the list, instead of all.

    Raises:
        DatasetError: A class folder is missing, or holds no picture.
    """
    files: list[Path] = []
    targets: list[int] = []
    for number, name in enumerate(class_names):
        of_class = folder / name
        if not of_class.is_dir():
            of_class = folder / str(number)
        found = sorted(
            file for file in of_class.glob("*")
            if file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".")  # macOS puts ._1.jpg by 1.jpg
        )  # fmt: skip
        if not found:
            raise DatasetError(
                f"there is no picture of {name} in {of_class}: each of the {len(class_names)} classes needs some"
            )
        files += found
        targets += [number] * len(found)
    if limit and limit < len(files):
        taken = np.linspace(0, len(files) - 1, limit).round().astype(int)
        files, targets = [files[i] for i in taken], [targets[i] for i in taken]
    return files, targets


def find_copies(data: Path, split: str, names: list[str]) -> np.ndarray:
    """Which pictures of a split are in the training split too, byte for byte, whatever label they bear there.

    Equal pictures are equal files, since preprocess.py writes each in the same way.

    Args:
        names: `Split.names` of the split.

    Returns:
        bool `[N]`; all False where there is no `data/train`.
    """
    seen = {_digest(file) for file in (data / "train").glob("*/*") if file.is_file()}
    return np.array([_digest(data / split / name) in seen for name in names], bool)


def _digest(file: Path) -> bytes:
    return hashlib.blake2b(file.read_bytes(), digest_size=16).digest()


def _decode_grey(file: Path, side: int) -> np.ndarray:
    content = file.read_bytes()  # cv2.imread cannot open every Unicode path on Windows
    # Of a JPEG that is cut short OpenCV makes a picture that is half grey, without a word.
    is_whole = not content.startswith(b"\xff\xd8") or b"\xff\xd9" in content[-1024:]
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) if content and is_whole else None
    if picture is None:
        raise DatasetError(f"{file} cannot be read as a picture: delete it, or run preprocess.py again")
    if picture.shape != (side, side):
        shrinks = min(picture.shape) > side
        picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return picture


def epoch_batches(
    count: int, batch_size: int, epoch: int, seed: int, rank: int = 0, world: int = 1
) -> Iterator[tuple[torch.Tensor, int]]:
    """One pass over `count` pictures in an order that depends on `seed` and `epoch` alone.

    With several processes each takes its share of every global batch of `batch_size * world` pictures, so that
    together they see each picture once. A last batch that would leave a process fewer than two pictures, too
    few for BatchNorm, is left out.

    Yields:
        The process's picture numbers, int64, and the size of the global batch that they are a share of.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed * 100_003 + epoch))
    for global_batch in order.split(batch_size * world):
        if len(global_batch) >= 2 * world:
            yield global_batch[rank::world], len(global_batch)


def count_batches(count: int, batch_size: int, world: int = 1) -> int:
    """How many batches `epoch_batches` yields."""
    full, rest = divmod(count, batch_size * world)
    return (full if batch_size >= 2 else 0) + (rest >= 2 * world)
