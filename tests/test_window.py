"""The window of demo_camera.py on a real display, and what is said where there is none."""

import ctypes
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import ImageGrab

from models.expressions import CLASS_NAMES
from tests.camera_demo import QUIET, film, is_all_that_was_said, network_camera, start, wait_for  # noqa: F401
from tests.conftest import run_script
from tests.films import pixels_of, read_face, read_film

# ruff: noqa: F811 - fixtures are arguments


def test_without_a_display_it_says_how_to_do_without(film):
    done = run_script("demo_camera.py", "--source", film, env=QUIET)
    assert done.returncode == 2 and "--no-window" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("Xvfb"), reason="needs libxcb, which Xvfb brings")
def test_a_display_that_is_gone_does_not_end_the_process_in_qt(film):
    done = run_script("demo_camera.py", "--source", film, env={**QUIET, "DISPLAY": ":4711"})
    assert done.returncode == 2 and "cannot be reached" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.fixture
def display():
    """An X server with one screen and nothing on it."""
    if not shutil.which("Xvfb") or not shutil.which("xdotool"):
        pytest.skip("needs Xvfb and xdotool")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as number:
        yield f":{number.readline().strip()}"
    server.terminate()
    server.wait()


def xdotool(display: str, *arguments: str) -> str:
    environment = {**os.environ, "DISPLAY": display}
    return subprocess.run(["xdotool", *arguments], env=environment, text=True, capture_output=True).stdout.strip()


def click_on_close(display: str, window: int) -> None:
    """Does what a window manager does when somebody clicks on a window's cross."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype, x11.XInternAtom.restype = ctypes.c_void_p, ctypes.c_ulong
    server = ctypes.c_void_p(x11.XOpenDisplay(display.encode()))
    protocols, delete = (x11.XInternAtom(server, name, False) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
    # XClientMessageEvent: type, serial, send_event, display, window, message_type, format, and what is asked for.
    event = (ctypes.c_long * 24)(33, 0, 1, 0, window, protocols, 32, delete)
    x11.XSendEvent(server, ctypes.c_ulong(window), False, ctypes.c_long(0), event)
    x11.XCloseDisplay(server)


def screen(display: str) -> np.ndarray:
    """What is on the screen, BGR uint8."""
    return np.asarray(ImageGrab.grab(xdisplay=display).convert("RGB"))[..., ::-1]


def test_a_real_window_shows_faces_takes_keys_and_can_be_closed(display, network_camera, tmp_path):
    network_camera.picture = read_face("1.jpg", 240)
    url, output = f"http://127.0.0.1:{network_camera.server_port}/video.mjpg", tmp_path / "output"
    process = start("--source", url, "--output", output, display=display)
    try:
        search = "search", "--onlyvisible", "--name", "Expressions"
        window = wait_for(lambda: process.poll() is not None or xdotool(display, *search))
        # Box, label and bar, in the colour of whatever the face is taken for.
        wait_for(lambda: max(pixels_of(screen(display), name) for name in CLASS_NAMES) > 800)
        xdotool(display, "windowfocus", window)
        xdotool(display, "key", "space")
        wait_for(lambda: list(output.glob("*-face.png")))
        xdotool(display, "key", "r")
        recording = wait_for(lambda: list(output.glob("*.mp4")))[0]
        wait_for(lambda: recording.stat().st_size > 5000)
        click_on_close(display, int(window))
        result, error = process.communicate(timeout=200)
    finally:
        process.kill()
    assert process.returncode == 0 and is_all_that_was_said(error), error
    assert sorted(path.suffix for path in output.iterdir()) == [".mp4", ".png", ".png"]
    assert read_film(recording)[0] and result.count("wrote") == 3


def test_escape_quits(display, network_camera, untrained_checkpoint):
    url = f"http://127.0.0.1:{network_camera.server_port}/video.mjpg"
    process = start("--source", url, "--checkpoint", untrained_checkpoint, display=display)
    try:
        search = "search", "--onlyvisible", "--name", "Expressions"
        window = wait_for(lambda: process.poll() is not None or xdotool(display, *search))
        frames = network_camera.frames
        wait_for(lambda: network_camera.frames > frames + 50)
        xdotool(display, "windowfocus", window)
        xdotool(display, "key", "Escape")
        _, error = process.communicate(timeout=200)
    finally:
        process.kill()
    assert process.returncode == 0 and is_all_that_was_said(error), error
