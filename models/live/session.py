"""A run: the faces so far and what is kept of them. And the annotation of a film, where every frame counts.

    with Session(source, analyzer) as session:
        session.begin_recording(Path("annotated.mp4"))
        annotate_film(session)

Where the newest frame counts, it is `view.watch(session, with_window=True)` instead.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from models.live.analysis import Analysis, Analyzer
from models.live.overlay import Overlay
from models.live.recording import ExpressionLog, RecordingError, VideoRecorder
from models.live.sources import Frame, Source
from models.live.tracking import Tracker

FILM_ANALYSES = 10  # a second of film: faces are followed in the frames between, and no expression is shorter


class Session:
    """What goes on while a source is shown or annotated, and how it went.

    Attributes:
        frames, refreshes: Frames shown or annotated, and analyses that came to be seen in them.
        written: Files, in the order in which they were finished.
        problems: Sentences about what went wrong on the way; each was said when it happened.
        stopping: Set by a key or a signal.
    """

    def __init__(
        self,
        source: Source,
        analyzer: Analyzer,
        smoothing: float = 0.4,
        output: Path = Path("output"),
        with_lines: bool = False,
        with_emoji: bool = False,
    ):
        """Begins a session.

        Args:
            source, analyzer: Where frames come from, and what finds faces in them.
            smoothing: Time constant of the probabilities, in seconds.
            output: Folder of what is saved on a key.
            with_lines: Print a line whenever a face appears or its label changes.
            with_emoji: Draw little faces beside the labels.
        """
        self.source, self.analyzer, self.output = source, analyzer, output
        self.tracker = Tracker(analyzer.class_names, smoothing)
        self.overlay = Overlay(analyzer.class_names, with_emoji)
        self.recorder: VideoRecorder | None = None
        self.frames = self.refreshes = 0
        self.written: list[Path] = []
        self.problems: list[str] = []
        self.stopping = False
        self._started = time.perf_counter()
        self._log: ExpressionLog | None = None
        self._with_lines = with_lines

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.end_recording()
        self._end_log()

    @property
    def seconds(self) -> float:
        """Since the session began."""
        return time.perf_counter() - self._started

    def take(self, analysis: Analysis, frame: Frame) -> None:
        """Brings an analysis of this or an earlier frame up to this frame."""
        refreshed = self.tracker.update(analysis, frame)
        self.refreshes += 1
        if self._with_lines:
            for track in refreshed:
                if track.label_is_new:
                    tqdm.write(f"{frame.seconds:8.2f} s  face {track.number}: {track.label} {track.confidence:.0%}")
        if self._log is not None:
            try:
                self._log.write(frame, refreshed)
            except OSError as error:
                self.fail(f"the log has ended ({error.strerror}); what is in {self._log.path} stays")
                self._end_log()

    def begin_log(self, path: Path) -> None:
        """Begins a log; raises `RecordingError` where it cannot."""
        self._log = ExpressionLog(path, self.analyzer.class_names)

    def begin_recording(self, path: Path) -> None:
        """Begins a recording; raises `RecordingError` where it cannot."""
        self.recorder = VideoRecorder(path, self.source.frame_rate, self.source.size)

    def record(self, drawn: np.ndarray, seconds: float | None = None) -> None:
        """Adds a frame to the recording, if there is one; `seconds` as in `VideoRecorder.write`."""
        if self.recorder is not None:
            try:
                self.recorder.write(drawn, seconds)
            except RecordingError as error:
                self.fail(str(error))
                self.end_recording()

    def end_recording(self) -> None:
        """Completes the recording, if there is one."""
        if self.recorder is not None:
            self.recorder.close()
            self.written += [self.recorder.path] if self.recorder.frames else []
            self.recorder = None

    def _end_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self.written.append(self._log.path)
            self._log = None

    def fail(self, sentence: str) -> None:
        """Says what went wrong, and remembers it."""
        self.problems.append(sentence)
        tqdm.write(sentence, file=sys.stderr)

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Has Ctrl-C and SIGTERM end the session in good order; a second one ends the program at once."""
        before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def stop(number: int, _) -> None:
            self.stopping = True
            signal.signal(number, before[number])

        for number in before:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def annotate_film(session: Session, max_frames: int | None = None) -> None:
    """Annotates every frame of a film. Fails if it ends long before it should."""
    source = session.source
    every = max(1, round(source.frame_rate / FILM_ANALYSES))
    before: Frame | None = None
    ends = [count for count in (source.frame_count, max_frames) if count]
    with tqdm(total=min(ends, default=None), unit="frame", disable=not sys.stderr.isatty()) as progress:
        while session.frames != max_frames and not session.stopping and not session.problems:
            frame = source.read()
            if frame is None:
                break
            session.tracker.follow(before or frame, frame)
            if frame.number % every == 0:
                session.take(session.analyzer.analyze(frame), frame)
            if session.recorder is not None:
                session.record(session.overlay.draw_faces(frame.picture, session.tracker.tracks))
            session.frames += 1
            before = frame
            progress.update()
    if session.stopping:
        session.fail(f"stopped after {session.frames} frames")
    elif not session.problems and session.frames < 0.95 * min(ends, default=0):  # a container's count may be a guess
        session.fail(f"{source.name} breaks off: {session.frames} of {min(ends)} frames could be read")
