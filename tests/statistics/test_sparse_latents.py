"""Tails of sparse latents: what fires is all that is kept, and a threshold of 0 is lifted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_quantiles import fill_tail, mask_runs, tail_results

import reference
from unitscope.statistics import gathering, quantiles
from unitscope.statistics.devices import DeviceTails
from unitscope.statistics.exemplars import TopImages
from unitscope.statistics.gathering import CompiledTails
from unitscope.statistics.grids import make_grid
from unitscope.statistics.quantiles import TailPlan, empty_tail
from unitscope.statistics.threads import open_threads

KINDS = ["rare", "usual", "signed", "few levels", "once", "never"]


def make_latents(kind, images, units, side, seed):
    rng = np.random.default_rng(seed)
    h = rng.normal(size=(images, units, side, side))
    off = {"rare": h < 2, "usual": h < 0, "signed": np.abs(h) < 1.5, "few levels": h < 1.5, "never": h < 99}
    maps = np.where(off.get(kind, True), 0, np.ceil(h) if kind == "few levels" else h)
    if kind == "once":
        maps.reshape(images, units, -1)[0, :, 0] = 1 + np.arange(units)
    maps[:, 0] = np.minimum(maps[:, 0], 0)  # one is dead, or worse, whatever the kind
    return torch.from_numpy(maps.astype(np.float32))


def upsample_all(maps, size, upsampling):
    return np.stack(
        [[reference.upsample(flat, size, upsampling) for flat in image] for image in maps.numpy()]
    )


@given(
    kind=st.sampled_from(KINDS),
    side=st.integers(1, 7),
    pixels=st.integers(1, 16),
    upsampling=st.sampled_from(["half-pixel", "zero-border"]),
    population=st.sampled_from(["cells", "pixels", "given"]),
    quantile=st.sampled_from([0.005, 0.05, 0.3]),
    images=st.integers(1, 9),
    batch=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_thresholds_and_masks_of_latents_are_the_twins(
    kind, side, pixels, upsampling, population, quantile, images, batch, seed
):
    maps, size = make_latents(kind, images, 3, side, seed), (pixels, pixels)
    grid = make_grid((side, side), size, upsampling)
    plan = TailPlan(3, images, (side, side), grid, population, quantile, "half-median")
    bound = np.array([0.0, 0.0, 1.5], np.float32) if population == "given" else None
    with open_threads(2) as threads:
        spans = [(start, min(start + batch, images)) for start in range(0, images, batch)]
        tail = fill_tail(plan, maps, spans, threads, bound)
    dense = upsample_all(maps, size, upsampling)
    thresholds = tail.thresholds()
    assert thresholds.dtype == np.float32
    for unit in range(3):
        cells = maps[:, unit].numpy()
        values = bound[unit] if bound is not None else cells if population == "cells" else dense[:, unit]
        assert thresholds[unit] == reference.latent_threshold(cells, values, quantile)
        seen = np.zeros((images, *size), bool)
        for image, runs in mask_runs(tail, thresholds, unit).items():
            seen[image] = reference.runs_to_mask(runs, size)
        np.testing.assert_array_equal(seen, dense[:, unit] > thresholds[unit])
        assert thresholds[unit] > 0 or not (cells > 0).any()


@pytest.mark.parametrize("population", ["cells", "pixels"])
@pytest.mark.parametrize("pixels", [4, 20])
@pytest.mark.parametrize("kind", ["rare", "usual", "signed"])
def test_parts_of_latents_merge_in_any_order_and_raise_their_bounds(kind, pixels, population):
    maps = make_latents(kind, 12, 4, 5, 1)
    plan = TailPlan(
        4, 12, (5, 5), make_grid((5, 5), (pixels, pixels), "half-pixel"), population, 0.02, "half-median"
    )
    with open_threads(2) as threads:
        whole = fill_tail(plan, maps, [(0, 12)], threads)
        a, b, c = (fill_tail(plan, maps, [(4 * k, 4 * k + 4)], threads) for k in range(3))
        assert tail_results(c.merge(a).merge(b)) == tail_results(whole)
        early = b.merge(a)
        bound = early.certify(threads)
        assert (bound >= 0).all()
        assert (bound <= np.maximum(whole.rank_values(), 0)).all()
        later = fill_tail(plan, maps, [(8, 12)], threads, bound)
        assert tail_results(replace(early, bound=bound).prune(threads).merge(later)) == tail_results(whole)


def test_of_latents_only_what_fires_is_kept_with_its_neighbors():
    maps = torch.zeros(2, 3, 8, 8)
    maps[1, 1, 4, 4] = 2.0
    maps[0, 2, 0, 0] = -1.0
    plan = TailPlan(3, 2, (8, 8), make_grid((8, 8), (16, 16), "half-pixel"), "cells", 0.005, "half-median")
    with open_threads(1) as threads:
        (chunk,) = fill_tail(plan, maps, [(0, 2)], threads).chunks
    assert chunk.part(0, 3).counts.tolist() == [0, 1, 0]
    assert len(chunk.part(0, 3).values) == 9
    assert empty_tail(plan).largest is None


@pytest.mark.parametrize("room", [1, 700, 1 << 25])
@pytest.mark.parametrize("parts", [(9,), (2, 3, 3, 1), (1, 5, 1, 2)])
def test_latents_may_come_in_parts_of_any_size(parts, room, monkeypatch):
    monkeypatch.setattr(gathering, "_ROOM", room)
    monkeypatch.setattr(quantiles, "_JOINED", 2)
    maps = make_latents("usual", 9, 4, 5, 3)
    grid = make_grid((5, 5), (4, 4), "half-pixel")  # coarser than the map: raw cells are kept besides
    plan = TailPlan(4, 9, (5, 5), grid, "pixels", 0.02, "half-median")
    with open_threads(2) as threads:
        whole = tail_results(fill_tail(plan, maps, [(0, 9)], threads))
        gatherer, first = CompiledTails({"maps": empty_tail(plan)}, 3, threads), 0
        for count in parts:
            gatherer.add("maps", maps[first : first + count], first, "a" * count, first + count == 9)
            first += count
        tails, tops = gatherer.finish()
    assert tail_results(tails["maps"]) == whole
    assert len(tails["maps"].chunks) < 2
    for unit in range(4):
        peaks = maps[:, unit].amax((1, 2)).numpy()
        assert tops["maps"].peaks[unit].tolist() == sorted(peaks.tolist(), reverse=True)[:3]


def test_how_many_latents_fire_in_a_cell_bounds_what_is_kept():
    grid = make_grid((8, 8), (16, 16), "half-pixel")
    plan = TailPlan(100, 9, (8, 8), grid, "cells", 0.02)
    assert plan.cells == 100 * 64
    assert replace(plan, sparse="half-median").cells == 100 * 64
    assert replace(plan, sparse="half-median", firing=3).cells == 9 * 3 * 64
    coarse = replace(plan, grid=make_grid((8, 8), (4, 4), "half-pixel"), sparse="half-median", firing=3)
    assert coarse.cells == 4 * 3 * 16 + 3 * 64


@pytest.mark.parametrize("rule", ["half-median", "zero"])
@pytest.mark.parametrize("population", ["cells", "pixels", "given"])
@pytest.mark.parametrize("pixels", [4, 20])
def test_latents_on_a_device_are_those_of_the_compiled_loops(pixels, population, rule):
    maps = make_latents("signed", 9, 4, 5, 3)
    plan = TailPlan(4, 9, (5, 5), make_grid((5, 5), (pixels, pixels), "zero-border"), population, 0.02, rule)
    given = np.array([0, -1, 1, np.inf], np.float32) if population == "given" else None
    found = []
    with open_threads(2) as threads:
        for gatherer in (
            CompiledTails({"maps": empty_tail(plan, given)}, 3, threads),
            DeviceTails({"maps": empty_tail(plan, given)}, 3, "cpu"),
        ):
            for first in range(0, 9, 3):
                gatherer.add("maps", maps[first : first + 3], first, "abc", first == 6)
            found.append(gatherer.finish()[0]["maps"])
    assert tail_results(found[0]) == tail_results(found[1])


def test_the_rule_zero_leaves_thresholds_where_the_quantile_has_them():
    maps = make_latents("rare", 9, 4, 5, 0)
    grid = make_grid((5, 5), (20, 20), "half-pixel")
    with open_threads(1) as threads:
        plain = fill_tail(TailPlan(4, 9, (5, 5), grid, "cells", 0.05), maps, [(0, 9)], threads)
        zero = fill_tail(TailPlan(4, 9, (5, 5), grid, "cells", 0.05, "zero"), maps, [(0, 9)], threads)
    assert plain.thresholds().tolist() == [0.0] * 4
    assert tail_results(zero) == tail_results(plain)


def test_images_where_a_latent_does_not_fire_are_no_top_images():
    tops = TopImages(np.array([[4, 2, 0]], np.int32), np.array([[3.0, 0.0, -1.0]], np.float32))
    shown = tops.above(0.0)
    assert shown.images.tolist() == [[4, -1, -1]]
    assert shown.peaks.tolist() == [[3.0, -np.inf, -np.inf]]
