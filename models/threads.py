"""Threads beside other programs: how they wait for one another, and how many it takes.

    import models                                # before torch: its threads learn how to wait when it is loaded
    with enough_threads():
        network(pictures)

GNU OpenMP, which torch computes with on Linux, splits each layer among threads, and they wait for the last one by
spinning: 300,000 turns, some milliseconds. Where another program has taken the core of one of them, the others burn
theirs at each of VGG16's fourteen layers, and lose it in turn: a face that takes 15 ms then takes 120 to 260
(`python -m tests.benchmarks.beside`). So they spin for as long as a layer's end takes, then sleep; and where cores are
busy there are fewer threads.
"""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Turns, a tenth of a millisecond or so. With none a face takes 17 ms alone instead of 15, with 30,000 beside one busy
# process 77 instead of 30 (2 cores, Zen 4).
SPINS = 10_000
LOOK_SECONDS = 0.25  # between two looks at what else runs


def wait_briefly() -> None:
    """Has the threads of a torch that is loaded later spin briefly, unless the environment already says how to wait."""
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)


def usable_cores() -> int:
    """The cores that this process may use, by its affinity and the quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no such system, or no quota: `max`
        pass
    return max(cores, 1)


class OtherWork:
    """How busy other programs keep the cores that this process may use, by what Linux counts.

    Attributes:
        usable: The cores that this process may use.
        busy: How many of them others kept busy, on the average, between the last two looks; 0 where the system does
            not tell.
    """

    def __init__(self) -> None:
        self.usable, self.busy = usable_cores(), 0.0
        self._last = self._counters()

    def look(self) -> None:
        """Counts anew, where the last look is `LOOK_SECONDS` ago."""
        if time.monotonic() - self._last[0] >= LOOK_SECONDS:
            now = self._counters()
            seconds, busy, own = (after - before for after, before in zip(now, self._last))
            self.usable, self.busy, self._last = usable_cores(), max(0.0, (busy - own) / seconds), now

    @staticmethod
    def _counters() -> tuple[float, float, float]:
        """The time, the seconds that the cores have been busy, and those of them that were for this process."""
        busy = 0
        try:
            allowed = {f"cpu{core}" for core in os.sched_getaffinity(0)}
            for line in Path("/proc/stat").read_text().splitlines():
                name, *ticks = line.split()
                if name in allowed:  # user, nice, system, idle, iowait, irq, softirq, steal
                    busy += sum(map(int, ticks[:8])) - int(ticks[3]) - int(ticks[4])
            return time.monotonic(), busy / os.sysconf("SC_CLK_TCK"), time.process_time()
        except (OSError, AttributeError, ValueError, IndexError):  # another system
            return time.monotonic(), 0.0, time.process_time()


OTHERS = OtherWork()


def enough(most: int) -> int:
    """How many threads to compute in now: one a core that is free, at least one and at most so many."""
    OTHERS.look()
    return max(1, min(most, round(OTHERS.usable - OTHERS.busy)))


@contextmanager
def enough_threads() -> Iterator[None]:
    """Has torch compute in `enough` of the threads that it has."""
    import torch

    most = torch.get_num_threads()
    now = enough(most)
    if now == most:
        yield
        return
    torch.set_num_threads(now)
    try:
        yield
    finally:
        torch.set_num_threads(most)


def describe_threads() -> str:
    """How many threads torch would compute in now, and why not in all that it has."""
    import torch

    most = torch.get_num_threads()
    now = enough(most)
    threads = f"{now} thread" + "s" * (now > 1)
    if now == most:
        return threads
    if OTHERS.busy < 0.5:
        return f"{threads}, as many as there are cores for this process"
    return f"{threads} instead of {most}, since other processes keep {OTHERS.busy:.1f} of {OTHERS.usable} cores busy"
