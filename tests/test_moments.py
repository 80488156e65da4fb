"""The pictures of a moment that a person saves while watching."""

import numpy as np

from models.expressions import CLASS_NAMES
from models.live.moments import new_names, save_moment
from models.live.overlay import Overlay
from models.live.tracking import Tracker
from models.pictures import read_picture
from tests.films import draw_frames
from tests.live import make_analysis, make_frame


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
