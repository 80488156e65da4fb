"""Pictures that make a film: numbered files, and animated GIFs and WebPs."""

import cv2
import pytest
from PIL import Image

from models.live.opening import open_source
from models.live.sources import SourceError
from tests.films import grey
from tests.frames import MARKED, corner, levels, numbers_of, read_all, seconds_of


def test_numbered_pictures_are_a_film_of_the_rate_asked_for(tmp_path):
    for number in range(1, 4):
        cv2.imwrite(str(tmp_path / f"{number:03d}.png"), grey(50 * number))
    with open_source(str(tmp_path / "%03d.png"), fps=5) as source:
        frames = list(iter(source.read, None))
    assert [int(frame.picture.mean()) for frame in frames] == [50, 100, 150]
    assert source.is_film and frames[-1].seconds == pytest.approx(0.4)


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
