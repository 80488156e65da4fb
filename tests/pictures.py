"""Pictures as tests make and refuse them: a gradient in any format, and PNGs of 16 bits."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.pictures import PictureError, read_picture


def gradient(height: int = 40, width: int = 60) -> np.ndarray:
    """RGB uint8; red grows to the right, green downwards, so that every turn and flip shows."""
    red, green = np.meshgrid(np.linspace(0, 250, width), np.linspace(0, 250, height))
    return np.stack([red, green, np.full_like(red, 90)], axis=2).round().astype(np.uint8)


def saved(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


def encoded(kind: str) -> bytes:
    buffer = BytesIO()
    Image.fromarray(gradient()).save(buffer, kind)
    return buffer.getvalue()


def stored_for(orientation: int, upright: Image.Image) -> Image.Image:
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # EXIF's orientation undone: Image.Transpose of the pixels
    return upright.transpose(turns[orientation]) if orientation > 1 else upright


def reason(path: str | Path, **options) -> str:
    with pytest.raises(PictureError) as caught:
        read_picture(path, **options)
    return str(caught.value)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def deep_png(path: Path, values: np.ndarray, *chunks: bytes) -> Path:
    """A PNG of 16 bits a value, `[H, W, C]`: grey, grey with alpha, RGB or RGBA."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, (0, 4, 2, 6)[channels - 1], 0, 0, 0)
    chunks = (png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", zlib.compress(rows, 1)), png_chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path
