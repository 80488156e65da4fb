import cv2
import numpy as np
import pytest
import torch

from models.views import average_views, make_input_spec, make_views, normalise, predict_logits, to_grey_squares


def test_input_keeps_the_proportion_of_224_crops_in_240_pictures():
    assert make_input_spec(224)["resize"] == 240
    assert make_input_spec(96)["resize"] == 103


def test_faces_of_any_size_and_colour_become_grey_squares():
    random = np.random.default_rng(0)
    faces = [
        random.integers(0, 256, (31, 47), np.uint8),
        random.integers(0, 256, (500, 400, 3), np.uint8),
        np.full((1, 1), 7, np.uint8),
        random.integers(0, 256, (60, 60, 1), np.uint8),
    ]
    squares = to_grey_squares(faces, 103)
    assert squares.shape == (4, 103, 103) and squares.dtype == torch.uint8
    assert (squares[2] == 7).all()


def test_colour_is_weighted_as_the_eye_does():
    green = np.zeros((10, 10, 3), np.uint8)
    green[:, :, 1] = 200
    assert to_grey_squares([green], 10)[0, 0, 0] == round(0.587 * 200)


def test_shrinking_does_not_alias():
    stripes = np.tile(np.array([0, 255], np.uint8), (400, 200))
    assert to_grey_squares([stripes], 50).float().std() < 2


def test_enlarging_is_bilinear_as_the_dataset_was_made():
    face = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    expected = cv2.resize(face, (240, 240), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(to_grey_squares([face], 240)[0].numpy(), expected)


def test_normalise_replicates_grey_and_uses_the_checkpoints_numbers():
    spec = {**make_input_spec(48), "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.25, 1.0]}
    values = normalise(torch.full((1, 2, 2), 255, dtype=torch.uint8), spec)
    assert values.shape == (1, 3, 2, 2)
    assert values[0, :, 0, 0].tolist() == [1.0, 2.0, 0.5]


@pytest.mark.parametrize("tta, count", [("none", 1), ("flip", 2), ("ten", 10)])
def test_views_are_distinct_crops(tta, count):
    grey = torch.arange(103 * 103).reshape(1, 103, 103)
    views = list(make_views(grey, 96, tta))
    assert len(views) == count == len({tuple(view.flatten().tolist()) for view in views})
    assert all(view.shape == (1, 96, 96) for view in views)
    assert torch.equal(views[0], grey[:, 3:99, 3:99])
    if tta != "none":
        assert torch.equal(views[1], views[0].flip(-1))


def test_flip_gives_a_face_and_its_mirror_image_the_same_answer():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 48 * 48, 7)).eval()
    grey = torch.randint(0, 256, (3, 48, 48), dtype=torch.uint8)
    spec = {**make_input_spec(48), "resize": 48}
    answers = [average_views(predict_logits(network, pictures, spec, "flip")) for pictures in (grey, grey.flip(-1))]
    torch.testing.assert_close(*answers)


def test_batches_do_not_change_the_answers():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 48 * 48, 7)).eval()
    grey = torch.randint(0, 256, (5, 51, 51), dtype=torch.uint8)
    spec = make_input_spec(48)
    one, many = (predict_logits(network, grey, spec, "ten", batch_size=size) for size in (1, 64))
    assert one.shape == (10, 5, 7)
    torch.testing.assert_close(one, many)


def test_the_views_of_a_face_go_through_the_network_together_but_never_more_crops_than_asked():
    seen = []
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 48 * 48, 7)).eval()
    network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    spec = make_input_spec(48)
    predict_logits(network, torch.zeros(1, 51, 51, dtype=torch.uint8), spec, "flip", batch_size=32)
    predict_logits(network, torch.zeros(4, 51, 51, dtype=torch.uint8), spec, "ten", batch_size=32)
    assert seen == [2, 32, 8]


def test_temperature_softens_and_rows_sum_to_one():
    logits = torch.tensor([[[4.0, 0.0, 0.0]]])
    sharp, soft = average_views(logits, 1.0), average_views(logits, 4.0)
    assert sharp.max() > soft.max()
    assert sharp.sum() == pytest.approx(1) and soft.sum() == pytest.approx(1)
