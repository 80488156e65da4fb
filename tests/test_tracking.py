"""Faces over time: which face of one analysis is which of the next, where it moves between, what it expresses."""

import cv2
import numpy as np
import pytest

from models.expressions import CLASS_NAMES
from models.live.tracking import Tracker, move_boxes
from tests.films import draw_frames, read_face
from tests.live import HAPPY, SAD, make_analysis, make_frame, see


def test_a_moving_face_keeps_its_track_and_another_gets_its_own():
    tracker = Tracker(CLASS_NAMES)
    for step in range(5):
        see(tracker, step / 10, (10 + 8 * step, 20, 50, 50), (200, 20, 40, 40))
    assert [track.number for track in tracker.tracks] == [1, 2]  # largest first
    assert tracker.count == 2
    assert abs(tracker.tracks[0].box[0] - 42) < 10


def test_of_two_faces_side_by_side_each_continues_the_track_that_it_overlaps_most():
    tracker = Tracker(CLASS_NAMES)
    see(tracker, 0.0, (10, 0, 50, 50), (40, 0, 50, 50))
    see(tracker, 0.1, (44, 0, 50, 50), (14, 0, 50, 50))
    assert {track.number: round(float(track.box[0])) for track in tracker.tracks} == {1: 12, 2: 42}


def test_a_track_survives_missed_detections_for_half_a_second():
    tracker = Tracker(CLASS_NAMES)
    for seconds in (0.0, 0.5, 1.0):
        see(tracker, seconds, (10, 20, 50, 50))
    assert see(tracker, 1.49) == [] and tracker.tracks  # kept, but not refreshed
    assert see(tracker, 1.5, (10, 20, 50, 50))[0].number == 1
    see(tracker, 2.01)
    assert not tracker.tracks


def test_what_was_seen_once_and_not_again_leaves_at_once():
    tracker = Tracker(CLASS_NAMES)
    see(tracker, 0.0, (10, 20, 50, 50))
    assert tracker.tracks
    see(tracker, 0.1)
    assert not tracker.tracks


@pytest.mark.parametrize("rate", [5, 20])
def test_smoothing_takes_seconds_however_often_a_face_is_analyzed(rate):
    tracker = Tracker(CLASS_NAMES, smoothing=0.5)
    see(tracker, 0.0, (10, 20, 50, 50), index=HAPPY, confidence=1.0)
    for step in range(1, rate + 1):
        (track,) = see(tracker, step / rate, (10, 20, 50, 50), index=SAD, confidence=1.0)
    assert track.probabilities[HAPPY] == pytest.approx(np.exp(-1 / 0.5), abs=1e-3)
    assert track.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_without_smoothing_probabilities_are_the_networks_own():
    tracker = Tracker(CLASS_NAMES, smoothing=0)
    see(tracker, 0.0, (10, 20, 50, 50), index=HAPPY)
    (track,) = see(tracker, 0.1, (10, 20, 50, 50), index=SAD, confidence=0.7)
    assert track.probabilities[SAD] == pytest.approx(0.7)


@pytest.mark.parametrize("smoothing", [0, 0.4])
def test_the_label_does_not_flicker_between_two_expressions_that_take_turns(smoothing):
    tracker = Tracker(CLASS_NAMES, smoothing)
    see(tracker, 0.0, (10, 20, 50, 50), index=HAPPY, confidence=0.6)
    for step in range(1, 50):
        (track,) = see(tracker, step / 10, (10, 20, 50, 50), index=(SAD, HAPPY)[step % 2], confidence=0.6)
        assert track.label == "Happy" and not track.label_is_new


def test_the_label_changes_once_when_another_expression_has_led_long_enough():
    tracker = Tracker(CLASS_NAMES, smoothing=0)
    (track,) = see(tracker, 0.0, (10, 20, 50, 50), index=HAPPY)
    assert track.label == "Happy" and track.label_is_new
    changes = []
    for step in range(1, 11):
        see(tracker, step / 10, (10, 20, 50, 50), index=SAD)
        changes += [step / 10] * track.label_is_new
    assert track.label == "Sad"
    assert len(changes) == 1 and 0.2 < changes[0] < 0.6


@pytest.mark.parametrize("shift, growth", [((7, -4), 1.0), ((0, 0), 1.08), ((-12, 5), 0.95)])
def test_boxes_move_and_grow_with_the_picture(shift, growth):
    before = next(frame for number, frame in enumerate(draw_frames(2, 15)) if number == 20)
    box = np.array([[46, 88, 77, 77]], np.float32)
    centre = box[0, :2] + box[0, 2:] / 2
    matrix = np.float32(
        [[growth, 0, shift[0] + centre[0] * (1 - growth)], [0, growth, shift[1] + centre[1] * (1 - growth)]]
    )
    after = cv2.warpAffine(before, matrix, (320, 240))
    ((moved,), _) = move_boxes(make_frame(before), make_frame(after), box)
    np.testing.assert_allclose(moved[:2] + moved[2:] / 2, centre + shift, atol=1.5)
    np.testing.assert_allclose(moved[2:], 77 * growth, atol=2)


def test_boxes_move_by_as_many_pixels_in_a_large_frame():
    before = next(frame for number, frame in enumerate(draw_frames(2, 15, (1280, 960))) if number == 20)
    after = np.roll(before, (24, 40), (0, 1))
    ((moved,), _) = move_boxes(make_frame(before), make_frame(after), np.array([[184, 352, 308, 308]], np.float32))
    np.testing.assert_allclose(moved, [224, 376, 308, 308], atol=6)


# Where one film's face is laid over another's: the frames of a cut, in whole or in the face's place alone.


def paste(name: str, background: np.ndarray, turned: bool = False) -> np.ndarray:
    """A frame with a shipped picture's face at one place, BGR `[240, 320, 3]`."""
    face = read_face(name, 150)
    frame = background.copy()
    frame[60:210, 40:190] = cv2.flip(face, 1) if turned else face
    return frame


GREY_ROOM = np.full((240, 320, 3), (120, 110, 100), np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
PLACE = np.array([[75, 95, 85, 85]], np.float32)


@pytest.mark.parametrize("after", ["4.jpg, same room", "4.jpg, elsewhere", "nobody", "black"])
def test_where_a_film_cuts_the_place_of_a_face_has_changed(after):
    before = paste("1.jpg", GREY_ROOM)
    pictures = {
        "4.jpg, same room": paste("4.jpg", GREY_ROOM), "4.jpg, elsewhere": paste("4.jpg", NOISE),
        "nobody": NOISE, "black": np.zeros_like(NOISE),
    }  # fmt: skip
    boxes, is_same = move_boxes(make_frame(before), make_frame(pictures[after]), PLACE)
    assert not is_same[0]
    np.testing.assert_array_equal(boxes, PLACE)


@pytest.mark.parametrize("change", ["darker", "fade", "moved", "blurred", "noise", "half covered", "nothing at all"])
def test_what_is_no_cut_is_not_taken_for_one(change):
    before = paste("1.jpg", GREY_ROOM)
    covered = before.copy()
    covered[140:, :] = 90
    pictures = {
        "darker": (before * 0.4).astype(np.uint8),
        "fade": cv2.addWeighted(before, 0.6, np.full_like(before, 255), 0.4, 0),
        "moved": np.roll(before, (14, 22), (0, 1)), "blurred": cv2.GaussianBlur(before, (0, 0), 4),
        "noise": cv2.addWeighted(before, 0.8, NOISE, 0.2, 0), "half covered": covered, "nothing at all": before.copy(),
    }  # fmt: skip
    assert move_boxes(make_frame(before), make_frame(pictures[change]), PLACE)[1][0]


def test_where_a_film_fades_to_black_slowly_there_is_no_cut():
    black = make_frame(np.zeros((240, 320, 3), np.uint8))
    assert move_boxes(black, make_frame(np.zeros((240, 320, 3), np.uint8), 1, 0.1), PLACE)[1][0]


def test_at_a_cut_a_new_track_with_its_own_label_begins_at_once():
    tracker = Tracker(CLASS_NAMES)
    box = tuple(PLACE[0])
    before = make_frame(paste("1.jpg", GREY_ROOM), 0, 0.0)
    for step in range(5):
        frame = make_frame(before.picture, step, step / 10)
        assert not tracker.follow(before, frame)
        tracker.update(make_analysis(frame, box), frame)
    after = make_frame(paste("4.jpg", GREY_ROOM), 5, 0.5)
    assert tracker.follow(frame, after) and not tracker.tracks
    (track,) = tracker.update(make_analysis(after, box, index=SAD), after)
    assert (track.number, track.label) == (2, "Sad") and tracker.count == 2


def test_what_was_found_before_a_cut_is_not_taken_into_what_comes_after():
    tracker = Tracker(CLASS_NAMES)
    before, after = make_frame(paste("1.jpg", GREY_ROOM)), make_frame(NOISE, 3, 0.1)
    assert tracker.update(make_analysis(before, tuple(PLACE[0])), after) == [] and not tracker.tracks


def test_a_picture_that_stands_for_long_keeps_its_track_and_its_time_counts():
    tracker = Tracker(CLASS_NAMES)
    box, picture = tuple(PLACE[0]), paste("1.jpg", GREY_ROOM)
    frames = [make_frame(picture, number, seconds) for number, seconds in enumerate((0.0, 0.1, 9.0, 9.1))]
    for before, frame in zip([frames[0], *frames], frames):
        tracker.follow(before, frame)
        tracker.update(make_analysis(frame, box), frame)
    tracker.count_until(9.5)
    assert tracker.count == 1 and tracker.seconds_seen == pytest.approx(9.5)


def test_the_time_of_each_expression_is_that_until_the_next_analysis():
    tracker = Tracker(CLASS_NAMES, smoothing=0)
    see(tracker, 0.0, (10, 20, 50, 50), (200, 20, 50, 50))
    see(tracker, 0.5, (10, 20, 50, 50))
    see(tracker, 1.0)
    see(tracker, 1.5, (10, 20, 50, 50), index=SAD)
    tracker.count_until(2.5)
    assert dict(tracker.seconds_of) == pytest.approx({"Happy": 1.5, "Sad": 1.0})
    assert tracker.seconds_seen == pytest.approx(2.0)


def test_looked_at_seldom_a_face_keeps_its_track_and_changes_its_label_at_once():
    tracker = Tracker(CLASS_NAMES, patience=12.5)
    see(tracker, 0.0, (10, 20, 50, 50))
    see(tracker, 5.0, (10, 20, 50, 50))
    see(tracker, 10.0)
    (track,) = see(tracker, 15.0, (20, 20, 50, 50), index=SAD)
    assert track.number == 1 and track.label == "Sad" and track.box[0] == 20


def test_an_analysis_of_an_earlier_frame_is_moved_to_the_frame_shown():
    earlier = next(frame for number, frame in enumerate(draw_frames(2, 15)) if number == 20)
    shown = make_frame(np.roll(earlier, 15, 1), 3, 0.1)
    tracker = Tracker(CLASS_NAMES)
    (track,) = tracker.update(make_analysis(make_frame(earlier), (46, 88, 77, 77)), shown)
    assert track.box[0] == pytest.approx(61, abs=1.5)
