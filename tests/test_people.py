"""Who is in a picture, by its file's name, and how people are kept apart."""

import numpy as np
import pytest

from models.datasets.people import choose_val, describe_groups, doubt_groups, find_groups

PEOPLE = {
    "S005_001_00000011.png": "S005",
    "KA.AN1.39.tiff": "KA",
    "AF01ANS.JPG": "F01",
    "Rafd090_01_Caucasian_female_angry_frontal.jpg": "Rafd01",
    "ann_00012.jpg": "ann",
}


@pytest.mark.parametrize("name", PEOPLE)
def test_names_of_known_sets_tell_the_person(name):
    assert find_groups([name]) == [PEOPLE[name]]


def test_people_are_counted_and_groups_that_can_hardly_be_people_doubted():
    people = [f"Rafd{number:02d}" for number in range(12) for _ in range(15)]
    assert describe_groups(people) == "180 pictures of 12 people: Rafd00, Rafd01, Rafd02, Rafd03, Rafd04, …"
    assert doubt_groups(people) is None
    assert "5 people with 36 pictures each" in doubt_groups([str(number % 5) for number in range(180)])
    assert "another person's" in doubt_groups([str(number) for number in range(180)])


@pytest.mark.parametrize("share", [0.1, 0.15, 0.4, 0.45])
def test_the_share_is_what_was_asked_for(share):
    groups = [str(number) for number in range(600)]
    chosen = choose_val(groups, np.arange(600) % 7, share)
    assert chosen.mean() == pytest.approx(share, abs=0.02)


def test_a_class_of_one_person_stays_in_train():
    groups = ["a", "a", "b", "c", "d", "d"]
    chosen = choose_val(groups, np.array([0, 1, 0, 0, 0, 2]), 0.25)
    assert chosen.any() and not chosen[[0, 1, 4, 5]].any()
