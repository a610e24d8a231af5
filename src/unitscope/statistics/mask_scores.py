"""Scores of labels from counts alone: how often a unit is active, a concept there, and both."""

from collections.abc import Mapping
from typing import Any

import numpy as np

Counts = Any
"""Numbers of inputs, as integers or arrays of shapes that go together."""

FLOOR = 1e-8
"""No presence counts for less in wpmi."""

Found = Mapping[str, Any]
"""Scores by name: float64 in the shape of the counts."""


def score_masks(both: Counts, active: Counts, there: Counts, inputs: Counts) -> Found:
    """Every score of `label_scores` for units that are active or not and concepts that are there or not.

    Of `inputs` inputs the unit is active in `active`, the concept there in `there`, both in `both`. They
    equal those of `label_scores(..., top_fraction=None)` for responses and presences of 0 and 1; Spearman's
    correlation is then Pearson's.

    >>> found = score_masks(1, 2, 2, 4)
    >>> round(float(found["iou"]), 3), float(found["mad"])
    (0.333, 0.0)
    """
    b, x, y, n = (np.asarray(one, np.float64) for one in (both, active, there, inputs))
    varied = x * (n - x) * y * (n - y)
    pearson = np.where(varied > 0, (n * b - x * y) / np.sqrt(np.where(varied > 0, varied, 1)), 0.0)
    lengths = np.sqrt(x * y)
    return {
        **score_active(b, x, y, n),
        "inverse_auroc": _measure_auroc(b, y, x, n),
        "inverse_average_precision": _average_precision(b, y, x, n),
        "pearson": pearson,
        "spearman": pearson,
        "cosine": np.where(lengths > 0, b / np.where(lengths > 0, lengths, 1), 0.0),
        "mad": b / np.maximum(y, 1) - (x - b) / np.maximum(n - y, 1),
    }


def score_active(both: Counts, active: Counts, there: Counts, inputs: Counts) -> Found:
    """Those scores that need of a response only where it is active, for concepts that are there or not."""
    b, x, y, n = (np.asarray(one, np.float64) for one in (both, active, there, inputs))
    with np.errstate(divide="ignore", invalid="ignore"):
        likely = (x - b) / x * np.log(FLOOR)
        wpmi = np.where((y > 0) & (x > 0), likely - np.log(np.where(y > 0, y / n, 1)), np.nan)
    return {
        **score_fractions(b, x, y, n),
        "auroc": _measure_auroc(b, x, y, n),
        "average_precision": _average_precision(b, x, y, n),
        "wpmi": wpmi,
    }


def score_fractions(both: Counts, active: Counts, there: Counts, inputs: Counts) -> Found:
    """The scores that are fractions of counts: IoU, F1, recall, precision, and the accuracies."""
    b, x, y, n = (np.asarray(one, np.float64) for one in (both, active, there, inputs))
    neither = n - x - y + b
    with_it, without = np.maximum(y, 1), np.maximum(n - y, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "iou": b / (x + y - b),
            "f1": 2 * b / (x + y),
            "recall": b / with_it,
            "precision": b / x,
            "accuracy": (b + neither) / n,
            "balanced_accuracy": (b / np.maximum(x, 1) + neither / np.maximum(n - x, 1)) / 2,
            "inverse_balanced_accuracy": (b / with_it + neither / without) / 2,
        }


def _measure_auroc(b: np.ndarray, x: np.ndarray, y: np.ndarray, n: np.ndarray) -> np.ndarray:
    """That of a score that is 1 in y inputs and 0 in others, for a truth of x; 0 where that has one class."""
    shares = b / np.maximum(x, 1) + (n - x - y + b) / np.maximum(n - x, 1)
    return np.asarray(np.where((x > 0) & (x < n), shares / 2, 0.0))


def _average_precision(b: np.ndarray, x: np.ndarray, y: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Likewise: inputs of score 1 enter together, then the others."""
    return np.asarray((b * b / np.maximum(y, 1) + (x - b) * x / n) / np.maximum(x, 1))
