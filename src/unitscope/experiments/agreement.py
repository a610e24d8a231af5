"""How far answers agree, with intervals over units: majorities, shares, Krippendorff's alpha."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64

from unitscope.statistics.intervals import Interval, take_middle


@dataclass(frozen=True)
class Measure(Interval):
    """A share or coefficient with its bootstrap interval over units, and how many units it is of.

    NaN where there is nothing to measure.
    """

    count: int = 0


def measure_sums(
    drawn: Int64[np.ndarray, "draw unit"],
    parts: Float64[np.ndarray, "unit part"],
    combine: Callable[[Float64[np.ndarray, "*draw part"]], Float64[np.ndarray, "*draw"]],
    counted: Bool[np.ndarray, "unit"],
) -> Measure:
    """`combine` of the sums of parts over the units `counted`, and its middle 95 % over draws."""
    kept = np.where(counted[:, None], parts, 0.0)
    found = take_middle(combine(drawn @ kept), float(combine(kept.sum(0))))
    return Measure(*found.ends, int(counted.sum()))


def resample(strata: Int64[np.ndarray, "unit"], draws: int, seed: int) -> Int64[np.ndarray, "draw unit"]:
    """How often each of some bootstrap draws holds each unit; a stratum always has as many as it has.

    >>> resample(np.array([0, 0, 1]), draws=2, seed=0)[:, 2].tolist()
    [1, 1]
    """
    rng = np.random.default_rng(seed)
    drawn = np.zeros((draws, len(strata)), np.int64)
    for stratum in np.unique(strata):
        units = np.flatnonzero(strata == stratum)
        drawn[:, units] = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), draws)
    return drawn


def find_majority(asked: Int8[np.ndarray, "rater unit"]) -> Int8[np.ndarray, "unit"]:
    """What most raters answer: 1 yes, 0 no; -1 where as many say either, or nobody does.

    >>> find_majority(np.array([[1, 1, -1], [1, 0, -1], [0, -1, -1]], np.int8)).tolist()
    [1, -1, -1]
    """
    yes, no = (asked == 1).sum(0), (asked == 0).sum(0)
    return np.where(yes > no, 1, np.where(no > yes, 0, -1)).astype(np.int8)


def alpha_parts(asked: Int8[np.ndarray, "rater unit"]) -> Float64[np.ndarray, "unit 3"]:
    """By unit: disagreeing answers over answers less one, yeses, answers; zeros where only one answers."""
    n, yes = (asked >= 0).sum(0), (asked == 1).sum(0)
    paired = n > 1
    return np.asarray(np.stack([yes * (n - yes) / np.maximum(n - 1, 1), yes, n], 1) * paired[:, None])


def alpha(sums: Float64[np.ndarray, "*draw 3"]) -> Float64[np.ndarray, "*draw"]:
    """Krippendorff's alpha of sums of `alpha_parts` over units; NaN where all answers are the same.

    1 minus observed over expected disagreement of pairs of answers. With y of n answers to a unit yes, over
    the units that have two or more, N answers and Y of them yes in all:
    1 - (N - 1) sum(y (n - y) / (n - 1)) / (Y (N - Y)) (Krippendorff, Content Analysis, 2004, section 11.3).

    >>> parts = alpha_parts(np.array([[1, 1, 0, 0], [1, 1, 0, 1]], np.int8))
    >>> round(float(alpha(parts.sum(0))), 3)
    0.533
    """
    differ, yes, total = np.moveaxis(sums, -1, 0)
    chance = yes * (total - yes)
    return np.asarray(1 - (total - 1) * differ / np.where(chance > 0, chance, np.nan))


def pair_parts(asked: Int8[np.ndarray, "rater unit"]) -> Float64[np.ndarray, "unit 2"]:
    """By unit: pairs of answers that are the same, and all pairs.

    >>> ratio(pair_parts(np.array([[1, 1, 0, 0], [1, 1, 0, 1]], np.int8)).sum(0)).tolist()
    0.75
    """
    n, yes = (asked >= 0).sum(0), (asked == 1).sum(0)
    pairs = n * (n - 1) / 2
    return np.stack([pairs - yes * (n - yes), pairs], 1)


def ratio(sums: Float64[np.ndarray, "*draw 2"]) -> Float64[np.ndarray, "*draw"]:
    """The first sum over the second, NaN where that is 0."""
    return np.asarray(sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], np.nan))


def consistency_parts(
    asked: Int8[np.ndarray, "rater unit"], weights: Float64[np.ndarray, "unit"]
) -> Float64[np.ndarray, "unit 2"]:
    """By unit: raters who say yes where most of the others do, and all whom the others would have so."""
    yes, total = np.zeros(asked.shape[1]), np.zeros(asked.shape[1])
    for row in range(len(asked)):
        found = (find_majority(np.delete(asked, row, 0)) == 1) & (asked[row] >= 0)
        yes += found & (asked[row] == 1)
        total += found
    return np.asarray(np.stack([yes, total], 1) * weights[:, None])
