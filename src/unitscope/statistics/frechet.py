"""The Fréchet distance of two sets of features, each taken for a normal distribution."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from unitscope.errors import UsageError

Features = Float64[np.ndarray, "image feature"]


@dataclass(frozen=True, eq=False)
class Spread:
    """A set of features taken for a normal distribution: mean m, and the root R of its covariance R R.

    What many other sets are compared with is fitted once.
    """

    mean: Float64[np.ndarray, "feature"]
    root: Float64[np.ndarray, "feature feature"]
    trace: float


def fit_spread(features: Features) -> Spread:
    """The normal distribution of features; raises `UsageError` for fewer than two images.

    >>> fit_spread(np.array([[0.0, 0.0], [2.0, 0.0]])).trace
    2.0
    """
    if len(features) < 2:
        raise UsageError(f"{len(features)} pictures have no spread; a Fréchet distance needs 2 or more")
    covariance = np.atleast_2d(np.cov(features, rowvar=False))
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return Spread(features.mean(0), root, float(np.trace(covariance)))


def compare_spread(features: Features, reference: Spread) -> float:
    """The Fréchet distance of features from a distribution that was fitted before.

    (m1 - m2)^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Heusel et al., NeurIPS 2017). With S1 = A^T A the trace of
    the root is the sum of the singular values of A R, so few images with many features cost little. Numbers
    of one extractor and one number of images are comparable, others are not: fewer images have a larger
    distance. Raises `UsageError` for fewer than two images.

    >>> points = np.random.default_rng(0).normal(size=(500, 3))
    >>> round(compare_spread(points + [1, 0, 0], fit_spread(points)), 6)
    1.0
    """
    if len(features) < 2:
        raise UsageError(f"{len(features)} pictures have no spread; a Fréchet distance needs 2 or more")
    mean = features.mean(0)
    centered = (features - mean) / np.sqrt(len(features) - 1)
    shared = np.linalg.svd(centered @ reference.root, compute_uv=False).sum()
    apart = np.square(mean - reference.mean).sum()
    return float(apart + np.square(centered).sum() + reference.trace - 2 * shared)


def measure_frechet(one: Features, other: Float64[np.ndarray, "other feature"]) -> float:
    """The Fréchet distance of two sets of features, as in `compare_spread`.

    >>> points = np.random.default_rng(0).normal(size=(500, 3))
    >>> round(measure_frechet(points, points + [1, 0, 0]), 6)
    1.0
    """
    return compare_spread(one, fit_spread(other))
