"""Portraits, and what is done to them by chance: turned, in other light, cut out, covered, and spoiled.

    portrait = make_portrait(picture, (x, y, width, height), landmarks)
    picture, middle, size = leaning(portrait, angle=30)

A portrait shows one face that fills it. Chance is a generator: the same one does the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, eq=False)
class Portrait:
    """A picture of one face.

    Attributes:
        levels: RGB uint8 pictures, each half as large as the one before.
        centre, size: The face's middle and side in the first level's pixels.
        landmarks: float32 `[5, 2]`, in the same.
    """

    levels: list[np.ndarray]
    centre: np.ndarray
    size: float
    landmarks: np.ndarray


def make_portrait(picture: np.ndarray, box: Sequence[float], landmarks: np.ndarray) -> Portrait:
    """A portrait from an RGB picture and its face: x, y, width, height, and five landmarks."""
    levels = [picture]
    while min(levels[-1].shape[:2]) > 24:
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    x, y, width, height = box
    return Portrait(levels, np.array([x + width / 2, y + height / 2]), float(np.sqrt(width * height)), landmarks)


def leaning(portrait: Portrait, angle: float, side: int = 175) -> tuple[np.ndarray, tuple[float, float], float]:
    """A portrait turned about its middle, `[side, side, 3]`; the face's middle and size in it."""
    picture = portrait.levels[0]
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
    matrix[0, 2] += (side - width) / 2
    matrix[1, 2] += (side - height) / 2
    turned = cv2.warpAffine(picture, matrix, (side, side))
    x, y = matrix @ (*portrait.centre, 1)
    return turned, (float(x), float(y)), portrait.size * scale


def any_angle(chance: np.random.Generator) -> float:
    """Degrees: mostly as people hold their heads, a third of them up to 60°, every eighth any way round."""
    kind = chance.random()
    if kind < 0.45:
        return float(chance.normal(0, 9))
    return float(chance.uniform(-65, 65) if kind < 0.83 else chance.uniform(-180, 180))


def turning(angle: float) -> np.ndarray:
    """The matrix that turns by an angle in degrees, clockwise in a picture."""
    radians = np.deg2rad(angle)
    return np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])


def colour(picture: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """A portrait in other light; most are grey, so some are given the colours of skin under a lamp."""
    gain, shift = np.exp(chance.uniform(-0.35, 0.35)), chance.uniform(-25, 25)
    tint = np.ones(3)
    if chance.random() < 0.6:
        tint = np.array([1.0, chance.uniform(0.65, 0.95), chance.uniform(0.45, 0.95)])
    table = (np.arange(256)[:, None] * gain * tint + shift).clip(0, 255).astype(np.uint8)
    return cv2.LUT(picture, table[None])


def opacity(
    kind: str, portrait: Portrait, shape: tuple[int, int], shrunk: np.ndarray, chance: np.random.Generator
) -> np.ndarray:
    """Opacity of a portrait's level, float32 `[H, W]`."""
    opaque = np.zeros(shape, np.float32)
    centre, size = portrait.centre / shrunk, portrait.size / shrunk
    if kind == "square":
        opaque[1:-1, 1:-1] = 1
    elif kind == "tile":
        half = size * chance.uniform(0.5, 0.72)
        low, high = np.maximum(centre - half, 1).astype(int), np.ceil(centre + half).astype(int)
        opaque[low[1] : min(high[1], shape[0] - 1), low[0] : min(high[0], shape[1] - 1)] = 1
    else:
        axes = size * (chance.uniform(0.5, 0.65), chance.uniform(0.6, 0.75))
        middle = centre - (0, 0.05 * size[1])
        cv2.ellipse(opaque, (tuple(middle.tolist()), tuple((2 * axes).tolist()), 0), 1.0, -1)
        opaque[[0, -1]], opaque[:, [0, -1]] = 0, 0
        soft = max(1, int(size[0] * chance.uniform(0.02, 0.12))) | 1
        cv2.blur(opaque, (soft, soft), opaque)
    return opaque


def cover(picture: np.ndarray, faces: list[np.ndarray], chance: np.random.Generator) -> None:
    """Covers a part of some faces: as a hand, a mask, dark glasses or the head in front would."""
    for face in list(faces) if chance.random() < 0.35 else ():
        if face[2] < 14 or chance.random() < 0.5:
            continue
        size, centre = face[2], face[:2]
        angle = np.rad2deg(np.arctan2(*(face[7:9] - face[5:7])[::-1]))  # along the eyes
        down = np.array([-np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))])
        kind = chance.choice(4, p=(0.3, 0.3, 0.3, 0.1))
        if kind == 0:  # the lower half
            middle, sides = centre + down * size * chance.uniform(0.33, 0.5), (1.0, 0.5)
        elif kind == 1:  # a bar over the eyes
            middle, sides = face[5:9].reshape(2, 2).mean(0), (0.95, chance.uniform(0.1, 0.24))
        elif kind == 3:  # all of it: what is left of the head is no face
            middle, sides = centre, (0.95, 1.15)
            faces[:] = [other for other in faces if other is not face]
        else:  # one side
            across = np.array([down[1], -down[0]]) * chance.choice([-1, 1])
            middle, sides = centre + across * size * chance.uniform(0.32, 0.5), (0.5, 1.1)
        corners = cv2.boxPoints((middle.tolist(), (sides[0] * size, sides[1] * size), float(angle)))
        if kind != 1 and chance.random() < 0.5:
            shade = picture[chance.integers(len(picture)), chance.integers(picture.shape[1])]
        else:
            shade = chance.integers(0, 256 if kind != 1 else 50, 3)
        cv2.fillConvexPoly(picture, corners.astype(np.int32), shade.tolist(), cv2.LINE_AA)


def spoil(picture: np.ndarray, noise: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """What cameras and the web do to pictures: blur, darkness, noise, few pixels, JPEG, no colour."""
    height, width = picture.shape[:2]
    kind = chance.random()
    if kind < 0.12:
        picture = cv2.GaussianBlur(picture, (0, 0), chance.uniform(0.4, 1.8))
    elif kind < 0.18:
        length = int(chance.integers(3, 8))
        line = np.zeros((length, length), np.float32)
        end = (length - 1, int(chance.integers(length)))
        cv2.line(line, (0, length - 1 - end[1]), end, 1.0)
        picture = cv2.filter2D(picture, -1, line / line.sum())
    elif kind < 0.28:
        factor = chance.uniform(0.4, 0.8)
        small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)

    if chance.random() < 0.7:
        gamma, gain = np.exp(chance.uniform(-0.4, 0.4)), np.exp(chance.uniform(-0.35, 0.35))
        gain *= chance.uniform(0.15, 0.6) if chance.random() < 0.2 else 1
        tint, shift = np.exp(chance.uniform(-0.12, 0.12, 3)), chance.uniform(-20, 20)
        table = 255 * (np.arange(256)[:, None] / 255) ** gamma * gain * tint + shift
        picture = cv2.LUT(picture, table.clip(0, 255).astype(np.uint8)[None])
    if chance.random() < 0.2:
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if chance.random() < 0.3:
        top, left = chance.integers(0, len(noise) - height), chance.integers(0, len(noise) - width)
        piece = noise[top : top + height, left : left + width]
        strength = np.exp(chance.uniform(np.log(2), np.log(30))) / 32
        picture = cv2.add(picture, piece[..., :: chance.choice([-1, 1])] * strength, dtype=cv2.CV_8U)
    if chance.random() < 0.25:
        quality = int(chance.integers(20, 80))
        encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        picture = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
    return picture
