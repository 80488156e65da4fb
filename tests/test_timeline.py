"""Expressions over time, drawn from a log."""

import numpy as np

from models.expressions import CLASS_COLOURS, CLASS_NAMES, class_colour
from models.live.log import ExpressionLog
from models.live.timeline import draw_timeline, read_bands
from models.live.tracking import Tracker
from models.pictures import read_picture
from tests.live import HAPPY, SAD, make_frame, see


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


def test_a_timelines_legend_stays_within_it_however_long_the_names(tmp_path):
    names = [f"an expression with a very long name, number {number}" for number in range(12)]
    log = ExpressionLog(tmp_path / "log.csv", names)
    log.close()
    draw_timeline(log.path, tmp_path / "timeline.png", names)
    plot = read_picture(tmp_path / "timeline.png")
    assert (plot[:, :3] == 255).all() and (plot[:, -3:] == 255).all() and (plot[:3] == 255).all()
    for index in range(12):
        assert (np.abs(plot.astype(int) - class_colour(names[index], index)).max(2) < 3).sum() > 50
