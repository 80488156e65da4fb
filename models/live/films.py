"""Video files and streams, through PyAV: pictures as a player shows them, each at its own time.

    with Film("film.mp4") as film:
        frame = film.read()

What OpenCV leaves to the program is done here: times of a variable rate, an edit list, pixels that are not square, and
a display matrix that turns or mirrors.
"""

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.stream import Disposition
from av.video.reformatter import Colorspace, VideoReformatter

from models.live.clock import Clock
from models.live.sound import Sound
from models.live.sources import USUAL_FRAME_RATE, Frame, Source, SourceError, fit, without_secrets

STREAM_TIMEOUT = 5.0  # seconds
STREAM_OPTIONS = {"rtsp_transport": "tcp"}  # over UDP, a lost packet spoils the picture
# A title or the like that is not UTF-8 is no reason to refuse a film: PyAV has to be told, from 19 on it knows.
ANY_TAGS = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
LATE_START = 0.1  # seconds, from which on a film's first time is worth a word
# Containers that say in their head how long they last; others' lengths are guesses.
SAY_THEIR_LENGTH = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "asf"}
MAY_LEAP = {"mpegts", "mpeg"}
EXACT = 2 | 1 << 18  # SWS_BILINEAR | SWS_ACCURATE_RND: without the second, greys lose up to 4 of 255 levels
UNTAGGED = 2  # a frame's colours
HD_HEIGHT = 720  # from which on untagged colours are BT.709, as players take them


class Film(Source):
    """A video file, a video at a URL, or a stream, which has no end."""

    def __init__(self, name: str, fps: float | None = None, mirror: bool = False):
        """Opens a video and reads its first frame.

        Args:
            name: A path, or a URL.
            fps: Frames a second of a video that carries no times.
            mirror: Flip frames left to right.

        Raises:
            SourceError: It cannot be opened, or has no picture.
        """
        self._is_url = "://" in name
        super().__init__(name, without_secrets(name) if self._is_url else name)
        self._mirror, self._number = mirror, 0
        self._next: av.VideoFrame | None = self._open()
        said = self._container.duration
        self.is_film = not self._is_url or bool(said)
        self.duration = said / av.time_base if said and self.is_film else None
        self._has_times = self._next.pts is not None or not self.is_film
        said_rates = self._stream.average_rate, self._stream.guessed_rate
        rate = next(filter(None, said_rates if self._has_times else said_rates[::-1]), USUAL_FRAME_RATE)
        if not self._has_times:
            rate = fps or rate
            self.remarks.append(f"{self.title} carries no times: taken as {float(rate):g} frames a second (--fps)")
        elif fps:
            self.remarks.append(f"{self.title} has times of its own: --fps is left aside")
        self.frame_rate = float(rate)
        if not self._has_times:
            self.time_base = 1 / Fraction(rate).limit_denominator(1001)
        elif self.is_film:
            self.time_base = self._next.time_base
        self._begins = self._begin()
        self._clock = Clock(1 / self.frame_rate, may_leap=self._container.format.name in MAY_LEAP)
        self._started: float | None = None  # a stream's time begins with the first frame that is asked for
        self.size = self._picture(self._next).shape[1::-1]

    def read(self) -> Frame | None:
        frame, self._next = self._next or next(self._frames, None), None
        if frame is None:
            return None
        captured = time.perf_counter()
        if self._started is None:
            self._started = captured
        if not self.is_film:
            seconds = captured - self._started
        elif self._has_times:
            said = None if frame.pts is None else frame.pts * frame.time_base - self._begins
            seconds = float(self._clock.read(said))
        else:
            seconds = float(self._number * self.time_base)
        if frame.is_corrupt:
            self._note_spoiled()
        picture = fit(self._picture(frame), self.size)
        self.end = seconds + (float((frame.duration or 0) * (frame.time_base or 0)) or 1 / self.frame_rate)
        self._number += 1
        return Frame(self._number - 1, seconds, picture, captured)

    def reopen(self) -> bool:
        self.close()
        try:
            self._next = self._open()
        except SourceError:
            return False
        return True

    def sound(self) -> Sound | None:
        if not self.is_film:
            if self._container.streams.audio:
                self.remarks.append(f"of {self.title}, a stream, the recording has no sound")
            return None
        if not self._container.streams.audio:
            return None
        if not self._is_url and not Path(self.name).is_file():
            self.remarks.append(f"{self.title} can be read but once: the recording has no sound")
            return None
        return Sound(self._connect, self._begins)

    def close(self) -> None:
        self._container.close()

    def _connect(self) -> av.container.InputContainer:
        if self._is_url:
            return av.open(self.name, timeout=STREAM_TIMEOUT, options=STREAM_OPTIONS, **ANY_TAGS)
        # Without a protocol of its own, FFmpeg takes what stands before a colon for one.
        return av.open(f"file:{self.name}", **ANY_TAGS)

    def _open(self) -> av.VideoFrame:
        """Opens the container; its first picture."""
        try:
            self._container = self._connect()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(self._why_nothing_came()) from error
        try:
            kind = self._container.format.name
            if kind == "tty" or kind.endswith("_pipe") or kind == "image2":
                raise SourceError(f"{self.title} is {'a text' if kind == 'tty' else 'a picture'}, not a video")
            # An album's cover is no video.
            videos = [each for each in self._container.streams.video if not each.disposition & Disposition.attached_pic]
            if not videos:
                sound = "sound alone" if self._container.streams.audio else "no video"
                raise SourceError(f"{self.title} has {sound}: --source takes a video file")
            best = self._container.streams.best("video")
            self._stream = best if best in videos else videos[0]
            # By slices a stream's picture comes as soon as it is there; by frames several are worked on at a time.
            self._stream.thread_type = "AUTO" if self._container.duration else "SLICE"
            self._reformatter = VideoReformatter()
            self._read_until, self._spoiled, self._first_spoiled = Fraction(0), 0, 0.0
            self._frames = self._decoded()
            first = next(self._frames, None)
            if first is None:
                raise SourceError(self._why_nothing_came())
        except BaseException:
            self._container.close()
            raise
        return first

    def _begin(self) -> Fraction:
        """When a player begins: with the first picture, or with sound that comes before. What an encoder puts before
        time 0 to get going is not heard."""
        if not self.is_film or not self._has_times or self._next is None or self._next.pts is None:
            return Fraction(0)
        begin = self._next.pts * self._next.time_base
        for stream in self._container.streams.audio:
            if stream.start_time is not None:
                begin = min(begin, max(Fraction(0), stream.start_time * stream.time_base))
        if begin >= LATE_START and self._container.format.name in SAY_THEIR_LENGTH:
            self.remarks.append(f"{self.title} begins at {float(begin):.3f} s: its times are counted from there")
        return begin

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """The pictures, in the order in which they are shown; the ends of all that is read are noted."""
        broke, packets = False, self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError):
                broke, packet = True, None
            if packet is None and not broke:
                break
            if packet is not None and packet.pts is not None and not packet.is_discard:
                self._read_until = max(self._read_until, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet is None or packet.stream.index == self._stream.index:
                try:
                    yield from self._stream.codec_context.decode(packet)
                except (av.error.FFmpegError, OSError):
                    self._note_spoiled()
            if broke:  # the decoder has just been asked for what it still had
                break
        if self.is_film and self._number:  # of a film without a picture, more is said than that
            self._tell_what_is_missing(broke)

    def _note_spoiled(self) -> None:
        if not self._spoiled:
            self._first_spoiled = self.end
        self._spoiled += 1

    def _said_end(self) -> Fraction | None:
        """When the film should end, as its container counts; None where that is but a guess."""
        said, kind = self._container.duration, self._container.format.name
        if not said or kind not in SAY_THEIR_LENGTH:
            return None
        begin = 0 if kind == "matroska,webm" else self._container.start_time or 0  # the others count from there
        end = Fraction(begin + said, av.time_base)
        # Where an avi's index is missing, FFmpeg makes the length fit the file.
        return max(end, self._stream.frames * self._stream.time_base) if kind == "avi" else end

    def _tell_what_is_missing(self, broke: bool) -> None:
        end = self._said_end()
        if end is not None:
            broke |= end - self._read_until > max(0.2, min(1.0, 0.05 * float(end)))
            if not broke:
                self.end = max(self.end, float(end - self._begins))
        if broke:
            of = "" if end is None else f" of {float(end - self._begins):.1f}"
            self.problems.append(f"{self.title} breaks off: {self.end:.1f}{of} s could be read")
        elif self._spoiled:
            self.problems.append(
                f"{self.title} is damaged: {self._spoiled} of its pictures, from {self._first_spoiled:.1f} s on, are "
                "spoiled or missing"
            )
        if self._clock.jumps:
            self.problems.append(
                f"the times of {self.title} leap, first at {self._clock.first_jump:.1f} s: they are counted on from "
                "there, and sound that comes after it may be early or late"
            )

    def _picture(self, frame: av.VideoFrame) -> np.ndarray:
        """A frame as it is shown: BGR uint8 `[H, W, 3]`, with square pixels, never fewer than it has, and upright."""
        width, height = frame.width, frame.height
        aspect = self._stream.sample_aspect_ratio or 1
        if aspect > 1:
            width = round(width * aspect)
        else:
            height = round(height / aspect)
        colours = None
        if frame.colorspace == UNTAGGED:
            colours = Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601
        squared = self._reformatter.reformat(frame, width, height, "bgr24", src_colorspace=colours, interpolation=EXACT)
        picture = squared.to_ndarray()
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is not None:
            picture = _upright(picture, np.frombuffer(matrix, np.int32).reshape(3, 3))
        return cv2.flip(picture, 1) if self._mirror else picture

    def _why_nothing_came(self) -> str:
        if self._is_url:
            return f"no picture comes from {self.title}: is the address right and the stream running?"
        return f"{self.name} cannot be read as a video: it is damaged, or of a kind that is not known here"


def _upright(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Turns and mirrors a picture as a display matrix `[3, 3]` says, by quarter turns.

    A point x, y of the stored picture is shown at a·x + c·y, b·x + d·y (ISO 14496-12, "track header box").
    """
    (a, b), (c, d) = matrix[:2, :2]
    if abs(a) < abs(b):
        picture, a, d = cv2.transpose(picture), c, b
    if a < 0:
        picture = cv2.flip(picture, 1)
    return cv2.flip(picture, 0) if d < 0 else picture
