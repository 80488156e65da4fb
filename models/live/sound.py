"""A film's sound on its way into a recording: copied as it is, or made anew where the recording's format wants that.

    sound = film.sound()
    sound.begin(container, copied={"aac"}, codec="aac")
    sound.copy_until(2.5)
    sound.close()

It is read apart from the pictures, which may be shown, left out or slow.
"""

from collections.abc import Callable, Iterator, Sequence, Set
from fractions import Fraction

import av

NEW_BIT_RATE = 128_000


class _Copied:
    """A track whose packets go into the recording as they are."""

    def __init__(self, stream: av.AudioStream, output: av.container.OutputContainer, _: str):
        self._output, self._stream = output, output.add_stream_from_template(stream)
        _take_over(stream, self._stream)

    def write(self, packet: av.Packet) -> None:
        packet.stream = self._stream
        self._output.mux(packet)

    def end(self) -> None:
        pass


class _MadeAnew:
    """A track that is decoded and encoded in another codec."""

    def __init__(self, stream: av.AudioStream, output: av.container.OutputContainer, codec: str):
        self._output, self._decoder = output, stream.codec_context
        rates = av.codec.Codec(codec, "w").audio_rates or [stream.codec_context.sample_rate]
        rate = min(rates, key=lambda each: abs(each - stream.codec_context.sample_rate))
        layout = "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"
        self._stream = output.add_stream(codec, rate=rate, layout=layout)
        self._stream.bit_rate = NEW_BIT_RATE
        _take_over(stream, self._stream)
        self._encoder = self._stream.codec_context
        self._encoder.open()
        self._resampler = av.AudioResampler(self._encoder.format, layout, rate, self._encoder.frame_size or None)

    def write(self, packet: av.Packet | None) -> None:
        try:
            frames = self._decoder.decode(packet)
        except av.error.InvalidDataError:  # a spoiled packet is a short silence
            return
        for frame in frames:
            self._encode(self._resampler.resample(frame))

    def end(self) -> None:
        self.write(None)
        self._encode([*self._resampler.resample(None), None])

    def _encode(self, frames: Sequence[av.AudioFrame | None]) -> None:
        for frame in frames:
            for packet in self._encoder.encode(frame):
                packet.stream = self._stream
                self._output.mux(packet)


def _codec(stream: av.AudioStream) -> str:
    """The codec of a track, where FFmpeg names its decoder."""
    return stream.codec_context.name.removesuffix("float")


def _take_over(stream: av.AudioStream, into: av.AudioStream) -> None:
    """What a player tells tracks apart by."""
    for key in ("language", "title"):
        if stream.metadata.get(key):
            into.metadata[key] = stream.metadata[key]


class Sound:
    """All sound tracks of a film.

    Attributes:
        problem: A sentence, where some of it is missing from the recording.
    """

    def __init__(self, connect: Callable[[], av.container.InputContainer], start: Fraction):
        """Prepares.

        Args:
            connect: Opens the film a second time.
            start: The film's first time in seconds, as its container counts.
        """
        self._connect, self._start = connect, start
        self.problem: str | None = None
        self._input: av.container.InputContainer | None = None
        self._tracks: dict[int, _Copied | _MadeAnew] = {}
        self._waiting: tuple[_Copied | _MadeAnew, av.Packet] | None = None

    def begin(self, output: av.container.OutputContainer, copied: Set[str], codec: str, seconds: float = 0.0) -> None:
        """Adds a track to a recording for each of the film's.

        Args:
            output: Of which nothing has been written.
            copied: Names of codecs that go into it as they are.
            codec: In which all others are made anew.
            seconds: Of the film, where the recording begins.
        """
        try:
            self._input = self._connect()
        except (av.error.FFmpegError, OSError, ValueError):
            self.problem = "the film's sound cannot be read: the recording is without it"
            return
        self._shift = self._start + Fraction(seconds).limit_denominator(90000)
        for stream in self._input.streams.audio:
            kinds = (_Copied, _MadeAnew) if _codec(stream) in copied else (_MadeAnew,)
            for kind in kinds:
                try:
                    self._tracks[stream.index] = kind(stream, output, codec)
                    break
                except (av.error.FFmpegError, ValueError, AttributeError):
                    continue
            else:
                self.problem = "a sound track is of a kind that is not known here: the recording is without it"
        self._packets = self._read(self._input)
        self._waiting = next(self._packets, None)

    def copy_until(self, seconds: float) -> None:
        """Writes what sounds before this time of the recording.

        Raises:
            OSError: The disk is full.
        """
        while self._waiting is not None:
            track, packet = self._waiting
            if packet.dts * packet.time_base >= seconds:
                break
            track.write(packet)
            self._waiting = next(self._packets, None)

    def close(self) -> None:
        """Writes what an encoder still has, and lets go of the film."""
        try:
            for track in self._tracks.values():
                track.end()
        finally:
            if self._input is not None:
                self._input.close()

    def _read(self, film: av.container.InputContainer) -> Iterator[tuple["_Copied | _MadeAnew", av.Packet]]:
        """Packets in the recording's time, from its beginning on."""
        last: dict[int, int] = {}
        try:
            for packet in film.demux(audio=tuple(range(len(film.streams.audio)))):
                if packet.dts is None or packet.pts is None or packet.stream.index not in self._tracks:
                    continue
                shift = round(self._shift / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                if packet.pts + (packet.duration or 0) <= 0 or packet.dts <= last.get(packet.stream.index, -(1 << 62)):
                    continue
                last[packet.stream.index] = packet.dts
                yield self._tracks[packet.stream.index], packet
        except (av.error.FFmpegError, OSError):
            self.problem = "the film's sound breaks off"
