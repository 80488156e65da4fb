"""What each step of the recipe is worth: the same training again and again, with one step more each time.

    python -m tests.benchmarks.ladder --data data --votes fer2013new.csv --init vgg16-imagenet-features.pt
    python -m tests.benchmarks.ladder … --input-size 48 --epochs 3 --limit 3000   # 40 minutes on two cores
    python -m tests.benchmarks.ladder … --record R                                # csv files in R as well

Writes a row a rung to output/ladder/ladder.csv and draws output/ladder/ladder.png; prints those rows, then what each
step gained, and a line of JSON. All rungs have the same pictures,
epochs and learning rate; flags that are not this program's are train.py's and go to every rung. The figure is that
of train.py's own report: the best epoch on val, with the mirror image. The last two rungs, the whole recipe for twice
the epochs, are trained with --seeds seeds. Started again, it goes on: rungs that ladder.csv has are not trained again.
"""

import argparse
import csv
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from models import plots
from models.command_line import positive
from models.device import choose_device
from tests.benchmarks.record import Table, add_record_argument, end

COLUMNS = ("rung", "seed", "accuracy", "n")
TRAIN = Path(__file__).parents[2] / "train.py"
LONG = "twice as long"
PROGRESSIVE = "as long, first half at two thirds of the size"
# A step is what it is called, and the flags that it puts in the place of those of the rung before.
PLAIN = {
    "--init": "scratch", "--rotation": 0, "--scale": 0, "--shift": 0, "--brightness": 0, "--erasing": 0,
    "--label-smoothing": 0, "--ema-decay": 0, "--mixup": 0,
}  # fmt: skip


def steps(init: str, votes: Path | None, teacher: Path | None) -> list[tuple[str, dict[str, object]]]:
    crowd = [("the crowd's votes", {"--votes": votes})] if votes else []
    taught = [("a trained network's answers", {"--teachers": teacher})] if teacher else []
    return [
        ("from scratch: crop, mirror image", PLAIN),
        ("ImageNet's weights", {"--init": init}),
        ("averaged weights", {"--ema-decay": 0.99}),
        ("affine maps, brightness", {"--rotation": 12, "--scale": 0.1, "--shift": 0.04, "--brightness": 0.2}),
        ("erasing", {"--erasing": 0.25}),
        ("label smoothing", {"--label-smoothing": 0.1}),
        *crowd,
        ("mixup", {"--mixup": 0.2}),
        *taught,
        (LONG, {}),
        (PROGRESSIVE, {}),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder that preprocess.py made")
    parser.add_argument("--init", default="imagenet", help="start weights, see train.py")
    parser.add_argument("--votes", type=Path, help="FER+'s votes, a rung of their own")
    parser.add_argument("--teacher", type=Path, help="a trained checkpoint to learn from, a rung of its own")
    parser.add_argument("--epochs", type=int, default=20, help="of each rung but the last two")
    parser.add_argument("--input-size", type=int, default=224, help="side of the crops, 48 or more")
    parser.add_argument("--seeds", type=int, default=3, help="of the last two rungs")
    parser.add_argument("--limit", type=positive(int), metavar="N", help="use N pictures of each split")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--output", type=Path, default=Path("output/ladder"))
    add_record_argument(parser)
    arguments, others = parser.parse_known_args()
    kept = arguments.output / "ladder.csv"
    arguments.output.mkdir(parents=True, exist_ok=True)

    settings: dict[str, object] = {"--device": arguments.device}
    size, epochs, limit = arguments.input_size, arguments.epochs, arguments.limit
    settings |= {"--limit": limit} if limit else {}
    conditions = [f"{size}px", f"{limit or 'all'}-pictures", f"{epochs}-epochs"]
    device = choose_device(arguments.device).type
    table = Table("ladder", list(COLUMNS), *conditions, device=device)
    for name, changes in steps(arguments.init, arguments.votes, arguments.teacher):
        settings |= changes
        stages = {
            LONG: [(size, 2 * epochs)],
            PROGRESSIVE: [(size * 2 // 3 // 16 * 16, epochs), (size, epochs)],
        }.get(name, [(size, epochs)])
        for seed in range(arguments.seeds if name in (LONG, PROGRESSIVE) else 1):
            rows = read_rows(kept)
            row = next((row for row in rows if (row["rung"], row["seed"]) == (name, str(seed))), None)
            if row is None:
                report = train(settings | {"--seed": seed}, others, stages, arguments)
                row = {"rung": name, "seed": seed, "accuracy": report["accuracy"], "n": report["n"]}
                write_rows(kept, [*rows, row])
            table.add(name, seed, f"{float(row['accuracy']):.5f}", row["n"])
    rows = read_rows(kept)
    plots.plot_ladder(rows, arguments.output / "ladder.png")
    print()
    gains = Table("ladder-gains", ["rung", "accuracy %", "deviation %", "seeds", "gain %"], *conditions, device=device)
    add_gains(gains, rows)
    end([table, gains], arguments.record)
    return 0


def train(
    settings: dict[str, object], others: list[str], stages: list[tuple[int, int]], arguments: argparse.Namespace
) -> dict:
    """Trains one rung, each stage (input size, epochs) in a process of its own and from the weights of the one before.

    Returns:
        train.py's report on val of the last stage.
    """
    runs = arguments.output / "running"
    shutil.rmtree(runs, ignore_errors=True)
    for number, (size, epochs) in enumerate(stages):
        stage = settings | {"--data": arguments.data, "--output": runs / str(number)}
        stage |= {"--input-size": size, "--epochs": epochs}
        if number:
            (stage["--init"],) = runs.glob(f"{number - 1}/*/best.pt")
        flags = [str(part) for pair in stage.items() for part in pair]
        subprocess.run([sys.executable, str(TRAIN), *flags, *others], check=True, stdout=subprocess.DEVNULL)
    (report,) = runs.glob(f"{len(stages) - 1}/*/report.json")
    content = json.loads(report.read_text())
    shutil.rmtree(runs)
    return content


def read_rows(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def write_rows(table: Path, rows: list[dict]) -> None:
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def add_gains(table: Table, rows: list[dict[str, str]]) -> None:
    """Adds a row a rung: its seeds' mean, their deviation, and what it is above the rung before."""
    before = None
    for name in dict.fromkeys(row["rung"] for row in rows):
        values = [100 * float(row["accuracy"]) for row in rows if row["rung"] == name]
        mean = statistics.mean(values)
        deviation = f"{statistics.stdev(values):.2f}" if len(values) > 1 else "-"
        table.add(name, f"{mean:.2f}", deviation, len(values), "-" if before is None else f"{mean - before:+.2f}")
        before = mean


if __name__ == "__main__":
    sys.exit(main())
