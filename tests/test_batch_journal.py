"""What is done is kept, however a run is stopped: by a kill, a full disk or Ctrl-C."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.batch.journal import Journal
from models.batch.records import OK, Record
from tests.batch import face, files, label, lines_done, many, photos, rows, stand_in, start  # noqa: F401 - fixtures

# ruff: noqa: F811 - fixtures are arguments


def wait_for_lines(count: int, process: subprocess.Popen) -> None:
    while process.poll() is None and lines_done() < count:
        time.sleep(0.005)


def test_killed_at_any_moment_a_run_goes_on_and_ends_with_the_table_of_an_unbroken_one(many, label, stand_in):
    assert label(many, "--output", "unbroken") == 0
    for count in (0, 1, 20, 40):
        process = start(many, "--resume")
        wait_for_lines(count, process)
        if count == 20:
            process.kill()  # its workers end by themselves
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if Path("output/results.csv").exists():
            rows()
    done = lines_done()
    assert 40 <= done < 70
    stand_in.batches.clear()
    assert label(many, "--resume") == 0
    assert files("output") == files("unbroken")
    assert sum(stand_in.batches) <= 70 - done
    names = [json.loads(line)["file"] for line in Path("output/.batch/parts/0.jsonl").read_bytes().splitlines()]
    assert len(names) == len(set(names)) == 70


def test_half_a_line_in_the_journal_is_cut_off_and_its_picture_done_again(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append(Record("a.jpg", OK))
    whole = (tmp_path / "0.jsonl").read_bytes()
    for torn in (whole[:-1], whole[: len(whole) // 2], bytes(100)):
        (tmp_path / "0.jsonl").write_bytes(whole + torn)
        with Journal(tmp_path) as journal:
            assert journal.done == {"a.jpg"}
            journal.append(Record("b.jpg", OK))
        assert [record.file for record in journal.records(["b.jpg", "a.jpg"])] == ["b.jpg", "a.jpg"]


def test_journal_ends_with_a_whole_line_when_the_disk_is_full(tmp_path):
    class FullDisk(io.FileIO):
        def write(self, data):
            if not (room := 600 - self.tell()):
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data[:room])

    with Journal(tmp_path) as journal:
        journal._file.close()
        journal._file = FullDisk(tmp_path / "0.jsonl", "ab")
        journal.append(Record("a.jpg", OK, "x" * 300))
        with pytest.raises(OSError, match="No space"):
            journal.append(Record("b.jpg", OK, "x" * 300))
    assert [json.loads(line)["file"] for line in (tmp_path / "0.jsonl").read_bytes().splitlines()] == ["a.jpg"]


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs to mount a small file system")
def test_a_full_disk_stops_the_run_and_leaves_whole_tables(many, label, capsys):
    Path("output").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", "output"], capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    try:
        assert label(many) == 1
        message = capsys.readouterr().err
        assert "--resume" in message and "No space left" in message
        rows()
        subprocess.run(["mount", "-o", "remount,size=20m", "output"], check=True)
        assert label(many, "--resume") == 0
        assert len({row["file"] for row in rows()}) == 70
    finally:
        subprocess.run(["umount", "output"], check=True)


def test_ctrl_c_ends_cleanly_with_a_whole_table_and_says_how_to_go_on(many):
    for number in range(70, 600):  # enough that the workers are not done before the key is pressed
        shutil.copy(many / f"{2 + number % 60}.png", many / f"{number}.png")
    process = start(many)
    wait_for_lines(10, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers as well
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in message and "Traceback" not in message
    assert 10 <= len({row["file"] for row in rows()}) < 600
