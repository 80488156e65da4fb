"""The time of a film: each frame at its own, whatever the container says of it."""

from fractions import Fraction

import numpy as np
import pytest

from models.live.clock import Clock
from tests.films import encode, remux
from tests.frames import levels, numbers_of, read_all, seconds_of

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
