"""Scenes of 1 to 200 faces, made from portraits and pictures without a face: what the proposal network is trained on.

    maker = SceneMaker(portraits, backgrounds)
    scene = maker.make(192, 192, np.random.default_rng(0))      # scene.picture, scene.faces

Real pictures show many faces, small, leaning, at the edge, half covered, blurred, dark and noisy: so portraits are
turned, shrunk, coloured, laid over pictures without a face, and spoiled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from models.faces.training.portraits import Portrait, any_angle, colour, cover, opacity, spoil, turning

SMALLEST, SMALLEST_LEARNED = 7.0, 9.5  # pixels: smaller ones that the scene has are not asked for
VISIBLE_SURE, VISIBLE_UNSURE = 0.6, 0.15  # of a face's square; between the two it is not asked for
MOST_FACES = 200
LEAST_CONTRAST = 5.0  # standard deviation of a face's grey values, below which light has washed it out
LEFT_RIGHT = [1, 0, 2, 4, 3]  # the landmarks after mirroring


@dataclass(eq=False)
class Scene:
    """A picture and what is to be found in it.

    Attributes:
        picture: RGB uint8 `[H, W, 3]`.
        faces: A row a face, `[16]`: x, y and size, then x and y of middle, eyes, nose and mouth's corners, and 1 where
            it is to be found, 0 where nothing is asked.
    """

    picture: np.ndarray
    faces: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True)
class Hard:
    """A place in a background in which a half-trained network saw a face: number, and x, y and size in its pixels."""

    background: int
    x: float
    y: float
    size: float


class SceneMaker:
    """Makes scenes by chance; the same generator makes the same scene."""

    def __init__(self, portraits: Sequence[Portrait], backgrounds: Sequence[np.ndarray], hard: Sequence[Hard] = ()):
        self._portraits, self._backgrounds, self._hard = portraits, backgrounds, hard
        # A photograph has more to show than a small texture: a background is taken as often as it has pixels.
        areas = np.array([picture.shape[0] * picture.shape[1] for picture in backgrounds], float)
        self._up_to = np.cumsum(areas) / areas.sum()
        noise = np.random.default_rng(0).normal(size=(640, 640, 3))
        self._noise = (noise * 32).clip(-127, 127).astype(np.int8)

    def make(self, height: int, width: int, chance: np.random.Generator) -> Scene:
        """A scene of this size in pixels."""
        kind = chance.random()
        if kind < 0.37:
            scene = self._portrait(height, width, chance)
        elif kind < 0.57:
            scene = self._mosaic(height, width, chance)
        elif kind < 0.82:
            scene = self._collage(height, width, chance)
        else:
            scene = Scene(self._background(height, width, chance))
            if chance.random() < 0.25:
                scene.picture[:] = self._piece_of_face(height, width, chance)
        cover(scene.picture, scene.faces, chance)
        scene.picture = spoil(scene.picture, self._noise, chance)
        for face in scene.faces:
            if _contrast(scene.picture, face) < LEAST_CONTRAST:
                face[-1] = 0
        return scene

    def _portrait(self, height: int, width: int, chance: np.random.Generator) -> Scene:
        """One portrait, its edge continued or on a background, the face 7 to 110 % of the shorter side."""
        side = min(height, width)
        scene = Scene(self._background(height, width, chance))
        share = chance.uniform(0.25, 1.0)
        if chance.random() < 0.2:
            share = np.exp(chance.uniform(np.log(0.07), np.log(1.1)))
        size = max(SMALLEST_LEARNED, share * side)
        room = np.maximum(0.08 * size, np.array([width, height]) / 2 - 0.45 * size)
        centre = np.array([width, height]) / 2 + chance.uniform(-1, 1, 2) * room
        mask = str(chance.choice(["whole", "whole", "whole", "soft", "square"]))
        border = cv2.BORDER_REPLICATE if chance.random() < 0.4 else cv2.BORDER_CONSTANT
        fill = int(chance.choice([0, 0, 127, 255]))
        self._paste(scene, centre, size, any_angle(chance), chance, mask, border, (fill, fill, fill))
        return scene

    def _mosaic(self, height: int, width: int, chance: np.random.Generator) -> Scene:
        """Rows and columns of faces, close by one another."""
        scene = Scene(self._background(height, width, chance))
        cell = np.exp(chance.uniform(np.log(13), np.log(min(height, width) / 2)))
        while height * width / cell**2 > MOST_FACES:
            cell *= 1.2
        lean = chance.uniform(-60, 60) if chance.random() < 0.3 else 0.0
        spread, filled = chance.choice([0.0, 10.0, 30.0]), chance.uniform(0.6, 1.0)
        share, decoys = chance.uniform(0.55, 0.95), share_of_decoys(chance)
        for y in np.arange(cell * chance.uniform(0.3, 0.7), height, cell):
            for x in np.arange(cell * chance.uniform(0.3, 0.7), width, cell):
                if chance.random() < filled:
                    size = max(SMALLEST, cell * share * chance.uniform(0.8, 1.05))
                    place = np.array([x, y]) + chance.normal(size=2) * 0.05 * cell
                    is_decoy = chance.random() < decoys
                    self._paste(scene, place, size, lean + spread * chance.normal(), chance, "tile", is_decoy=is_decoy)
        return scene

    def _collage(self, height: int, width: int, chance: np.random.Generator) -> Scene:
        """Faces of several sizes anywhere on a background."""
        scene = Scene(self._background(height, width, chance))
        side = min(height, width)
        count = int(np.exp(chance.uniform(0, np.log(25))))
        largest, decoys = np.exp(chance.uniform(np.log(16), np.log(0.6 * side))), share_of_decoys(chance)
        for _ in range(count):
            size = max(SMALLEST, largest * np.exp(chance.uniform(np.log(0.35), 0)))
            place = chance.uniform(-0.1 * size, np.array([width, height]) + 0.1 * size)
            near = [face for face in scene.faces if np.hypot(*(face[:2] - place)) < 0.42 * (face[2] + size)]
            if not near:
                mask, is_decoy = str(chance.choice(["soft", "square", "tile"])), chance.random() < decoys
                self._paste(scene, place, size, any_angle(chance), chance, mask, is_decoy=is_decoy)
        return scene

    def _paste(
        self,
        scene: Scene,
        centre: np.ndarray,
        size: float,
        angle: float,
        chance: np.random.Generator,
        mask: str,
        border: int = cv2.BORDER_CONSTANT,
        fill: tuple[int, int, int] = (0, 0, 0),
        is_decoy: bool = False,
    ) -> None:
        """Lays a portrait over the scene, its face of this size in pixels turned by an angle in degrees.

        Args:
            mask: `whole`: over all of the scene, beyond the portrait's edge by `border`; `square`: as it is;
                `soft`: the head alone, an ellipse; `tile`: the face's square and a little of what is around it.
            is_decoy: Lay a piece without a face there in the same way.
        """
        if is_decoy:
            portrait = self._decoy(size, chance)
        else:
            portrait = self._portraits[int(chance.integers(len(self._portraits)))]
        scale = size / portrait.size
        level = int(np.clip(np.floor(np.log2(1 / scale)), 0, len(portrait.levels) - 1)) if scale < 1 else 0
        picture = colour(portrait.levels[level], chance)
        height, width = picture.shape[:2]
        mirror = -1 if chance.random() < 0.5 else 1
        # Portrait pixels to scene pixels, about the face's middle.
        matrix = turning(angle) * scale @ np.diag([mirror, 1])
        squeeze = 1 + chance.uniform(-0.08, 0.08)
        matrix = matrix @ np.diag([squeeze, 1 / squeeze])

        points = np.vstack([portrait.centre, portrait.landmarks])
        points = (points - portrait.centre) @ matrix.T + centre
        if mirror < 0:
            points[1:] = points[1:][LEFT_RIGHT]

        # Of the level that is warped: pixel middles, so half a pixel is taken off and put back.
        shrunk = np.array([portrait.levels[0].shape[1] / width, portrait.levels[0].shape[0] / height])
        of_level = matrix @ np.diag(shrunk)
        start = centre - matrix @ portrait.centre + of_level @ [0.5, 0.5] - 0.5
        whole = np.column_stack([of_level, start])
        rows, columns = scene.picture.shape[:2]
        if mask == "whole":
            cv2.warpAffine(picture, whole, (columns, rows), scene.picture, cv2.INTER_LINEAR, border, fill)
        else:
            reach = {"tile": 0.75 * size, "soft": size, "square": 1.3 * size}[mask]
            left, top = np.floor(np.clip(centre - reach, 0, (columns, rows))).astype(int)
            right, bottom = np.ceil(np.clip(centre + reach, 0, (columns, rows))).astype(int)
            if right <= left or bottom <= top:
                return
            whole[:, 2] -= np.array([left, top])
            target = (int(right - left), int(bottom - top))
            pasted = cv2.warpAffine(picture, whole, target, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            opaque = opacity(mask, portrait, (height, width), shrunk, chance)
            alpha = cv2.warpAffine(opaque, whole, target, flags=cv2.INTER_LINEAR)[..., None]
            place = scene.picture[top:bottom, left:right]
            place[:] = place + (pasted.astype(np.float32) - place) * alpha
            for face in scene.faces:  # those that are covered now
                if _shared(face, centre, size) > 0.4:
                    face[-1] = 0
        if is_decoy:
            return
        asked = size >= SMALLEST_LEARNED and _visible(centre, size, (columns, rows)) >= VISIBLE_SURE
        if _visible(centre, size, (columns, rows)) >= VISIBLE_UNSURE:
            scene.faces.append(np.array([*centre, size, *points.ravel(), float(asked)]))

    def _decoy(self, size: float, chance: np.random.Generator) -> Portrait:
        """A piece of a background in the form of a portrait: what is laid over a scene is not a face for that."""
        side = max(4, round(1.35 * size))
        piece = self._background(side, side, chance)
        middle = np.array([side / 2, side / 2])
        return Portrait([piece], middle, side / 1.35, np.tile(middle, (5, 1)).astype(np.float32))

    def _background(self, height: int, width: int, chance: np.random.Generator) -> np.ndarray:
        """A piece of a picture without a face, by choice one in which faces were seen."""
        if self._hard and chance.random() < 0.4:
            place = self._hard[int(chance.integers(len(self._hard)))]
            picture = self._backgrounds[place.background]
            scale = np.exp(chance.uniform(np.log(0.6), np.log(1.6)))
            side = np.array([width, height]) / scale
            low = np.array([place.x, place.y]) - side * chance.uniform(0.2, 0.8, 2)
        else:
            picture = self._backgrounds[int(np.searchsorted(self._up_to, chance.random()))]
            available = np.array(picture.shape[1::-1], float)
            largest = (available / (width, height)).min()
            side = np.array([width, height]) * largest * np.exp(chance.uniform(np.log(0.25), 0))
            low = chance.uniform(0, np.maximum(available - side, 1e-3))
        low = np.clip(low.round().astype(int), 0, np.array(picture.shape[1::-1]) - 4)
        high = np.minimum(low + np.maximum(side.round().astype(int), 4), picture.shape[1::-1])
        piece = picture[low[1] : high[1], low[0] : high[0]]
        if chance.random() < 0.5:
            piece = piece[:, ::-1]
        if chance.random() < 0.15:
            piece = np.rot90(piece, int(chance.integers(1, 4)))
        how = cv2.INTER_AREA if piece.shape[0] > height else cv2.INTER_LINEAR
        return cv2.resize(np.ascontiguousarray(piece), (width, height), interpolation=how)

    def _piece_of_face(self, height: int, width: int, chance: np.random.Generator) -> np.ndarray:
        """A part of a face that is larger than the scene: an eye or a mouth alone is no face."""
        portrait = self._portraits[int(chance.integers(len(self._portraits)))]
        scale = chance.uniform(2.2, 5) * max(height, width) / portrait.size
        around = chance.uniform(-0.55, 0.55, 2) * portrait.size + portrait.centre
        turn = turning(any_angle(chance)) * scale
        matrix = np.column_stack([turn, np.array([width, height]) / 2 - turn @ around])
        return cv2.warpAffine(
            colour(portrait.levels[0], chance), matrix, (width, height), borderMode=cv2.BORDER_REPLICATE
        )


def share_of_decoys(chance: np.random.Generator) -> float:
    """How much of what is laid over a scene is no face: nothing in half of the scenes."""
    return float(chance.uniform(0.1, 0.6)) if chance.random() < 0.5 else 0.0


def _contrast(picture: np.ndarray, face: np.ndarray) -> float:
    """Standard deviation of the values in the middle of a face's square."""
    x, y, reach = face[0], face[1], 0.35 * face[2]
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    piece = picture[top : int(y + reach) + 1, left : int(x + reach) + 1, 1]
    return float(cv2.meanStdDev(piece)[1].max()) if piece.size else 0.0


def _visible(centre: np.ndarray, size: float, bounds: tuple[int, int]) -> float:
    """Which part of a face's square lies in the scene."""
    width, height = bounds
    return _common(float(centre[0]), float(centre[1]), size, width / 2, height / 2, width, height) / size**2


def _shared(face: np.ndarray, centre: np.ndarray, size: float) -> float:
    """Which part of a face's square lies under another's."""
    x, y, side = face[:3].tolist()
    return _common(x, y, side, float(centre[0]), float(centre[1]), size, size) / side**2


def _common(x: float, y: float, side: float, x2: float, y2: float, width: float, height: float) -> float:
    """Pixels that a square and a rectangle share, each given by its middle; in plain numbers, thrice as fast."""
    across = min(x + side / 2, x2 + width / 2) - max(x - side / 2, x2 - width / 2)
    down = min(y + side / 2, y2 + height / 2) - max(y - side / 2, y2 - height / 2)
    return max(across, 0.0) * max(down, 0.0)
