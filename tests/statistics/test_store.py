"""Shards as files: in any order, with any certified bound and any memory they give what one tail gives."""

import functools
import json
import os
import random

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from test_quantiles import fill_tail, make_maps, tail_results

import made
from unitscope.errors import RunError
from unitscope.statistics.annotations import annotate, merge_annotations
from unitscope.statistics.exemplars import empty_tops
from unitscope.statistics.grids import make_grid
from unitscope.statistics.quantiles import TailPlan
from unitscope.statistics.scan import Scan, ScanPlan
from unitscope.statistics.shards import Origin, shard_path, write_shard
from unitscope.statistics.store import Store
from unitscope.statistics.threads import open_threads

IMAGES, SIZE, MASK = 23, 4, (10, 12)
SOURCE = made.make_source(IMAGES, mask_size=MASK, size=MASK)
ORIGIN = Origin("digest", "a processor, 2 threads")


@functools.cache
def read_labels(span):
    """Of some images: only as a test asks, for then all that annotates is compiled."""
    labels = [annotate(SOURCE[number], MASK, "twice", SOURCE.vocabulary, number) for number in span]
    return merge_annotations(labels)


def make_plan(population="pixels", side=5, upsampling="half-pixel", quantile=0.05):
    tails = {
        name: TailPlan(
            units, IMAGES, (side, side), make_grid((side, side), MASK, upsampling), population, quantile
        )
        for name, units in (("one", 70), ("two", 3))
    }
    return ScanPlan(made.frame(MASK, MASK), tails, "twice", {}, ranks=3, shard_size=SIZE)


def make_shard(plan, maps, number, threads, bounds=None):
    span = plan.span(number)
    tails, tops = {}, {}
    for layer, tail in plan.tails.items():
        filled = fill_tail(tail, maps[layer], [(span.start, span.stop)], threads, (bounds or {}).get(layer))
        tails[layer] = filled.prune(threads)
        peaks = maps[layer][span.start : span.stop].amax((2, 3)).numpy()
        tops[layer] = empty_tops(tail.units, plan.ranks).add(peaks, span.start)
    keys = {image: SOURCE[image].key for image in span}
    return Scan(keys, read_labels(span), tails, tops)


def make_layers(plan, seed=0):
    return {
        layer: make_maps("normal", IMAGES, tail.units, tail.raw_size[0], seed)
        for layer, tail in plan.tails.items()
    }


@pytest.mark.parametrize("population", ["cells", "pixels"])
@pytest.mark.parametrize(("side", "upsampling"), [(5, "half-pixel"), (13, "half-pixel"), (4, "zero-border")])
@pytest.mark.parametrize("memory", [1 << 30, 40_000, 1])
def test_any_order_bound_and_memory_give_what_one_tail_gives(population, side, upsampling, memory, tmp_path):
    plan, chance = make_plan(population, side, upsampling), random.Random(side)
    maps = make_layers(plan)
    store = Store(tmp_path, plan, ORIGIN, "free some space", memory)
    with open_threads(2) as threads:
        for number in chance.sample(plan.shards, len(plan.shards)):
            store.write(number, make_shard(plan, maps, number, threads, chance.choice([store.bounds, None])))
            store.add(number, threads)
            assert not store.missing or store.seen == sum(file.images for file in store.files.values())
        whole = {
            layer: fill_tail(tail, maps[layer], [(0, IMAGES)], threads) for layer, tail in plan.tails.items()
        }
        again = Store(tmp_path, plan, ORIGIN, "free some space", memory)
        again.find(threads)
        for found in (store, again):
            scan = found.collect()
            for layer, tail in whole.items():
                assert tail_results(scan.tails[layer]) == tail_results(tail)
                peaks = empty_tops(tail.plan.units, 3).add(maps[layer].amax((2, 3)).numpy(), 0)
                np.testing.assert_array_equal(scan.tops[layer].images, peaks.images)
    labels = read_labels(range(IMAGES))
    assert scan.keys == {number: SOURCE[number].key for number in range(IMAGES)}
    for name, mapped in scan.annotations.arrays.items():
        wanted = labels.row_starts if name == "row_starts" else labels.arrays[name]
        np.testing.assert_array_equal(mapped, wanted)
        assert mapped.flags.writeable  # what is compiled for arrays in memory serves these
    assert {path.name for path in tmp_path.iterdir()} == {
        shard_path(tmp_path, n).name for n in plan.shards
    } | {"labels"}


def test_a_shard_has_the_same_bytes_each_time_and_holds_nothing_below_its_bound(tmp_path):
    plan = make_plan()
    maps = make_layers(plan)
    with open_threads(2) as threads:
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            spoiled = np.full(4_000_000, 77.7, np.float32)  # what was there before does not show
            del spoiled
            store = Store(tmp_path / folder, plan, ORIGIN, "", 1 << 30)
            store.write(1, make_shard(plan, maps, 1, threads))
    one, other = (shard_path(tmp_path / folder, 1) for folder in "ab")
    assert one.read_bytes() == other.read_bytes()
    arrays = load_file(one)
    assert {name.partition("/")[2] for name in arrays if name.startswith("0/")} == {
        "bound", "top/images", "top/peaks", *(f"cells/{name}" for name in CELLS)
    }  # fmt: skip
    assert len(arrays["0/cells/values"]) == arrays["0/cells/cell_starts"][-1] == arrays["0/cells/size"].sum()
    assert np.isin(arrays["0/cells/values"], maps["one"].numpy()).all()


CELLS = ("record_starts", "cell_starts", "image", "size", "cells", "values")


def spoil(path, change):
    """The file written anew with other metadata, or other bytes."""
    if isinstance(change, bytes):
        path.write_bytes(change)
    elif change == "a bit":
        content = path.read_bytes()
        path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    elif isinstance(change, int):
        path.write_bytes(path.read_bytes()[:change])
    else:
        with safe_open(path, framework="numpy") as file:
            about = json.loads(file.metadata()["unitscope"])
        save_file(load_file(path), path, {"unitscope": json.dumps(about | change)})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (b"", "delete it and go on with --resume"),
        (b"{" * 99, "it ends too early; delete it"),
        (-1, "it ends too early; delete it"),
        ("a bit", "are not what was written; delete it"),
        ({"digest": "other"}, "belongs to another run; delete it"),
        (
            {"machine": "another, 1 thread"},
            "was computed with another, 1 thread, here it is a processor, 2 threads",
        ),
        ({"number": 7}, "it is shard 7; delete it"),
        ({"format": 1}, "was written by another version of unitscope, in another form; delete"),
    ],
)
def test_shards_that_are_strangers_or_damaged_are_refused(change, told, tmp_path):
    plan = make_plan()
    with open_threads(2) as threads:
        Store(tmp_path, plan, ORIGIN, "", 1).write(0, make_shard(plan, make_layers(plan), 0, threads))
        spoil(shard_path(tmp_path, 0), change)
        with pytest.raises(RunError, match=told):
            Store(tmp_path, plan, ORIGIN, "", 1).find(threads)
        if "was computed" in told:
            mixed = Store(tmp_path, plan, ORIGIN, "", 1, mixed=True)
            mixed.find(threads)
            assert mixed.machines == ("another, 1 thread",)


def test_a_scan_needs_all_shards_and_names_the_first_that_is_missing(tmp_path):
    plan = make_plan()
    store = Store(tmp_path, plan, ORIGIN, "", 1)
    with open_threads(2) as threads:
        store.write(0, make_shard(plan, make_layers(plan), 0, threads))
        store.find(threads)
        with pytest.raises(RunError, match="shard 1 is not in"):
            store.collect()
        with pytest.raises(RunError, match="shard 2 is not in"):
            store.add(2, threads)
    assert store.missing == (1, 2, 3, 4, 5)


@pytest.mark.parametrize("linked", [True, False])
def test_a_file_that_is_there_stays_whoever_writes_it_again(linked, tmp_path, monkeypatch):
    def refuse(*given):
        raise OSError(1, "Operation not permitted")

    if not linked:
        monkeypatch.setattr(os, "link", refuse)
    plan = make_plan()
    with open_threads(1) as threads:
        shard = make_shard(plan, make_layers(plan), 2, threads)
    write_shard(tmp_path, 2, shard, ORIGIN, "")
    first = shard_path(tmp_path, 2).read_bytes()
    write_shard(tmp_path, 2, shard, Origin("another", ORIGIN.machine), "")
    assert shard_path(tmp_path, 2).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["000002.safetensors"]
