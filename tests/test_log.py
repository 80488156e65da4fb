"""The log of a film as a spreadsheet and as other programs open it, whatever the classes are called."""

import csv
import errno

import pytest

from models.expressions import CLASS_NAMES
from models.live.log import ExpressionLog
from models.live.timeline import draw_timeline, read_bands
from tests.batch import AWKWARD
from tests.films import read_rows
from tests.live import make_frame, make_tracks

MARK = b"\xef\xbb\xbf"


def test_the_log_begins_with_the_mark_by_which_spreadsheets_know_utf_8_and_is_read_with_it(tmp_path):
    log = ExpressionLog(tmp_path / "log.csv", ["Ärger", *CLASS_NAMES[1:]])
    log.write(make_frame(number=3, seconds=0.1), make_tracks((10, 20, 60, 60)))
    log.close()
    data = log.path.read_bytes()
    assert data.startswith(MARK + b"time,frame,") and data.count(MARK) == 1 and "ärger" in data.decode()
    assert list(read_bands(log.path)) == [1]
    draw_timeline(log.path, tmp_path / "timeline.png", CLASS_NAMES)


def test_a_log_without_the_mark_is_still_drawn(tmp_path):
    log = ExpressionLog(tmp_path / "log.csv", CLASS_NAMES)
    log.write(make_frame(number=3, seconds=0.1), make_tracks((10, 20, 60, 60)))
    log.close()
    log.path.write_bytes(log.path.read_bytes().removeprefix(MARK))
    assert list(read_bands(log.path)) == [1]


def test_each_class_has_a_column_of_its_own_in_the_log(tmp_path):
    own = ["track", "X", "Reason", "Frame", "time"]
    log = ExpressionLog(tmp_path / "log.csv", [*own, *AWKWARD])
    log.close()
    with log.path.open(newline="", encoding="utf-8-sig") as file:
        (names,) = csv.reader(file, strict=True)
    assert len(set(names)) == len(names) == 9 + len(own) + len(AWKWARD)
    assert names[9:14] == ["class_track", "class_X", "class_Reason", "class_Frame", "class_time"]


def test_ordinary_classes_have_the_columns_of_the_log_that_they_always_had(tmp_path):
    log = ExpressionLog(tmp_path / "log.csv", CLASS_NAMES)
    log.close()
    expected = "time,frame,track,x,y,width,height,expression,confidence,"
    expected += "angry,disgusted,fearful,happy,sad,surprised,neutral\r\n"
    assert log.path.read_bytes() == MARK + expected.encode()


def test_a_disk_too_full_for_the_heading_leaves_no_half_of_it(tmp_path):
    path, opened = tmp_path / "log.csv", []

    class NearlyFull(type(tmp_path)):
        def open(self, *arguments, **options):
            file = super().open(*arguments, **options)

            class Short:
                tell, truncate = file.tell, file.truncate
                write = staticmethod(lambda data: file.write(data[:2]))

            opened.append(file)
            return Short() if "wb" in arguments else file

    with pytest.raises(OSError, match="No space") as raised:
        ExpressionLog(NearlyFull(path), CLASS_NAMES)
    opened[-1].close()
    assert raised.value.errno == errno.ENOSPC and path.read_bytes() == b""


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
