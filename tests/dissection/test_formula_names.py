"""Formulas of a run: counts as on the pixels, held out, gated, and held against chance."""

import math
from dataclasses import replace

import numpy as np
import pytest

import unitscope as us
from unitscope.dissection.formula_evidence import lay_ground, name_unit, rank_unit, try_out
from unitscope.dissection.formula_names import COLUMNS
from unitscope.errors import UsageError
from unitscope.progress import on_progress
from unitscope.statistics.formulas import JOINS, Formula, Search, answer_unit
from worlds import count_parts, draw_world

SOURCE = "drawn:count=32,size=64"


@pytest.fixture(scope="module")
def run():
    network, source = us.load_network("zoo:scene-classifier"), us.open_source(SOURCE)
    return us.dissect(network, source, ["layer5", "layer4"], confidences=us.Confidences(shifts=20))


def list_formulas(concepts, length):
    yield from (Formula((one,), (), 0, 0) for one in concepts)
    if length > 1:
        for shorter in list_formulas(concepts, length - 1):
            for concept in concepts:
                for join in JOINS:
                    if concept not in shorter.concepts:
                        yield Formula((*shorter.concepts, concept), (*shorter.joins, join), 0, 0)


@pytest.mark.parametrize("start", range(0, 130, 10))
def test_counts_are_brute_force_on_the_pixels(start):
    """260 problems: several label planes, void, blocks and rests; two units each."""
    for seed in range(start, start + 10):
        world = draw_world(seed, concepts=1 + seed % 5)
        table = count_parts(world)
        ground, labels, valid = lay_ground(table, 0, 0), world.has, world.valid
        if not len(ground.whole.sets.present):
            continue
        present = ground.whole.sets.present.tolist()
        flat = labels[valid]
        tried = [(one, one.holds(flat)) for one in list_formulas(present, 3)]
        for unit, masks in enumerate(world.masks):
            found = answer_unit(ground.whole.sets, ground.count(unit, ground.whole), Search()).formula
            seen = masks[valid]
            holds = found.holds(flat)
            assert (found.intersection, found.union) == ((holds & seen).sum(), (holds | seen).sum())
            best = max((rows & seen).sum() / max(1, (rows | seen).sum()) for _, rows in tried)
            assert found.iou == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(15))
def test_held_out_is_scored_on_the_other_half(seed):
    world = draw_world(seed, images=24)
    table = count_parts(world)
    ground = lay_ground(table, 0, 0)
    if not len(ground.whole.sets.present):
        return
    named = name_unit(ground, 0, Search())
    halves = [table.quarters[fold] // 2 for fold in range(len(table.areas))]
    span = world.width * world.ways
    rest = span * world.blocks
    fold = [i // span for i in range(rest)] + [world.blocks + i % 4 for i in range(len(world.has) - rest)]
    side = np.array([halves[one] for one in fold])
    scores, single = [], []
    for here in (0, 1):
        split, there = ground.halves[here], side == 1 - here
        for length, kept in ((3, scores), (1, single)):
            found = answer_unit(split.sets, ground.count(0, split), Search(length)).formula
            seen, labels = world.masks[0][there][world.valid[there]], world.has[there][world.valid[there]]
            holds = found.holds(labels)
            kept.append((holds & seen).sum() / max(1, (holds | seen).sum()))
    assert named.held_out == pytest.approx(np.mean(scores))
    assert named.held_out_single == pytest.approx(np.mean(single))
    first, second = try_out(ground, 0, ground.halves, Search())
    assert named.earned == (len(named.answer.formula) > 1 and first.better and second.better)
    assert (first.better, second.better) == tuple(a > b for a, b in zip(scores, single, strict=True))


def test_a_formula_that_is_the_truth_is_earned_and_far_above_chance():
    world = draw_world(3, images=96, concepts=6, blocks=8, ways=8)
    rng = np.random.default_rng(0)
    has = rng.random((96, 12, 6)) < 0.3
    truth = (has[..., 0] | has[..., 1]) & ~has[..., 2]
    noise = rng.random((1, 96, 12)) < 0.5
    masks = np.concatenate([truth[None], noise])
    table = count_parts(replace(world, has=has, valid=np.ones((96, 12), bool), masks=masks))
    ground = lay_ground(table, 100, 0)
    named = name_unit(ground, 0, Search())
    assert named.answer.formula.spell("abcdef") == "(b OR a) AND NOT c"
    assert named.earned
    assert named.held_out == named.held_out_name == 1 > named.held_out_single
    true = rank_unit(ground, 0, Search(), ground.blocks.parts)
    assert (true.p, true.drawn, true.iou) == (1 / 101, 100, 1)
    lost = rank_unit(ground, 1, Search(), ground.blocks.parts)
    assert lost.p > 0.05
    assert lost.drawn < 100


def test_p_values_of_unrelated_units_are_uniform():
    """Where masks and labels are unrelated p < x for hardly more than a share x of the units."""
    ps = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        world = draw_world(seed, images=64, concepts=5, blocks=8, ways=8)
        masks = rng.random((10, *world.valid.shape)) < 0.2
        ground = lay_ground(count_parts(replace(world, masks=masks)), 60, seed)
        ps += [rank_unit(ground, unit, Search(), ground.blocks.parts).p for unit in range(10)]
    shares = [np.mean(np.array(ps) <= x) for x in (0.1, 0.25, 0.5)]
    assert all(
        share <= x + 3 * math.sqrt(x * (1 - x) / 120)
        for share, x in zip(shares, (0.1, 0.25, 0.5), strict=True)
    )


def test_rows_are_of_every_unit(run):
    found = us.find_formulas(run, draws=3)
    rows = found.rows()
    assert tuple(rows[0]) == COLUMNS
    assert [(row["layer"], row["unit"]) for row in rows] == [
        (layer, unit) for layer in run for unit in range(len(run[layer]))
    ]
    first = "layer unit formula length intersection union iou gain iou_held_out p_value q_value"
    assert COLUMNS[:11] == tuple(first.split())
    for row in rows:
        assert row["iou"] >= row["iou_single"]
        assert row["gain"] == pytest.approx(row["iou"] - row["iou_single"])
        assert row["optimal"]
        assert row["possible"] == row["iou"]
        assert row["name"] == (row["formula"] if row["earned"] else row["single"])
        if row["length"]:
            assert row["iou"] == pytest.approx(row["intersection"] / row["union"])
    assert "units have a formula of up to 3 concepts (all tried)" in str(found)


def test_single_concepts_have_the_counts_of_the_run(run):
    """Unions are over all images, not only those with a label of the category; intersections are the same."""
    found = us.find_formulas(run, "layer5", length=1, draws=0)
    layer = run["layer5"]
    for one in found["layer5"].units:
        if one.formula is None:
            continue
        (concept,) = one.formula.concepts
        assert one.formula.intersection == layer.intersections[one.unit, concept]
        union = layer.active[one.unit] + layer.concept_pixels[concept] - one.formula.intersection
        assert one.formula.union == union
        assert not one.earned


def test_threads_and_folders_change_nothing(run, tmp_path):
    told = []
    with on_progress(told.append):
        first = us.find_formulas(run, "layer5", draws=20, units=range(30), threads=1)
    assert {one.what for one in told} == {"formulas of layer5"}
    second = us.find_formulas(run.save(tmp_path / "run"), "layer5", draws=20, units=range(30), threads=3)
    assert first.save(tmp_path / "a").joinpath("formulas.csv").read_bytes() == (
        second.save(tmp_path / "b").joinpath("formulas.csv").read_bytes()
    )


def test_some_units_are_named_as_among_all(run):
    some = us.find_formulas(run, "layer5", units=[7, 3, 7], draws=20)
    every = us.find_formulas(run, "layer5", units=range(9), draws=20)["layer5"].units
    assert [one.unit for one in some["layer5"].units] == [3, 7]
    for one in some["layer5"].units:
        assert replace(one, q_value=0.0) == replace(every[one.unit], q_value=0.0)


def test_categories_are_left_out(run):
    found = us.find_formulas(run, "layer5", without=("color", "scene"), draws=0)
    words = {
        run.vocabulary[one].category
        for unit in found.units()
        if unit.formula
        for one in unit.formula.concepts
    }
    assert words
    assert not words & {"color", "scene"}
    assert "without concepts of color, scene" in str(found)


def test_without_a_null_there_are_no_p_values(run):
    found = us.find_formulas(run, "layer5", draws=0)
    assert all(math.isnan(one.p_value) and math.isnan(one.q_value) for one in found.units())
    assert found.rows()[0]["p_value"] is None
    assert "no p-values" in str(found)


def test_longer_searches_say_what_is_possible(run):
    exact = us.find_formulas(run, "layer5", length=4, nodes=5, units=range(6), draws=3)
    beam = us.find_formulas(run, "layer5", length=4, search="beam", units=range(6), draws=3)
    short = us.find_formulas(run, "layer5", units=range(6), draws=3)
    for one, other, shorter in zip(exact.units(), beam.units(), short.units(), strict=True):
        if one.formula is None:
            continue
        assert one.formula.iou >= max(other.formula.iou, shorter.formula.iou)
        assert one.possible >= one.formula.iou
    assert "the search was ended early" in str(exact)
    assert "beam of 5" in str(beam)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"layer": "layer9"}, "no layer 'layer9'"),
        ({"units": [1000]}, "unit 1000 is not in layer5, which has 0 to"),
        ({"units": [-1]}, "unit -1 is not in"),
        ({"without": "colour"}, "no category 'colour'; near names: color; it has"),
        ({"length": 0}, "length is 0; formulas have 1 to 10 concepts"),
        ({"length": 11}, "length is 11"),
        ({"beam": 0}, "a beam of 0"),
        ({"draws": -1}, "-1 draws"),
        ({"seed": -1}, "the seed is -1"),
        ({"threads": 0}, "0 threads"),
        ({"without": ["object", "part", "scene", "material", "texture", "color"]}, "leave fewer out"),
    ],
)
def test_what_cannot_be_is_a_line(run, given, told):
    with pytest.raises(UsageError, match=told):
        us.find_formulas(run, **{"layer": "layer5", **given})


def test_a_run_without_the_table_says_how_to_get_it(run):
    bare = replace(run, layers={"layer5": replace(run["layer5"], label_table=None)})
    with pytest.raises(
        UsageError, match=r"layer5 has no table of label sets.*dissect again, without --no-label-sets"
    ):
        us.find_formulas(bare)


def test_names_that_categories_share_or_that_look_like_formulas_are_told_apart(run):
    from unitscope.concepts.vocabulary import Concept, Vocabulary

    words = Vocabulary(
        (
            Concept(1, "water", "object"),
            Concept(2, "water", "material"),
            Concept(3, "salt AND pepper", "object"),
        )
    )
    found = replace(us.find_formulas(run, "layer5", units=[0], draws=0), vocabulary=words)
    formula = Formula((1, 2, 3), ("OR", "AND NOT"), 1, 2)
    assert found.spell(formula) == '(object/water OR material/water) AND NOT "salt AND pepper"'
