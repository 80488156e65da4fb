"""Boxes, labels, bars and result pictures.

    picture = annotate(picture, faces)                              # boxes and labels, the picture's own size
    result = result_picture(picture, faces, classifier.class_names)  # the same at the left, bars at the right

They are drawn with Pillow and its own font, the same on every system.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw

from models.emoji import has_little_face, little_face
from models.expressions import Colour, class_colour, ink_on
from models.labels import Label, font, label_height, lay_out, padding, shortened

if TYPE_CHECKING:
    from models.classifier import Face
    from models.explanation import Explanation

INK, FAINT_INK, PAPER, TRACK = (34, 34, 34), (110, 110, 110), (255, 255, 255), (236, 236, 236)
PICTURE_AREA = (880, 640)  # of a result picture: the most that the annotated picture takes, width and height
SMALLEST_SIDE = 320  # a small picture is enlarged until its longer side has this, so that its labels can be read
PANEL_WIDTH, MARGIN = 330, 20
MOST_PANELS = 4
TITLE_FACE = 32  # pixels of the little face beside a panel's title
HEAT_SIDE, HEAT_SHARE = 200, 0.6  # of an explanation: pixels, and how much of the face the hottest place hides
HOTTEST = 200  # of the colour map's 255: what comes after is nearly white, and looks like light on the face


def annotate(
    picture: np.ndarray, faces: Sequence["Face"], numbered: bool = False, with_emoji: bool = False
) -> np.ndarray:
    """A copy of the picture with a box and a label with its probability for each face.

    Args:
        picture: RGB uint8 `[H, W, 3]`.
        faces: In the order in which they matter: where labels would overlap, a later one gives way.
        numbered: Begin each label with the face's number, from 1.
        with_emoji: Draw the expression's little face beside the label.

    Returns:
        RGB uint8 `[H, W, 3]`.
    """
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    height, width = picture.shape[:2]
    line = max(2, round(min(height, width) / 220))
    for face in faces:
        x, y, box_width, box_height = face.box
        corners = (x, y, x + box_width - 1, y + box_height - 1)
        # A dark rim around the coloured line keeps it visible on any background.
        draw.rectangle(_grown(corners, line // 2 + 1), outline=INK, width=line + 2)
        draw.rectangle(corners, outline=_colour_of(face), width=line)
    for face, label in zip(faces, lay_out(faces, (width, height), numbered, with_emoji)):
        if label is not None:
            _draw_label(image, label, face.label, _colour_of(face))
    return np.asarray(image)


def result_picture(
    picture: np.ndarray,
    faces: Sequence["Face"],
    class_names: Sequence[str],
    explanations: Sequence["Explanation"] = (),
    with_emoji: bool = False,
) -> np.ndarray:
    """The annotated picture at the left, the probabilities of up to four faces as bars at the right.

    Args:
        picture: RGB uint8 `[H, W, 3]`, of any size; it is scaled to fit.
        faces: Largest first; none is shown as such.
        class_names: What the probabilities stand for.
        explanations: Of the first four faces, in their order, drawn beside their bars; or none.
        with_emoji: Draw the expression's little face beside each label and title.

    Returns:
        RGB uint8, at most 1,640 pixels wide, or 2,060 with explanations.
    """
    scale = _display_scale(picture)
    shown = _resized(picture, scale)
    annotated = annotate(shown, [_scaled(face, scale, shown) for face in faces], len(faces) > 1, with_emoji)
    panels = min(len(faces), MOST_PANELS) or 1
    columns = 2 if panels > 2 else 1
    rows = -(-panels // columns)
    panel_height = 76 + 30 * max(len(class_names), 3)
    panel_width = PANEL_WIDTH + (MARGIN + HEAT_SIDE if explanations else 0)
    right = columns * (panel_width + MARGIN)
    height = max(annotated.shape[0], rows * panel_height + (rows - 1) * MARGIN) + 2 * MARGIN
    canvas = Image.new("RGB", (annotated.shape[1] + 2 * MARGIN + right, height), PAPER)
    canvas.paste(Image.fromarray(annotated), (MARGIN, (height - annotated.shape[0]) // 2))
    draw = ImageDraw.Draw(canvas)
    left = annotated.shape[1] + 2 * MARGIN
    top = (height - rows * panel_height - (rows - 1) * MARGIN) // 2
    if not faces:
        draw.text((left, height // 2), "No face found", fill=FAINT_INK, font=font(24), anchor="lm")
    for index, face in enumerate(faces[:MOST_PANELS]):
        x, y = left + index % columns * (panel_width + MARGIN), top + index // columns * (panel_height + MARGIN)
        title = f"{index + 1}  {face.label}" if len(faces) > 1 else face.label
        little_face_side = TITLE_FACE if with_emoji and has_little_face(face.label) else 0
        if little_face_side:
            _paste(canvas, little_face(face.label, little_face_side), x, y)
        draw_bars(draw, (x, y), PANEL_WIDTH, title, face, class_names, indent=little_face_side and little_face_side + 8)
        if explanations:
            draw_explanation(canvas, (x + PANEL_WIDTH + MARGIN, y), explanations[index])
    if len(faces) > MOST_PANELS:
        rest = f"the {MOST_PANELS} largest of {len(faces)} faces"
        draw.text((canvas.width - MARGIN, height - 4), rest, fill=FAINT_INK, font=font(13), anchor="rs")
    return np.asarray(canvas)


def draw_bars(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    width: int,
    title: str,
    face: "Face",
    class_names: Sequence[str],
    indent: int = 0,
) -> None:
    """A panel with a title, `indent` pixels from the left, and a bar a class, its top left corner at `place`."""
    left, top = place
    draw.text((left + indent, top), shortened(title, 26, width - indent), fill=INK, font=font(26))
    draw.text((left, top + 34), f"{face.confidence:.0%} sure", fill=FAINT_INK, font=font(16))
    names_width = min(max(font(16).getlength(name) for name in class_names), width * 0.45)
    bar_left, bar_right = left + names_width + 10, left + width - 48
    for row, (name, probability) in enumerate(zip(class_names, face.probabilities, strict=True)):
        middle = top + 76 + 30 * row + 11
        is_answer = name == face.label
        draw.text((bar_left - 10, middle), shortened(name, 16, names_width), fill=INK, font=font(16), anchor="rm")
        draw.rounded_rectangle((bar_left, middle - 9, bar_right, middle + 9), 4, fill=TRACK)
        filled = (bar_right - bar_left) * float(probability)
        if filled >= 1:
            colour = class_colour(name, row)
            draw.rounded_rectangle(
                (bar_left, middle - 9, bar_left + filled, middle + 9), min(4, filled / 2), fill=colour
            )
        ink = INK if is_answer else FAINT_INK
        draw.text((left + width, middle), f"{probability:.0%}", fill=ink, font=font(16), anchor="rm")


def draw_explanation(canvas: Image.Image, place: tuple[int, int], explanation: "Explanation") -> None:
    """The face, with a glow where the class is seen, and a caption below; its top left corner at `place`."""
    left, top = place
    height, width = explanation.face.shape[:2]
    scale = HEAT_SIDE / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    canvas.paste(Image.fromarray(heat_picture(explanation.face, explanation.heat, size)), (left, top))
    says = "what speaks for" if explanation.heat.any() else "nothing speaks for"
    name = shortened(explanation.class_name, 16, HEAT_SIDE)
    draw, below = ImageDraw.Draw(canvas), top + size[1] + 8
    draw.text((left, below), says, fill=FAINT_INK, font=font(16))
    draw.text((left, below + 20), name, fill=INK, font=font(16))


def heat_picture(face: np.ndarray, heat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A face in grey, as the network sees it, and the hotter a place, the more of a glow over it.

    Args:
        face: Grey `[H, W]` or RGB `[H, W, 3]` uint8.
        heat: float32 `[R, R]` from 0 to 1, over the whole face.
        size: Width and height of the answer.

    Returns:
        RGB uint8.
    """
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) if face.ndim == 3 else face
    grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if size[0] < face.shape[1] else cv2.INTER_CUBIC)
    heat = cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR)[..., None]
    colours = cv2.applyColorMap((heat * HOTTEST).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    return (grey[..., None] * (1 - HEAT_SHARE * heat) + colours * (HEAT_SHARE * heat)).astype(np.uint8)


def _draw_label(image: Image.Image, label: Label, name: str, colour: Colour) -> None:
    """Draws a label, and the class's little face over its left end."""
    left, top, right, bottom = label.place
    middle, half, pad = (top + bottom) / 2, label_height(label.size) / 2, padding(label.size)
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((left + label.face_side / 2, middle - half, right - 1, middle + half - 1), pad, fill=colour)
    start = left + label.face_side + pad
    draw.text((start, middle), label.text, fill=ink_on(colour), font=font(label.size), anchor="lm")
    if label.face_side:
        _paste(image, little_face(name, label.face_side), left, top)


def _paste(image: Image.Image, face: Image.Image | None, left: float, top: float) -> None:
    image.paste(face, (round(left), round(top)), face)  # type: ignore[arg-type]


def _colour_of(face: "Face") -> Colour:
    return class_colour(face.label, int(np.argmax(face.probabilities)))


def _grown(box: tuple[int, int, int, int], pixels: int) -> tuple[int, int, int, int]:
    return box[0] - pixels, box[1] - pixels, box[2] + pixels, box[3] + pixels


def _display_scale(picture: np.ndarray) -> float:
    height, width = picture.shape[:2]
    fits = min(PICTURE_AREA[0] / width, PICTURE_AREA[1] / height)
    return min(fits, max(1.0, SMALLEST_SIDE / max(height, width)))


def _resized(picture: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return picture
    size = max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _scaled(face: "Face", scale: float, picture: np.ndarray) -> "Face":
    x, y, width, height = (round(value * scale) for value in face.box)
    return replace(
        face, box=(x, y, max(min(width, picture.shape[1] - x), 1), max(min(height, picture.shape[0] - y), 1))
    )
