"""demo_camera.py as a person runs it: what it makes of a film, what it says, and how it ends."""

import re
import signal
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import demo_camera
from models.classifier import FAST, ExpressionClassifier
from tests.camera_demo import QUIET, film, is_all_that_was_said, network_camera, start, wait_for  # noqa: F401
from tests.conftest import run_script
from tests.films import encode, lay, read_face, read_film, read_rows, read_sounds, read_times, remux, write_film

# ruff: noqa: F811 - fixtures are arguments


def centres(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array([float(row["x"]) + float(row["width"]) / 2 for row in rows])


def test_a_film_is_annotated_logged_and_drawn_without_a_display(film, tmp_path):
    record, log, timeline = tmp_path / "annotated.mp4", tmp_path / "log.csv", tmp_path / "timeline.png"
    done = run_script(
        "demo_camera.py", "--source", film, "--no-window", "--record", record, "--log", log, "--timeline", timeline,
        env=QUIET,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert is_all_that_was_said(done.stderr), done.stderr
    assert done.stdout.splitlines()[-3:] == [f"wrote {path}" for path in (record, log, timeline)]
    assert "60 frames" in done.stdout and timeline.stat().st_size > 1000

    frames, rate = read_film(record)
    assert len(frames) == 60 and rate == 15
    rows = read_rows(log)
    assert {row["track"] for row in rows if float(row["time"]) < 0.99} == {""}  # the empty second
    rows = [row for row in rows if row["track"]]
    faces = {row["track"] for row in rows}
    tracks = [[row for row in rows if row["track"] == number] for number in sorted(faces, key=int)]
    longest, other = sorted(tracks, key=len, reverse=True)[:2]
    assert len(longest) >= 20 and float(longest[-1]["time"]) > 3.8  # one face is one track, to the end
    assert centres(longest)[-1] - centres(longest)[0] > 20  # which moved to the right
    assert all(1.9 <= float(row["time"]) < 3.1 for row in other) and centres(other).min() > 200


def test_a_film_of_variable_rate_is_logged_recorded_and_counted_in_its_own_time(tmp_path):
    """A face appears at 10.000 s, as a phone or a screen recorder would tell it, and stays until 13."""
    times = [*(number / 2 for number in range(20)), *(10 + number / 30 for number in range(61))]
    empty, face = np.full((240, 320, 3), (120, 110, 100), np.uint8), read_face("1.jpg", 240)
    pictures = [empty if time < 10 else cv2.copyMakeBorder(face, 0, 0, 40, 40, cv2.BORDER_REPLICATE) for time in times]
    for suffix in (".mp4", ".webm", ".mkv"):
        sound = "libopus" if suffix == ".webm" else "aac"
        film = encode(tmp_path / f"film{suffix}", pictures, times, last=1.0, sounds=[sound])
        record, log = tmp_path / f"annotated{suffix}", tmp_path / f"log{suffix}.csv"
        arguments = ["--source", str(film), "--no-window", "--record", str(record), "--log", str(log)]
        assert demo_camera.main(arguments) == 0
        rows = read_rows(log)
        assert next(row["time"] for row in rows if row["track"]) == "10.000"
        assert [row["time"] for row in rows if not row["track"]] == [f"{number / 2:.3f}" for number in range(20)]
        assert read_times(record) == pytest.approx([*times, 13.0], abs=0.05)  # sound ends where its last packet does
        assert len(read_sounds(record)) == 1


def test_the_summary_tells_tracks_and_each_expressions_share_of_the_time_with_a_face(film, capsys):
    assert demo_camera.main(["--source", str(film), "--no-window", "--every", "0.5"]) == 0
    said = capsys.readouterr().out.splitlines()[-2:]
    assert re.fullmatch(r"60 frames, 4.0 s of film in [\d.]+ s; 2 tracks, a face for 3.0 s", said[0])
    assert sum(int(share) for share in re.findall(r"(\d+)%", said[1])) in (99, 100, 101)


@pytest.mark.parametrize("every", [0.2, 1.0])
def test_every_sets_how_often_a_film_is_analysed(every, film, tmp_path, untrained_checkpoint):
    log = tmp_path / "log.csv"
    flags = ["--no-window", "--every", str(every), "--log", str(log), "--checkpoint", str(untrained_checkpoint)]
    assert demo_camera.main(["--source", str(film), *flags]) == 0
    times = sorted({float(row["time"]) for row in read_rows(log)})
    assert len(times) == 4 / every and np.diff(times) == pytest.approx(every, abs=0.07)


def test_at_a_cut_the_next_person_is_another_track_with_a_label_of_their_own(tmp_path, capsys):
    """Happy in 1.jpg; another, neutral, at the same place after 1.5 s, in the same room."""
    side, room = 200, np.full((240, 320, 3), (120, 110, 100), np.uint8)
    pictures = []
    for name in ("1.jpg", "3.jpg"):
        picture = room.copy()
        picture[20 : 20 + side, 60 : 60 + side] = read_face(name, side)
        pictures.append(picture)
    times = [number / 30 for number in range(90)]
    film = encode(tmp_path / "film.mp4", [pictures[time >= 1.5] for time in times], times)
    log = tmp_path / "log.csv"
    assert demo_camera.main(["--source", str(film), "--no-window", "--log", str(log)]) == 0
    rows = [row for row in read_rows(log) if row["track"]]
    first, second = ([row for row in rows if row["track"] == number] for number in ("1", "2"))
    assert len(first) + len(second) == len(rows) and "2 tracks" in capsys.readouterr().out
    assert max(float(row["time"]) for row in first) < 1.5 and second[0]["time"] == "1.500"
    assert {row["expression"] for row in first} == {"Happy"} and second[0]["expression"] != "Happy"


def test_a_mirrored_phone_film_is_read_as_the_same_film_upright(film, tmp_path):
    """What a front camera writes: rows upside down, and a display matrix that says so."""
    frames, rate = read_film(film)
    times = [number / rate for number in range(len(frames))]
    stored = lay(encode(tmp_path / "phone.mp4", [cv2.flip(frame, 0) for frame in frames], times, rate), (1, 0, 0, -1))
    seen = []
    for number, source in enumerate((film, stored)):
        log = tmp_path / f"{number}.csv"
        assert demo_camera.main(["--source", str(source), "--no-window", "--log", str(log)]) == 0
        seen.append([(row["time"], row["track"], row["expression"]) for row in read_rows(log)])
    alike = sum(one == other for one, other in zip(*seen))
    assert len(seen[0]) == len(seen[1]) and alike > 0.9 * len(seen[0])


def test_a_film_that_breaks_off_is_annotated_as_far_as_it_goes(film, tmp_path, capsys):
    broken = remux(film, tmp_path / "broken.mkv")
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    record = tmp_path / "annotated.mp4"
    assert demo_camera.main(["--source", str(broken), "--no-window", "--record", str(record)]) == 1
    said = capsys.readouterr()
    assert "breaks off" in said.err and f"wrote {record}" in said.out and len(read_film(record)[0]) > 20


def test_emoji_draws_little_faces_into_the_recording(film, tmp_path):
    recordings = [tmp_path / "plain.mp4", tmp_path / "emoji.mp4"]
    for path, flags in zip(recordings, ([], ["--emoji"])):
        arguments = ["--source", str(film), "--no-window", "--max-frames", "20", "--record", str(path), *flags]
        assert demo_camera.main(arguments) == 0
    plain, drawn = (read_film(path)[0][-1].astype(int) for path in recordings)
    assert (np.abs(plain - drawn).max(2) > 60).sum() > 150


def test_without_a_camera_it_says_what_else_to_name():
    done = run_script("demo_camera.py", "--source", "63", env=QUIET)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("demo_camera.py: there is no camera 63") and "--source" in done.stderr


@pytest.fixture
def long_film(tmp_path) -> Path:
    """Three thousand small frames of noise: 30 MB as mp4."""
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    pictures = (np.roll(noise, number, 0) for number in range(3000))
    encode(tmp_path / "long.mp4", pictures, [number / 60 for number in range(3000)], 60)
    return tmp_path / "long.mp4"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_film_in_part_and_what_was_recorded_can_be_played(
    name, long_film, tmp_path, untrained_checkpoint
):
    record = tmp_path / "annotated.mp4"
    process = start("--source", long_film, "--no-window", "--record", record, "--checkpoint", untrained_checkpoint)
    wait_for(lambda: process.poll() is not None or (record.exists() and record.stat().st_size > 100_000))
    process.send_signal(getattr(signal, name))
    _, error = process.communicate(timeout=200)
    assert process.returncode == 1 and "stopped after" in error
    assert 5 < len(read_film(record)[0]) < 3000


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
def test_a_signal_ends_a_live_source_well(network_camera, untrained_checkpoint):
    network_camera.picture = read_face("1.jpg", 240)
    url = f"http://127.0.0.1:{network_camera.server_port}/video.mjpg"
    process = start("--source", url, "--no-window", "--checkpoint", untrained_checkpoint)
    lines = iter(process.stdout.readline, "")
    assert "face 1" in next(lines)
    process.send_signal(signal.SIGTERM)
    output, error = process.communicate(timeout=200)
    assert process.returncode == 0 and is_all_that_was_said(error), error
    assert "1 track, a face for" in output


def test_a_film_without_a_face_is_nothing_found(tmp_path, untrained_checkpoint, capsys):
    empty = write_film(tmp_path / "empty.mp4", seconds=0.9)
    assert demo_camera.main(["--source", str(empty), "--no-window", "--checkpoint", str(untrained_checkpoint)]) == 1
    assert "no face was found" in capsys.readouterr().err


def test_it_ends_after_the_frames_asked_for(film, untrained_checkpoint, tmp_path, capsys):
    arguments = ["--source", str(film), "--no-window", "--max-frames", "20", "--checkpoint", str(untrained_checkpoint)]
    assert demo_camera.main([*arguments, "--record", str(tmp_path / "annotated.mp4")]) == 0
    assert len(read_film(tmp_path / "annotated.mp4")[0]) == 20
    assert "20 frames" in capsys.readouterr().out


@pytest.mark.parametrize("seconds, flags, said", [
    (0.3, [], "the accurate network takes 300 ms a face here"), (0.05, [], ""), (0.3, ["--no-fast"], ""),
    (0.3, ["--fast"], ""),
])  # fmt: skip
def test_where_the_accurate_network_is_too_slow_for_live_pictures_the_fast_one_is_taken(
    seconds, flags, said, network_camera, capsys, monkeypatch
):
    loaded = []

    def load(checkpoint, *rest):
        loaded.append(checkpoint)
        return real(FAST, *rest)

    real = ExpressionClassifier.load
    monkeypatch.setattr(ExpressionClassifier, "load", load)
    monkeypatch.setattr(ExpressionClassifier, "seconds_a_face", lambda _: seconds)
    url = f"http://127.0.0.1:{network_camera.server_port}/video.mjpg"
    arguments = ["--source", url, "--no-window", "--max-frames", "2", *flags]
    assert demo_camera.main(arguments) == 0
    error = capsys.readouterr().err
    assert said in error and (said or "--no-fast" not in error)
    assert loaded == ([None, FAST] if said else [FAST if flags == ["--fast"] else None])


def test_a_film_is_annotated_by_the_accurate_network_however_long_it_takes(film, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ExpressionClassifier, "seconds_a_face", lambda _: pytest.fail("a film is in no hurry"))
    arguments = ["--source", str(film), "--no-window", "--max-frames", "2", "--log", str(tmp_path / "log.csv")]
    assert demo_camera.main(arguments) == 1  # these frames have no face
    assert "--no-fast" not in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--record", "--log", "--timeline"])
def test_no_file_is_written_over(flag, film, tmp_path, capsys):
    files = {"--record": tmp_path / "a.mp4", "--log": tmp_path / "a.csv", "--timeline": tmp_path / "a.png"}
    files[flag].write_text("mine")
    arguments = [str(part) for pair in files.items() for part in pair]
    assert demo_camera.main(["--source", str(film), "--no-window", *arguments]) == 2
    assert "not written over" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--source", "missing.mp4"], "there is no missing.mp4"),
        (["--timeline", "a.png"], "add --log"),
        (["--source", "input", "--no-window"], "is a folder"),
    ],
)
def test_wrong_use_is_one_sentence(arguments, message, capsys):
    assert demo_camera.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
