"""Recordings: each picture at its time, in its colours, whole or said not to be."""

import os
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from models.errors import UserError
from models.expressions import CLASS_NAMES
from models.live import recording
from models.live.log import ExpressionLog
from models.live.opening import open_source
from models.live.recording import RecordingError, VideoRecorder
from tests.browser import CHROMIUM, Page
from tests.films import copy, draw_frames, encode, grey, read_film, read_times

UNEQUAL = [0.0, 0.1, 0.25, 1.0, 1.04, 4.0, 4.5]


def record(path: Path, frames: int = 10, frame_rate: float = 30.0) -> VideoRecorder:
    recorder = VideoRecorder(path, (320, 240), frame_rate)
    for number, frame in zip(range(frames), draw_frames(4, 15)):
        recorder.write(frame, number / frame_rate)
    return recorder


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mkv", ".webm", ".MOV"])
@pytest.mark.parametrize("frame_rate", [15.0, 23.976, 119.88])
def test_recordings_have_every_frame_and_the_sources_rate(suffix, frame_rate, tmp_path):
    path = tmp_path / "new" / f"film{suffix}"
    record(path, 10, frame_rate).close()
    frames, rate = read_film(path)
    assert len(frames) == 10 and rate == pytest.approx(frame_rate, rel=2e-2)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_recording_of_a_variable_rate_has_each_frame_at_its_time_and_the_films_length(suffix, tmp_path):
    pictures = [grey(30 * number) for number in range(7)]
    film = encode(tmp_path / "film.mp4", pictures, UNEQUAL, last=2.5)
    copy(film, tmp_path / f"copy{suffix}")
    assert read_times(tmp_path / f"copy{suffix}") == pytest.approx([*UNEQUAL, 7.0], abs=1.1e-3)
    levels = [float(frame.mean()) for frame in read_film(tmp_path / f"copy{suffix}")[0]]
    np.testing.assert_allclose(levels, [30 * number for number in range(7)], atol=9)


@pytest.mark.parametrize("colour", [(0, 0, 255), (0, 255, 0), (255, 0, 0), (40, 120, 200)])
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_colours_stay_what_they_are(colour, suffix, tmp_path):
    recorder = VideoRecorder(tmp_path / f"film{suffix}", (64, 48))
    for number in range(3):
        recorder.write(np.full((48, 64, 3), colour, np.uint8), number / 30)
    recorder.close()
    with open_source(str(recorder.path)) as film:
        np.testing.assert_allclose(film.read().picture.mean((0, 1)), colour, atol=8)


def test_a_live_recording_has_each_frame_when_it_came(tmp_path):
    recorder = VideoRecorder(tmp_path / "film.mp4", (64, 48))
    for seconds in (0.0, 0.03, 0.04, 0.1, 1.0):  # early, late, and after a gap
        recorder.write(grey(100), seconds)
    recorder.close(1.05)
    assert read_times(recorder.path) == pytest.approx([0.0, 0.03, 0.04, 0.1, 1.0, 1.05], abs=1e-3)


def test_frames_of_another_size_are_fitted_into_a_recording(tmp_path):
    recorder = record(tmp_path / "film.mp4", 2)
    recorder.write(np.full((480, 320, 3), 255, np.uint8), 0.1)
    recorder.close()
    frames, _ = read_film(recorder.path)
    assert len(frames) == 3 and frames[2][:, 110:210].min() > 200 and frames[2][:, :70].max() < 40


@pytest.mark.parametrize("suffix, size", [(".mp4", (66, 50)), (".webm", (65, 49))])
def test_pictures_with_odd_sides_are_recorded(suffix, size, tmp_path):
    recorder = VideoRecorder(tmp_path / f"film{suffix}", (65, 49))
    for number in range(3):
        recorder.write(np.full((49, 65, 3), 200, np.uint8), number / 30)
    recorder.close()
    frames, _ = read_film(recorder.path)
    assert frames[0].shape[1::-1] == size and frames[0].min() > 190


@pytest.mark.parametrize("name", ["out-12:30.mp4", "50%.mp4", "%d.mkv", "ü '\".webm"])
def test_recordings_of_any_name_are_written(name, tmp_path):
    record(tmp_path / name, 3).close()
    assert [path.name for path in tmp_path.iterdir()] == [name] and len(read_film(tmp_path / name)[0]) == 3


# In a browser

PLAY = """new Promise(done => {
    const video = document.createElement("video");
    video.muted = true;
    video.onerror = () => done({error: video.error.message});
    video.onended = () => done({duration: video.duration, size: [video.videoWidth, video.videoHeight],
                                end: video.currentTime});
    video.onloadedmetadata = () => { video.playbackRate = 4; video.play(); };
    video.src = "SOURCE";
    document.body.append(video);
})"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_browser_plays_recordings_to_their_end(tmp_path):
    (tmp_path / "page.html").write_text("<body></body>")
    times = [number / 15 for number in range(30)]
    pictures = list(draw_frames(2, 15))
    films = {
        "plain": encode(tmp_path / "plain.mp4", pictures, times, 15),
        "sound": encode(tmp_path / "sound.mp4", pictures, times, 15, sounds=["aac"]),
        "two tracks": encode(tmp_path / "two.mkv", pictures, times, 15, sounds=["ac3", "libopus"]),
        "variable": encode(tmp_path / "variable.mp4", pictures[:7], [each / 2 for each in UNEQUAL], last=0.75),
        "wide": encode(tmp_path / "wide.mp4", pictures, times, 15, aspect=Fraction(3, 2)),
    }
    browser = Page(tmp_path / "page.html", tmp_path / "profile")
    try:
        for name, film in films.items():
            for suffix in (".mp4", ".webm", ".mov"):
                path = tmp_path / f"{name} copy{suffix}"
                copy(film, path)
                seen = browser.run(PLAY.replace("SOURCE", path.as_uri()))
                length = 3.0 if name == "variable" else 2.0
                assert seen.get("duration") == pytest.approx(length, abs=0.06), (name, suffix, seen)
                assert seen["end"] == pytest.approx(length, abs=0.06)
                assert seen["size"] == ([480, 240] if name == "wide" else [320, 240])
    finally:
        browser.close()


# What can go wrong


def test_a_recording_that_fails_at_once_is_not_said_to_be_there(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space")

    recorder = VideoRecorder(tmp_path / "film.mp4", (64, 48))
    monkeypatch.setattr(recorder, "_mux", fail)
    recorder.write(grey(), 0.0)
    with pytest.raises(RecordingError, match="was not begun"):
        recorder.write(grey(), 0.1)
    assert not list(tmp_path.iterdir()) and recorder.frames == 0


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_a_recording_that_was_never_ended_can_be_played(suffix, tmp_path):
    if suffix != ".mkv" and not recording.IN_FRAGMENTS:
        pytest.skip("needs FFmpeg 8.1")
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    recorder = VideoRecorder(tmp_path / f"film{suffix}", (320, 240))
    for step in range(240):
        recorder.write(np.roll(noise, step, 0), step / 30)
    shutil.copy(recorder.path, tmp_path / f"cut{suffix}")  # what a power cut leaves
    recorder.close()
    with open_source(str(tmp_path / f"cut{suffix}")) as film:
        assert len(list(iter(film.read, None))) > 100


def test_files_are_never_written_over(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_text("mine")
    for begin in (lambda: VideoRecorder(path, (64, 48)), lambda: ExpressionLog(path, CLASS_NAMES)):
        with pytest.raises(UserError, match="not written over"):
            begin()
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "name, message",
    [
        ("film.wmv", "no video that can be written"),
        ("film.avi", "name it .mp4"),
        ("file/film.mp4", "cannot be written"),
    ],
)
def test_recordings_that_cannot_be_made_are_told(name, message, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=message):
        VideoRecorder(tmp_path / name, (64, 48))


def test_a_missing_codec_is_told_with_what_there_is_and_leaves_no_empty_file(tmp_path, monkeypatch, capfd):
    there = recording._is_there
    monkeypatch.setattr(recording, "_is_there", lambda codec: "264" not in codec and there(codec))
    monkeypatch.setattr(recording, "H264", ())
    with pytest.raises(RecordingError, match="FFmpeg has no .*name it .webm"):
        VideoRecorder(tmp_path / "film.mp4", (64, 48))
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_a_recording_without_a_frame_leaves_no_file(tmp_path):
    for suffix in recording.FORMATS:
        VideoRecorder(tmp_path / f"film{suffix}", (64, 48)).close()
    assert not list(tmp_path.iterdir())


def test_when_the_disk_runs_full_what_was_recorded_can_be_played(tmp_path, monkeypatch):
    recorder = record(tmp_path / "film.mp4", 7)
    monkeypatch.setattr(recording.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(RecordingError, match="disk is full.*can be played"):
        recorder.write(np.zeros((240, 320, 3), np.uint8), 1.0)
    assert len(read_film(tmp_path / "film.mp4")[0]) == 7


def test_a_really_full_disk_leaves_a_recording_that_can_be_played(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or os.system(f"mount -t tmpfs -o size=40m tmpfs {disk} 2>/dev/null"):
        pytest.skip("no small disk can be mounted here")
    try:
        noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
        recorder = VideoRecorder(disk / "film.mp4", (640, 480))
        with pytest.raises(RecordingError, match="disk is full"):
            for step in range(1000):
                recorder.write(np.roll(noise, step, 0), step / 30)
        assert len(read_film(disk / "film.mp4")[0]) == recorder.frames > 3
    finally:
        os.system(f"umount {disk}")
