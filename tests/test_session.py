"""The annotation of a film, where every frame counts."""

import os
import time

import numpy as np
import pytest

from models.live.analysis import Analyzer
from models.live.opening import open_source
from models.live.session import Session, annotate_film
from tests.films import read_film, read_rows, write_film
from tests.live import FakeClassifier, FakeDetector


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
