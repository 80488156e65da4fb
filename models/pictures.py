"""Reads and writes pictures of any kind, safely.

Whatever a person points the demos at (a truncated download, a 16-bit scan, a phone photo that lies on its side, a 48 KB
file that unpacks to a gigabyte), `read_picture` gives upright RGB pixels, or a `PictureError` that says in a few words
what is wrong with the file.

    from models.pictures import read_picture, write_picture

    picture = read_picture("input/1.jpg")        # uint8 [height, width, 3], RGB
    write_picture("output/copy.png", picture)
"""

import math
import os
import re
import secrets
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from models.pixels import rgb_pixels

# Only the formats that photographs come in. Pillow knows forty; some are loose guesses and one starts Ghostscript.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")
# fmt: off
PICTURE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif",
    ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heif", ".hif",
})
# fmt: on
# What the first box of a HEIC names: a kind of HEVC, or HEIF in general, as AVIF may too.
HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"))
AVIF_BRANDS = frozenset((b"avif", b"avis"))
# PNG by zlib's run lengths alone (Z_RLE): photographs are as small so, in less than half the time.
SAVE_OPTIONS = {"JPEG": {"quality": 92, "subsampling": 0}, "WEBP": {"quality": 92}, "PNG": {"compress_type": 3}}

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

_pillow_globals = threading.Lock()


class PictureError(ValueError):
    """A file that cannot be read or written as a picture; its text is a short reason in a person's words."""


class PictureTooLarge(PictureError):
    """A picture above the limit.

    Attributes:
        megapixels: The lowest whole limit under which it can be read.
    """

    def __init__(self, width: int, height: int, limit: float):
        super().__init__(f"is too large ({width} x {height} pixels; the limit is {limit:g} megapixels)")
        self.megapixels = math.ceil(width * height / 1e6)


def read_picture(path: str | os.PathLike, max_megapixels: float = 64.0) -> np.ndarray:
    """Reads a picture upright, as 8-bit RGB.

    The header alone is read first, so that a small file that unpacks to gigabytes is refused before it does. EXIF
    rotation is applied, transparency is laid over white, deep values are scaled to 8 bits, colour profiles are
    converted to sRGB, and of an animation the first frame is taken. The kind of picture is told by its content, not by
    its extension.

    Args:
        path: the file; a name whose bytes are not valid text (surrogate escapes) works too.
        max_megapixels: largest picture that is decoded, in millions of pixels.

    Returns:
        uint8 array [height, width, 3], sRGB, contiguous.

    Raises:
        PictureTooLarge: it has more pixels than the limit.
        PictureError: the path is not a readable file, or not a whole picture in a known format.
    """
    with _open_file(path) as file:
        try:
            image = _open_image(file, max_megapixels)
            pixels = rgb_pixels(image, lambda: _open_image(file, max_megapixels))
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
                pixels = rgb_pixels(image, lambda: _open_image(file, max_megapixels))
                stands = round(image.info.get("duration", 0))
                yield pixels, stands if stands > 10 else 100
        except PictureError:
            raise
        except UnidentifiedImageError as error:
            raise PictureError("is not a picture in a known format") from error
        except Exception as error:
            raise PictureError(f"is damaged or cut short ({_one_line(error)})") from error


def write_picture(path: str | os.PathLike, rgb: np.ndarray, comment: str = "") -> None:
    """Writes a picture whole or not at all; the extension says the format, missing folders are made.

    It goes to a temporary file beside the target and is renamed onto it, so that nobody ever sees half a picture and a
    full disk leaves an existing file as it was.

    Args:
        path: the file to write or replace.
        rgb: uint8 array [height, width, 3], RGB.
        comment: what a JPEG has to say in its header.

    Raises:
        PictureError: the extension is of no format that can be written, or the format cannot hold the picture.
        OSError: the file system refuses (full disk, no permission).
    """
    path = Path(path)
    Image.init()
    kind = Image.registered_extensions().get(path.suffix.lower())
    if path.suffix.lower() not in PICTURE_SUFFIXES or kind not in FORMATS or kind not in Image.SAVE:
        raise PictureError(f"cannot be written: {path.suffix or 'a name without extension'} is no format for that here")
    encoded = BytesIO()
    try:
        options = {**SAVE_OPTIONS.get(kind, {}), **({"comment": comment} if comment else {})}
        Image.fromarray(rgb).save(encoded, format=kind, **options)
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


def _open_image(file: BinaryIO, max_megapixels: float) -> ImageFile.ImageFile:
    """Reads the header, and refuses a picture above the limit before any of it is decoded."""
    file.seek(0)
    if _is_heic(file):
        image = _open_heic(file)
    else:
        with _quiet_pillow():
            Image.init()
            image = Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    width, height = image.size
    if width * height > max_megapixels * 1e6:
        raise PictureTooLarge(width, height, max_megapixels)
    return image


def _is_heic(file: BinaryIO) -> bool:
    """Whether the file's first box names HEIF's brands; AVIF, which Pillow reads itself, may name them as well."""
    head = file.read(12)
    brands = {head[8:]}
    if head[4:8] == b"ftyp":
        listed = file.read(min(int.from_bytes(head[:4], "big"), 256) - 12)[4:]
        brands.update(listed[start : start + 4] for start in range(0, len(listed), 4))
    file.seek(0)
    return head[4:8] == b"ftyp" and bool(brands & HEIF_BRANDS) and not brands & AVIF_BRANDS


def _open_heic(file: BinaryIO) -> ImageFile.ImageFile:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise PictureError("is a HEIC picture, which needs a package: `python -m pip install pillow-heif`") from error
    return HeifImageFile(file)  # itself, so that nobody else's Pillow is changed by registering it; it comes upright


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


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "does not exist"
    if isinstance(error, PermissionError):
        return "may not be read (no permission)"
    return f"cannot be read ({_one_line(getattr(error, 'strerror', error))})"


def _one_line(error: object) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 80 else text[:77] + "..."
