"""All that wants a GPU, for one that is at hand for minutes only: its tests, its speed, and the weights.

    python -m tests.benchmarks.gpu --data data --minutes 9 --votes fer2013new.csv --start vgg16-imagenet-features.pt
    python -m tests.benchmarks.gpu --data data --minutes 3 --limit 512 --device cpu     # a rehearsal on a CPU

Begins with the tests that a machine without a GPU skips and with the speed of training, 48, 96 and 224 pixels and
batches of 64, 256 and 512, compiled or not: two minutes at most. What is left goes to `models.training.weights`,
compiled if that was clearly faster. Started again it goes on where it was, and tests and measures nothing twice.

Nothing is lost when it is cut off: --output gets each better state of the newest step's weights within seconds, in
pieces of 15 MiB (`cat best.pt.* > best.pt` puts them together), and a log of all that was printed. What only a GPU can
tell cannot stop it: a test that fails and a way of compiling that does not work are told, and it goes on. Last comes a
line of JSON: how was compiled, the seconds in all, and what the steps that are done have of val.
"""

import argparse
import json
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

from models.command_line import DONE, IN_PART, leave, new_parser, positive, script
from models.training.weights import RECIPE, accuracy_of, finished_run

PIECE = 15 << 20  # bytes
GPU_TESTS = "tests/test_gpu.py"
PREPARATION = 120  # seconds at most, before the weights
CLEARLY_FASTER = 1.15


@script
def main(argv: list[str] | None = None) -> int:
    parser = new_parser(__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder made by preprocess.py")
    parser.add_argument("--votes", type=Path, metavar="CSV", help="FER+'s fer2013new.csv")
    parser.add_argument("--start", default="imagenet", help="ImageNet's VGG16, see train.py's --init")
    parser.add_argument("--minutes", type=positive(float), default=9, metavar="M", help="in all")
    parser.add_argument("--limit", type=positive(int), metavar="N", help="use N pictures of each split: a rehearsal")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--work", type=Path, default=Path("output/weights"), help="folder of the steps")
    parser.add_argument("--output", type=Path, default=Path("output/gpu"), help="folder that is brought back")
    arguments = parser.parse_args(argv)
    started = time.monotonic()
    deadline = started + 60 * arguments.minutes
    arguments.output.mkdir(parents=True, exist_ok=True)
    with open(arguments.output / "log.txt", "a", encoding="utf-8") as log:
        mode = prepare(arguments, log)
        keeper = Keeper(arguments.work, arguments.output)
        keeper.start()
        command = [
            "-m", "models.training.weights", "--data", str(arguments.data), "--start", arguments.start,
            "--device", arguments.device, "--compile", mode, "--output", str(arguments.work),
            "--minutes", f"{max((deadline - time.monotonic()) / 60, 0.1):.2f}",
        ]  # fmt: skip
        command += ["--votes", str(arguments.votes)] if arguments.votes else []
        command += ["--limit", str(arguments.limit)] if arguments.limit else []
        code = run(command, log)
        keeper.stop()
    print(f"wrote {arguments.output}: log.txt and the weights in pieces")
    runs = {step.name: finished_run(arguments.work, step.name) for step in RECIPE}
    measured = {
        "compile": mode, "seconds": round(time.monotonic() - started), "all done": code == DONE,
        "val accuracy": {name: accuracy_of(run) for name, run in runs.items() if run},
    }  # fmt: skip
    print(json.dumps({"benchmark": "gpu", **measured}))
    return DONE if code == DONE else IN_PART


def prepare(arguments: argparse.Namespace, log) -> str:
    """Tests the GPU path and measures its speed, unless that was done; returns how to compile."""
    measured = arguments.output / "speed.json"
    if not measured.is_file():
        started = time.monotonic()
        run(["-m", "pytest", "-q", "-p", "no:cacheprovider", GPU_TESTS], log, PREPARATION)
        left = max(PREPARATION - (time.monotonic() - started), 20)
        rehearsal = ["--sizes", "48", "--batch-sizes", "16", "--compile", "off"] if arguments.limit else []
        run(
            ["-m", "tests.benchmarks.training", "--sizes", "48", "96", "224", "--batch-sizes", "64", "256", "512",
             "--compile", "off", "default", "reduce-overhead", "--seconds", "1", "--seconds-in-all", f"{left:.0f}",
             "--device", arguments.device, *rehearsal],
            log, left + 40, measured,
        )  # fmt: skip
    try:
        return fastest_mode(json.loads(measured.read_text(encoding="utf-8"))["rows"])
    except (OSError, ValueError, KeyError):
        return "off"


def fastest_mode(rows: list[dict]) -> str:
    """How to compile: not at all, unless another way is clearly faster wherever both were measured.

    Args:
        rows: From `tests.benchmarks.training`.
    """
    rates = {
        (row["compile"], row["input"], row["batch"]): float(row["pictures/s"])
        for row in rows
        if row["training"] == "train.py" and not row["failed"]
    }
    gains: dict[str, list[float]] = {}
    for (mode, *place), rate in rates.items():
        plain = rates.get(("off", *place))
        if mode != "off" and plain:
            gains.setdefault(mode, []).append(rate / plain)
    best = max(gains, key=lambda mode: min(gains[mode]), default="off")
    return best if best != "off" and min(gains[best]) >= CLEARLY_FASTER else "off"


def run(command: list[str], log, seconds: float | None = None, last_line_to: Path | None = None) -> int:
    """Runs `python <command>`, for some seconds at most, shows and keeps what it prints.

    Args:
        last_line_to: A file for the last line, where the command came to its end.
    """
    print(f"$ python {shlex.join(command)}", file=log, flush=True)
    last = ""
    with subprocess.Popen(
        [sys.executable, "-u", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        timer = threading.Timer(seconds or threading.TIMEOUT_MAX, process.kill)
        timer.daemon = True
        timer.start()
        for line in process.stdout:
            last = line if line.strip() else last
            for stream in (sys.stdout, log):
                stream.write(line)
                stream.flush()
        timer.cancel()
    if last_line_to and process.returncode == DONE:
        last_line_to.write_text(last, encoding="utf-8")
    return process.returncode


class Keeper(threading.Thread):
    """Copies the newest step's best weights and its table, each time that they change, to where they are safe."""

    def __init__(self, work: Path, output: Path, seconds: float = 5.0):
        super().__init__(daemon=True)
        self._work, self._output, self._seconds = work, output, seconds
        self._ended = threading.Event()
        self._kept: tuple[Path, float] | None = None

    def run(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self._keep()
            except OSError as error:
                print(f"the weights were not kept this time: {error}", file=sys.stderr, flush=True)

    def stop(self) -> None:
        self._ended.set()
        self.join()
        self._keep()

    def _keep(self) -> None:
        found = [(path.stat().st_mtime, path) for path in self._work.glob("*/*/best.pt")]
        if not found or self._kept == max(found):
            return
        newest = max(found)
        path = newest[1]
        content = path.read_bytes()  # whole: it is written beside and then renamed
        for number, start in enumerate(range(0, len(content), PIECE)):
            (self._output / f"best.pt.{number}").write_bytes(content[start : start + PIECE])
        table = path.parent / "metrics.csv"  # is written after the first epoch's weights
        rows = table.read_text(encoding="utf-8") if table.is_file() else ""
        (self._output / "best.txt").write_text(f"{path}, {len(content)} bytes\n{rows}", encoding="utf-8")
        self._kept = newest


if __name__ == "__main__":
    leave(main())
