"""Films made from the shipped pictures: faces that move, appear and leave, and stretches without any. Also a network
camera, and what is seen in what the camera demo makes.
"""

import csv
import http.server
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from models.expressions import CLASS_COLOURS
from models.live.opening import open_source
from models.live.recording import VideoRecorder

FRAME_DURATION = 1 << 8  # AV_CODEC_FLAG_FRAME_DURATION
INPUT = Path(__file__).parent.parent / "input"
# Where the faces are in these pictures: x, y, width and height of a part with some surroundings.
FACES = {"1.jpg": (220, 0, 550, 550), "3.jpg": (229, 68, 673, 673), "4.jpg": (110, 0, 230, 230)}


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
    times = [number / frame_rate for number in range(round(seconds * frame_rate))]
    return encode(path, draw_frames(seconds, frame_rate, size), times, frame_rate)


def encode(
    path: Path, pictures: Iterable[np.ndarray], times: Sequence[float], frame_rate: float = 30, codec: str = "",
    sounds: Sequence[str] = (), aspect: Fraction | None = None, last: float | None = None, pix_fmt: str = "yuv420p",
    tone: np.ndarray | None = None, sound_rate: int = 48000, **container: Any,
) -> Path:  # fmt: skip
    """Writes a film of BGR pictures at these times in seconds.

    Args:
        codec: By default what the suffix usually has.
        sounds: Codecs of sound tracks: tones of 440 Hz, 880 Hz and so on, as long as the pictures.
        aspect: Width over height of a pixel.
        last: Seconds that the last picture stands; by default what the rate says.
        tone: What all sound tracks have instead, float32 at 48 kHz.
        sound_rate: Samples a second.
        container: What `av.open` is given.
    """
    codec = codec or {".webm": "libvpx", ".avi": "mjpeg", ".mpg": "mpeg2video"}.get(path.suffix, "libx264")
    base = 1 / Fraction(frame_rate).limit_denominator(1001)
    base = Fraction(1, 90000) if any(abs(time / base - round(time / base)) > 1e-3 for time in times) else base
    with av.open(str(path), "w", **container) as output:
        picture_track = None
        sound_tracks = []
        for picture, time in zip(pictures, times):
            if picture_track is None:
                rate = Fraction(frame_rate).limit_denominator(1001)
                picture_track = output.add_stream(
                    codec, rate=rate, options={"preset": "ultrafast"} if codec == "libx264" else {}
                )
                picture_track.height, picture_track.width = picture.shape[:2]
                picture_track.pix_fmt = "yuvj420p" if codec == "mjpeg" else pix_fmt
                picture_track.codec_context.time_base = base
                picture_track.codec_context.flags |= FRAME_DURATION
                picture_track.codec_context.bit_rate = 2_000_000
                if aspect:
                    picture_track.codec_context.sample_aspect_ratio = aspect
                for sound in sounds:
                    sound_tracks.append(output.add_stream(sound, rate=sound_rate, layout="mono"))
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = round(Fraction(time) / base), base
            if last is not None and time == times[-1]:
                frame.duration = round(Fraction(last) / base)
            output.mux(picture_track.encode(frame))
        for number, track in enumerate(sound_tracks, start=1):
            length = times[-1] + (last or 1 / frame_rate)
            sine = 0.3 * np.sin(2 * np.pi * 440 * number * np.arange(round(48000 * length)) / 48000)
            resampler = av.AudioResampler(track.codec_context.format, "mono", sound_rate, 960)
            frame = av.AudioFrame.from_ndarray(
                (sine if tone is None else tone)[None].astype(np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = 48000, 0
            for part in [*resampler.resample(frame), *resampler.resample(None), None]:
                output.mux(track.encode(part))
        output.mux(picture_track.encode())
    return path


def encode_planes(path: Path, planes: np.ndarray) -> Path:
    """Writes a film of one picture, uint8 `[H * 3 / 2, W]` in yuv420p, without loss and without saying its colours."""
    with av.open(str(path), "w") as output:
        track = output.add_stream("ffv1", rate=10)
        track.width, track.height, track.pix_fmt = planes.shape[1], planes.shape[0] * 2 // 3, "yuv420p"
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = 0
        output.mux([*track.encode(frame), *track.encode()])
    return path


def only_sound(path: Path, with_cover: bool) -> Path:
    """Writes a second of sound, with or without the picture of an album."""
    with av.open(str(path), "w", format="mp4") as output:
        track = output.add_stream("aac", rate=48000, layout="mono")
        if with_cover:
            cover = output.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic.value
            output.mux([*cover.encode(av.VideoFrame.from_ndarray(grey(90), format="bgr24")), *cover.encode()])
        for number in range(40):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, 1024 * number
            output.mux(track.encode(frame))
        output.mux(track.encode())
    return path


def remux(source: Path, path: Path, shift: float = 0.0) -> Path:
    """Copies a film's packets, `shift` seconds later; before time 0, a player shows nothing of them."""
    with av.open(str(source)) as film, av.open(str(path), "w") as output:
        tracks = {stream.index: output.add_stream_from_template(stream) for stream in film.streams}
        for packet in film.demux():
            if packet.dts is not None:
                by = round(Fraction(shift) / packet.time_base)
                packet.pts, packet.dts = packet.pts + by, packet.dts + by
                packet.stream = tracks[packet.stream.index]
                output.mux(packet)
    return path


def copy(source: Path, path: Path, frames: int | None = None) -> VideoRecorder:
    """Records a film as it is, with its sound, or its first frames."""
    with open_source(str(source)) as film:
        recorder = VideoRecorder(path, film.size, film.frame_rate, film.time_base, film.sound())
        while recorder.frames != frames and (frame := film.read()) is not None:
            recorder.write(frame.picture, frame.seconds)
        recorder.close(film.end, with_rest_of_sound=frames is None)
        return recorder


def lay(path: Path, matrix: Sequence[float]) -> Path:
    """Gives an mp4 a display matrix, a, b, c and d, as phones do (ISO 14496-12, "track header box")."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    a, b, c, d = (round(value * 65536) for value in matrix)
    data[start : start + 36] = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(data)
    return path


def read_film(path: Path) -> tuple[list[np.ndarray], float]:
    """All frames of a video, and how many there are a second."""
    with av.open(str(path)) as film:
        frames = [frame.to_ndarray(format="bgr24") for frame in film.decode(video=0)]
        return frames, len(frames) * av.time_base / (film.duration or av.time_base)


def read_times(path: Path) -> list[float]:
    """When each frame of a video is shown, in seconds, and last when the film ends."""
    with av.open(str(path)) as film:
        frames = [float(frame.pts * frame.time_base) for frame in film.decode(video=0)]
        return [*frames, film.duration / av.time_base]


def read_sounds(path: Path) -> list[tuple[str, float, float]]:
    """Of each sound track its codec, its pitch in Hz and its length in seconds."""
    sounds = []
    with av.open(str(path)) as film:
        count = len(film.streams.audio)
    for number in range(count):
        with av.open(str(path)) as film:
            stream = film.streams.audio[number]
            resampler = av.AudioResampler("fltp", "mono", 48000)
            frames = [part for frame in film.decode(stream) for part in resampler.resample(frame)]
            tone = np.concatenate([frame.to_ndarray()[0] for frame in frames])
            spectrum = np.abs(np.fft.rfft(tone[4800:-4800]))
            sounds.append(
                (stream.codec_context.name, spectrum.argmax() * 48000 / (len(tone) - 9600), len(tone) / 48000)
            )
    return sounds


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a csv file."""
    with path.open(newline="", encoding="utf-8-sig") as file:
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


class FakeCapture:
    """Stands for cv2.VideoCapture: gives these pictures in turn, None for a failed read, and then fails for good."""

    def __init__(self, pictures=(), frame_rate=30.0, count=0.0, opened=True, pause=0.0):
        self.pictures, self.opened, self.pause, self.asked = list(pictures), opened, pause, {}
        self.said = {cv2.CAP_PROP_FPS: frame_rate, cv2.CAP_PROP_FRAME_COUNT: count}

    def isOpened(self):
        return self.opened

    def get(self, key):
        return self.said.get(key, 0.0)

    def set(self, key, value):
        self.asked[key] = value

    def read(self):
        time.sleep(self.pause)
        picture = self.pictures.pop(0) if self.pictures else None
        return (False, None) if picture is None else (True, picture)

    def release(self):
        self.opened = False


def open_in_turn(*captures):
    """What to open a source with: the first call gives the first capture, and so on; then there is none."""
    left = list(captures)
    return lambda *_: left.pop(0) if left else FakeCapture(opened=False)


def grey(level: int = 0) -> np.ndarray:
    return np.full((48, 64, 3), level, np.uint8)
