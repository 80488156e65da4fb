"""How right a network is, and how well it knows."""

import numpy as np
import pytest
import torch

from models.training.metrics import (
    classification_report,
    cross_fitted_calibration_error,
    expected_calibration_error,
    fit_temperature,
)


def test_report_is_what_a_hand_computes():
    probabilities = np.array([[0.8, 0.2, 0.0], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.6, 0.3]])
    report = classification_report(probabilities, np.array([0, 1, 1, 2]), ["a", "b", "c"])
    assert report["accuracy"] == 0.5 and report["n"] == 4
    assert report["balanced_accuracy"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert report["per_class"]["a"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1}
    assert report["per_class"]["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert report["macro_f1"] == pytest.approx((2 / 3 + 0.5 + 0) / 3)
    assert report["confusion_matrix"] == [[1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert report["expected_calibration_error"] == pytest.approx((0.2 + 0.3 + 0.6 + 0.6) / 4)


def test_calibration_error_is_zero_where_confidence_is_the_share_that_is_right():
    probabilities = np.tile([[0.75, 0.25]], (4, 1))
    assert expected_calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0)
    assert expected_calibration_error(probabilities, np.array([1, 1, 1, 1])) == pytest.approx(0.75)


def test_temperature_is_found_on_overconfident_logits():
    torch.manual_seed(0)
    honest = torch.randn(4000, 5)
    targets = torch.distributions.Categorical(logits=honest).sample()
    assert fit_temperature((honest * 2.5)[None], targets) == pytest.approx(2.5, rel=0.1)


def test_a_calibration_error_is_cross_fitted_on_pictures_that_the_temperature_never_saw():
    torch.manual_seed(0)
    targets = torch.arange(7).repeat_interleave(40)
    logits = torch.randn(1, 280, 7)
    logits[0, torch.arange(280), targets] += 1
    blind = [fit_temperature(8 * logits[:, torch.arange(280) % 5 != fold], targets[torch.arange(280) % 5 != fold])
             for fold in range(5)]  # fmt: skip
    expected = torch.stack([(8 * logits[0, i] / blind[i % 5]).softmax(-1) for i in range(280)])
    error = cross_fitted_calibration_error(8 * logits, targets)
    assert error == pytest.approx(expected_calibration_error(expected.numpy(), targets.numpy()), abs=1e-5)
    assert error < expected_calibration_error((8 * logits[0]).softmax(-1).numpy(), targets.numpy()) / 2
