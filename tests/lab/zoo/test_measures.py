"""Measures of the zoo against their slow twins."""

import numpy as np
import pytest
import torch
from scipy import linalg

from unitscope.lab.zoo.measures import blur, measure_frechet, score_pixels


def test_frechet_equals_the_matrix_root_of_scipy():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6))
    other = rng.normal(size=(150, 6)) @ rng.normal(size=(6, 6)) + 0.4
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = linalg.sqrtm(first @ second).real
    wanted = np.square(one.mean(0) - other.mean(0)).sum() + np.trace(first + second - 2 * root)
    assert measure_frechet(one, other) == pytest.approx(wanted, rel=1e-6)
    assert measure_frechet(one, one) == pytest.approx(0, abs=1e-9)


def test_pixel_scores_equal_a_plain_count():
    rng = np.random.default_rng(1)
    found, wanted = rng.integers(0, 4, (3, 8, 8)), rng.integers(0, 5, (3, 8, 8))
    scores = score_pixels(torch.from_numpy(found.astype(np.uint8)), wanted.astype(np.uint8), 6)
    for k in range(6):
        assert scores.intersection[k] == ((found == k) & (wanted == k)).sum()
        assert scores.union[k] == ((found == k) | (wanted == k)).sum()
        assert scores.coverage[k] == (wanted == k).mean()
    assert np.isnan(scores.iou[5])


def test_blurred_pictures_keep_their_size_and_mean():
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    soft = blur(images)
    assert soft.shape == images.shape
    assert soft.std() < images.std()
    assert soft.mean() == pytest.approx(images.mean().item(), abs=0.05)
