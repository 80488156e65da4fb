"""Films of every kind as a player shows them: every frame, its shape and colours, and what is missing."""

import base64
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.live.opening import open_source
from models.live.sources import SourceError
from tests.browser import CHROMIUM, Page
from tests.films import encode, encode_planes, lay, write_film
from tests.frames import MARKED, corner, levels, read_all, seconds_of


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_film_gives_every_frame_in_its_own_time(suffix, tmp_path):
    with open_source(str(write_film(tmp_path / f"film{suffix}", seconds=1))) as source:
        frames = list(iter(source.read, None))
    assert source.is_film and source.frame_rate == pytest.approx(15) and source.size == (320, 240)
    assert [frame.number for frame in frames] == list(range(15))
    assert [frame.seconds for frame in frames] == pytest.approx([number / 15 for number in range(15)], abs=1e-3)


@pytest.mark.parametrize("mirror, is_mirrored", [(None, False), (False, False), (True, True)])
def test_a_film_is_not_mirrored_unless_asked(mirror, is_mirrored, tmp_path):
    with open_source(str(encode(tmp_path / "film.mp4", [MARKED] * 3, [0, 0.1, 0.2], 10)), mirror=mirror) as source:
        assert corner(source.read().picture) == ("upper right" if is_mirrored else "upper left")


# Shape


@pytest.mark.parametrize(
    "aspect, size", [(Fraction(64, 45), (1024, 576)), (Fraction(16, 15), (768, 576)), (Fraction(1, 2), (720, 1152))]
)
def test_pixels_that_are_not_square_are_made_square(aspect, size, tmp_path):
    picture = np.zeros((576, 720, 3), np.uint8)
    picture[288 - 96 : 288 + 96, :] = 255
    frames, source = read_all(encode(tmp_path / "film.mp4", [picture] * 2, [0, 0.04], 25, aspect=aspect))
    assert source.size == size == frames[0].picture.shape[1::-1]


def test_a_dvds_and_a_dvs_pixels_are_made_square(tmp_path):
    picture, times = np.zeros((576, 720, 3), np.uint8), [number / 25 for number in range(5)]
    dvd = encode(tmp_path / "film.mpg", [picture] * 5, times, 25, aspect=Fraction(64, 45))
    dv = encode(tmp_path / "film.dv", [picture] * 5, times, 25, "dvvideo", format="dv", aspect=Fraction(64, 45))
    assert read_all(dvd)[1].size == read_all(dv)[1].size == (1024, 576)


MATRICES = {
    "as it is": ((1, 0, 0, 1), "upper left", (64, 48)), "a quarter": ((0, 1, -1, 0), "upper right", (48, 64)),
    "a half": ((-1, 0, 0, -1), "lower right", (64, 48)), "three": ((0, -1, 1, 0), "lower left", (48, 64)),
    "mirrored": ((-1, 0, 0, 1), "upper right", (64, 48)), "upside down": ((1, 0, 0, -1), "lower left", (64, 48)),
    "a quarter, mirrored": ((0, 1, 1, 0), "upper left", (48, 64)),
    "three, mirrored": ((0, -1, -1, 0), "lower right", (48, 64)),
}  # fmt: skip


@pytest.mark.parametrize("how", MATRICES)
def test_a_film_is_turned_and_mirrored_as_its_display_matrix_says(how, tmp_path):
    matrix, where, size = MATRICES[how]
    frames, source = read_all(lay(encode(tmp_path / "film.mp4", [MARKED] * 3, [0, 0.1, 0.2], 10), matrix))
    assert corner(frames[0].picture) == where and source.size == size == frames[0].picture.shape[1::-1]


def test_chromium_agrees_how_a_film_lies(tmp_path):
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    page = tmp_path / "page.html"
    page.write_text("<body style='margin:0'><video style='display:block' muted></video>")
    browser = Page(page, tmp_path / "profile")
    try:
        for how, (matrix, _, size) in MATRICES.items():
            film = lay(encode(tmp_path / f"{how}.mp4", [MARKED] * 3, [0, 0.1, 0.2], 10), matrix)
            shown = browser.run(
                f"""new Promise(done => {{
                    const video = document.querySelector("video");
                    video.onloadeddata = () => setTimeout(() => done([video.videoWidth, video.videoHeight]), 300);
                    video.src = "{film.as_uri()}";
                }})"""
            )
            view = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
            screenshot = browser.call("Page.captureScreenshot", format="png", clip=view)["data"]
            pixels = np.asarray(Image.open(BytesIO(base64.b64decode(screenshot))).convert("RGB"))
            assert tuple(shown) == size and corner(pixels) == corner(read_all(film)[0][0].picture), how
    finally:
        browser.close()


def test_untagged_colours_are_read_as_players_read_them(tmp_path):
    # y, u and v of full red in BT.601 and in BT.709, limited range
    for (height, width), yuv in {(240, 320): (81, 90, 240), (720, 1280): (63, 102, 240)}.items():
        planes = [np.full((height, width), yuv[0]), *(np.full((height // 2, width // 2), each) for each in yuv[1:])]
        raw = np.concatenate([plane.reshape(-1, width) for plane in planes]).astype(np.uint8)
        frames = encode_planes(tmp_path / f"{height}.mkv", raw)
        np.testing.assert_allclose(read_all(frames)[0][0].picture.mean((0, 1)), (0, 0, 255), atol=6)


# What is missing


def broken(path: Path, share: float, **options) -> Path:
    """A film of two seconds of which a part is missing."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    times = [number / 10 for number in range(40)]
    encode(path, [np.roll(noise, number, 0) for number in range(40)], times, 10, **options)
    path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    return path


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.webm", "film.avi"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_film_that_breaks_off_is_told(name, share, tmp_path):
    options = {"container_options": {"movflags": "faststart"}} if name.endswith("mp4") else {}
    frames, source = read_all(broken(tmp_path / name, share, **options))
    assert 5 < len(frames) < 39 and "breaks off" in source.problems[0], source.problems
    assert f"{source.end:.1f} of 4.0 s" in source.problems[0]


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_a_film_of_which_no_picture_can_be_read_is_told(name, tmp_path):
    times = [number / 10 for number in range(20)]
    path = encode(tmp_path / name, levels(20), times, 10, container_options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat" if name == "film.mp4" else b"\x1f\x43\xb6\x75") + 12])
    with pytest.raises(SourceError, match="cannot be read as a video"):
        open_source(str(path))


def test_a_spoiled_stretch_is_told_and_the_rest_is_read(tmp_path):
    path = broken(tmp_path / "film.mkv", 1.0, codec="mjpeg")
    data = bytearray(path.read_bytes())
    middle = data.index(b"\xff\xd8", len(data) // 2)
    data[middle : middle + 600] = bytes(600)
    path.write_bytes(data)
    frames, source = read_all(path)
    assert len(frames) >= 38 and seconds_of(frames)[-1] == 3.9
    assert "is damaged" in source.problems[0] and "of its pictures" in source.problems[0]


def test_sound_that_outlasts_the_pictures_is_not_missing(tmp_path):
    film = encode(tmp_path / "film.mkv", levels(4), [0, 0.1, 0.2, 0.3], 10, sounds=["aac"], last=2.0)
    assert not read_all(film)[1].problems


# Names


def test_a_name_of_a_track_that_is_not_utf_8_is_no_obstacle(tmp_path):
    path = write_film(tmp_path / "film.mp4", seconds=1)
    content = path.read_bytes()
    assert b"VideoHandler" in content
    path.write_bytes(content.replace(b"VideoHandler", b"Vid\xe9oHandler"))
    assert len(read_all(path)[0]) == 15


@pytest.mark.parametrize("name", ["rec-12:30.mp4", "50%.mp4", "%d.mp4", "a b ' \" & ü.mp4", "-film.mp4", "http:.mp4"])
def test_films_of_any_name_are_read(name, tmp_path):
    frames, _ = read_all(encode(tmp_path / "film.mp4", levels(3), [0, 0.1, 0.2], 10).rename(tmp_path / name))
    assert len(frames) == 3
