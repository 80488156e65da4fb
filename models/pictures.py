"""Reads and writes pictures of any kind, safely.

Whatever a person points the demos at (a truncated download, a 16-bit scan, a phone photo that lies on its side, a 48 KB
file that unpacks to a gigabyte), `read_picture` gives upright RGB pixels, or a `PictureError` that says in a few words
what is wrong with the file.

    from models.pictures import read_picture, write_picture

    picture = read_picture("input/1.jpg")        # uint8 [height, width, 3], RGB
    write_picture("output/copy.png", picture)
"""

import os
import re
import secrets
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from operator import methodcaller
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

# Only the formats that photographs come in. Pillow knows forty; some are loose guesses and one starts Ghostscript.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")
# fmt: off
PICTURE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif",
    ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm",
})
# fmt: on
SAVE_OPTIONS = {"JPEG": {"quality": 92, "subsampling": 0}, "WEBP": {"quality": 92}}

ORIENTATION_TAG = 0x0112
STORED_UPRIGHT = 1
# EXIF orientation → how to lay the stored rows upright (EXIF 2.3, section 4.6.4).
UPRIGHT = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}
STRIP_PIXELS = 1 << 20  # converted at a time, so that a large picture is never in memory three times over

_pillow_globals = threading.Lock()


class PictureError(ValueError):
    """A file that cannot be read or written as a picture; its text is a short reason in a person's words."""


def read_picture(path: str | os.PathLike, max_megapixels: float = 64.0) -> np.ndarray:
    """Reads a picture upright, as 8-bit RGB.

    The header alone is read first, so that a small file that unpacks to gigabytes is refused before it does. EXIF
    rotation is applied, transparency is laid over white, deep greys are scaled to 8 bits, and of an animation the
    first frame is taken. The kind of picture is told by its content, not by its extension.

    Args:
        path: the file; a name whose bytes are not valid text (surrogate escapes) works too.
        max_megapixels: largest picture that is decoded, in millions of pixels.

    Returns:
        uint8 array [height, width, 3], RGB, contiguous.

    Raises:
        PictureError: the path is not a readable file, or not a whole picture in a known format, or too large.
    """
    with _open_file(path) as file:
        try:
            image = _open_image(file, max_megapixels)
            pixels = _rgb_pixels(image)
            orientation = _orientation(image)
        except PictureError:
            raise
        except UnidentifiedImageError as error:
            raise PictureError("is not a picture in a known format") from error
        except Exception as error:  # on damaged files Pillow raises nearly everything, from KeyError to struct.error
            raise PictureError(f"is damaged or cut short ({_one_line(error)})") from error
    upright = UPRIGHT.get(orientation)
    return pixels if upright is None else np.ascontiguousarray(upright(pixels))


def read_animation(path: str | os.PathLike, max_megapixels: float = 64.0) -> Iterator[tuple[np.ndarray, int]]:
    """Reads the pictures of an animation, one after the other; a picture that does not move is one.

    Yields:
        uint8 array [height, width, 3], RGB, as `read_picture` gives it, and how many milliseconds it stands. Ten and
        less are a hundred, as browsers have it.

    Raises:
        PictureError: as of `read_picture`; what came before the fault has been yielded.
    """
    with _open_file(path) as file:
        try:
            image = _open_image(file, max_megapixels)
            for index in range(getattr(image, "n_frames", 1)):
                image.seek(index)
                pixels = _rgb_pixels(image)
                stands = round(image.info.get("duration", 0))
                yield pixels, stands if stands > 10 else 100
        except PictureError:
            raise
        except UnidentifiedImageError as error:
            raise PictureError("is not a picture in a known format") from error
        except Exception as error:
            raise PictureError(f"is damaged or cut short ({_one_line(error)})") from error


def write_picture(path: str | os.PathLike, rgb: np.ndarray) -> None:
    """Writes a picture whole or not at all; the extension says the format, missing folders are made.

    It goes to a temporary file beside the target and is renamed onto it, so that nobody ever sees half a picture and a
    full disk leaves an existing file as it was.

    Args:
        path: the file to write or replace.
        rgb: uint8 array [height, width, 3], RGB.

    Raises:
        PictureError: the extension is of no format that can be written, or the format cannot hold the picture.
        OSError: the file system refuses (full disk, no permission).
    """
    path = Path(path)
    Image.init()
    kind = Image.registered_extensions().get(path.suffix.lower())
    if path.suffix.lower() not in PICTURE_SUFFIXES or kind not in Image.SAVE:
        raise PictureError(f"cannot be written: {path.suffix or 'a name without extension'} is no picture format here")
    encoded = BytesIO()
    try:
        Image.fromarray(rgb).save(encoded, format=kind, **SAVE_OPTIONS.get(kind, {}))
    except (OSError, ValueError) as error:
        raise PictureError(f"cannot be written as {kind} ({_one_line(error)})") from error

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        temporary.write_bytes(encoded.getbuffer())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def find_pictures(folder: str | os.PathLike, recursive: bool = False) -> list[Path]:
    """Lists the pictures in a folder by their extension, in natural order: 2.jpg before 10.jpg.

    Args:
        folder: where to look. Hidden files and folders are passed over.
        recursive: look into the folders below too; links to folders are not followed, so that loops do no harm.

    Returns:
        Paths below `folder`; a folder's own pictures come before those of the folders in it.

    Raises:
        PictureError: `folder` is not a folder or cannot be listed. A folder below it that cannot be is passed over.
    """
    try:
        return list(_walk(Path(folder), recursive))
    except OSError as error:
        raise PictureError(_reason(error)) from error


def _walk(folder: Path, recursive: bool) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=_natural_order)
    yield from (
        folder / entry.name
        for entry in visible
        if os.path.splitext(entry.name)[1].lower() in PICTURE_SUFFIXES and not os.path.isdir(entry.path)
    )
    for entry in visible if recursive else ():
        if entry.is_dir(follow_symlinks=False):
            try:
                yield from _walk(folder / entry.name, recursive)
            except OSError:
                continue


def _natural_order(entry: os.DirEntry) -> tuple:
    parts = re.split(r"([0-9]+)", entry.name.casefold())
    return [int(part) if part.isdigit() else part for part in parts], entry.name


def _open_file(path: str | os.PathLike) -> BinaryIO:
    try:
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode) and status.st_size:
            return open(path, "rb")
    except (OSError, ValueError) as error:
        raise PictureError(_reason(error)) from error
    if stat.S_ISDIR(status.st_mode):
        raise PictureError("is a folder, not a picture")
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for someone to write into it
        raise PictureError("is not a regular file")
    raise PictureError("is empty")


def _open_image(file: BinaryIO, max_megapixels: float) -> Image.Image:
    """Reads the header, and refuses a picture above the limit before any of it is decoded."""
    with _quiet_pillow():
        Image.init()
        image = Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    width, height = image.size
    if width * height > max_megapixels * 1e6:
        raise PictureError(f"is too large ({width} x {height} pixels; the limit is {max_megapixels:g} megapixels)")
    return image


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8. Broken EXIF is no reason to refuse a picture whose pixels are whole."""
    try:
        with _quiet_pillow():
            return image.getexif().get(ORIENTATION_TAG, STORED_UPRIGHT)
    except Exception:  # as above: the EXIF reader, too, raises nearly everything
        return STORED_UPRIGHT


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Keeps Pillow's warnings, and its limit of 89 or 179 megapixels (ours stands in its place), out of the way.

    Both are global to the process, so one thread at a time changes them, only while a header is read.
    """
    with _pillow_globals, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _rgb_pixels(image: Image.Image) -> np.ndarray:
    """Decodes, then converts strip by strip into one array [height, width, 3]."""
    image.load()
    width, height = image.size
    to_rgb = _conversion(image)
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        pixels[top:bottom] = np.asarray(to_rgb(image.crop((0, top, width, bottom))))
    return pixels


def _conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image | np.ndarray]:
    """What makes 8-bit RGB, or grey `[H, W, 1]`, of a strip of this image."""
    if image.mode.startswith(("I", "F")):
        low, high = _value_range(image)
        return partial(_scaled_grey, low=low, high=high)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _over_white
    return methodcaller("convert", "RGB")


def _over_white(strip: Image.Image) -> Image.Image:
    white = Image.new("RGBA", strip.size, "white")
    return Image.alpha_composite(white, strip.convert("RGBA")).convert("RGB")


def _value_range(image: Image.Image) -> tuple[float, float]:
    """The values that stand for black and white in a deep grey picture.

    16-bit integers say so themselves. 32-bit integers and floats do not: the smallest usual range that holds them, or
    their own where there are negative ones.
    """
    if image.mode.startswith("I;16"):
        return 0.0, 65535.0
    values = np.asarray(image)
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if low < 0:
        return low, high
    return 0.0, next((top for top in (1.0, 255.0, 65535.0) if high <= top), high)


def _scaled_grey(strip: Image.Image, low: float, high: float) -> np.ndarray:
    values = np.nan_to_num(np.asarray(strip, np.float64), nan=low, posinf=high, neginf=low)
    grey = ((values - low) * (255.0 / max(high - low, 1e-12))).clip(0, 255).round().astype(np.uint8)
    return grey[..., None]


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "does not exist"
    if isinstance(error, PermissionError):
        return "may not be read (no permission)"
    return f"cannot be read ({_one_line(getattr(error, 'strerror', error))})"


def _one_line(error: object) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 80 else text[:77] + "..."
