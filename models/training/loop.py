"""The training loop: one epoch of training, one evaluation, and the state that a stopped run goes on from.

Everything random in a step (augmentation, dropout) is drawn after seeding with the run's seed, the epoch, the
batch and the rank. A run that is stopped anywhere and resumed therefore needs no generator's state to go on as
the unbroken run would have, bit for bit on a CPU.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from models.architectures import Network
from models.inference import prepare_for_inference
from models.training.augmentation import Augmentation, mixup
from models.training.compiling import compiling
from models.training.dataset import Split, class_rarity, count_batches, epoch_batches
from models.training.recipe import Progress, Recipe
from models.training.start import freeze_blocks
from models.training.votes import WithVotes
from models.training.workers import Workers
from models.views import normalise, predict_logits


class TrainingDiverged(ArithmeticError):
    """The loss is no longer a number."""


@dataclass
class Trainer:
    """A network in training and what belongs to it.

    Attributes:
        network: In float32, channels last, on the device that trains.
        class_names: What its outputs stand for.
        input_spec: What the network sees, see `views.make_input_spec`.
        augmentation: Makes training crops of a batch.
        recipe: The settings.
        workers: Who else trains.
        with_votes: Whether the training pictures come with votes, a second target, see `votes`.
        compile_mode: One of `compiling.COMPILE_MODES`.
        progress: Where the run stands; goes on from there.
        check_every: Batches between looks at the loss, after which the sums in `progress` are complete.
    """

    network: Network
    class_names: list[str]
    input_spec: dict[str, Any]
    augmentation: Augmentation
    recipe: Recipe
    workers: Workers = field(default_factory=Workers)
    with_votes: bool = False
    compile_mode: str = "off"
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        self.device = next(self.network.parameters()).device
        self.class_weights: torch.Tensor | None = None
        self.check_every = 20 if self.device.type == "cuda" else 1  # each look makes a GPU wait
        freeze_blocks(self.network, self.recipe.freeze_blocks)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.learner: nn.Module = self.network
        if self.with_votes:
            self.learner = WithVotes(self.network).to(self.device)
        trained = [parameter for parameter in self.learner.parameters() if parameter.requires_grad]
        # Vectors (biases, BatchNorm's scales) are not decayed: pulling them to 0 regularises nothing.
        self.optimizer = torch.optim.SGD(
            [
                {"params": [p for p in trained if p.dim() > 1], "weight_decay": self.recipe.weight_decay},
                {"params": [p for p in trained if p.dim() == 1], "weight_decay": 0.0},
            ],
            lr=self.recipe.lr, momentum=self.recipe.momentum, nesterov=self.recipe.momentum > 0,
        )  # fmt: skip
        self.parallel: nn.Module = self.learner
        if self.workers.world > 1:
            self.parallel = nn.parallel.DistributedDataParallel(self.learner)
        self.compiled: Callable[..., Any] = self.parallel
        if self.compile_mode != "off":
            self.compiled = torch.compile(self.parallel, mode=self.compile_mode, dynamic=False)

    def learning_rate(self, step: float, steps_per_epoch: int) -> float:
        """Linear warm-up, then half a cosine down to 0 (Loshchilov and Hutter, 2017)."""
        warmup, total = self.recipe.warmup_epochs * steps_per_epoch, self.recipe.epochs * steps_per_epoch
        if step < warmup:
            return self.recipe.lr * (step + 1) / (warmup + 1)
        return self.recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))

    def train_one_epoch(self, split: Split, on_batch: Callable[[Progress, int], bool] = lambda *_: False) -> bool:
        """Trains to the end of the running epoch.

        Args:
            split: Training pictures on the device.
            on_batch: Called after each batch with the progress and the epoch's number of batches; returning
                True stops after this batch.

        Returns:
            Whether the epoch was finished; its sums are then in `progress`.

        Raises:
            TrainingDiverged: The loss became infinite or no number.
        """
        recipe, progress = self.recipe, self.progress
        batches = count_batches(len(split), recipe.batch_size, self.workers.world)
        self.network.train()
        freeze_blocks(self.network, recipe.freeze_blocks)
        sums = torch.zeros(3, dtype=torch.float64, device=self.device)  # loss, right answers, pictures

        def collect() -> None:
            loss_sum, correct, counted = sums.tolist()
            sums.zero_()
            progress.loss_sum += loss_sum
            progress.correct += correct
            progress.counted += int(counted)
            if not math.isfinite(progress.loss_sum):
                place = f"batch {progress.batch} of epoch {progress.epoch + 1}"
                raise TrainingDiverged(f"the loss is not a number after {place}")

        rarity = class_rarity(split.targets, len(self.class_names))
        # The root: by the rarity itself the few pictures of the rarest classes drown the others, which costs
        # accuracy on all of them (measured, see the model card).
        self.class_weights = (
            rarity.sqrt() / rarity.sqrt()[split.targets].mean() if recipe.balance == "weights" else None
        )
        order = epoch_batches(
            len(split), recipe.batch_size, progress.epoch, recipe.seed, self.workers.rank, self.workers.world,
            odds=rarity[split.targets] if recipe.balance == "sampling" else None,
        )  # fmt: skip
        started = time.perf_counter() - progress.seconds
        for number, (indices, global_size) in enumerate(order):
            if number < progress.batch:  # done before the run was stopped
                continue
            torch.manual_seed(self._step_seed(number))
            rate = self.learning_rate(progress.epoch * batches + number, batches)
            loss, hits = self._step(split, indices.to(self.device, non_blocking=True), global_size, rate)
            sums[0] += loss * len(indices)
            sums[1] += hits
            sums[2] += len(indices)
            progress.batch += 1
            progress.seen += global_size
            progress.seconds = time.perf_counter() - started
            last = progress.batch == batches
            if progress.batch % self.check_every == 0 or last:
                collect()
            if on_batch(progress, batches) and not last:
                collect()
                return False
        return True

    def _step_seed(self, batch: int) -> int:
        seed = 0
        for part in (self.recipe.seed, self.progress.epoch, batch, self.workers.rank):
            seed = (seed * 1_000_003 + part) % 2**63
        return seed

    def _step(
        self, split: Split, indices: torch.Tensor, global_size: int, rate: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One optimizer step; returns the mean loss and the number of right answers."""
        recipe, targets = self.recipe, split.targets[indices]
        votes = split.votes[indices] if self.with_votes and split.votes is not None else None
        crops = self.augmentation(split.pictures[indices])
        shares = F.one_hot(targets, len(self.class_names)).float()
        if split.answers is not None:
            shares = torch.lerp(shares, split.answers[indices], recipe.teachers_weight)
        if recipe.mixup:
            crops, shares, *blended = mixup(recipe.mixup, crops, shares, *([] if votes is None else [votes]))
            votes = blended[0] if blended else None
        # An epoch's last, smaller batch is not worth being compiled for.
        learner = self.compiled if len(indices) == recipe.batch_size else self.parallel
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        with compiling(), torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            outputs = learner(normalise(crops, self.input_spec))
        logits, vote_logits = outputs if self.with_votes else (outputs, None)
        loss = F.cross_entropy(
            logits.float(), shares, weight=self.class_weights, label_smoothing=recipe.label_smoothing
        )
        if vote_logits is not None and votes is not None:
            loss = loss + recipe.votes_weight * F.cross_entropy(vote_logits.float(), votes)
        # Processes' gradients are averaged as if their shares of the batch were equal: weigh by the true shares.
        with compiling():
            (loss * (len(indices) * self.workers.world / global_size)).backward()
        self.optimizer.step()
        self._update_average()
        return loss.detach(), (logits.argmax(1) == targets).sum()

    @torch.no_grad()
    def _update_average(self) -> None:
        """Exponential moving average of weights and statistics; its memory grows from a few steps to the full one."""
        self.progress.steps += 1
        decay = min(self.recipe.ema_decay, (1 + self.progress.steps) / (10 + self.progress.steps))
        pairs = [
            (mean, value)
            for mean, value in zip(self.average.state_dict().values(), self.network.state_dict().values())
            if mean.is_floating_point()
        ]
        torch._foreach_lerp_([mean for mean, _ in pairs], [value for _, value in pairs], 1 - decay)

    def evaluate(self, split: Split, tta: str = "none") -> torch.Tensor:
        """The averaged network's logits on a split.

        Args:
            split: Prepared at the input's `resize`; each process answers its share.

        Returns:
            float32 `[views, N, C]`, on the CPU, all processes' together.
        """
        # BatchNorm's statistics are of each process's own pictures: all are to answer with the same network.
        self.workers.average(self.average.buffers())
        mine = split.pictures[self.workers.rank :: self.workers.world]
        network = prepare_for_inference(self.average, self.device, self.recipe.precision, self.input_spec)
        together = 64
        if self.device.type == "cuda":  # enough for it to be busy, and no more memory than training takes
            together = max(64, 1024 * 96**2 // self.input_spec["size"] ** 2)
        logits = predict_logits(network, mine, self.input_spec, tta, together)
        if self.workers.world == 1:
            return logits
        shares = self.workers.gather(logits)
        gathered = torch.empty(logits.shape[0], len(split), logits.shape[2])
        for rank, share in enumerate(shares):
            gathered[:, rank :: self.workers.world] = share
        return gathered

    def measure_speed(self, split: Split, seconds: float = 5.0) -> float:
        """Pictures a second in training, of all processes together; leaves the trainer as it was.

        Args:
            split: Training pictures on the device.
            seconds: How long to measure at least, after some batches in which kernels are chosen and compiled.
        """
        before = copy.deepcopy(self.state_dict())
        looks: list[tuple[float, int]] = []  # when, and how many batches were done
        batches, enough = 0, False

        def count(_progress: Progress, _batches: int) -> bool:
            nonlocal batches, enough
            batches += 1
            if batches >= 3 and batches % self.check_every == 0:
                if self.device.type == "cuda":
                    torch.cuda.synchronize(self.device)
                looks.append((time.perf_counter(), batches))
                mine = len(looks) > 1 and looks[-1][0] - looks[0][0] >= seconds
                enough = self.workers.sum(float(mine), device=self.device)[0] > 0
            return enough

        while not enough:
            self.train_one_epoch(split, count)
            self.progress.start_next_epoch()
        self.load_state_dict(before)
        (started, first), (ended, last) = looks[0], looks[-1]
        mean_batch = len(split) / count_batches(len(split), self.recipe.batch_size, self.workers.world)
        return (last - first) * mean_batch / (ended - started)

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on exactly, in tensors and plain values."""
        return {
            "learner": self.learner.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": asdict(self.progress),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.learner.load_state_dict(state["learner"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])
