"""The live view: the newest frame counts, and capture, inference and display do not wait for each other.

    watch(session, with_window=True)

Three threads: `sources.Feed` reads frames and keeps the newest, `analysis.AnalysisThread` looks for faces in the newest
and reads them, and the main thread, here, follows the faces from frame to frame, draws, records and listens to keys.
"""

import sys
import time
from collections import deque
from contextlib import ExitStack

from models.errors import UserError
from models.live.analysis import AnalysisThread
from models.live.moments import new_names, save_moment
from models.live.session import Session
from models.live.sources import RETRY_SECONDS, Feed, Frame
from models.live.window import Window

KEYS = "SPACE: save   R: record   H: hide keys   Q: quit"
NOTE_SECONDS, RATES_SECONDS = 2.5, 0.5


def watch(session: Session, with_window: bool, max_frames: int | None = None) -> None:
    """Shows a source live until somebody ends it, a film is over or a camera is gone for good, which fails."""
    session.analyzer.warm_up(session.source.size)
    with ExitStack() as stack:
        feed = stack.enter_context(Feed(session.source))
        analyses = stack.enter_context(AnalysisThread(feed, session.analyzer))
        window = Window(f"Expressions: {session.source.title}", session.source.size) if with_window else None
        if window is not None:
            stack.enter_context(window)
        LiveView(session, feed, analyses, window).run(max_frames)


class LiveView:
    """The loop of the main thread: follow, draw, record, show, and listen to keys, a frame at a time."""

    def __init__(self, session: Session, feed: Feed, analyses: AnalysisThread, window: Window | None):
        self._session, self._feed, self._analyses, self._window = session, feed, analyses, window
        self._frame: Frame | None = None
        self._state = feed.state
        self._with_help = True
        self._note, self._note_until, self._problems_told = "", 0.0, 0
        self._shown, self._refreshed, self._latency = Rate(), Rate(), 0.0
        self._rates_text, self._rates_until = "", 0.0

    def run(self, max_frames: int | None) -> None:
        session = self._session
        while session.frames != max_frames and not session.stopping:
            frame = self._feed.wait_newer(self._frame.number if self._frame else -1, timeout=0.05)
            self._tell_state(self._feed.state)
            if frame is not None:
                self._advance(frame)
                self._draw(frame)
            elif self._state in ("ended", "lost"):
                session.film_has_ended = self._state == "ended"
                break
            elif self._state == "retrying" and self._frame is not None:
                self._draw(self._frame, is_new=False)
            if self._window is not None and self._frame is not None:
                self._press(self._window.key(), self._frame)
                session.stopping |= self._window.closed

    def _advance(self, frame: Frame) -> None:
        """Brings the faces to a new frame, with what has been found out since the last."""
        session = self._session
        if self._frame is None:
            session.recording_since = frame.seconds
        session.tracker.follow(self._frame or frame, frame)
        analysis = self._analyses.take()
        if analysis is not None:
            session.take(analysis, frame)
            self._latency = time.perf_counter() - analysis.frame.captured
            self._refreshed.tick()
        self._frame = frame
        session.frames += 1
        self._shown.tick()

    def _draw(self, frame: Frame, is_new: bool = True) -> None:
        """Draws a frame, records it with its faces, and shows it with rates and keys as well."""
        session, window = self._session, self._window
        if window is None and session.recorder is None:
            return
        drawn = session.overlay.draw_faces(frame.picture, session.tracker.tracks)
        if is_new:
            session.record(drawn, frame)
        if window is not None:
            recorded = frame.seconds - session.recording_since
            recording = f"{int(recorded) // 60}:{int(recorded) % 60:02d}" if session.recorder is not None else ""
            session.overlay.draw_status(drawn, self._line(), self._rates(), recording)
            window.show(drawn)

    def _press(self, key: str, frame: Frame) -> None:
        session = self._session
        if key == "q":
            session.stopping = True
        elif key == "h":
            self._with_help = not self._with_help
        elif key == " ":
            try:
                drawn = session.overlay.draw_faces(frame.picture, session.tracker.tracks)
                paths = save_moment(session.output, drawn, session.tracker.tracks)
                session.written += paths
                self._show_note("saved " + ", ".join(path.name for path in paths))
            except OSError as error:
                session.fail(f"nothing could be saved in {session.output}: {error.strerror or error}")
        elif key == "r" and session.recorder is not None:
            self._show_note(f"recorded {session.recorder.path.name}")
            session.end_recording()
        elif key == "r":
            try:
                session.begin_recording(new_names(session.output, ".mp4")[0], since=frame.seconds)
            except UserError as error:
                session.fail(str(error))

    def _tell_state(self, state: str) -> None:
        """Says on stderr what has become of a camera."""
        if state == self._state:
            return
        title, self._state = self._session.source.title, state
        if state == "retrying":
            self._session.tracker.count_until(self._frame.seconds if self._frame else 0.0)
            print(f"{title} has vanished: trying to get it back for {RETRY_SECONDS:g} seconds", file=sys.stderr)
        elif state == "playing":
            print(f"{title} is back", file=sys.stderr)
        elif state == "lost":
            self._session.fail(f"{title} has not come back")

    def _rates(self) -> str:
        """The figures on screen, renewed twice a second: quicker ones cannot be read."""
        now = time.perf_counter()
        if now >= self._rates_until:
            self._rates_until = now + RATES_SECONDS
            shown, refreshed = self._shown.per_second, self._refreshed.per_second
            self._rates_text = (
                f"{shown:.0f} frames/s   {refreshed:.0f} labels/s   latency {1000 * self._latency:.0f} ms"
            )
        return self._rates_text

    def _line(self) -> str:
        """What stands at the lower edge: what has just happened, or the keys."""
        problems = self._session.problems
        if len(problems) > self._problems_told:
            self._problems_told = len(problems)
            self._show_note(problems[-1])
        if self._state == "retrying":
            return "The camera has vanished: trying to get it back"
        if time.perf_counter() < self._note_until:
            return self._note
        return KEYS if self._with_help else ""

    def _show_note(self, text: str) -> None:
        self._note, self._note_until = text, time.perf_counter() + NOTE_SECONDS


class Rate:
    """How often something happens a second, over the last seconds."""

    def __init__(self, seconds: float = 2.0):
        self._seconds, self._times = seconds, deque[float]()

    def tick(self) -> None:
        now = time.perf_counter()
        self._times.append(now)
        while now - self._times[0] > self._seconds:
            self._times.popleft()

    @property
    def per_second(self) -> float:
        return (len(self._times) - 1) / (self._times[-1] - self._times[0]) if len(self._times) > 1 else 0.0
