"""Reading, writing and finding pictures: every kind that a person may have."""

import errno
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from models.pictures import PICTURE_SUFFIXES, PictureError, find_pictures, read_picture, write_picture
from tests import icc_profiles
from tests.icc_profiles import DISPLAY_P3, rgb_profile
from tests.pictures import gradient, reason, saved, stored_for

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


# HEIC


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
