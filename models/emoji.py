"""A little face for each of the seven expressions, drawn from lines and ovals.

    face = little_face("Happy", 32)   # an RGBA image of 32×32 pixels; None for a class that has no face
    picture.paste(face, (10, 10), face)

Each differs from the others in brows, eyes and mouth, and not in its colour alone, so that it is recognised at 24
pixels and by colour-blind people.
"""

from collections.abc import Callable
from functools import lru_cache

from PIL import Image, ImageDraw

from models.expressions import CLASS_COLOURS, Colour

SUPERSAMPLING = 8  # Pillow draws without antialiasing: so it draws this much larger, and shrinks
INK, WHITE, TONGUE, TEAR = (30, 30, 30), (255, 255, 255), (232, 72, 85), (190, 228, 255)
STROKE = 0.075  # of the side: just under two pixels at 24


class Pencil:
    """Draws on a square of its own, whose corners are (0, 0) and (1, 1); lines have round ends."""

    def __init__(self, image: Image.Image):
        self._draw, self._side = ImageDraw.Draw(image), image.width

    def oval(self, x: float, y: float, width: float, height: float, fill: Colour) -> None:
        """Fills an oval around (x, y)."""
        left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        self._draw.ellipse([value * self._side for value in (left, top, right, bottom)], fill=fill)

    def line(self, *points: tuple[float, float]) -> None:
        """Draws a line through points."""
        pixels = [(x * self._side, y * self._side) for x, y in points]
        self._draw.line(pixels, fill=INK, width=round(STROKE * self._side), joint="curve")
        for x, y in (points[0], points[-1]):
            self.oval(x, y, STROKE, STROKE, INK)

    def curve(self, start: tuple[float, float], bend: tuple[float, float], end: tuple[float, float]) -> None:
        """Draws a quadratic Bézier curve from start to end, which leans towards `bend`."""
        points = []
        for step in range(25):
            t = step / 24
            before, middle, after = (1 - t) ** 2, 2 * t * (1 - t), t * t
            x, y = (before * a + middle * b + after * c for a, b, c in zip(start, bend, end))
            points.append((x, y))
        self.line(*points)

    def bowl(self, x: float, y: float, width: float, height: float, fill: Colour) -> None:
        """Fills the lower half of an oval whose upper edge's middle is (x, y)."""
        box = x - width / 2, y - height, x + width / 2, y + height
        self._draw.pieslice([value * self._side for value in box], 0, 180, fill=fill)

    def eyes(
        self, y: float = 0.42, apart: float = 0.34, width: float = 0.11, height: float = 0.14, fill: Colour = INK
    ) -> None:
        """Draws two ovals side by side."""
        for x in (0.5 - apart / 2, 0.5 + apart / 2):
            self.oval(x, y, width, height, fill)

    def twice(self, *points: tuple[float, float]) -> None:
        """Draws a line, and its mirror image."""
        self.line(*points)
        self.line(*((1 - x, y) for x, y in points))


def _angry(pencil: Pencil) -> None:
    pencil.twice((0.2, 0.28), (0.42, 0.4))
    pencil.eyes(y=0.47)
    pencil.curve((0.3, 0.76), (0.5, 0.58), (0.7, 0.76))


def _disgusted(pencil: Pencil) -> None:
    pencil.twice((0.22, 0.3), (0.41, 0.38), (0.22, 0.46))
    pencil.bowl(0.57, 0.64, 0.26, 0.27, TONGUE)
    pencil.curve((0.24, 0.74), (0.4, 0.52), (0.58, 0.63))
    pencil.curve((0.58, 0.63), (0.68, 0.68), (0.78, 0.6))


def _fearful(pencil: Pencil) -> None:
    pencil.twice((0.17, 0.28), (0.36, 0.17))
    pencil.eyes(y=0.42, apart=0.36, width=0.25, height=0.27, fill=WHITE)
    pencil.eyes(y=0.43, apart=0.34, width=0.09, height=0.1)
    pencil.line((0.26, 0.76), (0.38, 0.66), (0.5, 0.76), (0.62, 0.66), (0.74, 0.76))


def _happy(pencil: Pencil) -> None:
    pencil.eyes(y=0.36)
    pencil.bowl(0.5, 0.54, 0.56, 0.31, INK)
    pencil.bowl(0.5, 0.57, 0.44, 0.09, WHITE)


def _sad(pencil: Pencil) -> None:
    pencil.twice((0.2, 0.36), (0.4, 0.26))
    pencil.eyes(y=0.46)
    pencil.curve((0.34, 0.78), (0.5, 0.64), (0.66, 0.78))
    pencil.oval(0.73, 0.66, 0.14, 0.2, TEAR)


def _surprised(pencil: Pencil) -> None:
    pencil.twice((0.2, 0.25), (0.29, 0.19), (0.39, 0.21))
    pencil.eyes(y=0.42, width=0.13, height=0.18)
    pencil.oval(0.5, 0.73, 0.26, 0.3, INK)


def _neutral(pencil: Pencil) -> None:
    pencil.eyes(y=0.4)
    pencil.line((0.31, 0.68), (0.69, 0.68))


FACES: dict[str, Callable[[Pencil], None]] = {
    "Angry": _angry,
    "Disgusted": _disgusted,
    "Fearful": _fearful,
    "Happy": _happy,
    "Sad": _sad,
    "Surprised": _surprised,
    "Neutral": _neutral,
}


def has_little_face(name: str) -> bool:
    """Whether a class has a little face: the seven expressions do."""
    return name in FACES


@lru_cache(maxsize=256)
def little_face(name: str, side: int) -> Image.Image | None:
    """The little face of a class, RGBA, `side`×`side` pixels, not to be changed; None where the class has none."""
    if not has_little_face(name):
        return None
    image = Image.new("RGBA", (side * SUPERSAMPLING,) * 2)
    pencil = Pencil(image)
    pencil.oval(0.5, 0.5, 1, 1, INK)
    pencil.oval(0.5, 0.5, 1 - STROKE, 1 - STROKE, CLASS_COLOURS[name])
    FACES[name](pencil)
    return image.resize((side, side), Image.Resampling.BOX)
