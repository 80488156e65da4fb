"""Sources: cameras, films of every kind as a player shows them, numbered and animated pictures, streams."""

import base64
import shutil
import sys
import time
from contextlib import ExitStack
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from models.live import cameras, sources
from models.live.cameras import Camera
from models.live.clock import Clock
from models.live.sources import Feed, SourceError, fit, open_source, without_secrets
from tests.browser import CHROMIUM, Page
from tests.films import (
    FakeCapture,
    encode,
    encode_planes,
    grey,
    lay,
    only_sound,
    open_in_turn,
    remux,
    serve_motion_jpeg,
    write_film,
)

MARKED = np.zeros((48, 64, 3), np.uint8)
MARKED[:16, :16] = 255  # one corner says which way a picture lies


def corner(picture: np.ndarray) -> str:
    """Where a picture is bright."""
    height, width = picture.shape[:2]
    corners = {
        "upper left": picture[: height // 6, : width // 6], "upper right": picture[: height // 6, -width // 6 :],
        "lower left": picture[-height // 6 :, : width // 6], "lower right": picture[-height // 6 :, -width // 6 :],
    }  # fmt: skip
    return max(corners, key=lambda name: corners[name].mean())


def levels(count: int) -> list[np.ndarray]:
    """Grey pictures that can be told apart: 0, 10, 20 and so on."""
    return [grey(10 * number) for number in range(count)]


def read_all(path: Path, **options):
    """All frames of a source, closed again, and the source."""
    with open_source(str(path), **options) as source:
        return list(iter(source.read, None)), source


def seconds_of(frames) -> list[float]:
    return [round(frame.seconds, 3) for frame in frames]


def numbers_of(frames) -> list[int]:
    """Which of `levels` each frame shows."""
    return [round(float(frame.picture.mean()) / 10) for frame in frames]


@pytest.mark.parametrize(
    "name, message",
    [
        ("missing.mp4", "there is no"),
        ("a" * 300 + ".mp4", "there is no"),
        (".", "is a folder"),
        ("empty.mp4", "cannot be read as a video"),
        ("damaged.mp4", "cannot be read as a video"),
        ("picture.jpg", "is a picture"),
        ("%04d.jpg", "no picture is named"),
    ],
)
def test_a_file_that_gives_no_frames_is_told_in_one_sentence_alone(name, message, tmp_path, capfd):
    (tmp_path / "empty.mp4").touch()
    film = write_film(tmp_path / "whole.mp4", seconds=1)
    (tmp_path / "damaged.mp4").write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    shutil.copy("input/5.jpg", tmp_path / "picture.jpg")
    with pytest.raises(SourceError, match=message):
        open_source(str(tmp_path / name))
    assert capfd.readouterr() == ("", "")  # OpenCV and FFmpeg keep quiet


def test_a_file_without_permission_is_told(tmp_path, monkeypatch):
    film = write_film(tmp_path / "film.mp4", seconds=0.2)
    monkeypatch.setattr(sources.os, "access", lambda *_: False)
    with pytest.raises(SourceError, match="permission"):
        open_source(str(film))


def test_no_camera_and_a_camera_in_use_are_told_apart_and_name_the_flag():
    for capture, message in ((FakeCapture(opened=False), "there is no camera 7"), (FakeCapture(), "gives no picture")):
        with pytest.raises(SourceError, match=f"{message}.*--source"):
            Camera(7, open_capture=open_in_turn(capture))


def test_a_camera_without_permission_is_told(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(cameras.Path, "exists", lambda _: True)
    monkeypatch.setattr(cameras.os, "access", lambda *_: False)
    with pytest.raises(SourceError, match="/dev/video7 may not be opened"):
        Camera(7, open_capture=open_in_turn(FakeCapture(opened=False)))


def test_a_stream_that_does_not_answer_is_told():
    with pytest.raises(SourceError, match="is the address right"):
        open_source("http://127.0.0.1:9/nothing")


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_film_gives_every_frame_in_its_own_time(suffix, tmp_path):
    with open_source(str(write_film(tmp_path / f"film{suffix}", seconds=1))) as source:
        frames = list(iter(source.read, None))
    assert source.is_film and source.frame_rate == pytest.approx(15) and source.size == (320, 240)
    assert [frame.number for frame in frames] == list(range(15))
    assert [frame.seconds for frame in frames] == pytest.approx([number / 15 for number in range(15)], abs=1e-3)


def test_numbered_pictures_are_a_film_of_the_rate_asked_for(tmp_path):
    for number in range(1, 4):
        cv2.imwrite(str(tmp_path / f"{number:03d}.png"), grey(50 * number))
    with open_source(str(tmp_path / "%03d.png"), fps=5) as source:
        frames = list(iter(source.read, None))
    assert [int(frame.picture.mean()) for frame in frames] == [50, 100, 150]
    assert source.is_film and frames[-1].seconds == pytest.approx(0.4)


@pytest.mark.parametrize("mirror, is_mirrored", [(None, True), (False, False), (True, True)])
def test_a_camera_is_mirrored_unless_asked(mirror, is_mirrored, monkeypatch):
    picture = grey()
    picture[:, :32] = 255
    monkeypatch.setattr(
        Camera.__init__, "__defaults__", (*Camera.__init__.__defaults__[:-1], open_in_turn(FakeCapture([picture])))
    )
    with open_source("0", mirror=mirror) as source:
        assert (source.read().picture[0, 0, 0] == 0) == is_mirrored


@pytest.mark.parametrize("mirror, is_mirrored", [(None, False), (False, False), (True, True)])
def test_a_film_is_not_mirrored_unless_asked(mirror, is_mirrored, tmp_path):
    with open_source(str(encode(tmp_path / "film.mp4", [MARKED] * 3, [0, 0.1, 0.2], 10)), mirror=mirror) as source:
        assert corner(source.read().picture) == ("upper right" if is_mirrored else "upper left")


def test_a_camera_is_asked_for_its_size_and_rate():
    capture = FakeCapture([grey()])
    Camera(0, width=1280, height=720, fps=60, open_capture=open_in_turn(capture))
    assert capture.asked[cv2.CAP_PROP_FRAME_WIDTH] == 1280 and capture.asked[cv2.CAP_PROP_FRAME_HEIGHT] == 720
    assert capture.asked[cv2.CAP_PROP_FPS] == 60


def test_the_feed_keeps_the_newest_frame_and_does_not_wait_for_slow_readers():
    with Feed(Camera(0, open_capture=open_in_turn(FakeCapture([grey()] * 50, pause=0.005)))) as feed:
        seen = [feed.wait_newer(-1, 1).number]
        while feed.state == "playing" and (frame := feed.wait_newer(seen[-1], 1)) is not None:
            seen.append(frame.number)
            time.sleep(0.05)
    assert seen == sorted(set(seen)) and len(seen) < 25


def test_the_feed_plays_a_film_at_its_own_rate_and_ends(tmp_path):
    with Feed(open_source(str(write_film(tmp_path / "film.mp4", seconds=0.6)))) as feed:
        started, number = time.perf_counter(), -1
        while (frame := feed.wait_newer(number, 5)) is not None:
            number = frame.number
        assert time.perf_counter() - started > 0.5
        assert number == 8 and feed.state == "ended"


def test_a_camera_that_vanishes_is_tried_again_and_comes_back():
    cameras = [FakeCapture([grey(), grey(), None]), FakeCapture(opened=False), FakeCapture([grey(9)] * 100, pause=0.01)]
    with Feed(Camera(0, open_capture=open_in_turn(*cameras))) as feed:
        states, end = set(), time.monotonic() + 5
        while (feed.newest is None or feed.newest.picture.max() != 9) and time.monotonic() < end:
            states.add(feed.state)
            time.sleep(0.01)
        assert "retrying" in states and feed.state == "playing" and feed.newest.number >= 2


def test_a_camera_that_does_not_come_back_is_given_up(monkeypatch):
    monkeypatch.setattr(sources, "RETRY_SECONDS", 0.3)
    with Feed(Camera(0, open_capture=open_in_turn(FakeCapture([grey()])))) as feed:
        feed.join(5)
        assert feed.state == "lost" and feed.newest.number == 0
        started = time.perf_counter()
        assert feed.wait_newer(0, 5) is None and time.perf_counter() - started < 1  # nobody waits for the dead


def test_a_stream_is_read_live_and_lost_when_it_breaks(monkeypatch):
    monkeypatch.setattr(sources, "RETRY_SECONDS", 0.3)
    with ExitStack() as stack:
        with serve_motion_jpeg() as server:
            source = open_source(f"http://127.0.0.1:{server.server_port}/video.mjpg")
            assert not source.is_film
            feed = stack.enter_context(Feed(source))
            frame = feed.wait_newer(3, timeout=20)
            assert frame is not None and abs(int(frame.picture.mean()) - 90) < 4
        feed.join(20)
        assert feed.state == "lost"


# Times

UNEQUAL = [0.0, 0.1, 0.25, 1.0, 1.04, 4.0, 10.0, 10.5]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_film_of_variable_rate_has_each_frame_at_its_own_time(suffix, tmp_path):
    film = encode(tmp_path / f"film{suffix}", levels(8), UNEQUAL, last=2.5)
    frames, source = read_all(film)
    assert seconds_of(frames) == pytest.approx(UNEQUAL, abs=1e-3) and numbers_of(frames) == list(range(8))
    assert source.end == pytest.approx(13.0, abs=2e-3) and not source.problems


def test_a_browsers_webm_which_says_no_length_is_read_to_its_end(tmp_path):
    film = encode(tmp_path / "film.webm", levels(8), UNEQUAL, container_options={"live": "1"})
    frames, source = read_all(film)
    assert source.duration is None and seconds_of(frames) == UNEQUAL and not source.problems


def test_an_animated_gif_and_webp_have_their_own_pauses(tmp_path):
    pauses = [100, 700, 40, 2000, 20]
    pictures = [Image.fromarray(picture) for picture in levels(5)]
    for name in ("film.gif", "film.webp"):
        pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=pauses, lossless=True)
        frames, source = read_all(tmp_path / name)
        assert seconds_of(frames) == [0, 0.1, 0.8, 0.84, 2.84] and source.end == pytest.approx(2.86)
        assert numbers_of(frames) == list(range(5)) and not source.problems


def test_a_gif_or_webp_that_does_not_move_is_a_picture(tmp_path):
    for name in ("still.gif", "still.webp"):
        Image.new("RGB", (40, 30)).save(tmp_path / name)
        with pytest.raises(SourceError, match="does not move: demo_image.py"):
            open_source(str(tmp_path / name))


@pytest.mark.parametrize("rate", [0.1, 0.5, 480])
def test_a_time_lapse_and_slow_motion_keep_their_rates(rate, tmp_path):
    frames, source = read_all(encode(tmp_path / "film.mp4", levels(6), [number / rate for number in range(6)], rate))
    assert seconds_of(frames) == [round(number / rate, 3) for number in range(6)]
    assert source.end == pytest.approx(6 / rate, abs=1e-3)


def test_raw_h264_carries_no_times_and_says_so(tmp_path):
    film = encode(tmp_path / "film.h264", levels(6), [number / 10 for number in range(6)], 10, format="h264")
    frames, source = read_all(film)
    assert seconds_of(frames) == [0, 0.1, 0.2, 0.3, 0.4, 0.5] and "10 frames a second" in source.remarks[0]
    frames, source = read_all(film, fps=4)
    assert seconds_of(frames) == [0, 0.25, 0.5, 0.75, 1, 1.25] and "4 frames a second" in source.remarks[0]


def test_a_film_with_times_leaves_the_rate_asked_for_aside_and_says_so(tmp_path):
    frames, source = read_all(encode(tmp_path / "film.mp4", levels(3), [0, 0.1, 0.2], 10), fps=4)
    assert seconds_of(frames) == [0, 0.1, 0.2] and "--fps" in source.remarks[0]


def test_the_last_frame_of_an_mpeg_program_stream_has_its_time(tmp_path):
    frames, source = read_all(encode(tmp_path / "film.mpg", levels(10), [number / 25 for number in range(10)], 25))
    assert seconds_of(frames) == [round(number / 25, 3) for number in range(10)] and not source.problems


def test_of_a_film_cut_without_encoding_what_a_player_shows_is_read_and_nothing_is_missing(tmp_path):
    whole = encode(tmp_path / "whole.mp4", levels(24), [number / 10 for number in range(24)], 10)
    frames, source = read_all(remux(whole, tmp_path / "cut.mp4", shift=-1.0))
    assert numbers_of(frames) == list(range(10, 24)) and seconds_of(frames)[:2] == [0, 0.1]
    assert source.end == pytest.approx(1.4) and not source.problems


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".ts"])
def test_a_film_whose_first_time_is_not_0_begins_at_0_and_nothing_is_missing(suffix, tmp_path):
    times = [5 + number / 10 for number in range(10)]
    frames, source = read_all(encode(tmp_path / f"film{suffix}", levels(10), times, 10))
    assert seconds_of(frames) == [round(number / 10, 3) for number in range(10)] and not source.problems
    assert [("begins at 5.000 s" in remark) for remark in source.remarks] == [True] * (suffix != ".ts")


def test_pictures_that_begin_after_the_sound_keep_their_distance_to_it(tmp_path):
    times = [1 + number / 10 for number in range(10)]
    frames, _ = read_all(encode(tmp_path / "film.mp4", levels(10), times, 10, sounds=["aac"]))
    assert seconds_of(frames)[:2] == [1, 1.1]


def test_joined_broadcasts_go_on_where_their_times_leap_and_it_is_said(tmp_path):
    parts = [
        encode(tmp_path / f"{begin}.ts", levels(10), [begin + number / 10 for number in range(10)], 10)
        for begin in (100, 2, 5000)
    ]
    (tmp_path / "joined.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, source = read_all(tmp_path / "joined.ts")
    assert len(frames) == 30 and np.diff(seconds_of(frames)).max() < 0.3 and np.diff(seconds_of(frames)).min() > 0
    assert "leap" in source.problems[0]


def test_times_that_are_missing_or_stand_still_rise_all_the_same():
    clock = Clock(0.1, may_leap=False)
    times = [clock.read(Fraction(said) if said is not None else None) for said in (0, None, 0.2, 0.2, 0.19, 60)]
    assert times[1] == pytest.approx(0.1) and times[-1] == 60 and times == sorted(set(times)) and not clock.jumps


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


def test_frames_of_another_size_keep_their_proportions(tmp_path):
    upright = fit(np.full((60, 20, 3), 255, np.uint8), (60, 60))
    assert upright.shape == (60, 60, 3) and (upright[:, 20:40] == 255).all() and not upright[:, :19].any()


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


@pytest.mark.parametrize("name, message", [
    ("notes.txt", "is a text"), ("picture.mp4", "is a picture"), ("sound.m4a", "sound alone"),
    ("cover.m4a", "sound alone"),
])  # fmt: skip
def test_what_is_no_film_is_told(name, message, tmp_path):
    path = tmp_path / name
    if name == "notes.txt":
        path.write_text("words\n" * 500)
    elif name == "picture.mp4":
        cv2.imwrite(str(tmp_path / "a.png"), grey(9))
        (tmp_path / "a.png").rename(path)
    else:
        only_sound(path, with_cover=name == "cover.m4a")
    with pytest.raises(SourceError, match=message):
        open_source(str(path))


@pytest.mark.parametrize("first", [0, 1, 5, 100])
def test_numbered_pictures_begin_with_the_lowest_number(first, tmp_path):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"a{first + number:04d}.png"), grey(10 * number))
    cv2.imwrite(str(tmp_path / "a00007.png"), grey(200))  # more digits than %04d makes
    frames, source = read_all(tmp_path / "a%04d.png", fps=4)
    assert numbers_of(frames) == [0, 1, 2] and seconds_of(frames) == [0, 0.25, 0.5]
    assert source.duration == 0.75 == source.end and not source.problems


def test_a_missing_or_broken_number_is_told_and_the_others_keep_their_times(tmp_path):
    for number in (1, 2, 5, 6, 7):
        cv2.imwrite(str(tmp_path / f"{number}.png"), grey(10 * number))
    (tmp_path / "6.png").write_bytes(b"no picture")
    frames, source = read_all(tmp_path / "%d.png", fps=10)
    assert seconds_of(frames) == [0, 0.1, 0.4, 0.6] and numbers_of(frames) == [1, 2, 5, 7]
    assert "3.png, 4.png are missing" in source.problems[0] and "6.png" in source.problems[1]


def test_numbered_pictures_are_turned_upright_and_fitted_into_the_first(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    for number in range(2):
        Image.fromarray(MARKED).save(tmp_path / f"{number}.jpg", exif=exif)
    Image.fromarray(MARKED).save(tmp_path / "2.jpg")
    frames, source = read_all(tmp_path / "%d.jpg")
    assert source.size == (48, 64) and corner(frames[1].picture) == "upper right"
    assert frames[2].picture.shape == (64, 48, 3) and not frames[2].picture[:10].any()


def test_numbers_far_apart_and_a_per_cent_sign_are_told_quickly(tmp_path):
    for number in (1, 300_000_000):
        cv2.imwrite(str(tmp_path / f"50%_{number:04d}.png"), grey(9))
    with open_source(str(tmp_path / "50%_%04d.png")) as source:
        assert "50%_0002.png, 50%_0003.png, 50%_0004.png and 299999995 more are missing" in source.problems[0]


@pytest.mark.parametrize("name", ["%s.png", "%d-%d.png", "missing/%d.png", "%d.png"])
def test_patterns_that_name_no_picture_are_told(name, tmp_path):
    with pytest.raises(SourceError, match="frames/%04d.jpg"):
        open_source(str(tmp_path / name))


@pytest.mark.parametrize("url", [
    "rtsp://admin:se:cr@et@10.0.0.7:554/live", "rtsp://admin:se/cr#et?secret@10.0.0.7/live", "http://[10.0.0.7/live",
    "http://10.0.0.7/live.mjpg?user=admin&password=secret#secret",
])  # fmt: skip
def test_a_streams_password_is_not_told(url):
    shown = without_secrets(url)
    assert "10.0.0.7" in shown and "live" in shown
    assert not any(part in shown for part in ("admin", "secret", "cr@et", "se:"))


def test_the_message_about_a_stream_that_does_not_answer_has_no_password():
    with pytest.raises(SourceError) as caught:
        open_source("http://me:hush@127.0.0.1:9/nothing?key=hush")
    assert "127.0.0.1:9/nothing" in str(caught.value) and "hush" not in str(caught.value)
