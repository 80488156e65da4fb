"""Several processes, on one machine or more with a common file system, that torchrun started for one run.

with join_ranks() as ranks:
    ranks.first(prepare)                 # one does it, the others wait for it
    label(ranks.share(pictures))
    ranks.wait()
"""

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from models.batch.sources import Picture
from models.errors import UserError
from models.threads import usable_cores

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ranks:
    """This process's place among those of the run.

    Attributes:
        rank: Its number, from 0.
        world: How many there are.
        local_rank, local_world: The same, on this machine.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1

    def share(self, pictures: Sequence[Picture]) -> list[Picture]:
        """This process's pictures: told by name alone, so that none is left out if the folder changes meanwhile."""
        return [picture for picture in pictures if zlib.crc32(os.fsencode(picture.name)) % self.world == self.rank]

    def first(self, act: Callable[[], Value]) -> Value:
        """The first process acts while the others wait; all return what it returned, or end if it raised UserError."""
        if self.world == 1:
            return act()
        from torch import distributed

        outcome: list[Any] = [None, None]
        if self.rank == 0:
            try:
                outcome[0] = act()
            except UserError as error:
                outcome[1] = error
        distributed.broadcast_object_list(outcome)
        value, refusal = outcome
        if refusal is not None:
            raise refusal if self.rank == 0 else SystemExit(2)  # one message is enough
        return value

    def wait(self) -> None:
        """Waits until all processes are here."""
        if self.world > 1:
            from torch import distributed

            distributed.barrier()

    def cores(self) -> int:
        """The processor cores that this process may use."""
        return max(usable_cores() // self.local_world, 1)

    def device(self, name: str) -> str:
        """The device for this process: where there are several GPUs, `auto` gives each its own."""
        if name != "auto" or self.world == 1:
            return name
        import torch

        return f"cuda:{self.local_rank % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"


@contextmanager
def join_ranks() -> Iterator[Ranks]:
    """Joins the processes that torchrun started, if it did."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world == 1:
        yield Ranks()
        return
    from torch import distributed

    distributed.init_process_group("gloo", timeout=timedelta(days=30))  # the first to end waits for the last
    try:
        local = (int(os.environ.get(name, default)) for name, default in (("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1)))
        yield Ranks(distributed.get_rank(), world, *local)
    finally:
        distributed.destroy_process_group()
