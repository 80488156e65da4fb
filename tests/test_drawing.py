import numpy as np
import pytest

from models.classifier import Face
from models.drawing import PICTURE_AREA, _overlap, annotate, plot_confusion_matrix, plot_curves, result_picture
from models.expressions import CLASS_COLOURS, CLASS_NAMES, class_colour


def make_face(box=(40, 40, 100, 100), label="Happy", confidence=0.9) -> Face:
    probabilities = np.full(7, (1 - confidence) / 6, np.float32)
    probabilities[CLASS_NAMES.index(label)] = confidence
    return Face(box, 1.0, label, probabilities)


def pixels_of(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == np.array(colour, np.uint8)).all(2).sum())


def test_a_box_and_a_label_in_the_classs_colour_are_drawn_on_a_copy():
    picture = np.full((240, 320, 3), 128, np.uint8)
    drawn = annotate(picture, [make_face()])
    assert (picture == 128).all() and drawn.shape == picture.shape
    colour = CLASS_COLOURS["Happy"]
    assert (drawn[90, 40:42] == colour).all() and (drawn[90, 138:140] == colour).all()  # left and right edges
    assert (drawn[100, 100] == 128).all()  # the face itself is left alone
    assert pixels_of(drawn[:38], colour) > 300  # the label, above the box
    assert pixels_of(annotate(picture, []), (128, 128, 128)) == 240 * 320


@pytest.mark.parametrize("box", [(0, 0, 60, 60), (260, 0, 60, 60), (0, 180, 60, 60), (260, 180, 60, 60), (0, 0, 320, 240)])
def test_labels_stay_within_the_picture_at_its_edges(box):
    for shade in (0, 255):
        picture = np.full((240, 320, 3), shade, np.uint8)
        drawn = annotate(picture, [make_face(box, "Disgusted")])
        assert pixels_of(drawn, CLASS_COLOURS["Disgusted"]) > 800


def test_labels_of_neighbouring_faces_do_not_cover_each_other(monkeypatch):
    taken = []
    from models import drawing

    draw_label = drawing._draw_label
    monkeypatch.setattr(drawing, "_draw_label", lambda *arguments: taken.append(draw_label(*arguments)) or taken[-1])
    annotate(np.zeros((400, 600, 3), np.uint8), [make_face((x, y, 90, 90)) for x, y in ((50, 150), (90, 150), (70, 255))])
    assert len(taken) == 3
    assert not any(_overlap(taken[i], taken[j]) for i in range(3) for j in range(i))


@pytest.mark.parametrize("height, width", [(1, 1), (8, 8), (48, 48), (30, 2000), (2000, 30), (480, 640), (6000, 4000)])
@pytest.mark.parametrize("count", [0, 1, 2, 4, 9])
def test_result_pictures_fit_a_screen_at_any_size_and_number_of_faces(height, width, count):
    side = max(min(height, width) // 4, 1)
    faces = [make_face((min(i * side, width - 1), 0, side, side), CLASS_NAMES[i % 7]) for i in range(count)]
    result = result_picture(np.full((height, width, 3), 90, np.uint8), faces, CLASS_NAMES)
    assert result.dtype == np.uint8 and result.shape[2] == 3
    assert result.shape[1] <= PICTURE_AREA[0] + 2 * 350 + 60 and 200 < result.shape[0] < 760
    assert (result[:, -4:] == 255).all()  # nothing runs off at the right


def test_a_bar_is_as_long_as_its_probability():
    lengths = {}
    for confidence in (0.3, 0.6, 0.9):
        result = result_picture(np.full((400, 300, 3), 90, np.uint8), [make_face((10, 10, 50, 50), "Sad", confidence)], CLASS_NAMES)
        bars = result[:, 340:]
        lengths[confidence] = (bars == CLASS_COLOURS["Sad"]).all(2).sum(1).max()
    assert lengths[0.6] == pytest.approx(2 * lengths[0.3], abs=4)
    assert lengths[0.9] == pytest.approx(3 * lengths[0.3], abs=6)


def test_no_face_is_said_in_the_picture():
    picture = np.full((300, 300, 3), 90, np.uint8)
    empty, found = (result_picture(picture, faces, CLASS_NAMES) for faces in ([], [make_face()]))
    assert (empty[:, 345:] < 200).any()  # the sentence
    assert pixels_of(empty[:, 345:], (236, 236, 236)) == 0 < pixels_of(found[:, 345:], (236, 236, 236))  # no bars


def test_long_and_many_class_names_are_cut_not_run_off():
    names = [f"an expression with a very long name, number {i}" for i in range(12)]
    face = Face((5, 5, 40, 40), 1.0, names[3], np.full(12, 1 / 12, np.float32))
    result = result_picture(np.full((100, 100, 3), 90, np.uint8), [face] * 3, names)
    assert (result[:, -4:] == 255).all() and (result[-4:] == 255).all()


def test_every_class_has_a_colour_of_its_own():
    assert set(CLASS_COLOURS) == set(CLASS_NAMES) and len(set(CLASS_COLOURS.values())) == 7
    assert class_colour("calm", 0) != class_colour("cross", 1)


def test_plots_are_written_without_a_display(tmp_path):
    rows = [{"epoch": i, "train_loss": 2 / i, "val_loss": 2.1 / i, "train_accuracy": 0.3, "val_accuracy": 0.4} for i in (1, 2, 3)]
    plot_curves(rows, tmp_path / "curves.png")
    report = {"per_class": dict.fromkeys(CLASS_NAMES), "confusion_matrix": np.eye(7, dtype=int).tolist(),
              "split": "val", "n": 7, "accuracy": 1.0}  # fmt: skip
    plot_confusion_matrix(report, tmp_path / "matrix.png")
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("curves.png", "matrix.png"))
