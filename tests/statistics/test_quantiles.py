import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from unitscope.errors import RunError
from unitscope.statistics.grids import make_grid
from unitscope.statistics.kernels.bilinear import count_pixels
from unitscope.statistics.quantiles import TailPlan, empty_tail, tail_rank, update_tail
from unitscope.statistics.threads import open_threads

KINDS = ["normal", "relu", "negative", "constant", "few levels", "huge"]


def make_maps(kind, images, units, side, seed):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(images, units, side, side))
    maps = {
        "normal": maps,
        "relu": np.maximum(maps - 1, 0),
        "negative": -np.abs(maps) - 100,
        "constant": np.full_like(maps, 3.25),
        "few levels": np.round(maps),
        "huge": maps * 1e30,
    }[kind]
    return torch.from_numpy(maps.astype(np.float32))


def fill_tail(plan, maps, spans, threads, bound=None):
    tail = empty_tail(plan, bound)
    for start, stop in spans:
        tail = update_tail(tail, maps[start:stop], start, threads)
    return tail


def tail_results(tail):
    thresholds = tail.thresholds()
    return thresholds.tolist(), [mask_runs(tail, thresholds, unit) for unit in range(tail.plan.units)]


def mask_runs(tail, thresholds, unit):
    """The runs of one unit's masks by image."""
    masks = tail.part(unit, unit + 1).masks(thresholds[unit : unit + 1])
    pieces = np.split(masks.runs, np.cumsum(masks.size)[:-1]) if len(masks.size) else []
    assert masks.counts.tolist() == [len(pieces)]
    return {int(i): piece.tolist() for i, piece in zip(masks.image, pieces, strict=True)}


@given(
    kind=st.sampled_from(KINDS),
    side=st.integers(1, 8),
    pixels=st.integers(1, 18),
    upsampling=st.sampled_from(["half-pixel", "zero-border", "receptive-field"]),
    population=st.sampled_from(["cells", "pixels"]),
    quantile=st.sampled_from([0.005, 0.01, 0.05, 0.3, 0.9]),
    images=st.integers(1, 9),
    batch=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=150)
def test_thresholds_and_masks_are_the_twins(
    kind, side, pixels, upsampling, population, quantile, images, batch, seed
):
    maps = make_maps(kind, images, 3, side, seed)
    size, field, extent = (pixels, pixels), ((1.0, 1.0), (2.0, 2.0)), (2 * pixels, 2 * pixels)
    grid = make_grid((side, side), size, upsampling, centers=field[0], steps=field[1], input_size=extent)
    plan = TailPlan(3, images, (side, side), grid, population, quantile)
    with open_threads(2) as threads:
        tail = fill_tail(plan, maps, [(s, min(s + batch, images)) for s in range(0, images, batch)], threads)
    dense = np.stack(
        [
            [reference.upsample(flat, size, upsampling, np.float32, field, extent) for flat in image]
            for image in maps
        ]
    )
    thresholds = tail.thresholds()
    for unit in range(3):
        values = maps[:, unit].numpy() if population == "cells" else dense[:, unit]
        assert thresholds[unit] == reference.threshold(values, quantile)
        seen = np.zeros((images, *size), bool)
        for i, runs in mask_runs(tail, thresholds, unit).items():
            seen[i] = reference.runs_to_mask(runs, size)
        np.testing.assert_array_equal(seen, dense[:, unit] > thresholds[unit])


@pytest.mark.parametrize("population", ["cells", "pixels"])
@pytest.mark.parametrize("kind", ["normal", "relu", "few levels"])
def test_merging_in_any_order_or_grouping_gives_the_same(population, kind):
    maps = make_maps(kind, 12, 4, 5, 1)
    grid = make_grid((5, 5), (20, 20), "half-pixel")
    plan = TailPlan(4, 12, (5, 5), grid, population, 0.02)
    with open_threads(2) as threads:
        whole = tail_results(fill_tail(plan, maps, [(0, 12)], threads))
        for order in itertools.permutations(range(3)):
            a, b, c = (fill_tail(plan, maps, [(4 * k, 4 * k + 4)], threads) for k in order)
            assert tail_results(a.merge(b).merge(c)) == whole
            assert tail_results(a.merge(b.prune(threads).merge(c)).prune(threads)) == whole


@pytest.mark.parametrize("population", ["cells", "pixels"])
@pytest.mark.parametrize(("side", "upsampling"), [(5, "half-pixel"), (9, "half-pixel"), (5, "zero-border")])
def test_bounds_are_exact_ranks_of_what_was_seen_and_change_nothing(population, side, upsampling):
    maps = make_maps("normal", 12, 4, side, 2)
    maps[:, 0] -= 10  # a ring of zeros would be above all of it
    grid = make_grid((side, side), (8, 8), upsampling)
    plan = TailPlan(4, 12, (side, side), grid, population, 0.1)
    with open_threads(2) as threads:
        whole = tail_results(fill_tail(plan, maps, [(0, 12)], threads))
        first = fill_tail(plan, maps, [(0, 3), (3, 6)], threads)
        bound = first.certify(threads)
        second = fill_tail(plan, maps, [(6, 12)], threads, bound=bound)
        merged = replace(first, bound=bound).prune(threads).merge(second)
        assert tail_results(merged) == whole
        assert tail_results(merged.prune(threads)) == whole
        assert fill_tail(plan, maps, [(0, 1)], threads).certify(threads).max() == -np.inf
    dense = np.array([[reference.upsample(m, (8, 8), upsampling, np.float32) for m in im] for im in maps])
    for unit in range(4):
        values = maps[:6, unit].numpy() if population == "cells" else dense[:6, unit]
        assert bound[unit] == np.sort(values.reshape(-1))[-plan.rank]
    assert (bound <= whole[0]).all()


@pytest.mark.parametrize("kind", [*KINDS, "offset"])
@pytest.mark.parametrize("upsampling", ["half-pixel", "zero-border"])
def test_bounds_of_many_pixels_lie_a_little_below_their_rank(kind, upsampling):
    maps = make_maps("normal", 30, 4, 7, 3) + 900 if kind == "offset" else make_maps(kind, 30, 4, 7, 3)
    grid = make_grid((7, 7), (56, 56), upsampling)
    plan = TailPlan(4, 60, (7, 7), grid, "pixels", 0.02)
    assert plan.rank > 3000  # fewer are ranked exactly
    with open_threads(2) as threads:
        tail = empty_tail(plan)
        for start in (0, 15):
            tail = update_tail(tail, maps[start : start + 15], start, threads)
        bound = tail.certify(threads)
    for unit in range(4):
        values = np.sort(grid.upsample(grid.surround(maps))[:, unit].numpy().reshape(-1))
        assert bound[unit] <= values[-plan.rank]
        assert bound[unit] >= values[-int(1.3 * plan.rank)]


@given(
    side=st.integers(1, 7),
    pixels=st.integers(7, 40),
    upsampling=st.sampled_from(["half-pixel", "zero-border", "receptive-field"]),
    kind=st.sampled_from(KINDS),
    level=st.floats(-3, 3, width=32),
    seed=st.integers(0, 99),
)
@settings(max_examples=80)
def test_pixels_are_counted_never_too_many_and_hardly_too_few(side, pixels, upsampling, kind, level, seed):
    maps = make_maps(kind, 6, 1, side, seed)
    field = {"centers": (1.0, 1.0), "steps": (2.0, 2.0), "input_size": (2 * pixels, 2 * pixels)}
    grid = make_grid((side, side), (pixels, pixels), upsampling, **field)
    plan = TailPlan(1, 6, (side, side), grid, "pixels", 0.02)
    level = np.float32(level if kind != "huge" else level * 1e30)
    with open_threads(1) as threads:
        (cells,) = update_tail(empty_tail(plan, np.full(1, -np.inf, np.float32)), maps, 0, threads).chunks
    axes = [(axis.low, axis.high, axis.weight, axis.starts) for axis in (grid.rows, grid.columns)]
    found = count_pixels(cells.size, cells.cells, cells.values, level, *axes)
    above = int((grid.upsample(grid.surround(maps)).numpy() > level).sum())
    # At most a pixel is lost where a column crosses the level between two rows of cells.
    crossings = 6 * pixels * grid.rows.cells
    assert above - crossings <= found <= above


def test_a_threshold_needs_all_images():
    maps = make_maps("normal", 4, 2, 3, 0)
    plan = TailPlan(2, 5, (3, 3), make_grid((3, 3), (6, 6), "half-pixel"), "cells", 0.1)
    with open_threads(1) as threads:
        tail = fill_tail(plan, maps, [(0, 4)], threads)
    with pytest.raises(RunError, match="4 of 5 images"):
        tail.thresholds()


@given(count=st.integers(1, 10**9), thousandths=st.integers(1, 999))
def test_at_most_the_quantile_lies_above(count, thousandths):
    rank = tail_rank(thousandths / 1000, count)
    assert 1 <= rank <= count
    assert (rank - 1) * 1000 <= thousandths * count
    assert rank * 1000 > thousandths * count or rank == count


def test_rows_whose_corners_cancel_are_not_judged_by_their_ends():
    maps = torch.tensor([[[[6.732655, 6.732655], [-4.488436, -4.488436]]]])
    grid = make_grid((2, 2), (10, 10), "half-pixel")
    threshold = np.float32(1.1920929e-07)
    plan = TailPlan(1, 1, (2, 2), grid, "given", 0.1)
    with open_threads(1) as threads:
        tail = update_tail(empty_tail(plan, np.array([threshold])), maps, 0, threads)
    runs = tail.masks(np.array([threshold])).runs
    dense = reference.upsample(maps[0, 0].numpy(), (10, 10), "half-pixel")
    np.testing.assert_array_equal(reference.runs_to_mask(runs, (10, 10)), dense > threshold)


def test_the_packed_tail_is_a_few_per_cent():
    maps = make_maps("normal", 200, 4, 13, 0)
    plan = TailPlan(4, 200, (13, 13), make_grid((13, 13), (112, 112), "half-pixel"), "cells", 0.005)
    with open_threads(2) as threads:
        tail = fill_tail(plan, maps, [(s, s + 20) for s in range(0, 200, 20)], threads).prune(threads)
    assert sum(chunk.bytes for chunk in tail.chunks) < 0.15 * maps.numpy().nbytes
