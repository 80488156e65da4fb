"""The recipe of the shipped weights: its steps, what is skipped, what goes on, and the hours of a GPU."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import train
from models.checkpoint import load_checkpoint
from models.files import locked
from models.training import weights
from models.training.weights import RECIPE, Step, finished_run
from tests.benchmarks import gpu
from tests.conftest import ROOT

TINY = {"--input-size": 32, "--epochs": 2, "--batch-size": 16}
SHORT = (
    Step("teacher", 0.5, {**TINY, "--init": "scratch"}),
    Step("student", 0.5, {**TINY, "--corruption": 0.5}, start="teacher", teachers=("teacher",)),
)


@pytest.fixture
def recipe(monkeypatch, narrow):
    """A recipe of two tiny steps, run within this process; the list of train.py's commands."""
    commands = []

    def run(command: list[str]) -> int:
        assert command[1].endswith("train.py")
        commands.append(command[2:])
        return train.main(command[2:])

    monkeypatch.setattr(weights, "RECIPE", SHORT)
    monkeypatch.setattr(weights, "run_to_its_end", run)
    return commands


def make(data, output, *more: str) -> int:
    return weights.main(["--data", str(data), "--output", str(output), "--device", "cpu", *more])


def test_steps_follow_one_another_and_the_last_lines_name_the_weights(recipe, data_folder, tmp_path, capsys):
    assert make(data_folder, tmp_path, "--precision", "fp32") == 0
    student = finished_run(tmp_path, "student")
    assert capsys.readouterr().out.endswith(f"wrote {tmp_path / 'record.md'}\nwrote {student / 'best.pt'}\n")
    config = load_checkpoint(student / "best.pt")["config"]
    assert config["teachers"] == ["best.pt"] and config["corruption"] == 0.5 and config["precision"] == "fp32"
    record = (tmp_path / "record.md").read_text().splitlines()
    assert len(record) == 4 and record[3].startswith("| student | ") and str(student / "train.log") in record[3]


def test_what_is_done_is_not_done_again(recipe, data_folder, tmp_path, capsys):
    assert make(data_folder, tmp_path) == 0
    del recipe[:]
    assert make(data_folder, tmp_path) == 0
    assert not recipe and "student: is there, " in capsys.readouterr().err


def test_a_step_that_was_stopped_goes_on_where_it_was(recipe, data_folder, tmp_path, monkeypatch, capsys):
    asked = iter(range(1000))
    with monkeypatch.context() as patch:
        patch.setattr("models.training.stop.StopSignal.asked", lambda self: next(asked) > 2)
        assert make(data_folder, tmp_path) == 1
    assert "stopped in teacher, see above; the same command goes on" in capsys.readouterr().err
    assert make(data_folder, tmp_path) == 0
    assert recipe[1][0] == "--resume" and len(list((tmp_path / "teacher").glob("*/last.pt"))) == 1


def test_what_other_flags_made_is_not_taken_for_the_result(recipe, data_folder, tmp_path, capsys):
    assert make(data_folder, tmp_path, "--limit", "28") == 0
    assert make(data_folder, tmp_path) == 2
    assert "was made with other flags" in capsys.readouterr().err


def test_a_step_that_train_refuses_ends_the_recipe_with_its_reason(recipe, tmp_path, capsys):
    assert make(tmp_path / "nowhere", tmp_path) == 2
    said = capsys.readouterr().err
    assert "python preprocess.py fer2013.csv" in said and "teacher ended with exit code 2" in said


def test_a_mistake_that_made_nothing_is_no_obstacle_afterwards(recipe, data_folder, tmp_path, capsys):
    assert make(data_folder, tmp_path, "--limit", "1") == 2
    assert make(data_folder, tmp_path) == 0


def test_minutes_are_shared_out_among_the_steps_that_are_left(recipe, data_folder, tmp_path, monkeypatch):
    clock, asked = [0.0], []

    def run(command: list[str]) -> int:
        asked.append(float(command[command.index("--fit-minutes") + 1]))
        clock[0] += 60 * 3  # the first step takes longer than its share
        return train.main([*command[2:], "--fit-minutes", "1"])

    monkeypatch.setattr(weights, "run_to_its_end", run)
    monkeypatch.setattr(weights.time, "monotonic", lambda: clock[0])
    assert make(data_folder, tmp_path, "--minutes", "4") == 0
    start = weights.START_SECONDS / 60
    assert asked == pytest.approx([2 - start, 1 - start], abs=0.01)
    assert "| 2 of 2 |" in (tmp_path / "record.md").read_text()


def test_what_was_made_within_minutes_is_not_taken_for_the_whole_recipe(recipe, data_folder, tmp_path, capsys):
    assert make(data_folder, tmp_path, "--minutes", "5") == 0
    assert make(data_folder, tmp_path, "--minutes", "2") == 0  # to go on with
    assert make(data_folder, tmp_path) == 2
    assert "was made with other flags" in capsys.readouterr().err


def test_two_recipes_do_not_share_a_folder_and_two_trainings_no_run(recipe, data_folder, tmp_path, capsys):
    with locked(tmp_path / ".lock", tmp_path):
        assert make(data_folder, tmp_path) == 2
    assert f"another run is at work in {tmp_path}" in capsys.readouterr().err
    assert make(data_folder, tmp_path) == 0
    student = finished_run(tmp_path, "student")
    with locked(student / ".lock", student):
        assert train.main(["--resume", str(student)]) == 2
    assert f"another run is at work in {student}" in capsys.readouterr().err


def test_the_recipe_is_one_that_train_understands():
    assert sum(step.share for step in RECIPE) == pytest.approx(1)
    for number, step in enumerate(RECIPE):
        flags = [str(part) for pair in step.flags.items() for part in pair]
        assert train.parse_arguments(flags)
        assert {step.start, *step.teachers} <= {None, *(earlier.name for earlier in RECIPE[:number])}
    assert train.parse_arguments([str(p) for pair in RECIPE[-1].flags.items() for p in pair]).arch == "vgg16"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_recipe_waits_until_its_step_has_saved(tmp_path, number):
    child = tmp_path / "child.py"
    child.write_text(
        "import signal, sys, time, pathlib\n"
        "def save(*_):\n    time.sleep(1); pathlib.Path(sys.argv[1], 'saved').touch(); sys.exit(1)\n"
        "signal.signal(signal.SIGINT, save); signal.signal(signal.SIGTERM, save)\n"
        "pathlib.Path(sys.argv[1], 'ready').touch(); time.sleep(60)\n"
    )
    asks = "import sys; from models.training.weights import run_to_its_end as run; sys.exit(40 + run(sys.argv[1:]))"
    command = [sys.executable, "-c", asks, sys.executable, str(child), str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    while not (tmp_path / "ready").exists():
        time.sleep(0.05)
    if number == signal.SIGINT:  # as a terminal does, to all of the group
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    assert process.wait(30) == 41 and (tmp_path / "saved").exists()


# ------------------------------------------------------------------------------------------- minutes on a GPU


def test_compiling_is_chosen_only_where_it_is_clearly_faster_everywhere():
    def rows(mode, *rates):
        return [
            {"training": "train.py", "compile": mode, "input": "48", "batch": str(number),
             "pictures/s": "-" if rate is None else str(rate), "failed": "no memory" if rate is None else ""}
            for number, rate in enumerate(rates)
        ]  # fmt: skip

    plain = rows("off", 100.0, 100.0, 100.0)
    assert gpu.fastest_mode(plain) == gpu.fastest_mode([]) == "off"
    assert gpu.fastest_mode(plain + rows("default", 190.0, 105.0)) == "off"
    assert gpu.fastest_mode(plain + rows("default", 120.0, None) + rows("reduce-overhead", 150.0)) == "reduce-overhead"


def test_weights_are_kept_in_pieces_as_soon_as_they_are_better(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "PIECE", 1000)
    run, kept = tmp_path / "work" / "student" / "a", tmp_path / "kept"
    run.mkdir(parents=True)
    kept.mkdir()
    keeper = gpu.Keeper(tmp_path / "work", kept, seconds=0.02)
    keeper.start()
    for content in (os.urandom(2500), os.urandom(2100)):
        (run / "new.pt").write_bytes(content)
        os.utime(run / "new.pt", ns=(time.time_ns(), time.time_ns()))
        (run / "new.pt").rename(run / "best.pt")
        time.sleep(0.5)
        assert b"".join(file.read_bytes() for file in sorted(kept.glob("best.pt.*"))) == content
    (run / "metrics.csv").write_text("epoch\n1\n")
    os.utime(run / "best.pt")
    keeper.stop()
    assert "epoch" in (kept / "best.txt").read_text()
    assert "2100 bytes" in (kept / "best.txt").read_text()


def test_what_takes_too_long_is_ended_and_its_answer_not_taken(tmp_path):
    with open(tmp_path / "log.txt", "w") as log:
        started = time.monotonic()
        slow = ["-c", "import time; print('half', flush=True); time.sleep(60)"]
        assert gpu.run(slow, log, 1.5, tmp_path / "answer") != 0 and time.monotonic() - started < 20
        assert not (tmp_path / "answer").exists()
        assert gpu.run(["-c", "print(1); print(2); print()"], log, 60, tmp_path / "answer") == 0
    assert (tmp_path / "answer").read_text() == "2\n" and "half" in (tmp_path / "log.txt").read_text()


def test_the_gpu_script_rehearses_on_a_cpu_and_goes_on_without_what_fails(tmp_path, monkeypatch, capsys):
    ran = []

    def run(command, log, seconds=None, last_line_to=None):
        ran.append(command)
        if last_line_to:
            last_line_to.write_text(json.dumps({"rows": []}))
        return 1 if "pytest" in command else 0

    monkeypatch.setattr(gpu, "run", run)
    flags = ["--output", str(tmp_path / "out"), "--work", str(tmp_path / "work"), "--limit", "8", "--minutes", "3"]
    assert gpu.main(flags) == 0 and gpu.main(flags) == 0
    names = [command[1] for command in ran]
    assert names == ["pytest", "tests.benchmarks.training", "models.training.weights", "models.training.weights"]
    minutes = float(ran[2][ran[2].index("--minutes") + 1])
    assert 2.9 < minutes <= 3 and ran[2][ran[2].index("--compile") + 1] == "off"
