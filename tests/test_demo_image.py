import io
import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import demo_image
from models.classifier import ExpressionClassifier
from models.drawing import MARGIN
from models.expressions import CLASS_COLOURS
from models.pictures import read_picture, write_picture
from models.results import mark, result_path
from tests.conftest import ROOT, run_script


@pytest.fixture(autouse=True)
def in_the_projects_folder(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def classifier() -> ExpressionClassifier:
    return ExpressionClassifier.load(device="cpu")


def test_a_name_without_extension_or_a_path_is_labelled_and_drawn(tmp_path, capsys):
    shutil.copy(ROOT / "input" / "4.jpg", tmp_path / "my photo.jpg")
    assert demo_image.main(["1", str(tmp_path / "my photo.jpg"), "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert said.count("face 1: Happy") == 2
    for name in ("1-result.jpg", "my photo-result.jpg"):
        assert str(tmp_path / "out" / name) in said
        assert read_picture(tmp_path / "out" / name).shape[1] > 600


def test_json_is_one_list_with_all_probabilities(tmp_path, capsys):
    assert demo_image.main(["1.jpg", "5.jpg", "--json", "--output", str(tmp_path)]) == 1
    first, second = json.loads(capsys.readouterr().out)
    (face,) = first["faces"]
    assert face["expression"] == "Happy" and face["probabilities"]["Happy"] == face["confidence"]
    assert list(face["probabilities"]) == ["Angry", "Disgusted", "Fearful", "Happy", "Sad", "Surprised", "Neutral"]
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=0.01)
    assert second["status"] == "no-face" and second["faces"] == []


def test_no_face_is_said_and_not_guessed(tmp_path, capsys):
    assert demo_image.main(["5.jpg", "--output", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "no face of 24 pixels or more found: --min-face 12 looks" in said and "--whole-image" in said
    assert "face 1:" not in said
    assert demo_image.main(["5.jpg", "--min-face", "12", "--output", str(tmp_path)]) == 1
    assert "no face of 12 pixels or more found: another --detector" in capsys.readouterr().out
    assert (tmp_path / "5-result.jpg").exists()


def test_whole_image_answers_without_looking_for_a_face(tmp_path, capsys):
    assert demo_image.main(["5.jpg", "--whole-image", "--output", str(tmp_path)]) == 0
    assert "face 1:" in capsys.readouterr().out


def test_an_unreadable_picture_does_not_stop_the_others(tmp_path, capsys):
    (tmp_path / "broken.jpg").write_bytes((ROOT / "input" / "1.jpg").read_bytes()[:5000])
    assert demo_image.main([str(tmp_path / "broken.jpg"), "absent", "1", "--output", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "face 1: Happy" in captured.out
    assert len(captured.err.strip().splitlines()) == 3 and "absent: there is no such picture" in captured.err


def test_nothing_readable_is_wrong_use(tmp_path):
    assert demo_image.main(["absent", "--output", str(tmp_path)]) == 2


def test_pictures_that_differ_in_their_extension_alone_both_get_a_result(tmp_path):
    shutil.copy(ROOT / "input" / "4.jpg", tmp_path / "a.jpg")
    shutil.copy(ROOT / "input" / "5.jpg", tmp_path / "a.jpeg")
    demo_image.main([str(tmp_path / "a.jpg"), str(tmp_path / "a.jpeg"), "--output", str(tmp_path / "out")])
    assert sorted(os.listdir(tmp_path / "out")) == ["a-result.jpg", "a.jpeg-result.jpg"]


def copies(tmp_path: Path, *names: str) -> list[str]:
    """The paths of copies of one picture, small enough to be read at once."""
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_picture(tmp_path / name, read_picture(ROOT / "input" / "4.jpg")[::2, ::2])
    return [str(tmp_path / name) for name in names]


def test_each_picture_has_a_result_of_its_own_which_it_replaces_itself(tmp_path, capsys):
    pictures = copies(tmp_path, "a/face.jpg", "b/face.jpg", "c/Face.jpg", "d/face.png")
    arguments = ["--json", "--whole-image", "--device", "cpu", "--output", str(tmp_path / "out")]
    assert demo_image.main([*pictures, *arguments]) == 0
    first = [entry["result"] for entry in json.loads(capsys.readouterr().out)]
    names = ["face-result.jpg", "face-result-2.jpg", "Face-result-3.jpg", "face-result-4.jpg"]
    assert first == [str(tmp_path / "out" / name) for name in names]
    assert sorted(os.listdir(tmp_path / "out")) == sorted(names)
    os.utime(first[2], (0, 0))
    assert demo_image.main([*reversed(pictures), *arguments]) == 0
    assert [entry["result"] for entry in json.loads(capsys.readouterr().out)] == first[::-1]
    assert sorted(os.listdir(tmp_path / "out")) == sorted(names) and os.stat(first[2]).st_mtime > 0
    content = b"".join(Path(path).read_bytes() for path in first)
    assert tmp_path.name.encode() not in content


def test_a_file_that_is_not_the_pictures_result_is_never_replaced(tmp_path, capsys):
    (picture,) = copies(tmp_path, "face.jpg")
    out = tmp_path / "out"
    (out / "face-result-3.jpg").mkdir(parents=True)
    own_files = {"face-result.jpg": Path(picture).read_bytes(), "FACE-result-2.JPG": b"", "face-result.png": b"mine"}
    for name, content in own_files.items():
        (out / name).write_bytes(content)
    for _ in range(2):
        assert demo_image.main([picture, "--whole-image", "--device", "cpu", "--output", str(out)]) == 0
        assert f"wrote {out / 'face-result-4.jpg'}" in capsys.readouterr().out
    assert {name: (out / name).read_bytes() for name in own_files} == own_files
    assert sorted(os.listdir(out)) == sorted([*own_files, "face-result-3.jpg", "face-result-4.jpg"])


def test_a_result_is_known_again_where_a_name_before_it_has_become_free(tmp_path):
    first, second = (Path(path) for path in copies(tmp_path, "a/face.jpg", "b/face.jpg"))
    pixels = read_picture(first)
    for picture in (first, second):
        write_picture(result_path(tmp_path, picture), pixels, comment=mark(picture))
    (tmp_path / "face-result.jpg").unlink()
    assert result_path(tmp_path, second) == tmp_path / "face-result-2.jpg"
    assert result_path(tmp_path, first) == tmp_path / "face-result.jpg"


def test_a_name_with_an_accent_written_in_another_way_is_taken(tmp_path):
    (tmp_path / "café-result.jpg").touch()
    assert result_path(tmp_path, Path("cafe\u0301.jpg")).name == "cafe\u0301-result-2.jpg"


def test_a_picture_above_the_limit_is_refused_with_the_flag_that_reads_it(tmp_path, capsys):
    (picture,) = copies(tmp_path, "face.png")
    arguments = [picture, "--whole-image", "--device", "cpu", "--output", str(tmp_path)]
    assert demo_image.main([*arguments, "--max-megapixels", "0.01"]) == 2
    assert "the limit is 0.01 megapixels): --max-megapixels 1 reads it" in capsys.readouterr().err
    assert demo_image.main([*arguments, "--max-megapixels", "1"]) == 0
    Image.new("1", (12_000, 9_000)).save(tmp_path / "large.png")
    assert demo_image.main([str(tmp_path / "large.png"), *arguments[1:]]) == 2
    assert "(12000 x 9000 pixels; the limit is 64 megapixels): --max-megapixels 108 " in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_it_asks_lists_what_is_there_on_a_wrong_name_and_leaves_on_ctrl_d(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal("11\n\n1\n"))
    assert demo_image.main(["--output", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("Image name: ") == 4
    assert "There is no picture 11. In input/ there is: 1.jpg, 2.jpg, 3.jpg, 4.jpg, 5.jpg" in captured.err
    assert captured.out.count("face 1: Happy") == 1


def test_names_are_read_from_a_pipe_without_asking(tmp_path):
    result = run_script("demo_image.py", "--output", tmp_path, input="1.jpg\n4\n")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Happy") == 2 and "Image name" not in result.stderr


def test_leaving_at_once_is_quiet(tmp_path):
    result = run_script("demo_image.py", "--output", tmp_path, input="")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_computed_in_is_said_once_beside_the_answers(precision, tmp_path, capsys):
    flags = ["--precision", precision, "--device", "cpu", "--json", "--output", str(tmp_path)]
    assert demo_image.main(["1", "4", *flags]) == 0
    printed = capsys.readouterr()
    threads = r"\d+ threads?( instead.*|, as.*)?"
    assert re.fullmatch(rf"computing on cpu in {precision}, {threads}; faces by .*\n", printed.err)
    assert len(json.loads(printed.out)) == 2


def test_show_without_a_display_is_a_sentence(capsys, monkeypatch):
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert demo_image.main(["1", "--show"]) == 2
    assert "leave --show out" in capsys.readouterr().err


def test_a_full_disk_is_a_sentence(tmp_path, capsys, monkeypatch):
    def full(path, picture, comment):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo_image, "write_picture", full)
    assert demo_image.main(["1", "--output", str(tmp_path)]) == 1
    assert "No space left on device" in capsys.readouterr().err


def test_help_is_quick_since_it_imports_no_torch():
    result = run_script("-X", "importtime", "demo_image.py", "--help")
    assert result.returncode == 0 and "python demo_image.py 1.jpg" in result.stdout
    assert not any(line.rstrip().endswith(" torch") for line in result.stderr.splitlines())


def test_another_checkpoint_brings_its_own_classes(untrained_checkpoint, tmp_path, capsys):
    assert demo_image.main(["1", "--checkpoint", str(untrained_checkpoint), "--output", str(tmp_path)]) == 0
    assert demo_image.main(["1", "--checkpoint", str(tmp_path / "absent.pt"), "--output", str(tmp_path)]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_explain_shows_where_the_expression_is_seen_and_class_asks_about_another(tmp_path, capsys):
    for flags in ([], ["--explain"], ["--explain", "--class", "Angry"], ["--explain", "--whole-image"]):
        assert demo_image.main(["4", *flags, "--output", str(tmp_path / "".join(flags))]) == 0
    plain, own, other, whole = (
        read_picture(tmp_path / name / "4-result.jpg").astype(int)
        for name in ("", "--explain", "--explain--classAngry", "--explain--whole-image")
    )
    assert own.shape == other.shape and own.shape[1] > plain.shape[1] + 200 and whole.shape[1] > plain.shape[1] + 200
    beside = plain.shape[1] - MARGIN  # the bars end here
    assert np.abs(own[:, :beside] - plain[:, :beside]).max() < 40  # JPEG's own difference
    assert (np.abs(own - other)[:, beside:].max(2) > 40).sum() > 2000


def test_the_smile_is_where_a_happy_face_is_seen(classifier):
    picture = read_picture(ROOT / "input" / "1.jpg")
    (explanation,) = classifier.explain(classifier.analyze(picture))
    heat, side = explanation.heat, explanation.heat.shape[0]
    assert explanation.class_name == "Happy"
    assert heat[side // 2 :].sum() > 0.7 * heat.sum()


def test_json_is_the_same_with_explanations(tmp_path, capsys):
    answers = []
    for flags in ([], ["--explain", "--emoji"]):
        assert demo_image.main(["4", "--json", *flags, "--output", str(tmp_path)]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]


def test_an_unknown_class_is_answered_with_the_names_and_class_needs_explain(tmp_path, capsys):
    assert demo_image.main(["4", "--explain", "--class", "Hapy", "--output", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "no class Hapy" in said.err and "Angry, Disgusted, Fearful, Happy, Sad, Surprised, Neutral" in said.err
    assert len(said.err.splitlines()) == 1 and said.out == "" and not list(tmp_path.iterdir())
    assert demo_image.main(["4", "--class", "Happy", "--output", str(tmp_path)]) == 2
    assert "add --explain" in capsys.readouterr().err


def test_emoji_draws_the_little_face_of_the_expression(tmp_path, capsys):
    for flags in ([], ["--emoji"]):
        assert demo_image.main(["4", *flags, "--output", str(tmp_path / "".join(flags))]) == 0
    plain, drawn = (read_picture(tmp_path / name / "4-result.jpg").astype(int) for name in ("", "--emoji"))
    happy = (np.abs(picture - CLASS_COLOURS["Happy"]).max(2) < 40 for picture in (plain, drawn))
    before, after = (int(near.sum()) for near in happy)
    assert plain.shape == drawn.shape and after > before + 400
