"""Cameras: what they are asked for, how they are mirrored, and why one cannot be opened."""

import sys

import cv2
import pytest

from models.live import cameras
from models.live.cameras import Camera
from models.live.opening import open_source
from models.live.sources import SourceError
from tests.films import FakeCapture, grey, open_in_turn


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


@pytest.mark.parametrize("mirror, is_mirrored", [(None, True), (False, False), (True, True)])
def test_a_camera_is_mirrored_unless_asked(mirror, is_mirrored, monkeypatch):
    picture = grey()
    picture[:, :32] = 255
    monkeypatch.setattr(
        Camera.__init__, "__defaults__", (*Camera.__init__.__defaults__[:-1], open_in_turn(FakeCapture([picture])))
    )
    with open_source("0", mirror=mirror) as source:
        assert (source.read().picture[0, 0, 0] == 0) == is_mirrored


def test_a_camera_is_asked_for_its_size_and_rate():
    capture = FakeCapture([grey()])
    Camera(0, width=1280, height=720, fps=60, open_capture=open_in_turn(capture))
    assert capture.asked[cv2.CAP_PROP_FRAME_WIDTH] == 1280 and capture.asked[cv2.CAP_PROP_FRAME_HEIGHT] == 720
    assert capture.asked[cv2.CAP_PROP_FPS] == 60
