"""How well a word fits what a unit responds to, from how similar images are to words: five methods in use."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Num

from unitscope.errors import UsageError, say_near

Method = Literal["soft-wpmi", "wpmi", "rank-reorder", "cosine", "cosine-cubed"]
WordScores = Float64[np.ndarray, "unit word"]

DEFAULTS: dict[str, dict[str, float]] = {
    "soft-wpmi": {"top_k": 100.0, "a": 10.0, "lam": 1.0, "min_prob": 1e-7, "p_start": 0.998, "p_end": 0.97},
    "wpmi": {"top_k": 28.0, "a": 2.0, "lam": 0.6, "min_prob": 1e-7},
    "rank-reorder": {"top_fraction": 0.05, "p": 3.0, "scale_p": 0.5},
    "cosine": {},
    "cosine-cubed": {"min_norm": 1e-3},
}
"""The parameters of each method with what they are if not given."""


def text_scores(
    similarity: Num[np.ndarray, "image word"],
    response: Num[np.ndarray, "_image unit"],
    method: Method = "soft-wpmi",
    **parameters: int | float,
) -> WordScores:
    """The score of every word for every unit, float64: larger is better, the name is the largest.

    `similarity[image, word]` are cosines of image and text embeddings, `response[image, unit]` what units
    answer, pooled. A unit whose responses are all equal has no name: its scores are NaN, and no other's
    depend on it. Of equal responses those of the first images are the largest.

    - `soft-wpmi`: with P the softmax over words of `a` times the similarities, the sum over the unit's
      `top_k` images, r = 0, 1, ... from the largest response, of ln(1 + w (P - 1) + `min_prob`), where
      w = p_start - r / top_k (p_start - p_end); less `lam` times the logarithm of the mean of its exponential
      over units. So scores depend on which words and units are given: give whole layers.
    - `wpmi`: the same with w = 1.
    - `rank-reorder`: of the unit's floor(`top_fraction` N) largest responses, the mean of abs(t - s) to the
      power `p`, where s is the response at the rank that the similarity of t's image has among these; over
      its mean for pairs by lot, and over the mean similarity to the power `scale_p`; times -1. NaN where
      these responses are equal or that mean is negative.
    - `cosine`: of responses and similarities over all images, not centered.
    - `cosine-cubed`: of the cubes of both, centered; no length is below `min_norm`.

    The methods are those of CLIP-Dissect (Oikarinen and Weng, ICLR 2023), whose shuffles in rank-reorder are
    their expectation here. `DEFAULTS` has the parameters.

    Raises `UsageError` for other methods or parameters, sizes that do not match, numbers that are not finite,
    and fewer images than `top_k` or than 2 / `top_fraction`.

    >>> similarity = np.array([[0.3, 0.1], [0.1, 0.3], [0.1, 0.2]])
    >>> response = np.array([[1.0, 0.0, 7.0], [0.0, 2.0, 7.0], [0.0, 1.0, 7.0]])
    >>> scores = text_scores(similarity, response, "soft-wpmi", top_k=1)
    >>> scores[:2].argmax(1).tolist(), bool(np.isnan(scores[2]).all())
    ([0, 1], True)
    """
    known = settle_parameters(method, parameters)
    c, a = _check("similarity", "word", similarity), _check("response", "unit", response)
    if len(c) != len(a):
        raise UsageError(f"similarity has {len(c)} images, response {len(a)}; give the same images")
    alive = a.min(0) < a.max(0)
    found = np.full((a.shape[1], c.shape[1]), np.nan)
    if alive.any():
        found[alive] = _METHODS[method](c, a[:, alive], **known)
    return found


def settle_parameters(method: str, parameters: Mapping[str, int | float]) -> dict[str, float]:
    """All parameters of a method: those given, and of the others what they are if not given.

    Raises `UsageError` for a method or a parameter that is not known.

    >>> settle_parameters("wpmi", {"top_k": 5})
    {'top_k': 5.0, 'a': 2.0, 'lam': 0.6, 'min_prob': 1e-07}
    """
    if method not in get_args(Method):
        near = say_near(method, DEFAULTS)
        raise UsageError(f"there is no method {method!r}{near}; methods: {', '.join(DEFAULTS)}")
    for name in parameters:
        if name not in DEFAULTS[method]:
            told = f"it has {', '.join(DEFAULTS[method]) or 'none'}"
            raise UsageError(f"{method} has no parameter {name!r}; {told}")
    return DEFAULTS[method] | {name: float(value) for name, value in parameters.items()}


def check_top(known: Mapping[str, float], images: int) -> None:
    """Raises `UsageError` where the parameters ask for more images than there are, or for none."""
    if "top_k" in known:
        _count_top(known["top_k"], images)
    if "top_fraction" in known:
        _count_share(known["top_fraction"], images)


def _check(name: str, column: str, values: np.ndarray) -> Float64[np.ndarray, "image column"]:
    if values.ndim != 2 or not values.size:
        raise UsageError(f"{name} has the shape {values.shape}; wanted [image, {column}], none of them 0")
    found = values.astype(np.float64)
    if not np.isfinite(found).all():
        raise UsageError(f"{name} has {int((~np.isfinite(found)).sum())} numbers that are not finite")
    return found


def _choose_top(a: np.ndarray, count: int) -> np.ndarray:
    """The images of every unit's largest responses, [rank, unit], of equal ones the first."""
    found: np.ndarray = np.argsort(-a, axis=0, kind="stable")[:count]
    return found


def _count_top(top_k: float, images: int) -> int:
    if top_k != int(top_k) or top_k < 1:
        raise UsageError(f"top_k is {top_k:g}; wanted a whole number from 1 on")
    if images < top_k:
        raise UsageError(f"top_k is {top_k:g}, but there are {images} images; give more, or a smaller top_k")
    return int(top_k)


def _count_share(top_fraction: float, images: int) -> int:
    if not 0 < top_fraction <= 1:
        raise UsageError(f"top_fraction is {top_fraction:g}; wanted more than 0 and at most 1, such as 0.05")
    count = math.floor(Fraction(str(top_fraction)) * images)
    if count < 2:
        raise UsageError(f"top_fraction {top_fraction:g} of {images} images is {count}; wanted 2 or more")
    return count


def _inform(
    c: np.ndarray,
    responses: np.ndarray,
    *,
    a: float,
    top_k: float,
    lam: float,
    min_prob: float,
    p_start: float = 1.0,
    p_end: float = 1.0,
) -> WordScores:
    """How likely words are in the top images, less how likely they are in those of all units."""
    count = _count_top(top_k, len(c))
    likely = np.exp(a * (c - c.max(1, keepdims=True)))
    likely /= likely.sum(1, keepdims=True)
    found = np.zeros((responses.shape[1], c.shape[1]))
    for rank, images in enumerate(_choose_top(responses, count)):
        weight = p_start - rank / count * (p_start - p_end)
        found += np.log(1 - weight + weight * likely[images] + min_prob)
    largest = found.max(0)
    everywhere = largest + np.log(np.exp(found - largest).mean(0))
    return np.asarray(found - lam * everywhere)


def _reorder(
    c: np.ndarray, responses: np.ndarray, *, top_fraction: float, p: float, scale_p: float
) -> WordScores:
    """How far the top responses are from those that the order of the similarities would give."""
    count = _count_share(top_fraction, len(c))
    top = _choose_top(responses, count)
    found = np.empty((responses.shape[1], c.shape[1]))
    for unit, images in enumerate(top.T):
        falling, chosen = responses[images, unit], c[images]
        # From the least similar image to the most, beside the responses from the least to the largest.
        rising = falling[np.argsort(chosen, axis=0, kind="stable")]
        error = _raise(np.abs(rising - falling[::-1, None]), p).mean(0)
        by_lot = _raise(np.abs(falling[:, None] - falling), p).mean()
        alike = chosen.mean(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            found[unit] = np.where(alike > 0, -(error / by_lot) / np.abs(alike) ** scale_p, np.nan)
    return found


def _compare(c: np.ndarray, responses: np.ndarray) -> WordScores:
    """The cosine of responses and similarities."""
    lengths = np.outer(np.linalg.norm(responses, axis=0), np.linalg.norm(c, axis=0))
    with np.errstate(invalid="ignore"):
        return np.asarray(responses.T @ c / lengths)


def _compare_cubes(c: np.ndarray, responses: np.ndarray, *, min_norm: float) -> WordScores:
    """The cosine of the cubes of both, centered before."""
    x, y = (_raise(values - values.mean(0), 3) for values in (responses, c))
    lengths = (np.maximum(np.linalg.norm(values, axis=0), min_norm) for values in (x, y))
    return np.asarray(x.T @ y / np.outer(*lengths))


def _raise(values: np.ndarray, power: int | float) -> np.ndarray:
    """A power of numbers; the third, which is the usual one, thirty times as fast as numpy's of any."""
    return values * values * values if power == 3 else np.asarray(values**power)


_METHODS: dict[str, Callable[..., WordScores]] = {
    "soft-wpmi": _inform,
    "wpmi": _inform,
    "rank-reorder": _reorder,
    "cosine": _compare,
    "cosine-cubed": _compare_cubes,
}
