"""How fast train.py trains on this machine, and what share of its matrix rate that is.

    python -m tests.benchmarks.training                            # 64, 96 and 224 pixels, the device of --device auto
    python -m tests.benchmarks.training --batch-sizes 64 256 512 --compile off reduce-overhead   # of a GPU
    python -m tests.benchmarks.training --record R                 # as a csv file as well

A row is an input size, a batch and a way to compile: pictures a second of whole training steps (augmentation, forward,
backward, optimizer, averaged weights), the arithmetic that they do a second (two operations a multiplication with its
addition, counted in the convolutions and linear layers, forward and backward), and its share of what the device reaches
when it multiplies large matrices in the same precision, which is the first row. The last, of the same run, is the loop
that such projects begin with: float32, ImageFolder on JPEGs, a DataLoader without workers, VGG16 with its classic head.
The pictures are noise: speed does not depend on them.

What fails on this machine (a compiler is missing, memory is too small) is told in its row, and the rest is measured.
The last line is JSON.
"""

import argparse
import gc
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

import train
from models.command_line import positive
from models.device import choose_device, make_ready_to_train
from models.expressions import CLASS_NAMES
from models.inference import choose_precision
from models.pictures import write_picture
from models.training.augmentation import Augmentation
from models.training.compiling import COMPILE_MODES, CompileError
from models.training.dataset import PICTURE_SIDE, Split
from models.training.loop import Trainer
from models.training.recipe import Recipe
from models.training.settings import AUGMENTATION_FLAGS, RECIPE_FLAGS
from models.vgg16 import VGG16
from models.views import make_input_spec
from tests.benchmarks.record import Table, add_record_argument

COLUMNS = [
    "training",
    "input",
    "batch",
    "compile",
    "threads",
    "pictures/s",
    "TFLOP/s",
    "of the matrix rate %",
    "failed",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 224], metavar="PIXELS")
    parser.add_argument("--batch-sizes", type=positive(int), nargs="+", default=[64], metavar="N")
    parser.add_argument("--compile", choices=COMPILE_MODES, nargs="+", default=["off"], help="see train.py")
    parser.add_argument("--seconds", type=positive(float), default=10, help="for which each is measured")
    parser.add_argument("--seconds-in-all", type=positive(float), default=float("inf"), help="then no row is begun")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    add_record_argument(parser)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    precision = choose_precision(arguments.precision, device)
    make_ready_to_train(device)
    peak = matrix_rate(device, precision)
    threads = torch.get_num_threads() if device.type == "cpu" else "-"
    table = Table("training", COLUMNS, precision, device=device.type)
    table.add("large matrices", "-", "-", "-", threads, "-", f"{peak / 1e12:.2f}", "100.00", "")
    started, at_224 = time.perf_counter(), []
    for mode in arguments.compile:  # the quick ones first, for where the time does not reach for all
        for size in arguments.sizes:
            for batch_size in arguments.batch_sizes:
                if time.perf_counter() - started > arguments.seconds_in_all:
                    continue
                rate, reason = try_trainer(size, batch_size, mode, device, precision, arguments.seconds)
                work = rate * operations_a_picture(size)
                figures = f"{rate:.1f}", f"{work / 1e12:.2f}", f"{100 * work / peak:.2f}"
                table.add("train.py", size, batch_size, mode, threads, *(figures if rate else ["-"] * 3), reason)
                at_224 += [rate] if size == 224 and rate else []
    batch_size = min(*arguments.batch_sizes, 16 if device.type == "cpu" else 64)
    first = measure_first_loop(batch_size, device, arguments.seconds)
    table.add("plain loop, float32", 224, batch_size, "off", threads, f"{first:.1f}", "-", "-", "")
    if at_224:
        print(f"\ntrain.py at 224 pixels is {max(at_224) / first:.1f} times as fast as the plain loop")
    table.end(arguments.record)


def try_trainer(
    size: int, batch_size: int, mode: str, device: torch.device, precision: str, seconds: float
) -> tuple[float, str]:
    """Pictures a second, 0 where it fails, and why it does."""
    try:
        return measure_trainer(size, batch_size, mode, device, precision, seconds), ""
    except (CompileError, torch.OutOfMemoryError) as error:
        return 0, str(error).splitlines()[0]


def matrix_rate(device: torch.device, precision: str) -> float:
    """Operations a second in the product of two square matrices."""
    side = 8192 if device.type == "cuda" else 2048
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    stopwatch = Stopwatch(device, seconds=2)
    while not stopwatch.lap():
        left @ right
    return stopwatch.rate() * 2 * side**3


def measure_trainer(
    size: int, batch_size: int, mode: str, device: torch.device, precision: str, seconds: float
) -> float:
    """Pictures a second through `Trainer`, with train.py's defaults."""
    torch.compiler.reset()  # it gives up on a code that it has compiled eight times, and goes on uncompiled
    gc.collect()
    defaults = vars(train.parse_arguments([]))
    settings = {name: defaults[name] for name in RECIPE_FLAGS} | {"batch_size": batch_size}
    recipe = Recipe(**settings, precision=precision)
    augmentation = Augmentation(size, **{name: defaults[name] for name in AUGMENTATION_FLAGS})
    network = VGG16().to(device, memory_format=torch.channels_last)
    trainer = Trainer(network, list(CLASS_NAMES), make_input_spec(size), augmentation, recipe, compile_mode=mode)
    one = torch.randint(0, 256, (1, PICTURE_SIDE, PICTURE_SIDE), dtype=torch.uint8, device=device)
    many = 1_000_000  # more than are trained in the time; all are views of the one, which a move would copy apart
    split = Split(one.expand(many, -1, -1), torch.arange(many, device=device) % len(CLASS_NAMES), [])
    return trainer.measure_speed(split, seconds)


def operations_a_picture(size: int) -> int:
    """Of forward and backward through the network, at a square input."""
    network = VGG16()
    counter = FlopCounterMode(display=False)
    with counter:
        network(torch.zeros(1, 3, size, size)).sum().backward()
    return counter.get_total_flops()


def measure_first_loop(batch_size: int, device: torch.device, seconds: float) -> float:
    """Pictures a second through the loop that such projects begin with."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import Compose, Normalize, RandomCrop, RandomHorizontalFlip, ToTensor

    network = VGG16(head="fc").to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    chance = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(batch_size * 4):
            path = Path(folder) / str(number % len(CLASS_NAMES)) / f"{number:05d}.jpg"
            path.parent.mkdir(exist_ok=True)
            small = chance.integers(0, 256, (48, 48), np.uint8)
            write_picture(path, cv2.resize(cv2.cvtColor(small, cv2.COLOR_GRAY2RGB), (PICTURE_SIDE, PICTURE_SIDE)))
        change = Compose([RandomCrop(224), RandomHorizontalFlip(), ToTensor(), Normalize((0.5,) * 3, (0.5,) * 3)])
        loader = DataLoader(ImageFolder(folder, change), batch_size, shuffle=True, drop_last=True)
        stopwatch, stopped = Stopwatch(device, seconds), False
        while not stopped:
            for pictures, targets in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(network(pictures.to(device)), targets.to(device)).backward()
                optimizer.step()
                stopped = stopwatch.lap()
                if stopped:
                    break
    return stopwatch.rate() * batch_size


class Stopwatch:
    """Counts repetitions for some seconds; the first three, in which memory and kernels are prepared, do not count."""

    WARM_UP = 3

    def __init__(self, device: torch.device, seconds: float):
        self._device, self._seconds = device, seconds
        self._laps, self._started, self._ended = -self.WARM_UP, 0.0, 0.0

    def lap(self) -> bool:
        """Notes one repetition; returns whether the time is up."""
        self._laps += 1
        if self._laps < 0:
            return False
        if self._device.type == "cuda":
            if self._laps % 10:  # looking at each would make the GPU wait
                return False
            torch.cuda.synchronize(self._device)
        self._ended = time.perf_counter()
        if self._laps == 0:
            self._started = self._ended
        return self._ended - self._started > self._seconds

    def rate(self) -> float:
        """Repetitions a second."""
        return self._laps / (self._ended - self._started)


if __name__ == "__main__":
    main()
