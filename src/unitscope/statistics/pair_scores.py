"""All scores of one unit with one name over the inputs of some images: exact, with an interval and a null."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from unitscope.statistics.label_scores import NEURON_EVAL, find_least
from unitscope.statistics.mask_scores import score_active

SCORES = (*NEURON_EVAL, "simulation")
"""All scores of a pair: those of `label_scores`, and how well the name predicts the response."""

STEPS = 512
"""For intervals and the null, so many steps of rank tell responses apart, or fewer where all are."""

_FLAT = 1e-6
"""A correlation that is no larger comes of how responses are rounded (float32), and has no sign."""

_SUMS = ("inputs", "there", "active", "both", "a", "aa", "ac")


@dataclass(frozen=True, eq=False)
class PairDraws:
    """What is drawn at random for pairs over some images.

    `weights[replicate, image]` is how often a bootstrap replicate holds an image; in null draw d image i has
    the presence of image `partners[d, i]`; `half` is 0 or 1, the part that an image is in when the name
    predicts the response.
    """

    weights: Int64[np.ndarray, "replicate image"]
    partners: Int64[np.ndarray, "draw image"]
    half: Int64[np.ndarray, "image"]


def draw_pairs(images: int, seed: int, draws: int, replicates: int) -> PairDraws:
    """Draws for so many images: at most images - 1 null draws, cyclic shifts of a random order, all distinct.

    Together with the true pairing they are draws from a group: a rank among them is an exact p-value.

    >>> draw_pairs(3, 0, 200, 5).partners.shape
    (2, 3)
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(images)
    place = np.empty_like(order)
    place[order] = np.arange(images)
    shifts = np.sort(rng.permutation(np.arange(1, max(images, 1)))[:draws])
    partners = order[(place[None] + shifts[:, None]) % max(images, 1)]
    weights = rng.multinomial(images, np.full(images, 1 / images), replicates)
    return PairDraws(weights.astype(np.int64), partners, (place >= images // 2).astype(np.int64))


@dataclass(frozen=True, eq=False)
class PairScores:
    """The scores of a pair by name: `values`, those of every bootstrap replicate, and those of the null."""

    values: Mapping[str, float]
    replicates: Mapping[str, Float64[np.ndarray, "replicate"]]
    null: Mapping[str, Float64[np.ndarray, "draw"]]
    inputs: int
    there: int


@dataclass(frozen=True, eq=False)
class Pair:
    """The responses of one unit, and where a name holds: by image and place, such as a pixel.

    Only inputs that are `known` count; `present` is False elsewhere. Active is a unit where its response is
    among the largest, as `label_scores` has it.
    """

    response: Float32[np.ndarray, "image place"]
    known: Bool[np.ndarray, "image place"]
    present: Bool[np.ndarray, "image place"]
    top_fraction: float

    @cached_property
    def ordered(self) -> Float32[np.ndarray, "input"]:
        """The responses of all known inputs, ascending."""
        return np.sort(self.response[self.known])

    @cached_property
    def least(self) -> float:
        """The response from which the unit is active."""
        return float(self.ordered[find_least(len(self.ordered), self.top_fraction)])

    @cached_property
    def center(self) -> float:
        """The mean response, from which sums are taken, so that they keep their digits."""
        return float(self.ordered.mean(dtype=np.float64))

    @cached_property
    def steps(self) -> Float32[np.ndarray, "step"]:
        """The least response of every step of rank but the first."""
        places = np.linspace(0, len(self.ordered), STEPS + 1)[1:-1].astype(np.int64)
        changes = (
            self.ordered[1:][self.ordered[1:] != self.ordered[:-1]] if len(self.ordered) else self.ordered
        )
        return changes if len(changes) < STEPS else np.unique(self.ordered[places])

    @cached_property
    def active(self) -> Bool[np.ndarray, "image place"]:
        """Where the unit is active, of known inputs."""
        found: np.ndarray = (self.response >= self.least) & self.known
        return found

    @cached_property
    def step(self) -> Int64[np.ndarray, "image place"]:
        """The step of rank of every response, from 0."""
        return np.searchsorted(self.steps, self.response, "right")


def score_pair(pair: Pair, draws: PairDraws) -> PairScores:
    """Every score of a pair, the same of every bootstrap replicate of the images, and of the null.

    The scores are exact: those of `label_scores` over all inputs that are known, and `simulation`: a line is
    fitted that predicts the response from the presence on one half of the images, and correlated (Pearson)
    with the response on the other half; the mean of both ways, 0 where there is no line or no spread. Bills
    et al. 2023, "Language models can explain neurons in language models", correlate a simulated response so;
    Oikarinen and Weng, ICML 2024, do for vision. With a presence of 0 or 1 it is the other half's Pearson
    correlation, with the sign that the first half gives.

    In a replicate images are redrawn, while the response from which the unit is active stays as it is; in the
    null every image has the presence of another one. There `inverse_auroc`, `inverse_average_precision` and
    `spearman` know the responses in `STEPS` steps of rank, and are moved by what that changes of the score
    itself. A score that is not defined is NaN.
    """
    # Columns of sums by image, so that replicates and halves are sums of rows.
    columns = [pair.known, pair.present, pair.active, pair.present & pair.active]
    sums = np.stack([one.sum(1, dtype=np.float64) for one in columns], 1)
    clean = np.where(pair.known, pair.response - np.float64(pair.center), 0)
    moments = [clean.sum(1), (clean * clean).sum(1), np.where(pair.present, clean, 0).sum(1)]
    rows = np.concatenate([sums, np.stack(moments, 1)], 1)
    halves = np.stack([np.where(draws.half[:, None] == half, rows, 0) for half in (0, 1)], 1)
    table = _count_steps(pair)
    truth = halves.sum(0)[None]
    exact = {**_score_sums(truth, pair.center), **_score_ranks(pair)}
    coarse = _score_steps(*(one.sum(0, keepdims=True) for one in table))
    redrawn = np.einsum("ri,ihs->rhs", draws.weights.astype(np.float64), halves)
    weighed = draws.weights.astype(np.float64)
    replicates = {
        **_score_sums(redrawn, pair.center),
        **_score_steps(*(weighed @ one for one in table)),
    }
    null = _score_null(pair, draws, halves, table, clean)
    point = {name: float(np.ravel(value)[0]) for name, value in exact.items()}
    for found in (replicates, null):
        for name, value in coarse.items():
            found[name] = found[name] + (point[name] - float(value[0]))
    known, there = int(pair.known.sum()), int(pair.present.sum())
    order = {name: point[name] for name in SCORES}
    return PairScores(order, replicates, null, known, there)


def _score_sums(sums: Float64[np.ndarray, "draw 2 7"], center: float) -> dict[str, Any]:
    """The scores that follow from sums over inputs, which are given by half."""
    n, y, x, b, a, aa, ac = np.moveaxis(sums.sum(1), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        raw, squares = ac + center * y, aa + 2 * center * a + center**2 * n
        length = np.sqrt(np.maximum(squares, 0) * y)
        return {
            **score_active(b, x, y, n),
            "pearson": _correlate(*np.moveaxis(sums.sum(1)[:, [0, 1, 4, 5, 6]], -1, 0)),
            "cosine": np.where(length > 0, raw / np.where(length > 0, length, 1), 0.0),
            "mad": _part(raw, y) - _part(a + center * n - raw, n - y),
            "simulation": _simulate(sums),
        }


def _part(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.asarray(total / np.maximum(count, 1))


def _correlate(n: np.ndarray, y: np.ndarray, a: np.ndarray, aa: np.ndarray, ac: np.ndarray) -> np.ndarray:
    """Pearson's correlation from sums; 0 where one side is constant."""
    n = np.maximum(n, 1)
    spread, spoken = aa - a * a / n, y - y * y / n
    fine = (spread > 1e-12 * aa) & (spoken > 1e-9)
    lengths = np.sqrt(np.where(fine, spread * spoken, 1))
    return np.asarray(np.where(fine, np.clip((ac - a * y / n) / lengths, -1, 1), 0.0))


def _simulate(sums: Float64[np.ndarray, "draw 2 7"]) -> np.ndarray:
    first, second = (_correlate(*np.moveaxis(sums[:, half][:, [0, 1, 4, 5, 6]], -1, 0)) for half in (0, 1))
    one, other = (np.where(np.abs(half) > _FLAT, np.sign(half), 0) for half in (first, second))
    return np.asarray((one * second + other * first) / 2 + 0.0)  # no -0


def _score_ranks(pair: Pair) -> dict[str, float]:
    """The scores that follow from ranks, from all responses."""
    ordered, mine = pair.ordered, np.sort(pair.response[pair.present])
    inputs, there = len(ordered), len(mine)
    below = np.searchsorted(ordered, mine, "left").astype(np.float64)
    upto = np.searchsorted(ordered, mine, "right").astype(np.float64)
    middle = (below + upto - 1) / 2
    pairs = there * (inputs - there)
    if not pairs:
        precision = 1.0 if there else 0.0
        return {"inverse_auroc": 0.0, "inverse_average_precision": precision, "spearman": 0.0}
    auroc = (middle.sum() - there * (there - 1) / 2) / pairs
    # From above: of equal responses all enter together, at the place of the last.
    seen, hits = inputs - below[::-1], np.arange(1, there + 1)
    ends = np.append(np.flatnonzero(mine[::-1][1:] != mine[::-1][:-1]), there - 1)
    precision = (np.diff(np.append(-1, ends)) * hits[ends] / seen[ends]).sum() / there
    changes = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    ties = np.diff(np.append(-1, changes)).astype(np.float64)
    spread = (float(inputs) ** 3 - inputs - (ties**3 - ties).sum()) / 12
    shared = middle.sum() - there * (inputs - 1) / 2
    lengths = np.sqrt(spread * there * (inputs - there) / inputs)
    spearman = shared / lengths if spread > 0 else 0.0
    return {
        "inverse_auroc": float(auroc),
        "inverse_average_precision": float(precision),
        "spearman": float(spearman),
    }


Steps = Float64[np.ndarray, "draw step"]


def _count_steps(pair: Pair) -> tuple[Float64[np.ndarray, "image step"], Float64[np.ndarray, "image step"]]:
    """Of every image how many inputs are on each step, all of them and those with the name."""
    images, width = len(pair.response), len(pair.steps) + 1
    step = pair.step + width * np.arange(images)[:, None]
    return tuple(  # type: ignore[return-value]
        np.bincount(step[some], minlength=images * width).reshape(images, width).astype(np.float64)
        for some in (pair.known, pair.present)
    )


def _score_steps(total: Steps, there: Steps) -> dict[str, np.ndarray]:
    """The scores that follow from ranks, from how many inputs are on each step, the lowest first."""
    n, p = total.sum(1), there.sum(1)
    middle = np.cumsum(total, 1) - (total + 1) / 2
    ranks = (middle * there).sum(1)
    pairs = p * (n - p)
    safe = np.where(pairs > 0, pairs, 1)
    above = np.cumsum(total[:, ::-1], 1)
    hits = np.cumsum(there[:, ::-1], 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(above > 0, hits / np.where(above > 0, above, 1), 0) * there[:, ::-1]
    spread = (n**3 - n - (total**3 - total).sum(1)) / 12
    lengths = np.sqrt(np.where(spread > 0, spread, 1) * safe / np.maximum(n, 1))
    spearman = np.where((pairs > 0) & (spread > 0), (ranks - p * (n - 1) / 2) / lengths, 0.0)
    return {
        "inverse_auroc": np.where(pairs > 0, (ranks - p * (p - 1) / 2) / safe, 0.0),
        "inverse_average_precision": terms.sum(1) / np.maximum(p, 1),
        "spearman": spearman,
    }


def _score_null(
    pair: Pair,
    draws: PairDraws,
    halves: Float64[np.ndarray, "image 2 7"],
    table: tuple[Steps, Steps],
    clean: Float64[np.ndarray, "image place"],
) -> dict[str, Any]:
    """Every score with the presence of other images, draw by draw."""
    images, places = pair.response.shape
    image, place = np.nonzero(pair.present)
    flat_known, flat_active = pair.known.ravel(), pair.active.ravel()
    flat_step, flat_value, width = pair.step.ravel(), clean.ravel(), table[0].shape[1]
    count = len(draws.partners)
    sums = np.repeat(halves.sum(0)[None], count, 0)
    there = np.zeros((count, width))
    whose = np.empty(images, np.int64)
    for draw, partners in enumerate(draws.partners):
        whose[partners] = np.arange(images)  # which image has this one's presence
        at = whose[image] * places + place
        at = at[flat_known[at]]
        half = draws.half[at // places]
        sums[draw, :, 1] = np.bincount(half, minlength=2)
        sums[draw, :, 3] = np.bincount(half, flat_active[at], 2)
        sums[draw, :, 6] = np.bincount(half, flat_value[at], 2)
        there[draw] = np.bincount(flat_step[at], minlength=width)
    total = np.repeat(table[0].sum(0)[None], count, 0)
    return {**_score_sums(sums, pair.center), **_score_steps(total, there)}


def score_others(pairs: Iterable[Pair]) -> dict[str, Float64[np.ndarray, "unit"]]:
    """The scores of other units with the same name, by score: another null than that of `score_pair`."""
    found = [score_pair(pair, draw_pairs(len(pair.response), 0, 0, 1)).values for pair in pairs]
    return {name: np.array([one[name] for one in found], np.float64) for name in SCORES}
