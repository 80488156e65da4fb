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
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Turns, some tenths of a millisecond. With none a face takes 17 ms alone instead of 15; in two threads beside one busy
# process it takes 44 ms with these, and 77 with 30,000 (2 cores, Zen 4).
SPINS = 10_000
LOOK_SECONDS, RECENT_SECONDS = (
    0.25,
    2.0,
)  # between two looks at what else runs: at least, and to count what lies between


def wait_briefly() -> None:
    """Has the threads of a torch that is loaded later spin briefly, unless the environment already says how to wait."""
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)


def allowed_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores() -> int:
    """How many cores this process may keep busy: the allowed ones, or fewer by its container's quota (cgroup v2)."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed_cores(), math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such system, or no quota: `max`
        return allowed_cores()


class OtherWork:
    """How busy other processes keep the cores that this one may run on, by what Linux counts.

    Attributes:
        busy: So many cores, on the average between the last two looks or, where the earlier is long ago, now; 0 where
            the system does not tell.
        allowed, usable: See `allowed_cores` and `usable_cores`.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forgets what was seen, as a forked process has to."""
        self._lock = threading.Lock()
        self.allowed, self.usable, self.busy = allowed_cores(), usable_cores(), 0.0
        self._last = self._counters()

    def look(self) -> None:
        """Counts anew, where the last look is `LOOK_SECONDS` ago."""
        with self._lock:
            passed = time.monotonic() - self._last[0]
            if passed < LOOK_SECONDS:
                return
            now = self._counters()
            seconds, busy, own = (after - before for after, before in zip(now, self._last))
            self.allowed, self.usable, self._last = allowed_cores(), usable_cores(), now
            others = (busy - own) / seconds if passed < RECENT_SECONDS else self._running() - 1
            self.busy = min(max(0.0, others), self.allowed)  # more may wait for the cores than there are

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

    @staticmethod
    def _running() -> int:
        """How many threads of all processes run or wait for a core at this moment, this one among them."""
        try:
            return max(1, int(Path("/proc/loadavg").read_text().split()[3].split("/")[0]))
        except (OSError, ValueError, IndexError):
            return 1


OTHERS = OtherWork()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=OTHERS.begin)


def enough(most: int) -> int:
    """How many threads to compute in now: one a core that is free, at least one and at most so many."""
    OTHERS.look()
    return max(1, min(most, OTHERS.usable, round(OTHERS.allowed - OTHERS.busy)))


class _Reduced:
    """Whether torch has fewer threads just now, and how many it had: a Python thread that begins then takes the fewer
    for its own, and would keep them.
    """

    lock = threading.Lock()
    times, most, now = 0, 1, 1


@contextmanager
def enough_threads() -> Iterator[None]:
    """Has torch compute in `enough` of the threads that it has."""
    import torch

    with _Reduced.lock:
        most = had = torch.get_num_threads()
        if _Reduced.times and had == _Reduced.now:
            most = _Reduced.most
        now = enough(most)
        reduced = not now == most == had
        if reduced:
            _Reduced.times, _Reduced.most, _Reduced.now = _Reduced.times + 1, most, now
            torch.set_num_threads(now)
    try:
        yield
    finally:
        if reduced:
            with _Reduced.lock:
                _Reduced.times -= 1
                torch.set_num_threads(most)


def describe_threads() -> str:
    """How many threads torch would compute in now, and why not in all that it has."""
    import torch

    most = torch.get_num_threads()
    now = enough(most)
    threads = f"{now} thread" + "s" * (now > 1)
    if now == most:
        return threads
    if now == OTHERS.usable:
        return f"{threads}, as many as there are cores for this process"
    return f"{threads} instead of {most}, since other processes keep {OTHERS.busy:.1f} of {OTHERS.allowed} cores busy"
