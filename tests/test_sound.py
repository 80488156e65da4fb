"""A film's sound in a recording: copied or made anew, in time with the pictures, or said to be missing."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from models.live.opening import open_source
from models.live.recording import VideoRecorder
from models.live.sound import Sound
from tests.films import copy, encode, grey, read_film, read_sounds, read_times

CLICK_TIMES = [number / 20 for number in range(60)]


def clicking_pictures() -> list[np.ndarray]:
    return [grey(255 if time >= 1.5 else 0) for time in CLICK_TIMES]


def click() -> np.ndarray:
    """Three seconds of silence, and a click at 1.5 s."""
    sound = np.zeros(3 * 48000, np.float32)
    sound[72000:72480] = 0.8 * np.sin(2 * np.pi * 1000 * np.arange(480) / 48000)
    return sound


def hear(path: Path) -> float:
    """When a film's click sounds, in seconds, by the times of its sound."""
    with av.open(str(path)) as film:
        loudest = 0.0, 0.0
        for frame in film.decode(audio=0):
            loudness = np.abs(frame.to_ndarray().astype(np.float32))
            loudness = loudness.max(0) if frame.format.is_planar else loudness[0]
            index = int(loudness.argmax())
            loudest = max(
                loudest, (float(loudness[index]), float(frame.pts * frame.time_base) + index / frame.sample_rate)
            )
    return loudest[1]


@pytest.mark.parametrize("suffix, source, sounds, expected", [
    (".mp4", ".mp4", ["aac"], ["aac"]), (".mp4", ".mkv", ["ac3"], ["aac"]), (".mp4", ".webm", ["libopus"], ["opus"]),
    (".mp4", ".avi", ["pcm_s16le"], ["aac"]), (".mov", ".webm", ["libopus"], ["aac"]),
    (".mkv", ".mp4", ["aac"], ["aac"]),
    (".mkv", ".avi", ["pcm_s16le"], ["opus"]),
    (".webm", ".mp4", ["aac"], ["opus"]), (".webm", ".webm", ["libopus"], ["opus"]),
    (".m4v", ".mkv", ["flac"], ["aac"]), (".mp4", ".mkv", ["libmp3lame"], ["aac"]),
    (".mkv", ".mkv", ["libmp3lame"], ["mp3"]),
    (".mp4", ".mp4", ["aac", "aac"], ["aac", "aac"]), (".webm", ".mkv", ["libopus", "ac3"], ["opus", "opus"]),
    (".mp4", ".mp4", [], []),
])  # fmt: skip
def test_a_recording_has_the_films_sound(suffix, source, sounds, expected, tmp_path):
    pictures, times = [grey(5 * number) for number in range(30)], [number / 10 for number in range(30)]
    film = encode(tmp_path / f"film{source}", pictures, times, 10, sounds=sounds)
    assert copy(film, tmp_path / f"copy{suffix}").problem is None
    found = read_sounds(tmp_path / f"copy{suffix}")
    assert [codec for codec, _, _ in found] in (expected, [f"{each}float" for each in expected])
    for number, (_, pitch, length) in enumerate(found, start=1):
        assert pitch == pytest.approx(440 * number, abs=2) and length == pytest.approx(3.0, abs=0.06)
    times_copied = read_times(tmp_path / f"copy{suffix}")
    # FFmpeg 8.0 (PyAV 17) moves all of a .webm by the 5 ms that Opus needs to begin.
    assert times_copied[:-1] == pytest.approx(times, abs=6e-3) and times_copied[-1] == pytest.approx(3.0, abs=0.06)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_sound_and_pictures_stay_together(suffix, tmp_path):
    """A click sounds when the picture turns white, at 1.5 s, in the copy as in the film."""
    film = encode(tmp_path / "film.mkv", clicking_pictures(), CLICK_TIMES, 20, sounds=["pcm_s16le"], tone=click())
    copy(film, tmp_path / f"copy{suffix}")
    assert hear(tmp_path / f"copy{suffix}") == pytest.approx(1.5, abs=0.03)
    times, (frames, _) = read_times(tmp_path / f"copy{suffix}"), read_film(tmp_path / f"copy{suffix}")
    assert times[next(index for index, frame in enumerate(frames) if frame.mean() > 128)] == pytest.approx(
        1.5, abs=2e-3
    )


def test_the_sound_of_a_part_ends_with_its_pictures(tmp_path):
    film = encode(tmp_path / "film.mp4", [grey()] * 40, [number / 10 for number in range(40)], 10, sounds=["aac"])
    copy(film, tmp_path / "copy.mp4", frames=10)
    ((_, _, length),) = read_sounds(tmp_path / "copy.mp4")
    assert length == pytest.approx(1.0, abs=0.06)


def test_the_sound_of_a_recording_that_begins_later_is_that_of_its_pictures(tmp_path):
    film = encode(tmp_path / "film.mkv", clicking_pictures(), CLICK_TIMES, 20, sounds=["pcm_s16le"], tone=click())
    with open_source(str(film)) as source:
        sound = source.sound()
        recorder = VideoRecorder(tmp_path / "copy.mp4", source.size, 20, source.time_base, sound, begins=1.0)
        while (frame := source.read()) is not None:
            if frame.seconds >= 1.0:
                recorder.write(frame.picture, frame.seconds - 1.0)
        recorder.close(source.end - 1.0, with_rest_of_sound=True)
    assert hear(tmp_path / "copy.mp4") == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("rate", [6000, 192000])
def test_sound_at_a_rate_that_the_codec_has_not_is_made_anew_at_the_nearest(rate, tmp_path):
    film = encode(
        tmp_path / "film.mkv",
        [grey()] * 20,
        [number / 10 for number in range(20)],
        10,
        sounds=["pcm_s16le"],
        sound_rate=rate,
    )
    for suffix in (".mp4", ".webm"):
        assert copy(film, tmp_path / f"copy{suffix}").problem is None
        ((_, pitch, length),) = read_sounds(tmp_path / f"copy{suffix}")
        assert pitch == pytest.approx(440, abs=3) and length == pytest.approx(2.0, abs=0.15)


def test_sound_that_cannot_be_read_a_second_time_is_told_without_the_address(tmp_path):
    sound = Sound(lambda: av.open("http://me:hush@127.0.0.1:9/film.mp4", timeout=1), Fraction(0))
    recorder = VideoRecorder(tmp_path / "film.mp4", (64, 48), sound=sound)
    recorder.write(grey(), 0.0)
    recorder.close(0.1)
    assert "cannot be read" in recorder.problem and "hush" not in recorder.problem
    assert len(read_film(recorder.path)[0]) == 1


def test_sound_of_a_kind_that_is_not_known_is_told(tmp_path, monkeypatch):
    def unknown(*_):
        raise ValueError("no such codec")

    film = encode(tmp_path / "film.mp4", [grey()] * 20, [number / 10 for number in range(20)], 10, sounds=["aac"])
    monkeypatch.setattr("models.live.sound._Copied.__init__", unknown)
    monkeypatch.setattr("models.live.sound._MadeAnew.__init__", unknown)
    assert "is without it" in copy(film, tmp_path / "copy.mp4").problem
