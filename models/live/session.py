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
from models.live.log import ExpressionLog
from models.live.overlay import Overlay
from models.live.recording import RecordingError, VideoRecorder
from models.live.sources import Frame, Source
from models.live.tracking import PATIENCE, Tracker

ROUNDING = 1e-3  # seconds: containers round times
FILM_PAUSE = 0.1  # seconds between analyses of a film: faces are followed between, and no expression is shorter


class Session:
    """What goes on while a source is shown or annotated, and how it went.

    Attributes:
        every: Seconds between analyses of a film that is annotated.
        recording_since: When the recording began, in the source's time.
        frames, refreshes: Frames shown or annotated, and analyses that came to be seen in them.
        written: Files, in the order in which they were finished.
        problems: Sentences about what went wrong on the way; each was said when it happened.
        stopping: Set by a key or a signal.
        film_has_ended: Set when a film has been read to its end.
    """

    def __init__(
        self,
        source: Source,
        analyzer: Analyzer,
        smoothing: float = 0.4,
        output: Path = Path("output"),
        with_lines: bool = False,
        with_emoji: bool = False,
        every: float = FILM_PAUSE,
    ):
        """Begins a session.

        Args:
            source, analyzer: Where frames come from, and what finds faces in them.
            smoothing: Time constant of the probabilities, in seconds.
            output: Folder of what is saved on a key.
            with_lines: Print a line whenever a face appears or its label changes.
            with_emoji: Draw little faces beside the labels.
            every: Seconds between analyses of a film that is annotated.
        """
        self.source, self.analyzer, self.output = source, analyzer, output
        self.every = every
        # A face that is missed once keeps its track.
        self.tracker = Tracker(analyzer.class_names, smoothing, max(PATIENCE, 2.5 * every))
        self.overlay = Overlay(analyzer.class_names, with_emoji)
        self.recorder: VideoRecorder | None = None
        self.frames = self.refreshes = 0
        self.written: list[Path] = []
        self.problems: list[str] = []
        self.stopping = self.film_has_ended = False
        self.recording_since = 0.0  # seconds of the source
        self._started = time.perf_counter()
        self._log: ExpressionLog | None = None
        self._with_lines = with_lines

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.tracker.count_until(self.source.end)
        for problem in self.source.problems:
            self.fail(problem)
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
        """Begins a log; raises `UserError` where it cannot."""
        self._log = ExpressionLog(path, self.analyzer.class_names)

    def begin_recording(self, path: Path, since: float = 0.0) -> None:
        """Begins a recording, with the sound of a film; raises `UserError` where it cannot.

        Args:
            path: The file.
            since: Seconds of the source.
        """
        source = self.source
        self.recorder = VideoRecorder(
            path, source.size, source.frame_rate, source.time_base, source.sound(), begins=since
        )
        self.recording_since = since

    def record(self, drawn: np.ndarray, frame: Frame) -> None:
        """Adds a frame to the recording, if there is one."""
        if self.recorder is not None:
            try:
                self.recorder.write(drawn, max(0.0, frame.seconds - self.recording_since))
            except RecordingError as error:
                self.fail(str(error))
                self._keep_recording()

    def end_recording(self) -> None:
        """Completes the recording, if there is one."""
        if self.recorder is not None:
            try:
                self.recorder.close(self.source.end - self.recording_since, self.film_has_ended)
            except RecordingError as error:
                self.fail(str(error))
            self._keep_recording()

    def _keep_recording(self) -> None:
        if self.recorder is not None:
            if self.recorder.problem:
                self.fail(self.recorder.problem)
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
    """Annotates every frame of a film."""
    source, due = session.source, 0.0
    before: Frame | None = None
    form = "{percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s of film [{elapsed}<{remaining}]"
    with tqdm(
        total=source.duration,
        bar_format=form if source.duration else "{n:.0f} s of film [{elapsed}]",
        disable=not sys.stderr.isatty(),
    ) as progress:
        while session.frames != max_frames and not session.stopping and not session.problems:
            frame = source.read()
            if frame is None:
                session.film_has_ended = True
                break
            is_cut = session.tracker.follow(before or frame, frame)
            if is_cut or frame.seconds >= due - ROUNDING:
                session.take(session.analyzer.analyze(frame), frame)
                due = max(due, frame.seconds - session.every / 2) + session.every
            if session.recorder is not None:
                session.record(session.overlay.draw_faces(frame.picture, session.tracker.tracks), frame)
            session.frames += 1
            before = frame
            progress.update(min(frame.seconds, source.duration or frame.seconds) - progress.n)
    if session.stopping:
        session.fail(f"stopped after {session.frames} frames")
