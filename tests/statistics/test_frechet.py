"""The Fréchet distance against the matrix root of scipy, and the laws of a distance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from unitscope.errors import UsageError
from unitscope.statistics.frechet import compare_spread, fit_spread, measure_frechet


def slow_distance(one, other):
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = linalg.sqrtm(first @ second).real
    return np.square(one.mean(0) - other.mean(0)).sum() + np.trace(first + second - 2 * root)


def draw(rng, count, features):
    return rng.normal(size=(count, features)) @ rng.normal(size=(features, features)) + rng.normal()


@given(st.integers(0, 2**32), st.integers(8, 60), st.integers(2, 6))
def test_it_is_that_of_the_matrix_root(seed, count, features):
    rng = np.random.default_rng(seed)
    one, other = draw(rng, count, features), draw(rng, 2 * count, features)
    wanted = slow_distance(one, other)
    scale = np.trace(np.cov(one, rowvar=False)) + np.trace(np.cov(other, rowvar=False))
    assert compare_spread(one, fit_spread(other)) == pytest.approx(wanted, rel=1e-5, abs=1e-6 * scale)
    assert measure_frechet(one, other) == pytest.approx(measure_frechet(other, one), abs=1e-9 * scale)
    assert measure_frechet(one, one) == pytest.approx(0, abs=1e-9 * scale)
    assert measure_frechet(one, one + 2) == pytest.approx(4 * features, rel=1e-9, abs=1e-9 * scale)


def test_fewer_images_than_features_have_a_distance_as_well():
    rng = np.random.default_rng(0)
    few, many = draw(rng, 5, 12), draw(rng, 100, 12)
    roots = np.sqrt(np.clip(np.linalg.eigvals(np.cov(few.T) @ np.cov(many.T)).real, 0, None)).sum()
    wanted = (
        np.square(few.mean(0) - many.mean(0)).sum() + np.trace(np.cov(few.T) + np.cov(many.T)) - 2 * roots
    )
    assert measure_frechet(few, many) == pytest.approx(wanted, rel=1e-5)


def test_the_order_of_images_does_not_matter():
    rng = np.random.default_rng(1)
    one, other = draw(rng, 30, 4), draw(rng, 40, 4)
    turned = measure_frechet(one[rng.permutation(30)], other[rng.permutation(40)])
    assert turned == pytest.approx(measure_frechet(one, other), rel=1e-9)


def test_one_picture_has_no_spread():
    with pytest.raises(UsageError, match="1 pictures have no spread"):
        fit_spread(np.zeros((1, 3)))
    with pytest.raises(UsageError, match="needs 2 or more"):
        compare_spread(np.zeros((1, 3)), fit_spread(np.eye(3)))
