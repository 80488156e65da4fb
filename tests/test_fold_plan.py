"""Cross-validation: who is in which fold, and what cannot be divided into folds."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import train
from models.errors import DatasetError
from models.training.folds import assign_folds, find_groups, plan_folds
from tests.fold_runs import CLASSES, PICTURES, flags, write_people_folder


@pytest.fixture(scope="module")
def people_folder(tmp_path_factory) -> Path:
    return write_people_folder(tmp_path_factory.mktemp("people"))


@pytest.mark.parametrize("count", [2, 3, 5, 6])
def test_each_picture_is_tested_once_and_nobody_is_trained_on_and_tested(people_folder, count):
    plan = plan_folds(people_folder, count, None, seed=0)
    assert len(plan.listing.files) == PICTURES and set(plan.folds) == set(range(1, count + 1))
    tested: list[str] = []
    for number in range(1, count + 1):
        trained_on, tests = plan.load(number, test_side=34)
        assert trained_on.pictures.shape[1:] == (240, 240) and tests.pictures.shape[1:] == (34, 34)
        people = [{name.split("/")[1].split("_")[0] for name in split.names} for split in (trained_on, tests)]
        assert people[0].isdisjoint(people[1]) and people[1] == plan.groups_in(number)
        assert set(trained_on.targets.tolist()) == {0, 1, 2}
        assert len(trained_on) + len(tests) == PICTURES
        tested += tests.names
    assert sorted(tested) == sorted(f"{file.parent.name}/{file.name}" for file in plan.listing.files)
    assert len(set(tested)) == PICTURES


def many_people(seed: int) -> tuple[list[str], np.ndarray]:
    """118 people as unequal as CK+'s: most in a few of seven classes, one class rare, three frames of each."""
    random = np.random.default_rng(seed)
    groups, targets = [], []
    for person in range(118):
        for label in random.choice(7, random.integers(1, 6), replace=False, p=[0.2, 0.02, 0.2, 0.2, 0.1, 0.2, 0.08]):
            groups += [f"S{person:03}"] * 3
            targets += [int(label)] * 3
    return groups, np.array(targets)


@pytest.mark.parametrize("seed", range(5))
def test_folds_are_even_by_class_and_by_size(seed):
    groups, targets = many_people(seed)
    folds = assign_folds(groups, targets, 10, seed)
    sizes = np.bincount(folds)[1:]
    assert sizes.max() - sizes.min() <= 0.2 * sizes.mean()
    for label in range(7):
        per_fold = np.bincount(folds[targets == label], minlength=11)[1:]
        assert per_fold.max() - per_fold.min() <= 6  # two people's three frames
    assert all(len({fold for name, fold in zip(groups, folds) if name == group}) == 1 for group in set(groups))


def test_a_seed_repeats_the_folds_and_another_divides_otherwise():
    groups, targets = many_people(0)
    folds = [assign_folds(groups, targets, 10, seed) for seed in (3, 3, 4)]
    assert np.array_equal(folds[0], folds[1]) and not np.array_equal(folds[0], folds[2])


def test_who_is_in_a_picture_is_told_by_the_pattern():
    assert find_groups(["S005_001_00000011.png", "S130_2.jpg"]) == ["S005", "S130"]
    assert find_groups(["a-17.x.png", "b-17.png"], r"\w-(\d+)") == ["17", "17"]
    with pytest.raises(DatasetError, match="_S1.png does not say who"):
        find_groups(["_S1.png"], "(.*?)_")  # matched, but nobody


def test_the_camera_of_rafd_is_not_taken_for_the_person(tmp_path):
    for camera in ("000", "045", "090", "135", "180"):
        for model in range(12):
            for word in CLASSES:
                path = tmp_path / word / f"Rafd{camera}_{model:02d}_Caucasian_female_{word}_frontal.jpg"
                path.parent.mkdir(exist_ok=True)
                path.touch()
    plan = plan_folds(tmp_path, 4, None, seed=0)
    assert len(plan.groups) == 180 and len(set(plan.groups)) == 12
    assert sum(len(plan.groups_in(number)) for number in range(1, 5)) == 12  # nobody is in two


@pytest.mark.parametrize("more, message", [
    (["--folds", "7"], "7 folds need 7 people or more, and the file names tell of 6"),
    (["--group-pattern", "(["], "is no regular expression"),
    (["--group-pattern", "S"], "has no group"),
    (["--group-pattern", "(T)"], "does not say who is in the picture"),
    (["--data", "nowhere"], "there is no folder nowhere"),
    (["--data", "tests"], "class folders: at least two"),
])  # fmt: skip
def test_what_cannot_be_divided_is_one_sentence(more, message, people_folder, tmp_path, capsys):
    assert train.main(flags(people_folder, tmp_path / "runs", *more)) == 2
    said = capsys.readouterr().err.strip()
    assert message in said and len(said.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_is_divided_already_is_refused(data_folder, tmp_path, capsys):
    assert train.main(flags(data_folder, tmp_path)) == 2
    assert f"--data {data_folder / 'train'}" in capsys.readouterr().err
    assert train.main(flags(data_folder / "train", tmp_path)) == 2  # FER2013's names tell of nobody
    assert "'(.+)' takes each picture for another person's" in capsys.readouterr().err


def test_a_class_of_a_single_person_is_refused(people_folder, tmp_path, capsys):
    data = shutil.copytree(people_folder, tmp_path / "data")
    for file in (data / "glad").iterdir():
        if not file.name.startswith("S002_"):
            file.unlink()
    assert train.main(flags(data, tmp_path / "runs")) == 2
    assert "all pictures of glad are in one fold" in capsys.readouterr().err
