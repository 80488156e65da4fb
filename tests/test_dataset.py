"""A split read into memory, what cannot be read of it, and the batches of an epoch."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import train
from models.errors import DatasetError
from models.expressions import CLASS_NAMES
from models.training.dataset import count_batches, epoch_batches, find_copies, load_split, read_grey
from models.training.folder import find_classes
from tests.fer2013_samples import write_data_folder
from tests.own_classes import OWN, lay, people_folder, write_answering_glad
from tests.training_runs import only_run, quick


@pytest.fixture
def answering_glad(tmp_path) -> Path:
    return write_answering_glad(tmp_path / "glad.pt")


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


def test_pictures_of_other_formats_are_read_and_hidden_files_are_none(tmp_path):
    picture = np.full((30, 20), 77, np.uint8)
    for name, suffix in (("calm", ".tiff"), ("glad", ".pgm")):
        folder = tmp_path / "train" / name
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / f"1{suffix}"), picture)
        (folder / f"._1{suffix}").write_bytes(b"what macOS keeps beside a file")
    split = load_split(tmp_path, "train", 48, None, ["calm", "glad"])
    assert split.names == ["calm/1.tiff", "glad/1.pgm"] and (split.pictures == 77).all()


def test_a_whole_jpeg_with_bytes_behind_its_end_is_read(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    encoded = cv2.imencode(".jpg", picture)[1].tobytes()
    (tmp_path / "plain.jpg").write_bytes(encoded)
    (tmp_path / "phone.jpg").write_bytes(encoded + os.urandom(5000).replace(b"\xff", b"\0"))
    expected = read_grey(tmp_path / "plain.jpg", 48).astype(int)
    assert np.abs(read_grey(tmp_path / "phone.jpg", 48) - expected).max() <= 2


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_deep_pictures_are_not_read_as_black(bits, tmp_path):
    values = np.linspace(0, 2**bits - 1, 48 * 48).reshape(48, 48).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), values)
    expected = values * (255 / (2**bits - 1))
    assert np.abs(read_grey(tmp_path / "deep.png", 48) - expected).max() <= 1


@pytest.mark.parametrize("share", [0, 0.5, 0.9])
def test_a_picture_that_is_cut_short_is_named_and_not_trained_on(data_folder, tmp_path, share):
    data = shutil.copytree(data_folder, tmp_path / "data")
    victim = next((data / "val" / "2").iterdir())
    content = victim.read_bytes()
    victim.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DatasetError, match=victim.name):
        load_split(data, "val", 240, None, list(CLASS_NAMES))


def test_an_unreadable_picture_is_named(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "1.jpg").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="1.jpg is not a picture"):
        load_split(tmp_path, "train", 48, None, find_classes(tmp_path))


def test_all_that_cannot_be_read_is_named_at_once_and_left_out_on_request(answering_glad, tmp_path, capsys):
    data = tmp_path / "data"
    lay(data / "val", {"glad": 3, "calm": 2})
    broken = {"no-picture.png": b"text", "empty.jpg": b""}
    for name, content in broken.items():
        (data / "val" / "calm" / name).write_bytes(content)
    (data / "val" / "glad" / "folder.png").mkdir()
    os.symlink("nowhere.png", data / "val" / "glad" / "link.png")
    command = ["--evaluate", "--checkpoint", str(answering_glad), "--data", str(data), "--tta", "none"]
    assert train.main(command) == 2
    error = capsys.readouterr().err
    assert "4 of 9 pictures of val cannot be read" in error and "--skip-unreadable" in error and "Errno" not in error
    for reason in (
        "no-picture.png is not a picture",
        "empty.jpg is empty",
        "folder.png is a folder",
        "link.png does not",
    ):
        assert reason in error
    assert train.main([*command, "--skip-unreadable"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["n"] == 5 and output.err.count("left out: ") == 4


def test_training_leaves_out_what_cannot_be_read_and_writes_it_down(tmp_path, narrow):
    data = write_data_folder(tmp_path / "data", {"train": 8, "val": 2})
    for split in ("train", "val"):
        next((data / split / "0").iterdir()).write_bytes(b"")
    assert train.main(quick(data, tmp_path / "refused")) == 2
    assert train.main(quick(data, tmp_path / "runs", "--skip-unreadable", "--epochs", "2")) == 0
    log = (only_run(tmp_path / "runs") / "train.log").read_text()
    assert log.count("left out 1 pictures that cannot be read") == 2 and "55 train and 13 val pictures" in log


def test_a_class_of_which_nothing_can_be_read_is_not_trained_without(tmp_path, narrow, capsys):
    data = write_data_folder(tmp_path / "data", {"train": 4, "val": 2})
    for file in (data / "train" / "4").iterdir():
        file.write_bytes(b"")
    assert train.main(quick(data, tmp_path / "runs", "--skip-unreadable")) == 2
    assert "no training picture of Sad can be read" in capsys.readouterr().err


def test_folds_tell_each_picture_that_they_leave_out(tmp_path, narrow):
    data = people_folder(tmp_path / "data") / "train"
    for name in OWN[:2]:
        (data / name / "p3_1.png").write_bytes(b"")
    flags = quick(data, tmp_path / "runs", "--folds", "2", "--epochs", "1", "--skip-unreadable")
    assert train.main(flags) == 0
    logs = "".join(file.read_text() for file in only_run(tmp_path / "runs").glob("fold-*/train.log"))
    assert logs.count("p3_1.png is empty") == 2


def test_copies_of_training_pictures_are_known_by_their_bytes_whatever_their_label(data_folder, tmp_path):
    data = shutil.copytree(data_folder, tmp_path / "data")
    names = load_split(data, "val", 240, None, list(CLASS_NAMES)).names
    assert not find_copies(data, "val", names).any()
    shutil.copy(sorted((data / "train" / "6").iterdir())[0], data / "val" / names[3])
    assert find_copies(data, "val", names).nonzero()[0].tolist() == [3]


def test_copies_are_found_in_a_training_folder_of_another_name(tmp_path):
    lay(tmp_path / "Training", dict.fromkeys(OWN, 2))
    lay(tmp_path / "validation", {"glad": 3})
    names = load_split(tmp_path, "val", 48, None, OWN).names
    assert find_copies(tmp_path, "val", names).tolist() == [True, True, False]


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
