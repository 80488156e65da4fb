"""How quick this checkout and an earlier one are while other programs keep the cores busy, in turn.

    git worktree add ../before 230ae7d
    python -m tests.benchmarks.beside ../before                            # a quarter of an hour
    python -m tests.benchmarks.beside ../before --what face --beside 0 3   # some of it
    python -m tests.benchmarks.beside ../before --record R                 # as a csv file as well

Beside means: so many processes that do nothing but count, in a session of their own, as other programs are; with
`--same-session` in the one of this command, where Linux shares out the cores among processes instead of programs. Of
`face`, one face with two views by `ExpressionClassifier.classify`, the median and what one call in ten takes longer
than; of `camera`, what `tests.benchmarks.camera` tells; of `folder`, demo_image_batch.py over 200 pictures, start
included; of `step`, what train.py reports of an epoch at 64 pixels. Last, a line of JSON.
"""

import argparse
import csv
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from models.expressions import CLASS_NAMES
from models.pictures import write_picture
from tests.benchmarks import against
from tests.benchmarks.batch import fill
from tests.benchmarks.record import Table, add_record_argument

HERE = Path(__file__).parents[2]
CALLS, FRAMES, PICTURES, STEPS = 60, 300, 200, 8
FACE = f"""
import json, statistics, time
from models import ExpressionClassifier
import numpy as np
classifier = ExpressionClassifier.load()
face, took = np.random.default_rng(0).integers(0, 256, (1, 48, 48), np.uint8), []
for _ in range({CALLS} + 5):
    started = time.perf_counter()
    classifier.classify(face)
    took.append(1000 * (time.perf_counter() - started))
took = took[5:]
print(json.dumps({{"median ms": statistics.median(took), "tenth longest ms": statistics.quantiles(took, n=10)[8]}}))
"""

Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the earlier checkout")
    parser.add_argument("--what", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--beside", nargs="+", type=int, default=[0, 1, 2, 3, 4], metavar="N", help="busy processes")
    parser.add_argument("--same-session", action="store_true", help="have them in the session of this command")
    parser.add_argument("--rounds", type=int, default=2, help="of which the median counts")
    add_record_argument(parser)
    arguments = parser.parse_args()
    columns = ["what", "busy processes", "figure", "before", "now", "now / before"]
    table = Table("beside", columns, "same-session" if arguments.same_session else "own-session")
    with tempfile.TemporaryDirectory() as folder:
        for what in arguments.what:
            measure = MEASUREMENTS[what](Path(folder))
            for count in arguments.beside:
                rounds: dict[str, list[Figures]] = {"before": [], "now": []}
                with busy(count, arguments.same_session):
                    for _ in range(arguments.rounds):
                        for name, checkout in (("before", arguments.before.absolute()), ("now", HERE)):
                            rounds[name].append(measure(checkout))
                for figure in rounds["now"][0]:
                    before, now = (statistics.median(each[figure] for each in rounds[name]) for name in rounds)
                    table.add(what, count, figure, f"{before:.1f}", f"{now:.1f}", f"{now / before:.2f}")
    table.end(arguments.record)


@contextmanager
def busy(count: int, same_session: bool) -> Iterator[None]:
    """So many processes that keep a core busy, all in one session."""
    program = f"import os\nfor _ in range({count - 1}):\n    if os.fork() == 0: break\nwhile True: pass\n"
    if not count:
        yield
        return
    with subprocess.Popen(
        [sys.executable, "-c", program],
        start_new_session=not same_session,
        preexec_fn=os.setpgrp if same_session else None,
    ) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def run(checkout: Path, *command: str) -> str:
    ended = subprocess.run(
        [sys.executable, *command], cwd=checkout, capture_output=True, text=True, env=against.as_in_a_shell()
    )
    if ended.returncode:
        sys.exit(f"{' '.join(command)} in {checkout} ended with {ended.returncode}: {ended.stderr}")
    return ended.stdout


def prepare_face(_: Path) -> Callable[[Path], Figures]:
    return lambda checkout: json.loads(run(checkout, "-c", FACE))


def prepare_camera(_: Path) -> Callable[[Path], Figures]:
    def measure(checkout: Path) -> Figures:
        told = run(checkout, "-m", "tests.benchmarks.camera", "--frames", str(FRAMES))
        patterns = {  # of a checkout that ends in a line of JSON, or of one before it did
            "frames/s": r'([\d.]+) frames/s|"frames/s": "([\d.]+)"',
            "labels/s": r'([\d.]+) refreshes/s|"labels/s": "([\d.]+)"',
            "ms to a label": r'([\d.]+) ms to|"ms to a label": "([\d.]+)"',
        }
        found = {name: re.search(pattern, told) for name, pattern in patterns.items()}
        return {name: float(match[1] or match[2]) for name, match in found.items()}  # type: ignore[index]

    return measure


def prepare_folder(folder: Path) -> Callable[[Path], Figures]:
    pictures = str(fill(folder / "pictures", PICTURES, shrink=False))

    def measure(checkout: Path) -> Figures:
        wall, processor = against.run(checkout, "demo_image_batch.py", [pictures, "--output", "OUTPUT"])
        return {"s": wall, "s of processor": processor}

    return measure


def prepare_step(folder: Path) -> Callable[[Path], Figures]:
    data, chance = folder / "data", np.random.default_rng(0)
    for split in ("train", "val"):
        for number in range(len(CLASS_NAMES)):
            for index in range(64 * STEPS // len(CLASS_NAMES) + 1 if split == "train" else 1):
                path = data / split / str(number) / f"{index:05d}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_picture(path, np.repeat(chance.integers(0, 256, (240, 240, 1), np.uint8), 3, axis=2))

    def measure(checkout: Path) -> Figures:
        with tempfile.TemporaryDirectory() as output:
            flags = f"--data {data} --init scratch --input-size 64 --epochs 1 --device cpu --output {output}"
            run(checkout, "train.py", *flags.split())
            (metrics,) = Path(output).glob("*/metrics.csv")
            (row,) = csv.DictReader(metrics.read_text().splitlines())
            return {"pictures/s": float(row["pictures_per_second"])}

    return measure


MEASUREMENTS = {"face": prepare_face, "camera": prepare_camera, "folder": prepare_folder, "step": prepare_step}


if __name__ == "__main__":
    main()
