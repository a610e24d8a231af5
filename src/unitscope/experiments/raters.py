"""How far raters agree with a dissection, with one another and with themselves (paper A, table 3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64

from unitscope.errors import UsageError
from unitscope.experiments.questionnaire import Questionnaire
from unitscope.experiments.ratings import Answers, tabulate

CUTOFFS = (0.02, 0.04, 0.06, 0.08, 0.1)
LEAST = 0.75
"""Raters who catch a smaller share of the decoys, or repeat a smaller share of their answers, are flagged."""
DRAWS = 1000
ALL = "all"
"""The name of the row over all layers."""


@dataclass(frozen=True)
class Measure:
    """A share or coefficient, its 95 % bootstrap interval over units, and how many units it is of.

    NaN where there is nothing to measure.
    """

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class LayerRatings:
    """What raters make of the units of one layer, or of all; only units that somebody rated count.

    `units` were asked about, of `all_units` that have a label. `described` is the share of units whose label
    most raters say describes them, each weighted by the units that it stands for. Of those, `consistency` is
    the share of further raters that say so too: every rater in turn against the majority of the others. And
    `detected` is the share of those that the dissection calls detectors. `agreement` is the share of units
    where most raters say yes to a detector, or do not to another unit. `above` gives, for every cut-off, the
    share described among the units whose IoU is above it.
    """

    layer: str
    units: int
    all_units: int
    described: Measure
    consistency: Measure
    detected: Measure
    agreement: Measure
    above: tuple[tuple[float, Measure], ...]


@dataclass(frozen=True)
class RaterRatings:
    """One rater: how many questions are answered, and with what care.

    `yes` is the share of yes to units with their own label. `same` of `repeats` repeated questions were
    answered as before; to `caught` of `decoys` decoys the answer was no. `others` is the share of units
    answered as by the majority of the other raters, where they have one; `dissection` that of units where
    yes went with a detector and no with another unit. `flags` say what to doubt the rater for.
    """

    rater: str
    answered: int
    questions: int
    yes: float
    same: int
    repeats: int
    caught: int
    decoys: int
    others: Measure
    dissection: Measure
    flags: tuple[str, ...]


@dataclass(frozen=True)
class RatingResult:
    """Everything that the answers to a questionnaire say.

    `agreement` is the share of pairs of answers to the same question that are the same, `alpha`
    Krippendorff's: what is left of it beyond chance. Both are over units with their own labels, answered the
    first time.
    """

    layers: tuple[LayerRatings, ...]
    raters: tuple[RaterRatings, ...]
    agreement: Measure
    alpha: Measure


def measure_ratings(
    questionnaire: Questionnaire,
    answers: Answers,
    *,
    cutoffs: Sequence[float] = CUTOFFS,
    draws: int = DRAWS,
    seed: int = 0,
) -> RatingResult:
    """What the answers say; all raters count, the flagged ones too.

    Intervals are over `draws` bootstrap draws of the units within each layer's detectors and its other units.
    Raises `UsageError` where nobody has answered.
    """
    if not any(answers.values()):
        raise UsageError("nobody has answered yet; `unitscope rate` asks")
    labels = questionnaire.labels
    table = tabulate(questionnaire, answers)
    asked = table[:, [one.number for one in labels]]
    layers = np.array([one.layer for one in labels])
    detector = np.array([one.detector for one in labels])
    strata = np.unique([f"{one.layer} {one.detector}" for one in labels], return_inverse=True)[1]
    scale = Scale(resample(strata, draws, seed))
    weights = np.array([one.weight for one in labels])
    iou = np.array([one.iou for one in labels])
    chosen = {name: layers == name for name in dict.fromkeys(layers.tolist())}
    if len(chosen) > 1:
        chosen[ALL] = np.ones(len(labels), bool)
    rows = [
        _measure_layer(name, units, asked, weights, iou, detector, cutoffs, scale)
        for name, units in chosen.items()
    ]
    return RatingResult(
        tuple(rows),
        tuple(
            _measure_rater(questionnaire, table, asked, detector, row, rater, scale)
            for row, rater in enumerate(answers)
        ),
        scale.measure(_pair_parts(asked), _ratio, (asked >= 0).sum(0) > 1),
        scale.measure(_alpha_parts(asked), _alpha, (asked >= 0).sum(0) > 1),
    )


@dataclass(frozen=True, eq=False)
class Scale:
    """Measures functions of sums over units, with intervals from how often each draw holds each unit."""

    drawn: Int64[np.ndarray, "draw unit"]

    def measure(
        self,
        parts: Float64[np.ndarray, "unit part"],
        combine: Callable[[Float64[np.ndarray, "*draw part"]], Float64[np.ndarray, "*draw"]],
        counted: Bool[np.ndarray, "unit"],
    ) -> Measure:
        """`combine` of the sums of parts over the units `counted`, and its middle 95 % over draws."""
        kept = np.where(counted[:, None], parts, 0.0)
        value = float(combine(kept.sum(0)))
        values = combine(self.drawn @ kept)
        values = values[np.isfinite(values)]
        low, high = np.quantile(values, (0.025, 0.975)) if len(values) else (np.nan, np.nan)
        return Measure(value, float(low), float(high), int(counted.sum()))


def resample(strata: Int64[np.ndarray, "unit"], draws: int, seed: int) -> Int64[np.ndarray, "draw unit"]:
    """How often each of some bootstrap draws holds each unit; a stratum always has as many as it has.

    >>> resample(np.array([0, 0, 1]), draws=2, seed=0)[:, 2].tolist()
    [1, 1]
    """
    rng = np.random.default_rng(seed)
    drawn = np.zeros((draws, len(strata)), np.int64)
    for stratum in np.unique(strata):
        own = np.flatnonzero(strata == stratum)
        drawn[:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), draws)
    return drawn


def find_majority(asked: Int8[np.ndarray, "rater unit"]) -> Int8[np.ndarray, "unit"]:
    """What most raters answer: 1 yes, 0 no; -1 where as many say either, or nobody does.

    >>> find_majority(np.array([[1, 1, -1], [1, 0, -1], [0, -1, -1]], np.int8)).tolist()
    [1, -1, -1]
    """
    yes, no = (asked == 1).sum(0), (asked == 0).sum(0)
    return np.where(yes > no, 1, np.where(no > yes, 0, -1)).astype(np.int8)


def agree_beyond_chance(asked: Int8[np.ndarray, "rater unit"]) -> float:
    """Krippendorff's alpha of yes (1) and no (0), -1 for no answer; NaN where all answers are the same.

    1 minus observed over expected disagreement of pairs of answers. With y of n answers to a unit yes, over
    the units that have two or more, N answers and Y of them yes in all:
    1 - (N - 1) sum(y (n - y) / (n - 1)) / (Y (N - Y)) (Krippendorff, Content Analysis, 2004, section 11.3).

    >>> round(agree_beyond_chance(np.array([[1, 1, 0, 0], [1, 1, 0, 1]], np.int8)), 3)
    0.533
    """
    return float(_alpha(_alpha_parts(asked).sum(0)))


def agree(asked: Int8[np.ndarray, "rater unit"]) -> float:
    """The share of pairs of answers to the same unit that are the same; NaN where there are none.

    >>> agree(np.array([[1, 1, 0, 0], [1, 1, 0, 1]], np.int8))
    0.75
    """
    return float(_ratio(_pair_parts(asked).sum(0)))


def _alpha_parts(asked: Int8[np.ndarray, "rater unit"]) -> Float64[np.ndarray, "unit 3"]:
    n, yes = (asked >= 0).sum(0), (asked == 1).sum(0)
    paired = n > 1
    return np.asarray(np.stack([yes * (n - yes) / np.maximum(n - 1, 1), yes, n], 1) * paired[:, None])


def _alpha(sums: Float64[np.ndarray, "*draw 3"]) -> Float64[np.ndarray, "*draw"]:
    differ, yes, total = np.moveaxis(sums, -1, 0)
    chance = yes * (total - yes)
    return np.asarray(1 - (total - 1) * differ / np.where(chance > 0, chance, np.nan))


def _pair_parts(asked: Int8[np.ndarray, "rater unit"]) -> Float64[np.ndarray, "unit 2"]:
    n, yes = (asked >= 0).sum(0), (asked == 1).sum(0)
    pairs = n * (n - 1) / 2
    return np.stack([pairs - yes * (n - yes), pairs], 1)


def _ratio(sums: Float64[np.ndarray, "*draw 2"]) -> Float64[np.ndarray, "*draw"]:
    return np.asarray(sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], np.nan))


def _consistency_parts(
    asked: Int8[np.ndarray, "rater unit"], weights: Float64[np.ndarray, "unit"]
) -> Float64[np.ndarray, "unit 2"]:
    """By unit: raters who say yes where most of the others do, and all whom the others would have so."""
    yes, total = np.zeros(asked.shape[1]), np.zeros(asked.shape[1])
    for row in range(len(asked)):
        found = (find_majority(np.delete(asked, row, 0)) == 1) & (asked[row] >= 0)
        yes += found & (asked[row] == 1)
        total += found
    return np.asarray(np.stack([yes, total], 1) * weights[:, None])


def _measure_layer(
    layer: str,
    chosen: Bool[np.ndarray, "unit"],
    asked: Int8[np.ndarray, "rater unit"],
    weights: Float64[np.ndarray, "unit"],
    iou: Float64[np.ndarray, "unit"],
    detector: Bool[np.ndarray, "unit"],
    cutoffs: Sequence[float],
    scale: Scale,
) -> LayerRatings:
    answered = chosen & (asked >= 0).any(0)
    yes = find_majority(asked) == 1

    def share(hits: Bool[np.ndarray, "unit"], among: Bool[np.ndarray, "unit"]) -> Measure:
        among = among & answered
        return scale.measure(np.stack([weights * hits, weights], 1), _ratio, among)

    twice = _consistency_parts(asked, weights)
    return LayerRatings(
        layer=layer,
        units=int(answered.sum()),
        all_units=round(float(weights[chosen].sum())),
        described=share(yes, answered),
        consistency=scale.measure(twice, _ratio, answered & (twice[:, 1] > 0)),
        detected=share(detector, yes),
        agreement=share(yes == detector, answered),
        above=tuple((cutoff, share(yes, iou > cutoff)) for cutoff in cutoffs),
    )


def _measure_rater(
    questionnaire: Questionnaire,
    table: Int8[np.ndarray, "rater question"],
    asked: Int8[np.ndarray, "rater unit"],
    detector: Bool[np.ndarray, "unit"],
    row: int,
    rater: str,
    scale: Scale,
) -> RaterRatings:
    given, own = table[row], asked[row]
    repeats = [one for one in questionnaire.of("repeat") if min(given[one.number], given[one.first]) >= 0]
    decoys = [one.number for one in questionnaire.of("decoy") if given[one.number] >= 0]
    same = sum(bool(given[one.number] == given[one.first]) for one in repeats)
    caught = int((given[decoys] == 0).sum())
    flags = [
        f"{what} {hits} of {total}"
        for what, hits, total in (
            ("decoys caught:", caught, len(decoys)),
            ("same again:", same, len(repeats)),
        )
        if total and hits < LEAST * total
    ]
    majority = find_majority(np.delete(asked, row, 0))
    done = own >= 0

    def share(like: np.ndarray, among: Bool[np.ndarray, "unit"]) -> Measure:
        return scale.measure(np.stack([own == like, np.ones(len(own))], 1), _ratio, among & done)

    return RaterRatings(
        rater=rater,
        answered=int((given >= 0).sum()),
        questions=len(questionnaire),
        yes=float((own[done] == 1).mean()) if done.any() else float("nan"),
        same=same,
        repeats=len(repeats),
        caught=caught,
        decoys=len(decoys),
        others=share(majority, majority >= 0),
        dissection=share(detector, done),
        flags=tuple(flags),
    )
