"""Labels of faces: what they say, how large, and where, so that none covers another or runs off the picture.

    for label in lay_out(faces, (width, height)):
        print(label and (label.text, label.place))

Where faces are many or the picture is small, all labels become smaller; then single ones shorter; one for which there
is still no room is left out. The box's colour tells its expression in any case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import ImageFont

from models.emoji import has_little_face

if TYPE_CHECKING:
    from models.classifier import Face

Box = tuple[float, float, float, float]  # left, top, right, bottom

PART_OF_SIDE = 1 / 26  # of the picture's shorter side: the height of the words
SMALLEST_SIZE, SMALLEST_SHARE = 7, 0.45  # of words that had to be made smaller: pixels, and of the height above
STEP = 0.88
MOST_HIDDEN = 0.2  # of any face, by one label: where that cannot be had, labels become smaller first
READABLE_FACE = 24  # pixels: smaller little faces look alike
SMALL_SIDE = 8 * READABLE_FACE  # of a picture: in a smaller one they are as small as the words


@dataclass(frozen=True)
class Label:
    """A label that has found its place.

    Attributes:
        text: What it says.
        size: The font's, in pixels.
        place: Where it is, the little face at its left included.
        face_side: Pixels that the little face takes, or 0 where there is none.
    """

    text: str
    size: int
    place: Box
    face_side: int = 0


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont:
    """The one font that everything is drawn in, Pillow's own."""
    return ImageFont.load_default(size)  # type: ignore[return-value]


def padding(size: int) -> int:
    """Pixels around words of this size."""
    return max(3, size // 4)


def label_height(size: int) -> int:
    """Pixels that a line of this size takes with what is around it."""
    return size + 2 * padding(size)


def face_side(name: str, size: int, picture_size: tuple[int, int]) -> int:
    """Pixels that the little face beside words of this size takes; 0 where the class has none."""
    least = READABLE_FACE if min(picture_size) >= SMALL_SIDE else 0
    return max(label_height(size), least) if has_little_face(name) else 0


def texts(name: str, confidence: float, number: int | None = None) -> list[str]:
    """What a label may say, longest first: with the probability, without, cut, and at last the face's number alone."""
    beginning = f"{number}  " if number is not None else ""
    whole = [f"{name} {confidence:.0%}", name]
    cut = [f"{name[:length].rstrip()}…" for length in (12, 4) if len(name) > length]
    return [beginning + text for text in whole + cut] + ([str(number)] if number is not None else [])


def find_place(
    box: Box,
    size: tuple[float, float],
    picture_size: tuple[int, int],
    taken: Sequence[Box],
    faces: Sequence[Box] = (),
    most_hidden: float = 1.0,
) -> Box | None:
    """Where a label of this width and height goes: above its face's box, below it, or within.

    Args:
        box: The face's.
        taken: By other labels.
        faces: Boxes of all faces: of the free places, that which hides least of them is taken, the first without.
        most_hidden: The largest share of a face that may be hidden.

    Returns:
        A place within the picture that covers no other label, or None.
    """
    (width, height), (picture_width, picture_height) = size, picture_size
    if width > picture_width:
        return None
    x, y, right, bottom = box
    lefts = [min(max(left, 0), picture_width - width) for left in (x, right - width)]
    inside = max(y, 0), min(bottom, picture_height) - height
    tops = [top for top in (y - height, bottom, *inside) if 0 <= top <= picture_height - height]
    best, best_hidden = None, most_hidden
    for place in ((left, top, left + width, top + height) for top in tops for left in lefts):
        if not any(covered_area(place, other) for other in taken):
            hidden = max((covered_area(place, face) / _area(face) for face in faces), default=0.0)
            if hidden < best_hidden or best is None and hidden <= most_hidden:
                best, best_hidden = place, hidden
    return best


def lay_out(
    faces: Sequence["Face"], picture_size: tuple[int, int], numbered: bool = False, with_emoji: bool = False
) -> list[Label | None]:
    """Labels for the faces of a picture, as large as there is room for all.

    Args:
        faces: In the order in which they matter: a later one gives way.
        picture_size: Width and height.
        numbered: Begin each label with the face's number, from 1.
        with_emoji: Leave room for little faces.

    Returns:
        A label for each face, or None where there is no room for it.
    """
    largest = max(min(picture_size) * PART_OF_SIDE, 11.0)
    smallest = max(largest * SMALLEST_SHARE, SMALLEST_SIZE)
    size = largest
    while size > smallest:
        labels = _lay_out(faces, picture_size, numbered, with_emoji, int(size), at_any_price=False)
        if None not in labels:
            return labels
        size *= STEP
    return _lay_out(faces, picture_size, numbered, with_emoji, int(smallest), at_any_price=True)


def _lay_out(
    faces: Sequence["Face"],
    picture_size: tuple[int, int],
    numbered: bool,
    with_emoji: bool,
    size: int,
    at_any_price: bool,
) -> list[Label | None]:
    """Labels of one size: up to the first for which there is no room, or, at any price, as many as can be had."""
    boxes = [(x, y, x + width, y + height) for x, y, width, height in (face.box for face in faces)]
    labels: list[Label | None] = []
    for number, (face, box) in enumerate(zip(faces, boxes), start=1):
        said = texts(face.label, face.confidence, number if numbered else None)
        side = face_side(face.label, size, picture_size) if with_emoji else 0
        height = max(label_height(size), side)
        taken = [label.place for label in labels if label is not None]
        attempts = [(text, most_hidden) for most_hidden in (MOST_HIDDEN, 1.0) for text in said]
        found = None
        for text, most_hidden in attempts if at_any_price else attempts[:1]:
            width = side + font(size).getlength(text) + 2 * padding(size)
            place = find_place(box, (width, height), picture_size, taken, boxes, most_hidden)
            if place is not None:
                found = Label(text, size, place, side)
                break
        labels.append(found)
        if found is None and not at_any_price:
            break
    return labels


def _area(box: Box) -> float:
    return max((box[2] - box[0]) * (box[3] - box[1]), 1)


def covered_area(one: Box, other: Box) -> float:
    """Pixels that two boxes share."""
    width, height = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)


@lru_cache(maxsize=256)
def shortened(text: str, size: int, width: float) -> str:
    """The text, cut with an ellipsis where it is wider than `width` pixels at this size of the font."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
