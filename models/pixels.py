"""From an opened picture to 8-bit sRGB: deep values scaled, its colour profile applied, transparency over white.

    pixels = rgb_pixels(Image.open(file), lambda: Image.open(file))  # uint8 [height, width, 3]

Pillow itself leaves colour profiles aside, and of 16-bit colour it keeps each value's high byte: 12-bit values, as
cameras and microscopes write them, come out black.
"""

import re
import struct
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageFile

STRIP_PIXELS = 1 << 20  # converted at a time, so that a large picture is never in memory three times over
# Whites of 8-, 10-, 12-, 14- and 16-bit values, and of floats.
USUAL_WHITES = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)
DEEP_COLOUR = re.compile(r"(RGB|RGBA|RGBa|RGBX|CMYK|LA|[RGBACMYK]);16[LBN]")  # how Pillow names what it is to unpack
OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
BITS_PER_SAMPLE, PHOTOMETRIC, MAX_SAMPLE_VALUE, S_MAX_SAMPLE_VALUE = 258, 262, 281, 341  # of TIFF
WHITE_IS_ZERO = 0
BLACK_POINT_COMPENSATION = 0x2000  # Little CMS's flag, for which Pillow has a name from 10.3 on

Box = tuple[int, int, int, int]


def rgb_pixels(image: ImageFile.ImageFile, reopen: Callable[[], ImageFile.ImageFile]) -> np.ndarray:
    """Decodes, then converts strip by strip into one array.

    Args:
        image: Its header is read, its pixels are not yet.
        reopen: Opens the file once more, from its beginning.

    Returns:
        uint8 `[height, width, 3]`, sRGB.

    Raises:
        Exception: Of nearly any kind, where the file is damaged.
    """
    profile = image.info.get("icc_profile")
    deep_strip = _deep_strips(image, reopen)
    image.load()
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    for box in _strips(image):
        strip = deep_strip(box) if deep_strip else image.crop(box)
        pixels[box[1] : box[3]] = np.asarray(_to_rgb(strip, profile))
    return pixels


def _strips(image: Image.Image) -> Iterator[Box]:
    width, height = image.size
    rows = max(1, STRIP_PIXELS // width)
    return ((0, top, width, min(top + rows, height)) for top in range(0, height, rows))


def _to_rgb(strip: Image.Image, profile: bytes | None) -> Image.Image:
    """An 8-bit strip of any mode in sRGB."""
    alpha = None
    if strip.mode in WITH_ALPHA or "transparency" in strip.info:
        strip = strip.convert("RGBA") if strip.mode != "LA" else strip
        alpha = strip.getchannel("A")
    mode = "CMYK" if strip.mode == "CMYK" else "L" if strip.mode in ("1", "L", "LA") else "RGB"
    transform = _to_srgb(profile, mode) if profile else None
    rgb = transform(strip.convert(mode)) if transform else strip.convert("RGB")
    if alpha is None:
        return rgb
    rgb.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", rgb.size, "white"), rgb).convert("RGB")


@lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> Callable[[Image.Image], Image.Image] | None:
    """Converts strips of a mode, L, RGB or CMYK, from an ICC profile's colours; None where nothing is to be done.

    That is where the profile is broken or of a picture of another kind, which is no reason to refuse whole pixels, and
    where it is sRGB: it is told by what it does, since there are many by as many names. The intent is relative
    colorimetric: what sRGB can show keeps its very colour, where perceptual tables shift skin to make room for colours
    that are not in the picture; black-point compensation keeps print's shadows apart.
    """
    from PIL import ImageCms

    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB"), mode, "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC, BLACK_POINT_COMPENSATION,  # type: ignore[arg-type]
        )  # fmt: skip
    except (OSError, ImageCms.PyCMSError, ImportError):  # the last from a Pillow that was built without Little CMS
        return None
    if mode != "CMYK":
        levels = np.arange(0, 256, 15, dtype=np.uint8)
        colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(levels.size, -1, 3)
        before = Image.fromarray(colours).convert(mode)
        after = np.asarray(ImageCms.applyTransform(before, transform), np.int16)
        if np.abs(after - np.asarray(before.convert("RGB"))).max() <= 1:
            return None
    return partial(ImageCms.applyTransform, transform=transform)  # type: ignore[return-value]


def _deep_strips(
    image: ImageFile.ImageFile, reopen: Callable[[], ImageFile.ImageFile]
) -> Callable[[Box], Image.Image] | None:
    """What gives strips in 8 bits a value of a picture that has more of them; None where it has not."""
    told = _told_white(image)  # before the pixels are read: Pillow lets go of the file then
    if image.mode.startswith(("I", "F")):
        mode, values = "L", _grey_values(image)
    elif any(map(DEEP_COLOUR.fullmatch, _raw_modes(image))) and image.tell() == 0:
        mode, values = _colour_values(image, reopen)
    elif image.format == "JPEG2000" and image.mode in ("RGB", "RGBA") and (bits := _jpeg2000_bits(image.fp)) > 8:
        told, mode, values = 2.0**bits - 1, image.mode, _jpeg2000_values(image)
    else:
        return None
    colours = {"L": 1, "LA": 1, "CMYK": 4}.get(mode, 3)
    lowest, highest = _extremes(image, values)
    black, white = _range(lowest[:colours].min(), highest[:colours].max(), told)
    blacks, whites = np.full(lowest.size, black), np.full(lowest.size, white)
    if mode in WITH_ALPHA and white < USUAL_WHITES[-1]:  # who leaves colours at 12 bits may leave alpha there, or not
        whites[-1] = _range(0.0, highest[-1], told)[1]
    if image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO:  # type: ignore[attr-defined]
        blacks, whites = whites, blacks
    clear = image.info.get("transparency")  # PNG's one transparent colour

    def strip(box: Box) -> Image.Image:
        found = values(box)
        levels, size = _scaled(found, blacks, whites), (found.shape[1], found.shape[0])
        if clear is None:
            return Image.frombytes(mode, size, levels.tobytes())
        alpha = 255 * (found != clear).any(-1, keepdims=True).astype(np.uint8)
        return Image.frombytes(f"{mode}A", size, np.concatenate([levels, alpha], -1).tobytes())

    return strip


def _scaled(values: np.ndarray, blacks: np.ndarray, whites: np.ndarray) -> np.ndarray:
    """Values `[h, w, C]` in 8 bits, between what is black and what is white in each channel."""
    is_float = values.dtype.kind == "f"
    levels: Any = values.astype(np.float64 if is_float else np.float32)  # 16 bits are exact in either
    if is_float:
        np.nan_to_num(levels, copy=False, nan=blacks[0], posinf=whites[0], neginf=blacks[0])
    levels -= blacks.astype(levels.dtype)
    levels *= (255 / np.where(whites == blacks, 1e-12, whites - blacks)).astype(levels.dtype)
    return np.rint(np.clip(levels, 0, 255, out=levels), out=levels).astype(np.uint8)


def _extremes(image: Image.Image, values: Callable[[Box], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest finite value of each channel, float64 `[C]`, zeros where there is none."""
    found = []
    for box in _strips(image):
        channels = np.moveaxis(values(box), -1, 0)  # each for itself, which is many times as fast
        finite = [channel[np.isfinite(channel)] if channel.dtype.kind == "f" else channel for channel in channels]
        found.append([(part.min(), part.max()) if part.size else (0, 0) for part in finite])
    extremes = np.array(found, np.float64)  # [strips, C, 2]
    return extremes[..., 0].min(0), extremes[..., 1].max(0)


def _range(lowest: float, highest: float, told_white: float) -> tuple[float, float]:
    """The values that stand for black and white.

    White is the smallest usual one that holds all values and what the file tells. Where there are negative values, as
    in floats, the range is their own.
    """
    if lowest < 0:
        return lowest, highest
    least = max(highest, told_white)
    return 0.0, next((white for white in sorted({*USUAL_WHITES, told_white}) if white >= least), least)


def _told_white(image: ImageFile.ImageFile) -> float:
    """The value that a deep picture's file says to be white, or 0 where it does not say.

    PNG's sBIT has how many bits matter; they are the low ones if all values fit into them. TIFF's tags have the highest
    value that occurs, which is rounded up. PGM, JPEG 2000 and HEIC come brought to 16 bits from what they say.
    """
    if image.format == "PNG":
        return 2.0 ** _significant_bits(image.fp) - 1
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        bits = np.max(tags.get(BITS_PER_SAMPLE, 1))
        highest = max(np.max(tags.get(tag, 0)) for tag in (MAX_SAMPLE_VALUE, S_MAX_SAMPLE_VALUE))
        return max(2.0**bits - 1 if bits < 16 else 0.0, _range(0.0, float(highest), 0.0)[1] if highest > 0 else 0.0)
    return 65535.0 if image.format in ("PPM", "JPEG2000", "HEIF") and image.mode != "F" else 0.0


def _significant_bits(file: Any) -> int:
    """What PNG's sBIT chunk says, or 0; the file's position stays."""
    start, bits = file.tell(), 0
    file.seek(8)
    while (head := file.read(8))[4:] not in (b"IDAT", b""):
        length, kind = struct.unpack(">I4s", head)
        if kind == b"sBIT":
            bits = max(file.read(4)[:length], default=0)
            break
        file.seek(length + 4, 1)
    file.seek(start)
    return bits if bits <= 16 else 0


def _grey_values(image: Image.Image) -> Callable[[Box], np.ndarray]:
    image.load()
    return lambda box: np.asarray(image.crop(box))[..., None]


def _colour_values(
    image: ImageFile.ImageFile, reopen: Callable[[], ImageFile.ImageFile]
) -> tuple[str, Callable[[Box], np.ndarray]]:
    """The mode, and what gives a strip's whole 16-bit values `[h, w, channels]`.

    Pillow unpacks the high byte of each value. From the same file it unpacks the low one if it is told that the bytes
    have the other order.
    """
    raw_modes = [raw_mode.replace("RGBa", "RGBA") for raw_mode in _raw_modes(image)]  # as stored, not divided by alpha
    mode = "RGBa" if raw_modes != _raw_modes(image) else image.mode
    if raw_modes[0].startswith("LA"):  # four bytes a pixel
        _unpack(image, ["RGBA"] * len(raw_modes))
        return "LA", lambda box: np.asarray(image.crop(box)).view(">u2")
    _unpack(image, raw_modes)
    low = reopen()
    try:
        _unpack(low, [raw_mode[:-1] + OTHER_ORDER[raw_mode[-1]] for raw_mode in raw_modes])
    except ValueError:  # Pillow has no such order for rare modes: its high bytes alone are what there is
        low = image
    return mode, lambda box: np.asarray(image.crop(box), np.uint16) << 8 | np.asarray(low.crop(box))


def _jpeg2000_bits(file: Any) -> int:
    """Of the first component, as the codestream's SIZ segment says (ISO/IEC 15444-1, A.5.1); the position stays."""
    start = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(start)
    place = content.index(b"\xff\x4f\xff\x51")
    return (content[place + 42] & 0x7F) + 1


def _jpeg2000_values(image: ImageFile.ImageFile) -> Callable[[Box], np.ndarray]:
    """What gives a strip's whole values of deep colours, which OpenCV decodes.

    Pillow 13 rounds them to 8 bits and lets 255.5 become 0: white comes black, and what is opaque transparent.
    """
    import cv2

    assert image.fp is not None
    image.fp.seek(0)
    found = cv2.imdecode(np.frombuffer(image.fp.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.shape != (image.height, image.width, len(image.mode)):
        raise ValueError("its deep colours are stored in a way that cannot be read: save it as PNG or TIFF")
    order = cv2.COLOR_BGR2RGB if image.mode == "RGB" else cv2.COLOR_BGRA2RGBA
    pixels = cv2.cvtColor(found, order)
    return lambda box: pixels[box[1] : box[3], box[0] : box[2]]


def _raw_modes(image: ImageFile.ImageFile) -> list[str]:
    """How Pillow is to unpack the tiles of a PNG or TIFF, RGB;16B for one."""
    if image.format not in ("PNG", "TIFF"):
        return []
    raw_modes = [
        tile[3] if isinstance(tile[3], str) else tile[3][0]  # type: ignore[index]
        for tile in image.tile
    ]
    if image.format == "TIFF" and np.max(image.tag_v2.get(BITS_PER_SAMPLE, 1)) == 16:  # type: ignore[attr-defined]
        order = "L" if image.tag_v2.prefix == b"II" else "B"  # type: ignore[attr-defined]
        # Of channels that are stored one after the other Pillow forgets that they are deep, and reads noise.
        raw_modes = [f"{raw_mode};16{order}" if len(raw_mode) == 1 else raw_mode for raw_mode in raw_modes]
    return raw_modes


def _unpack(image: ImageFile.ImageFile, raw_modes: list[str]) -> None:
    """Decodes an image, its tiles unpacked in other ways than Pillow chose."""
    tiles: Any = []
    for tile, raw_mode in zip(image.tile, raw_modes, strict=True):
        options = raw_mode if isinstance(tile[3], str) else (raw_mode, *tile[3][1:])  # type: ignore[index]
        tiles.append(getattr(type(tile), "_make", tuple)((*tile[:3], options)))  # before Pillow 11, plain tuples
    image.tile = tiles
    image.load()
