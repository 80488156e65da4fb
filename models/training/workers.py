"""Training in several processes, as torchrun starts them, or in one.

>>> with join_workers("auto") as (workers, device):
...     workers.is_writer
True
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as distributed

from models.device import choose_device


@dataclass
class Workers:
    """The processes that train together: this one's rank and how many there are."""

    rank: int = 0
    world: int = 1

    @property
    def is_writer(self) -> bool:
        return self.rank == 0

    def sum(self, *values: float, device: torch.device) -> list[float]:
        """The sums over all processes."""
        if self.world == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.all_reduce(total)
        return total.tolist()

    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """Puts the mean over all processes into each floating tensor."""
        for tensor in tensors if self.world > 1 else ():
            if tensor.is_floating_point():
                distributed.all_reduce(tensor)
                tensor /= self.world

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, by rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        distributed.all_gather_object(values, value)
        return values


@contextmanager
def join_workers(device: str) -> Iterator[tuple[Workers, torch.device]]:
    """Joins the processes that torchrun started, if it did, and says which device is this one's.

    Raises:
        DeviceError: The device is not to be had.
    """
    world = int(os.environ.get("WORLD_SIZE", 1))
    chosen = choose_device(device)
    if world == 1:
        yield Workers(), chosen
        return
    if chosen.type == "cuda":
        chosen = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Workers(distributed.get_rank(), world), chosen
    finally:
        distributed.destroy_process_group()
