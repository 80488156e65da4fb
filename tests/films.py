"""Films made from the shipped pictures: faces that move, appear and leave, and stretches without any. Also a network
camera, and what is seen in what the camera demo makes.
"""

import csv
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from models.expressions import CLASS_COLOURS

INPUT = Path(__file__).parent.parent / "input"
# Where the faces are in these pictures: x, y, width and height of a part with some surroundings.
FACES = {"1.jpg": (220, 0, 550, 550), "4.jpg": (110, 0, 230, 230)}


def read_face(name: str, side: int) -> np.ndarray:
    """The part of a shipped picture with the face in it, BGR uint8 `[side, side, 3]`."""
    x, y, width, height = FACES[name]
    part = cv2.imread(str(INPUT / name))[y : y + height, x : x + width]
    return cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)


def draw_frames(seconds: float, frame_rate: float, size: tuple[int, int] = (320, 240)) -> Iterator[np.ndarray]:
    """Frames, BGR uint8, in rounds of four seconds: one empty, then 1.jpg's face moves to the right, and with it,
    from the second to the third, 4.jpg's stands at the right.
    """
    width, height = size
    side = height * 5 // 8
    first, second = read_face("1.jpg", side), read_face("4.jpg", side)
    for number in range(round(seconds * frame_rate)):
        time = number / frame_rate % 4
        frame = np.full((height, width, 3), (120, 110, 100), np.uint8)
        if time >= 1:
            left = 4 + round((time - 1) * width / 24)
            frame[height // 4 : height // 4 + side, left : left + side] = first
        if 2 <= time < 3:
            frame[height // 8 : height // 8 + side, width - side - 4 : width - 4] = second
        yield frame


def write_film(path: Path, seconds: float = 4, frame_rate: float = 15, size: tuple[int, int] = (320, 240)) -> Path:
    """Writes `draw_frames` as a video; the suffix says the format."""
    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), frame_rate, size)
    for frame in draw_frames(seconds, frame_rate, size):
        writer.write(frame)
    writer.release()
    return path


def read_film(path: Path) -> tuple[list[np.ndarray], float]:
    """All frames of a video, and its frame rate."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (frame := capture.read())[0]:
        frames.append(frame[1])
    return frames, capture.get(cv2.CAP_PROP_FPS)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a csv file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def pixels_of(picture: np.ndarray, name: str) -> int:
    """Pixels of a BGR picture that have exactly the colour of a class."""
    return int((picture == np.array(CLASS_COLOURS[name][::-1], np.uint8)).all(2).sum())


class MotionJpeg(http.server.BaseHTTPRequestHandler):
    """Answers as network cameras do: one JPEG after the other, without an end."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        jpeg = cv2.imencode(".jpg", self.server.picture)[1].tobytes()
        head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
        try:
            while not self.server.stopping.wait(0.03):
                self.wfile.write(head + jpeg + b"\r\n")
                self.server.frames += 1
        except OSError:  # the other side has gone
            pass

    def log_message(self, *_):
        pass


@contextmanager
def serve_motion_jpeg() -> Iterator[http.server.ThreadingHTTPServer]:
    """A network camera at `server_port` of this machine; shows `picture`, and counts `frames`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), MotionJpeg)
    server.daemon_threads, server.stopping = True, threading.Event()
    server.picture, server.frames = np.full((48, 64, 3), 90, np.uint8), 0
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
