"""Each kind of spoiling does to a face what its name says."""

import cv2
import numpy as np
import pytest
import torch

from models.training.augmentation import Augmentation
from models.training.corruption import KINDS, Corruption, blur, jpeg, motion

NONE, MOST = torch.zeros(6, 1, 1), torch.ones(6, 1, 1)


@pytest.fixture
def faces() -> torch.Tensor:
    """Six smooth pictures with an edge: float32 `[6, 96, 96]`."""
    across = np.linspace(0, 1, 96)
    smooth = 90 + 60 * np.sin(6 * across)[:, None] * np.cos(5 * across) + 40 * (across > 0.5)
    return torch.from_numpy(np.repeat(smooth[None], 6, 0)).float()


def spoil(name: str, faces: torch.Tensor, strength: torch.Tensor, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return KINDS[name](faces, strength).clamp(0, 255)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("side", [32, 48, 97, 224])
def test_any_kind_gives_finite_greys_at_any_size(name, side):
    torch.manual_seed(0)
    crops = torch.rand(5, side, side) * 255
    spoiled = KINDS[name](crops.clone(), torch.rand(5, 1, 1))
    assert spoiled.shape == crops.shape and spoiled.isfinite().all()
    assert not torch.equal(spoiled.clamp(0, 255), crops)


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"pixelation"}))  # whose sizes are shared out by place
def test_more_strength_spoils_more(name, faces):
    little, much = ((spoil(name, faces, strength) - faces).square().mean() for strength in (NONE, MOST))
    assert much > 1.5 * little


def test_noise_is_noise_and_darkness_dark(faces):
    assert (spoil("noise", faces, MOST) - faces).std() > 25
    assert (spoil("noise", faces, MOST) - faces).mean().abs() < 6
    assert spoil("darkness", faces, MOST).mean() < 0.2 * faces.mean()
    assert spoil("overexposure", faces, MOST).mean() > 1.3 * faces.mean()
    assert spoil("contrast", faces, MOST).std((1, 2)).max() < 0.2 * faces.std()


def test_blur_and_motion_keep_the_mean_and_take_the_edge(faces):
    for kind in (blur, motion):
        torch.manual_seed(1)
        spoiled = kind(faces, MOST)
        assert (spoiled.mean() - faces.mean()).abs() < 1
        assert spoiled.diff(dim=2).abs().amax((1, 2)).mean() < 0.7 * faces.diff(dim=2).abs().max()


def test_motion_of_a_point_is_a_line_of_its_length():
    point = torch.zeros(1, 96, 96)
    point[0, 48, 48] = 255
    torch.manual_seed(0)
    trace = motion(point, torch.ones(1, 1, 1))[0]
    places = (trace > 1).nonzero().float()
    assert trace.sum() == pytest.approx(255, rel=1e-3)
    spread = places.sub(places.mean(0)).norm(dim=1).max()
    assert 5 < spread < 11 and len(places) < 60


@pytest.mark.parametrize("quality", [40, 22, 4])
def test_jpeg_loses_what_a_jpeg_file_loses(faces, quality):
    strength = torch.full((6, 1, 1), (40 - quality) / 36)
    content = faces[0].round().byte().numpy()
    _, file = cv2.imencode(".jpg", content, [cv2.IMWRITE_JPEG_QUALITY, quality])
    real = torch.from_numpy(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE)).float()
    ours = jpeg(torch.from_numpy(content).float()[None], strength[:1])[0].clamp(0, 255)
    lost, apart = (real - torch.from_numpy(content)).abs().mean(), (real - ours).abs().mean()
    assert apart < 0.35 * lost + 0.6


def test_a_share_of_the_batch_is_spoiled_and_the_rest_left_as_it_is(faces):
    crops = faces.repeat(10, 1, 1)
    for share in (0.25, 0.5):
        torch.manual_seed(0)
        changed = (Corruption(share)(crops) != crops).any(2).any(1)
        assert changed.sum() == pytest.approx(share * 60, abs=2)
    assert torch.equal(Corruption(0.0)(crops), crops)


def test_all_sizes_of_pixels_are_seen_in_batches_of_any_size():
    picture = torch.rand(2, 96, 96) * 255
    lost = set()
    for seed in range(200):
        torch.manual_seed(seed)
        lost.add(round((KINDS["pixelation"](picture, NONE[:2])[0] - picture[0]).square().mean().item()))
    assert len(lost) == 12  # six sizes, enlarged smoothly or not


def test_a_small_share_is_kept_on_average(faces):
    spoiled = 0
    for seed in range(400):
        torch.manual_seed(seed)
        spoiled += int((Corruption(0.05)(faces) != faces).any(2).any(1).sum())
    assert 0.03 < spoiled / 2400 < 0.07


def test_every_kind_gets_its_turn_in_small_batches(faces):
    asked = []
    kinds = {name: (lambda crops, _, name=name: asked.append(name) or crops) for name in KINDS}
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, kind in kinds.items():
            monkeypatch.setitem(KINDS, name, kind)
        for _ in range(100):
            Corruption(0.5)(faces)
    assert set(asked) == set(KINDS)


def test_the_same_seed_gives_the_same_crops():
    pictures = torch.randint(0, 256, (8, 40, 40), dtype=torch.uint8)
    augment = Augmentation(32, corruption=0.9)
    crops = []
    for _ in range(2):
        torch.manual_seed(3)
        crops.append(augment(pictures))
    assert torch.equal(*crops) and crops[0].min() >= 0 and crops[0].max() <= 255
    assert not torch.equal(crops[0], Augmentation(32)(pictures))
