"""Masks in pictures and twins: as counted cell by cell, whatever the order and the parts they come in."""

from functools import reduce

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unitscope.statistics.quantiles import tail_rank
from unitscope.statistics.twin_counts import LargestCells, TwinCounts, count_twins, pack_masks

SHAPES = st.tuples(*(st.integers(1, 5) for _ in range(4)))
MAPS = SHAPES.flatmap(lambda shape: arrays(np.float32, shape, elements=st.integers(-4, 4).map(float)))
PAIRS = SHAPES.flatmap(
    lambda shape: st.tuples(*(arrays(np.float32, shape, elements=st.integers(-3, 3).map(float)),) * 2)
)
QUANTILES = st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.5])


def find_slowly(maps, quantile):
    """The threshold of each unit: all of its cells sorted."""
    values = [sorted(maps[:, unit].ravel().tolist(), reverse=True) for unit in range(maps.shape[1])]
    return [one[tail_rank(quantile, len(one)) - 1] for one in values]


@given(MAPS, QUANTILES, st.randoms())
def test_thresholds_are_those_of_all_cells_in_any_order_and_parts(maps, quantile, chance):
    images, units, height, width = maps.shape
    start = LargestCells.start(units, images * height * width, quantile)
    order = list(range(images))
    chance.shuffle(order)
    parts = [start.add(maps[[image]]) for image in order]
    whole = start.add(maps)
    merged = reduce(LargestCells.merge, parts)
    turned = reduce(lambda one, other: other.merge(one), parts)
    wanted = find_slowly(maps, quantile)
    for found in (whole, merged, turned):
        assert found.threshold.tolist() == wanted
        assert ((maps > found.threshold[:, None, None]).mean((0, 2, 3)) <= quantile).all()


def count_slowly(first, second, thresholds):
    """Cells above the thresholds in the one, the other and both, one after the other."""
    counts = np.zeros((3, first.shape[1]), int)
    for image, unit, y, x in np.ndindex(first.shape):
        one, other = (maps[image, unit, y, x] > thresholds[unit] for maps in (first, second))
        counts[:, unit] += [one, other, one and other]
    return counts


@given(PAIRS, st.integers(-3, 2))
def test_counts_are_those_of_cells_one_by_one_and_merge(pair, bound):
    first, second = pair
    images, units, height, width = first.shape
    thresholds = np.full(units, bound, np.float32)
    masks = [pack_masks(maps, thresholds) for maps in pair]
    found = count_twins(*masks, height * width)
    wanted = count_slowly(first, second, thresholds)
    assert np.array_equal(np.stack([found.first, found.second, found.both]), wanted)
    assert int(found.cells) == images * height * width
    parts = [count_twins(*(one[[image]] for one in masks), height * width) for image in range(images)]
    for merged in (reduce(TwinCounts.merge, parts), reduce(TwinCounts.merge, parts[::-1])):
        assert all(np.array_equal(value, vars(found)[name]) for name, value in vars(merged).items())
    either = ((first > bound) | (second > bound)).sum((0, 2, 3))
    assert all(np.isnan(iou) == (not n) for iou, n in zip(found.iou, either, strict=True))
    assert np.allclose((found.iou * either)[either > 0], wanted[2][either > 0])


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), QUANTILES)
def test_the_score_is_the_iou_of_masks_of_exactly_the_quantile(shared, quantile):
    cells = 400
    size = np.full(len(shared), round(quantile * cells))
    both = np.minimum(shared, size)
    counts = TwinCounts(size, size, both, np.asarray(cells))
    assert np.allclose(counts.score(quantile), counts.iou)
    assert (counts.score(quantile) <= 1 + 1e-9).all()
    smaller = TwinCounts(both, both, both, np.asarray(cells))
    assert (smaller.score(quantile) <= np.nan_to_num(smaller.iou) + 1e-9).all()


def test_counts_survive_a_file(tmp_path):
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, 255, (3, 4, 2)).astype(np.uint8) for _ in range(2)]
    counts = count_twins(*masks, 16)
    np.savez(tmp_path / "counts.npz", **vars(counts))
    with np.load(tmp_path / "counts.npz") as kept:
        again = TwinCounts(**kept)
    assert np.array_equal(again.merge(counts).both, 2 * counts.both)
