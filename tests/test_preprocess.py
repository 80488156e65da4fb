"""preprocess.py as a person runs it: where it looks, what it reports, and wrong use."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from preprocess import main
from tests.conftest import ROOT
from tests.fer2013_samples import make_samples, write_class_folders, write_csv
from tests.fer2013_sources import EXPECTED, SAMPLES, SOURCES, run_process, written

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.mark.parametrize("name", ["fer2013.csv", "fer2013.tar.gz", "contest.zip"])
def test_without_source_it_finds_what_is_in_data_and_leaves_it_there(name):
    Path("data").mkdir()
    Path("data/README.md").write_text("the data goes here")
    Path("data", name).write_bytes(SOURCES[name])
    assert main([]) == 0
    assert written() == EXPECTED | {name, "README.md"}


def test_without_source_it_finds_class_folders_in_data(tmp_path):
    write_class_folders(tmp_path / "data" / "fer2013", SAMPLES)
    assert main([]) == 0
    assert written() > EXPECTED


def test_without_source_and_data_it_says_where_to_get_fer2013_and_what_to_type(capsys):
    for _ in range(2):  # without a data folder, then with one that holds a README alone
        assert main([]) == 2
        error = capsys.readouterr().err
        assert "kaggle.com/datasets/msambare/fer2013" in error
        assert "challenges-in-representation-learning-facial-expression-recognition-challenge" in error
        assert error.rstrip().endswith("python preprocess.py")
        Path("data").mkdir(exist_ok=True)
        Path("data/README.md").write_text("the data goes here")


def test_source_that_is_not_there_is_a_sentence(capsys):
    assert main(["nowhere.csv"]) == 2
    assert "nowhere.csv does not exist" in capsys.readouterr().err
    assert not Path("data").exists()


def test_size_is_that_of_the_flag(tmp_path):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    assert main(["fer2013.csv", "--size", "96", "--output", "small"]) == 0
    with Image.open("small/train/0/00000.jpg") as picture:
        assert picture.size == (96, 96)


@pytest.mark.parametrize("size", ["0", "47", "1025", "big"])
def test_senseless_size_is_refused(size, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fer2013.csv", "--size", size])
    assert stop.value.code == 2
    assert "--size" in capsys.readouterr().err


def test_report_has_the_counts_beside_the_official_ones_and_ends_with_the_folder(tmp_path, capsys):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    main(["fer2013.csv"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["train", "official", "val", "official", "test", "official"]
    assert lines[2].split() == ["1", "Disgusted", "2", "436", "1", "56", "1", "55"]
    assert lines[8].split() == ["all", "14", "28709", "7", "3589", "7", "3589"]
    assert lines[-1] == "Wrote 28 pictures of 240x240 to data"


def test_absent_split_is_said_and_is_no_error(tmp_path, capsys):
    write_csv(tmp_path / "fer2013.csv", make_samples({"train": 1, "val": 1}))
    assert main(["fer2013.csv"]) == 0
    assert "No test: the source has no PrivateTest pictures." in capsys.readouterr().out
    assert not Path("data/test").exists()


def test_as_a_process_it_prints_results_on_stdout_and_nothing_on_a_stderr_that_is_no_terminal(tmp_path):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    command = [sys.executable, str(ROOT / "preprocess.py"), "fer2013.csv"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    assert result.stderr == ""
    assert result.stdout.splitlines()[-1] == "Wrote 28 pictures of 240x240 to data"


def test_progress_is_shown_on_a_terminal(tmp_path, capsys, monkeypatch):
    write_csv(tmp_path / "fer2013.csv", SAMPLES)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["fer2013.csv"]) == 0
    assert "0/35887" in capsys.readouterr().err


def test_it_starts_without_torch():
    assert run_process("import sys, preprocess; sys.exit('torch' in sys.modules)").returncode == 0
