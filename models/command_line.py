"""What the scripts share: flags, how a script ends, and the messages on the way there.

@script
def main(argv=None):
    parser = new_parser(__doc__)
    add_model_arguments(parser)
    ...
"""

import argparse
import atexit
import functools
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from models.errors import UserError
from models.packages import describe_import_error
from models.threads import describe_threads

if TYPE_CHECKING:
    from models.classifier import ExpressionClassifier

PRECISIONS = ("auto", "fp32", "bf16", "int8")
DONE, IN_PART, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
# Below this margin of the most probable class over the next, the first is right on 39 % of the faces and the second on
# 28 %: on val, of which such faces are 8 % (shipped weights, --tta flip, every other picture of val).
CLOSE_MARGIN = 0.1


def script(main: Callable[..., int]) -> Callable[..., int]:
    """Makes `main(argv=None)` end as every script of this project ends: with a code, and a sentence on stderr.

    0 done; 1 done in part, or nothing found; 2 wrong use or something missing; 130 Ctrl-C.
    """

    @functools.wraps(main)
    def run(argv: list[str] | None = None) -> int:
        file = Path(main.__code__.co_filename)
        name = file.parent.name if file.stem == "__main__" else file.name
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # file names may hold what the terminal's encoding cannot show
                stream.reconfigure(errors="backslashreplace")
        try:
            code = main(argv)
            sys.stdout.flush()
            return code
        except UserError as error:
            message, code = str(error), WRONG_USE
        except ImportError as error:
            message, code = describe_import_error(error), WRONG_USE
        except BrokenPipeError:  # `… | head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return DONE
        except OSError as error:
            message, code = f"{error}; what was complete before is intact", IN_PART
        except KeyboardInterrupt:
            message, code = "stopped", INTERRUPTED
        print(f"{name}: {message}", file=sys.stderr)
        return code

    return run


def leave(code: int) -> NoReturn:
    """Ends the process with a code, without taking down Python and unloading torch's libraries.

    The threads of gloo, through which processes on CPUs talk, live on after `destroy_process_group`. One that lets go
    of a tensor while Python is taken down aborts the process, with all its work done. The libraries' destructors touch
    memory that was never needed before: leaving them out lowers the peak by 110 to 130 MB.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def new_parser(documentation: str | None) -> argparse.ArgumentParser:
    """A parser whose help opens with the script's own documentation and shows the defaults."""
    return argparse.ArgumentParser(description=documentation, formatter_class=_HelpFormatter)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False, argparse.SUPPRESS) or not action.option_strings:
            return action.help
        return f"{action.help} (default: %(default)s)"


def add_model_arguments(parser: argparse.ArgumentParser, fast_action: Any = "store_true", fast_when: str = "") -> None:
    """Adds the network's flags.

    Args:
        fast_action, fast_when: argparse's action of `--fast`, and when it is taken unasked.
    """
    group = parser.add_argument_group("network")
    group.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="weights that train.py wrote, instead of the shipped ones"
    )
    group.add_argument(
        "--fast",
        action=fast_action,
        help=f"the small network that ships as well: many times as fast, right a little less often{fast_when}",
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="what to multiply in; auto is the fastest here, and is printed",
    )
    group.add_argument(
        "--tta",
        choices=("none", "flip", "ten"),
        default="flip",
        help="views averaged for an answer: the face, with its mirror image, or ten crops",
    )


def add_detector_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("faces")
    group.add_argument(
        "--detector",
        choices=("auto", *_finder_names()),
        default="auto",
        help="how faces are found; auto is rpn, the project's own proposal network",
    )
    group.add_argument(
        "--detector-model",
        type=Path,
        metavar="FILE",
        help="the YuNet model, for --detector yunet; for rpn a network that models.faces.training wrote",
    )
    group.add_argument("--max-faces", type=positive(int), metavar="N", help="take the N largest faces of a picture")
    group.add_argument(
        "--min-face",
        type=positive(int),
        metavar="PIXELS",
        help="smallest face that is looked for, in pixels: from 12, below which none is found; by default "
        "24, and at least 4.5 %% of the picture's shorter side with haar, mtcnn and yunet, 6 %% with a live camera",
    )


def _finder_names() -> list[str]:
    """As `models.faces.detector.finder_names`, without importing OpenCV to show a help text."""
    return sorted(path.stem for path in (Path(__file__).parent / "faces" / "finders").glob("[!_]*.py"))


def load_classifier(arguments: argparse.Namespace) -> "ExpressionClassifier":
    """The classifier that the network's flags ask for; imports torch."""
    from models.classifier import FAST, ExpressionClassifier

    if arguments.fast and arguments.checkpoint:
        raise UserError("--fast is a checkpoint of its own: take it, or --checkpoint")
    checkpoint = FAST if arguments.fast else arguments.checkpoint
    return ExpressionClassifier.load(checkpoint, arguments.device, arguments.precision, arguments.tta)


def tell_choices(
    arguments: argparse.Namespace, device: Any, precision: str, network: Any, *others: str, threads: bool = True
) -> None:
    """Prints on stderr, in a line, what is computed on and in, and what else was chosen; with the reason, where the
    flags left it open.

    Args:
        network: What answers: a network, or a classifier.
        others: What else to tell, each in words.
        threads: Whether to tell in how many threads a CPU computes.
    """
    from models.device import explain_device
    from models.inference import explain_precision

    reasons = [explain_device(device)] if arguments.device == "auto" else []
    if arguments.precision == "auto":
        reasons.append(explain_precision(precision, device, network.arch, network.head))
    in_threads = f", {describe_threads()}" if threads and str(device) == "cpu" else ""
    print("; ".join([f"computing on {device} in {precision}{because(*reasons)}{in_threads}", *others]), file=sys.stderr)


def because(*reasons: str) -> str:
    """Reasons in brackets, to be put behind a choice; nothing where there are none."""
    return f" ({'; '.join(reasons)})" if reasons else ""


def describe_detector(arguments: argparse.Namespace) -> str:
    """Which face finder is used; where the flags left it open, with the reason."""
    from models.faces.detector import AUTO

    left_open = arguments.detector == "auto"
    finder = f"faces by {AUTO if left_open else arguments.detector}"
    if arguments.detector_model:
        return f"{finder} with {arguments.detector_model}"
    return finder + because("found most in all, see R/") if left_open else finder


def load_detector(arguments: argparse.Namespace) -> Any:
    """The face detector that the faces' flags ask for."""
    from models.faces import make_detector

    chosen = {"min_face": arguments.min_face, "max_faces": arguments.max_faces}
    given = {name: value for name, value in chosen.items() if value is not None}
    return make_detector(arguments.detector, arguments.detector_model, **given)


def positive(kind: type) -> Callable[[str], Any]:
    """An argument's type: a number of this kind above 0."""

    def parse(text: str) -> Any:
        value = kind(text)
        if not 0 < value < math.inf:  # a float may be nan
            raise argparse.ArgumentTypeError(f"{text} is no number above 0")
        return value

    parse.__name__ = kind.__name__  # argparse names it when the text is no number
    return parse


def not_negative(text: str) -> float:
    """An argument's type: a number from 0 up."""
    value = float(text)
    if not 0 <= value < math.inf:  # a float may be nan
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 up")
    return value


def answer_in_words(face: Any, class_names: list[str]) -> str:
    """What a face expresses, and what it nearly does where the answer is not clear-cut."""
    second, margin = runner_up(face, class_names)
    nearly = f", nearly {second} {face.confidence - margin:.1%}" if margin < CLOSE_MARGIN else ""
    return f"{face.label} {face.confidence:.1%}{nearly}"


def runner_up(face: Any, class_names: list[str]) -> tuple[str | None, float]:
    """The second most probable class, None where there is but one, and how much less probable it is than the first."""
    ranked = sorted(zip(face.probabilities, class_names), key=lambda pair: -pair[0])
    if len(ranked) < 2:
        return None, 1.0
    (first, _), (second, name) = ranked[:2]
    return name, float(first - second)


def face_record(face: Any, class_names: list[str]) -> dict[str, Any]:
    """A face as plain values, as `--json` prints it."""
    second, margin = runner_up(face, class_names)
    return {
        "box": list(face.box),
        "detector_score": round(face.detector_score, 4),
        "expression": face.label,
        "confidence": round(face.confidence, 4),
        "second": second,
        "margin": round(margin, 4),
        "probabilities": {
            name: round(float(value), 4) for name, value in zip(class_names, face.probabilities, strict=True)
        },
    }


def has_display() -> bool:
    """Whether a window can be opened. OpenCV's window library ends the process where there is no display."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
