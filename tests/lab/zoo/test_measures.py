"""Measures of the zoo against their slow twins."""

import numpy as np
import pytest
import torch

from unitscope.lab.zoo.measures import (
    blur,
    compare_axes,
    compare_grain,
    measure_variety,
    read_power,
    score_pixels,
    to_input,
)
from unitscope.lab.zoo.pictures import PictureSet, paint_pictures
from unitscope.lab.zoo.recipes import GENERATED


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


def test_power_equals_a_plain_sum_of_waves():
    images = torch.rand(3, 3, 8, 8) * 2 - 1
    found = read_power(images)
    y, x = np.mgrid[:8, :8]
    for fy, fx in ((0, 0), (1, 3), (4, 7)):
        wave = np.exp(-2j * np.pi * (fy * y + fx * x) / 8)
        gray = images.mean(1).double().numpy()
        sums = ((gray - gray.mean((1, 2), keepdims=True)) * wave).sum((1, 2))
        assert found[fy, fx] == pytest.approx(np.square(np.abs(sums)).mean(), abs=1e-6)


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("painted")
    return to_input(paint_pictures(PictureSet(GENERATED, 60, 5), folder).images)


def test_a_grid_is_on_the_axes_and_painted_pictures_hardly_so(painted):
    bars = torch.cos(torch.arange(64) * 2 * np.pi * 16 / 64)
    grid = painted + 0.3 * (bars[:, None] + bars)
    plain = compare_axes(read_power(painted))
    assert 7 < plain < 13
    assert compare_axes(read_power(grid)) > 1.5 * plain
    assert compare_axes(read_power(painted + 0.3 * torch.randn(painted.shape))) < 0.8 * plain


def test_blurred_pictures_and_bars_have_no_grain(painted):
    power, soft = read_power(painted), read_power(blur(painted))
    assert compare_grain(power, power) == 1
    assert compare_grain(soft, power) < 0.1
    bars = 0.3 * torch.cos(torch.arange(64) * 2 * np.pi * 29 / 64)
    assert compare_grain(read_power(blur(painted) + bars), power) < 0.1
    noisy = read_power(blur(painted) + 0.3 * torch.randn(painted.shape))
    assert compare_grain(noisy, power) > 0.5


def test_variety_is_the_chance_of_another_object():
    rng = np.random.default_rng(2)
    found, kinds = rng.integers(0, 3, (9, 4, 4)).astype(np.uint8), np.arange(9) % 2
    chances = []
    for kind in (0, 1):
        some = found[kinds == kind]
        chances.append(np.mean([[one != other for other in some] for one in some]))
    assert measure_variety(found, kinds) == pytest.approx(np.mean(chances))
    assert measure_variety(found[:1].repeat(4, 0), np.zeros(4, int)) == 0
