"""Sets of labels: the table of a layer is what counting the pixels one by one gives, to the integer."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.statistics import label_sets
from unitscope.statistics.annotations import LabelIndex, annotate, map_annotations, merge_annotations
from unitscope.statistics.label_sets import WAYS, TablePlan, index_sets
from unitscope.statistics.label_tables import LabelTable
from unitscope.statistics.quantiles import Masks
from unitscope.statistics.threads import open_threads

CATEGORIES = ("object", "part", "color")
WORDS = Vocabulary(tuple(Concept(k, f"concept {k}", CATEGORIES[k % 3]) for k in range(1, 9)))
SIZE = (5, 7)


def draw_examples(seed, images):
    """Pictures with up to three planes of patches, labels of the whole image, and void."""
    rng = np.random.default_rng(seed)
    for number in range(images):
        planes = rng.integers(1, 9, (rng.integers(0, 4), *SIZE)).astype(np.uint16)
        planes[rng.random(planes.shape) < 0.5] = 0
        planes[:, :, 3] = planes[:, :, 2]  # segments of more than a pixel
        ids = tuple(rng.integers(1, 9, rng.integers(0, 3)).tolist())
        void = rng.random(SIZE) < 0.2 if rng.random() < 0.5 else None
        yield Example(f"picture {number}", np.zeros((*SIZE, 3), np.uint8), planes, ids, void)


def draw_masks(seed, units, images):
    """bool[unit, image, y, x], and the same as runs."""
    rng = np.random.default_rng(seed + 1)
    masks = rng.random((units, images, *SIZE)) < 0.4
    masks &= (rng.random((units, images)) < 0.7)[:, :, None, None]
    counts, where, size, runs = np.zeros(units, np.int64), [], [], []
    for unit in range(units):
        for image in range(images):
            found = [
                (y, *edges)
                for y, row in enumerate(masks[unit, image])
                for edges in np.flatnonzero(np.diff(np.pad(row, 1))).reshape(-1, 2).tolist()
            ]
            if found:
                counts[unit] += 1
                where.append(image)
                size.append(len(found))
                runs += found
    coded = np.array(runs, np.uint16).reshape(-1, 3)
    return masks, Masks(counts, np.array(where, np.int32), np.array(size, np.int32), coded)


def find_sets(example, doubles):
    """By pixel the set of its labels, None where it is void."""
    del doubles  # whatever it is, a label is there or not
    void = np.zeros(SIZE, bool) if example.void is None else example.void
    return [
        [
            None if void[y, x] else tuple(sorted({*example.planes[:, y, x].tolist(), *example.ids} - {0}))
            for x in range(SIZE[1])
        ]
        for y in range(SIZE[0])
    ]


def count_slowly(sets, masks, order, blocks, width):
    """{set: pixels} by fold, and by unit and part."""
    place, span = np.argsort(order), width * WAYS
    fold_of = [p // span if p < blocks * span else blocks + p % 4 for p in place.tolist()]
    areas = [{} for _ in range(blocks + 4)]
    for image, rows in enumerate(sets):
        for one in (one for row in rows for one in row if one is not None):
            areas[fold_of[image]][one] = areas[fold_of[image]].get(one, 0) + 1
    parts = []
    for unit in masks:
        mine = [{} for _ in range(blocks * WAYS + 4)]
        for image, mask in enumerate(unit):
            fold, p = fold_of[image], int(place[image])
            met = {blocks * WAYS + fold - blocks: image}
            if fold < blocks:
                met = {
                    fold * WAYS + slot: order[fold * span + (p - fold * span + slot * width) % span]
                    for slot in range(WAYS)
                }
            for part, other in met.items():
                for y, x in np.argwhere(mask).tolist():
                    one = sets[other][y][x]
                    if one is not None:
                        mine[part][one] = mine[part].get(one, 0) + 1
        parts.append(mine)
    return areas, parts


def read_table(table):
    """The same of a table."""
    rows = table.list_sets()
    areas = [{rows[k]: int(fold[k]) for k in np.flatnonzero(fold)} for fold in table.areas]
    parts = []
    for unit in range(table.units):
        counts = [table.count(unit, np.array([part])) for part in range(table.parts)]
        parts.append([{rows[k]: int(one[k]) for k in np.flatnonzero(one)} for one in counts])
    return rows, areas, parts


def make_table(seed, images, units=2, doubles="twice", folder=None, threads=1):
    examples, order = [*draw_examples(seed, images)], np.random.default_rng(seed).permutation(images)
    masks, coded = draw_masks(seed, units, images)
    notes = [annotate(one, SIZE, doubles, WORDS, number) for number, one in enumerate(examples)]
    joined = merge_annotations(notes)
    if folder is not None:
        joined = map_annotations(SIZE, notes, folder)
    with open_threads(threads) as pool:
        index = index_sets(LabelIndex(joined, WORDS), order, pool, folder)
    plan = index.plan(units, True)
    return examples, masks, coded, order, plan


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from([1, 15, 16, 37]), st.sampled_from(["twice", "once"]))
def test_table_is_what_pixels_give(seed, images, doubles):
    examples, masks, coded, order, plan = make_table(seed, images, doubles=doubles)
    table = plan.finish([plan.count(coded)])
    sets = [find_sets(one, doubles) for one in examples]
    areas, parts = count_slowly(sets, masks, order, plan.blocks, plan.width)
    rows, found_areas, found_parts = read_table(table)
    assert (found_areas, found_parts) == (areas, parts)
    assert rows == sorted(set().union(*areas))
    assert table.blocks == (min(8, images // WAYS) if images >= 16 else 0)
    assert LabelTable.restore(table.arrays()).arrays().keys() == table.arrays().keys()


def test_file_threads_and_chunks_change_nothing(tmp_path, monkeypatch):
    whole = make_table(3, 40)
    monkeypatch.setattr(label_sets, "_CHUNK", 7)
    parted = make_table(3, 40, folder=tmp_path / "labels", threads=3)
    for one, other in zip(
        whole[4].finish([whole[4].count(whole[2])]).arrays().items(),
        parted[4].finish([parted[4].count(parted[2])]).arrays().items(),
        strict=True,
    ):
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1])


def test_many_sets_are_all_found(monkeypatch):
    words = Vocabulary(tuple(Concept(k, f"concept {k}", "object") for k in range(1, 200)))
    rng = np.random.default_rng(0)
    planes = rng.integers(1, 200, (4, 3, 60, 60)).astype(np.uint16)
    notes = [
        annotate(Example(str(k), np.zeros((60, 60, 3), np.uint8), one), (60, 60), "once", words, k)
        for k, one in enumerate(planes)
    ]
    with open_threads(1) as pool:
        index = index_sets(LabelIndex(merge_annotations(notes), words), np.arange(4), pool)
    expected = {tuple(sorted(set(one))) for one in planes.transpose(0, 2, 3, 1).reshape(-1, 3).tolist()}
    assert len(expected) > 12_000
    rows = [tuple(index.members[a:b].tolist()) for a, b in pairwise(index.starts.tolist())]
    assert rows == sorted(expected)


def split_units(masks, unit):
    """The masks of the units before one, and of it and those behind."""
    some = int(masks.counts[:unit].sum())
    runs = int(masks.size[:some].sum())
    return (
        Masks(masks.counts[:unit], masks.image[:some], masks.size[:some], masks.runs[:runs]),
        Masks(masks.counts[unit:], masks.image[some:], masks.size[some:], masks.runs[runs:]),
    )


@pytest.mark.parametrize("kept", ["all", "truth", "nothing"])
def test_table_stays_small(monkeypatch, kept):
    *_, coded, _, plan = make_table(5, 40, units=4)
    full = plan.finish([plan.count(coded)])
    true = sum(
        np.count_nonzero(full.count(u, full.true_parts[k : k + 1])) for u in range(4) for k in range(9)
    )
    most = {"all": len(full.rows), "truth": true, "nothing": true - 1}[kept]
    monkeypatch.setattr(label_sets, "MOST", most)
    blocks = split_units(coded, 2)
    tables = []
    for some in (blocks, blocks[::-1]):  # whichever thread comes first
        again = TablePlan(plan.index, plan.blocks, plan.width)
        counts = {id(one): again.count(one) for one in some}
        tables.append(again.finish([counts[id(one)] for one in blocks]))
    if kept == "nothing":
        assert tables == [None, None]
        return
    for table in tables:
        assert table.ways == (WAYS if kept == "all" else 1)
        for unit in range(4):
            np.testing.assert_array_equal(
                table.count(unit, table.true_parts), full.count(unit, full.true_parts)
            )
        np.testing.assert_array_equal(table.areas, full.areas)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 10**6), min_size=3, max_size=3))
def test_merging_is_adding(seeds):
    tables = []
    for seed in seeds:
        *_, coded, _, plan = make_table(seed, 16)
        tables.append(plan.finish([plan.count(coded)]))
    one, two, three = tables
    left, right = one.merge(two).merge(three), three.merge(two.merge(one))
    for name, array in left.arrays().items():
        np.testing.assert_array_equal(array, right.arrays()[name])
    read = [read_table(table) for table in tables]
    rows, areas, parts = read_table(left)
    assert rows == sorted({one for table in read for one in table[0]})
    for fold, found in enumerate(areas):
        assert found == add_up([table[1][fold] for table in read])
    for unit, mine in enumerate(parts):
        for part, found in enumerate(mine):
            assert found == add_up([table[2][unit][part] for table in read])


def add_up(counts):
    total = {}
    for one in counts:
        for name, pixels in one.items():
            total[name] = total.get(name, 0) + pixels
    return total
