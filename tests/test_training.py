"""The rooms of models/training; the script is tested in test_train.py."""

import shutil
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import cv2
import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from models.checkpoint import make_checkpoint, save_atomically
from models.errors import DatasetError, UserError
from models.expressions import CLASS_NAMES
from models.training.augmentation import Augmentation, mixup
from models.training.dataset import Split, count_batches, epoch_batches, find_copies, load_split
from models.training.folder import find_classes
from models.training.loop import Recipe, Trainer, TrainingDiverged
from models.training.metrics import (
    classification_report,
    cross_fitted_calibration_error,
    expected_calibration_error,
    fit_temperature,
)
from models.training.start import StartWeightsError, freeze_blocks, insert_batch_norm, start_network
from models.training.teachers import SOFTENING, ask_teachers
from models.training.votes import VOTE_COLUMNS, load_votes
from models.training.workers import Workers
from models.vgg16 import VGG16
from models.views import make_input_spec, normalise

SPEC = make_input_spec(32)
START_OPTIONS = {"head": "gap", "pictures": torch.zeros(8, 40, 40, dtype=torch.uint8), "input_spec": SPEC}
RECIPE = Recipe(
    epochs=2, batch_size=8, lr=0.01, warmup_epochs=0.5, momentum=0.9, weight_decay=5e-4, label_smoothing=0.1,
    mixup=0.0, votes_weight=0.5, teachers_weight=0.5, ema_decay=0.9, freeze_blocks=0, seed=0, precision="fp32",
)  # fmt: skip


def small_split(count: int = 24) -> Split:
    torch.manual_seed(0)
    pictures = torch.randint(0, 256, (count, 40, 40), dtype=torch.uint8)
    return Split(pictures, torch.arange(count) % 7, [f"0/{i:05d}.jpg" for i in range(count)])


def make_trainer(recipe: Recipe = RECIPE, **options) -> Trainer:
    torch.manual_seed(0)
    return Trainer(VGG16(), list(CLASS_NAMES), SPEC, Augmentation(32), recipe, **options)


# ------------------------------------------------------------------------------------------------------- dataset


@pytest.mark.parametrize("share", [0, 0.5, 0.9])
def test_a_picture_that_is_cut_short_is_named_and_not_trained_on(data_folder, tmp_path, share):
    data = shutil.copytree(data_folder, tmp_path / "data")
    victim = next((data / "val" / "2").iterdir())
    content = victim.read_bytes()
    victim.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DatasetError, match=victim.name):
        load_split(data, "val", 240, None, list(CLASS_NAMES))


def test_copies_of_training_pictures_are_known_by_their_bytes_whatever_their_label(data_folder, tmp_path):
    data = shutil.copytree(data_folder, tmp_path / "data")
    names = load_split(data, "val", 240, None, list(CLASS_NAMES)).names
    assert not find_copies(data, "val", names).any()
    shutil.copy(sorted((data / "train" / "6").iterdir())[0], data / "val" / names[3])
    assert find_copies(data, "val", names).nonzero()[0].tolist() == [3]


def test_a_split_is_read_once_as_uint8_with_the_folders_as_labels(data_folder):
    split = load_split(data_folder, "train", 240, None, list(CLASS_NAMES))
    assert split.pictures.shape == (56, 240, 240) and split.pictures.dtype == torch.uint8
    assert split.targets.bincount().tolist() == [8] * 7
    number = split.names.index(next(name for name in split.names if name.startswith("3/")))
    on_disk = cv2.imread(str(data_folder / "train" / split.names[number]), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(split.pictures[number].numpy(), on_disk)


def test_limit_takes_pictures_of_every_class(data_folder):
    split = load_split(data_folder, "train", 48, 14, list(CLASS_NAMES))
    assert len(split) == 14 and split.targets.unique().tolist() == list(range(7))


def test_a_missing_folder_says_how_to_make_it(tmp_path):
    with pytest.raises(DatasetError, match="python preprocess.py fer2013.csv --output"):
        find_classes(tmp_path)


def test_an_unreadable_picture_is_named(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "1.jpg").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="1.jpg is not a picture"):
        load_split(tmp_path, "train", 48, None, find_classes(tmp_path))


def test_classes_come_from_folder_names_or_a_list(tmp_path):
    for name in ("calm", "cross", "glad"):
        (tmp_path / "named" / "train" / name).mkdir(parents=True)
    assert find_classes(tmp_path / "named") == ["calm", "cross", "glad"]
    for number in range(3):
        (tmp_path / "numbered" / "train" / str(number)).mkdir(parents=True)
    with pytest.raises(DatasetError, match="0 to 6"):
        find_classes(tmp_path / "numbered")
    for encoding in ("utf-8", "utf-8-sig"):  # some editors begin a file with a mark
        (tmp_path / "numbered" / "classes.txt").write_text("calm\ncross\nglad\n", encoding=encoding)
        assert find_classes(tmp_path / "numbered") == ["calm", "cross", "glad"]


def test_pictures_of_other_formats_are_read_and_hidden_files_are_none(tmp_path):
    picture = np.full((30, 20), 77, np.uint8)
    for name, suffix in (("calm", ".tiff"), ("glad", ".pgm")):
        folder = tmp_path / "train" / name
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / f"1{suffix}"), picture)
        (folder / f"._1{suffix}").write_bytes(b"what macOS keeps beside a file")
    split = load_split(tmp_path, "train", 48, None, ["calm", "glad"])
    assert split.names == ["calm/1.tiff", "glad/1.pgm"] and (split.pictures == 77).all()


@pytest.mark.parametrize("count, world", [(23, 1), (24, 2), (27, 2), (31, 3)])
def test_processes_together_see_each_picture_once_an_epoch(count, world):
    shares = [list(epoch_batches(count, 4, epoch=5, seed=1, rank=rank, world=world)) for rank in range(world)]
    seen = torch.cat([batch for share in shares for batch, _ in share]).tolist()
    assert len(seen) == len(set(seen)) > count - 2 * world
    assert {len(share) for share in shares} == {count_batches(count, 4, world)}
    for batches in zip(*shares):  # each process knows the size of the whole batch
        assert {size for _, size in batches} == {sum(len(batch) for batch, _ in batches)}


@pytest.mark.parametrize("count, batch_size, world", [(9, 1, 1), (9, 1, 2), (1, 4, 1), (9, 4, 1), (9, 2, 4)])
def test_as_many_batches_are_counted_as_come(count, batch_size, world):
    assert len(list(epoch_batches(count, batch_size, 0, 0, 0, world))) == count_batches(count, batch_size, world)


def test_each_epoch_has_an_order_of_its_own_and_a_seed_repeats_it():
    orders = [
        torch.cat([batch for batch, _ in epoch_batches(50, 8, epoch, seed)]).tolist()
        for epoch, seed in ((0, 0), (0, 0), (1, 0), (0, 1))
    ]
    assert orders[0] == orders[1] and orders[0] != orders[2] and orders[0] != orders[3]


# -------------------------------------------------------------------------------------------------- augmentation


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


# ------------------------------------------------------------------------------------------------- start weights


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


# ---------------------------------------------------------------------------------------------------------- loop


def test_learning_rate_warms_up_and_falls_to_zero():
    trainer = make_trainer(Recipe(**{**RECIPE.__dict__, "epochs": 10, "warmup_epochs": 1.0}))
    rates = [trainer.learning_rate(step, steps_per_epoch=10) for step in range(101)]
    assert rates[0] < rates[5] < max(rates) == pytest.approx(0.01, rel=0.02)
    assert rates[55] == pytest.approx(0.005, rel=0.05) and rates[100] == pytest.approx(0, abs=1e-9)
    assert all(later <= earlier for earlier, later in zip(rates[11:], rates[12:]))


def test_a_run_stopped_in_the_middle_of_an_epoch_goes_on_bit_for_bit(narrow):
    split = small_split()
    unbroken = make_trainer()
    for _ in range(2):
        unbroken.train_one_epoch(split)
        unbroken.progress.start_next_epoch()

    stopped = make_trainer()
    assert stopped.train_one_epoch(split, lambda progress, _: progress.batch == 2) is False
    state = stopped.state_dict()
    resumed = make_trainer()
    resumed.load_state_dict({**state, "learner": {key: value.clone() for key, value in state["learner"].items()}})
    torch.manual_seed(999)  # whatever was drawn in between
    assert resumed.train_one_epoch(split) is True
    resumed.progress.start_next_epoch()
    resumed.train_one_epoch(split)
    for name in ("learner", "average"):
        for key, value in unbroken.state_dict()[name].items():
            assert torch.equal(value, resumed.state_dict()[name][key]), key


def test_measuring_the_speed_leaves_the_training_as_it_was(narrow):
    split = small_split()
    plain, measured = make_trainer(), make_trainer()
    assert 1 < measured.measure_speed(split, seconds=0.2) < 1e6
    assert measured.progress == plain.progress
    for trainer in (plain, measured):
        trainer.train_one_epoch(split)
    for key, value in plain.state_dict()["learner"].items():
        assert torch.equal(value, measured.state_dict()["learner"][key]), key


def test_speed_is_measured_over_as_many_short_epochs_as_it_takes(narrow):
    assert make_trainer().measure_speed(small_split(8), seconds=0.2) > 1


def test_only_full_batches_are_compiled_for(narrow, monkeypatch):
    sizes = []

    def compile_(network, **options):
        assert options == {"mode": "default", "dynamic": False}
        return lambda pictures: sizes.append(len(pictures)) or network(pictures)

    monkeypatch.setattr(torch, "compile", compile_)
    make_trainer(compile_mode="default").train_one_epoch(small_split(20))
    assert sizes == [8, 8]


def test_the_average_follows_the_weights_slowly(narrow):
    trainer = make_trainer()
    start = trainer.network.classifier[1].weight.clone()
    trainer.train_one_epoch(small_split())
    moved = (trainer.network.classifier[1].weight - start).norm()
    lag = (trainer.network.classifier[1].weight - trainer.average.classifier[1].weight).norm()
    assert 0 < lag < moved


def test_processes_evaluate_with_the_same_statistics(narrow, monkeypatch):
    def sum_with_a_process_of_zeros(tensor):
        summed.append(tensor)

    summed: list[torch.Tensor] = []
    monkeypatch.setattr("torch.distributed.all_reduce", sum_with_a_process_of_zeros)
    trainer = make_trainer(workers=Workers())
    trainer.workers = Workers(rank=0, world=2)
    monkeypatch.setattr(Workers, "gather", lambda self, share: [share, share])
    norm = next(layer for layer in trainer.average.modules() if isinstance(layer, nn.BatchNorm2d))
    before = norm.running_var.clone()
    trainer.evaluate(small_split())
    assert torch.equal(norm.running_var, before / 2) and len(summed) == 2 * 13


def test_progress_tells_the_loss_of_the_pictures_that_it_counted(narrow):
    means = []
    trainer = make_trainer(Recipe(**{**RECIPE.__dict__, "batch_size": 2, "lr": 1e-6}))
    trainer.check_every = 20  # as on a GPU

    def note(progress, _):
        if progress.counted:
            means.append(progress.loss_sum / progress.counted)
        return False

    trainer.train_one_epoch(small_split(60), note)
    assert trainer.progress.counted == trainer.progress.seen == 60
    assert len(means) == 11 and max(means) - min(means) < 0.2 * means[-1]  # 30 batches, looked at after 20


def test_a_loss_that_is_no_number_stops_the_training(narrow):
    trainer = make_trainer()
    with torch.no_grad():
        trainer.network.classifier[1].weight.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match="epoch 1"):
        trainer.train_one_epoch(small_split())


def test_votes_train_the_trunk_beside_the_labels(narrow):
    split = small_split()
    split.votes = torch.full((24, 10), 0.1)
    trainer = make_trainer(with_votes=True)
    before = trainer.learner.vote_head.bias.clone()
    trainer.train_one_epoch(split)
    assert not torch.equal(before, trainer.learner.vote_head.bias)
    assert not any("vote" in key for key in trainer.average.state_dict())


def test_votes_are_found_by_the_row_in_the_file_name(tmp_path):
    header = ",".join(("Usage", "Image name", *VOTE_COLUMNS))
    lines = [f"Training,x,{row},0,0,0,0,0,0,0,0,10" for row in range(5)]
    (tmp_path / "votes.csv").write_text("\n".join([header, *lines]))
    votes = load_votes(tmp_path / "votes.csv", ["6/00004.jpg", "0/00000.jpg"])
    assert votes[:, 0].tolist() == pytest.approx([4 / 14, 0.0])
    with pytest.raises(DatasetError, match="ten columns"):
        load_votes(tmp_path / "votes.csv", ["0/00009.jpg"])
    with pytest.raises(DatasetError, match="there is no file"):
        load_votes(tmp_path / "absent.csv", [])


# ------------------------------------------------------------------------------------------------------- metrics


def write_teacher(path: Path, size: int, favourite: int, class_names=CLASS_NAMES) -> Path:
    """A network that answers with one class whatever it sees, sure of it by 4 in the logits."""
    network = VGG16(len(class_names))
    nn.init.zeros_(network.classifier[-1].weight)
    network.classifier[-1].bias.data = 4 * torch.eye(len(class_names))[favourite]
    spec = make_input_spec(size)
    save_atomically(path, make_checkpoint(network, class_names, spec, metrics={}, config={}, epoch=0))
    return path


def test_teachers_of_any_input_size_answer_together(narrow, tmp_path):
    paths = [write_teacher(tmp_path / f"{size}.pt", size, size // 16) for size in (32, 48)]
    answers = ask_teachers(paths, small_split(), list(CLASS_NAMES), torch.device("cpu"))
    softened = torch.softmax(torch.tensor([4.0, 0, 0, 0, 0, 0, 0]) / SOFTENING, 0)
    expected = torch.full((24, 7), softened[1].item())
    expected[:, [2, 3]] = softened[:2].mean()
    assert torch.allclose(answers, expected, atol=1e-3)


def test_a_teacher_of_other_classes_is_refused(narrow, tmp_path):
    path = write_teacher(tmp_path / "other.pt", 32, 0, ["calm", "cross", "glad"])
    with pytest.raises(UserError, match=r"other.pt: it knows calm, cross, glad, the data Angry"):
        ask_teachers([path], small_split(), list(CLASS_NAMES), torch.device("cpu"))


def test_what_teachers_answer_draws_the_network_away_from_the_labels(narrow):
    split = small_split()
    split.targets[:] = 0
    shares = []
    for answers in (None, torch.eye(7)[[3]].expand(24, -1)):
        split.answers = answers
        trainer = make_trainer(replace(RECIPE, lr=0.05, epochs=8, teachers_weight=0.9))
        for _ in range(8):
            trainer.train_one_epoch(split)
            trainer.progress.start_next_epoch()
        shares.append(trainer.evaluate(split)[0].softmax(1).mean(0))
    assert shares[0].argmax() == 0 and shares[1].argmax() == 3


def test_report_is_what_a_hand_computes():
    probabilities = np.array([[0.8, 0.2, 0.0], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.6, 0.3]])
    report = classification_report(probabilities, np.array([0, 1, 1, 2]), ["a", "b", "c"])
    assert report["accuracy"] == 0.5 and report["n"] == 4
    assert report["balanced_accuracy"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert report["per_class"]["a"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1}
    assert report["per_class"]["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert report["macro_f1"] == pytest.approx((2 / 3 + 0.5 + 0) / 3)
    assert report["confusion_matrix"] == [[1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert report["expected_calibration_error"] == pytest.approx((0.2 + 0.3 + 0.6 + 0.6) / 4)


def test_calibration_error_is_zero_where_confidence_is_the_share_that_is_right():
    probabilities = np.tile([[0.75, 0.25]], (4, 1))
    assert expected_calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0)
    assert expected_calibration_error(probabilities, np.array([1, 1, 1, 1])) == pytest.approx(0.75)


def test_temperature_is_found_on_overconfident_logits():
    torch.manual_seed(0)
    honest = torch.randn(4000, 5)
    targets = torch.distributions.Categorical(logits=honest).sample()
    assert fit_temperature((honest * 2.5)[None], targets) == pytest.approx(2.5, rel=0.1)


def test_a_calibration_error_is_cross_fitted_on_pictures_that_the_temperature_never_saw():
    torch.manual_seed(0)
    targets = torch.arange(7).repeat_interleave(40)
    logits = torch.randn(1, 280, 7)
    logits[0, torch.arange(280), targets] += 1
    blind = [fit_temperature(8 * logits[:, torch.arange(280) % 5 != fold], targets[torch.arange(280) % 5 != fold])
             for fold in range(5)]  # fmt: skip
    expected = torch.stack([(8 * logits[0, i] / blind[i % 5]).softmax(-1) for i in range(280)])
    error = cross_fitted_calibration_error(8 * logits, targets)
    assert error == pytest.approx(expected_calibration_error(expected.numpy(), targets.numpy()), abs=1e-5)
    assert error < expected_calibration_error((8 * logits[0]).softmax(-1).numpy(), targets.numpy()) / 2
