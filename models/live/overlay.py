"""What is drawn into a frame: boxes with labels, the largest face's bars, rates, a line of help.

    overlay = Overlay(class_names)
    drawn = overlay.draw_faces(frame.picture, tracker.tracks)
    overlay.draw_status(drawn, "Q quit", "30 frames/s")

Thirty frames a second leave 33 ms for each, and laying a 1080p frame out in Pillow and back takes a third of that: so
Pillow renders words and little faces alone, each once, and their pixels are laid over the frame.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import cv2
import numpy as np
from PIL import Image, ImageDraw

from models.emoji import little_face
from models.expressions import class_colour, ink_on
from models.labels import Box, face_side, find_place, font, padding, shortened, texts
from models.live.tracking import Track, shared_area

# BGR
DARK, FAINT, LIGHT, RED = (34, 34, 34), (190, 190, 190), (255, 255, 255), (60, 60, 230)
SHADE = 0.35  # of the picture's brightness, behind words


class Overlay:
    """Draws what is known about a frame; sizes follow the frame's, and words stay legible down to 320×240."""

    def __init__(self, class_names: Sequence[str], with_emoji: bool = False):
        self._class_names, self._with_emoji = class_names, with_emoji
        self._colours = {name: class_colour(name, index)[::-1] for index, name in enumerate(class_names)}
        self._bars_corner = 0  # left

    def draw_faces(self, picture: np.ndarray, tracks: Sequence[Track]) -> np.ndarray:
        """Draws boxes, labels, and the first track's bars: what a recording shows.

        Args:
            picture: BGR uint8 `[H, W, 3]`, left as it is.
            tracks: Largest first.

        Returns:
            BGR uint8 `[H, W, 3]`.
        """
        drawn = picture.copy()
        for track in reversed(tracks):  # the largest last, over the others
            self._draw_box(drawn, track)
        panel = self._draw_bars(drawn, tracks) if tracks else None
        taken: list[Box] = []
        for track in tracks:
            said = texts(track.label, track.confidence, track.number if len(tracks) > 1 else None)
            place = self._draw_label(drawn, track, said, taken, panel)
            taken += [place] if place is not None else []
        return drawn

    def draw_status(self, drawn: np.ndarray, line: str, rates: str, recording: str = "") -> None:
        """Adds, in place, what only the window shows: a strip at the lower edge.

        Args:
            drawn: BGR uint8 `[H, W, 3]`.
            line: Stands at the left; written smaller where it is too long.
            rates: Stands at the right, or above where both do not fit.
            recording: How long a recording has lasted, shown beside a red dot; empty where there is none.
        """
        height, width = drawn.shape[:2]
        size = small_size(drawn)
        row, pad = line_height(size), size // 2
        right = width - pad - rendered(rates, size).shape[1]
        dot = right - pad - rendered(recording, size).shape[1] - row // 2
        rows = 2 if line and rendered(line, size).shape[1] + 2 * pad > dot - row else 1
        shade(drawn, 0, height - rows * row - pad, width, rows * row + pad)
        top = height - rows * row - pad // 2
        put_text(drawn, rates, (right, top), size, FAINT)
        if recording:
            put_text(drawn, recording, (dot + row // 2, top), size, LIGHT)
            cv2.circle(drawn, (dot, top + row // 2), row // 4, RED, cv2.FILLED, cv2.LINE_AA)
        while size > 9 and rendered(line, size).shape[1] > width - 2 * pad:
            size -= 1
        put_text(drawn, line, (pad, height - row - pad // 2), size, LIGHT)

    def _draw_box(self, drawn: np.ndarray, track: Track) -> None:
        x, y, width, height = (round(float(value)) for value in track.box)
        thickness = max(2, round(min(drawn.shape[:2]) / 220))
        # A dark rim around the coloured line keeps it visible on any background.
        cv2.rectangle(drawn, (x, y), (x + width, y + height), DARK, thickness + 2)
        cv2.rectangle(drawn, (x, y), (x + width, y + height), self._colours[track.label], thickness)

    def _draw_label(
        self, drawn: np.ndarray, track: Track, said: Sequence[str], taken: Sequence[Box], panel: Box | None
    ) -> Box | None:
        """Writes a label above its box, below, or within: the longest of its texts for which there is room.

        Room is where no other label is, and first of all beside the bars' panel. The words stay as large as they are:
        sizes that change from frame to frame are hard to read.

        Returns:
            The place it took, or None where there is no room.
        """
        size, picture_size = text_size(drawn), (drawn.shape[1], drawn.shape[0])
        side = face_side(track.label, size, picture_size) if self._with_emoji else 0
        pad, height = padding(size), line_height(size) + padding(size)
        x, y, box_width, box_height = (round(float(value)) for value in track.box)
        box = x, y, x + box_width, y + box_height
        for occupied, text in product(([*taken, panel], taken) if panel else (taken,), said):
            width = side + rendered(text, size).shape[1] + 2 * pad
            place = find_place(box, (width, max(height, side)), picture_size, occupied)
            if place is not None:
                break
        else:
            return None
        left, top, right, bottom = (int(value) for value in place)
        upper, colour = top + (bottom - top - height) // 2, self._colours[track.label]
        cv2.rectangle(drawn, (left + side // 2, upper), (right - 1, upper + height - 1), colour, cv2.FILLED)
        put_text(drawn, text, (left + side + pad, upper + pad // 2), size, ink_on(colour[::-1]))
        if side:
            put_face(drawn, track.label, (left, top), side)
        return place

    def _draw_bars(self, drawn: np.ndarray, tracks: Sequence[Track]) -> Box:
        """Draws the first face's probabilities, a bar a class, in the upper corner that hides less of the faces.

        Returns:
            The place that they took.
        """
        size = small_size(drawn)
        row, pad, length = line_height(size), size // 2, 5 * size
        widest = drawn.shape[1] // 3
        said = [shortened(name, size, widest) for name in self._class_names]
        names = max(rendered(text, size).shape[1] for text in said)
        width, height = names + length + 3 * pad, row * len(self._class_names) + pad
        corners = np.array([[0, 0, width, height], [drawn.shape[1] - width, 0, width, height]])
        hidden = shared_area(corners, np.array([track.box for track in tracks])).sum(1)
        other = 1 - self._bars_corner
        if 2 * hidden[other] < hidden[self._bars_corner]:  # clearly less, so that they do not jump about
            self._bars_corner = other
        panel, track = int(corners[self._bars_corner, 0]), tracks[0]
        shade(drawn, panel, 0, width, height)
        left = panel + names + 2 * pad
        for index, (name, probability) in enumerate(zip(self._class_names, track.probabilities, strict=True)):
            top = pad // 2 + index * row
            put_text(drawn, said[index], (panel + pad, top), size, LIGHT if name == track.label else FAINT)
            upper, lower, filled = top + row // 5, top + row - row // 5, round(length * float(probability))
            cv2.rectangle(drawn, (left, upper), (left + length, lower), DARK, cv2.FILLED)
            if filled:
                cv2.rectangle(drawn, (left, upper), (left + filled, lower), self._colours[name], cv2.FILLED)
        return panel, 0, panel + width, height


def text_size(picture: np.ndarray) -> int:
    """Height of the words, in pixels, that can be read in a picture of this size."""
    return int(np.clip(min(picture.shape[:2]) / 26, 11, 40))


def small_size(picture: np.ndarray) -> int:
    """Height of the words that matter less than a label."""
    return max(11, round(text_size(picture) * 0.8))


def line_height(size: int) -> int:
    return round(size * 1.3)


@lru_cache(maxsize=512)
def rendered(text: str, size: int) -> np.ndarray:
    """A line of text as coverage: float32 `[line height, width, 1]` from 0 to 1."""
    image = Image.new("L", (max(1, round(font(size).getlength(text))), line_height(size)))
    ImageDraw.Draw(image).text((0, image.height / 2), text, fill=255, font=font(size), anchor="lm")
    return np.asarray(image, np.float32)[..., None] / 255


def put_text(drawn: np.ndarray, text: str, place: tuple[int, int], size: int, colour: tuple[int, int, int]) -> None:
    """Lays a line of text over a picture, its upper left corner at `place`; what reaches over the edge is cut."""
    left, top = place
    area = drawn[max(top, 0) :, max(left, 0) :]
    coverage = rendered(text, size)[max(-top, 0) :, max(-left, 0) :][: area.shape[0], : area.shape[1]]
    area = area[: coverage.shape[0], : coverage.shape[1]]
    area[:] = area + (np.array(colour, np.float32) - area) * coverage


@lru_cache(maxsize=64)
def face_pixels(name: str, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A little face as BGR float32 `[side, side, 3]` and its coverage `[side, side, 1]` from 0 to 1."""
    pixels = np.asarray(little_face(name, side), np.float32)
    return pixels[..., 2::-1].copy(), pixels[..., 3:] / 255


def put_face(drawn: np.ndarray, name: str, place: tuple[int, int], side: int) -> None:
    """Lays a class's little face over a picture, all of it within, its upper left corner at `place`."""
    left, top = place
    area = drawn[top : top + side, left : left + side]
    colours, coverage = face_pixels(name, side)
    area[:] = area + (colours - area) * coverage


def shade(drawn: np.ndarray, left: int, top: int, width: int, height: int) -> None:
    """Darkens a rectangle, so that words can be read on it."""
    area = drawn[max(top, 0) : top + height, max(left, 0) : left + width]
    if area.size:
        area[:] = cv2.convertScaleAbs(area, alpha=SHADE)
