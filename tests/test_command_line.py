import argparse
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import demo_image
from models import command_line
from models.classifier import Face
from models.command_line import (
    add_detector_arguments,
    add_model_arguments,
    answer_in_words,
    face_record,
    new_parser,
    not_negative,
    positive,
    script,
)
from models.errors import UserError
from tests.conftest import ROOT, run_script


@pytest.mark.parametrize("error, code, message", [
    (UserError("no data: make it"), 2, "no data: make it"),
    (OSError(28, "No space left on device"), 1, "No space left on device"),
    (KeyboardInterrupt(), 130, "stopped"),
    (ImportError("No module named 'cv2'", name="cv2"), 2, "pip install -r requirements.txt"),
    (ImportError("libGL.so.1: cannot open shared object file: No such file or directory"), 2, "libgl1"),
])  # fmt: skip
def test_what_goes_wrong_ends_in_one_sentence_and_a_code(error, code, message, capsys):
    @script
    def main(argv=None):
        raise error

    assert main([]) == code
    said = capsys.readouterr().err
    assert message in said and said.startswith("test_command_line.py: ") and len(said.splitlines()) == 1


def test_an_error_of_the_programs_own_is_not_hidden():
    @script
    def main(argv=None):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main([])


SCRIPT = "from models.command_line import script\n@script\ndef main(argv=None):\n  {}\n  return 0\nmain()"


def test_a_closed_pipe_ends_quietly():
    code = SCRIPT.format("print('x\\n' * 100_000)")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0
    process.stderr.close()


def test_names_that_the_terminal_cannot_show_are_printed_escaped():
    code = SCRIPT.format("print('a\\udcff.jpg ☺')")
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert result.returncode == 0 and rb"a\udcff.jpg \u263a" in result.stdout


def test_help_shows_defaults_once_and_only_where_there_is_one():
    parser = new_parser("What it does.")
    add_model_arguments(parser)
    add_detector_arguments(parser)
    text = parser.format_help()
    assert "(default: flip)" in text and "None" not in text


def test_numbers_are_checked():
    assert positive(int)("3") == 3
    for text in ("-1", "0", "nan", "inf"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"{text} is no number above 0"):
            positive(float)(text)
    assert not_negative("0") == 0
    for text in ("-0.1", "nan", "inf"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"{text} is not a number from 0 up"):
            not_negative(text)


def make_face(*probabilities: float) -> Face:
    values = np.array(probabilities, np.float32)
    return Face((1, 2, 3, 4), 0.5, NAMES[int(values.argmax())], values)


NAMES = ["calm", "cross", "curious"]


@pytest.mark.parametrize("probabilities, words", [
    ((0.41, 0.21, 0.38), "calm 41.0%, nearly curious 38.0%"),
    ((0.30, 0.375, 0.325), "cross 37.5%, nearly curious 32.5%"),
    ((0.55, 0.40, 0.05), "calm 55.0%"),
    ((1.0, 0.0, 0.0), "calm 100.0%"),
])  # fmt: skip
def test_the_next_class_is_named_where_the_answer_is_not_clear_cut(probabilities, words):
    assert answer_in_words(make_face(*probabilities), NAMES) == words


def test_a_record_has_the_next_class_and_the_margin_beside_what_it_always_had():
    record = face_record(make_face(0.41, 0.21, 0.38), NAMES)
    assert {key: record.pop(key) for key in ("second", "margin")} == {"second": "curious", "margin": 0.03}
    assert record == {
        "box": [1, 2, 3, 4], "detector_score": 0.5, "expression": "calm", "confidence": 0.41,
        "probabilities": {"calm": 0.41, "cross": 0.21, "curious": 0.38},
    }  # fmt: skip
    assert json.dumps(face_record(make_face(1.0), ["calm"])).count('"second": null, "margin": 1.0') == 1


def test_of_two_equally_probable_classes_the_other_is_next():
    assert answer_in_words(make_face(0.2, 0.4, 0.4), NAMES) == "cross 40.0%, nearly curious 40.0%"


def test_a_display_is_known_by_its_variable(monkeypatch):
    monkeypatch.setattr(command_line.sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    assert not command_line.has_display()
    monkeypatch.setenv("DISPLAY", ":1")
    assert command_line.has_display()


@pytest.mark.parametrize("command, code", [
    ("train.py --evaluate --checkpoint missing.pt", 2),
    ("demo_image_batch.py {empty}", 1),
    ("demo_image.py missing.jpg", 2),
])  # fmt: skip
def test_python_is_not_taken_down_under_the_threads_of_torch(tmp_path, command, code):
    """Which aborts, once in many times, a process whose work is done."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "class Kept:\n"
        "    def __del__(self, write=os.write):\n"
        "        write(2, b'Python was taken down')\n"
        "sys.kept_to_the_end = Kept()\n"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    arguments = (argument.format(empty=empty) for argument in command.split())
    result = run_script(*arguments, env={"PYTHONPATH": str(tmp_path)})
    assert result.returncode == code, result.stderr
    assert "missing" in result.stderr or "no picture" in result.stderr
    assert "taken down" not in result.stderr


def test_the_fast_network_and_a_checkpoint_at_once_are_refused(capsys):
    assert demo_image.main(["1", "--fast", "--checkpoint", "a.pt"]) == 2
    assert "take it, or --checkpoint" in capsys.readouterr().err
