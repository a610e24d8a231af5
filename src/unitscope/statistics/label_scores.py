"""How well a concept says what a unit responds to: every score in use, over the same inputs."""

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float64, Int64, Num

from unitscope.errors import UsageError
from unitscope.statistics.mask_scores import FLOOR, score_active, score_fractions

Scores = Float64[np.ndarray, "unit concept"]
Responses = Num[np.ndarray, "unit input"] | Bool[np.ndarray, "unit input"]
Presence = Num[np.ndarray, "concept _input"] | Bool[np.ndarray, "concept _input"]

NEURON_EVAL = {
    "iou": "iou",
    "f1": "f1_score",
    "recall": "precision",
    "precision": "recall",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "inverse_balanced_accuracy": "inverse_balanced_accuracy",
    "auroc": "auc",
    "inverse_auroc": "inverse_auc",
    "average_precision": "auprc",
    "inverse_average_precision": "inverse_auprc",
    "pearson": "correlation",
    "spearman": "spearman_correlation",
    "cosine": "cos_sim",
    "mad": "mad",
    "wpmi": "wpmi",
}
"""The scores, and what NeuronEval (Oikarinen et al., ICML 2025) calls them."""

_NORM = 1e-9
"""No vector is taken to be shorter in cosine."""


def label_scores(
    response: Responses, presence: Presence, top_fraction: int | float | None = 0.05
) -> dict[str, Scores]:
    """Every score of every unit with every concept, float64, by name; in all of them larger is better.

    `response[unit, input]` are numbers, `presence[concept, input]` says how much of a concept is in an input,
    0 to 1. A unit is active (x) where its response is at least its k-th largest one, k = ceil(top_fraction N)
    of N inputs, all that are equal to it included: a unit with fewer than k positive responses, the others 0,
    is active everywhere. With None responses are 0 or 1 already. A concept is there (y) from a presence c of
    .5 on. TP are inputs with both, FP active ones without the concept, and so on; a are the responses.

    - `iou` is TP / (TP + FP + FN), `f1` is 2 TP / (2 TP + FP + FN), NaN where there is neither.
    - `recall` is TP / (TP + FN), what the unit finds of the concept, 0 without one; `precision` is
      TP / (TP + FP), how much of the unit is the concept, NaN where it is never active.
    - `accuracy` is (TP + TN) / N; `balanced_accuracy` the mean of two shares: of active inputs that have the
      concept, and of others that have it not; `inverse_balanced_accuracy` that of inputs with the concept
      that are active, and of others that are not. A share of none is 0.
    - `auroc` and `average_precision` have c for the score and x for the truth, `inverse_auroc` and
      `inverse_average_precision` a for the score and y for the truth, as of a detector; 0 where the truth
      has one class only.
    - `pearson` and `spearman` correlate a and c, and their midranks; 0 where one is constant.
    - `cosine` is the sum of a c over their norms, not centered; 0 where one is 0 everywhere.
    - `mad` is the mean of a with the concept less that without, in the unit's own scale; a mean of none is 0.
    - `wpmi` is the mean of ln c, at least ln 1e-8, over active inputs, less ln of the mean of c; NaN where
      the unit is never active or c is 0 everywhere.

    The definitions are those of Oikarinen et al., ICML 2025, whose code takes the unit for the truth: its
    recall is this `precision`, and the other way round (`NEURON_EVAL` has its names). Its Pearson correlation
    is (N - 1) / N of this one, ties are broken by lot there and have midranks here, and an absent concept has
    the best wpmi there.

    Raises `UsageError` where sizes do not match, a number is not finite, a presence not in 0 to 1, or the
    fraction is none.

    >>> scores = label_scores(np.array([[3.0, 2.0, 1.0, 0.0]]), np.array([[1, 0, 1, 0]]), top_fraction=0.5)
    >>> {name: round(float(scores[name][0, 0]), 3) for name in ("iou", "recall", "inverse_auroc", "mad")}
    {'iou': 0.333, 'recall': 0.5, 'inverse_auroc': 0.75, 'mad': 1.0}
    """
    a, c = _check("response", "unit", response), _check("presence", "concept", presence)
    if a.shape[1] != c.shape[1]:
        raise UsageError(f"response has {a.shape[1]} inputs, presence {c.shape[1]}; give the same inputs")
    if c.size and not 0 <= c.min() <= c.max() <= 1:
        raise UsageError(f"presence is from {c.min():g} to {c.max():g}; wanted 0 to 1")
    x, y = find_active(a, top_fraction), c >= 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            **_score_activity(x, y, c),
            **_score_ranks(a, y, c),
            "pearson": _correlate(a, c),
            "cosine": (a @ c.T) / np.outer(_measure_norms(a), _measure_norms(c)),
            "mad": _contrast(a, y),
        }
    return {name: found[name] for name in NEURON_EVAL}


def find_active(response: Responses, top_fraction: int | float | None) -> Bool[np.ndarray, "unit input"]:
    """Where a unit's response is among its largest: at least the ceil(top_fraction N)-th of N.

    The fraction is the decimal that it is written as: .07 of 400 are 28. With None responses are 0 or 1.
    Raises `UsageError` where they are not, or for a fraction that is not above 0 and at most 1.

    >>> find_active(np.array([[5.0, 4.0, 4.0, 0.0]]), 0.5).tolist()
    [[True, True, True, False]]
    """
    if top_fraction is None:
        if not np.isin(response, (0, 1)).all():
            raise UsageError("responses are not all 0 or 1; give a top_fraction, such as 0.05")
        return response > 0
    place = find_least(response.shape[1], top_fraction)
    found: Bool[np.ndarray, "unit input"] = response >= np.partition(response, place, axis=1)[:, place, None]
    return found


def find_least(inputs: int, top_fraction: int | float) -> int:
    """The place, from the smallest on, of the response from which a unit is active: the k-th largest.

    Raises `UsageError` as `find_active`.

    >>> find_least(400, 0.07)
    372
    """
    if not 0 < top_fraction <= 1:
        raise UsageError(f"top_fraction is {top_fraction}; wanted more than 0 and at most 1, such as 0.05")
    return inputs - math.ceil(Fraction(str(top_fraction)) * inputs)


def rank_middle(values: Num[np.ndarray, "row input"]) -> Float64[np.ndarray, "row input"]:
    """The rank of each number in its row, from 0 for the smallest; equal ones share the middle of theirs.

    >>> rank_middle(np.array([[2.0, 0.0, 2.0]])).tolist()
    [[1.5, 0.0, 1.5]]
    """
    below, upto = _find_ends(values)
    return np.asarray((below + upto - 1) / 2)


def _find_ends(
    values: Num[np.ndarray, "row input"],
) -> tuple[Int64[np.ndarray, "row input"], Int64[np.ndarray, "row input"]]:
    """Of each number how many of its row are smaller, and how many at most as large."""
    below, upto = np.empty(values.shape, np.int64), np.empty(values.shape, np.int64)
    count = values.shape[1]
    for row, low, high in zip(values, below, upto, strict=True):
        order = np.argsort(row)
        ordered = row[order]
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        sizes = np.diff(np.append(starts, count))
        low[order] = np.repeat(starts, sizes)
        high[order] = np.repeat(starts + sizes, sizes)
    return below, upto


def _check(name: str, row: str, values: np.ndarray) -> Float64[np.ndarray, "row input"]:
    if values.ndim != 2 or not values.shape[1]:
        raise UsageError(f"{name} has the shape {values.shape}; wanted [{row}, input], with an input")
    found = values.astype(np.float64)
    if not np.isfinite(found).all():
        raise UsageError(f"{name} has {int((~np.isfinite(found)).sum())} numbers that are not finite")
    return found


def _score_activity(x: np.ndarray, y: np.ndarray, c: np.ndarray) -> Mapping[str, Scores]:
    """The scores that need of a response only where it is active."""
    both = x.astype(np.float64) @ y.astype(np.float64).T
    counts = (both, x.sum(1)[:, None], y.sum(1)[None, :], x.shape[1])
    if _is_binary(c):  # counts are all there is to know
        return score_active(*counts)
    below, upto = _find_ends(c)
    return {
        **score_fractions(*counts),
        "auroc": _measure_auroc((below + upto - 1) / 2, x).T,
        "average_precision": _average_precision(below, x).T,
        "wpmi": _inform(x, c),
    }


def _is_binary(c: np.ndarray) -> bool:
    return bool(((c == 0) | (c == 1)).all())


def _score_ranks(a: np.ndarray, y: np.ndarray, c: np.ndarray) -> Mapping[str, Scores]:
    """The scores that follow from the ranks of responses."""
    below, upto = _find_ends(a)
    ranks = (below + upto - 1) / 2
    return {
        "inverse_auroc": _measure_auroc(ranks, y),
        "inverse_average_precision": _average_precision(below, y),
        "spearman": _correlate(ranks, c if _is_binary(c) else rank_middle(c)),
    }


def _measure_auroc(ranks: np.ndarray, truth: np.ndarray) -> Float64[np.ndarray, "row truth"]:
    """The chance that a positive ranks above a negative, a tie half: of every row, for every truth."""
    positives = truth.sum(1, dtype=np.float64)
    above = ranks @ truth.astype(np.float64).T - positives * (positives - 1) / 2
    pairs = positives * (truth.shape[1] - positives)
    found: Float64[np.ndarray, "row truth"] = np.where(pairs > 0, above / np.maximum(pairs, 1), 0.0)
    return found


def _average_precision(
    below: Int64[np.ndarray, "row input"], truth: np.ndarray
) -> Float64[np.ndarray, "row truth"]:
    """The sum over distinct scores, from above, of precision there times the recall that they add.

    `below` counts for every score how many are smaller. Only positives are looked at: which truth they
    belong to, and how many inputs score as much or more.
    """
    owner, places = np.nonzero(truth)
    starts = np.searchsorted(owner, np.arange(len(truth) + 1))
    positives = np.maximum(np.diff(starts), 1)
    found = np.zeros((len(below), len(truth)))
    inputs = truth.shape[1]
    first = owner * (inputs + 1)
    hits = np.arange(1, len(owner) + 1) - starts[owner]
    for row, ranks in zip(found, below, strict=True):
        keys = np.sort(first + inputs - ranks[places])  # by truth, the highest scores first
        ends = np.flatnonzero(
            np.append(keys[1:] != keys[:-1], True)[: len(keys)]
        )  # of those that enter together
        terms = np.diff(np.append(-1, ends)) * hits[ends] / (keys - first)[ends]
        row[:] = np.bincount(owner[ends], terms, len(truth)) / positives
    return found


def _correlate(one: np.ndarray, other: np.ndarray) -> Scores:
    """Pearson's correlation of every row of the one with every row of the other; 0 where one is constant."""
    centered = [rows - rows.mean(1, keepdims=True) for rows in (one, other)]
    # A mean is rounded, so that a constant row is hardly ever 0 when it is taken off.
    for rows, given in zip(centered, (one, other), strict=True):
        rows[given.min(1) == given.max(1)] = 0
    lengths = np.outer(*(np.linalg.norm(rows, axis=1) for rows in centered))
    found: Scores = np.where(
        lengths > 0, centered[0] @ centered[1].T / np.where(lengths > 0, lengths, 1), 0.0
    )
    return found


def _measure_norms(rows: np.ndarray) -> Float64[np.ndarray, "row"]:
    return np.asarray(np.maximum(np.linalg.norm(rows, axis=1), _NORM))


def _contrast(a: np.ndarray, y: np.ndarray) -> Scores:
    """The mean response where the concept is, less that where it is not."""
    there = y.astype(np.float64)
    sums = [a @ part.T / np.maximum(part.sum(1), 1) for part in (there, 1 - there)]
    return np.asarray(sums[0] - sums[1])


def _inform(x: np.ndarray, c: np.ndarray) -> Scores:
    """By how much the concept is likelier where the unit is active, in logarithms."""
    active, mean = x.sum(1, dtype=np.float64)[:, None], c.mean(1)
    likely = x.astype(np.float64) @ np.log(np.maximum(c, FLOOR)).T / active
    found: Scores = np.where(mean > 0, likely - np.log(mean), np.nan)
    return found
