"""Plots, as PNG files: curves, matrices, times, and the network itself. The one module that imports matplotlib.

    plots.plot_curves(rows_of_metrics_csv, Path("curves.png"))

Matplotlib is imported when a plot is made: who imports this module starts no later for it.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.expressions import class_colour

if TYPE_CHECKING:
    from models.vgg16 import VGG16

MOST_BANDS = 20  # of a timeline
LONGEST_NAME, LETTERS_IN_A_ROW = 40, 110  # of its legend


def plot_curves(rows: list[dict[str, Any]], path: Path) -> None:
    """Loss and accuracy over the epochs, from the rows of metrics.csv, as a PNG."""
    figure, (loss, accuracy) = _new_figure(1, 2, width=10, height=4)
    epochs = [int(row["epoch"]) for row in rows]
    for axis, name, scale in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
        for split, colour in (("train", "#56B4E9"), ("val", "#D55E00")):
            values = [float(row[f"{split}_{name}"]) * scale for row in rows]
            axis.plot(epochs, values, color=colour, label=split, marker="o", markersize=3)
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    loss.set_title("loss")
    accuracy.set_title("accuracy, %")
    figure.savefig(path)


def plot_face_training(rows: list[dict[str, Any]], path: Path) -> None:
    """What the network that finds faces learned, from the rows of its log.csv, as a PNG."""
    figure, (found, mistaken) = _new_figure(1, 2, width=10, height=4)
    steps = [int(row["step"]) for row in rows]
    for name, colour in zip(
        (name for name in rows[0] if name.startswith("found")), ("#000000", "#0072B2", "#009E73", "#D55E00", "#CC79A7")
    ):
        shares = [100 * float(row[name]) for row in rows]
        found.plot(steps, shares, color=colour, label=name.removeprefix("found "), marker="o", markersize=3)
    found.set_ylim(bottom=80)
    found.legend(title="leaning by", frameon=False)
    found.set_title("held-out portraits found, %")
    shares = [100 * int(seen) / int(of) for seen, of in (row["backgrounds"].split("/") for row in rows)]
    mistaken.plot(steps, shares, color="#D55E00", marker="o", markersize=3)
    mistaken.set_ylim(bottom=0)
    mistaken.set_title("held-out backgrounds in which a face is seen, %")
    for axis in (found, mistaken):
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    figure.savefig(path)


def plot_confusion_matrix(report: dict[str, Any], path: Path) -> None:
    """The confusion matrix of a report, each row in percent of its true class, as a PNG."""
    names = list(report["per_class"])
    counts = np.array(report["confusion_matrix"], float)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure, axis = _new_figure(1, 1, width=6.5, height=5.6)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for row, column in np.ndindex(shares.shape):
        colour = "white" if shares[row, column] > 55 else "#222222"
        axis.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", color=colour)
    axis.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel("answer")
    axis.set_ylabel("label")
    axis.set_title(f"{report['split']}, {report['n']} pictures, accuracy {report['accuracy']:.1%}; each row in %")
    figure.savefig(path)


def plot_ladder(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Val accuracy of each rung of a recipe, as a PNG; lines reach as far as chance does (95 %).

    Args:
        rows: One a training, with its `rung`, `accuracy` (0 to 1) and `n`, the val pictures; rungs in their order.
    """
    rungs = list(dict.fromkeys(row["rung"] for row in rows))
    figure, axis = _new_figure(1, 1, width=10, height=1.1 + 0.42 * len(rungs))
    before = None
    for place, rung in enumerate(rungs):
        shares = np.array([float(row["accuracy"]) for row in rows if row["rung"] == rung])
        pictures = next(int(row["n"]) for row in rows if row["rung"] == rung)
        mean = shares.mean()
        reach = 1.96 * (mean * (1 - mean) / pictures) ** 0.5
        axis.plot([100 * (mean - reach), 100 * (mean + reach)], [place, place], color="#56B4E9", linewidth=2)
        axis.plot(100 * shares, [place] * len(shares), "o", color="#D55E00", markersize=5)
        gain = "" if before is None else f"  ({round(100 * (mean - before), 1) + 0.0:+})"
        axis.text(100 * (mean + reach) + 0.4, place, f"{mean:.1%}{gain}", va="center", fontsize=9, color="#222222")
        before = mean
    axis.set_yticks(range(len(rungs)), [f"+ {rung}" if place else rung for place, rung in enumerate(rungs)])
    axis.set_ylim(len(rungs) - 0.5, -0.5)
    axis.margins(x=0.18)
    axis.set_xlabel("accuracy on val, %")
    axis.grid(axis="x", alpha=0.3)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    figure.savefig(path)


def plot_robustness(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Val accuracy under each kind of spoiling, as a PNG: a line from the strongest to the faintest, a dot at the mean.

    Args:
        rows: One a checkpoint, kind and strength, with its `accuracy` (0 to 1); kinds and checkpoints in their order.
    """
    kinds, checkpoints = (list(dict.fromkeys(row[name] for row in rows)) for name in ("kind", "checkpoint"))
    figure, axis = _new_figure(1, 1, width=10, height=1.4 + 0.2 * len(kinds) * (1 + len(checkpoints)))
    colours = itertools.cycle(("#999999", "#D55E00", "#0072B2", "#009E73"))
    for number, (checkpoint, colour) in enumerate(zip(checkpoints, colours)):
        for place, kind in enumerate(kinds):
            shares = [
                100 * float(row["accuracy"]) for row in rows if (row["checkpoint"], row["kind"]) == (checkpoint, kind)
            ]
            height = place + 0.7 * ((number + 0.5) / len(checkpoints) - 0.5)
            label = checkpoint if not place else None
            axis.plot([min(shares), max(shares)], [height] * 2, color=colour, linewidth=3, alpha=0.5)
            axis.plot([sum(shares) / len(shares)], [height], "o", color=colour, markersize=6, label=label)
    axis.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds])
    axis.set_ylim(len(kinds) - 0.4, -0.6)
    axis.set_xlabel("accuracy on val, %")
    axis.grid(axis="x", alpha=0.3)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.legend(frameon=False, loc="lower left")
    figure.savefig(path)


def plot_speed(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """How often classifiers are right against how long they take, as a PNG: this project's in blue, others' in red.

    Args:
        rows: From `tests.benchmarks.packages`, one a classifier.
    """
    figure, axis = _new_figure(1, 1, width=10, height=6)
    points = [(float(row["ms, 32 a call"]), float(row["right %"])) for row in rows]
    for row, (milliseconds, accuracy) in zip(rows, points):
        colour = "#0072B2" if row["ours"] == "True" else "#D55E00"
        axis.plot([milliseconds], [accuracy], "o", color=colour, markersize=7)
        # What is written at the right of a point would run into its neighbour there.
        crowded = any(1 < x / milliseconds < 10 and abs(y - accuracy) < 0.6 for x, y in points)
        axis.annotate(
            row["classifier"].removeprefix("ours, "), (milliseconds, accuracy),
            xytext=(-8, -11 if row["ours"] == "True" else -3) if crowded else (8, -3),
            textcoords="offset points", ha="right" if crowded else "left", color=colour,
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_xlabel("processor time a face in ms, one core, 32 faces a call")
    axis.set_ylabel(f"right of {rows[0]['faces']} val faces, %")
    axis.margins(x=0.3, y=0.1)
    axis.grid(alpha=0.3)
    figure.savefig(path)


def plot_network(network: "VGG16", size: int, class_names: Sequence[str], path: Path) -> None:
    """The network as blocks, one a convolution or pooling, drawn from the shapes that its own layers give.

    A block's height and depth stand for the map's side, its width for its channels (both on a gentle scale).
    """
    import torch
    from matplotlib.patches import Polygon

    shapes: list[tuple[str, int, int]] = []  # kind, channels, side
    maps = torch.zeros(1, 3, size, size)
    with torch.no_grad():
        for layer in network.features:
            maps = layer(maps)
            if isinstance(layer, (torch.nn.Conv2d, torch.nn.MaxPool2d)):
                shapes.append((type(layer).__name__, maps.shape[1], maps.shape[2]))

    figure, axis = _new_figure(1, 1, width=12, height=4.8)
    x = 0.0

    def block(height: float, width: float, colour: str, below: str = "") -> None:
        nonlocal x
        lean, half = height * 0.35, height / 2
        front = [(x, -half), (x + width, -half), (x + width, half), (x, half)]
        top = [(x, half), (x + width, half), (x + width + lean, half + lean), (x + lean, half + lean)]
        side = [
            (x + width, -half),
            (x + width, half),
            (x + width + lean, half + lean),
            (x + width + lean, -half + lean),
        ]
        for corners, light in ((side, 0.75), (top, 0.9), (front, 1.0)):
            axis.add_patch(
                Polygon(corners, closed=True, facecolor=_shade(colour, light), edgecolor="white", linewidth=0.8)
            )
        axis.text(
            x + width / 2, -half - 0.12, below, ha="center", va="top", fontsize=9, color="#222222", linespacing=1.3
        )
        x += width

    before = 0
    for index, (kind, channels, side) in enumerate(shapes):
        height, is_pooling = side**0.5 / 4, kind == "MaxPool2d"
        if not is_pooling and side != before:
            x += 1.0 if index else 0.0
            before = side
        last_of_size = index + 1 == len(shapes) or shapes[index + 1][2] != side or shapes[index + 1][0] == "MaxPool2d"
        note = f"{channels} maps\n{side}×{side}" if last_of_size and not is_pooling else ""
        block(height, 0.08 if is_pooling else 0.16 + channels / 1300, "#D55E00" if is_pooling else "#56B4E9", note)
    for layer in network.classifier:
        if isinstance(layer, torch.nn.Linear):
            x += 1.1
            block(
                layer.out_features**0.5 / 30 + 0.5,
                0.2,
                "#009E73",
                f"linear\n{layer.in_features} → {layer.out_features}",
            )
    for number, name in enumerate(class_names):
        axis.text(x + 0.6, 0.3 * (len(class_names) / 2 - number - 0.5), name, va="center", fontsize=9, color="#222222")
    with_norm = " + BatchNorm" if network.batch_norm else ""
    for colour, text in (
        ("#56B4E9", f"3×3 convolution{with_norm} + ReLU"),
        ("#D55E00", "2×2 max pooling"),
        ("#009E73", "global average pooling + linear" if network.head == "gap" else "linear"),
    ):  # fmt: skip
        axis.add_patch(Polygon([(0, 0), (0, 0), (0, 0)], facecolor=colour, label=text))
    axis.legend(loc="upper right", frameon=False, fontsize=9)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    axis.set_title(
        f"VGG16 on a grey face of {size}×{size} pixels: {parameters / 1e6:.1f} million parameters", fontsize=11
    )
    axis.set_xlim(-0.4, x + 2.2)
    axis.set_ylim(-2.3, 2.6)
    axis.set_aspect("equal")
    axis.axis("off")
    figure.savefig(path)


def plot_timeline(bands: dict[int, list[tuple[float, float, str]]], class_names: Sequence[str], path: Path) -> None:
    """Expressions over time, a band a face, as a PNG; of many faces those seen longest, and none seen once.

    Args:
        bands: Number of the face → spans of time, `(start, end, expression)` in seconds.
    """
    from matplotlib.patches import Patch

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
    figure, axis = _new_figure(1, 1, width=10, height=height)
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
    figure.savefig(path)


def _shade(colour: str, light: float) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 * light for i in (1, 3, 5))


def _new_figure(rows: int, columns: int, width: float, height: float):
    """A figure that needs no display and is not known to pyplot, so that nothing has to be closed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns)
