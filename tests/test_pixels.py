"""Pixels of every kind become 8-bit sRGB: deep values, transparency, palettes, print and colour profiles."""

import re
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from models.pictures import read_picture
from tests import icc_profiles
from tests.icc_profiles import ADOBE_RGB, DISPLAY_P3, rgb_profile
from tests.pictures import deep_png, gradient, png_chunk, saved


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


# 16 bits a value


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


@pytest.mark.parametrize("channels", [3, 4])
def test_white_of_deep_jpeg_2000_stays_white_and_what_is_opaque_opaque(tmp_path, channels):
    colours = np.full((64, 128, 4), (65535, 32768, 16384, 65535), np.uint16)  # Pillow 13.0.0 makes 0 of 65408 and more
    colours[:, 64:] = (65535, 65535, 65407, 65535)
    cv2.imwrite(str(tmp_path / "a.jp2"), cv2.cvtColor(colours, cv2.COLOR_RGBA2BGRA)[..., :channels])
    picture = read_picture(tmp_path / "a.jp2")
    np.testing.assert_allclose(picture[:, :60], np.broadcast_to((255, 128, 64), (64, 60, 3)), atol=2)
    np.testing.assert_allclose(picture[:, 68:], 255, atol=2)


def test_pgm_tells_what_is_white(tmp_path):
    for white in (900, 4095, 65535):
        (tmp_path / "a.pgm").write_bytes(b"P5 3 1 %d\n" % white + np.array([0, 450, 900], ">u2").tobytes())
        expected = [round(255 * value / white) for value in (0, 450, 900)]
        np.testing.assert_allclose(read_picture(tmp_path / "a.pgm")[0, :, 0], expected, atol=1)


# Colour profiles


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
