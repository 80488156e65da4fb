"""The shipped weights, made again from data/: teachers that differ, and one VGG16 that learns from them all.

    python -m models.training.weights --votes fer2013new.csv             # make weights does this
    python -m models.training.weights --minutes 8 --compile default      # what a GPU can do in 8 minutes
    python -m models.training.weights --limit 512 --minutes 5            # a rehearsal, on a CPU

A step is a run of train.py, into a folder of its own in output/weights/, and its command is printed. A step whose
result is there is skipped and one that was stopped goes on, so the same command finishes what a kill or Ctrl-C broke
off; what was made with other flags, or within --minutes where none are given now, is not taken for it. Flags that are
not this program's are train.py's and go to every step.

Without --minutes every step has all of its epochs: days on a CPU. With --minutes each has its share of what is left of
them. The last lines name the weights and record.md, a row a step for the model card.
"""

import argparse
import csv
import json
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from models.command_line import DONE, IN_PART, leave, new_parser, positive, script
from models.errors import UserError
from models.files import locked, replacing
from models.training.compiling import COMPILE_MODES

TRAIN = Path(__file__).parents[2] / "train.py"
START_SECONDS = 5  # a step takes until its minutes begin to count


@dataclass(frozen=True)
class Step:
    """A run of train.py.

    Attributes:
        name: Of its folder, and in the record.
        share: Of the minutes of the whole recipe.
        flags: train.py's.
        start: The step whose weights it begins with; None leaves it to `flags` or --start.
        teachers: The steps from whose answers it learns.
    """

    name: str
    share: float
    flags: dict[str, object]
    start: str | None = None
    teachers: tuple[str, ...] = field(default=())


# Teachers pay by erring elsewhere: another size, another start, another network.
COMMON: dict[str, object] = {"--mixup": 0.2}
RECIPE = (
    # From scratch at FER2013's own 48 pixels, nearly as Khaireddin and Chen (2021) trained theirs.
    Step("vgg16-48", 0.15, {
        **COMMON, "--init": "scratch", "--input-size": 48, "--epochs": 300, "--batch-size": 128, "--lr": 0.05,
        "--dropout": 0.4, "--seed": 1,
    }),
    Step("resnet18-64", 0.15, {
        **COMMON, "--arch": "resnet18", "--init": "scratch", "--input-size": 64, "--epochs": 200, "--batch-size": 128,
        "--lr": 0.05, "--dropout": 0.4, "--corruption": 0.3, "--seed": 2,
    }),
    Step("vgg16-96", 0.3, {
        **COMMON, "--input-size": 96, "--epochs": 60, "--batch-size": 128, "--lr": 0.02, "--dropout": 0.4, "--seed": 3,
    }),
    Step("student", 0.4, {
        **COMMON, "--input-size": 96, "--epochs": 80, "--batch-size": 128, "--lr": 0.02, "--dropout": 0.4,
        "--corruption": 0.5, "--teachers-weight": 0.6, "--seed": 4,
    }, start="vgg16-96", teachers=("vgg16-48", "resnet18-64", "vgg16-96")),
)  # fmt: skip


class RecipeError(UserError):
    """A step did not come to its end; the message says which and how to go on."""


@script
def main(argv: list[str] | None = None) -> int:
    parser = new_parser(__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder made by preprocess.py")
    parser.add_argument("--votes", type=Path, metavar="CSV", help="FER+'s fer2013new.csv")
    parser.add_argument("--start", default="imagenet", help="--init of the steps that begin with ImageNet's VGG16")
    parser.add_argument("--minutes", type=positive(float), metavar="M", help="for the whole recipe; less is trained")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--compile", choices=COMPILE_MODES, default="off", help="see train.py")
    parser.add_argument("--output", type=Path, default=Path("output/weights"), help="folder of the steps' folders")
    arguments, others = parser.parse_known_args(argv)
    arguments.output.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + arguments.minutes * 60 if arguments.minutes else None
    with locked(arguments.output / ".lock", arguments.output):
        for number, step in enumerate(RECIPE):
            share = step.share / sum(each.share for each in RECIPE[number:])
            if not do_step(step, arguments, others, deadline, share):
                print(f"stopped in {step.name}, see above; the same command goes on", file=sys.stderr)
                return IN_PART
    record = write_record(arguments.output)
    print(f"wrote {record}\nwrote {best_of(arguments.output, RECIPE[-1].name)}")
    return DONE


def do_step(step: Step, arguments: argparse.Namespace, others: list[str], deadline: float | None, share: float) -> bool:
    """Trains a step to its end, from where it stands; returns whether it got there.

    Raises:
        RecipeError: train.py refused, and said why.
    """
    folder = arguments.output / step.name
    flags = {"--data": arguments.data, "--init": arguments.start, **step.flags, "--output": folder}
    if arguments.votes:
        flags["--votes"] = arguments.votes
    if step.start:
        flags["--init"] = best_of(arguments.output, step.start)
    made_by = [str(part) for pair in flags.items() for part in pair] + others
    if step.teachers:
        made_by += ["--teachers", *(str(best_of(arguments.output, name)) for name in step.teachers)]
    keep_to(folder, made_by + (["within --minutes"] if deadline else []))
    run = finished_run(arguments.output, step.name)
    if run:
        print(f"{step.name}: is there, {accuracy_of(run):.2%} of val", file=sys.stderr)
        return True
    begun = sorted(folder.glob("*/last.pt"))
    command = ["--resume", str(begun[-1].parent)] if begun else list(made_by)
    if deadline and not begun:
        minutes = (share * (deadline - time.monotonic()) - START_SECONDS) / 60
        command += ["--fit-minutes", f"{max(minutes, 0.05):.2f}"]
    command += ["--device", arguments.device, "--compile", arguments.compile]
    print(f"{step.name}: python train.py {shlex.join(command)}", file=sys.stderr, flush=True)
    code = run_to_its_end([sys.executable, str(TRAIN), *command])
    if code not in (DONE, IN_PART):
        raise RecipeError(f"{step.name} ended with exit code {code}: see above; the same command goes on")
    return code == DONE


def keep_to(folder: Path, made_by: list[str]) -> None:
    """Writes down by which flags a step is made, and refuses to go on with what was made by others."""
    written = folder / "flags.json"
    if any(folder.glob("*/last.pt")) and written.is_file():
        before = json.loads(written.read_text(encoding="utf-8"))
        if before != made_by:
            raise RecipeError(
                f"{folder} was made with other flags ({shlex.join(before)}): take another --output, or move it away"
            )
    with replacing(written) as file:
        file.write(json.dumps(made_by).encode())


def run_to_its_end(command: list[str]) -> int:
    """Runs a command and returns its exit code; on Ctrl-C or a kill it saves first, and this waits for it."""
    with subprocess.Popen(command) as process:
        # A terminal sends Ctrl-C to the command as well; a kill is for this process alone.
        answers = {signal.SIGINT: lambda *_: None, signal.SIGTERM: lambda *_: process.terminate()}
        before = {number: signal.signal(number, answer) for number, answer in answers.items()}
        try:
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def finished_run(output: Path, name: str) -> Path | None:
    """The run folder of a step that came to its end; None if it did not."""
    reports = sorted((output / name).glob("*/report.json"))
    return reports[-1].parent if reports else None


def accuracy_of(run: Path) -> float:
    """On val, as the run reported it."""
    return json.loads((run / "report.json").read_text(encoding="utf-8"))["accuracy"]


def best_of(output: Path, name: str) -> Path:
    run = finished_run(output, name)
    if run is None:
        raise RecipeError(f"{output / name} holds no finished run any more: start the command again")
    return run / "best.pt"


def write_record(output: Path) -> Path:
    """Writes record.md: a row a step, with its figure, its time, and where its log is."""
    lines = ["| step | val, `--tta flip` | epochs | pictures/s | hours | seed | log |", "|---|---|---|---|---|---|---|"]
    for step in RECIPE:
        run = finished_run(output, step.name)
        if run:
            config = json.loads((run / "config.json").read_text(encoding="utf-8"))
            with open(run / "metrics.csv", newline="") as file:
                rows = list(csv.DictReader(file))
            hours, speed = sum(float(row["seconds"]) for row in rows) / 3600, float(rows[-1]["pictures_per_second"])
            lines.append(
                f"| {step.name} | {accuracy_of(run):.2%} | {config['epochs']} of {step.flags['--epochs']} "
                f"| {speed:.0f} | {hours:.2f} | {config['seed']} | {run / 'train.log'} |"
            )
    path = output / "record.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    leave(main())
