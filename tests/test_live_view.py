"""The live view of a camera: what is shown, which keys do what, and what ends it."""

import shutil
import threading
import time

import numpy as np
import pytest

from models.expressions import CLASS_COLOURS
from models.live import recording, sources, view
from models.live.analysis import Analyzer
from models.live.cameras import Camera
from models.live.session import Session
from models.live.view import watch
from tests.films import FakeCapture, open_in_turn, pixels_of, read_film
from tests.live import FakeClassifier, FakeDetector


class FakeWindow:
    """Stands for the window: takes what is shown, presses a key after so many frames, and then closes."""

    keys: dict[int, str] = {}
    closes_after = 1000

    def __init__(self, title, size):
        self.shown = FakeWindow.shown = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def show(self, picture):
        assert threading.current_thread() is threading.main_thread() and not self.closed
        self.shown.append(picture)

    def key(self):
        return self.keys.pop(len(self.shown), "")

    @property
    def closed(self):
        return len(self.shown) >= self.closes_after


@pytest.fixture
def window(monkeypatch):
    monkeypatch.setattr(view, "Window", FakeWindow)
    monkeypatch.setattr(FakeWindow, "keys", {})
    return FakeWindow


def make_session(tmp_path, *captures, detector=None) -> Session:
    source = Camera(0, open_capture=open_in_turn(*captures))
    return Session(source, Analyzer(FakeClassifier(), detector or FakeDetector()), output=tmp_path)


def endless(level: int = 120, count: int = 2000) -> FakeCapture:
    return FakeCapture([np.full((240, 320, 3), level, np.uint8)] * count, pause=0.01)


def test_faces_are_labelled_without_pressing_anything_and_q_quits(tmp_path, window):
    window.keys = {30: "q"}
    with make_session(tmp_path, endless()) as live:
        watch(live, with_window=True)
    assert len(window.shown) == 30 and live.refreshes > 0 and not live.problems
    assert pixels_of(window.shown[-1], "Happy") > 500
    assert pixels_of(window.shown[-1], "Sad") > 0  # bars


def test_closing_the_window_quits(tmp_path, window, monkeypatch):
    monkeypatch.setattr(window, "closes_after", 5)
    with make_session(tmp_path, endless()) as live:
        watch(live, with_window=True)
    assert len(window.shown) == 5 and not live.problems


def test_space_saves_r_records_h_hides_the_keys(tmp_path, window, monkeypatch):
    window.keys = {40: " ", 41: " ", 50: "r", 70: "r", 90: "h", 91: "q"}
    monkeypatch.setattr(view, "NOTE_SECONDS", 0.0)
    with make_session(tmp_path, endless()) as live:
        watch(live, with_window=True)
    suffixes = sorted(path.suffix for path in tmp_path.iterdir())
    assert suffixes == [".mp4", *[".png"] * 4] and sorted(live.written) == sorted(tmp_path.iterdir())
    (film,) = tmp_path.glob("*.mp4")
    assert len(read_film(film)[0]) > 3
    lower = [int((picture[-16:, :160].min(2) > 200).sum()) for picture in window.shown]
    assert lower[88] > 50 and lower[90] == 0


def test_a_recording_has_faces_but_neither_keys_nor_rates(tmp_path, window):
    window.keys = {60: "q"}
    with make_session(tmp_path, endless()) as live:
        live.begin_recording(tmp_path / "film.mp4")
        watch(live, with_window=True)
    last = read_film(tmp_path / "film.mp4")[0][-1]
    assert abs(last[-5:].astype(int) - 120).max() < 12 <= abs(window.shown[-1][-5:].astype(int) - 120).max()
    assert (np.abs(last.astype(int) - CLASS_COLOURS["Happy"][::-1]).max(2) < 40).sum() > 300


def test_a_full_disk_while_recording_is_told_and_the_camera_goes_on(tmp_path, window, monkeypatch, capsys):
    window.keys = {40: "q"}
    with make_session(tmp_path, endless()) as live:
        live.begin_recording(tmp_path / "film.mp4")
        usage = shutil._ntuple_diskusage(100, 99, 1)
        monkeypatch.setattr(
            recording.shutil,
            "disk_usage",
            lambda _: usage if live.frames >= 20 else shutil._ntuple_diskusage(1, 0, 1 << 40),
        )
        watch(live, with_window=True)
    assert len(window.shown) == 40
    assert len(live.problems) == 1 and "disk is full" in capsys.readouterr().err
    assert read_film(tmp_path / "film.mp4")[0] and live.written == [tmp_path / "film.mp4"]


def test_a_lost_camera_is_told_and_fails(tmp_path, window, monkeypatch, capsys):
    monkeypatch.setattr(sources, "RETRY_SECONDS", 0.4)
    with make_session(tmp_path, endless(count=10)) as live:
        watch(live, with_window=True)
    told = capsys.readouterr().err
    assert "camera 0 has vanished: trying" in told and "has not come back" in told
    assert live.problems and len(window.shown) > 10  # it was said on screen, too


def test_a_camera_without_a_window_ends_after_the_frames_asked_for(tmp_path, capsys):
    source = Camera(0, open_capture=open_in_turn(endless()))
    with Session(source, Analyzer(FakeClassifier(), FakeDetector()), output=tmp_path, with_lines=True) as live:
        watch(live, with_window=False, max_frames=40)
    assert live.frames == 40 and "face 1: Happy 90%" in capsys.readouterr().out


def test_what_breaks_in_the_analysis_ends_the_program(tmp_path, window):
    class Broken(FakeDetector):
        def detect(self, picture):
            if picture.any():
                raise RuntimeError("broken")
            return []

    with make_session(tmp_path, endless(), detector=Broken()) as live, pytest.raises(RuntimeError, match="broken"):
        watch(live, with_window=True)
    deadline = time.monotonic() + 10  # threads take a moment to end beside other work
    while threading.active_count() >= 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() < 4
