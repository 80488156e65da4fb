"""From an encoded picture of a data set to a face as FER2013 frames it."""

import io
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from models.pictures import FORMATS

if TYPE_CHECKING:
    from models.faces import FaceDetector

LARGEST_PICTURE = 64_000_000  # pixels: a small file may unpack to billions


def decode(encoded: bytes) -> Image.Image:
    """An upright picture, grey or RGB.

    Raises:
        ValueError: It is damaged, too large or too deep; the text says so.
    """
    Image.init()
    try:
        with Image.open(io.BytesIO(encoded), formats=[name for name in FORMATS if name in Image.OPEN]) as image:
            if image.width * image.height > LARGEST_PICTURE or image.mode.startswith(("I", "F")):
                raise ValueError(f"{image.width} x {image.height} in mode {image.mode} is too large or too deep")
            return ImageOps.exif_transpose(image).convert("L" if image.mode == "L" else "RGB")
    except Exception as error:  # on damaged files Pillow raises a dozen kinds of error
        raise ValueError(f"unreadable picture ({error})") from error


def cut_face(picture: Image.Image, box: tuple[int, int, int, int] | None) -> Image.Image | None:
    """The largest face, upright in FER2013's framing; a face's own box is taken as that framing. None without a face.

    Args:
        box: left, top, right, bottom in pixels.
    """
    from models.faces import Detection, face_crop  # and with it OpenCV, which most sets do without

    pixels = np.asarray(picture.convert("RGB"))
    if box:
        left, top, right, bottom = box
        side = max(right - left, bottom - top)
        square = (left + right - side) / 2, (top + bottom - side) / 2, side, side
        return Image.fromarray(face_crop(pixels, Detection(square, score=1.0)))
    found = _detector().detect(pixels)
    return Image.fromarray(face_crop(pixels, found[0])) if found else None


@cache
def _detector() -> "FaceDetector":
    from models.faces import make_detector

    return make_detector()
