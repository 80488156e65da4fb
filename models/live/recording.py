"""The annotated video: each picture at its time, in a form that browsers play, with the film's sound.

    recorder = VideoRecorder(Path("film.mp4"), size=(640, 480))
    recorder.write(picture, seconds=0.0)
    recorder.close(seconds=0.04)

Nothing is written over: a file that is there already is an error.
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av import library_versions as FFMPEG
from av.video.reformatter import Colorspace, VideoReformatter

from models.errors import UserError
from models.files import reserve
from models.live.films import EXACT
from models.live.sound import Sound
from models.live.sources import USUAL_FRAME_RATE, fit


@dataclass(frozen=True)
class Format:
    """What a container is filled with."""

    pictures: tuple[str, ...]  # codecs, the first that this FFmpeg has
    sound: str  # the codec for sound that cannot be copied, one that begins on time in this container
    copied: frozenset[str]  # codecs of sound that can
    options: dict[str, str] = field(default_factory=dict)


H264 = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf")
PLAYED_IN_MP4 = frozenset(("aac", "opus", "flac"))
# An mp4's index is written last: until then it is kept in fragments, which play without it after a power cut. Without
# delay_moov FFmpeg 8.1 and 9.0 move pictures that are stored out of order (findings/ffmpeg8_hybrid_fragmented_mp4.sh).
# FFmpeg 8.0, which PyAV 17 brings, ends such a file wrongly: no frame of it can be read.
IN_FRAGMENTS = {"movflags": "hybrid_fragmented+delay_moov"} if FFMPEG["libavformat"] >= (62, 12) else {}
# An avi is none of them: it holds times neither of its pictures nor of its sound.
FORMATS = {
    ".mp4": Format(H264, "aac", PLAYED_IN_MP4, IN_FRAGMENTS),
    ".m4v": Format(H264, "aac", frozenset(("aac",)), IN_FRAGMENTS),
    ".mov": Format(H264, "aac", frozenset(("aac",)), IN_FRAGMENTS),
    ".mkv": Format(H264, "libopus", PLAYED_IN_MP4 | {"vorbis", "ac3", "eac3", "mp3"}),
    ".webm": Format(("libvpx-vp9", "libvpx"), "libopus", frozenset(("opus", "vorbis"))),
}
# Fast enough to keep up with reading and drawing on two cores, and so good that no eye sees the difference.
OPTIONS = {
    "libx264": {"preset": "superfast", "crf": "21", "bf": "0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "crf": "20", "b": "0"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "4M"},
}
KEYFRAME_SECONDS = 2  # between pictures at which a player can begin, and after which a fragment is written
FRAME_DURATION = 1 << 8  # AV_CODEC_FLAG_FRAME_DURATION: without it the last picture would stand for a moment alone
RESERVE = 32 << 20  # bytes of disk, with which there is room for the index


class RecordingError(UserError):
    """A recording that cannot begin or go on; the message says why, and what is left of it."""


class VideoRecorder:
    """Writes pictures into a video file.

    Attributes:
        path: The file.
        frames: Pictures in it.
        problem: A sentence, where its sound is not whole.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        frame_rate: float = USUAL_FRAME_RATE,
        time_base: Fraction = Fraction(1, 90000),
        sound: Sound | None = None,
        begins: float = 0.0,
    ):
        """Begins a file.

        Args:
            path: Its suffix says the format: mp4, m4v, mov, mkv or webm. Missing folders are made.
            size: Width and height in pixels; pictures of another size are fitted in.
            frame_rate: Pictures a second, about.
            time_base: Seconds, of which times are multiples.
            sound: What sounds meanwhile.
            begins: Seconds of the film at which the recording begins.

        Raises:
            UserError: The file is there already, cannot be made, or its format cannot be written here.
        """
        suffix = path.suffix.lower()
        chosen = FORMATS.get(suffix)
        if chosen is None:
            raise RecordingError(f"{path} is no video that can be written: name it {', '.join(FORMATS)}")
        codec = next(filter(_is_there, chosen.pictures), None)
        if codec is None:
            others = ", ".join(name for name, format in FORMATS.items() if any(map(_is_there, format.pictures)))
            raise RecordingError(
                f"FFmpeg has no {' or '.join(chosen.pictures)} here to write {path.name} with: name it {others}"
            )
        reserve(path)
        self.path, self.frames, self._size, self._sound = path, 0, size, sound
        self._rate = Fraction(min(max(frame_rate, 1.0), 240.0)).limit_denominator(1001)
        self._time_base = time_base
        self._waiting: tuple[av.VideoFrame, int] | None = None
        self._has_begun = False  # something is in the file
        self._reformatter = VideoReformatter()
        try:
            self._container = av.open(f"file:{path}", "w", container_options=chosen.options)
            self._stream = self._add_pictures(codec)
            if sound is not None:
                sound.begin(self._container, chosen.copied, chosen.sound, begins)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            path.unlink(missing_ok=True)
            raise RecordingError(f"{path} cannot be written: {error}") from error
        self._check_room()

    @property
    def problem(self) -> str | None:
        return self._sound.problem if self._sound is not None else None

    def write(self, picture: np.ndarray, seconds: float) -> None:
        """Adds a picture.

        Args:
            picture: BGR uint8 `[H, W, 3]`.
            seconds: When it is to be seen, since the recording began.

        Raises:
            RecordingError: The disk is full. The recording is closed, and can be played.
        """
        self._check_room()
        now = round(Fraction(seconds) / self._time_base)
        if self._waiting is not None:
            if now <= self._waiting[1]:  # two in one moment
                return
            self._encode(now)
        self._waiting = self._converted(picture), now
        self.frames += 1

    def close(self, seconds: float | None = None, with_rest_of_sound: bool = False) -> None:
        """Ends the file. One without a picture is removed: no player opens it.

        Args:
            seconds: When the last picture ceases to stand, since the recording began; by default as the rate has it.
            with_rest_of_sound: The film has ended; its sound may last longer.

        Raises:
            RecordingError: The disk is full. What was written before can be played.
        """
        failure: Exception | None = None
        try:
            if self._waiting is not None:
                begun = self._waiting[1]
                usual = begun + round(1 / self._rate / self._time_base)
                until = usual if seconds is None else round(Fraction(seconds) / self._time_base)
                self._encode(max(until, begun + 1), with_rest_of_sound)
                self._mux(self._stream.encode())
            if self._sound is not None:
                self._sound.close()
        except (av.error.FFmpegError, OSError) as error:
            failure = error
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            failure = failure or error
        if not self._has_begun:
            self.frames = 0
            self.path.unlink(missing_ok=True)
        if failure is not None:
            rest = "what was written before can be played" if self.frames else "it was not begun"
            raise RecordingError(f"{self.path} could not be ended ({failure}): {rest}")

    def _add_pictures(self, codec: str) -> Any:
        stream: Any = self._container.add_stream(codec, rate=self._rate, options=OPTIONS.get(codec, {}))
        width, height = self._size
        # H.264 with colours at half the size, as all players take it, has even sides.
        even = 1 if codec.startswith("libvpx") else 2
        stream.width, stream.height = width + width % even, height + height % even
        stream.pix_fmt = "yuv420p"
        stream.gop_size = max(1, round(KEYFRAME_SECONDS * self._rate))
        context = stream.codec_context
        context.time_base = self._time_base
        context.flags |= FRAME_DURATION
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1  # BT.709
        return stream

    def _converted(self, picture: np.ndarray) -> av.VideoFrame:
        """A picture in the size and the colours of the file; a copy."""
        picture = fit(picture, self._size)
        beside, below = self._stream.width - self._size[0], self._stream.height - self._size[1]
        if beside or below:
            picture = np.asarray(cv2.copyMakeBorder(picture, 0, below, 0, beside, cv2.BORDER_REPLICATE), np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        return self._reformatter.reformat(
            frame, format="yuv420p", dst_colorspace=Colorspace.ITU709, interpolation=EXACT
        )

    def _encode(self, until: int, with_rest_of_sound: bool = False) -> None:
        """Writes the picture that waits, which stands until then, and what sounds before."""
        assert self._waiting is not None
        frame, begun = self._waiting
        frame.pts, frame.time_base, frame.duration = begun, self._time_base, until - begun
        try:
            if self._sound is not None:
                self._sound.copy_until(float("inf") if with_rest_of_sound else float(until * self._time_base))
            self._mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise self._ended_by(error) from error

    def _mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            self._container.mux(packet)
            self._has_begun = True

    def _check_room(self) -> None:
        if shutil.disk_usage(self.path.parent).free < RESERVE:
            raise self._ended_by(None)

    def _ended_by(self, error: Exception | None) -> RecordingError:
        if error is not None and self._waiting is not None:  # there was no room for it
            self._waiting, self.frames = None, self.frames - 1
        with suppress(RecordingError):
            self.close()
        outcome = f"what is in {self.path} can be played" if self.frames else f"{self.path} was not begun"
        return RecordingError(
            f"the disk is full, recording has ended: {outcome}"
            if error is None
            else f"recording has ended ({error}): {outcome}"
        )


def _is_there(codec: str) -> bool:
    try:
        av.codec.Codec(codec, "w")
    except ValueError:
        return False
    return True
