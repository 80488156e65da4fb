import cv2
import numpy as np
import pytest

from models.expressions import CLASS_NAMES
from models.pictures import read_picture
from models.plots import plot_confusion_matrix, plot_curves, plot_ladder, plot_speed


def test_plots_are_written_without_a_display(tmp_path):
    rows = [
        {"epoch": i, "train_loss": 2 / i, "val_loss": 2.1 / i, "train_accuracy": 0.3, "val_accuracy": 0.4}
        for i in (1, 2, 3)
    ]
    plot_curves(rows, tmp_path / "curves.png")
    report = {"per_class": dict.fromkeys(CLASS_NAMES), "confusion_matrix": np.eye(7, dtype=int).tolist(),
              "split": "val", "n": 7, "accuracy": 1.0}  # fmt: skip
    plot_confusion_matrix(report, tmp_path / "matrix.png")
    plot_ladder([{"rung": "plain", "accuracy": "0.5", "n": "100"}], tmp_path / "ladder.png")
    pictures = [tmp_path / name for name in ("curves.png", "matrix.png", "ladder.png")]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_a_rung_has_a_place_of_its_own_and_its_seeds_share_it(tmp_path):
    def rung(name, accuracy):
        return {"rung": name, "accuracy": accuracy, "n": 100}

    heights, rows = [], [rung("plain", 0.4), rung("longer", 0.5), rung("longer", 0.6)]
    for count in (1, 2, 3):
        plot_ladder(rows[:count], tmp_path / "ladder.png")
        heights.append(cv2.imread(str(tmp_path / "ladder.png")).shape[0])
    assert heights[0] < heights[1] == heights[2]


@pytest.mark.parametrize("ours, blue", [("True", True), ("False", False)])
def test_a_classifier_of_ours_is_told_from_a_package_by_its_colour(ours, blue, tmp_path):
    row = {"classifier": "one", "ours": ours, "right %": "70.0", "faces": "100", "ms, 32 a call": "0.5"}
    plot_speed([row, {**row, "classifier": "other", "ours": "False", "right %": "60.0"}], tmp_path / "speed.png")
    pixels = read_picture(tmp_path / "speed.png").reshape(-1, 3).tolist()
    assert ([0x00, 0x72, 0xB2] in pixels) == blue and [0xD5, 0x5E, 0x00] in pixels
