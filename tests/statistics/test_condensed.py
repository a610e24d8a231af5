"""What is kept of shards in a file without a name: the cells that were written, all or some, and no trace."""

import gc
import itertools
import os
import random

import numpy as np
import pytest
from test_quantiles import fill_tail, tail_results
from test_store import IMAGES, ORIGIN, SIZE, make_layers, make_plan, make_shard

from unitscope.errors import RunError
from unitscope.statistics.cells import Cells
from unitscope.statistics.condensed import Condensed
from unitscope.statistics.shards import ShardFile, shard_path
from unitscope.statistics.store import Store
from unitscope.statistics.threads import open_threads

UNITS = 11


def draw_cells(seed):
    """Cells of some units over images 3 to 29, of some units none."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 9, UNITS)
    counts[[0, 7]] = 0
    image = [np.sort(rng.choice(np.arange(3, 30), count, replace=False)) for count in counts]
    size = rng.integers(1, 5, counts.sum()).astype(np.int32)
    cells = rng.integers(0, 49, size.sum()).astype(np.uint32)
    values = rng.random(len(cells), np.float32)
    return Cells(counts, np.concatenate(image).astype(np.int32), size, cells, values)


def same(one, other):
    for left, right in zip(one.arrays, other.arrays, strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("seed", range(5))
def test_any_units_come_back_as_they_were_written_in_any_pieces(seed, tmp_path):
    cells, chance = draw_cells(seed), random.Random(seed)
    cuts = sorted({0, UNITS, *chance.sample(range(1, UNITS), 4)})
    condensed = Condensed(tmp_path, 30)
    pieces = list(itertools.pairwise(cuts))
    for start, stop in chance.sample(pieces, len(pieces)):
        condensed.write("0/cells", start, cells.part(start, stop))
        condensed.write("0/raw", start, cells.part(start, stop))
    assert condensed.whole
    assert condensed.count("0/raw") == len(cells.cells)
    for start in range(UNITS):
        for stop in range(start + 1, UNITS + 1):
            same(condensed.cells("0/cells", start, stop), cells.part(start, stop))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("image", [0, 3, 11, 29, 30])
def test_cells_before_an_image_are_those_of_records_before_it(image):
    cells = draw_cells(1)
    records = [
        (unit, int(cells.image[record]), cells.values[first : first + int(cells.size[record])].tolist())
        for unit in range(UNITS)
        for record, first in zip(
            range(cells.record_starts[unit], cells.record_starts[unit + 1]),
            cells.cell_starts[unit] + np.concatenate([[0], np.cumsum(cells.part(unit, unit + 1).size)[:-1]]),
            strict=False,
        )
        if cells.image[record] < image
    ]
    found = cells.before(image)
    starts = np.concatenate([[0], np.cumsum(found.size)])
    assert [
        (unit, int(found.image[record]), found.values[starts[record] : starts[record + 1]].tolist())
        for unit in range(UNITS)
        for record in range(found.record_starts[unit], found.record_starts[unit + 1])
    ] == records


def test_shards_that_were_condensed_are_not_read_again(tmp_path, monkeypatch):
    plan, read = make_plan(), []
    maps = make_layers(plan)
    store = Store(tmp_path, plan, ORIGIN, "", 1 << 30)
    with open_threads(2) as threads:
        for number in plan.shards:
            store.write(number, make_shard(plan, maps, number, threads, store.bounds))
            store.add(number, threads)
        kept = ShardFile.cells
        monkeypatch.setattr(
            ShardFile, "cells", lambda file, *given: (read.append(file.number), kept(file, *given))[1]
        )
        scan = store.collect()
        for layer, tail in plan.tails.items():
            whole = fill_tail(tail, maps[layer], [(0, IMAGES)], threads)
            assert tail_results(scan.tails[layer]) == tail_results(whole)
    file = store._condensed._file
    store.close()
    store.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)
    # Bounds were raised after the second shard and after the fourth.
    assert set(read) == {4, 5}


@pytest.mark.parametrize("fails", ["open", "write"])
def test_without_room_shards_themselves_are_read(fails, tmp_path, monkeypatch):
    def refuse(*given, **named):
        raise OSError(28, "No space left on device")

    plan, made = make_plan(), []
    maps = make_layers(plan)
    first = Condensed.__init__
    monkeypatch.setattr(Condensed, "__init__", lambda one, *given: (first(one, *given), made.append(one))[0])
    if fails == "open":
        monkeypatch.setattr("unitscope.statistics.condensed.TemporaryFile", refuse)
    else:
        monkeypatch.setattr(os, "pwrite", refuse)
    store = Store(tmp_path, plan, ORIGIN, "", 1 << 30)
    with open_threads(2) as threads:
        for number in plan.shards:
            store.write(number, make_shard(plan, maps, number, threads, store.bounds))
            store.add(number, threads)
        scan = store.collect()
        for layer, tail in plan.tails.items():
            whole = fill_tail(tail, maps[layer], [(0, IMAGES)], threads)
            assert tail_results(scan.tails[layer]) == tail_results(whole)
            assert (scan.tails[layer].bound > -np.inf).all()
    assert len(made) == (0 if fails == "open" else 2)
    assert not any(one.close.alive for one in made)  # a full disk has their room again at once


def test_a_file_that_lost_its_end_is_said_in_a_line(tmp_path):
    cells = draw_cells(2)
    condensed = Condensed(tmp_path, 30)
    condensed.write("0/cells", 0, cells)
    os.ftruncate(condensed._file, 8)
    with pytest.raises(RunError, match="kept of shards: it ends too early; go on with --resume"):
        condensed.cells("0/cells", 0, UNITS)


def test_its_file_is_closed_with_it(tmp_path):
    condensed = Condensed(tmp_path, SIZE)
    number = condensed._file
    assert os.fstat(number).st_nlink == 0
    del condensed
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    assert not shard_path(tmp_path, 0).exists()
