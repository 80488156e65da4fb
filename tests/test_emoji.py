from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from models.emoji import little_face
from models.expressions import CLASS_COLOURS, CLASS_NAMES, UNCERTAIN

SIDES = (12, 24, 32, 64, 200)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", CLASS_NAMES)
def test_a_face_is_a_round_one_of_its_classs_colour(name, side):
    pixels = np.asarray(little_face(name, side))
    assert pixels.shape == (side, side, 4)
    assert pixels[0, 0, 3] == pixels[-1, -1, 3] == 0 and pixels[side // 2, side // 2, 3] == 255
    of_colour = (pixels[..., :3] == CLASS_COLOURS[name]).all(2) & (pixels[..., 3] == 255)
    assert of_colour.mean() > (0.2 if side >= 24 else 0.1)


@pytest.mark.parametrize("side", [24, 32])
def test_any_two_faces_differ_in_their_lines_and_not_in_colour_alone(side):
    grey = {name: np.asarray(little_face(name, side).convert("L"), float) for name in CLASS_NAMES}
    rim = np.hypot(*(np.indices((side, side)) + 0.5 - side / 2)) > 0.44 * side
    lines = {name: (pixels < 0.75 * np.median(pixels)) & ~rim for name, pixels in grey.items()}
    for one, other in combinations(CLASS_NAMES, 2):
        differing = (lines[one] != lines[other]).sum() / (lines[one] | lines[other]).sum()
        assert differing > 0.5, (one, other)


def test_edges_are_smooth():
    alpha = np.asarray(little_face("Happy", 24))[..., 3]
    assert ((alpha > 20) & (alpha < 235)).sum() > 20


def test_uncertain_answers_and_classes_of_ones_own_have_no_face():
    assert little_face(UNCERTAIN, 24) is None and little_face("calm", 24) is None


def test_a_face_is_drawn_once():
    assert little_face("Sad", 31) is little_face("Sad", 31)
    assert isinstance(little_face("Sad", 31), Image.Image)
