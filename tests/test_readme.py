"""What the README says must work as it says it."""

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT, run_script

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"(?:^ {4}|`)python ((?:-m )?[\w./]+(?: [^`\n]*)?)", README, re.MULTILINE)))


def test_every_picture_and_file_that_is_linked_is_there():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert len(links) > 3
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.split()[0].endswith(".py")])
def test_every_command_names_a_script_and_flags_that_exist(command):
    script, *words = command.split("#")[0].split()
    help_text = run_script(script, "--help").stdout
    assert help_text.startswith("usage:")
    flags = [word for word in words if word.startswith("--")]
    assert [flag for flag in flags if not re.search(rf"{flag}\b", help_text)] == []


def test_the_example_for_programs_runs():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    result = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Happy ") and "'Surprised'" in result.stdout


def test_no_placeholder_is_left():
    assert "@" not in README and "TODO" not in README
