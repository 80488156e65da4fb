"""How smooth and how quick the live view is, with a 640×480 film that is fed at its own rate, 30 frames a second.

    python -m tests.benchmarks.camera                   # half a minute
    python -m tests.benchmarks.camera --frames 10000    # memory as well: five and a half minutes
    python -m tests.benchmarks.camera --record R        # as a csv file as well

In the film two faces move, appear and leave, in rounds of four seconds of which the first is empty. It is shown in a
window where there is a display (`xvfb-run` gives one), else drawn all the same and thrown away. Measured are

    frames shown a second and labels refreshed a second, over the whole run;
    the longest time between two frames on screen;
    the time from the reading of the first frame with a face to the showing of the first frame with its label;
    the process's memory after 300 frames and at the end.

Last comes a line of JSON.
"""

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import torch

import demo_camera
from models.command_line import load_classifier
from models.errors import UserError
from models.live.analysis import AnalysisThread, Analyzer, leave_a_core_for_the_display
from models.live.opening import open_source
from models.live.session import Session
from models.live.sources import Feed
from models.live.view import LiveView
from models.live.window import Window, check_display
from tests.benchmarks.record import Table, add_record_argument
from tests.films import write_film

FRAME_RATE, SIZE = 30, (640, 480)
ROUND, FIRST, SECOND = 4, 1, 2  # seconds: a round, and when in it the face at the left and the one at the right appear
SETTLED = 300  # frames after which memory should grow no more
COLUMNS = [
    "frames", "frames/s", "longest wait ms", "labels/s", "ms to a label", "ms to a label at most", "faces",
    "faces within 300 ms", f"MB after {SETTLED} frames", "MB at the end", "MB at most",
]  # fmt: skip


class Watcher:
    """Stands between the live view and its window, and notes what comes to be seen when."""

    def __init__(self, session: Session, feed: Feed, window: Window | None):
        self._session, self._feed, self._window = session, feed, window
        self.shown: list[float] = []
        self.memory: list[float] = []
        self.delays: dict[tuple[int, int], float] = {}  # (round, second of the round) → seconds to the label

    def show(self, picture: np.ndarray) -> None:
        if self._window is not None:
            self._window.show(picture)
        now = time.perf_counter()
        self.shown.append(now)
        if len(self.shown) % SETTLED == 0:
            self.memory.append(resident_megabytes())
        newest = self._feed.newest
        for track in self._session.tracker.tracks:
            is_at_left = track.box[0] + track.box[2] / 2 < SIZE[0] * 0.55
            key = int(track.first_seen // ROUND), FIRST if is_at_left else SECOND
            read = newest.captured - newest.seconds + key[0] * ROUND + key[1]  # when the face's first frame was read
            self.delays.setdefault(key, now - read)

    def key(self) -> str:
        return self._window.key() if self._window is not None else ""

    @property
    def closed(self) -> bool:
        return self._window is not None and self._window.closed


def resident_megabytes() -> float:
    """Memory that this process has, or 0 where /proc does not tell."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096 / 1e6 if status.exists() else 0.0


def open_window() -> Window | None:
    try:
        check_display("unset DISPLAY")
    except UserError:
        return None
    return Window("benchmark", SIZE)


def main() -> None:
    arguments, rest = parse_arguments()
    options = demo_camera.parse_arguments(rest)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        film = write_film(Path(folder) / "film.mp4", arguments.frames / FRAME_RATE, FRAME_RATE, SIZE)
        source = stack.enter_context(open_source(str(film)))
        leave_a_core_for_the_display()
        classifier = load_classifier(options)
        detector = demo_camera.load_video_detector(options, source.size, is_live=True)
        session = stack.enter_context(Session(source, Analyzer(classifier, detector)))
        session.analyzer.warm_up(source.size)
        window = open_window()
        where = "no display" if window is None else "in a window"
        print(f"{arguments.frames} frames, {where}; detector {options.detector}")
        print(
            f"{classifier.device}, {classifier.precision}, tta {options.tta}; "
            f"{torch.get_num_threads()} torch threads, {cv2.getNumThreads()} OpenCV threads"
        )
        feed = stack.enter_context(Feed(source))
        analyses = stack.enter_context(AnalysisThread(feed, session.analyzer))
        watcher = Watcher(session, feed, window)
        LiveView(session, feed, analyses, watcher).run(None)
        how = classifier.precision, f"tta-{options.tta}", f"detector-{options.detector}", f"{SIZE[0]}x{SIZE[1]}"
        table = Table("camera", COLUMNS, *how, device=classifier.device.type)
        table.add(arguments.frames, *figures(session, watcher))
        table.end(arguments.record)


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Any other flag goes to demo_camera.py: --tta, --detector, ...",
    )
    parser.add_argument("--frames", type=int, default=900, help="how many")
    add_record_argument(parser)
    return parser.parse_known_args()


def figures(session: Session, watcher: Watcher) -> list[str]:
    """What was measured, behind the number of frames in the table's order."""
    gaps = np.diff(watcher.shown)
    seconds = watcher.shown[-1] - watcher.shown[0]
    delays = 1000 * np.array(list(watcher.delays.values()))
    memory = [f"{value:.0f}" for value in watcher.memory]
    return [
        f"{len(gaps) / seconds:.1f}", f"{1000 * gaps.max():.0f}", f"{session.refreshes / seconds:.1f}",
        f"{np.median(delays):.0f}", f"{delays.max():.0f}", f"{len(delays)}", f"{np.sum(delays <= 300)}",
        *([memory[0], memory[-1], max(memory, key=int)] if memory else ["-"] * 3),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
