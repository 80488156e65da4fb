from itertools import combinations

import numpy as np
import pytest

from models.classifier import Face
from models.drawing import (
    HEAT_SIDE,
    MARGIN,
    PANEL_WIDTH,
    PICTURE_AREA,
    annotate,
    heat_picture,
    result_picture,
)
from models.emoji import little_face
from models.explanation import Explanation
from models.expressions import CLASS_COLOURS, CLASS_NAMES, UNCERTAIN, class_colour, ink_on
from models.labels import covered_area, font, lay_out


def make_face(box=(40, 40, 100, 100), label="Happy", confidence=0.9) -> Face:
    probabilities = np.full(7, (1 - confidence) / 6, np.float32)
    probabilities[CLASS_NAMES.index(label)] = confidence
    return Face(box, 1.0, label, probabilities)


def pixels_of(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == np.array(colour, np.uint8)).all(2).sum())


def test_a_box_and_a_label_in_the_classs_colour_are_drawn_on_a_copy():
    picture = np.full((240, 320, 3), 128, np.uint8)
    drawn = annotate(picture, [make_face()])
    assert (picture == 128).all() and drawn.shape == picture.shape
    colour = CLASS_COLOURS["Happy"]
    assert (drawn[90, 40:42] == colour).all() and (drawn[90, 138:140] == colour).all()  # left and right edges
    assert (drawn[100, 100] == 128).all()  # the face itself is left alone
    assert pixels_of(drawn[:38], colour) > 300  # the label, above the box
    assert pixels_of(annotate(picture, []), (128, 128, 128)) == 240 * 320


@pytest.mark.parametrize(
    "box", [(0, 0, 60, 60), (260, 0, 60, 60), (0, 180, 60, 60), (260, 180, 60, 60), (0, 0, 320, 240)]
)
def test_labels_stay_within_the_picture_at_its_edges(box):
    for shade in (0, 255):
        picture = np.full((240, 320, 3), shade, np.uint8)
        drawn = annotate(picture, [make_face(box, "Disgusted")])
        assert pixels_of(drawn, CLASS_COLOURS["Disgusted"]) > 800


def make_crowd(width: int, height: int, count: int, names=CLASS_NAMES) -> list[Face]:
    """So many faces side by side in rows, with something between them, each of another class than the last."""
    columns = int(np.ceil(np.sqrt(count * width / height)))
    across, down = width / columns, height / -(-count // columns)
    side = max(int(min(across, down) * 0.6), 1)
    faces = []
    for index in range(count):
        probabilities = np.full(len(names), 0.01, np.float32)
        probabilities[index % len(names)] = 0.99
        place = int((index % columns + 0.2) * across), int((index // columns + 0.25) * down)
        faces.append(Face((*place, side, side), 1.0, names[index % len(names)], probabilities))
    return faces


LONG_NAMES = [f"an expression with a very long name, number {i}" for i in range(12)]


@pytest.mark.parametrize("with_emoji", [False, True])
@pytest.mark.parametrize("names", [CLASS_NAMES, LONG_NAMES])
@pytest.mark.parametrize("count", [1, 2, 5, 12, 30])
@pytest.mark.parametrize("width, height", [(20, 20), (48, 48), (320, 240), (300, 900), (1600, 1067), (6000, 4000)])
def test_labels_cover_neither_each_other_nor_run_off(width, height, count, names, with_emoji):
    labels = lay_out(make_crowd(width, height, count, names), (width, height), count > 1, with_emoji)
    assert len(labels) == count
    places = [label.place for label in labels if label is not None]
    assert all(left >= 0 and top >= 0 and right <= width and bottom <= height for left, top, right, bottom in places)
    assert not any(covered_area(one, other) for one, other in combinations(places, 2))
    for label in filter(None, labels):
        room = label.place[2] - label.place[0] - label.face_side
        assert font(label.size).getlength(label.text) <= room


@pytest.mark.parametrize("with_emoji", [False, True])
@pytest.mark.parametrize("width, height, count", [(320, 240, 4), (900, 600, 30), (1600, 1067, 30), (6000, 4000, 30)])
def test_each_of_many_faces_has_a_whole_label_and_is_itself_still_seen(width, height, count, with_emoji):
    faces = make_crowd(width, height, count)
    labels = lay_out(faces, (width, height), numbered=True, with_emoji=with_emoji)
    assert [label and label.text for label in labels] == [f"{i}  {face.label} 99%" for i, face in enumerate(faces, 1)]
    assert all(label.size >= min(width, height) / 70 for label in labels)  # legible where the picture fills a screen
    for x, y, side, _ in (face.box for face in faces):
        assert sum(covered_area(label.place, (x, y, x + side, y + side)) for label in labels) <= 0.25 * side * side


def test_labels_of_neighbouring_faces_give_way():
    faces = [make_face((x, y, 90, 90)) for x, y in ((50, 150), (90, 150), (70, 255))]
    labels = lay_out(faces, (600, 400))
    assert all(label is not None and label.text == "Happy 90%" for label in labels)
    assert not any(covered_area(one.place, other.place) for one, other in combinations(labels, 2))


def test_a_label_for_which_there_is_little_room_is_cut_and_without_room_left_out():
    assert lay_out([make_face((2, 2, 10, 10))], (20, 20)) == [None]
    (label,) = lay_out([make_face((5, 20, 20, 20), "Disgusted")], (48, 60))
    assert label is not None and label.text in ("Disgusted", "Disg…")
    assert annotate(np.zeros((20, 20, 3), np.uint8), [make_face((2, 2, 10, 10))]).any()  # the box


def test_labels_of_a_huge_picture_are_as_large_beside_it_as_those_of_a_small_one():
    sizes = [lay_out([make_face((100, 300, 200, 200))], size)[0].size for size in ((900, 600), (9000, 6000))]
    assert sizes[1] == pytest.approx(10 * sizes[0], rel=0.05)


@pytest.mark.parametrize("name", [*CLASS_NAMES, UNCERTAIN])
def test_words_stand_out_from_their_label_and_boxes_from_any_picture(name):
    def luminance(colour) -> float:
        parts = np.array(colour) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    dark, light = sorted((luminance(class_colour(name)), luminance(ink_on(class_colour(name)))))
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2's least contrast for text


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_the_little_face_is_drawn_beside_the_label(shade):
    picture = np.full((400, 500, 3), shade, np.uint8)
    face = make_face((100, 150, 120, 120), "Surprised")
    plain, drawn = annotate(picture, [face]), annotate(picture, [face], with_emoji=True)
    (label,) = lay_out([face], (500, 400), with_emoji=True)
    left, top = round(label.place[0]), round(label.place[1])
    expected = np.asarray(little_face("Surprised", label.face_side))
    there = drawn[top : top + label.face_side, left : left + label.face_side]
    opaque = expected[..., 3] == 255
    assert label.face_side >= 24 and (there[opaque] == expected[opaque][:, :3]).all()
    assert (plain != drawn).any()


@pytest.mark.parametrize("name", [UNCERTAIN, "calm"])
def test_what_has_no_little_face_is_drawn_as_without(name):
    face = Face((100, 150, 120, 120), 1.0, name, np.array([0.4, 0.6], np.float32))
    picture = np.full((400, 500, 3), 90, np.uint8)
    assert (annotate(picture, [face]) == annotate(picture, [face], with_emoji=True)).all()


def test_uncertain_is_grey_and_classes_of_ones_own_have_colours_by_their_place():
    picture = np.full((400, 500, 3), 250, np.uint8)
    faces = {name: Face((100, 150, 120, 120), 1.0, name, np.eye(3, dtype=np.float32)[index])
             for index, name in enumerate(("calm", "cross", UNCERTAIN))}  # fmt: skip
    drawn = {name: annotate(picture, [face]) for name, face in faces.items()}
    assert pixels_of(drawn[UNCERTAIN], (110, 110, 110)) > 800
    assert pixels_of(drawn["cross"], class_colour("cross", 1)) > 800 < pixels_of(drawn["calm"], class_colour("calm", 0))
    assert not any(pixels_of(picture, CLASS_COLOURS["Angry"]) for picture in drawn.values())
    bars = result_picture(picture, [faces["cross"]], ["calm", "cross", "curious"])[:, 560:]
    assert pixels_of(bars, class_colour("cross", 1)) > 1000


@pytest.mark.parametrize("height, width", [(1, 1), (8, 8), (48, 48), (30, 2000), (2000, 30), (480, 640), (6000, 4000)])
@pytest.mark.parametrize("count", [0, 1, 2, 4, 9])
def test_result_pictures_fit_a_screen_at_any_size_and_number_of_faces(height, width, count):
    side = max(min(height, width) // 4, 1)
    faces = [make_face((min(i * side, width - 1), 0, side, side), CLASS_NAMES[i % 7]) for i in range(count)]
    result = result_picture(np.full((height, width, 3), 90, np.uint8), faces, CLASS_NAMES)
    assert result.dtype == np.uint8 and result.shape[2] == 3
    assert result.shape[1] <= PICTURE_AREA[0] + 2 * 350 + 60 and 200 < result.shape[0] < 760
    assert (result[:, -4:] == 255).all()  # nothing runs off at the right


def test_a_bar_is_as_long_as_its_probability():
    lengths = {}
    for confidence in (0.3, 0.6, 0.9):
        result = result_picture(
            np.full((400, 300, 3), 90, np.uint8), [make_face((10, 10, 50, 50), "Sad", confidence)], CLASS_NAMES
        )
        bars = result[:, 340:]
        lengths[confidence] = (bars == CLASS_COLOURS["Sad"]).all(2).sum(1).max()
    assert lengths[0.6] == pytest.approx(2 * lengths[0.3], abs=4)
    assert lengths[0.9] == pytest.approx(3 * lengths[0.3], abs=6)


def test_no_face_is_said_in_the_picture():
    picture = np.full((300, 300, 3), 90, np.uint8)
    empty, found = (result_picture(picture, faces, CLASS_NAMES) for faces in ([], [make_face()]))
    assert (empty[:, 345:] < 200).any()  # the sentence
    assert pixels_of(empty[:, 345:], (236, 236, 236)) == 0 < pixels_of(found[:, 345:], (236, 236, 236))  # no bars


def make_explanation(hot: tuple[slice, slice], name: str = "Happy", shape=(60, 60, 3)) -> Explanation:
    heat = np.zeros((20, 20), np.float32)
    heat[hot] = 1
    return Explanation(name, np.full(shape, 120, np.uint8), heat)


def test_a_face_glows_where_its_class_is_seen_and_is_grey_elsewhere():
    face = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    heat = make_explanation((slice(0, 8), slice(12, 20))).heat
    glowing = heat_picture(face, heat, (200, 200)).astype(int)
    assert glowing.shape == (200, 200, 3)
    colourful = glowing.max(2) - glowing.min(2)
    assert (colourful[:60, 140:] > 30).all() and colourful[100:].max() == 0 and colourful[:, :100].max() == 0


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_explanations_stand_beside_the_bars_of_each_panel(count):
    picture, faces = np.full((400, 500, 3), 90, np.uint8), make_crowd(500, 400, count)
    hot = [make_explanation((slice(None), slice(None))), make_explanation((slice(0, 0), slice(0, 0)))]
    without, lit, unlit = (
        result_picture(picture, faces, CLASS_NAMES, [explanation] * min(count, 4) if explanation else ())
        for explanation in (None, *hot)
    )
    columns = 2 if count > 2 else 1
    assert lit.shape[1] == without.shape[1] + columns * (HEAT_SIDE + MARGIN) <= 2060 and lit.shape[0] < 760
    assert (lit[:, -4:] == 255).all()
    glow = (lit != unlit).any(2)  # the faces, and what the captions say
    assert glow.sum() == pytest.approx(min(count, 4) * HEAT_SIDE**2, rel=0.03)
    bars_begin = without.shape[1] - columns * (PANEL_WIDTH + MARGIN)
    assert not glow[:, : bars_begin + PANEL_WIDTH].any()


def test_faces_of_any_shape_and_names_of_any_length_are_explained():
    picture, face = np.full((90, 300, 3), 90, np.uint8), make_face((0, 0, 300, 90))
    for shape in ((90, 300, 3), (300, 90), (1, 1, 3), (2, 700, 3)):
        explanation = make_explanation((slice(0, 9), slice(0, 9)), LONG_NAMES[0], shape)
        result = result_picture(picture, [face], CLASS_NAMES, [explanation])
        assert (result[:, -4:] == 255).all() and (result[-4:] == 255).all()


def test_long_and_many_class_names_are_cut_not_run_off():
    names = LONG_NAMES
    face = Face((5, 5, 40, 40), 1.0, names[3], np.full(12, 1 / 12, np.float32))
    result = result_picture(np.full((100, 100, 3), 90, np.uint8), [face] * 3, names)
    assert (result[:, -4:] == 255).all() and (result[-4:] == 255).all()


def test_every_class_has_a_colour_of_its_own():
    assert set(CLASS_COLOURS) == set(CLASS_NAMES) and len(set(CLASS_COLOURS.values())) == 7
    own = [class_colour("own", index) for index in range(18)]
    assert len(set(own)) == 18 and not set(own) & {*CLASS_COLOURS.values(), class_colour(UNCERTAIN)}
