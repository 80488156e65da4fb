"""The window that frames are shown in, and its keys: for the main thread alone.

    check_display("leave --show out")
    with Window("camera", (640, 480)) as window:
        window.show(picture)
        key = window.key()

OpenCV draws it, with Qt on Linux, and systems want windows to be handled by the thread that the program began with.
"""

import ctypes

import cv2
import numpy as np

from models.command_line import has_display
from models.errors import UserError
from models.packages import opencv_remedy

LARGEST_WIDTH, SMALLEST_WIDTH = 1280, 640  # that a window opens with
ESCAPE = 27


class DisplayError(UserError):
    """No window can be opened; the message says how to do without."""


def check_display(remedy: str) -> None:
    """Finds out whether a window can be opened, before OpenCV tries: Qt ends the whole process where it cannot.

    Args:
        remedy: How to do without a window; the message ends with it.

    Raises:
        DisplayError: There is no display, it does not let us in, or OpenCV was built without windows.
    """
    framework = cv2.currentUIFramework()
    if not framework:
        raise DisplayError(
            f"this OpenCV is built without windows: {remedy}, or take one that has them: "
            f"{opencv_remedy('opencv-python')}"
        )
    if not has_display():
        raise DisplayError(f"there is no display to open a window on: {remedy}")
    if framework.startswith("QT") and not _x_server_answers():
        raise DisplayError(f"the display cannot be reached (is DISPLAY right, and may you use it?): {remedy}")


def _x_server_answers() -> bool:
    """Whether the X server that DISPLAY names lets us in; asked of libxcb, where there is one."""
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return True
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    refused = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    return not refused


class Window:
    """A window of our own size: it can be resized and closed."""

    def __init__(self, title: str, size: tuple[int, int]):
        """Opens a window for pictures of this width and height."""
        self._title = title
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        scale = np.clip(size[0], SMALLEST_WIDTH, LARGEST_WIDTH) / size[0]
        cv2.resizeWindow(title, round(size[0] * scale), round(size[1] * scale))

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, *_: object) -> None:
        if not self.closed:
            cv2.destroyWindow(self._title)
        cv2.waitKey(1)  # some systems take a window away only when events are handled

    def show(self, picture: np.ndarray) -> None:
        cv2.imshow(self._title, picture)

    def key(self) -> str:
        """Handles the window's events; the key pressed, in lower case, Escape as `q`, or an empty string."""
        code = cv2.waitKey(1)
        if code < 0:
            return ""
        return "q" if code & 0xFF == ESCAPE else chr(code & 0xFF).lower()

    @property
    def closed(self) -> bool:
        """Whether somebody has closed it. To be asked before `show`, which would open it again."""
        try:
            return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:  # Qt has gone with its last window
            return True
