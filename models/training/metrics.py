"""What is reported of a classifier's answers on a labelled split.

>>> report = classification_report(probabilities, targets, CLASS_NAMES)
>>> report["accuracy"], report["per_class"]["Happy"]["recall"]
(0.6882, 0.8860)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from models.views import average_views


def classification_report(probabilities: np.ndarray, targets: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
    """Accuracy and its companions, as plain Python values.

    Args:
        probabilities: float `[N, C]`, rows summing to 1.
        targets: int `[N]`, the true classes.

    Returns:
        `accuracy`; `balanced_accuracy`, the mean of the classes' recalls; `macro_f1`;
        `expected_calibration_error` (15 equal bins of confidence, Guo et al., 2017); `n`; `per_class`, for each
        name precision, recall, f1 and support; `confusion_matrix`, rows the true class, columns the answer.
        All shares from 0 to 1. A class with no picture has recall 0 and is left out of the means.
    """
    count = len(class_names)
    answers = probabilities.argmax(1)
    matrix = np.zeros((count, count), np.int64)
    np.add.at(matrix, (targets, answers), 1)
    hits, support, answered = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    recall = hits / np.maximum(support, 1)
    precision = hits / np.maximum(answered, 1)
    f1 = 2 * hits / np.maximum(support + answered, 1)
    present = support > 0
    return {
        "accuracy": float(hits.sum() / max(len(targets), 1)),
        "balanced_accuracy": float(recall[present].mean()) if present.any() else 0.0,
        "macro_f1": float(f1[present].mean()) if present.any() else 0.0,
        "expected_calibration_error": expected_calibration_error(probabilities, targets),
        "n": int(len(targets)),
        "per_class": {
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, name in enumerate(class_names)
        },
        "confusion_matrix": matrix.tolist(),
    }


def expected_calibration_error(probabilities: np.ndarray, targets: np.ndarray, bins: int = 15) -> float:
    """Mean distance, weighted by the bins' sizes, between the confidence shown and the share that is right."""
    if not len(targets):
        return 0.0
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == targets
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(targets))


def fit_temperature(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """The temperature, from 0.3 to 5, under which the views' averaged answers give the labels the highest likelihood.

    Args:
        logits: float `[views, N, C]`.
        targets: int64 `[N]`.
    """

    def negative_log_likelihood(temperature: float) -> float:
        of_the_label = average_views(logits, temperature)[torch.arange(len(targets)), targets]
        return float(-of_the_label.clamp_min(1e-9).log().mean())

    return float(min(np.geomspace(0.3, 5, 113), key=negative_log_likelihood))


def cross_fitted_calibration_error(logits: torch.Tensor, targets: torch.Tensor, folds: int = 5) -> float:
    """The calibration error where each picture is answered with a temperature that was fitted without it.

    Args:
        logits: float `[views, N, C]`.
        targets: int64 `[N]`; pictures of a class should stand together, so that each fold gets its share of them.
    """
    fold = torch.arange(len(targets)) % folds
    probabilities = torch.empty(logits.shape[1:])
    for number in range(folds):
        tested = fold == number
        temperature = fit_temperature(logits[:, ~tested], targets[~tested])
        probabilities[tested] = average_views(logits[:, tested], temperature)
    return expected_calibration_error(probabilities.numpy(), targets.numpy())


def format_report(report: dict[str, Any]) -> str:
    """The report as a table for a terminal."""
    lines = [f"{'':<12}{'precision':>10}{'recall':>10}{'f1':>10}{'pictures':>10}"]
    for name, row in report["per_class"].items():
        lines.append(f"{name:<12}{row['precision']:>10.1%}{row['recall']:>10.1%}{row['f1']:>10.1%}{row['support']:>10}")
    lines.append(
        f"accuracy {report['accuracy']:.2%}, balanced {report['balanced_accuracy']:.2%}, "
        f"macro F1 {report['macro_f1']:.2%}, calibration error {report['expected_calibration_error']:.2%}, "
        f"{report['n']} pictures"
    )
    if absent := [name for name, row in report["per_class"].items() if not row["support"]]:
        lines.append(f"there is no picture of {', '.join(absent)}: the means are over the other classes")
    if "cross_fitted_calibration_error" in report:
        lines.append(
            f"calibration error {report['cross_fitted_calibration_error']:.2%} where the temperature is fitted on four "
            "fifths of these pictures and held against the last fifth"
        )
    if without := report.get("without_copies"):
        lines.append(
            f"accuracy {without['accuracy']:.2%} on the {without['n']} that are no copies of training pictures"
        )
    return "\n".join(lines)
