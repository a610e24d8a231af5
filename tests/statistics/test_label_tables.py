"""Tables of label sets by parts of images: from pixels, whole again from a file, without some concepts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitscope.statistics.formulas import Search, answer_unit
from unitscope.statistics.label_tables import LabelTable, stack_parts
from worlds import count_parts, draw_world


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_those_of_the_pixels(seed):
    world = draw_world(seed)
    table = count_parts(world)
    for unit, masks in enumerate(world.masks):
        seen = world.valid & masks
        counts = table.count(unit, table.true_parts)
        assert counts.sum() == seen.sum()
        for concept in range(world.concepts):
            rows = table.sets().rows_of(concept)
            assert counts[rows].sum() == (seen & world.has[..., concept]).sum()
            assert table.areas.sum(0)[rows].sum() == (world.valid & world.has[..., concept]).sum()


@pytest.mark.parametrize("seed", range(5))
def test_a_table_survives_a_file(seed):
    table = count_parts(draw_world(seed))
    again = LabelTable.restore(table.arrays())
    for name, array in vars(table).items():
        if isinstance(array, np.ndarray):
            assert np.array_equal(array, getattr(again, name))
    assert (again.concepts, again.blocks, again.ways) == (table.concepts, table.blocks, table.ways)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), share=st.floats(0, 1))
def test_dropped_concepts_are_as_if_no_pixel_had_them(seed, share):
    world = draw_world(seed)
    dropped = np.flatnonzero(np.random.default_rng(seed).random(world.concepts) < share).tolist()
    table = count_parts(world).drop(dropped)
    plain = count_parts(world.without(dropped))
    for name in ("starts", "members", "areas", "offsets", "rows", "pixels"):
        assert np.array_equal(getattr(table, name), getattr(plain, name)), name


@pytest.mark.parametrize("seed", range(20))
def test_dropped_concepts_are_in_no_formula_and_the_best_of_others_is_found(seed):
    table = count_parts(draw_world(seed))
    allowed = np.arange(table.concepts // 2 + 1)
    left = table.drop(np.setdiff1d(np.arange(table.concepts), allowed).tolist())
    sets, whole = left.sets(), table.sets()
    if not len(sets.present):
        return
    counts = left.count(0, left.true_parts)
    found = answer_unit(sets, counts, Search(2)).formula
    assert set(found.concepts) <= set(allowed.tolist())
    assert found.count(whole, table.count(0, table.true_parts)) == found


def test_parts_that_are_empty_count_nothing():
    table = stack_parts(np.zeros((2, 8, 1), np.int64), [[]], np.ones((5, 1)), 1, ways=4)
    assert (table.parts, table.units, table.blocks) == (8, 2, 1)
    assert table.quarters.tolist() == [0, 0, 1, 2, 3]
    assert table.count(1, table.true_parts).tolist() == [0]
