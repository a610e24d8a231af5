"""The word that fits each unit of a layer best: its runner-up, its chance, and how sure its rank is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from unitscope.axes import PerUnit
from unitscope.dissection.significance import p_values, q_values_of
from unitscope.statistics.text_scores import Method
from unitscope.statistics.word_draws import Pairing, WordFit, draw_shifts, pair_truly, redraw_images

NONE = -1


@dataclass(frozen=True, eq=False)
class Judged:
    """What is known of the words of a layer's units; all arrays are per unit.

    `word` is the place of the best word in the list, -1 for a unit without a name: one that answers the same
    to all images, and one that all words fit alike. `p_value` and `q_value` are NaN where nothing was
    drawn, 1 for units without a name; so are the ranks, from `rank_low` to `rank_high`, 1 for the best.
    `draws` is how often responses were shifted.
    """

    word: Int64[np.ndarray, "unit"]
    score: PerUnit
    runner_up: Int64[np.ndarray, "unit"]
    runner_up_score: PerUnit
    p_value: PerUnit
    q_value: PerUnit
    rank_low: PerUnit
    rank_high: PerUnit
    draws: int


def judge_words(
    images: Float32[np.ndarray, "image width"],
    words: Float32[np.ndarray, "word width"],
    response: Float32[np.ndarray, "image unit"],
    method: Method,
    parameters: dict[str, int | float],
    *,
    draws: int = 100,
    redraws: int | None = None,
    seed: int = 0,
    memory: int = 1 << 29,
) -> Judged:
    """The best word of every unit, by `text_scores`, and the evidence for it.

    - p: the chance that the best word has so high a lift (`WordFit.score`) where responses are those to other
      images: `draws` shifts of the whole layer along a random order of the images, in each of which the best
      word is looked for again; (1 + shifts at least as high) / (1 + shifts). Where no shift is as high it is
      the tail fitted by `dissection.significance.p_values`, if that is lower. The search is part of every
      draw, so a long list costs what it should. The layer is shifted as one since scores of some methods
      compare its units: the true pairing is then one of a group that are all as likely by chance, and p is
      exact.
    - q: the false discovery rate over the units that have a name (Benjamini and Hochberg, 1995).
    - rank: the middle 95 % of the rank of the best word among all, over `redraws` bootstraps of the images,
      by default as many as draws. In one in which the unit answers the same to all it is the last.

    Raises `UsageError` for parameters that do not fit.
    """
    count, units = response.shape
    alive = response.min(0) < response.max(0)
    fit = WordFit(images, words, response[:, alive], method, parameters, memory)
    shifts = draw_shifts(count, draws, seed)
    if not alive.any():
        return _judge_none(units, len(shifts))
    best, lift = _find_best(fit, [pair_truly(count), *shifts])
    named = np.isfinite(best.top[:, 0]) & (best.least < best.top[:, 0])
    p = np.where(named, _find_chances(np.where(named, lift[0], 0.0), np.ascontiguousarray(lift[1:].T)), 1.0)
    low, high = np.full((2, int(alive.sum())), np.nan)
    if redraws := draws if redraws is None else redraws:
        ranks = _find_ranks(fit, redraw_images(count, redraws, seed + 1), best.place[:, 0])
        low, high = np.quantile(ranks, [0.025, 0.975], axis=0, method="closest_observation")
    found = _judge_none(units, len(shifts))
    where = np.flatnonzero(alive)[named]
    for name, values in (
        *(("word", best.place[:, 0]), ("runner_up", best.place[:, 1])),
        *(("score", best.top[:, 0]), ("runner_up_score", best.top[:, 1])),
        *(("rank_low", low), ("rank_high", high)),
    ):
        getattr(found, name)[where] = values[named]
    if shifts:
        found.p_value[where] = p[named]
        has_name = found.word != NONE
        found.q_value[:] = q_values_of(found.p_value, has_name) if has_name.any() else 1.0
    return found


def _find_chances(observed: PerUnit, null: Float64[np.ndarray, "unit draw"]) -> PerUnit:
    """The counted p-values; only of what no draw reaches the fitted ones, where these are lower."""
    reached = (null >= observed[:, None]).sum(1)
    counted = (1.0 + reached) / (1.0 + null.shape[1])
    found: PerUnit = np.where(reached > 0, counted, np.minimum(counted, p_values(observed, null)))
    return found


def _judge_none(units: int, draws: int) -> Judged:
    """Units without a name."""
    word, other = np.full((2, units), NONE)
    score, other_score, low, high = np.full((4, units), np.nan)
    p, q = np.full((2, units), 1.0 if draws else np.nan)
    return Judged(word, score, other, other_score, p, q, low, high, draws)


@dataclass(frozen=True, eq=False)
class _Best:
    """The two best words of every unit by place and score, the first of equal ones, and the least score."""

    place: Int64[np.ndarray, "unit 2"]
    top: Float64[np.ndarray, "unit 2"]
    least: Float64[np.ndarray, "unit"]

    def update(self, words: slice, scores: Float64[np.ndarray, "unit word"]) -> None:
        """Takes in a block of words."""
        places = np.broadcast_to(np.arange(words.start, words.stop), scores.shape)
        every = np.concatenate([self.top, np.nan_to_num(scores, nan=-np.inf)], 1)
        both = np.concatenate([self.place, places], 1)
        order = np.argsort(-every, axis=1, kind="stable")[:, :2]
        self.top[:] = np.take_along_axis(every, order, 1)
        self.place[:] = np.take_along_axis(both, order, 1)
        np.fmin(self.least, np.fmin.reduce(scores, axis=1), out=self.least)


def _find_best(fit: WordFit, pairings: Sequence[Pairing]) -> tuple[_Best, Float64[np.ndarray, "draw unit"]]:
    """The best words for the first pairing, and for every pairing the lift of the word that is best there."""
    units = fit.response.shape[1]
    best = _Best(np.full((units, 2), NONE), np.full((units, 2), -np.inf), np.full(units, np.inf))
    top, lift = np.full((2, len(pairings), units), -np.inf)
    for words, scores, lifts in fit.score(pairings):
        best.update(words, scores[0])
        some = np.nan_to_num(scores, nan=-np.inf)
        place = some.argmax(2)[..., None]
        here = np.take_along_axis(some, place, 2)[..., 0]
        higher = here > top
        top[higher] = here[higher]
        lift[higher] = np.take_along_axis(lifts, place, 2)[..., 0][higher]
    return best, lift


def _find_ranks(
    fit: WordFit, pairings: Sequence[Pairing], chosen: Int64[np.ndarray, "unit"]
) -> Float64[np.ndarray, "draw unit"]:
    """The rank of every unit's word in every pairing: 1 more than the words that fit better."""
    scorer, blocks = fit.prepare(pairings), fit.split(len(pairings))
    ranks, own = np.ones((len(pairings), len(chosen))), np.empty((len(pairings), len(chosen)))
    words, size = np.unique(chosen), blocks[0].stop
    for start in range(0, len(words) if len(blocks) > 1 else 0, size):
        some = words[start : start + size]
        units = np.flatnonzero(np.isin(chosen, some))
        scores, _ = scorer.score(fit.similarity(some))
        own[:, units] = scores[:, units, np.searchsorted(some, chosen[units])]
    for block, scores, _ in fit.score(pairings, scorer):
        units = np.flatnonzero((block.start <= chosen) & (chosen < block.stop))
        if len(blocks) == 1:
            own = scores[:, units, chosen].copy()
        scores[:, units, chosen[units] - block.start] = -np.inf  # it is not above itself by rounding
        ranks += (scores > own[..., None]).sum(2)
    return np.where(np.isnan(own), len(fit.words), ranks)
