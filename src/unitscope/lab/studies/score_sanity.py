"""Two sanity tests of scores: labels that are spoiled must lower them, of ideal units and of real ones.

Oikarinen et al., ICML 2025, section 4: half of a concept's labels are taken away (missing), or as many are
added by lot (extra). A score that does not fall then cannot tell a good name from a bad one.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from unitscope.statistics.label_scores import NEURON_EVAL, Presence, Responses, label_scores
from unitscope.statistics.mask_scores import score_masks

MISSING, EXTRA = SPOILINGS = ("missing", "extra")
FREQUENCIES = (0.499, 0.1, 0.01, 0.001, 0.0001)
"""How common the concepts of ideal units are."""
INPUTS, DRAWS = 500_000, 1000
FALLS = 0.001
"""A score falls where it loses more than this part of its range."""
PASSES = 0.9
"""A score passes where it falls in more than this share of the cases."""

_HALF = math.sqrt(1 / 2) - 1
RANGES = dict.fromkeys(NEURON_EVAL, 1.0) | dict.fromkeys(("pearson", "spearman", "cosine"), 2.0)
"""From the least to the most that a score can be; of wpmi and mad what occurred is taken instead."""
del RANGES["wpmi"], RANGES["mad"]

EXPECTED: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "iou": (lambda g: -1 / 2, lambda g: -1 / 2),
    "f1": (lambda g: -1 / 3, lambda g: -1 / 3),
    "recall": (lambda g: 0, lambda g: -1 / 2),
    "precision": (lambda g: -1 / 2, lambda g: 0),
    "accuracy": (lambda g: -g / 2, lambda g: -g),
    "balanced_accuracy": (lambda g: -1 / 4, lambda g: -g / (2 - 2 * g)),
    "inverse_balanced_accuracy": (lambda g: -g / (4 - 2 * g), lambda g: -1 / 4),
    "auroc": (lambda g: -1 / 4, lambda g: -g / (2 - 2 * g)),
    "inverse_auroc": (lambda g: -g / (4 - 2 * g), lambda g: -1 / 4),
    "average_precision": (lambda g: -(1 - g) / 2, lambda g: -1 / 2),
    "inverse_average_precision": (lambda g: -1 / 2, lambda g: -(1 / 2 - g)),
    "pearson": (
        lambda g: math.sqrt((1 - g) / (2 - g)) - 1,
        lambda g: math.sqrt((1 - 2 * g) / (2 - 2 * g)) - 1,
    ),
    "spearman": (
        lambda g: math.sqrt((1 - g) / (2 - g)) - 1,
        lambda g: math.sqrt((1 - 2 * g) / (2 - 2 * g)) - 1,
    ),
    "cosine": (lambda g: _HALF, lambda g: _HALF),
    "mad": (lambda g: -g / (2 - g), lambda g: -1 / 2),
}
"""By how much the score of an ideal unit changes with labels missing and extra, of many inputs, by how common
its concept is. (Of wpmi by a logarithm of the floor that is put under a presence, so there is no limit.)"""


@dataclass(frozen=True)
class IdealChange:
    """How a score of an ideal unit changes: the mean over draws, their standard deviation, and how many fall.

    `expected` is the limit for many inputs, NaN where there is none.
    """

    seed: int
    frequency: float
    spoiling: str
    score: str
    change: float
    deviation: float
    expected: float
    falls: float


@dataclass(frozen=True)
class RealFalls:
    """In how many of some units' right names a score falls, and by how much of its range on average."""

    seed: int
    units: str
    count: int
    spoiling: str
    score: str
    change: float
    falls: float


def spoil_ideal(seed: int, inputs: int = INPUTS, draws: int = DRAWS) -> list[IdealChange]:
    """Ideal units, which respond 1 where the concept is and 0 elsewhere, with spoiled labels, often.

    All that scores need of them are counts, so that binomial draws take the place of inputs.
    """
    rng, rows = np.random.default_rng(seed), list[IdealChange]()
    for frequency in FREQUENCIES:
        active = max(1, round(inputs * frequency))
        kept = rng.binomial(active, 0.5, draws)
        added = rng.binomial(inputs - active, active / (inputs - active), draws)
        true = score_masks(active, active, active, inputs)
        spoiled = {
            MISSING: score_masks(kept, active, kept, inputs),
            EXTRA: score_masks(active, active, active + added, inputs),
        }
        for place, (spoiling, found) in enumerate(spoiled.items()):
            for score in found:
                whole = float(true[score])
                values = np.broadcast_to(found[score], draws)
                first = [whole, *(float(np.ravel(one[score])[0]) for one in spoiled.values())]
                change = values - whole
                limits = EXPECTED.get(score)
                rows.append(
                    IdealChange(
                        *(seed, frequency, spoiling, score),
                        change=float(np.nanmean(change)),
                        deviation=float(np.nanstd(change)),
                        expected=float(limits[place](frequency)) if limits else float("nan"),
                        falls=_count_falls(change, score, first),
                    )
                )
    return rows


def spoil(
    present: Bool[np.ndarray, "input"], rng: np.random.Generator
) -> dict[str, Bool[np.ndarray, "input"]]:
    """The labels of a concept with half of them missing, and with as many extra, by lot.

    There must be fewer inputs with the concept than without.

    >>> found = spoil(np.arange(1000) < 100, np.random.default_rng(0))
    >>> {name: int(one.sum()) for name, one in found.items()}
    {'missing': 44, 'extra': 183}
    """
    share = present.sum() / max(1, len(present) - present.sum())
    drawn = rng.random(len(present))
    return {MISSING: present & (drawn < 0.5), EXTRA: present | (drawn < share)}


def spoil_real(
    name: str,
    seed: int,
    response: Responses,
    presence: Presence,
    right: Sequence[int],
    top_fraction: float,
) -> list[RealFalls]:
    """Real units with the labels of their right concepts spoiled, once; `right` are rows of `presence`.

    Concepts that are in half of the inputs or more, or in none, are left out with their units.
    """
    rng, changes = np.random.default_rng(seed), list[tuple[Mapping[str, Any], ...]]()
    for unit, concept in enumerate(right):
        present = np.asarray(presence[concept]) >= 0.5
        if not 0 < 2 * present.sum() < len(present):
            continue
        labels = np.stack([present, *spoil(present, rng).values()])
        found = label_scores(response[unit : unit + 1], labels, top_fraction)
        changes.append(tuple({key: float(one[0, place]) for key, one in found.items()} for place in range(3)))
    rows = []
    for place, spoiling in enumerate(SPOILINGS, 1):
        for score in NEURON_EVAL:
            change = np.array([one[place][score] - one[0][score] for one in changes])
            extent = RANGES.get(score) or _extent([part[score] for one in changes for part in one])
            falls = _count_falls(change, score, [part[score] for one in changes for part in one])
            mean = float(np.nanmean(change)) / extent
            rows.append(RealFalls(seed, name, len(changes), spoiling, score, mean, falls))
    return rows


def _count_falls(change: Float64[np.ndarray, "case"], score: str, seen: Sequence[float]) -> float:
    """The share of cases that fall; where labels are gone altogether, and the score with them, too."""
    extent = RANGES.get(score) or _extent(seen)
    return float((np.where(np.isnan(change), -np.inf, change) / extent < -FALLS).mean())


def _extent(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return (max(finite) - min(finite)) or 1.0 if finite else 1.0
