"""What the README says must work as it says it: its commands are run, in its order, in a copy of the project."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models.expressions import CLASS_NAMES
from tests.conftest import ROOT, run_script
from tests.fer2013_samples import make_samples, write_csv, write_data_folder
from tests.films import write_film

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = list(dict.fromkeys(re.findall(r"(?:^ {4}|`)python ((?:-m )?[\w./]+(?: [^`\n#]*)?)", README, re.MULTILINE)))
# What a command needs in addition here, where there is no camera, no network, and little time.
ADDED = {
    "demo_camera.py": "--source film.mp4 --no-window",
    "train.py": "--init scratch --input-size 32 --epochs 1 --device cpu",
    "train.py --evaluate": "--device cpu",
    "train.py --resume": "--device cpu",
    "train.py --export": "",
    "train.py --data ck": "--folds 2 --init scratch --input-size 32 --epochs 1 --device cpu",
}
# Run by hand: they install, run all tests, or take minutes.
NOT_RUN = ("-m venv", "-m pip", "-m pytest", "-m R.make_pictures", "-m tests.benchmarks", "-m models.faces.training")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project, with the files of a person's own that the README's commands name."""
    folder = tmp_path_factory.mktemp("readme") / "project"
    ignored = shutil.ignore_patterns(".*", "data", "output", "tests", "__pycache__", "R")
    shutil.copytree(ROOT, folder, ignore=ignored)
    shutil.copytree(ROOT / "input", folder / "photos")
    write_csv(folder / "fer2013.csv", make_samples({"train": 4, "val": 2, "test": 2}))
    write_data_folder(folder / "data")
    write_film(folder / "film.mp4", seconds=2)
    for number, sample in enumerate(make_samples({"train": 4})):
        picture = folder / "ck" / CLASS_NAMES[sample.label] / f"S{number // 7:03d}_001_{number:08d}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        sample.picture.save(picture)
    return folder


def test_every_command_and_example_runs_in_the_readmes_order(project):
    scripts = [command for command in COMMANDS if not command.startswith(NOT_RUN)]
    assert {command.split()[0] for command in scripts} >= {
        "demo_image.py", "demo_camera.py", "demo_image_batch.py", "preprocess.py", "train.py"
    }  # fmt: skip
    for command in scripts:
        if command.startswith("preprocess.py"):
            shutil.rmtree(project / "data")
        result = run_in(project, complete(command))
        assert result.returncode == 0, f"python {command}: {result.stderr[-1000:]}"
    # The examples for programs are run where the commands have left their files.
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(examples) > 1
    for example in examples:
        result = run_in(project, ["-c", example])
        assert result.returncode == 0, result.stderr
        assert "Happy" in result.stdout


def complete(command: str) -> list[str]:
    """The command's words with what it needs here; of choices such as none|flip|ten the first is taken."""
    longest_first = sorted(ADDED, key=len, reverse=True)
    added = next((ADDED[start] for start in longest_first if (command + " ").startswith(start + " ")), "")
    given = shlex.split(re.sub(r"\|[\w|]+", "", command))
    return given + ([] if "--source" in given else shlex.split(added))


def run_in(project: Path, words: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *words], cwd=project, input="1\n", capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("module", sorted({c.split()[1] for c in COMMANDS if c.startswith("-m tests.benchmarks")}))
def test_every_benchmark_is_there_and_tells_what_it_does(module):
    assert run_script("-m", module, "--help").stdout.startswith("usage:")


def test_every_picture_and_file_that_is_linked_is_there():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert len(links) > 3
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_no_placeholder_is_left():
    assert "@" not in README and "TODO" not in README
