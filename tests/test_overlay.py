"""What is drawn into a frame: boxes with labels, little faces, bars, keys and rates."""

from itertools import combinations

import numpy as np
import pytest

from models.emoji import little_face
from models.expressions import CLASS_COLOURS, CLASS_NAMES, class_colour
from models.faces import Detection
from models.labels import covered_area
from models.live import view
from models.live.analysis import Analysis
from models.live.overlay import Overlay, face_pixels, text_size
from models.live.tracking import Tracker
from tests.films import pixels_of
from tests.live import make_frame, make_tracks


@pytest.mark.parametrize("width, height", [(320, 240), (640, 480), (1920, 1080)])
def test_box_label_and_bars_are_drawn_in_the_classs_colour_at_any_size(width, height):
    picture = np.full((height, width, 3), 128, np.uint8)
    drawn = Overlay(CLASS_NAMES).draw_faces(picture, make_tracks((width // 2, height // 2, height // 4, height // 4)))
    assert (picture == 128).all() and drawn.shape == picture.shape
    assert (drawn[height * 5 // 8, width // 2] == CLASS_COLOURS["Happy"][::-1]).all()  # the box's left edge
    assert pixels_of(drawn[: height // 2 - 2, width // 2 :], "Happy") > 500  # the label above it
    bars = drawn[: height // 2, : width // 2]
    assert pixels_of(bars, "Happy") > 30 * max(pixels_of(bars, "Sad"), 1) or pixels_of(bars, "Sad") > 0
    assert text_size(picture) >= 11


@pytest.mark.parametrize("box", [(-30, -30, 80, 80), (300, 220, 80, 80), (-50, 0, 500, 240), (400, 400, 10, 10)])
def test_boxes_that_reach_over_the_edge_are_drawn_as_far_as_they_can(box):
    assert Overlay(CLASS_NAMES).draw_faces(np.zeros((240, 320, 3), np.uint8), make_tracks(box)).any()


def test_labels_of_faces_side_by_side_do_not_cover_each_other():
    picture = np.zeros((240, 320, 3), np.uint8)
    boxes = (100, 100, 60, 60), (150, 102, 50, 50)
    both = Overlay(CLASS_NAMES).draw_faces(picture, make_tracks(*boxes))
    each = [pixels_of(Overlay(CLASS_NAMES).draw_faces(picture, make_tracks(box))[:, 90:], "Happy") for box in boxes]
    assert pixels_of(both[:, 90:], "Happy") > 0.85 * sum(each)


@pytest.mark.parametrize("width, height", [(320, 240), (640, 480), (1920, 1080)])
def test_the_little_face_is_drawn_beside_the_label_and_rendered_once(width, height):
    picture, tracks = np.full((height, width, 3), 128, np.uint8), make_tracks((width // 2, height // 2, 60, 60))
    plain, overlay = Overlay(CLASS_NAMES).draw_faces(picture, tracks), Overlay(CLASS_NAMES, with_emoji=True)
    drawn = overlay.draw_faces(picture, tracks)
    changed = (plain != drawn).any(2)
    rows, columns = np.nonzero(changed)
    assert pixels_of(drawn, "Happy") > pixels_of(plain, "Happy") + 150
    assert changed.any() and rows.min() > height // 2 - 80 and columns.min() >= width // 2 - 1
    rendered = face_pixels.cache_info().misses, little_face.cache_info().misses
    for _ in range(3):
        overlay.draw_faces(picture, tracks)
    assert (face_pixels.cache_info().misses, little_face.cache_info().misses) == rendered


def test_classes_of_ones_own_have_no_little_face_but_colours_of_their_own():
    names = [f"an expression with a very long name, number {number}" for number in range(12)]
    tracker = Tracker(names)
    probabilities = np.eye(12, dtype=np.float32)[[9, 10]]
    frame = make_frame()
    tracker.update(Analysis(frame, [Detection((x, 100, 50, 50), 1.0) for x in (30, 200)], probabilities), frame)
    picture = np.full((240, 320, 3), 128, np.uint8)
    drawn = Overlay(names, with_emoji=True).draw_faces(picture, tracker.tracks)
    assert (drawn == Overlay(names).draw_faces(picture, tracker.tracks)).all()
    for index, name in ((9, names[9]), (10, names[10])):
        assert (drawn == np.array(class_colour(name, index)[::-1])).all(2).sum() > 300
    assert (drawn[:, -20:] == 128).all(2).sum() > 20 * 100  # the panel with long names leaves the picture its room


@pytest.mark.parametrize("count", [2, 6, 12])
@pytest.mark.parametrize("with_emoji", [False, True])
def test_labels_cover_neither_each_other_nor_the_bars_nor_run_off(count, with_emoji, monkeypatch):
    places = []
    overlay = Overlay(CLASS_NAMES, with_emoji)
    for name in ("_draw_bars", "_draw_label"):
        draw = getattr(overlay, name)
        monkeypatch.setattr(overlay, name, lambda *given, draw=draw: places.append(draw(*given)) or places[-1])
    boxes = [(20 + 155 * (index % 4), 60 + 150 * (index // 4), 90, 90) for index in range(count)]
    overlay.draw_faces(np.full((480, 640, 3), 128, np.uint8), make_tracks(*boxes))
    assert len(places) == count + 1 and None not in places
    assert all(left >= 0 and top >= 0 and right <= 640 and bottom <= 480 for left, top, right, bottom in places)
    assert not any(covered_area(one, other) for one, other in combinations(places, 2))


def test_bars_are_as_long_as_the_probabilities():
    tracks = make_tracks((400, 300, 50, 50), confidence=0.8)
    drawn = Overlay(CLASS_NAMES).draw_faces(np.zeros((480, 640, 3), np.uint8), tracks)
    widths = {
        name: int((drawn[:200, :300] == CLASS_COLOURS[name][::-1]).all(2).sum(1).max()) for name in ("Happy", "Sad")
    }
    assert widths["Happy"] / 0.8 == pytest.approx(widths["Sad"] / (0.2 / 6), rel=0.3)


def test_bars_leave_the_corner_where_a_face_is():
    overlay, picture = Overlay(CLASS_NAMES), np.full((480, 640, 3), 128, np.uint8)
    at_left = overlay.draw_faces(picture, make_tracks((20, 20, 100, 100)))
    assert (at_left[20:120, 30:110] == 128).any() and (at_left[10, 630] != 128).all()
    at_right = overlay.draw_faces(picture, make_tracks((520, 20, 100, 100)))
    assert (at_right[10, 5] != 128).all()


@pytest.mark.parametrize("size", [(320, 240), (1920, 1080)])
def test_keys_and_rates_stand_at_the_lower_edge_and_a_red_dot_while_recording(size):
    overlay = Overlay(CLASS_NAMES)
    pictures = []
    for line, recording_text in (("", ""), (view.KEYS, ""), (view.KEYS, "0:12")):
        drawn = np.full((size[1], size[0], 3), 128, np.uint8)
        overlay.draw_status(drawn, line, "30 frames/s   10 labels/s   latency 100 ms", recording_text)
        assert (drawn[: size[1] * 3 // 4] == 128).all()
        pictures.append(drawn)
    whites = [int((picture.min(2) > 200).sum()) for picture in pictures]
    assert whites[1] > whites[0] + 100
    reds = [int((picture[..., 2].astype(int) - picture[..., 0] > 100).sum()) for picture in pictures]
    assert reds[0] == reds[1] == 0 < reds[2]
