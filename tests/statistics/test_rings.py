"""Null draws inside of blocks, against twins that move every label by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import made
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.statistics import rings
from unitscope.statistics.annotations import LabelIndex, annotate, merge_annotations
from unitscope.statistics.kernels import draws as counting
from unitscope.statistics.kernels import tallies
from unitscope.statistics.kernels.coarse import WHOLE
from unitscope.statistics.overlap import RULES
from unitscope.statistics.resampling import draw_resampling
from unitscope.statistics.rings import (
    FINEST,
    PlacedMasks,
    Room,
    coarsen,
    count_ways,
    pair_slot,
    plan_rings,
    rank_units,
)

SIDE = 12


def label(images, rules, seed=0):
    """Random labels of some images as examples, and ready for the loops."""
    source = made.make_source(images, (SIDE, SIDE), (SIDE, SIDE), seed)
    examples = [made.frame((SIDE, SIDE), (SIDE, SIDE)).fit(source[i]) for i in range(images)]
    parts = [
        annotate(example, (SIDE, SIDE), rules.doubles, made.WORDS, i) for i, example in enumerate(examples)
    ]
    return examples, LabelIndex(merge_annotations(parts), made.WORDS)


def draw_masks(images, seed, share=0.7):
    """A unit's masks: dense, and as images, starts of runs, runs and pixels."""
    rng = np.random.default_rng(seed)
    dense = np.zeros((images, SIDE, SIDE), bool)
    for i in np.flatnonzero(rng.random(images) < share):
        y, x = rng.integers(0, SIDE, 2)
        dense[i, y : y + rng.integers(1, SIDE), x : x + rng.integers(1, SIDE)] = True
    image = np.flatnonzero(dense.any((1, 2)))
    runs, sizes = [], []
    for i in image:
        rows = [(y, np.flatnonzero(row)) for y, row in enumerate(dense[i]) if row.any()]
        runs += [(y, at[0], at[-1] + 1) for y, at in rows]
        sizes.append(len(rows))
    starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
    return dense, (image, starts, np.array(runs, np.uint16).reshape(-1, 3), dense[image].sum((1, 2)))


def meet(mask, example, index, rules, cells):
    """What a mask and the labels of an example share on cells, by id, and what enters unions, by category."""
    words, side = made.WORDS, SIDE // cells
    valid = np.ones((SIDE, SIDE), bool) if example.void is None else ~example.void
    grid = lambda dense: dense.reshape(cells, side, cells, side).sum((1, 3))  # noqa: E731
    mass = grid(mask)
    shared, met = np.zeros(words.size), np.zeros(len(words.categories), bool)
    planes = [np.where(valid, plane, 0) for plane in example.planes]
    scalars = list(example.ids) if rules.doubles == "twice" else sorted(set(example.ids))
    if rules.doubles != "twice":
        kept = []
        for plane in planes:
            again = np.isin(plane, scalars)
            for earlier in kept:
                again |= earlier == plane
            kept.append(np.where(again, 0, plane))
        planes = kept
    rounded = lambda dense: np.maximum(np.floor(grid(dense) * WHOLE / side**2 + 0.5), grid(dense) > 0) / WHOLE  # noqa: E731
    for concept in words:
        # The planes of a cell are added up before they are rounded.
        here = (
            sum((plane == concept.id).astype(int) for plane in planes)
            if planes
            else np.zeros((SIDE, SIDE), int)
        )
        share = rounded(here)
        shared[concept.id] = (mass * share).sum()
        met[words.categories.index(concept.category)] |= bool((mass * share).any())
    pixels = max(mask.sum() - (mass * rounded(~valid)).sum(), 0.0)
    if pixels > 0:
        for identity in scalars:
            shared[identity] += pixels
            met[words.categories.index(words[identity].category)] = True
    present = [concept.category for concept in words if any((plane == concept.id).any() for plane in planes)]
    present += [words[identity].category for identity in scalars]
    enters = {
        "all": np.ones(len(words.categories), bool),
        "category": np.array([category in present for category in words.categories]),
        "touched": met,
    }[rules.union]
    return shared, enters * pixels


def iou_of(pairing, dense, examples, index, rules, cells, areas):
    """The best IoU on cells when mask i meets the labels of image pairing[i]."""
    shared, active = np.zeros(made.WORDS.size), np.zeros(len(made.WORDS.categories))
    for i, other in pairing:
        if dense[i].any():
            one, enters = meet(dense[i], examples[other], index, rules, cells)
            shared, active = shared + one, active + enters
    best = 0.0
    for concept in made.WORDS:
        union = active[made.WORDS.categories.index(concept.category)] + areas[concept.id] - shared[concept.id]
        best = max(best, shared[concept.id] / max(union, 1))
    return best


def pair(plan, rows, order):
    """The pairs of image and image of labels of one draw, block by block."""
    pairs = []
    for b, row in enumerate(rows):
        span = plan.width[b] * plan.ways[b]
        slot = int(row) - plan.rows[b]
        for q in range(span):
            at = (q + slot * plan.width[b]) % span
            pairs.append((order[plan.first[b] + q], order[plan.first[b] + at]))
    return pairs


@pytest.mark.parametrize("name", ["netdissect", "pnas", "netdissect-lite", "gandissect"])
@pytest.mark.parametrize("cells", [1, 3, 4])
def test_draws_are_those_of_labels_moved_by_hand(name, cells):
    rules, images = CONVENTIONS[name], 19
    examples, index = label(images, rules)
    order = np.random.default_rng(3).permutation(images)
    place = np.argsort(order)
    plan = plan_rings(images, 8, 2, 4, 0)
    plan = plan._replace(draws=plan.draws[:12])
    areas = index.annotations.concept_pixels(made.WORDS.size)
    labels = coarsen(index, order, (cells, cells))
    dense, (image, starts, runs, pixels) = draw_masks(images, 5)
    placed = PlacedMasks(plan, place[image], starts, runs, pixels)
    [ranks] = rank_units([placed], labels, RULES[rules.union], 12, Room())
    whole = [
        iou_of(pair(plan, rows, order), dense, examples, index, rules, cells, areas) for rows in plan.whole
    ]
    np.testing.assert_allclose(ranks.best, whole, rtol=2e-5)
    drawn = [
        iou_of(pair(plan, rows, order), dense, examples, index, rules, cells, areas) for rows in plan.draws
    ]
    for p, value in zip(ranks.p, whole, strict=False):
        clear = np.abs(np.array(drawn) / value - 1) > 1e-4
        least, most = (
            (np.array(drawn)[clear] > value).sum(),
            (np.array(drawn)[clear] > value).sum() + (~clear).sum(),
        )
        assert (1 + least) / 13 <= p <= (1 + most) / 13
    for slot in range(len(plan.whole)):
        assert pair_slot(plan, slot, place[image], order).tolist() == [
            dict(pair(plan, plan.whole[slot], order)).get(i, -1) for i in image
        ]


def test_over_the_whole_group_the_p_value_is_exactly_uniform():
    """Whatever the truth is, of all that shifts of blocks could have made: every rank comes once."""
    rules, images, cells = CONVENTIONS["netdissect"], 14, (3, 3)
    _, index = label(images, rules, seed=4)
    order = np.random.default_rng(0).permutation(images)
    plan = plan_rings(images, 4, 3, 1, 0)
    assert plan.ways.tolist() == [4, 4, 4, 2]
    group = np.array(list(itertools.product(*(range(count) for count in plan.ways))))
    plan = plan._replace(draws=(group[1:] + plan.rows[:-1]).astype(np.uint16))
    _, (image, starts, runs, pixels) = draw_masks(images, 7, share=1.0)
    place, found = np.argsort(order), []
    for moved in group:
        labels = np.array([other for _, other in pair(plan, moved + plan.rows[:-1], order)])
        coarse = coarsen(index, labels, cells)
        placed = PlacedMasks(plan, place[image], starts, runs, pixels)
        [ranks] = rank_units([placed], coarse, RULES["category"], len(group) - 1, Room())
        found.append(ranks.p[0] * len(group))
    # Equal values, where no mask meets another label, share the largest rank of theirs.
    found, ranked = np.round(found).astype(int), np.arange(1, len(group) + 1)
    assert all((found <= rank).sum() <= rank for rank in ranked)
    assert all((found <= rank).sum() == rank for rank in np.unique(found))
    assert len(np.unique(found)) > 30


def count_slowly(shared, active, areas, kinds, draws, value):
    best = [
        max(
            shared[rows, c].sum() / max(active[rows, kinds[c]].sum() + areas[c] - shared[rows, c].sum(), 1)
            for c in range(len(areas))
        )
        for rows in draws.astype(int)
    ]
    return np.array(best), np.array(best) >= value


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(1, 200), st.integers(1, 20))
def test_columns_left_out_and_draws_not_taken_change_no_p_value(seed, wide, first):
    """Against all columns, all draws: whole numbers, so that sums are exact in any order."""
    rng = np.random.default_rng(seed)
    plan = plan_rings(40, 8, 3, first, seed)
    shared = (
        (rng.pareto(0.6, (plan.rows[-1], wide)) * rng.random(wide)).clip(0, 500).round().astype(np.float32)
    )
    active = rng.integers(200, 400, (plan.rows[-1], 2)).astype(np.float32)
    columns = np.array([0, wide // 3, wide])
    kinds = np.repeat([0, 1], np.diff(columns))
    areas = rng.integers(1000, 4000, wide).astype(np.float32)
    p, best = counting.rank_draws(
        shared,
        active,
        plan.rows,
        areas,
        columns,
        plan.draws,
        plan.whole,
        4,
        first,
        np.empty(shared.size, np.float32),
    )
    truth, _ = count_slowly(shared, active, areas, kinds, plan.whole, 0)
    np.testing.assert_allclose(best, truth, rtol=1e-6)
    values = counting.best_of_draws(plan.draws, shared, active, areas, columns).view(np.float32)
    np.testing.assert_allclose(
        values, count_slowly(shared, active, areas, kinds, plan.draws, 0)[0], rtol=1e-6
    )
    for j in range(4):
        reached = np.cumsum(values >= best[j])
        if best[j] == 0:
            expected = 1.0
        elif reached[first - 1] >= counting.FEW:
            expected = (1 + reached[first - 1]) / (1 + first)
        elif reached[-1] >= counting.FEW:
            expected = counting.FEW / (1 + np.argmax(reached == counting.FEW))
        else:
            expected = (1 + reached[-1]) / (1 + len(plan.draws))
        assert p[j] == expected


@given(st.integers(16, 3000), st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 5))
@settings(max_examples=60)
def test_blocks_cover_the_images_and_only_slot_0_is_the_truth(images, masks, concepts, seed):
    ways = count_ways(images, masks, concepts)
    assert 8 <= ways <= images // 2
    plan = plan_rings(images, ways, 8, 3, seed)
    spans = plan.width * plan.ways
    assert plan.first.tolist() == np.concatenate([[0], np.cumsum(spans)[:-1]]).tolist()
    assert images - 1 <= spans.sum() <= images
    assert plan.rows[-1] == plan.ways.sum()
    assert (plan.draws >= plan.rows[:-1]).all()
    assert (plan.draws < plan.rows[1:]).all()
    assert (plan.whole[0] == plan.rows[:-1]).all()
    assert (plan.whole[1:] > plan.rows[:-1]).all()
    assert (plan.whole < plan.rows[1:]).all()


def test_whole_images_are_measured_as_in_pixels():
    """On one cell an image a mask is the whole image or none, and nothing is lost."""
    rules, images = CONVENTIONS["pnas"], 30
    _, index = label(images, rules)
    draws = draw_resampling(images, 0, 20, 5)
    image = np.flatnonzero(np.random.default_rng(0).random(images) < 0.4)
    runs = np.tile([(y, 0, SIDE) for y in range(SIDE)], (len(image), 1)).astype(np.uint16)
    pixels = np.full(len(image), SIDE**2)
    starts = np.arange(len(image) + 1) * SIDE
    coarse = draws.rings.coarsen(index, (1, 1))
    plan = draws.rings.plan(len(image), len(coarse.areas))
    placed = PlacedMasks(plan, draws.place[image], starts, runs, pixels)
    [ranks] = rank_units([placed], coarse, tallies.ALL, 20, Room())
    for slot, value in enumerate(ranks.best):
        target = pair_slot(plan, slot, draws.place[image], draws.order)
        counts, active = (
            np.zeros(made.WORDS.size + 1, np.int64),
            np.zeros(len(made.WORDS.categories), np.int64),
        )
        tallies.tally_masks(
            np.full(len(image), SIDE), runs, pixels, target, index.arrays, tallies.ALL, counts, active
        )
        assert tallies.best_overlap(counts[:-1], active, coarse.pixels, index.arrays[8])[0] == pytest.approx(
            value, rel=1e-3
        )


def test_cells_are_those_of_the_map_but_no_more_than_masks_have_pixels():
    _, index = label(16, CONVENTIONS["pnas"])
    for size, expected in (((7, 3), (7, 3)), ((64, 64), (SIDE, SIDE)), ((1, 1), (1, 1))):
        coarse = draw_resampling(16, 0, 5, 5).rings.coarsen(index, size)
        assert (len(coarse.bands) - 1, len(coarse.bounds) - 1) == expected
        assert coarse.bands[-1] == coarse.bounds[-1] == SIDE
    assert FINEST >= SIDE


def test_of_fewer_than_16_images_whole_orders_are_shifted():
    few, enough = draw_resampling(15, 0, 400, 5), draw_resampling(16, 0, 400, 5)
    assert few.rings is None
    assert few.count == 14
    assert enough.rings is not None
    assert enough.count == 400
    assert draw_resampling(5000, 0, 400, 5).rings.images == 4096
    assert draw_resampling(5000, 0, 400, 5, "shifts").count == 400


def test_units_that_meet_labels_together_are_ranked_as_alone(monkeypatch):
    rules = CONVENTIONS["netdissect"]
    images, units = 60, 7
    _, index = label(images, rules)
    draws = draw_resampling(images, 3, 20, 5)
    coarse = coarsen(index, draws.rings.order, (6, 6))
    placed = []
    for unit in range(units):  # the fewer masks, the more slots
        _, (image, starts, runs, pixels) = draw_masks(images, unit, share=(unit + 1) / units)
        plan = plan_rings(images, 8 + 8 * (unit % 2), 2 + unit % 3, 20, 3)
        placed.append(PlacedMasks(plan, draws.place[image], starts, runs, pixels))
    alone = [rank_units([one], coarse, RULES["category"], 20, Room())[0] for one in placed]
    for many in (rings.TOGETHER, 3 * int(placed[1].plan.rows[-1]) * (len(coarse.areas) + 1), 1):
        monkeypatch.setattr(rings, "TOGETHER", many)
        together = rank_units(placed, coarse, RULES["category"], 20, Room())
        for one, other in zip(alone, together, strict=True):
            assert one.p.tobytes() == other.p.tobytes()
            assert one.best.tobytes() == other.best.tobytes()
