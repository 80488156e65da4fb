import os
import shutil
import threading
import time
from itertools import combinations

import cv2
import numpy as np
import pytest

from models.emoji import little_face
from models.expressions import CLASS_COLOURS, CLASS_NAMES, class_colour
from models.faces import Detection
from models.labels import covered_area
from models.live import recording, sources, view
from models.live.analysis import Analysis, Analyzer
from models.live.cameras import Camera
from models.live.log import ExpressionLog
from models.live.moments import new_names, save_moment
from models.live.overlay import Overlay, face_pixels, text_size
from models.live.session import Session, annotate_film
from models.live.sources import Frame, open_source
from models.live.timeline import draw_timeline, read_bands
from models.live.tracking import Tracker, move_boxes
from models.live.view import watch
from models.pictures import read_picture
from tests.films import (
    FakeCapture,
    draw_frames,
    open_in_turn,
    pixels_of,
    read_face,
    read_film,
    read_rows,
    write_film,
)

HAPPY, SAD = CLASS_NAMES.index("Happy"), CLASS_NAMES.index("Sad")


def make_frame(picture: np.ndarray | None = None, number: int = 0, seconds: float = 0.0) -> Frame:
    return Frame(number, seconds, np.zeros((240, 320, 3), np.uint8) if picture is None else picture, seconds)


def make_probabilities(index: int = HAPPY, confidence: float = 0.9, classes: int = 7) -> np.ndarray:
    probabilities = np.full(classes, (1 - confidence) / (classes - 1), np.float32)
    probabilities[index] = confidence
    return probabilities


def make_analysis(frame: Frame, *boxes: tuple, index: int = HAPPY, confidence: float = 0.9) -> Analysis:
    probabilities = np.array([make_probabilities(index, confidence) for _ in boxes], np.float32).reshape(-1, 7)
    return Analysis(frame, [Detection(box, 1.0, None, "haar") for box in boxes], probabilities)


def see(tracker: Tracker, seconds: float, *boxes: tuple, index: int = HAPPY, confidence: float = 0.9) -> list:
    """Has the tracker see faces in an empty picture, where nothing can be followed."""
    frame = make_frame(seconds=seconds)
    return tracker.update(make_analysis(frame, *boxes, index=index, confidence=confidence), frame)


# Tracks


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


# Logs


def make_tracks(*boxes: tuple, index: int = HAPPY, confidence: float = 0.9) -> list:
    tracker = Tracker(CLASS_NAMES)
    return see(tracker, 0.0, *boxes, index=index, confidence=confidence)


def test_the_log_has_a_row_a_face_and_is_whole_after_each(tmp_path):
    log = ExpressionLog(tmp_path / "log.csv", CLASS_NAMES)
    log.write(make_frame(number=6, seconds=0.2), make_tracks((10, 20, 60, 60), (200, 20, 40, 41)))
    rows = read_rows(log.path)  # not closed yet
    log.close()
    assert [row["track"] for row in rows] == ["1", "2"]
    assert rows[1] == {
        "time": "0.200", "frame": "6", "track": "2", "x": "200", "y": "20", "width": "40", "height": "41",
        "expression": "Happy", "confidence": "0.9000", "happy": "0.9000",
        **{name.lower(): "0.0167" for name in CLASS_NAMES if name != "Happy"},
    }  # fmt: skip


def test_the_log_has_a_row_without_a_face_where_nobody_was_found(tmp_path):
    log = ExpressionLog(tmp_path / "log.csv", CLASS_NAMES)
    log.write(make_frame(number=3, seconds=0.1), [])
    log.write(make_frame(number=6, seconds=0.2), make_tracks((10, 20, 60, 60)))
    log.close()
    rows = read_rows(log.path)
    assert rows[0]["time"] == "0.100" and rows[0]["frame"] == "3"
    assert {value for name, value in rows[0].items() if name not in ("time", "frame")} == {""}
    assert rows[1]["track"] == "1" and list(read_bands(log.path)) == [1]


def test_new_names_are_of_files_that_are_not_there(tmp_path):
    for expected in (1, 2, 3):
        first, second = new_names(tmp_path, "-a.jpg", "-b.png")
        assert first.stem.endswith(f"-{expected}-a") or expected > 1  # the second may have turned
        (second if expected == 2 else first).touch()
        assert not set(new_names(tmp_path, "-a.jpg", "-b.png")) & set(tmp_path.iterdir())


def test_a_moment_is_the_annotated_frame_and_the_largest_face(tmp_path):
    picture = next(frame for number, frame in enumerate(draw_frames(2, 15)) if number == 20)
    tracker = Tracker(CLASS_NAMES)
    tracks = tracker.update(
        make_analysis(make_frame(picture), (46, 88, 77, 77), (200, 20, 40, 40)), make_frame(picture)
    )
    drawn = Overlay(CLASS_NAMES).draw_faces(picture, tracks)
    frame_path, face_path = save_moment(tmp_path, drawn, tracks)
    np.testing.assert_array_equal(read_picture(frame_path), drawn[..., ::-1])  # nothing is lost
    face = read_picture(face_path)
    assert face.shape[0] == face.shape[1] >= 70
    assert (
        np.abs(face[30:40, 30:40].astype(int) - face[30:40, 30:40, ::-1]).mean() > 3
    )  # skin: red and blue in their places
    assert face[30:40, 30:40, 0].mean() > face[30:40, 30:40, 2].mean()
    assert save_moment(tmp_path, drawn, [])[0] not in (frame_path, face_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_the_timeline_has_a_band_a_face_with_gaps_where_it_was_gone(tmp_path):
    log = ExpressionLog(tmp_path / "log.csv", CLASS_NAMES)
    tracker = Tracker(CLASS_NAMES, smoothing=0)
    for step in range(100):
        seconds = step / 10
        boxes = [] if 4 <= seconds < 6 else [(10, 20, 50, 50)]
        tracks = see(tracker, seconds, *boxes, index=HAPPY if seconds < 2 else SAD)
        log.write(make_frame(seconds=seconds), tracks)
    log.close()
    bands = read_bands(log.path)
    assert [(label, round(end - start, 1)) for start, end, label in bands[1]] == [("Happy", 2.3), ("Sad", 1.6)]
    assert [label for _, _, label in bands[2]] == ["Sad"] and bands[2][0][0] == 6
    draw_timeline(log.path, tmp_path / "timeline.png", CLASS_NAMES)
    plot = read_picture(tmp_path / "timeline.png")
    areas = {
        name: int((np.abs(plot.astype(int) - CLASS_COLOURS[name]).max(2) < 3).sum())
        for name in ("Happy", "Sad", "Angry")
    }
    assert areas["Sad"] > areas["Happy"] > 2 * areas["Angry"]


def test_a_timeline_of_nothing_is_drawn_too(tmp_path):
    ExpressionLog(tmp_path / "log.csv", CLASS_NAMES).close()
    draw_timeline(tmp_path / "log.csv", tmp_path / "timeline.png", CLASS_NAMES)
    assert (tmp_path / "timeline.png").exists()


# What is drawn


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


def test_a_timelines_legend_stays_within_it_however_long_the_names(tmp_path):
    names = [f"an expression with a very long name, number {number}" for number in range(12)]
    log = ExpressionLog(tmp_path / "log.csv", names)
    log.close()
    draw_timeline(log.path, tmp_path / "timeline.png", names)
    plot = read_picture(tmp_path / "timeline.png")
    assert (plot[:, :3] == 255).all() and (plot[:, -3:] == 255).all() and (plot[:3] == 255).all()
    for index in range(12):
        assert (np.abs(plot.astype(int) - class_colour(names[index], index)).max(2) < 3).sum() > 50


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


# Sessions


class FakeDetector:
    """Finds one face, of the whole picture's middle, in every picture that is not black."""

    def detect(self, picture):
        height, width = picture.shape[:2]
        return (
            [Detection((width / 4, height / 4, width / 2, height / 2), 1.0, None, "haar")] if picture.max() > 20 else []
        )


class FakeClassifier:
    class_names = list(CLASS_NAMES)

    def classify(self, faces):
        return np.array([make_probabilities() for _ in faces], np.float32).reshape(-1, 7)


class FakeWindow:
    """Stands for the window: takes what is shown, presses a key after so many frames, and then closes."""

    keys: dict[int, str] = {}
    closes_after = 1000

    def __init__(self, title, size):
        self.shown = FakeWindow.shown = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def show(self, picture):
        assert threading.current_thread() is threading.main_thread() and not self.closed
        self.shown.append(picture)

    def key(self):
        return self.keys.pop(len(self.shown), "")

    @property
    def closed(self):
        return len(self.shown) >= self.closes_after


@pytest.fixture
def window(monkeypatch):
    monkeypatch.setattr(view, "Window", FakeWindow)
    monkeypatch.setattr(FakeWindow, "keys", {})
    return FakeWindow


def make_session(tmp_path, *captures, detector=None) -> Session:
    source = Camera(0, open_capture=open_in_turn(*captures))
    return Session(source, Analyzer(FakeClassifier(), detector or FakeDetector()), output=tmp_path)


def endless(level: int = 120, count: int = 2000) -> FakeCapture:
    return FakeCapture([np.full((240, 320, 3), level, np.uint8)] * count, pause=0.01)


def test_faces_are_labelled_without_pressing_anything_and_q_quits(tmp_path, window):
    window.keys = {30: "q"}
    with make_session(tmp_path, endless()) as live:
        watch(live, with_window=True)
    assert len(window.shown) == 30 and live.refreshes > 0 and not live.problems
    assert pixels_of(window.shown[-1], "Happy") > 500
    assert pixels_of(window.shown[-1], "Sad") > 0  # bars


def test_closing_the_window_quits(tmp_path, window, monkeypatch):
    monkeypatch.setattr(window, "closes_after", 5)
    with make_session(tmp_path, endless()) as live:
        watch(live, with_window=True)
    assert len(window.shown) == 5 and not live.problems


def test_space_saves_r_records_h_hides_the_keys(tmp_path, window, monkeypatch):
    window.keys = {40: " ", 41: " ", 50: "r", 70: "r", 90: "h", 91: "q"}
    monkeypatch.setattr(view, "NOTE_SECONDS", 0.0)
    with make_session(tmp_path, endless()) as live:
        watch(live, with_window=True)
    suffixes = sorted(path.suffix for path in tmp_path.iterdir())
    assert suffixes == [".mp4", *[".png"] * 4] and sorted(live.written) == sorted(tmp_path.iterdir())
    (film,) = tmp_path.glob("*.mp4")
    assert len(read_film(film)[0]) > 3
    lower = [int((picture[-16:, :160].min(2) > 200).sum()) for picture in window.shown]
    assert lower[88] > 50 and lower[90] == 0


def test_a_recording_has_faces_but_neither_keys_nor_rates(tmp_path, window):
    window.keys = {60: "q"}
    with make_session(tmp_path, endless()) as live:
        live.begin_recording(tmp_path / "film.mp4")
        watch(live, with_window=True)
    last = read_film(tmp_path / "film.mp4")[0][-1]
    assert abs(last[-5:].astype(int) - 120).max() < 12 <= abs(window.shown[-1][-5:].astype(int) - 120).max()
    assert (np.abs(last.astype(int) - CLASS_COLOURS["Happy"][::-1]).max(2) < 40).sum() > 300


def test_a_full_disk_while_recording_is_told_and_the_camera_goes_on(tmp_path, window, monkeypatch, capsys):
    window.keys = {40: "q"}
    with make_session(tmp_path, endless()) as live:
        live.begin_recording(tmp_path / "film.mp4")
        usage = shutil._ntuple_diskusage(100, 99, 1)
        monkeypatch.setattr(
            recording.shutil,
            "disk_usage",
            lambda _: usage if live.frames >= 20 else shutil._ntuple_diskusage(1, 0, 1 << 40),
        )
        watch(live, with_window=True)
    assert len(window.shown) == 40
    assert len(live.problems) == 1 and "disk is full" in capsys.readouterr().err
    assert read_film(tmp_path / "film.mp4")[0] and live.written == [tmp_path / "film.mp4"]


def test_a_lost_camera_is_told_and_fails(tmp_path, window, monkeypatch, capsys):
    monkeypatch.setattr(sources, "RETRY_SECONDS", 0.4)
    with make_session(tmp_path, endless(count=10)) as live:
        watch(live, with_window=True)
    told = capsys.readouterr().err
    assert "camera 0 has vanished: trying" in told and "has not come back" in told
    assert live.problems and len(window.shown) > 10  # it was said on screen, too


def test_a_camera_without_a_window_ends_after_the_frames_asked_for(tmp_path, capsys):
    source = Camera(0, open_capture=open_in_turn(endless()))
    with Session(source, Analyzer(FakeClassifier(), FakeDetector()), output=tmp_path, with_lines=True) as live:
        watch(live, with_window=False, max_frames=40)
    assert live.frames == 40 and "face 1: Happy 90%" in capsys.readouterr().out


def test_what_breaks_in_the_analysis_ends_the_program(tmp_path, window):
    class Broken(FakeDetector):
        def detect(self, picture):
            if picture.any():
                raise RuntimeError("broken")
            return []

    with make_session(tmp_path, endless(), detector=Broken()) as live, pytest.raises(RuntimeError, match="broken"):
        watch(live, with_window=True)
    deadline = time.monotonic() + 10  # threads take a moment to end beside other work
    while threading.active_count() >= 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() < 4


def test_every_frame_of_a_film_is_annotated_however_slow_the_analysis(tmp_path):
    class Slow(FakeDetector):
        def detect(self, picture):
            time.sleep(0.01)
            return super().detect(picture)

    source = open_source(str(write_film(tmp_path / "film.mp4", seconds=2)))
    with source, Session(source, Analyzer(FakeClassifier(), Slow())) as film:
        film.begin_recording(tmp_path / "annotated.mp4")
        film.begin_log(tmp_path / "log.csv")
        annotate_film(film)
    frames, rate = read_film(tmp_path / "annotated.mp4")
    assert len(frames) == film.frames == 30 and rate == 15
    rows = read_rows(tmp_path / "log.csv")
    assert len(rows) == 20  # ten analyses a second of film
    assert [float(row["time"]) for row in rows] == pytest.approx(np.arange(20) / 10, abs=0.07)


def test_a_film_that_breaks_off_is_told(tmp_path, capsys):
    whole = write_film(tmp_path / "whole.avi", seconds=2)
    (tmp_path / "broken.avi").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with (
        open_source(str(tmp_path / "broken.avi")) as source,
        Session(source, Analyzer(FakeClassifier(), FakeDetector())) as film,
    ):
        annotate_film(film)
    assert 5 < film.frames < 25 and "breaks off" in capsys.readouterr().err and film.problems


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a file on a full disk")
def test_a_full_disk_under_the_log_ends_the_annotation_of_a_film(tmp_path):
    with (
        open_source(str(write_film(tmp_path / "film.mp4", seconds=1))) as source,
        Session(source, Analyzer(FakeClassifier(), FakeDetector())) as film,
        open("/dev/full", "wb", buffering=0) as full,
    ):
        film.begin_log(tmp_path / "log.csv")
        film._log._file.close()
        film._log._file = full
        annotate_film(film)
    assert film.frames < 15 and "the log has ended" in film.problems[0]


def test_a_log_keeps_whole_rows_alone_when_there_is_room_for_a_part(tmp_path, monkeypatch):
    log = ExpressionLog(tmp_path / "log.csv", CLASS_NAMES)
    log.write(make_frame(), make_tracks((10, 20, 60, 60)))
    whole = log.path.read_bytes()
    file = log._file

    class NearlyFull:
        tell, truncate, close = file.tell, file.truncate, file.close
        write = staticmethod(lambda data: file.write(data[:20]))

    monkeypatch.setattr(log, "_file", NearlyFull)
    with pytest.raises(OSError, match="No space"):
        log.write(make_frame(), make_tracks((10, 20, 60, 60)))
    log.close()
    assert log.path.read_bytes() == whole
