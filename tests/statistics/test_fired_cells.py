"""The cells that tails keep whole are those of the maps, in the same order, whoever gathers them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from unitscope.errors import ActivationError, UsageError
from unitscope.statistics import quantiles
from unitscope.statistics.devices import DeviceTails
from unitscope.statistics.fired_cells import gather_fired
from unitscope.statistics.gathering import CompiledTails
from unitscope.statistics.grids import make_grid
from unitscope.statistics.labeled_cells import LabeledCells, gather_cells
from unitscope.statistics.quantiles import Tail, TailPlan, empty_tail
from unitscope.statistics.threads import open_threads

IMAGES, UNITS, SIDE, CLASSES = 9, 70, 5, 3


def make_maps(seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(IMAGES, UNITS, SIDE, SIDE)) - np.linspace(-1, 3, UNITS)[:, None, None]
    return torch.from_numpy(np.maximum(maps, 0).astype(np.float32))


def gather(plan: TailPlan, maps: torch.Tensor, kind: str) -> Tail:
    keys = [f"{image}.png" for image in range(IMAGES)]
    with open_threads(2) as threads:
        tails = {"latents": empty_tail(plan)}
        gatherer = CompiledTails(tails, 2, threads) if kind == "loops" else DeviceTails(tails, 2, "cpu")
        for start in range(0, IMAGES, 2):
            part = maps[start : start + 2]
            gatherer.add("latents", part, start, keys[start : start + 2], start + 2 >= IMAGES)
        tail = gatherer.finish()[0]["latents"]
        bound = tail.certify(threads)
        assert (bound == 0).all() == plan.whole
        return replace(tail, bound=bound).prune(threads)


def assert_same(found: LabeledCells, wanted: LabeledCells) -> None:
    for name in ("counts", "values", "labels", "cells"):
        np.testing.assert_array_equal(
            getattr(found.join().pieces[0], name), getattr(wanted.join().pieces[0], name)
        )


@pytest.mark.parametrize("kind", ["loops", "device"])
@pytest.mark.parametrize("population", ["cells", "pixels"])
@pytest.mark.parametrize("pixels", [4, 20])  # coarser than the map, and finer
@pytest.mark.parametrize("upsampling", ["half-pixel", "zero-border"])
@pytest.mark.parametrize("sparse", ["half-median", "zero"])
def test_all_that_fires_is_there(kind, population, pixels, upsampling, sparse, monkeypatch):
    monkeypatch.setattr(quantiles, "_JOINED", 3)
    maps, rng = make_maps(), np.random.default_rng(1)
    grid = make_grid((SIDE, SIDE), (pixels, pixels), upsampling)
    plan = TailPlan(UNITS, IMAGES, (SIDE, SIDE), grid, population, 0.02, sparse, whole=True)
    labels = rng.integers(-2, CLASSES, (IMAGES, SIDE * SIDE)).astype(np.int32)
    held = rng.random(IMAGES) < 0.5
    tail = gather(plan, maps, kind)
    found = gather_fired(tail, labels, held, CLASSES, 1 << 30)
    for part, one in zip(found, (~held, held), strict=True):
        assert_same(part, gather_cells(maps[torch.from_numpy(one)], labels[one], CLASSES, 0))
    loose = gather(replace(plan, whole=False), maps, kind)
    assert loose.thresholds().tolist() == tail.thresholds().tolist()


@pytest.mark.parametrize("kind", ["loops", "device"])
def test_a_latent_below_0_is_told_by_its_image(kind):
    maps = make_maps()
    maps[5, 33, 2, 2] = -0.5
    grid = make_grid((SIDE, SIDE), (20, 20), "half-pixel")
    plan = TailPlan(UNITS, IMAGES, (SIDE, SIDE), grid, "cells", 0.02, "half-median", whole=True)
    with pytest.raises(ActivationError, match=r"a latent of layer latents is below 0 on image 5\.png"):
        gather(plan, maps, kind)


def test_more_than_there_is_memory_for_is_refused():
    grid = make_grid((SIDE, SIDE), (20, 20), "half-pixel")
    plan = TailPlan(UNITS, IMAGES, (SIDE, SIDE), grid, "cells", 0.02, "half-median", whole=True)
    tail, labels = gather(plan, make_maps(), "loops"), np.zeros((IMAGES, SIDE * SIDE), np.int32)
    with pytest.raises(UsageError, match="the cells where latents fire take"):
        gather_fired(tail, labels, np.zeros(IMAGES, bool), CLASSES, 1000)
