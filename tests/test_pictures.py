"""Reading and writing pictures: every kind that a person may have, and every way in which a file can be bad."""

import errno
import os
import random
import re
import struct
import subprocess
import sys
import time
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, features

from models.pictures import (
    PICTURE_SUFFIXES,
    PictureError,
    PictureTooLarge,
    find_pictures,
    read_picture,
    write_picture,
)
from tests import icc_profiles
from tests.icc_profiles import ADOBE_RGB, DISPLAY_P3, rgb_profile

ROOT = Path(__file__).parent.parent
FUZZ_ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "60"))


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


# What can be read


def test_picture_is_contiguous_rgb(tmp_path):
    picture = read_picture(saved(tmp_path / "a.png", Image.fromarray(gradient())))
    assert picture.dtype == np.uint8 and picture.flags.c_contiguous and picture.flags.writeable
    np.testing.assert_array_equal(picture, gradient())


def test_picture_of_several_strips_is_whole(tmp_path):
    tall = np.random.default_rng(0).integers(0, 256, (1500, 1400, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_picture(saved(tmp_path / "a.bmp", Image.fromarray(tall))), tall)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = stored_for(orientation, Image.fromarray(gradient(64, 96)))
    picture = read_picture(saved(tmp_path / "a.jpg", stored, exif=exif, quality=95, subsampling=0))
    assert picture.shape == (64, 96, 3)
    assert np.abs(picture.astype(int) - gradient(64, 96)).mean() < 2


def test_exif_rotation_of_tiff_is_applied_once(tmp_path):
    path = saved(
        tmp_path / "a.tif", Image.fromarray(gradient()).transpose(Image.Transpose.ROTATE_90), tiffinfo={274: 6}
    )
    np.testing.assert_array_equal(read_picture(path), gradient())


def test_broken_exif_does_not_refuse_whole_pixels(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.fromarray(gradient()), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12broken")
    assert read_picture(path).shape == (40, 60, 3)


@pytest.mark.parametrize("byte_order", ["<u2", ">u2"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, byte_order):
    values = np.linspace(0, 65535, 60).round().astype(byte_order)
    image = Image.frombytes("I;16" if byte_order == "<u2" else "I;16B", (60, 1), values.tobytes())
    picture = read_picture(saved(tmp_path / "a.tif", image))
    np.testing.assert_allclose(picture[0, :, 0], np.linspace(0, 255, 60), atol=1)


def test_16_bit_png_is_scaled_not_clipped(tmp_path):
    values = np.linspace(0, 65535, 60).round().astype(np.uint16)
    picture = read_picture(saved(tmp_path / "a.png", Image.fromarray(values[None])))
    np.testing.assert_allclose(picture[0, :, 0], np.linspace(0, 255, 60), atol=1)


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0, 1e7])
def test_float_greys_are_scaled_by_the_range_that_holds_them(tmp_path, top):
    values = np.linspace(0, top, 60, dtype=np.float32)[None]
    picture = read_picture(saved(tmp_path / "a.tif", Image.fromarray(values)))
    np.testing.assert_allclose(picture[0, :, 1], np.linspace(0, 255, 60), atol=1)


def test_float_greys_may_be_negative_or_no_number(tmp_path):
    values = np.array([[-1, 0, 1, np.nan, np.inf, -np.inf]], np.float32)
    picture = read_picture(saved(tmp_path / "a.tif", Image.fromarray(values)))
    assert picture[0, :, 0].tolist() == [0, 128, 255, 0, 255, 0]


def test_32_bit_integers_are_scaled(tmp_path):
    values = np.linspace(0, 65535, 60).round().astype(np.int32)[None]
    picture = read_picture(saved(tmp_path / "a.tif", Image.fromarray(values)))
    np.testing.assert_allclose(picture[0, :, 2], np.linspace(0, 255, 60), atol=1)


def test_transparency_lies_over_white(tmp_path):
    black = np.zeros((4, 4, 4), np.uint8)
    black[:, 2:, 3] = 255
    picture = read_picture(saved(tmp_path / "a.png", Image.fromarray(black)))
    assert (picture[:, :2] == 255).all() and (picture[:, 2:] == 0).all()


def test_grey_with_transparency_lies_over_white(tmp_path):
    picture = read_picture(saved(tmp_path / "a.png", Image.fromarray(np.zeros((4, 4, 2), np.uint8))))
    assert (picture == 255).all()


@pytest.mark.parametrize("transparency", [0, bytes([0, 255])])
def test_transparent_colour_of_palette_becomes_white(tmp_path, transparency):
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 200, 10, 10])
    picture = read_picture(saved(tmp_path / "a.png", image, transparency=transparency))
    assert picture.tolist() == [[[255, 255, 255], [200, 10, 10]]]


def test_1_bit_picture_is_black_and_white(tmp_path):
    image = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    assert read_picture(saved(tmp_path / "a.png", image)).tolist() == [[[0] * 3, [255] * 3]]


def test_cmyk_becomes_rgb(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.fromarray(gradient()).convert("CMYK"), quality=95, subsampling=0)
    assert np.abs(read_picture(path).astype(int) - gradient()).mean() < 3


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_animation_gives_its_first_frame(tmp_path, suffix):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    path = saved(tmp_path / f"a{suffix}", frames[0], save_all=True, append_images=frames[1:], duration=100)
    assert np.abs(read_picture(path)[0, 0].astype(int) - (255, 0, 0)).max() < 8


def test_content_counts_not_the_extension(tmp_path):
    saved(tmp_path / "a.png", Image.fromarray(gradient())).rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.jpg"), gradient())


@pytest.mark.parametrize("name", ["with blank.png", "quote'\".png", "new\nline.png", "😀.png", "\udcff\udcfe.png"])
def test_any_name_can_be_read_and_written(tmp_path, name):
    if sys.platform == "win32":
        pytest.skip("such names cannot exist here")
    path = os.path.join(tmp_path, name)
    write_picture(path, gradient())
    np.testing.assert_array_equal(read_picture(path), gradient())
    assert find_pictures(tmp_path) == [Path(path)]


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


def deep_tiff(path: Path, values: np.ndarray, order: str = "<", tags: dict[int, int] | None = None) -> Path:
    """A TIFF of 16 bits a value, `[H, W, C]`, not compressed; tag 284 with 2 stores one channel after the other."""
    height, width, channels = values.shape
    tags = {256: width, 257: height, 258: 16, 259: 1, 262: 2 if channels > 1 else 1, 277: channels, **(tags or {})}
    planes = channels if tags.get(284) == 2 else 1
    stored = values.transpose(2, 0, 1) if planes > 1 else values
    size = values.size * 2 // planes
    lists = {273: [8 + size * plane for plane in range(planes)], 279: [size] * planes, 258: [16] * channels}
    entries, far = b"", b""
    directory = 8 + size * planes
    numbers = {**{tag: [value] for tag, value in tags.items()}, **lists}
    for tag, of_tag in sorted(numbers.items()):
        content = struct.pack(f"{order}{len(of_tag)}I", *of_tag)
        if len(of_tag) > 1:
            place = directory + 2 + 12 * len(numbers) + 4 + len(far)
            far, content = far + content, struct.pack(f"{order}I", place)
        entries += struct.pack(f"{order}HHI", tag, 4, len(of_tag)) + content
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", directory)
    directory_bytes = struct.pack(f"{order}H", len(numbers)) + entries + bytes(4)
    path.write_bytes(start + stored.astype(f"{order}u2").tobytes() + directory_bytes + far)
    return path


def ramps(white: int, channels: int) -> np.ndarray:
    """`[30, 40, C]`, each channel a ramp from 0 to white in another direction."""
    across, down = np.meshgrid(np.linspace(0, 1, 40), np.linspace(0, 1, 30))
    return np.rint(white * np.stack([across, down, 1 - across, 1 - down], -1)[..., :channels])


def over_white(values: np.ndarray, white: int) -> np.ndarray:
    """What deep values `[H, W, C]` should look like, float64 `[H, W, 3]`."""
    shares = values / white
    colours = shares[..., : 1 if values.shape[2] < 3 else 3]
    alpha = shares[..., -1:] if values.shape[2] in (2, 4) else 1
    return np.broadcast_to(255 * (colours * alpha + 1 - alpha), (*values.shape[:2], 3))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("white", [255, 1023, 4095, 16383, 65535])
def test_deep_png_is_scaled_by_the_range_that_holds_its_values(tmp_path, white, channels):
    values = ramps(white, channels)
    picture = read_picture(deep_png(tmp_path / "a.png", values))
    np.testing.assert_allclose(picture, over_white(values, white), atol=2)


@pytest.mark.parametrize("tags", [{}, {284: 2}, {274: 6}, {274: 5}])
@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_colours_of_tiff_are_whole_and_upright(tmp_path, order, tags):
    values = ramps(4095, 3)
    picture = read_picture(deep_tiff(tmp_path / "a.tif", values, order, tags))
    upright = {6: np.rot90(values, -1), 5: values.swapaxes(0, 1)}.get(tags.get(274), values)
    np.testing.assert_allclose(picture, over_white(upright, 4095), atol=1)


def test_deep_tiff_with_compression_and_transparency_is_whole(tmp_path):
    values = ramps(4095, 4)
    cv2.imwrite(str(tmp_path / "a.tif"), values[..., [2, 1, 0, 3]].astype(np.uint16))  # LZW, with a predictor
    np.testing.assert_allclose(read_picture(tmp_path / "a.tif"), over_white(values, 4095), atol=2)
    premultiplied = ramps(4095, 4)
    premultiplied[..., :3] *= premultiplied[..., 3:] / 4095
    deep_tiff(tmp_path / "a.tif", premultiplied, tags={338: 1})
    np.testing.assert_allclose(read_picture(tmp_path / "a.tif"), over_white(values, 4095), atol=3)


def test_transparent_colour_of_deep_png_becomes_white(tmp_path):
    values = ramps(4095, 3)
    values[5, 5] = (1234, 77, 2000)
    expected = over_white(values, 4095).copy()
    expected[5, 5] = 255
    clear = png_chunk(b"tRNS", values[5, 5].astype(">u2").tobytes())
    np.testing.assert_allclose(read_picture(deep_png(tmp_path / "a.png", values, clear)), expected, atol=1)


@pytest.mark.parametrize("channels", [1, 3])
def test_picture_with_more_than_14_bits_stays_as_dark_as_it_is(tmp_path, channels):
    values = ramps(30000, channels)
    np.testing.assert_allclose(read_picture(deep_png(tmp_path / "a.png", values)), over_white(values, 65535), atol=1)


@pytest.mark.parametrize(("bits", "highest", "white"), [(12, 900, 4095), (16, 900, 65535), (12, 50000, 65535)])
@pytest.mark.parametrize("channels", [1, 3])
def test_significant_bits_of_png_tell_what_is_white(tmp_path, bits, highest, white, channels):
    values = ramps(highest, channels)
    path = deep_png(tmp_path / "a.png", values, png_chunk(b"sBIT", bytes([bits] * channels)))
    np.testing.assert_allclose(read_picture(path), over_white(values, white), atol=1)


@pytest.mark.parametrize("tag", [281, 341])
@pytest.mark.parametrize(("told", "white"), [(4095, 4095), (2500, 4095), (65535, 65535), (0, 1023)])
def test_highest_value_of_tiff_tells_what_is_white(tmp_path, tag, told, white):
    values = ramps(900, 3)
    picture = read_picture(deep_tiff(tmp_path / "a.tif", values, tags={tag: told}))
    np.testing.assert_allclose(picture, over_white(values, white), atol=1)


def test_tiff_whose_zero_is_white_is_no_negative(tmp_path):
    values = ramps(4095, 1)
    picture = read_picture(deep_tiff(tmp_path / "a.tif", values, tags={262: 0}))
    np.testing.assert_allclose(picture, 255 - over_white(values, 4095), atol=1)


def test_pgm_tells_what_is_white(tmp_path):
    for white in (900, 4095, 65535):
        (tmp_path / "a.pgm").write_bytes(b"P5 3 1 %d\n" % white + np.array([0, 450, 900], ">u2").tobytes())
        expected = [round(255 * value / white) for value in (0, 450, 900)]
        np.testing.assert_allclose(read_picture(tmp_path / "a.pgm")[0, :, 0], expected, atol=1)


@pytest.mark.parametrize(("matrix", "gamma"), [(DISPLAY_P3, 2.2), (ADOBE_RGB, 563 / 256)])
def test_colours_of_a_profile_become_srgb(tmp_path, matrix, gamma):
    values = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    expected, profile = icc_profiles.to_srgb(values, matrix, gamma), rgb_profile(matrix, gamma)
    assert np.abs(expected - values).max() > 50
    picture = read_picture(saved(tmp_path / "a.png", Image.fromarray(values), icc_profile=profile))
    np.testing.assert_allclose(picture, expected, atol=2)
    clear = np.dstack([values, np.full((60, 80), 255)]).astype(np.uint8)
    clear[:30, :, 3] = 0
    picture = read_picture(saved(tmp_path / "a.png", Image.fromarray(clear), icc_profile=profile))
    assert (picture[:30] == 255).all()
    np.testing.assert_allclose(picture[30:], expected[30:], atol=2)
    with_profile = saved(tmp_path / "b.png", Image.fromarray(values), icc_profile=profile)
    chunk = re.search(rb"....iCCP.*?(?=....IDAT)", with_profile.read_bytes(), re.DOTALL)[0]
    deep = deep_png(tmp_path / "a.png", values.astype(int) * 257, chunk)
    np.testing.assert_allclose(read_picture(deep), expected, atol=2)


def test_profiles_of_grey_and_of_print_become_srgb(tmp_path):
    grey = np.arange(256, dtype=np.uint8)[None]
    picture = read_picture(saved(tmp_path / "a.png", Image.fromarray(grey), icc_profile=icc_profiles.grey_profile(1.8)))
    np.testing.assert_allclose(picture[..., 1], icc_profiles.grey_to_srgb(grey, 1.8), atol=2)
    inks = np.random.default_rng(0).integers(0, 256, (40, 50, 4), np.uint8)
    path = saved(
        tmp_path / "a.tif", Image.frombytes("CMYK", (50, 40), inks.tobytes()), icc_profile=icc_profiles.cmyk_profile()
    )
    picture = read_picture(path)
    np.testing.assert_allclose(picture, np.stack([icc_profiles.cmyk_to_srgb(inks)] * 3, -1), atol=3)


def test_picture_with_srgbs_own_profile_is_left_bit_for_bit(tmp_path):
    plain = read_picture(saved(tmp_path / "a.jpg", Image.fromarray(gradient())))
    profiled = saved(tmp_path / "b.jpg", Image.fromarray(gradient()), icc_profile=icc_profiles.srgb_profile())
    np.testing.assert_array_equal(read_picture(profiled), plain)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK"])
@pytest.mark.parametrize("profile", [b"no profile", rgb_profile(DISPLAY_P3, 2.2)[:300], icc_profiles.cmyk_profile()])
def test_broken_profile_or_another_kinds_does_not_refuse_whole_pixels(tmp_path, mode, profile):
    if mode == "CMYK" and profile == icc_profiles.cmyk_profile():
        profile = rgb_profile(DISPLAY_P3, 2.2)
    image = Image.fromarray(gradient()).convert(mode)
    plain = read_picture(saved(tmp_path / "a.tif", image))
    np.testing.assert_array_equal(read_picture(saved(tmp_path / "b.tif", image, icc_profile=profile)), plain)


def heic(path: Path, image: Image.Image, **options) -> Path:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the package pillow-heif")
    pillow_heif.from_pillow(image).save(path, quality=95, chroma=444, format="HEIF", **options)
    return path


@pytest.mark.parametrize("name", ["a.heic", "a.jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_read_and_turned_upright_once(tmp_path, orientation, name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = stored_for(orientation, Image.fromarray(gradient(64, 96)))
    picture = read_picture(heic(tmp_path / name, stored, exif=exif.tobytes()))
    assert picture.shape == (64, 96, 3)
    assert np.abs(picture.astype(int) - gradient(64, 96)).mean() < 2


def test_profile_limit_and_damage_of_heic_are_as_of_other_pictures(tmp_path):
    even = np.full((64, 64, 3), (200, 90, 60), np.uint8)
    path = heic(tmp_path / "a.heic", Image.fromarray(even), icc_profile=rgb_profile(DISPLAY_P3, 2.2))
    expected = icc_profiles.to_srgb(even[0, 0], DISPLAY_P3, 2.2)
    assert np.abs(expected - even[0, 0]).max() > 10
    np.testing.assert_allclose(read_picture(path).mean((0, 1)), expected, atol=3)
    assert "too large (64 x 64 pixels" in reason(path, max_megapixels=0.001)
    path.write_bytes(path.read_bytes()[:-50])
    assert reason(path).startswith("is damaged or cut short")


@pytest.mark.parametrize("name", ["a.heic", "a.jpg"])
@pytest.mark.parametrize("brands", [b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0mif1heic", b"heix\0\0\0\0mif1heix"])
def test_heic_without_its_package_is_said_with_the_remedy(tmp_path, monkeypatch, name, brands):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / name).write_bytes(struct.pack(">I", len(brands) + 8) + b"ftyp" + brands + bytes(100))
    expected = "is a HEIC picture, which needs a package: `python -m pip install pillow-heif`"
    assert reason(tmp_path / name) == expected


@pytest.mark.parametrize("kind", ["AVIF", "JPEG"])
def test_other_pictures_need_no_package_of_heics(tmp_path, monkeypatch, kind):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    path = saved(tmp_path / "a.heic", Image.fromarray(gradient()), format=kind)
    assert np.abs(read_picture(path).astype(int) - gradient()).mean() < 5


# What is refused, and in what words


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


# Writing


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".webp", ".bmp", ".tif", ".gif"])
def test_written_picture_reads_back(tmp_path, suffix):
    write_picture(tmp_path / f"new/folder/a{suffix}", gradient())
    difference = np.abs(read_picture(tmp_path / f"new/folder/a{suffix}").astype(int) - gradient())
    assert difference.mean() < (20 if suffix == ".gif" else 3)
    assert [path.name for path in (tmp_path / "new/folder").iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize("name", ["a", "a.txt", "a.pdf", "a.eps", "a.heic"])
def test_unknown_format_is_not_written(tmp_path, monkeypatch, name):
    monkeypatch.setitem(Image.EXTENSION, ".heic", "HEIF")  # as a program does that has pillow-heif's opener
    monkeypatch.setitem(Image.SAVE, "HEIF", lambda *_: None)
    with pytest.raises(PictureError, match="cannot be written"):
        write_picture(tmp_path / name, gradient())
    assert not list(tmp_path.iterdir())


def test_picture_too_wide_for_its_format_is_refused(tmp_path):
    with pytest.raises(PictureError, match="cannot be written as JPEG"):
        write_picture(tmp_path / "a.jpg", np.zeros((1, 70_000, 3), np.uint8))


def test_full_disk_leaves_the_old_picture_and_nothing_else(tmp_path, monkeypatch):
    write_picture(tmp_path / "a.png", gradient())

    def fill_up(path, content):
        with open(path, "wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    with pytest.raises(OSError, match="No space left"):
        write_picture(tmp_path / "a.png", 255 - gradient())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), gradient())


def test_picture_is_put_in_place_in_one_step(tmp_path, monkeypatch):
    write_picture(tmp_path / "a.png", gradient())

    def refuse(*_args):
        raise OSError(errno.EACCES, "in use")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="in use"):
        write_picture(tmp_path / "a.png", 255 - gradient())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), gradient())


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_written_picture_has_the_usual_permissions(tmp_path):
    write_picture(tmp_path / "a.png", gradient())
    (tmp_path / "other").touch()
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "other").stat().st_mode


# Finding


def test_pictures_are_found_in_natural_order(tmp_path):
    for name in ("10.jpg", "2.PNG", "1.jpeg", "b2.tif", "B10.tif", "IMG_1.HEIC", "notes.txt", ".hidden.jpg"):
        (tmp_path / name).touch()
    found = [path.name for path in find_pictures(tmp_path)]
    assert found == ["1.jpeg", "2.PNG", "10.jpg", "b2.tif", "B10.tif", "IMG_1.HEIC"]


def test_folders_below_are_searched_only_when_asked(tmp_path):
    for name in ("a.jpg", "sub2/c.jpg", "sub10/b.jpg", ".git/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_pictures(str(tmp_path)) == [tmp_path / "a.jpg"]
    found = [path.relative_to(tmp_path).as_posix() for path in find_pictures(tmp_path, recursive=True)]
    assert found == ["a.jpg", "sub2/c.jpg", "sub10/b.jpg"]


@pytest.mark.skipif(not hasattr(os, "symlink") or sys.platform == "win32", reason="links need a privilege here")
def test_links_to_folders_are_not_followed(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.jpg").touch()
    (tmp_path / "sub/loop").symlink_to(tmp_path)
    (tmp_path / "other.jpg").symlink_to(tmp_path / "sub")
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "good.jpg").symlink_to(tmp_path / "sub/a.jpg")
    found = [path.relative_to(tmp_path).as_posix() for path in find_pictures(tmp_path, recursive=True)]
    assert found == ["gone.jpg", "good.jpg", "self.jpg", "sub/a.jpg"]


def test_missing_folder_is_said(tmp_path):
    with pytest.raises(PictureError, match="does not exist"):
        find_pictures(tmp_path / "nowhere")


def test_every_suffix_is_one_that_pillow_reads():
    Image.init()
    known = Image.registered_extensions()
    unknown = {suffix for suffix in PICTURE_SUFFIXES if suffix not in known}
    assert unknown <= {".avif", ".heic", ".heif", ".hif"}  # Pillow before 11.3; what pillow-heif reads
