"""What is claimed of directions, and how it is judged: SAEs against neurons, and against their controls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from unitscope.lab.studies.claims import Claim, judge_all, judge_order, spread
from unitscope.lab.studies.direction_bases import (
    ICA,
    MATRYOSHKA,
    NEURONS,
    PCA,
    ROTATIONS,
    TOPK,
    UNTRAINED,
    Size,
)
from unitscope.lab.studies.direction_removal import BEST, RANDOM, RemovalResult
from unitscope.lab.studies.directions import Measured
from unitscope.lab.studies.held_out import OWN, SHUFFLED, HeldOut

ELSEWHERE = "not in a paper"
BRICKEN, SAEV = "Bricken et al. 2023", "arXiv 2511.17735, probe mAP"


@dataclass(frozen=True)
class Side:
    """A basis, and the numbers of it that a claim is about, of one field, one a seed."""

    kind: str
    size: Size = "large"
    labels: str = OWN

    def read(self, rows: Sequence[HeldOut], field: str) -> list[float]:
        """The numbers among rows of one subject and one threshold, by seed."""
        of = (self.kind, self.size, self.labels)
        some = [one for one in rows if (one.kind, one.size, one.labels) == of]
        values = [float(getattr(one, field)) for one in sorted(some, key=lambda one: one.seed)]
        return [one for one in values if one == one]

    @property
    def name(self) -> str:
        """What stands in the pages.

        >>> Side("top-k SAE").name, Side("neurons", "layer").name, Side("PCA", "layer", "shuffled").name
        ('top-k SAE (large)', 'neurons', 'PCA, labels shuffled')
        """
        size = "" if self.size == "layer" else f" ({self.size})"
        return f"{self.kind}{size}" + ("" if self.labels == OWN else ", labels shuffled")


@dataclass(frozen=True)
class Order:
    """A claim that one basis has more of something than each of some others: `field` of `HeldOut`."""

    source: str
    claimed: str
    high: Side
    lows: tuple[Side, ...]
    field: str = "best"
    form: str = ".3f"

    def judge(self, rows: Sequence[HeldOut]) -> Claim:
        """The claim beside what the rows, of one subject and one threshold, say."""
        high = self.high.read(rows, self.field)
        lows = [(one.name, one.read(rows, self.field)) for one in self.lows]
        shown = [(self.high.name, high), *lows]
        ours = "; ".join(f"{name} {spread(values, self.form)}" for name, values in shown)
        verdict = judge_all(judge_order(high, values) for _, values in lows)
        return Claim(self.source, self.claimed, ours, verdict)


_NEURONS, _LATENTS, _NESTED = Side(NEURONS, "layer"), Side(TOPK), Side(MATRYOSHKA)
_UNTRAINED, _ROTATIONS = Side(UNTRAINED), Side(ROTATIONS)
_PCA, _ICA = Side(PCA, "layer"), Side(ICA, "layer")
ORDERS = (
    Order(BRICKEN, "the best latent of a concept fits it better than the best neuron", _LATENTS, (_NEURONS,)),
    Order(
        ELSEWHERE,
        "it fits better than the best of as many untrained latents, and of as many rotated units",
        _LATENTS,
        (_UNTRAINED, _ROTATIONS),
    ),
    Order(
        SAEV,
        "the best latent of a concept fits it better than the best principal component",
        _LATENTS,
        (_PCA,),
    ),
    Order(SAEV, "nested (Matryoshka) latents fit slightly better than top-k ones", _NESTED, (_LATENTS,)),
    Order(ELSEWHERE, "nested latents fit better than untrained ones", _NESTED, (_UNTRAINED,)),
    Order(ELSEWHERE, "more latents fit better than fewer", _LATENTS, (Side(TOPK, "small"),)),
    Order(
        ELSEWHERE,
        "without more directions than units, independent components fit better than neurons",
        _ICA,
        (_NEURONS,),
    ),
    Order(ELSEWHERE, "many latents fit better than the few independent components", _LATENTS, (_ICA,)),
    Order(
        ELSEWHERE,
        "what fits is no chance: with labels of other pictures it is less",
        _LATENTS,
        (Side(TOPK, "large", SHUFFLED),),
    ),
    Order(
        ELSEWHERE,
        "more unique concepts above an IoU of .10 than neurons, rotations and untrained latents have",
        _LATENTS,
        (_NEURONS, _ROTATIONS, _UNTRAINED),
        "unique_10",
        ".1f",
    ),
    Order(
        ELSEWHERE,
        "a smaller share of latents than of neurons is more than chance (q < .05)",
        _NEURONS,
        (_LATENTS,),
        "sure",
        ".2f",
    ),
)
"""What is claimed of every layer at the convention's own threshold."""


def claim_directions(found: Measured) -> tuple[Claim, ...]:
    """All claims about every subject, one after the other."""
    claims: list[Claim] = []
    for name in dict.fromkeys(one.subject for one in found.bases):
        rows = [one for one in found.bases if one.subject == name]
        central = [one for one in rows if rules_of(one) == rules_of(rows[0])]
        removed = [one for one in found.removals if one.subject == name]
        some = [one.judge(central) for one in ORDERS]
        some += [claim_thresholds(rows), *claim_removal(removed)]
        claims += [Claim(f"{name}: {one.source}", one.paper, one.ours, one.verdict) for one in some]
    return tuple(claims)


def rules_of(row: HeldOut) -> tuple[float, str]:
    """The quantile, and what becomes of thresholds of 0."""
    return row.quantile, row.sparse


def claim_thresholds(rows: Sequence[HeldOut]) -> Claim:
    """The best latent against the best neuron and the best untrained latent, at every threshold tried."""
    verdicts, parts = [], []
    for rules in dict.fromkeys(map(rules_of, rows)):
        some = [one for one in rows if rules_of(one) == rules]
        high, *lows = (one.read(some, "best") for one in (_LATENTS, _NEURONS, _UNTRAINED))
        verdicts += [judge_order(high, low) for low in lows]
        values = " and ".join(spread(low, ".3f") for low in lows)
        parts.append(f"{spell_rules(*rules)}: {spread(high, '.3f')} against {values}")
    return Claim(
        ELSEWHERE,
        "the best latent is better than the best neuron and the best untrained latent at every threshold",
        "; ".join(parts),
        judge_all(verdicts),
    )


def spell_rules(quantile: float, sparse: str) -> str:
    """The rules for thresholds, for people.

    >>> spell_rules(0.02, "half-median"), spell_rules(0.005, "zero")
    ('quantile 0.02', 'quantile 0.005, 0 for latents that seldom fire')
    """
    return f"quantile {quantile:g}" + (", 0 for latents that seldom fire" if sparse == "zero" else "")


def average_removals(
    rows: Sequence[RemovalResult], kind: str, chosen: str, measure: Callable[[RemovalResult], float]
) -> list[float]:
    """The mean over concepts of what removals change, one number a seed; concepts without it are left out."""
    values: dict[int, list[float]] = {}
    for row in rows:
        if (row.kind, row.chosen) == (kind, chosen) and (value := measure(row)) == value:
            values.setdefault(row.seed, []).append(value)
    return [float(np.mean(values[seed])) for seed in sorted(values)]


def measure_aim(row: RemovalResult) -> float:
    """The share of a removal's changes that is in images with the concept; NaN where nothing changes."""
    whole = row.there + row.elsewhere
    return row.there / whole if whole else float("nan")


def claim_removal(rows: Sequence[RemovalResult]) -> tuple[Claim, ...]:
    """What removing the best latent does, against a random one of the same size, and the best neuron."""
    there = partial(average_removals, rows, measure=lambda row: 100 * row.there)
    lost = partial(average_removals, rows, measure=lambda row: row.lost)
    aim = partial(average_removals, rows, measure=lambda row: 100 * measure_aim(row))
    moved = {
        kind: average_removals(rows, kind, BEST, lambda row: 100 * row.moved) for kind in (TOPK, NEURONS)
    }
    sizes = f"(they move a cell by {spread(moved[TOPK])} and {spread(moved[NEURONS])} % of its length)"
    best, random = there(TOPK, BEST), there(TOPK, RANDOM)
    latent, neuron = lost(TOPK, BEST), lost(NEURONS, BEST)
    aimed, blunt = aim(TOPK, BEST), aim(NEURONS, BEST)
    return (
        Claim(
            ELSEWHERE,
            "removing the best latent of a concept changes the answers in its pictures more than removing a "
            "random latent that moves the layer as far",
            f"{spread(best, '.2f')} and {spread(random, '.2f')} % of the probability",
            judge_order(best, random),
        ),
        Claim(
            ELSEWHERE,
            "a class loses more with its best latent than with its best neuron",
            f"{spread(latent, '.3f')} and {spread(neuron, '.3f')} logits of its margin {sizes}",
            judge_order(latent, neuron),
        ),
        Claim(
            ELSEWHERE,
            "more of what that changes is in pictures of the concept: less else changes than with the best "
            "neuron",
            f"{spread(aimed)} and {spread(blunt)} %",
            judge_order(aimed, blunt),
        ),
    )
