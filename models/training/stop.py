"""When a training stops before its end: on Ctrl-C, on SIGTERM, or when its minutes are used up.

>>> with StopSignal(60, workers, device) as stop:
...     while not stop.asked():
...         train_a_step()
"""

import signal
import time

import torch

from models.training.workers import Workers


class StopSignal:
    """Whether to stop after the current step: on Ctrl-C, SIGTERM, or when the minutes are used up.

    The minutes count from when it is made, the signals within its `with` block. A second Ctrl-C stops at once.
    """

    def __init__(self, max_minutes: float | None, workers: Workers, device: torch.device):
        self.started = time.monotonic()
        self.deadline = self.started + max_minutes * 60 if max_minutes else float("inf")
        self.workers, self.device = workers, device
        self.reason = ""

    def __enter__(self) -> "StopSignal":
        self.before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: object) -> None:
        self.reason = f"by {signal.Signals(number).name}"
        signal.signal(signal.SIGINT, self.before[signal.SIGINT])

    def seconds(self) -> float:
        """Since it was made."""
        return time.monotonic() - self.started

    def asked(self) -> bool:
        if not self.reason and time.monotonic() > self.deadline:
            self.reason = "by --max-minutes"
        if self.workers.world > 1 and any(self.workers.sum(float(bool(self.reason)), device=self.device)):
            self.reason = self.reason or "by another process"
        return bool(self.reason)
