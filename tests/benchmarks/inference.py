"""How long an answer takes: `ExpressionClassifier.classify` by precision, views, batch and threads.

    python -m tests.benchmarks.inference                     # the shipped weights; some minutes
    python -m tests.benchmarks.inference --data data         # val accuracy beside the times
    python -m tests.benchmarks.inference --input-size 224    # a network of random weights that takes larger crops
    python -m tests.benchmarks.inference --quick --rounds 5  # the rows that matter most, the medians of five rounds
    python -m tests.benchmarks.inference --record R          # as a csv file as well

A row is a call of `classify` with so many 48×48 faces, resizing and all: milliseconds a face (median, and the tenth and
ninetieth percentile of the calls), faces a second, the process's peak memory, and how many times as fast as two
references of the same run it is, which also do one face a call: the plain way (one crop, float32, PyTorch's
network as it was trained) and the original project's (ten crops, float32, network built and loaded anew for each face).
They are the first two rows. A GPU has a table of its own. Last comes a line of JSON.
"""

import argparse
import itertools
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from models.checkpoint import SHIPPED_CHECKPOINT, build_network, load_checkpoint, make_checkpoint, save_atomically
from models.classifier import ExpressionClassifier
from models.command_line import positive
from models.device import cpu_gains_from_bfloat16
from models.errors import UserError
from models.expressions import CLASS_NAMES
from models.inference.int8 import Int8VGG16
from models.training.dataset import PICTURE_SIDE, load_split
from models.vgg16 import VGG16
from models.views import (
    TTA_MODES,
    average_views,
    make_input_spec,
    make_views,
    normalise,
    predict_logits,
    to_grey_squares,
)
from tests.benchmarks.record import Table, add_record_argument, end

COLUMNS = [
    "device", "precision", "views", "faces a call", "threads", "ms a face", "tenth percentile ms",
    "ninetieth percentile ms", "faces a second", "peak MB", "accuracy %", "times as fast as plain",
    "times as fast as original",
]  # fmt: skip
VIEWS = {"none": 1, "flip": 2, "ten": 10}
How = tuple[str, str, str, int, int | str]  # device, precision, views, faces a call, threads
CORES = os.cpu_count() or 1
PLAIN: How = ("cpu", "plain fp32", "none", 1, CORES)
ORIGINAL: How = ("cpu", "original fp32", "ten", 1, CORES)


@dataclass(frozen=True)
class Plan:
    """What is measured of one precision on one device, in a process of its own.

    Attributes:
        checkpoint: The network's file.
        batches, threads, modes: One row for each combination; threads (0,) on a GPU.
        seconds: Spent on a row.
        data, faces: Where val pictures are, and how many to take for the accuracy; None and 0 for none.
    """

    checkpoint: Path
    device: str
    precision: str
    batches: tuple[int, ...]
    threads: tuple[int, ...]
    modes: tuple[str, ...]
    seconds: float
    data: Path | None
    faces: int


@dataclass(frozen=True)
class Timing:
    """Seconds a call: the median, the tenth and the ninetieth percentile."""

    median: float
    low: float
    high: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED_CHECKPOINT)
    parser.add_argument("--data", type=Path, help="the folder that preprocess.py made: val accuracy as well")
    parser.add_argument("--faces", type=int, default=1000, help="of val, spread evenly")
    parser.add_argument(
        "--input-size", type=int, metavar="PIXELS", help="measure random weights at this size; no accuracy"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rows, shorter, 300 val faces at most")
    parser.add_argument(
        "--rounds", type=positive(int), default=1, help="of all rows in turn, of which the median counts"
    )
    add_record_argument(parser)
    arguments = parser.parse_args()
    if arguments.input_size and arguments.data:
        parser.error("--input-size measures random weights, which have no accuracy: leave out --data")

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = arguments.checkpoint
        if arguments.input_size:
            checkpoint = write_random_checkpoint(Path(folder) / "random.pt", arguments.input_size)
        try:
            content = load_checkpoint(checkpoint)
            size, precisions = content["input"]["size"], {"cpu": ["fp32", "bf16"], "cuda": ["fp32", "bf16"]}
            if Int8VGG16.runs_here() and content["arch"] == "vgg16_bn":
                precisions["cpu"].append("int8")
            plans = {
                device: [make_plan(checkpoint, device, precision, arguments) for precision in precisions[device]]
                for device in ("cpu", "cuda")[: 1 + torch.cuda.is_available()]
            }
            processor = torch.backends.cpu.get_cpu_capability()
            print(f"{size}×{size} pixels, {CORES} cores, {processor}, torch {torch.__version__}")
            if not cpu_gains_from_bfloat16():
                print("this processor is slower in bfloat16 than in float32: --precision auto does not take it")
            timings: dict[How, list[Timing]] = {how: [] for how in (PLAIN, ORIGINAL)}
            told: dict[How, tuple[str, str]] = {how: ("-", "-") for how in (PLAIN, ORIGINAL)}
            for number in range(arguments.rounds):
                print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
                references = in_a_process(measure_references, checkpoint, plans["cpu"][0].seconds)
                for how, timing in zip((PLAIN, ORIGINAL), references):
                    timings[how].append(timing)
                for plan in itertools.chain(*plans.values()):
                    for how, timing, *others in in_a_process(measure, plan):
                        timings.setdefault(how, []).append(timing)
                        told[how] = tuple(others)
            medians = {how: middle(found) for how, found in timings.items()}
            tables = []
            for device in plans:
                print()
                tables.append(Table("inference", COLUMNS, f"{size}px", device=device))
                for how in (how for how in medians if how[0] == device):
                    tables[-1].add(*how, *cells(how, medians), *told[how], *times_as_fast(how, medians))
            end(tables, arguments.record)
        except UserError as error:
            parser.error(str(error))


def make_plan(checkpoint: Path, device: str, precision: str, arguments: argparse.Namespace) -> Plan:
    quick = arguments.quick
    if device == "cuda":
        batches, threads = (1, 256), (0,)
    else:
        batches = (1, 32) if quick else (1, 8, 32)
        threads = (min(2, CORES),) if quick or CORES == 1 else (1, 2)
    return Plan(
        checkpoint,
        device,
        precision,
        batches=batches,
        threads=threads,
        modes=("none", "flip") if quick else TTA_MODES,
        seconds=0.3 if quick else 1.0,
        data=arguments.data,
        faces=min(arguments.faces, 300) if quick else arguments.faces,
    )


def in_a_process(function: Callable, *arguments: object):
    """Calls a function in a fresh process, whose peak memory is then its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def write_random_checkpoint(path: Path, size: int) -> Path:
    torch.manual_seed(0)
    save_atomically(path, make_checkpoint(VGG16(), CLASS_NAMES, make_input_spec(size), metrics={}, config={}, epoch=0))
    return path


def some_faces(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 48, 48), np.uint8)


def measure_references(checkpoint: Path, seconds: float) -> tuple[Timing, Timing]:
    """One face at a time: the plain way, and the original project's."""

    @torch.inference_mode()
    def answer(network: VGG16, spec: dict, mode: str) -> torch.Tensor:
        grey = to_grey_squares(face, spec["resize"])
        return average_views(
            torch.stack([network(normalise(view, spec).contiguous()) for view in make_views(grey, spec["size"], mode)])
        )

    def originals_way() -> None:
        content = load_checkpoint(checkpoint)
        answer(build_network(content), content["input"], "ten")

    face, content = some_faces(1), load_checkpoint(checkpoint)
    network = build_network(content)
    return time_calls(lambda: answer(network, content["input"], "none"), seconds), time_calls(originals_way, seconds)


def measure(plan: Plan) -> list[tuple[How, Timing, str, str]]:
    """A precision's rows: how, how long, peak memory, accuracy."""
    accuracies, rows = val_accuracies(plan) if plan.data else {}, []
    for threads in plan.threads:
        torch.set_num_threads(threads or torch.get_num_threads())
        for mode in plan.modes:
            classifier = ExpressionClassifier.load(plan.checkpoint, plan.device, plan.precision, mode)
            for batch in plan.batches:
                reset_peak_memory(plan.device)
                faces = some_faces(batch)
                timing = time_calls(lambda: classifier.classify(faces, batch_size=max(batch, 32)), plan.seconds)  # noqa: B023
                memory = f"{peak_memory(plan.device):.0f}"
                right = f"{100 * accuracies[mode]:.2f}" if mode in accuracies else "-"
                rows.append(((plan.device, plan.precision, mode, batch, threads or "-"), timing, memory, right))
    return rows


def middle(timings: list[Timing]) -> Timing:
    """The medians of several rounds."""
    return Timing(*(statistics.median(getattr(each, name) for each in timings) for name in ("median", "low", "high")))


def cells(how: How, medians: dict[How, Timing]) -> list[str]:
    """A row's times, of a face."""
    each, *reach = (value / how[3] for value in (medians[how].median, medians[how].low, medians[how].high))
    return [*(f"{1000 * seconds:.2f}" for seconds in (each, *reach)), f"{1 / each:.0f}"]


def times_as_fast(how: How, medians: dict[How, Timing]) -> tuple[str, str]:
    each = medians[how].median / how[3]
    return f"{medians[PLAIN].median / each:.1f}", f"{medians[ORIGINAL].median / each:.0f}"


def val_accuracies(plan: Plan) -> dict[str, float]:
    """The share of val faces answered rightly with each set of views: ten begin with the two, these with the one."""
    classifier = ExpressionClassifier.load(plan.checkpoint, plan.device, plan.precision, plan.modes[-1])
    split = load_split(plan.data, "val", PICTURE_SIDE, plan.faces, classifier.class_names)
    grey = to_grey_squares(split.pictures.numpy(), classifier._input_spec["resize"])
    logits = predict_logits(classifier._network, grey, classifier._input_spec, plan.modes[-1])
    return {
        mode: (average_views(logits[: VIEWS[mode]]).argmax(1) == split.targets).double().mean().item()
        for mode in plan.modes
    }


def time_calls(call: Callable[[], object], seconds: float) -> Timing:
    """Times a call over and over, at least five times, after two that do not count."""
    call(), call()
    took: list[float] = []
    end = time.perf_counter() + seconds
    while len(took) < 5 or time.perf_counter() < end:
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    low, *_, high = statistics.quantiles(took, n=10)
    return Timing(statistics.median(took), low, high)


def reset_peak_memory(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: str) -> float:
    """MB since the last reset: of the GPU's memory, or of this process; where Linux does not tell, since its start."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    if sys.platform == "linux":
        (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
