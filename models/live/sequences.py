"""Pictures that make a film: numbered files, and the frames of an animated GIF or WebP.

with NumberedPictures("frames/%04d.jpg", frame_rate=25) as film:
    frame = film.read()

Both are read by Pillow, as single pictures are: upright, with their transparency over white.
"""

import re
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, count, islice
from pathlib import Path

import cv2
import numpy as np

from models.live.sources import Frame, Source, SourceError, fit
from models.pictures import PictureError, read_animation, read_picture

NUMBER = re.compile(r"%0?(\d*)d")


class _Pictures(Source):
    """A film of RGB pictures, each with its time."""

    def __init__(self, name: str, mirror: bool):
        super().__init__(name, name)
        self._mirror = mirror
        self._pictures = self._timed()
        self._next = next(self._pictures, None)
        if self._next is None:
            raise SourceError(f"{self.title}: {self.problems[0] if self.problems else 'there is no picture in it'}")
        self.size = self._next[1].shape[1], self._next[1].shape[0]
        self._read = count()

    def _timed(self) -> Iterator[tuple[Fraction, np.ndarray, float]]:
        """Times in seconds, pictures RGB uint8 `[H, W, 3]`, and how many seconds each stands."""
        raise NotImplementedError

    def read(self) -> Frame | None:
        found, self._next = self._next or next(self._pictures, None), None
        if found is None:
            return None
        seconds, rgb, duration = found
        picture = fit(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), self.size)
        picture = cv2.flip(picture, 1) if self._mirror else picture
        self.end = float(seconds) + duration
        return Frame(next(self._read), float(seconds), picture, time.perf_counter())

    def close(self) -> None:
        self._pictures = iter(())  # and with what read them, its file is closed


class NumberedPictures(_Pictures):
    """Files with consecutive numbers, from the lowest there is. Where one is missing, the one before stands longer."""

    def __init__(self, pattern: str, frame_rate: float, mirror: bool = False):
        """Finds the files and reads the first.

        Args:
            pattern: A path with one `%d` or `%04d` in its name; `%%` stands for a per cent sign.
            frame_rate: Pictures a second.

        Raises:
            SourceError: There are none, or the first cannot be read.
        """
        self.frame_rate, self.time_base = frame_rate, 1 / Fraction(frame_rate).limit_denominator(1001)
        self._paths = _find(Path(pattern))
        self.duration = (max(self._paths) - min(self._paths) + 1) / frame_rate
        super().__init__(pattern, mirror)
        numbers = range(min(self._paths), max(self._paths) + 1)
        missing = len(numbers) - len(self._paths)
        if missing:
            name = Path(pattern).name
            first = islice((number for number in numbers if number not in self._paths), 3)
            width = int(next(iter(NUMBER.findall(name))) or 1)
            names = ", ".join(NUMBER.sub(f"{number:0{width}d}", name) for number in first)
            more = f" and {missing - 3} more" if missing > 3 else ""
            self.problems.append(
                f"of {pattern}, {names}{more} {'is' if missing == 1 else 'are'} missing: the picture before "
                "stands in the place"
            )

    def _timed(self) -> Iterator[tuple[Fraction, np.ndarray, float]]:
        first = min(self._paths)
        for number, path in sorted(self._paths.items()):
            try:
                rgb = read_picture(path)
            except PictureError as error:
                self.problems.append(f"{path} {error}: the picture before stands in its place")
            else:
                yield (number - first) * self.time_base, rgb, float(self.time_base)


class AnimatedPicture(_Pictures):
    """An animated GIF or WebP; each of its pictures stands as long as it says."""

    time_base = Fraction(1, 1000)

    def __init__(self, name: str, mirror: bool = False):
        """Reads the first two pictures.

        Raises:
            SourceError: It is no picture, is damaged, or does not move.
        """
        super().__init__(name, mirror)
        following = next(self._pictures, None)
        if following is None:
            raise SourceError(f"{name} is a picture that does not move: demo_image.py reads pictures")
        self._pictures = chain((following,), self._pictures)
        self.frame_rate = float(1 / max(following[0], self.time_base))

    def _timed(self) -> Iterator[tuple[Fraction, np.ndarray, float]]:
        seconds = Fraction(0)
        try:
            for rgb, milliseconds in read_animation(self.name):
                yield seconds, rgb, milliseconds / 1000
                seconds += Fraction(milliseconds, 1000)
        except PictureError as error:
            self.problems.append(f"{self.name} {error}")


def _find(pattern: Path) -> dict[int, Path]:
    """The files that a pattern names, by their numbers."""
    parts = pattern.name.split("%%")
    if sum(len(NUMBER.findall(part)) for part in parts) != 1:
        raise SourceError(f"{pattern} is no pattern: --source takes one with one number in it, like frames/%04d.jpg")
    width = next(found[1] for part in parts if (found := NUMBER.search(part)))
    expressions = []
    paths: dict[int, Path] = {}
    for part in parts:
        before, *rest = NUMBER.split(part)
        expressions.append(re.escape(before) + (rf"(\d{{{width or 1},}})" + re.escape(rest[1]) if rest else ""))
    name = re.compile("%".join(expressions))
    if pattern.parent.is_dir():
        for path in pattern.parent.iterdir():
            match = name.fullmatch(path.name)
            # %04d makes no name with more digits than it needs.
            if match and len(match[1]) == max(int(width or 1), len(str(int(match[1])))):
                paths[int(match[1])] = path
    if not paths:
        raise SourceError(f"no picture is named {pattern}: --source takes a pattern like frames/%04d.jpg")
    return paths
