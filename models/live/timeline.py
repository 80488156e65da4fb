"""Expressions over time, from a log: a band for each face, coloured by what it expresses.

    draw_timeline(Path("log.csv"), Path("log.png"), class_names)

Its plot is matplotlib's, which takes half a second to import: so it is imported when a plot is made.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.expressions import class_colour

MOST_BANDS = 20
LONGEST_NAME, LETTERS_IN_A_ROW = 40, 110  # of the legend


def draw_timeline(log: Path, path: Path, class_names: Sequence[str]) -> None:
    """Draws a log that `recording.ExpressionLog` wrote, as PNG; of many faces those seen longest, and none seen once.

    Raises:
        OSError: The log cannot be read or the plot cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    bands = read_bands(log)
    lengths = {track: sum(end - start for start, end, _ in spans) for track, spans in bands.items()}
    longest_first = sorted((track for track in bands if lengths[track] > 0), key=lambda track: -lengths[track])
    shown = sorted(longest_first[:MOST_BANDS])
    colours: dict[str, Any] = {
        name: tuple(value / 255 for value in class_colour(name, index)) for index, name in enumerate(class_names)
    }
    named = [f"{name[: LONGEST_NAME - 1]}…" if len(name) > LONGEST_NAME else name for name in class_names]
    columns = min(len(named), max(LETTERS_IN_A_ROW // (max(map(len, named)) + 6), 1))
    legend_rows = -(-len(named) // columns)
    height = 1.4 + 0.2 * legend_rows + 0.4 * max(len(shown), 1)
    figure = Figure(figsize=(10, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for row, track in enumerate(shown):
        spans = [(start, end - start) for start, end, _ in bands[track]]
        axis.broken_barh(spans, (row - 0.4, 0.8), facecolors=[colours[label] for _, _, label in bands[track]])
    axis.set_yticks(range(len(shown)), [f"face {track}" for track in shown])
    axis.set_ylim(max(len(shown), 1) - 0.5, -0.5)
    axis.set_xlabel("seconds")
    axis.spines[["top", "right", "left"]].set_visible(False)
    if len(longest_first) > len(shown):
        axis.set_title(f"the {len(shown)} faces seen longest, of {len(longest_first)}", fontsize=10)
    handles = [Patch(color=colour, label=name) for name, colour in zip(named, colours.values())]
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, frameon=False, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def read_bands(log: Path) -> dict[int, list[tuple[float, float, str]]]:
    """The spans of time in which each track showed one expression: track → [(start, end, label), ...]."""
    bands: dict[int, list[tuple[float, float, str]]] = {}
    with log.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            seconds, label = float(row["time"]), row["expression"]
            spans = bands.setdefault(int(row["track"]), [])
            if spans:
                spans[-1] = (spans[-1][0], seconds, spans[-1][2])  # the last expression stood until now
            if not spans or spans[-1][2] != label:
                spans.append((seconds, seconds, label))
    return bands
