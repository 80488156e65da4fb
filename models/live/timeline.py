"""Expressions over time, from a log: a band for each face, coloured by what it expresses.

draw_timeline(Path("log.csv"), Path("log.png"), class_names)
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from models import plots


def draw_timeline(log: Path, path: Path, class_names: Sequence[str]) -> None:
    """Draws a log that `log.ExpressionLog` wrote, as PNG.

    Raises:
        OSError: The log cannot be read or the plot cannot be written.
    """
    bands = read_bands(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    plots.plot_timeline(bands, class_names, path)


def read_bands(log: Path) -> dict[int, list[tuple[float, float, str]]]:
    """The spans of time in which each track showed one expression: track → [(start, end, label), ...]."""
    bands: dict[int, list[tuple[float, float, str]]] = {}
    with log.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            if not row["track"]:  # nobody was found
                continue
            seconds, label = float(row["time"]), row["expression"]
            spans = bands.setdefault(int(row["track"]), [])
            if spans:
                spans[-1] = (spans[-1][0], seconds, spans[-1][2])  # the last expression stood until now
            if not spans or spans[-1][2] != label:
                spans.append((seconds, seconds, label))
    return bands
