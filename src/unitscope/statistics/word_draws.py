"""How well words fit units when images are paired otherwise: the scores of many pairings, block by block.

A pairing puts the similarities of some images beside the responses to others. One is the truth, image by
image; under the null every image has the responses of another one; a bootstrap draws images again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from unitscope.progress import follow
from unitscope.statistics.kernels.word_sums import add_rows
from unitscope.statistics.text_scores import Method, check_top, settle_parameters, text_scores

_INFORMED = ("soft-wpmi", "wpmi")
_LEAST_MEMORY = 1 << 26
_NEAR = 16

Done = Callable[[int], None]
Scores = Float64[np.ndarray, "draw unit word"]


def _nothing(_steps: int) -> None:
    pass


@dataclass(frozen=True, eq=False)
class Pairing:
    """Which images' similarities (`seen`) stand beside the responses to which images (`answered`)."""

    seen: Int64[np.ndarray, "image"]
    answered: Int64[np.ndarray, "image"]


def pair_truly(count: int) -> Pairing:
    """Every image with itself."""
    return Pairing(np.arange(count), np.arange(count))


def draw_shifts(count: int, draws: int, seed: int) -> list[Pairing]:
    """Every image with the responses to another one: shifts along a random order, around its end.

    The shifts differ and none is 0. All units are shifted together, since scores of some methods compare the
    units of a layer: with the true pairing the shifts are a group, and a rank among them is an exact
    p-value, whatever the units have to do with each other. There are at most count - 1.

    >>> [pairing.answered.tolist() for pairing in draw_shifts(2, draws=100, seed=0)]
    [[1, 0]]
    """
    rng = np.random.default_rng(seed)
    order, rows = rng.permutation(count), np.arange(count)
    place = np.argsort(order)
    shifts = np.sort(rng.permutation(np.arange(1, max(count, 1)))[:draws]).tolist()
    return [Pairing(rows, order[(place + shift) % count]) for shift in shifts]


def redraw_images(count: int, draws: int, seed: int) -> list[Pairing]:
    """As many images, drawn with replacement, each with its own responses.

    >>> [len(set(pairing.seen.tolist())) <= 5 for pairing in redraw_images(5, draws=2, seed=0)]
    [True, True]
    """
    rng = np.random.default_rng(seed)
    drawn = (np.sort(rng.integers(0, count, count)) for _ in range(draws))
    return [Pairing(rows, rows) for rows in drawn]


@dataclass(frozen=True, eq=False)
class WordFit:
    """How words fit the units of a layer, for pairings of images.

    Images and words have embeddings of norm 1, whose products are the similarities; `response` has the
    units that answer differently to different images. All is worked out in float64, in blocks of words,
    which take about `memory` bytes.

    Raises `UsageError` for parameters that are unknown or do not fit the number of images.
    """

    images: Float32[np.ndarray, "image width"]
    words: Float32[np.ndarray, "word width"]
    response: Float32[np.ndarray, "image unit"]
    method: Method
    parameters: dict[str, int | float]
    memory: int = 1 << 29

    def __post_init__(self) -> None:
        check_top(settle_parameters(self.method, self.parameters), len(self.images))

    def similarity(self, words: slice | Int64[np.ndarray, "word"]) -> Float64[np.ndarray, "image word"]:
        """The similarities of all images and some words."""
        return np.asarray(self.images.astype(np.float64) @ self.words[words].astype(np.float64).T)

    def prepare(self, pairings: Sequence[Pairing]) -> "Scorer":
        """What scores words for these pairings."""
        if self.method in _INFORMED:
            return _plan_inform(self, pairings)
        return _OneByOne(self, tuple(pairings))

    def score(
        self, pairings: Sequence[Pairing], scorer: "Scorer | None" = None
    ) -> Iterator[tuple[slice, Scores, Scores]]:
        """The scores and the lifts of all words, [pairing, unit, word], a block of words at a time.

        `scorer` is what was prepared for these pairings, where that was done before. The scores of one
        pairing are `text_scores(similarity[seen], response[answered])`: NaN for a unit that answers the same
        to all images that were drawn.

        The lift of a word is what its score is tested by. With soft-wpmi and wpmi it is the sum over the
        unit's images less what images at large would give: how much likelier the word is there, as a
        logarithm. Their score itself only tells units apart: with `lam` = 1 it is at most the logarithm of
        their number, and in every layer, also one that knows nothing, some word has nearly that. With other
        methods the lift is the score.
        """
        scorer = scorer or self.prepare(pairings)
        with follow(scorer.steps * len(self.split(len(pairings))), "scoring", "steps") as work:
            for words in self.split(len(pairings)):
                yield words, *scorer.score(self.similarity(words), work.update)

    def split(self, draws: int) -> list[slice]:
        """Blocks of words whose scores take a quarter of the memory, one word at least."""
        each = 8 * (2 * draws * self.response.shape[1] + 3 * len(self.images))
        count = max(1, max(self.memory, _LEAST_MEMORY) // 4 // each)
        return [slice(at, min(at + count, len(self.words))) for at in range(0, len(self.words), count)]


@runtime_checkable
class Scorer(Protocol):
    """Scores words for some pairings."""

    @property
    def steps(self) -> int:
        """How often `score` tells that it has gone on."""

    def score(self, similarity: Float64[np.ndarray, "image word"], done: Done = ...) -> tuple[Scores, Scores]:
        """The scores and lifts of a block of words; `done(1)` is called after each of its steps."""


@dataclass(frozen=True, eq=False)
class _OneByOne:
    """Every pairing by itself."""

    fit: WordFit
    pairings: tuple[Pairing, ...]

    @property
    def steps(self) -> int:
        return len(self.pairings)

    def score(
        self, similarity: Float64[np.ndarray, "image word"], done: Done = _nothing
    ) -> tuple[Scores, Scores]:
        found = np.empty((len(self.pairings), self.fit.response.shape[1], similarity.shape[1]))
        for draw, pairing in enumerate(self.pairings):
            seen, answered = similarity[pairing.seen], self.fit.response[pairing.answered]
            found[draw] = text_scores(seen, answered, self.fit.method, **self.fit.parameters)
            done(1)
        return found, found


@dataclass(frozen=True, eq=False)
class _Inform:
    """Soft-wpmi and wpmi, all pairings at once: what they need beside the similarities of a block of words.

    `total[image]` is the logarithm of the sum over all words of exp(a similarity), `top[rank, draw, unit]`
    the images of the largest responses, `alive[draw, unit]` who answers differently to different images.
    """

    total: Float64[np.ndarray, "image"]
    top: Int64[np.ndarray, "rank draw unit"]
    alive: Bool[np.ndarray, "draw unit"]
    values: dict[str, float]

    @property
    def steps(self) -> int:
        return len(self.top)

    def score(
        self, similarity: Float64[np.ndarray, "image word"], done: Done = _nothing
    ) -> tuple[Scores, Scores]:
        known, count = self.values, len(self.top)
        likely = np.exp(known["a"] * similarity - self.total[:, None])
        found = np.zeros((*self.top.shape[1:], similarity.shape[1]))
        usual = np.zeros(similarity.shape[1])
        # A few words at a time, whose sums stay near the processor.
        parts = [slice(at, at + _NEAR) for at in range(0, similarity.shape[1], _NEAR)]
        for place, words in enumerate(parts):
            found[..., words], usual[words] = self._add(likely[:, words])
            done((place + 1) * count // len(parts) - place * count // len(parts))
        found[~self.alive] = -np.inf
        lift, largest = found - usual, found.max(1, keepdims=True)
        shares = np.exp(found - np.where(np.isfinite(largest), largest, 0.0)).sum(1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = largest + np.log(shares / self.alive.sum(1)[:, None, None])
            found -= known["lam"] * mean
        found[~self.alive] = np.nan
        return found, lift

    def _add(self, likely: Float64[np.ndarray, "image word"]) -> tuple[Scores, Float64[np.ndarray, "word"]]:
        """The sums over ranks, and what they are on average over all images, whatever the unit.

        Logarithms are taken once an image and rank, not a draw.
        """
        known, count = self.values, len(self.top)
        start, end = known.get("p_start", 1.0), known.get("p_end", 1.0)
        found = np.zeros((*self.top.shape[1:], likely.shape[1]))
        usual, logs = np.zeros(likely.shape[1]), None
        alike = np.full(len(likely), 1 / len(likely))
        for rank, images in enumerate(self.top):
            if logs is None or start != end:
                weight = start - rank / count * (start - end)
                logs = np.log(1 - weight + weight * likely + known["min_prob"])
                mean = alike @ logs
            add_rows(logs, images.ravel(), found.reshape(-1, found.shape[-1]))
            usual += mean
        return found, usual


def _plan_inform(fit: WordFit, pairings: Sequence[Pairing]) -> _Inform:
    known = settle_parameters(fit.method, fit.parameters)
    total = np.full(len(fit.images), -np.inf)
    for words in fit.split(1):
        scaled = known["a"] * fit.similarity(words)
        peak = np.maximum(total, scaled.max(1))
        total = peak + np.log(np.exp(total - peak) + np.exp(scaled - peak[:, None]).sum(1))
    ranking = _rank_images(fit.response, int(known["top_k"]))
    top = np.empty((ranking.count, len(pairings), len(ranking.order)), np.int64)
    for draw, pairing in enumerate(pairings):
        top[:, draw] = ranking.find_top(pairing).T
    alive = np.stack([ranking.find_alive(pairing) for pairing in pairings])
    return _Inform(total, top, alive, known)


@dataclass(frozen=True, eq=False)
class _Ranking:
    """Images by what units answer: `order[unit]` from the largest response on, of equal ones the first image.

    `codes[unit, image]` are 0 for the largest response, and equal for equal ones. `tied` units have equal
    ones among the `count` largest, or with the next.
    """

    order: Int64[np.ndarray, "unit image"]
    codes: Int64[np.ndarray, "unit image"]
    tied: Bool[np.ndarray, "unit"]
    count: int

    def find_top(self, pairing: Pairing) -> Int64[np.ndarray, "unit rank"]:
        """The images whose similarities stand beside the largest responses, of equal ones the first row's."""
        rows = pairing.seen
        if rows is pairing.answered and (rows[1:] >= rows[:-1]).all():
            return self._repeat(np.bincount(rows, minlength=self.order.shape[1]))
        found = np.empty((len(self.order), self.count), np.int64)
        place = np.full(self.order.shape[1], -1)
        place[pairing.answered] = np.arange(len(rows))
        every = len(rows) == len(place) and (place >= 0).all()
        alone = ~self.tied & every
        found[alone] = rows[place[self.order[alone, : self.count]]]
        drawn = self.codes[~alone][:, pairing.answered]
        keys = drawn * len(rows) + np.arange(len(rows))
        first = np.partition(keys, self.count - 1, axis=1)[:, : self.count]
        found[~alone] = rows[np.sort(first, axis=1) % len(rows)]
        return found

    def find_alive(self, pairing: Pairing) -> Bool[np.ndarray, "unit"]:
        """The units that answer differently to images that were drawn."""
        drawn = np.bincount(pairing.answered, minlength=self.codes.shape[1]) > 0
        if drawn.all():
            return np.asarray(self.codes.max(1) > 0)
        images = np.flatnonzero(drawn)
        found = np.asarray(self.codes[:, images[0]] != self.codes[:, images[-1]])  # enough for most units
        rest = self.codes[~found][:, images]
        found[~found] = rest.min(1) < rest.max(1)
        return found

    def _repeat(self, times: Int64[np.ndarray, "image"]) -> Int64[np.ndarray, "unit rank"]:
        """The first images in the order of every unit, each as often as it was drawn."""
        size = 2 * self.count
        while True:
            order = self.order[:, :size]
            sums = np.minimum(np.cumsum(times[order], axis=1), self.count)
            if (sums[:, -1] == self.count).all():
                break
            size *= 2
        often = np.diff(sums, axis=1, prepend=0)
        return np.repeat(order.ravel(), often.ravel()).reshape(len(order), self.count)


def _rank_images(response: Float32[np.ndarray, "image unit"], count: int) -> _Ranking:
    order = np.argsort(-response, axis=0, kind="stable").T
    falling = np.take_along_axis(response.T, order, 1)
    new = falling[:, 1:] != falling[:, :-1]
    codes = np.zeros(order.shape, np.int64)
    np.put_along_axis(codes, order[:, 1:], np.cumsum(new, axis=1), 1)
    return _Ranking(np.ascontiguousarray(order), codes, ~new[:, :count].all(1), count)
