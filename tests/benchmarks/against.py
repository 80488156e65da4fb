"""A script of this checkout against the same of an earlier one, in turn: how the times of the whole command compare.

    git worktree add ../before 230ae7d
    python -m tests.benchmarks.against ../before -- demo_image_batch.py photos --output OUTPUT
    python -m tests.benchmarks.against ../before -- demo_camera.py --source f.mp4 --no-window --record OUTPUT/f.mp4
    python -m tests.benchmarks.against ../before --record R -- demo_image.py    # csv files as well

Both run with this Python, each in its own checkout; paths that exist are made absolute, and `OUTPUT` is replaced by a
new folder for each run. Printed are wall and processor time, the medians and their ratio; last, a line of JSON.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from models.threads import SPINS
from tests.benchmarks.record import Table, add_record_argument, end

HERE = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the earlier checkout")
    parser.add_argument("--runs", type=int, default=5, help="of each, after one that is not counted")
    parser.add_argument("command", nargs="+", help="the script and its arguments, behind --")
    add_record_argument(parser)
    arguments = parser.parse_args()
    script, *rest = arguments.command
    rest = [os.path.abspath(part) if os.path.exists(part) else part for part in rest]
    runs = Table("against-runs", ["checkout", "wall s", "processor s"])
    times: dict[str, list[tuple[float, float]]] = {"before": [], "now": []}
    for number in range(arguments.runs + 1):
        for name, checkout in (("before", arguments.before), ("now", HERE)):
            seconds = run(checkout, script, rest)
            if number:
                times[name].append(seconds)
                runs.add(name, *(f"{value:.2f}" for value in seconds))
    print()
    medians = Table("against", ["command", "time", "before s", "now s", "before / now"])
    for index, kind in enumerate(("wall", "processor")):
        before, now = (statistics.median(seconds[index] for seconds in times[name]) for name in ("before", "now"))
        figures = (f"{value:.2f}" for value in (before, now, before / now))
        medians.add(" ".join(arguments.command), kind, *figures)
    end([runs, medians], arguments.record)


def run(checkout: Path, script: str, arguments: list[str]) -> tuple[float, float]:
    """Seconds by the clock, and of processors, that a script of a checkout takes; a failure ends all."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, script, *(part.replace("OUTPUT", folder) for part in arguments)]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        ended = subprocess.run(
            command, cwd=checkout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=as_in_a_shell()
        )
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode not in (0, 1) or "Traceback" in ended.stderr:
        sys.exit(f"{script} in {checkout} ended with {ended.returncode}: {ended.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def as_in_a_shell() -> dict[str, str]:
    """The environment without what importing `models` here has set: an earlier checkout may not set it itself."""
    ours = "GOMP_SPINCOUNT", str(SPINS)
    return {name: value for name, value in os.environ.items() if (name, value) != ours}


if __name__ == "__main__":
    main()
