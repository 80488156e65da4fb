"""Rare classes that count more."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import train
from models.training.dataset import class_rarity, epoch_batches
from tests.training_runs import only_run, quick


def test_by_their_rarity_all_classes_count_alike():
    targets = torch.tensor([0] * 6 + [1] * 3 + [2])
    weights = class_rarity(targets, 3)
    assert torch.allclose(weights * targets.bincount(), torch.full((3,), 10 / 3))
    assert weights[targets].mean().item() == pytest.approx(1)


def test_balancing_by_sampling_draws_all_classes_alike_and_the_same_for_all_processes():
    targets = torch.tensor([0] * 900 + [1] * 90 + [2] * 10)
    odds = class_rarity(targets, 3)[targets]
    drawn = torch.cat([batch for batch, _ in epoch_batches(1000, 50, epoch=0, seed=0, odds=odds)])
    assert len(drawn) == 1000 and (targets[drawn].bincount(minlength=3) > 270).all()
    shares = [list(epoch_batches(1000, 50, 0, 0, rank, 2, odds)) for rank in range(2)]
    together = torch.cat([torch.stack([ours, theirs]).T.flatten() for (ours, _), (theirs, _) in zip(*shares)])
    assert torch.equal(together, drawn)


@pytest.mark.parametrize("balance", ["weights", "sampling"])
def test_a_rare_class_is_found_more_often_where_classes_are_balanced(balance, tmp_path, narrow):
    """One class in ten: what training without balancing never answers, training with it does."""
    generator = np.random.default_rng(0)
    for split, counts in {"train": (90, 10), "val": (20, 20)}.items():
        for name, count, grey in (("common", counts[0], 118), ("rare", counts[1], 138)):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.normal(grey, 40, (48, 48)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / name / f"{number}.png")
    answers = {}
    for mode in ("none", balance):
        assert train.main(quick(tmp_path, tmp_path / mode, "--balance", mode, "--epochs", "6")) == 0
        report = json.loads((only_run(tmp_path / mode) / "report.json").read_text())
        answers[mode] = np.sum(report["confusion_matrix"], axis=0)[1]  # how often "rare" was answered
    assert answers[balance] > answers["none"]
