"""The weights that a training starts with."""

from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn

from models.checkpoint import make_checkpoint, save_atomically
from models.expressions import CLASS_NAMES
from models.training.recipe import Recipe
from models.training.start import StartWeightsError, freeze_blocks, insert_batch_norm, start_network
from models.vgg16 import VGG16
from models.views import make_input_spec, normalise
from tests.training_samples import RECIPE, SPEC, make_trainer, small_split

START_OPTIONS = {"head": "gap", "pictures": torch.zeros(8, 40, 40, dtype=torch.uint8), "input_spec": SPEC}


def test_batch_norm_put_into_a_plain_vgg16_does_not_change_its_trunk():
    torch.manual_seed(0)
    plain = VGG16(batch_norm=False).eval()
    pictures = torch.randint(0, 256, (16, 48, 48), dtype=torch.uint8)
    spec = make_input_spec(48)
    with torch.no_grad():
        for layer in plain.features:
            if isinstance(layer, nn.Conv2d):
                layer.bias.normal_()
    weights = plain.state_dict()
    network = VGG16()
    convolutions = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
    plain_convolutions = [layer for layer in plain.features if isinstance(layer, nn.Conv2d)]
    for ours, theirs in zip(convolutions, plain_convolutions):
        ours.load_state_dict(theirs.state_dict())
    batch = normalise(pictures.float(), spec)
    insert_batch_norm(network, batch)
    network.eval()
    last_norm = max(i for i, layer in enumerate(network.features) if isinstance(layer, nn.BatchNorm2d))
    with torch.no_grad():
        before_last = network.features[:last_norm](batch)
        torch.testing.assert_close(before_last, plain.features[:-2](batch), atol=1e-3, rtol=1e-3)
        normalised = network.features[last_norm](before_last)
    assert normalised.mean((0, 2, 3)).abs().max() < 1e-3
    assert weights.keys() == plain.state_dict().keys()


def test_torchvisions_vgg16_without_batch_norm_is_a_start(tmp_path):
    torch.manual_seed(0)
    published = torchvision.models.vgg16(num_classes=5)
    torch.save(published.state_dict(), tmp_path / "vgg16.pth")
    pictures = torch.randint(0, 256, (8, 40, 40), dtype=torch.uint8)
    network = start_network(str(tmp_path / "vgg16.pth"), head="gap", num_classes=7, pictures=pictures, input_spec=SPEC)
    assert torch.equal(network.features[40].weight, published.features[28].weight)
    assert network.features[1].running_mean.abs().sum() > 0


def test_a_checkpoint_is_a_start_and_keeps_its_head_where_the_classes_are_as_many(tmp_path):
    torch.manual_seed(0)
    before = VGG16(7)
    checkpoint = make_checkpoint(before, list(CLASS_NAMES), SPEC, metrics={}, config={}, epoch=1, half=False)
    save_atomically(tmp_path / "a.pt", checkpoint)
    same = start_network(str(tmp_path / "a.pt"), num_classes=7, **START_OPTIONS)
    assert torch.equal(same.classifier[1].weight, before.classifier[1].weight)
    other = start_network(str(tmp_path / "a.pt"), num_classes=3, **START_OPTIONS)
    assert torch.equal(other.features[0].weight, before.features[0].weight)
    assert other.classifier[1].weight.shape == (3, 512)


@pytest.mark.parametrize("class_names, is_kept", [(CLASS_NAMES, True), (sorted(CLASS_NAMES), False)])
def test_a_head_is_taken_for_its_own_classes_in_their_own_order_alone(class_names, is_kept, tmp_path):
    torch.manual_seed(0)
    before = VGG16(7)
    checkpoint = make_checkpoint(before, list(CLASS_NAMES), SPEC, metrics={}, config={}, epoch=1, half=False)
    save_atomically(tmp_path / "a.pt", checkpoint)
    begun = start_network(str(tmp_path / "a.pt"), num_classes=7, class_names=class_names, **START_OPTIONS)
    assert torch.equal(begun.features[0].weight, before.features[0].weight)
    assert torch.equal(begun.classifier[1].weight, before.classifier[1].weight) is is_kept


@pytest.mark.parametrize("published", [torchvision.models.vgg16_bn, torchvision.models.vgg16])
def test_a_narrow_network_starts_with_the_strongest_channels_of_a_whole_one(published, tmp_path):
    torch.manual_seed(0)
    whole = published(num_classes=5).eval()
    first = whole.features[0]
    with torch.no_grad():
        first.weight[5], first.weight[40], first.bias[40] = 3.0, -4.0, 7.0
    torch.save(whole.state_dict(), tmp_path / "whole.pth")
    pictures = torch.randint(0, 256, (8, 40, 40), dtype=torch.uint8)
    options = {"head": "gap", "num_classes": 7, "pictures": pictures, "input_spec": SPEC}
    network = start_network(str(tmp_path / "whole.pth"), width=2 / 64, **options)
    assert torch.equal(network.features[0].weight, first.weight[[5, 40]]) and network.features[0].bias[1] == 7
    second = 3 if published is torchvision.models.vgg16_bn else 2
    kept = whole.features[second].weight[:, [5, 40]]
    assert torch.equal(network.features[3].weight, kept[kept.abs().sum((1, 2, 3)).topk(2).indices.sort().values])


def test_a_channel_that_died_is_not_taken_for_a_strong_one(tmp_path):
    torch.manual_seed(0)
    whole = torchvision.models.vgg16_bn(num_classes=5)
    with torch.no_grad():
        whole.features[0].weight[7], whole.features[1].running_var[7] = 0.0, 0.0
    torch.save(whole.state_dict(), tmp_path / "whole.pth")
    network = start_network(str(tmp_path / "whole.pth"), num_classes=7, width=32 / 64, **START_OPTIONS)
    assert network.features[0].weight.abs().sum((1, 2, 3)).min() > 0


def test_a_narrow_start_has_the_statistics_of_its_own_channels(tmp_path):
    torch.manual_seed(0)
    whole = VGG16(7)
    with torch.no_grad():
        whole.features(torch.randn(8, 3, 48, 48))
    save_atomically(tmp_path / "a.pt", make_checkpoint(whole, list(CLASS_NAMES), SPEC, metrics={}, config={}, epoch=1))
    pictures = torch.randint(0, 256, (16, 48, 48), dtype=torch.uint8)
    options = {**START_OPTIONS, "pictures": pictures, "input_spec": make_input_spec(48)}
    network = start_network(str(tmp_path / "a.pt"), num_classes=7, width=1 / 8, **options)
    batch = normalise(pictures, make_input_spec(48))
    norm = network.features[4]
    with torch.no_grad():
        seen = network.features.train()[:4](batch)
    torch.testing.assert_close(norm.running_mean, seen.mean((0, 2, 3)), atol=0.05, rtol=0.05)
    assert norm.momentum == 0.1 and network.training


@pytest.mark.parametrize("spoil", [
    {"features.0.weight": torch.randn(64, 1, 3, 3)}, {"features.1.bias": torch.zeros(5)},
    {"features.3.weight": torch.randn(64, 5, 3, 3)},
])  # fmt: skip
def test_start_weights_that_do_not_hang_together_are_refused(spoil, tmp_path):
    torch.save({**VGG16(7).state_dict(), **spoil}, tmp_path / "a.pt")
    with pytest.raises(StartWeightsError, match="convolutions"):
        start_network(str(tmp_path / "a.pt"), num_classes=7, width=1 / 8, **START_OPTIONS)


def test_a_start_that_is_narrower_than_the_network_is_refused(tmp_path):
    narrow = make_checkpoint(VGG16(7, width=1 / 16), list(CLASS_NAMES), SPEC, metrics={}, config={}, epoch=1)
    save_atomically(tmp_path / "a.pt", narrow)
    with pytest.raises(StartWeightsError, match="as wide as this one, or wider"):
        start_network(str(tmp_path / "a.pt"), num_classes=7, width=1 / 8, **START_OPTIONS)
    assert start_network(str(tmp_path / "a.pt"), num_classes=7, width=1 / 16, **START_OPTIONS).width == 1 / 16


def test_a_failed_download_names_the_other_choices_and_falls_back_on_nothing(monkeypatch):
    def no_network(*_, **__):
        raise URLError("no route")

    monkeypatch.setattr(torchvision.models.VGG16_BN_Weights, "get_state_dict", no_network)
    with pytest.raises(StartWeightsError, match="--init PATH.*--init scratch"):
        start_network("imagenet", num_classes=7, **START_OPTIONS)


@pytest.mark.parametrize("content, message", [(None, "there is no file"), ({"a": torch.zeros(2)}, "no VGG16"),
                                              ({"features.0.weight": torch.zeros(2)}, "VGG16"),
                                              ({"state_dict": 3}, "no VGG16"),
                                              ({"features.0.weight": "red"}, "no tensors")])  # fmt: skip
def test_start_weights_that_are_none_are_refused(tmp_path, content, message):
    if content is not None:
        torch.save(content, tmp_path / "a.pt")
    with pytest.raises(StartWeightsError, match=message):
        start_network(str(tmp_path / "a.pt"), num_classes=7, **START_OPTIONS)


def test_frozen_blocks_do_not_change_in_training(narrow):
    trainer = make_trainer(Recipe(**{**RECIPE.__dict__, "freeze_blocks": 2}))
    before = {key: value.clone() for key, value in trainer.network.state_dict().items()}
    trainer.train_one_epoch(small_split())
    after = trainer.network.state_dict()
    frozen = [key for key in before if key.startswith("features") and int(key.split(".")[1]) < 14]
    assert frozen and all(torch.equal(before[key], after[key]) for key in frozen)
    assert not torch.equal(before["features.14.weight"], after["features.14.weight"])
    freeze_blocks(trainer.network, 0)
