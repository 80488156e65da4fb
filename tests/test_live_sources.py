"""Sources of frames: their names and sizes, and the thread that keeps the newest frame."""

import time
from contextlib import ExitStack

import numpy as np
import pytest

from models.live import sources
from models.live.cameras import Camera
from models.live.opening import open_source
from models.live.sources import Feed, fit, without_secrets
from tests.films import FakeCapture, grey, open_in_turn, serve_motion_jpeg, write_film


@pytest.mark.parametrize("url", [
    "rtsp://admin:se:cr@et@10.0.0.7:554/live", "rtsp://admin:se/cr#et?secret@10.0.0.7/live", "http://[10.0.0.7/live",
    "http://10.0.0.7/live.mjpg?user=admin&password=secret#secret",
])  # fmt: skip
def test_a_streams_password_is_not_told(url):
    shown = without_secrets(url)
    assert "10.0.0.7" in shown and "live" in shown
    assert not any(part in shown for part in ("admin", "secret", "cr@et", "se:"))


def test_frames_of_another_size_keep_their_proportions(tmp_path):
    upright = fit(np.full((60, 20, 3), 255, np.uint8), (60, 60))
    assert upright.shape == (60, 60, 3) and (upright[:, 20:40] == 255).all() and not upright[:, :19].any()


# The feed


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
