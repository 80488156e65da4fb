"""Training of the proposal network in rounds, each saved, judged, and some followed by a search for hard places.

    train(material, Settings(steps=12_000), Path("output/faces"), torch.device("cpu"), "bf16")

Scenes are made by chance seeded with the seed and the step, so a stopped run goes on with the scenes it would have had.
"""

import copy
import csv
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from models.checkpoint import read_weights_file, save_atomically
from models.faces.finders.rpn import INPUT_MEAN, INPUT_SCALE, MIN_SCORE, Faces, decode, padded
from models.faces.training.material import Material, at_most, write_whole
from models.faces.training.network import ProposalNetwork, export_onnx
from models.faces.training.portraits import leaning
from models.faces.training.scenes import Hard, SceneMaker
from models.faces.training.targets import targets

# Height, width and how many at once: each batch has about as many pixels. Large scenes are rarer: they are for faces
# that are large in a large picture.
SHAPES = [(192, 192, 32), (192, 256, 24), (256, 192, 24), (256, 256, 18), (320, 320, 12), (384, 320, 10)]
SHAPE_SHARES = [0.5, 0.1, 0.1, 0.15, 0.1, 0.05]
JUDGED_ANGLES = (0, 20, 40, 60, 90)


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        steps: Batches in all; the learning rate falls along half a cosine over them.
        round_steps: Batches between two savings.
        mine_at: Shares of the steps after which backgrounds are searched for what the network takes for faces.
    """

    steps: int = 12_000
    lr: float = 2e-3
    warmup_steps: int = 200
    weight_decay: float = 0.02
    ema_decay: float = 0.998
    round_steps: int = 1000
    mine_at: tuple[float, ...] = (0.25, 0.5, 0.75)
    seed: int = 0


class Batches(IterableDataset):
    """Batches of scenes and their targets, from step to step; each worker makes every N-th."""

    def __init__(self, maker: SceneMaker, seed: int, first: int, end: int):
        self._maker, self._seed, self._first, self._end = maker, seed, first, end

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        number, count = (worker.id, worker.num_workers) if worker else (0, 1)
        for step in range(self._first + number, self._end, count):
            chance = np.random.default_rng([self._seed, step])
            height, width, size = SHAPES[chance.choice(len(SHAPES), p=SHAPE_SHARES)]
            scenes = [self._maker.make(height, width, chance) for _ in range(size)]
            answers = zip(*(targets(scene) for scene in scenes))
            pictures = torch.from_numpy(np.stack([scene.picture for scene in scenes]))
            yield pictures, *(torch.from_numpy(np.stack(answer)) for answer in answers)


def train(material: Material, settings: Settings, output: Path, device: torch.device, precision: str) -> None:
    """Trains until the last step, or goes on with the run in the output folder.

    Writes `last.pt` (to go on from), `log.csv` (a row a round) and `rpn_faces.onnx` (the averaged weights).
    """
    run = Run(material, settings, device, precision)
    output.mkdir(parents=True, exist_ok=True)
    last = output / "last.pt"
    if last.is_file():
        run.load(read_weights_file(last))
        print(f"going on after step {run.step} of {settings.steps}", flush=True)
    while run.step < settings.steps:
        row = run.round()
        run.mine_if_due()
        save_atomically(last, run.state())
        write_whole(output / "rpn_faces.onnx", export_onnx(run.averaged))
        _append(output / "log.csv", row)
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)


class Run:
    """A training in progress.

    Attributes:
        step: Batches so far.
        averaged: The network with the exponential average of the weights, which is what ships.
    """

    def __init__(self, material: Material, settings: Settings, device: torch.device, precision: str):
        self._material, self._settings, self._device, self._precision = material, settings, device, precision
        torch.manual_seed(settings.seed)
        self._network = ProposalNetwork().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self._network).eval().requires_grad_(False)
        decayed = [p for p in self._network.parameters() if p.ndim > 1]
        plain = [p for p in self._network.parameters() if p.ndim == 1]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, lr=settings.lr)
        self.step = 0
        self._hard: list[Hard] = []

    def state(self) -> dict[str, Any]:
        """All that `load` needs to go on: tensors and plain values."""
        return {
            "step": self.step,
            "network": self._network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "hard": [asdict(place) for place in self._hard],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self._network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._hard = [Hard(**place) for place in state["hard"]]

    def round(self) -> dict[str, Any]:
        """Trains for a round; how it went, and what is found in what was held out."""
        start, end = time.monotonic(), min(self.step + self._settings.round_steps, self._settings.steps)
        maker = SceneMaker(self._material.portraits, self._material.backgrounds, self._hard)
        batches = Batches(maker, self._settings.seed, self.step, end)
        workers = max(1, (os.cpu_count() or 1) // 2 if self._device.type == "cpu" else (os.cpu_count() or 2) - 1)
        of_steps, seen = [], 0
        self._network.train()
        for batch in DataLoader(batches, batch_size=None, num_workers=workers, prefetch_factor=4):
            of_steps.append(self._step([part.to(self._device, non_blocking=True) for part in batch]))
            seen += len(batch[0])
            self.step += 1
        means = torch.stack(of_steps).mean(0).tolist()
        seconds = time.monotonic() - start
        row: dict[str, Any] = {"step": self.step, "minutes": round(seconds / 60, 1), "scenes/s": round(seen / seconds)}
        row |= {name: round(mean, 4) for name, mean in zip(("heat", "size", "points"), means)}
        return row | self.judge()

    def _step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        settings = self._settings
        rate = min(1.0, (self.step + 1) / settings.warmup_steps)
        rate *= 0.5 + 0.5 * math.cos(math.pi * self.step / settings.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = settings.lr * max(rate, 0.002)
        pictures, *answers = batch
        inputs = pictures.permute(0, 3, 1, 2).float().sub_(INPUT_MEAN).mul_(INPUT_SCALE)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bf16"):
            outputs = self._network(inputs.contiguous(memory_format=torch.channels_last))
        heat, size, points = losses(outputs.float(), *answers)
        self._optimizer.zero_grad(set_to_none=True)
        (heat + 0.5 * size + 4 * points).backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), 5.0)
        self._optimizer.step()
        self._average()
        return torch.stack([heat, size, points]).detach()

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self._settings.ema_decay, (self.step + 1) / (self.step + 10))
        for kept, new in zip(self.averaged.state_dict().values(), self._network.state_dict().values()):
            if kept.is_floating_point():
                kept.lerp_(new.to(kept.dtype), 1 - decay)
            else:
                kept.copy_(new)

    @torch.no_grad()
    def find(self, picture: np.ndarray, lowest: float = MIN_SCORE) -> Faces:
        """What the averaged network finds in an RGB uint8 picture of any size."""
        pixels = torch.from_numpy(padded(picture)).to(self._device)
        inputs = pixels.permute(2, 0, 1)[None].float().sub_(INPUT_MEAN).mul_(INPUT_SCALE)
        return decode(self.averaged(inputs.contiguous(memory_format=torch.channels_last))[0].cpu().numpy(), lowest)

    def judge(self) -> dict[str, Any]:
        """Of held-out portraits, leaning, how many are found; boxes too many; held-out backgrounds with a find."""
        row: dict[str, Any] = {}
        portraits, extra = self._material.held_out_portraits[:150], 0
        for angle in JUDGED_ANGLES:
            found = 0
            for portrait in portraits:
                picture, centre, size = leaning(portrait, angle)
                hits = self.find(picture)
                distance = np.linalg.norm(hits.points[:, 0] - centre, axis=1)
                is_found = bool(((distance < 0.3 * size) & (np.abs(hits.sizes / size - 1) < 0.4)).any())
                found += is_found
                extra += len(distance) - is_found
            row[f"found {angle}°"] = f"{found / len(portraits):.3f}"
        empty = [at_most(picture, 640) for picture in self._material.held_out_backgrounds[:200]]
        finds = [len(self.find(picture).scores) for picture in empty]
        return row | {"too many": extra, "backgrounds": f"{sum(map(bool, finds))}/{len(empty)}"}

    def mine_if_due(self) -> None:
        """Searches backgrounds for what looks like a face to the network: such places are then shown more often."""
        shares = [(self.step - back) / self._settings.steps for back in (self._settings.round_steps, 0)]
        if not any(shares[0] < share <= shares[1] for share in self._settings.mine_at):
            return
        chance = np.random.default_rng([self._settings.seed, self.step])
        pictures, hard = self._material.backgrounds, []
        for index in chance.permutation(len(pictures))[:1500].tolist():
            side = int(chance.choice([320, 480, 640]))
            shown = at_most(pictures[index], side)
            scale = shown.shape[1] / pictures[index].shape[1]
            points, sizes, _ = self.find(shown, lowest=0.15)
            for middle, size in zip(points[:5, 0] / scale, sizes[:5] / scale):
                hard.append(Hard(index, float(middle[0]), float(middle[1]), float(size)))
        self._hard = (self._hard + hard)[-6000:]
        print(f"{len(hard)} places in backgrounds look like faces", flush=True)


def losses(
    outputs: torch.Tensor,
    heat: torch.Tensor,
    heat_weight: torch.Tensor,
    values: torch.Tensor,
    value_weight: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The losses of faces' middles, sizes and points, for outputs `[N, 14, h, w]` and the targets of `targets.targets`.

    The first is the focal loss with less weight near a middle (Law and Deng, 2018), the others mean distances.
    """
    logit = outputs[:, 0]
    at_middle = heat >= 0.999
    probability = logit.sigmoid()
    missed = (1 - probability) ** 2 * nn.functional.softplus(-logit) * at_middle
    imagined = (1 - heat) ** 4 * probability**2 * nn.functional.softplus(logit) * ~at_middle
    count = (at_middle * heat_weight).sum().clamp(min=1)
    heat_loss = ((missed + imagined) * heat_weight).sum() / count
    distance = (outputs[:, 1:] - values).abs() * value_weight[:, None]
    total = value_weight.sum().clamp(min=1)
    return heat_loss, distance[:, 0].sum() / total, distance[:, 1:].sum() / (12 * total)


def _append(path: Path, row: dict[str, Any]) -> None:
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)
