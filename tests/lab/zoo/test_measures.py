"""Measures of the zoo against their slow twins."""

import numpy as np
import pytest
import torch

from unitscope.lab.zoo.measures import blur, score_pixels


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
