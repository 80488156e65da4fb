"""What train.py's flags refuse."""

import pytest

import train


@pytest.mark.parametrize("arguments", [
    ["--resume", "--lr", "0.1"], ["--epochs", "0"], ["--input-size", "16"], ["--dropout", "1"],
    ["--weight-decay", "-1"], ["--rotation", "nan"], ["--seed", "-1"], ["--seed", str(2**64)],
    ["--folds", "2", "--teachers", "best.pt"], ["--width", "1/0"], ["--width", "wide"],
    ["--width", "1e400"], ["--width", "-1/4"], ["--width", "2"], ["--arch", "resnet18", "--width", "1/2"],
])  # fmt: skip
def test_wrong_flags_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as exit:
        train.main(arguments)
    assert exit.value.code == 2
    assert "--lr" in capsys.readouterr().err or arguments[0] != "--resume"


def test_a_width_without_whole_channels_is_refused_with_the_nearest(capsys):
    with pytest.raises(SystemExit):
        train.main(["--width", "1/3"])
    assert "the nearest that do are 21/64 (0.328125) and 22/64 (0.34375)" in capsys.readouterr().err


def test_folds_have_equally_many_epochs(capsys):
    with pytest.raises(SystemExit):
        train.parse_arguments(["--folds", "3", "--fit-minutes", "5"])
    assert "name --epochs with --folds" in capsys.readouterr().err


def test_fewer_than_two_folds_are_refused(capsys):
    with pytest.raises(SystemExit) as exit:
        train.main(["--folds", "1"])
    assert exit.value.code == 2 and "2 folds or more" in capsys.readouterr().err
