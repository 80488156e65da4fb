"""The data folder on disk: classes by their names, splits by any of theirs, what cannot be read, a share for val."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import train
from models.checkpoint import make_checkpoint, save_atomically
from models.errors import DatasetError
from models.expressions import CLASS_NAMES
from models.training.dataset import epoch_batches, find_copies, load_split, read_grey
from models.training.folder import ValShare, find_classes, list_split
from models.training.loop import class_rarity
from models.vgg16 import VGG16
from models.views import make_input_spec
from tests.fer2013_samples import write_data_folder
from tests.test_train import only_run, quick

OWN = ["calm", "cross", "glad"]


def lay(folder: Path, counts: dict[str, int], grey: int = 100) -> None:
    """Pictures `folder/<class>/<number>.png`."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("L", (48, 48), grey + number).save(folder / name / f"{number}.png")


def classes_of(data: Path, split: str, names: list[str]) -> dict[str, str]:
    """Which class each folder of a split counts as."""
    listing = list_split(data, split, names)
    return {file.parent.name: names[target] for file, target in zip(listing.files, listing.targets)}


@pytest.fixture
def answering_glad(tmp_path) -> Path:
    """A checkpoint of OWN classes whose network answers glad whatever it sees."""
    torch.manual_seed(0)
    network = VGG16(num_classes=3)
    last = [module for module in network.classifier.modules() if isinstance(module, torch.nn.Linear)][-1]
    torch.nn.init.zeros_(last.weight)
    with torch.no_grad():
        last.bias.copy_(torch.tensor([0.0, 1.0, 5.0]))
    path = tmp_path / "glad.pt"
    save_atomically(path, make_checkpoint(network, OWN, make_input_spec(48), metrics={}, config={}, epoch=0))
    return path


def evaluate(checkpoint: Path, data: Path, capsys, *more: str) -> dict:
    assert train.main(["--evaluate", "--checkpoint", str(checkpoint), "--data", str(data), "--tta", "none", *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_evaluate_matches_numbered_folders_with_the_checkpoint_by_classes_txt(answering_glad, tmp_path, capsys):
    data = tmp_path / "data"
    lay(data / "val", {"0": 3, "1": 1, "2": 1})  # in another order than the checkpoint's
    (data / "classes.txt").write_text("glad\ncalm\ncross\n")
    report = evaluate(answering_glad, data, capsys)
    assert report["accuracy"] == pytest.approx(0.6)
    assert {name: row["support"] for name, row in report["per_class"].items()} == {"calm": 1, "cross": 1, "glad": 3}


def test_numbered_folders_without_names_are_fer2013s_and_refused_for_other_classes(answering_glad, tmp_path, capsys):
    lay(tmp_path / "data" / "val", {"0": 1, "1": 1, "2": 1})
    assert train.main(["--evaluate", "--checkpoint", str(answering_glad), "--data", str(tmp_path / "data")]) == 2
    error = capsys.readouterr().err
    assert "none of the classes calm, cross, glad" in error and "classes.txt may say otherwise" in error
    assert classes_of(tmp_path / "data", "val", list(CLASS_NAMES)) == {"0": "Angry", "1": "Disgusted", "2": "Fearful"}


def test_folders_are_matched_whatever_their_case_or_the_word_another_set_has(tmp_path):
    lay(tmp_path / "val", {"happiness": 1, "ANGRY": 1, "Sad": 1})
    assert classes_of(tmp_path, "val", list(CLASS_NAMES)) == {"happiness": "Happy", "ANGRY": "Angry", "Sad": "Sad"}
    assert classes_of(tmp_path, "val", ["sad", "angry", "happy"]) == {
        "happiness": "happy", "ANGRY": "angry", "Sad": "sad",
    }  # fmt: skip


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_class_that_only_another_split_has_is_refused_before_a_run_begins(split, tmp_path, capsys):
    data = tmp_path / "data"
    for part in ("train", "val", "test"):
        lay(data / part, dict.fromkeys(OWN, 3))
    lay(data / split, {"contempt": 3})
    assert train.main(quick(data, tmp_path / "runs")) == 2
    assert f"{data / split / 'contempt'} is none of the classes" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_two_folders_that_are_one_class_are_refused(tmp_path):
    lay(tmp_path / "train", {"Happy": 1, "happy": 1, "sad": 1})
    with pytest.raises(DatasetError, match="Happy and happy"):
        find_classes(tmp_path)
    lay(tmp_path / "val", {"Happy": 1, "happiness": 1})
    with pytest.raises(DatasetError, match="are both Happy"):
        list_split(tmp_path, "val", list(CLASS_NAMES))


def test_a_rare_class_may_be_absent_from_a_split_that_is_evaluated_but_not_from_train(answering_glad, tmp_path, capsys):
    lay(tmp_path / "data" / "val", {"glad": 3, "calm": 1})
    report = evaluate(answering_glad, tmp_path / "data", capsys)
    assert (report["n"], report["accuracy"], report["balanced_accuracy"]) == (4, 0.75, 0.5)
    with pytest.raises(DatasetError, match="no picture of cross"):
        lay(tmp_path / "data" / "train", {"glad": 3, "calm": 1, "cross": 0})
        list_split(tmp_path / "data", "train", OWN)


@pytest.mark.parametrize("name", ["validation", "valid", "Val", "VALIDATION"])
def test_val_goes_by_any_of_its_names(name, answering_glad, tmp_path, capsys):
    lay(tmp_path / name, {"glad": 2})
    assert evaluate(answering_glad, tmp_path, capsys)["n"] == 2


def test_two_folders_for_one_split_are_refused(tmp_path):
    lay(tmp_path / "val", {"glad": 2})
    lay(tmp_path / "validation", {"glad": 2})
    with pytest.raises(DatasetError, match="val and validation"):
        list_split(tmp_path, "val", OWN)


# ---------------------------------------------------------------------------------------- what cannot be read


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


# ------------------------------------------------------------------------------------------- a share of train


def people_folder(folder: Path, people: int = 10) -> Path:
    for name in OWN:
        (folder / "train" / name).mkdir(parents=True)
        for person in range(people):
            for number in range(3):
                path = folder / "train" / name / f"p{person}_{number}.png"
                Image.new("L", (48, 48), 20 * person + number).save(path)
    return folder


def test_without_val_a_share_of_the_people_stands_for_it_on_request(answering_glad, tmp_path, capsys):
    data = people_folder(tmp_path / "data")
    assert train.main(["--evaluate", "--checkpoint", str(answering_glad), "--data", str(data)]) == 2
    assert "--val-share 0.1" in capsys.readouterr().err
    shares = ValShare(0.2)
    parts = {split: list_split(data, split, OWN, shares) for split in ("train", "val")}
    people = {split: {file.name.split("_")[0] for file in part.files} for split, part in parts.items()}
    assert len(people["val"]) == 2 and len(people["train"]) == 8 and not people["val"] & people["train"]
    assert parts["val"].files == list_split(data, "val", OWN, shares).files  # always the same
    report = evaluate(answering_glad, data, capsys, "--val-share", "0.2")
    assert (report["n"], report["accuracy"]) == (18, pytest.approx(1 / 3)) and "without_copies" not in report


def test_training_takes_the_share_and_names_that_nobody_is_told(tmp_path, narrow):
    data = write_data_folder(tmp_path / "data", {"train": 10})
    assert train.main(quick(data, tmp_path / "runs", "--val-share", "0.2", "--epochs", "2")) == 0
    log = (only_run(tmp_path / "runs") / "train.log").read_text()
    assert "70 of 70 file names do not tell who is in them" in log and "56 train and 14 val pictures" in log


def test_a_val_that_is_there_is_taken_whatever_share_is_asked_for(tmp_path):
    data = people_folder(tmp_path / "data")
    lay(data / "val", {"glad": 2})
    assert len(list_split(data, "val", OWN, ValShare(0.2)).files) == 2
    assert len(list_split(data, "train", OWN, ValShare(0.2)).files) == 90


def test_copies_are_found_in_a_training_folder_of_another_name(tmp_path):
    lay(tmp_path / "Training", dict.fromkeys(OWN, 2))
    lay(tmp_path / "validation", {"glad": 3})
    names = load_split(tmp_path, "val", 48, None, OWN).names
    assert find_copies(tmp_path, "val", names).tolist() == [True, True, False]


# ------------------------------------------------------------------------------------------------ rare classes


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


# -------------------------------------------------------------------------------- shares that would not be honest


def test_words_that_are_classes_are_not_taken_for_people(tmp_path):
    for name in OWN:
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(6):
            (tmp_path / "train" / name / f"{name}_{number}.png").touch()
    with pytest.raises(DatasetError, match="tell the classes"):
        list_split(tmp_path, "val", OWN, ValShare(0.2))


def test_a_single_name_that_tells_nobody_does_not_part_those_that_do(tmp_path):
    data = people_folder(tmp_path)
    (data / "train" / "glad" / "1.png").touch()
    parts = {split: list_split(data, split, OWN, ValShare(0.2)) for split in ("train", "val")}
    people = [{file.name.split("_")[0] for file in part.files if "_" in file.name} for part in parts.values()]
    assert not people[0] & people[1]
    assert "1 of 91 file names do not tell" in parts["val"].remark


def test_a_resumed_run_keeps_to_its_share(tmp_path, narrow, capsys):
    data = people_folder(tmp_path / "data")
    runs = tmp_path / "runs"
    assert train.main(quick(data, runs, "--val-share", "0.2", "--epochs", "2")) == 0
    for name in OWN:
        for number in range(9):
            Image.new("L", (48, 48), number).save(data / "train" / name / f"new_{number}.png")
    assert train.main(["--resume", "--output", str(runs)]) == 2
    assert "no longer holds the pictures" in capsys.readouterr().err


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
