"""Training crops, and pictures blended into one."""

from dataclasses import replace

import pytest
import torch

from models.training.augmentation import Augmentation, mixup
from models.training.votes import VOTE_COLUMNS
from tests.training_samples import RECIPE, make_trainer, small_split


def test_without_chance_the_crop_is_the_middle_of_the_picture():
    still = Augmentation(224, flip=0, rotation=0, scale=0, shift=-(1 - 224 / 240) / 2, brightness=0, erasing=0)
    pictures = torch.randint(0, 256, (2, 240, 240), dtype=torch.uint8)
    torch.testing.assert_close(still(pictures), pictures[:, 8:-8, 8:-8].float(), atol=0.05, rtol=0)


def test_crops_stay_within_the_picture_and_are_mirrored_half_of_the_time():
    torch.manual_seed(0)
    ramp = torch.arange(240, dtype=torch.uint8).expand(200, 240, 240)
    crops = Augmentation(64, rotation=0, scale=0, shift=0, brightness=0, erasing=0)(ramp)
    rises = crops[:, 0, -1] > crops[:, 0, 0]
    assert 60 < rises.sum() < 140
    spans = (crops[:, 0, -1] - crops[:, 0, 0]).abs()
    assert spans.min() > 217 and spans.max() < 225  # 224 pixels wide, nothing repeated at the edges
    assert crops.amin((1, 2)).std() > 2  # at different places


def test_erasing_covers_the_share_of_pictures_asked_for():
    torch.manual_seed(0)
    white = torch.full((400, 48, 48), 255, dtype=torch.uint8)
    crops = Augmentation(48, brightness=0, erasing=0.25)(white)
    erased = (crops == 128).float().mean((1, 2))
    assert 60 < (erased > 0).sum() < 140
    assert erased[erased > 0].min() > 0.005 and erased.max() < 0.26


def test_mixup_blends_pictures_and_targets_alike_and_each_keeps_the_larger_share():
    torch.manual_seed(0)
    own = torch.eye(200)  # each picture's target is itself, so the blended ones tell which were blended, and how
    crops, targets, votes = mixup(0.4, own.view(200, 20, 10), own, 2 * own)
    assert torch.equal(crops.flatten(1), targets) and torch.equal(votes, 2 * targets)
    assert torch.allclose(targets.sum(1), torch.ones(200))
    kept = targets.diagonal()
    assert (kept >= 0.5).all() and 20 < (kept < 0.9).sum() < 180  # 52 % of them by Beta(0.4, 0.4)


@pytest.mark.parametrize("votes", [False, True])
def test_mixup_takes_part_in_training(narrow, votes):
    split = small_split()
    split.votes = torch.full((24, len(VOTE_COLUMNS)), 0.1) if votes else None
    weights = []
    for alpha in (0.0, 0.4):
        trainer = make_trainer(replace(RECIPE, mixup=alpha), with_votes=votes)
        trainer.train_one_epoch(split)
        assert trainer.progress.counted == 24
        weights.append(trainer.network.classifier[-1].weight.detach())
    assert not torch.equal(*weights)


def test_augmented_values_stay_within_0_and_255():
    crops = Augmentation(32, brightness=0.9)(torch.randint(0, 256, (64, 40, 40), dtype=torch.uint8))
    assert crops.min() >= 0 and crops.max() <= 255
