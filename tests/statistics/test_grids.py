import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

import reference
from unitscope.statistics.grids import make_grid

SIDES = st.integers(1, 9)


@given(height=SIDES, width=SIDES, rows=st.integers(1, 20), columns=st.integers(1, 20), seed=st.integers(0, 9))
@settings(max_examples=40)
@pytest.mark.parametrize("upsampling", ["half-pixel", "zero-border", "receptive-field"])
def test_the_dense_map_is_the_twins_bit_for_bit(upsampling, height, width, rows, columns, seed):
    flat = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    field, extent = ((3.0, 2.5), (4.0, 3.0)), (2 * rows, 2 * columns)
    centers, steps = field
    grid = make_grid(
        (height, width), (rows, columns), upsampling, centers=centers, steps=steps, input_size=extent
    )
    maps = grid.surround(torch.from_numpy(flat)[None, None])
    twin = reference.upsample(flat, (rows, columns), upsampling, np.float32, field, extent)
    np.testing.assert_array_equal(grid.upsample(maps)[0, 0].numpy(), twin)


@given(side=SIDES, pixels=st.integers(1, 30), seed=st.integers(0, 9))
@settings(max_examples=30)
def test_half_pixel_is_bilinear_interpolation_without_aligned_corners(side, pixels, seed):
    torch.manual_seed(seed)
    maps = torch.randn(2, 3, side, side)
    wanted = functional.interpolate(maps, (pixels, pixels), mode="bilinear", align_corners=False)
    grid = make_grid((side, side), (pixels, pixels), "half-pixel")
    torch.testing.assert_close(grid.upsample(maps), wanted, rtol=1e-5, atol=1e-5)


@given(side=st.integers(2, 9), pixels=st.integers(1, 30), seed=st.integers(0, 9))
@settings(max_examples=30)
def test_zero_border_is_grid_sampling_with_zero_padding(side, pixels, seed):
    torch.manual_seed(seed)
    maps = torch.randn(1, 2, side, side)
    places = (torch.arange(pixels) + 0.5) * 2 / pixels - 1
    places = torch.stack(torch.meshgrid(places, places, indexing="xy"), -1)[None]
    wanted = functional.grid_sample(maps, places, padding_mode="zeros", align_corners=False)
    grid = make_grid((side, side), (pixels, pixels), "zero-border")
    torch.testing.assert_close(grid.upsample(grid.surround(maps)), wanted, rtol=1e-5, atol=1e-5)


def test_a_cell_lies_at_the_center_of_its_receptive_field():
    maps = torch.zeros(1, 1, 13, 13)
    maps[0, 0, 4, 7] = 1.0
    grid = make_grid(
        (13, 13),
        (113, 113),
        "receptive-field",
        centers=(17.0, 17.0),
        steps=(16.0, 16.0),
        input_size=(226, 226),
    )
    dense = grid.upsample(maps)[0, 0]
    peak = divmod(int(dense.argmax()), 113)
    assert peak == (round((17 + 4 * 16) / 2), round((17 + 7 * 16) / 2))


def test_a_mask_coarser_than_the_map_is_sampled():
    assert make_grid((28, 28), (14, 14), "half-pixel").sampled
    assert not make_grid((14, 14), (14, 14), "half-pixel").sampled
    assert not make_grid((1, 1), (14, 14), "half-pixel").sampled
