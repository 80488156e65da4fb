"""What is said where Python is too old, a package is missing, or OpenCV is there in part or several times."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from models import packages
from tests.conftest import ROOT, run_script

SCRIPTS = ("preprocess.py", "train.py", "demo_image.py", "demo_camera.py", "demo_image_batch.py")
COMMANDS = [[name] for name in SCRIPTS] + [["-m", "models.faces.training"], ["-m", "models.training.weights"]]
WITHOUT_PACKAGES = ("-S", "-E")  # a Python as it is before anything is installed for it
LIBGL = "libGL.so.1: cannot open shared object file: No such file or directory"


def requirements(name: str) -> dict[str, str]:
    """Package → versions, as a requirements file lists them."""
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    return dict(re.fullmatch(r"([\w-]+)(.*)", line).groups() for line in lines)


def assert_one_sentence(result: subprocess.CompletedProcess, command: list[str], *parts: str) -> None:
    assert result.returncode == 2 and result.stdout == "", result.stderr
    assert result.stderr.startswith(f"{command[-1]}: ") and len(result.stderr.splitlines()) == 1, result.stderr
    assert [part for part in parts if part not in result.stderr] == [], result.stderr


def test_what_is_asked_for_is_what_the_projects_files_ask_for():
    needed = requirements("requirements.txt")
    assert set(packages.PACKAGES.values()) == needed.keys()
    assert needed["opencv-python"] == packages.OPENCV_VERSIONS
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["requires-python"] == ">=" + ".".join(map(str, packages.OLDEST_PYTHON))


@pytest.mark.parametrize("name", ["requirements.txt", "tests/requirements.txt"])
def test_each_package_has_a_floor_that_can_be_installed_as_it_stands(name):
    for package, versions in requirements(name).items():
        assert re.fullmatch(r">=[\d.]+(,<\d+)?", versions), package


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_forgotten_packages_are_named_at_once_with_their_remedy(command):
    result = run_script(*WITHOUT_PACKAGES, *command)
    assert_one_sentence(result, command, " and av are missing: ", "torch, ", "opencv-python, ", "-r requirements.txt`")


def test_a_single_package_is_named_for_a_script_and_an_import_that_comes_later(monkeypatch):
    monkeypatch.setattr(packages, "find_spec", lambda module: None if module == "cv2" else True)
    error = ModuleNotFoundError("No module named 'cv2'", name="cv2")
    assert packages.describe_import_error(error).startswith("the package opencv-python is missing: ")


def test_an_import_that_fails_though_all_is_there_keeps_its_words(monkeypatch):
    monkeypatch.setattr(packages, "find_spec", lambda module: True)
    said = packages.describe_import_error(ImportError("cannot import name 'A' from 'b'"))
    assert said.startswith("cannot import name 'A' from 'b': ")


@pytest.mark.parametrize("command", [*COMMANDS[:2], *COMMANDS[4:]], ids=" ".join)
def test_a_library_of_the_system_that_opencv_lacks_is_said(tmp_path, command):
    (tmp_path / "cv2.py").write_text(f"raise ImportError({LIBGL!r})")
    result = run_script(*command, env={"PYTHONPATH": str(tmp_path)})
    assert_one_sentence(result, command, LIBGL, "libgl1", f'"opencv-python-headless{packages.OPENCV_VERSIONS}"')


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_python_that_is_too_old_is_said(tmp_path, command):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.version_info = (3, 10, 4, 'final', 0)\n")
    result = run_script(*command, env={"PYTHONPATH": str(tmp_path)})
    assert_one_sentence(result, command, "Python 3.11 or newer is needed", "is 3.10.4: ", "-m venv")


@pytest.mark.parametrize(
    "name", [*SCRIPTS, *(f"models/{name}.py" for name in ("__init__", "packages", "expressions", "threads"))]
)
def test_an_old_python_can_read_what_comes_before_the_check(name):
    ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 9))


@pytest.mark.parametrize("python", ["python3.9", "python3.10"])
def test_an_old_python_says_so(python):
    try:
        result = subprocess.run([python, "-B", "demo_image.py"], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip(f"{python} is not here")
    if result.returncode == 127:
        pytest.skip(f"{python} stands for none that is here")
    assert_one_sentence(result, ["demo_image.py"], "Python 3.11 or newer is needed")


def test_a_program_of_ones_own_is_never_ended(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "__init__.py").write_text("import models")
    (own / "__main__.py").write_text("print('goes on')")
    result = run_script("-S", "-m", "own", "models.training.weights", env={"PYTHONPATH": str(tmp_path)})
    assert result.returncode == 0 and result.stdout == "goes on\n", result.stderr


@pytest.fixture
def installed(monkeypatch):
    return lambda *names: monkeypatch.setattr(packages, "installed_opencvs", lambda: list(names))


@pytest.mark.parametrize("name", packages.OPENCVS)
def test_the_opencv_that_is_installed_is_put_in_its_own_place(installed, name):
    installed(name)
    assert f'install --force-reinstall --no-deps "{name}{packages.OPENCV_VERSIONS}"' in packages.opencv_remedy()
    assert "uninstall" not in packages.opencv_remedy()


@pytest.mark.parametrize("names, left", [
    (("opencv-python", "opencv-python-headless"), "opencv-python-headless"),
    (("opencv-python", "opencv-contrib-python"), "opencv-contrib-python"),
    (("opencv-python-headless", "opencv-contrib-python"), "opencv-contrib-python-headless"),
])  # fmt: skip
def test_of_several_opencvs_one_is_left(installed, names, left):
    installed(*names)
    remedy = packages.opencv_remedy()
    assert f"uninstall -y {' '.join(names)}` (which lie over one another), then " in remedy
    assert remedy.endswith(f'install "{left}{packages.OPENCV_VERSIONS}"`')


def test_an_opencv_without_windows_is_not_laid_over_one_with_them(installed):
    installed("opencv-python")
    remedy = packages.opencv_remedy("opencv-python-headless")
    assert "uninstall -y opencv-python`, then" in remedy and '"opencv-python-headless>=' in remedy


def test_installed_opencvs_are_told_by_their_distributions(monkeypatch, tmp_path):
    folder = tmp_path / "opencv_python_headless-5.0.0.93.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: opencv-python-headless\nVersion: 5.0.0.93\n")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert packages.installed_opencvs() == ["opencv-python-headless"]


@pytest.fixture
def system_python(monkeypatch, tmp_path):
    """A Python outside of any environment, and an empty folder of the project's; returns its standard library."""
    library = tmp_path / "library"
    library.mkdir()
    monkeypatch.setattr("sys.base_prefix", "/usr")
    monkeypatch.setattr("sys.prefix", "/usr")
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(library))
    monkeypatch.setattr(packages, "ROOT", tmp_path)
    return library


def test_packages_go_into_the_python_that_runs(system_python):
    assert f"`{packages.sys.executable} -m pip install -r {packages.ROOT / 'requirements.txt'}`" in packages._remedy()


def test_a_python_that_takes_no_packages_gets_an_environment(system_python):
    (system_python / "EXTERNALLY-MANAGED").touch()
    environment = Path(packages.ROOT, ".venv")
    made, filled, run = packages._remedy().split(", ")
    assert made == f"`{packages.sys.executable} -m venv {environment}`"
    assert filled.startswith(f"`{environment}/bin/python -m pip install -r ") and run.startswith("then run it with")


def test_the_projects_environment_is_pointed_to(system_python):
    Path(packages.ROOT, ".venv").mkdir()
    assert packages._remedy().startswith(f"`{packages.ROOT}/.venv/bin/python -m pip install -r ")
