"""Opening a source by its name: what gives no frames is told in a sentence, and without a password."""

import shutil

import cv2
import pytest

from models.live import opening
from models.live.opening import open_source
from models.live.sources import SourceError
from tests.films import grey, only_sound, write_film


@pytest.mark.parametrize(
    "name, message",
    [
        ("missing.mp4", "there is no"),
        ("a" * 300 + ".mp4", "there is no"),
        (".", "is a folder"),
        ("empty.mp4", "cannot be read as a video"),
        ("damaged.mp4", "cannot be read as a video"),
        ("picture.jpg", "is a picture"),
        ("%04d.jpg", "no picture is named"),
    ],
)
def test_a_file_that_gives_no_frames_is_told_in_one_sentence_alone(name, message, tmp_path, capfd):
    (tmp_path / "empty.mp4").touch()
    film = write_film(tmp_path / "whole.mp4", seconds=1)
    (tmp_path / "damaged.mp4").write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    shutil.copy("input/5.jpg", tmp_path / "picture.jpg")
    with pytest.raises(SourceError, match=message):
        open_source(str(tmp_path / name))
    assert capfd.readouterr() == ("", "")  # OpenCV and FFmpeg keep quiet


@pytest.mark.parametrize("name, message", [
    ("notes.txt", "is a text"), ("picture.mp4", "is a picture"), ("sound.m4a", "sound alone"),
    ("cover.m4a", "sound alone"),
])  # fmt: skip
def test_what_is_no_film_is_told(name, message, tmp_path):
    path = tmp_path / name
    if name == "notes.txt":
        path.write_text("words\n" * 500)
    elif name == "picture.mp4":
        cv2.imwrite(str(tmp_path / "a.png"), grey(9))
        (tmp_path / "a.png").rename(path)
    else:
        only_sound(path, with_cover=name == "cover.m4a")
    with pytest.raises(SourceError, match=message):
        open_source(str(path))


def test_a_file_without_permission_is_told(tmp_path, monkeypatch):
    film = write_film(tmp_path / "film.mp4", seconds=0.2)
    monkeypatch.setattr(opening.os, "access", lambda *_: False)
    with pytest.raises(SourceError, match="permission"):
        open_source(str(film))


def test_a_stream_that_does_not_answer_is_told():
    with pytest.raises(SourceError, match="is the address right"):
        open_source("http://127.0.0.1:9/nothing")


def test_the_message_about_a_stream_that_does_not_answer_has_no_password():
    with pytest.raises(SourceError) as caught:
        open_source("http://me:hush@127.0.0.1:9/nothing?key=hush")
    assert "127.0.0.1:9/nothing" in str(caught.value) and "hush" not in str(caught.value)
