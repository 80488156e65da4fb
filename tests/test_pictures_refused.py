"""Files that are no whole picture, or too large: in what words they are refused, in how much time and memory."""

import errno
import os
import random
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.pictures import PictureError, PictureTooLarge, read_picture
from tests.conftest import ROOT
from tests.icc_profiles import DISPLAY_P3, rgb_profile
from tests.pictures import deep_png, encoded, gradient, png_chunk, reason, saved

FUZZ_ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "60"))


def test_missing_file_is_refused(tmp_path):
    assert reason(tmp_path / "a.jpg") == "does not exist"


def test_folder_is_refused(tmp_path):
    (tmp_path / "x.jpg").mkdir()
    assert "is a folder" in reason(tmp_path / "x.jpg")


def test_empty_file_is_refused(tmp_path):
    (tmp_path / "a.jpg").touch()
    assert reason(tmp_path / "a.jpg") == "is empty"


def test_text_with_a_pictures_extension_is_refused(tmp_path):
    (tmp_path / "a.jpg").write_text("not a picture at all")
    assert reason(tmp_path / "a.jpg") == "is not a picture in a known format"


def test_postscript_is_not_handed_to_its_interpreter(tmp_path):
    (tmp_path / "a.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    assert reason(tmp_path / "a.jpg") == "is not a picture in a known format"


def test_unreadable_file_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", Image.fromarray(gradient()))

    def forbid(*_args, **_kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("builtins.open", forbid)  # root, as in a container, may read everything
    assert "no permission" in reason(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    assert reason(tmp_path / "a.jpg") == "is not a regular file"


def test_name_that_cannot_exist_is_refused(tmp_path):
    assert reason(tmp_path / ("a" * 300 + ".jpg")).startswith("cannot be read")
    assert reason(f"{tmp_path}/null\0byte.jpg").startswith("cannot be read")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_picture_is_refused(tmp_path, kind, share):
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    content = saved(tmp_path / "whole", Image.fromarray(noise), format=kind).read_bytes()
    (tmp_path / "a").write_bytes(content[: int(len(content) * share)])
    assert reason(tmp_path / "a").startswith(("is damaged or cut short", "is not a picture"))


def png_header(width: int, height: int) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", b"")


@pytest.mark.parametrize("side", [8001, 20_000, 2_000_000])
def test_bomb_is_refused_by_its_header(tmp_path, side):
    (tmp_path / "a.png").write_bytes(png_header(side, side))
    assert "too large" in reason(tmp_path / "a.png") and f"{side} x {side}" in reason(tmp_path / "a.png")


def test_limit_can_be_moved_both_ways(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("1", (9_500, 9_500)))  # above Pillow's own limit
    assert "limit is 0.5 megapixels" in reason(path, max_megapixels=0.5)
    with pytest.raises(PictureTooLarge) as caught:
        read_picture(path)
    assert caught.value.megapixels == 91
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(path, max_megapixels=200).shape == (9_500, 9_500, 3)


def test_pillows_own_limit_is_left_as_it_was(tmp_path):
    limit = Image.MAX_IMAGE_PIXELS
    reason(tmp_path / "a.png")
    read_picture(ROOT / "input/4.jpg")
    assert limit is not None and limit == Image.MAX_IMAGE_PIXELS


def mutated(content: bytes, chance: random.Random) -> bytes:
    content = bytearray(content)
    for _ in range(chance.randint(1, 12)):
        position = chance.randrange(len(content)) if chance.random() < 0.5 else chance.randrange(min(64, len(content)))
        what = chance.random()
        if what < 0.6:
            content[position] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        elif what < 0.8:
            del content[position : position + chance.randint(1, 20)]
        else:
            content[position:position] = chance.randbytes(chance.randint(1, 20))
        if len(content) < 8:
            break
    return bytes(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "MPO"])
def test_mutated_file_is_read_or_refused_quietly_and_soon(tmp_path, kind):
    content, chance, path = encoded(kind), random.Random(kind), tmp_path / "a"
    for round_number in range(FUZZ_ROUNDS):
        path.write_bytes(mutated(content, chance))
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                picture = read_picture(path)
                assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
            except PictureError as error:
                assert len(str(error)) < 200 and "\n" not in str(error)
        assert time.process_time() - start < 2, f"{kind}, round {round_number}"


def large_picture(path: Path, kind: str) -> Path:
    """4000 by 3000 pixels."""
    if kind == "deep":
        return deep_png(path, np.full((3000, 4000, 3), 3000))
    profile = rgb_profile(DISPLAY_P3, 2.2) if kind == "profile" else None
    return saved(path, Image.new("RGBA", (4000, 3000)), compress_level=1, icc_profile=profile)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is measured as Linux tells it")
@pytest.mark.parametrize(("kind", "decoded"), [("transparent", 4), ("profile", 4), ("deep", 8)])
def test_memory_is_bounded_by_decoder_and_result(tmp_path, kind, decoded):
    path = large_picture(tmp_path / "a.png", kind)
    script = """
import sys
from models.pictures import read_picture
read_picture(sys.argv[1])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    done = subprocess.run([sys.executable, "-c", script, path], cwd=ROOT, capture_output=True, text=True, check=True)
    # Kilobytes: what Pillow has of a pixel, three bytes in the array, and Python with a few strips.
    assert int(done.stdout) < (decoded + 3) * 12_000 + 85_000
