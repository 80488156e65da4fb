"""What a training is told and how far it is: plain values, which a run writes down.

>>> recipe = Recipe(**{name: settings[name] for name in RECIPE_FLAGS}, precision="fp32")
>>> Progress().epoch
0
"""

from dataclasses import dataclass

BALANCES = ("none", "weights", "sampling")


@dataclass(frozen=True)
class Recipe:
    """How to train; what each setting is, and why it stands where it stands, is told in `flags`."""

    epochs: int
    batch_size: int
    lr: float
    warmup_epochs: float
    momentum: float
    weight_decay: float
    label_smoothing: float
    mixup: float
    teachers_weight: float
    votes_weight: float
    ema_decay: float
    freeze_blocks: int
    seed: int
    precision: str
    balance: str = "none"


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        epoch: Epochs finished.
        batch: Batches finished of the epoch that is running; 0 between epochs.
        steps: Batches finished in all.
        loss_sum, correct: Sums over the running epoch's pictures of this process, up to the last look at the loss.
        counted: How many pictures these sums are of.
        seen: The running epoch's pictures so far, of all processes.
        seconds: Time spent in the running epoch's training.
        best_accuracy: The highest val accuracy of an epoch so far, 0 to 1.
    """

    epoch: int = 0
    batch: int = 0
    steps: int = 0
    loss_sum: float = 0.0
    correct: float = 0.0
    counted: int = 0
    seen: int = 0
    seconds: float = 0.0
    best_accuracy: float = -1.0

    def start_next_epoch(self) -> None:
        self.epoch += 1
        self.batch = self.counted = self.seen = 0
        self.loss_sum = self.correct = self.seconds = 0.0
