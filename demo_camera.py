#!/usr/bin/env python3
"""Read the expressions in front of a camera, in a video file or in a stream.

    python demo_camera.py                                      # the first camera, in a window
    python demo_camera.py --source film.mp4                    # a video at its own speed, in a window
    python demo_camera.py --source film.mp4 --no-window --record annotated.mp4 --log log.csv --timeline log.png

Without a window every frame of a video file is annotated, as fast as it goes; else the newest frame counts.
In the window: SPACE saves the face and the annotated frame, r starts and stops recording, h hides the help, q or
Esc quits.

Exit code: 0 done; 1 the camera vanished, the disk ran full, a film was stopped or has no face; 2 wrong use, or
nothing to see.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from models.packages import check_packages

if __name__ == "__main__":
    check_packages()  # before the imports that need them

from models.command_line import (
    DONE,
    IN_PART,
    add_detector_arguments,
    add_model_arguments,
    describe_detector,
    load_classifier,
    new_parser,
    not_negative,
    positive,
    script,
    tell_choices,
)
from models.errors import UserError

if TYPE_CHECKING:
    from models.classifier import ExpressionClassifier
    from models.faces import FaceDetector
    from models.live.session import Session
    from models.live.sources import Source


@script
def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    # What may be missing is looked for first: the network and torch, imported below, take seconds.
    from models.files import refuse_existing
    from models.live.opening import open_source
    from models.live.window import check_display

    refuse_existing(arguments.record, arguments.log, arguments.timeline)
    with open_source(arguments.source, arguments.width, arguments.height, arguments.fps, arguments.mirror) as source:
        if arguments.window:
            check_display("add --no-window, and --record or --log to keep what is seen")
        session = run(arguments, source)
    if arguments.timeline:
        draw(arguments, session)
    return report(session)


def run(arguments: argparse.Namespace, source: "Source") -> "Session":
    """Shows or annotates a source; returns how it went."""
    from models.live.analysis import Analyzer, leave_a_core_for_the_display
    from models.live.session import Session, annotate_film
    from models.live.view import watch

    is_live = arguments.window or not source.is_film
    leaves_a_core = is_live and leave_a_core_for_the_display()
    detector = load_video_detector(arguments, source.size, is_live)
    classifier = load_quick_classifier(arguments) if is_live else load_classifier(arguments)
    choices = [describe_detector(arguments)]
    if leaves_a_core:
        choices.append("a core is left for the pictures")
    tell_choices(arguments, classifier.device, classifier.precision, classifier, *choices)
    analyzer = Analyzer(classifier, detector)
    with_lines = not arguments.window
    options = arguments.smoothing, arguments.output, with_lines, arguments.emoji, arguments.every
    session = Session(source, analyzer, *options)
    with session, session.stopped_by_signals():
        if arguments.record:
            session.begin_recording(arguments.record)
        if arguments.log:
            session.begin_log(arguments.log)
        for remark in source.remarks:
            print(remark, file=sys.stderr)
        if is_live:
            watch(session, arguments.window, arguments.max_frames)
        else:
            annotate_film(session, arguments.max_frames)
    return session


def load_quick_classifier(arguments: argparse.Namespace) -> "ExpressionClassifier":
    """The classifier that the flags ask for; where they leave it open, the fast one if the accurate one is too slow."""
    from models.live.session import FILM_PAUSE

    classifier = load_classifier(arguments)
    if arguments.fast is None and arguments.checkpoint is None:
        seconds = classifier.seconds_a_face()
        if seconds > FILM_PAUSE:
            print(
                f"the accurate network takes {1000 * seconds:.0f} ms a face here, too long for live pictures: taking "
                "the fast one, which is right a little less often; --no-fast keeps the accurate one",
                file=sys.stderr,
            )
            arguments.fast = True
            return load_classifier(arguments)
    return classifier


def load_video_detector(arguments: argparse.Namespace, size: tuple[int, int], is_live: bool) -> "FaceDetector":
    """The face detector that the flags ask for; where they leave it open, one for moving pictures of this size.

    These stand upright. Live, faces count from a sixteenth of the picture's height, as those have who are at a few
    metres: smaller ones take most of the time.
    """
    from models.faces import make_detector

    return make_detector(
        arguments.detector,
        arguments.detector_model,
        min_face=arguments.min_face or (max(24, min(size) // 16) if is_live else None),
        max_faces=arguments.max_faces,
        any_turn=False,
    )


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    source = parser.add_argument_group("source")
    source.add_argument(
        "--source", default="0", metavar="SOURCE",
        help="a camera's number, a video file, numbered pictures such as frames/%%04d.jpg, or a stream's URL",
    )  # fmt: skip
    source.add_argument("--width", type=positive(int), metavar="PIXELS", help="ask the camera for frames this wide")
    source.add_argument("--height", type=positive(int), metavar="PIXELS", help="ask the camera for frames this high")
    source.add_argument(
        "--fps", type=positive(float), metavar="RATE",
        help="ask the camera for so many frames a second; of numbered pictures, and of a video without times, the rate",
    )  # fmt: skip
    source.add_argument(
        "--mirror", action=argparse.BooleanOptionalAction,
        help="flip left and right, as a mirror does; by default a camera only",
    )  # fmt: skip
    source.add_argument(
        "--every", type=positive(float), default=0.1, metavar="SECONDS",
        help="how often a film that is annotated is analysed; in the frames between faces are followed",
    )  # fmt: skip
    source.add_argument("--max-frames", type=positive(int), metavar="N", help="end after N frames")
    source.add_argument(
        "--smoothing", type=not_negative, default=0.4, metavar="SECONDS",
        help="time constant with which probabilities are averaged; 0: not at all",
    )  # fmt: skip
    output = parser.add_argument_group("output")
    output.add_argument("--window", action=argparse.BooleanOptionalAction, default=True, help="show it in a window")
    output.add_argument("--emoji", action="store_true", help="draw the expression's little face beside each label")
    output.add_argument(
        "--record", type=Path, metavar="FILE.mp4",
        help="write the annotated video, a film's with its sound: .mp4, .mov, .mkv or .webm",
    )  # fmt: skip
    output.add_argument(
        "--log", type=Path, metavar="FILE.csv", help="write a row a face and analysis, or one without a face"
    )
    output.add_argument("--timeline", type=Path, metavar="FILE.png", help="plot the log at the end: a band a face")
    output.add_argument(
        "--output", type=Path, default=Path("output"), metavar="FOLDER", help="for SPACE's and r's files"
    )
    add_detector_arguments(parser)
    add_model_arguments(
        parser, argparse.BooleanOptionalAction, "; by default where the accurate one is too slow for live pictures"
    )
    # Answers are averaged over time, many a second: a second view of each face would halve their number.
    parser.set_defaults(tta="none")
    arguments = parser.parse_args(argv)
    if arguments.timeline and not arguments.log:
        raise UserError("--timeline draws the log: add --log FILE.csv")
    return arguments


def draw(arguments: argparse.Namespace, session: "Session") -> None:
    """Draws the timeline."""
    from models.live.timeline import draw_timeline

    try:
        draw_timeline(arguments.log, arguments.timeline, session.analyzer.class_names)
        session.written.append(arguments.timeline)
    except OSError as error:
        session.fail(f"{arguments.timeline} cannot be written: {error.strerror or error}")


def report(session: "Session") -> int:
    """Says what was seen and written; returns the exit code."""
    source, tracker = session.source, session.tracker
    shares = sorted(tracker.seconds_of.items(), key=lambda item: -item[1])
    total = sum(tracker.seconds_of.values())
    of_film = f", {source.end:.1f} s of film" if source.is_film else ""
    print(f"{session.frames} frames{of_film} in {session.seconds:.1f} s", end="")
    if tracker.count:
        # A face that leaves and comes back begins a new track: this is not how many people there were.
        print(
            f"; {tracker.count} {'track' if tracker.count == 1 else 'tracks'}, a face for {tracker.seconds_seen:.1f} s"
        )
        print(", ".join(f"{label} {seconds / total:.0%}" for label, seconds in shares if total and seconds))
    else:
        print("; no face")
    for path in session.written:
        print(f"wrote {path}")
    if source.is_film and not tracker.count and not session.problems:
        session.fail("no face was found")
    return IN_PART if session.problems else DONE


if __name__ == "__main__":
    sys.exit(main())
