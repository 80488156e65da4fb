"""A split in memory: decoded once and kept as uint8, on the device that trains.

    >>> train = load_split(Path("data"), "train", PICTURE_SIDE, limit=None, class_names=find_classes(Path("data")))
    >>> train.pictures.shape, train.pictures.dtype, train.targets.shape
    (torch.Size([28709, 240, 240]), torch.uint8, torch.Size([28709]))

Decoding 28,709 JPEGs takes one core some 20 seconds; done in each epoch it would starve a GPU and cost a CPU
as much as small crops cost the network. Kept at 240×240 they take 1.65 GB.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from models.errors import DatasetError
from models.pictures import PictureError, read_picture
from models.training.folder import Listing, ValShare, find_split, list_split

PICTURE_SIDE = 240  # what preprocess.py writes
MOST_NAMED = 20


@dataclass
class Split:
    """Pictures and labels of one split.

    Attributes:
        pictures: uint8 `[N, side, side]`, grey.
        targets: int64 `[N]`, class numbers.
        names: File names within the split, `3/00042.jpg`, in the same order.
        votes: float32 `[N, 10]`, a second target for training, see `votes.load_votes`; None without.
        answers: float32 `[N, C]`, what teachers answer, see `teachers.ask_teachers`; None without.
        unreadable: What was left out, a text a file with its path and what is wrong with it.
    """

    pictures: torch.Tensor
    targets: torch.Tensor
    names: list[str]
    votes: torch.Tensor | None = None
    answers: torch.Tensor | None = None
    unreadable: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device) -> "Split":
        votes, answers = (None if each is None else each.to(device) for each in (self.votes, self.answers))
        return replace(
            self, pictures=self.pictures.to(device), targets=self.targets.to(device), votes=votes, answers=answers
        )


def load_split(
    data: Path,
    split: str,
    side: int,
    limit: int | None,
    class_names: Sequence[str],
    val_share: ValShare | None = None,
    skip_unreadable: bool = False,
) -> Split:
    """Decodes the pictures of a split into memory, see `folder.list_split` and `read_pictures`.

    Args:
        limit: Take this many pictures, spread evenly over the split, instead of all.
    """
    return read_pictures(list_split(data, split, class_names, val_share).limited(limit), side, split, skip_unreadable)


def read_pictures(listing: Listing, side: int, title: str, skip_unreadable: bool = False) -> Split:
    """Decodes pictures into memory, as grey squares.

    Args:
        side: Pictures of another size are resized to side×side.
        title: What the pictures are, for the progress bar.
        skip_unreadable: Leave out what cannot be read as a picture, and tell it in `Split.unreadable`.

    Raises:
        DatasetError: With a sentence that names all that cannot be read.
    """
    pictures = torch.empty(len(listing.files), side, side, dtype=torch.uint8)
    squares = pictures.numpy()

    def decode(index: int) -> str | None:
        try:
            squares[index] = read_grey(listing.files[index], side)
        except PictureError as error:
            return f"{listing.files[index]} {error}"
        return None

    with ThreadPoolExecutor() as pool:  # OpenCV decodes outside Python's lock
        steps = pool.map(decode, range(len(listing.files)))
        shown = tqdm(
            steps, total=len(listing.files), desc=f"reading {title}", unit="pictures", leave=False, disable=None
        )
        faults = list(shown)
    whole = [number for number, fault in enumerate(faults) if fault is None]
    unreadable = list(filter(None, faults))
    if unreadable and (not skip_unreadable or not whole):
        named = "\n  ".join(unreadable[:MOST_NAMED])
        more = f"\n  and {len(unreadable) - MOST_NAMED} more" if len(unreadable) > MOST_NAMED else ""
        raise DatasetError(
            f"{len(unreadable)} of {len(faults)} pictures of {title} cannot be read:\n  {named}{more}\n"
            "Mend or delete them, or add --skip-unreadable to leave them out"
        )
    names = [f"{file.parent.name}/{file.name}" for file in listing.files]
    targets = torch.tensor(listing.targets, dtype=torch.int64)
    if not unreadable:
        return Split(pictures, targets, names)
    return Split(pictures[whole], targets[whole], [names[number] for number in whole], unreadable=unreadable)


def read_grey(file: Path, side: int) -> np.ndarray:
    """Reads a picture as a grey square, uint8 `[side, side]`.

    Raises:
        PictureError: It cannot be read; the text says why.
    """
    try:
        content = file.read_bytes()  # cv2.imread cannot open every Unicode path on Windows
    except OSError:
        content = b""  # read_picture says what is wrong
    picture = None
    if _is_plain(content):
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        picture = cv2.cvtColor(read_picture(file), cv2.COLOR_RGB2GRAY)
    if picture.shape != (side, side):
        shrinks = min(picture.shape) > side
        picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return picture


def _is_plain(content: bytes) -> bool:
    """Whether OpenCV, the faster reader, reads this rightly: a JPEG that is not cut short, or a PNG of 8 bits.

    Of a JPEG that is cut short it makes a picture that is half grey, without a word, and of 16 bits it drops the lower
    eight, which are all there is where a camera has ten.
    """
    if content.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in content[-1024:]
    return content.startswith(b"\x89PNG") and content[24:25] == b"\x08" and b"IEND" in content[-1024:]


def find_copies(data: Path, split: str, names: list[str]) -> np.ndarray:
    """Which pictures of a split are in the training split too, byte for byte, whatever label they bear there.

    Equal pictures are equal files, since preprocess.py writes each in the same way.

    Args:
        names: `Split.names` of the split.

    Returns:
        bool `[N]`; all False where there is no training split.
    """
    train = find_split(data, "train")
    folder = find_split(data, split) or train
    if train is None or folder is None:
        return np.zeros(len(names), bool)
    own = [folder / name for name in names]
    seen = {_digest(file) for file in set(train.glob("*/*")) - set(own) if file.is_file()}
    return np.array([_digest(file) in seen for file in own], bool)


def _digest(file: Path) -> bytes:
    return hashlib.blake2b(file.read_bytes(), digest_size=16).digest()


def epoch_batches(
    count: int, batch_size: int, epoch: int, seed: int, rank: int = 0, world: int = 1, odds: torch.Tensor | None = None
) -> Iterator[tuple[torch.Tensor, int]]:
    """One pass over `count` pictures in an order that depends on `seed` and `epoch` alone.

    Args:
        odds: How much more often than others a picture is to be drawn, float `[N]`: then as many are drawn, some more
            than once; None for each once.

    With several processes each takes its share of every global batch of `batch_size * world` pictures, so that
    together they see each picture once. A last batch that would leave a process fewer than two pictures, too
    few for BatchNorm, is left out.

    Yields:
        The process's picture numbers, int64, and the size of the global batch that they are a share of.
    """
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    if odds is None:
        order = torch.randperm(count, generator=generator)
    else:
        order = torch.multinomial(odds.double().cpu(), count, replacement=True, generator=generator)
    for global_batch in order.split(batch_size * world):
        if len(global_batch) >= 2 * world:
            yield global_batch[rank::world], len(global_batch)


def count_batches(count: int, batch_size: int, world: int = 1) -> int:
    """How many batches `epoch_batches` yields."""
    full, rest = divmod(count, batch_size * world)
    return (full if batch_size >= 2 else 0) + (rest >= 2 * world)


def class_rarity(targets: torch.Tensor, classes: int) -> torch.Tensor:
    """How often a picture of each class has to count so that all classes count alike; 1 on average over the pictures.

    Args:
        targets: int64 `[N]`.

    Returns:
        float32 `[classes]`, on the targets' device.
    """
    return len(targets) / (classes * targets.bincount(minlength=classes).clamp(min=1).float())
