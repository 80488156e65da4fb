"""Writes the tables of README.md, R/README.md and the model card anew, from the csv files in this folder.

    python -m R.make_tables

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->` and is made, as `TABLES[NAME]` says, of the
file that a benchmark wrote with `--record R`: of `accuracy-<conditions>.csv`, say, or of `published.csv`, kept by hand.
Beneath it stand the command, the file, whose name tells in what and on what it was measured, and the day.
"""

import csv
import os
import re
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENTS = (HERE.parent / "README.md", HERE / "README.md", HERE.parent / "models" / "weights" / "README.md")
PLACE = re.compile(r"(<!-- table: ([\w ,]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)

Row = dict[str, str]


@dataclass(frozen=True)
class Table:
    """How a table is made.

    Attributes:
        source: What the csv file's name begins with.
        command: What measured it; nothing of a file that is kept by hand.
        columns: Those that are shown, in their order; by default all.
        keep: Which rows are shown.
        arrange: Makes other rows of them first.
    """

    source: str
    command: str = ""
    columns: tuple[str, ...] = ()
    keep: Callable[[Row], bool] = lambda row: True
    arrange: Callable[[list[Row]], list[Row]] = lambda rows: rows


def pivot(line: str, column: str, cell: Callable[[Row], str]) -> Callable[[list[Row]], list[Row]]:
    """Arranges rows so that each value of `line` has a line and each of `column` a column."""

    def arrange(rows: list[Row]) -> list[Row]:
        lines: dict[str, Row] = {}
        for row in rows:
            lines.setdefault(row[line], {line: row[line]})[row[column]] = cell(row)
        return list(lines.values())

    return arrange


def found(row: Row) -> str:
    """Of a finder: faces found, boxes too many behind a plus, milliseconds."""
    milliseconds = f"{float(row['ms']):.0f} ms"
    if row["of"] == "0":
        return f"{row['too many']} with a face, {milliseconds}"
    return f"{row['found']}{f' + {too_many}' if (too_many := int(row['too many'])) else ''}, {milliseconds}"


def strengths(rows: list[Row]) -> list[Row]:
    """Of robustness: the three strengths of a kind in a cell, and the mean over all that is spoiled."""
    cells: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        cells.setdefault(row["kind"].replace("_", " "), {}).setdefault(row["checkpoint"], []).append(
            float(row["accuracy"])
        )
    made = [
        {
            "": kind,
            **{name: f"{' / '.join(f'{100 * share:.0f}' for share in shares)} %" for name, shares in line.items()},
        }
        for kind, line in cells.items()
    ]
    spoiled = [line for kind, line in cells.items() if kind != "as it is"]
    means = {
        name: f"{100 * statistics.mean(share for line in spoiled for share in line[name]):.2f} %" for name in spoiled[0]
    }
    return [*made, {"": "mean of the spoiled", **means}]


def rungs(rows: list[Row]) -> list[Row]:
    """Of the ladder: each rung's mean over its seeds, its spread, and what it is above the rung before."""
    made, before = [], None
    for rung in dict.fromkeys(row["rung"] for row in rows):
        shares = [100 * float(row["accuracy"]) for row in rows if row["rung"] == rung]
        mean = statistics.mean(shares)
        spread = f" ± {statistics.stdev(shares):.2f}, {len(shares)} seeds" if len(shares) > 1 else ""
        gain = "" if before is None else f"{mean - before:+.2f}"
        made.append({"rung": rung, "accuracy": f"{mean:.2f} %{spread}", "gain": gain})
        before = mean
    return made


def right(row: Row) -> str:
    """Of pasted faces: how many are found, and right from the finder's crop and from the true place."""
    return f"{float(row['found %']):.0f} %: {row['right from crop %']} / {row['right from true place %']}"


def beside(rows: list[Row]) -> list[Row]:
    """Of work beside busy processes: a line a figure, a column a number of processes, before → now."""
    lines: dict[str, Row] = {}
    counts = sorted({row["busy processes"] for row in rows})
    for row in rows:
        name = f"{row['what']}: {row['figure']}"
        line = lines.setdefault(name, {"busy processes beside": name, **dict.fromkeys(counts, "-")})
        line[row["busy processes"]] = f"{row['before']} → {row['now']}"
    return list(lines.values())


def worth_a_look(row: Row) -> bool:
    """Of all ways to answer: the references, one face in each precision, and batches in the fastest."""
    if row["precision"].startswith(("plain", "original")):
        return True
    one, many = row["faces a call"] == "1", row["faces a call"] == "32"
    in_int8 = row["precision"] == "int8" and row["views"] != "ten" and (one or many)
    return row["threads"] == "2" and (in_int8 or one and row["views"] == "flip")


def few_pictures(row: Row) -> bool:
    """Of the groups of pictures that faces are looked for in: those that tell most."""
    return row["pictures"].startswith(("turned by 0", "turned by 20", "turned by 90", "24 ", "dark", "130 ", "47 "))


def newest(source: str) -> Path:
    """The csv file of this name, with whatever conditions; of several the one that was measured last."""
    files = [file for file in HERE.glob("*.csv") if re.fullmatch(rf"{re.escape(source)}(-[\w.-]+)?", file.stem)]
    if not files:
        raise FileNotFoundError(f"no {source}-*.csv in {HERE}")
    return max(files, key=lambda file: read(file)[-1].get("date", ""))


def read(file: Path) -> list[Row]:
    with file.open(newline="", encoding="utf-8") as opened:
        columns, *lines = csv.reader(opened)
    return [dict(zip(columns, line, strict=True)) for line in lines]


def markdown(table: Table, document: Path) -> str:
    """A table as lines of Markdown, with what it was made of beneath."""
    file = newest(table.source)
    rows = read(file)
    days = sorted({row["date"] for row in rows if "date" in row})
    for row in rows if len(days) == 1 else ():  # one day for all stands beneath
        del row["date"]
    shown = table.arrange([row for row in rows if table.keep(row)])
    columns = table.columns or tuple(shown[0])
    lines = [columns, ["---"] * len(columns), *([row[column] for column in columns] for row in shown)]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    link = f"[{file.stem}]({os.path.relpath(file, document.parent)})"
    made = f"`{table.command}`: {link}" if table.command else f"kept by hand: {link}"
    return f"{text}\n{', '.join([made] if 'date' in columns else [made, *days])}\n"


def renew(document: Path) -> str:
    """A document's text with each of its tables made anew."""
    text = document.read_text(encoding="utf-8")
    return PLACE.sub(lambda place: place[1] + markdown(TABLES[place[2]], document) + place[3], text)


ACCURACY, INFERENCE = (
    "python -m tests.benchmarks.accuracy --data data",
    "python -m tests.benchmarks.inference --quick --rounds 5",
)
FINDERS = (
    "python -m tests.benchmarks.finders --faces output/faces/portraits.json --empty FOLDER "
    "--detectors auto mtcnn haar yunet --detector-model FILE --against ../before"
)
VIEWS = ("views", "accuracy %", "without copies %", "balanced %", "macro F1 %", "calibration error %", "cross-fitted %")
CLASSES = ("class", "precision %", "recall %", "F1 %", "faces")
ANSWER = (
    "precision", "views", "faces a call", "ms a face", "faces a second",
    "times as fast as plain", "times as fast as original",
)  # fmt: skip
SPREAD = ("tenth percentile ms", "ninetieth percentile ms", "peak MB")

TABLES = {
    "published": Table("published"),
    "accuracy": Table("accuracy", ACCURACY),
    "accuracy accurate": Table("accuracy", ACCURACY, VIEWS, lambda row: row["weights"] == "accurate"),
    "accuracy fast": Table("accuracy", ACCURACY, VIEWS, lambda row: row["weights"] == "fast"),
    "classes accurate": Table("classes", ACCURACY, CLASSES, lambda row: row["weights"] == "accurate"),
    "classes fast": Table("classes", ACCURACY, CLASSES, lambda row: row["weights"] == "fast"),
    "robustness": Table(
        "robustness-int8",
        "python -m tests.benchmarks.robustness --data data --limit 1200 --checkpoints BEFORE AFTER",
        arrange=strengths,
    ),
    "ladder": Table(
        "ladder-48px",
        "python -m tests.benchmarks.ladder --data data --votes fer2013new.csv --init vgg16-imagenet-features.pt "
        "--teacher models/weights/vgg16_fer2013.pt --epochs 3 --limit 3000 --input-size 48",
        arrange=rungs,
    ),
    "widths": Table("widths"),
    "packages": Table(
        "packages",
        "python -m tests.benchmarks.packages --data data",
        ("classifier", "right %", "ms alone", "ms, 32 a call"),
        lambda row: "of the width" not in row["classifier"],
    ),
    "speed": Table("inference-96px", INFERENCE, ANSWER, worth_a_look),
    "inference": Table("inference-96px", INFERENCE, (*ANSWER[:4], *SPREAD, *ANSWER[4:])),
    "inference large": Table(
        "inference-224px", "python -m tests.benchmarks.inference --quick --input-size 224", ANSWER
    ),
    "training": Table(
        "training",
        "python -m tests.benchmarks.training",
        ("training", "input", "batch", "pictures/s", "of the matrix rate %"),
    ),
    "finders": Table("finders", FINDERS, keep=few_pictures, arrange=pivot("pictures", "detector", found)),
    "finders whole": Table("finders", FINDERS, arrange=pivot("pictures", "detector", found)),
    "faces": Table(
        "faces-int8", "python -m tests.benchmarks.faces --data data", arrange=pivot("condition", "detector", right)
    ),
    "beside": Table("beside-own-session", "python -m tests.benchmarks.beside ../before", arrange=beside),
    "beside, same session": Table(
        "beside-same-session", "python -m tests.benchmarks.beside ../before --same-session", arrange=beside
    ),
    "commands": Table("commands"),
}


def main() -> int:
    for document in DOCUMENTS:
        document.write_text(renew(document), encoding="utf-8")
        print(f"wrote the tables of {document.relative_to(HERE.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
