"""demo_image_batch.py as a person runs it: the shipped pictures, wrong use, and what it prints."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from demo_image_batch import main
from tests.batch import face, label, many, photos, rows, stand_in  # noqa: F401 - fixtures
from tests.conftest import ROOT

# ruff: noqa: F811 - fixtures are arguments


def test_shipped_pictures_are_labelled_by_the_shipped_weights(tmp_path):
    command = [sys.executable, ROOT / "demo_image_batch.py", "--output", tmp_path, "--detector", "haar"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    answers = {row["file"]: (row["status"], row["expression"]) for row in rows(tmp_path)}
    assert answers["1.jpg"] == answers["4.jpg"] == ("ok", "Happy")
    assert answers["5.jpg"] == ("no-face", "")


@pytest.mark.parametrize(
    "code, arguments",
    [
        (2, ["nowhere"]), (1, ["empty"]), (2, ["photos", "--output", "file"]), (2, ["photos", "--detector", "yunet"]),
        (2, ["photos", "--checkpoint", "file"]), (2, ["photos", "nothing*.jpg"]),
    ],
)  # fmt: skip
def test_wrong_use_is_told_in_a_sentence_and_writes_nothing(photos, capsys, code, arguments):
    Path("empty").mkdir()
    Path("file").touch()
    assert main([*arguments, "--workers", "1"]) == code
    message = capsys.readouterr().err
    assert message and "Traceback" not in message
    assert not Path("output").exists()


def test_json_is_one_object_on_standard_output(photos, label, capsys):
    (photos / "c.jpg").touch()
    assert label(photos, "--json") == 1
    summary = json.loads(capsys.readouterr().out)
    assert summary["pictures"] == 3 and summary["statuses"] == {"ok": 1, "no-face": 1, "unreadable": 1}


def test_many_pictures_are_counted_and_not_listed(many, label, capsys):
    assert label(many) == 0
    printed = capsys.readouterr().out
    assert "pictures: 70" in printed and "69.png" not in printed


def test_names_reach_the_terminal_without_its_codes(photos, label, capsys):
    (photos / "a.jpg").rename(photos / "\x1b[31m\nred.jpg")
    assert label(photos) == 0
    assert "\\x1b[31m\\nred.jpg  ok" in capsys.readouterr().out
