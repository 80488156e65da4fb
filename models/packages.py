"""What a script needs before it can begin, Python and the packages of requirements.txt, and what brings them.

    from models.packages import check_packages

    if __name__ == "__main__":
        check_packages()  # before the imports that need them

Python 3.9 can still read this file and what `models/__init__.py` imports: who has too old a one is told so.
"""

import os
import sys
import sysconfig
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

OLDEST_PYTHON = (3, 11)
# The packages of requirements.txt, by the names that they are imported by.
PACKAGES = {
    "torch": "torch", "torchvision": "torchvision", "numpy": "numpy", "cv2": "opencv-python", "PIL": "pillow",
    "matplotlib": "matplotlib", "tqdm": "tqdm", "av": "av",
}  # fmt: skip
OPENCV_VERSIONS = ">=4.11.0.86,<5"
# Each of them is written into the same folder, cv2.
OPENCVS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
ROOT = Path(__file__).resolve().parents[1]


def check_packages(*modules: str) -> None:
    """Ends the process with 2 and a sentence on stderr where Python is too old or a package is missing.

    Args:
        modules: What the script imports at once, and what may fail although it is there, for a library of the system.
    """
    problem = ""
    try:
        if sys.version_info < OLDEST_PYTHON:
            oldest, this = (".".join(map(str, version)) for version in (OLDEST_PYTHON, sys.version_info[:3]))
            problem = (
                f"Python {oldest} or newer is needed, and {sys.executable} is {this}: install one, and make an "
                "environment with it, such as `python3.13 -m venv .venv`"
            )
        elif missing_packages():
            raise ModuleNotFoundError
        else:
            for module in modules:
                import_module(module)
    except ImportError as error:
        problem = describe_import_error(error)
    if problem:
        print(f"{module_run() or Path(sys.argv[0]).name}: {problem}", file=sys.stderr)
        sys.exit(2)


def module_run() -> str:
    """The module that `python -m models.…` is about to run, while Python imports the packages above it, else ""."""
    words = getattr(sys, "orig_argv", [])
    # Until Python has found the module, argv[0] is "-m".
    module = words[words.index("-m") + 1] if sys.argv[:1] == ["-m"] and "-m" in words else ""
    return module if module.startswith("models.") else ""


def missing_packages() -> list[str]:
    """What requirements.txt lists and this Python does not find; costs a millisecond, since nothing is imported."""
    return [package for module, package in PACKAGES.items() if find_spec(module) is None]


def installed_opencvs() -> list[str]:
    """Those of `OPENCVS` that are installed."""
    from importlib.metadata import distributions  # takes a tenth of Python's own start

    names = {distribution.metadata["Name"] for distribution in distributions()}
    return [name for name in OPENCVS if name in names]


def describe_import_error(error: ImportError) -> str:
    """A sentence that names what is missing, all of it and not the first package alone, and what brings it."""
    text = str(error)
    if ".so" in text and error.name in ("cv2", None):
        return (
            f"OpenCV lacks a library of the system ({text}): on Debian and Ubuntu `apt-get install libgl1 libglib2.0-0`"
            f" brings it, or take the OpenCV that needs none: {opencv_remedy('opencv-python-headless')}"
        )
    *others, last = missing_packages() or [""]
    if last:
        text = (
            f"the packages {', '.join(others)} and {last} are missing" if others else f"the package {last} is missing"
        )
    return f"{text}: {_remedy()}"


def opencv_remedy(wanted: str = "") -> str:
    """The commands that leave one OpenCV, of the versions that the project takes.

    Args:
        wanted: One of `OPENCVS`; by default the one that is installed, or that has what all that are installed have.
    """
    installed = installed_opencvs()
    contrib, headless = (part if any(part in name for name in installed) else "" for part in ("-contrib", "-headless"))
    wanted = wanted or f"opencv{contrib}-python{headless}"
    pip, package = f"{_quoted(sys.executable)} -m pip", f'"{wanted}{OPENCV_VERSIONS}"'
    if set(installed) <= {wanted}:
        return f"`{pip} install --force-reinstall --no-deps {package}`"
    # All of them go: one that is uninstalled takes the others' files along.
    lie = " (which lie over one another)" if len(installed) > 1 else ""
    return f"`{pip} uninstall -y {' '.join(installed)}`{lie}, then `{pip} install {package}`"


def _remedy() -> str:
    """How what requirements.txt lists gets into the Python that runs or, where that is the system's, into .venv."""
    this, environment = _quoted(sys.executable), ROOT / ".venv"
    own = _quoted(environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    install = f"-m pip install -r {_quoted(ROOT / 'requirements.txt')}"
    # Debian, for one, lets pip add nothing to its Python (PEP 668).
    takes_packages = not Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists()
    if sys.prefix != sys.base_prefix or (takes_packages and not environment.exists()):
        return f"install what the project needs with `{this} {install}`"
    make = "" if environment.exists() else f"`{this} -m venv {_quoted(environment)}`, "
    return f"{make}`{own} {install}`, then run it with `{own}`"


def _quoted(path: "str | Path") -> str:
    """A path as a command line takes it, relative to the project's folder where one is there."""
    path = Path(path)
    shown = str(path.relative_to(ROOT) if path.is_relative_to(ROOT) and Path.cwd() == ROOT else path)
    return f'"{shown}"' if " " in shown else shown
