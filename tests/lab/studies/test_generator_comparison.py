"""Generators compared: units find their partners, trainings start alike, verdicts follow the numbers."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unitscope.lab.studies.compared_generators import (
    ALIKE,
    LONG,
    PIXEL,
    PLAIN,
    RECIPE,
    VARIANTS,
    Compared,
    build_start,
)
from unitscope.lab.studies.generator_comparison import (
    LAYERS,
    PAINTED,
    ROTATED,
    SEEDS,
    STEPS,
    UNITS,
    VARIED,
    Measured,
    NamedLayer,
    Quality,
    list_pairs,
)
from unitscope.lab.studies.generators_finding import claim_generators, correlate_ranks, judge_generators
from unitscope.lab.studies.unit_matching import SIDE, agree, correlate, pair_units, read_maps
from unitscope.lab.zoo import game
from unitscope.lab.zoo.game import GeneratorTrainer
from unitscope.lab.zoo.pictures import Pictures
from unitscope.lab.zoo.weights_files import load_zoo
from unitscope.networks.generators import Generator

MISSED = "does not replicate at this scale"


def draw_maps(seed, images=20, units=4, cells=5):
    return np.random.default_rng(seed).normal(size=(images, units, cells)).astype(np.float32)


@given(st.integers(0, 1000), st.permutations(range(4)))
def test_units_in_another_order_find_themselves(seed, order):
    maps = draw_maps(seed)
    pairing = pair_units(maps, maps[:, order], kinds=5)
    assert [order[partner] for partner in pairing.partner] == [0, 1, 2, 3]
    assert np.allclose(pairing.correlation, 1)
    assert pairing.itself == np.mean([place == unit for unit, place in enumerate(order)])


@given(st.integers(0, 1000))
def test_pairs_are_the_best_of_all_orders(seed):
    one, other = draw_maps(seed), draw_maps(seed + 5000)
    both = np.corrcoef(*(np.moveaxis(some[::2], 1, 0).reshape(4, -1) for some in (one, other)))[:4, 4:]
    best = max(permutations(range(4)), key=lambda order: sum(both[unit, order[unit]] for unit in range(4)))
    pairing = pair_units(one, other, kinds=5)
    assert tuple(pairing.partner) == best
    held = [
        np.corrcoef(one[1::2, unit].ravel(), other[1::2, partner].ravel())[0, 1]
        for unit, partner in enumerate(best)
    ]
    assert np.allclose(pairing.correlation, held, atol=1e-6)


def test_other_latents_are_of_the_same_kind_and_dead_units_correlate_with_nothing():
    kinds = np.arange(20) % 5
    maps = (kinds[:, None, None] * np.array([1.0, -1.0])[None, :, None] * np.ones(3)).astype(np.float32)
    pairing = pair_units(maps, maps, kinds=5)
    assert np.allclose(pairing.correlation, 1)
    assert np.allclose(pairing.other, 1)  # a unit that knows the kind only
    latents = draw_maps(3, units=2)
    assert np.abs(pair_units(latents, latents, kinds=5).other).max() < 0.6
    assert (correlate(np.zeros((4, 2, 3), np.float32), latents[:4, :, :3]) == 0).all()


def test_names_agree_by_partner():
    pairing = pair_units(draw_maps(0, units=2), draw_maps(0, units=2)[:, ::-1], kinds=5)
    assert agree(["a", "b"], ["b", "a"], pairing) == (1.0, 0.5)
    assert agree(["a", ""], ["b", "a"], pairing) == (1.0, 0.5)
    assert np.isnan(agree(["", ""], ["b", "a"], pairing)).all()


def test_maps_are_read_at_the_same_cells_and_hooks_go():
    generator = load_zoo("generator")
    assert isinstance(generator, Generator)
    maps = read_maps(generator, LAYERS, 3)
    units = (192, 160, 128, 32)
    assert [maps[layer].shape for layer in LAYERS] == [
        (3, count, side * side) for count, side in zip(units, (8, SIDE, SIDE, SIDE), strict=True)
    ]
    assert not any(part._forward_hooks for part in generator.module.modules())


def test_the_start_is_that_of_a_training(monkeypatch):
    monkeypatch.setattr(game, "SETTLED", 1)
    start = build_start(RECIPE, 3).state_dict()
    none = Pictures(
        np.zeros((0, 64, 64, 3), np.uint8), np.zeros(0, np.int64), np.zeros((0, 4, 64, 64), np.uint8)
    )
    for _, recipe in VARIANTS.values():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            begun = GeneratorTrainer(recipe, none, 3).generator
        for name, value in begun.named_parameters():
            assert torch.equal(value, start[name]), name


def test_pairs_differ_in_one_thing():
    generator = load_zoo("generator")
    networks = [
        Compared(variant, seed, step, step == 2, generator)
        for seed in (0, 1)
        for variant, steps in ((PLAIN, (0, 1, 2)), (ALIKE, (2,)), (PIXEL, (2,)))
        for step in steps
    ]
    networks += [Compared(LONG, 0, step, step == 9, generator) for step in (3, 9)]
    found = [
        (differ, (one.variant, one.seed, one.step), (other.variant, other.seed, other.step))
        for differ, one, other in list_pairs(networks)
    ]
    assert len(found) == len(set(found)) == 5 + 3 + 4
    assert {other for differ, _, other in found if differ == STEPS} == {
        (PLAIN, 0, 2),
        (PLAIN, 1, 2),
        (LONG, 0, 9),
    }
    assert {one[0] for differ, one, _ in found if differ == SEEDS} == {PLAIN, ALIKE, PIXEL}
    recipes = [(one, other) for differ, one, other in found if differ == VARIED]
    assert {(one[0], other[0]) for one, other in recipes} == {(ALIKE, PLAIN), (PIXEL, PLAIN)}
    assert all(one[1] == other[1] for one, other in recipes)


def make_found(concepts, frechet, seeds=3, early=2, rotated=2):
    """Networks whose layers match so many concepts, a unit each, by variant; `early` at step 250."""
    layers, quality = [], [Quality(PAINTED, 0, 0, 0.5, 1.0, 0.4)]
    networks = [(variant, 1000, UNITS, count) for variant, count in concepts.items()]
    networks += [(PLAIN, 0, UNITS, 1), (PLAIN, 250, UNITS, early), (PLAIN, 1000, ROTATED, rotated)]
    for seed in range(seeds):
        for variant, step, basis, count in networks:
            for layer in LAYERS:
                names = [f"object/{number}" for number in range(count + seed)] + ["color/red", ""]
                layers.append(NamedLayer(variant, seed, step, basis, layer, 0.5, names))
            if basis == UNITS:
                far = frechet[variant] + (1000 - step) / 100 + seed
                quality.append(Quality(variant, seed, step, far, 0.5, 0.1 * concepts[variant]))
    return Measured(tuple(layers), tuple(quality), ())


@pytest.mark.parametrize(
    ("concepts", "frechet", "types", "units", "better"),
    [
        ((20, 5, 30), (20, 60, 5), "replicates", "replicates", "replicates"),
        ((20, 30, 10), (20, 60, 5), MISSED, MISSED, MISSED),
        ((20, 19, 21), (20, 20, 20), "unclear", "unclear", None),
    ],
)
def test_verdicts_follow_the_numbers(concepts, frechet, types, units, better):
    variants = (PLAIN, ALIKE, PIXEL)
    found = make_found(dict(zip(variants, concepts, strict=True)), dict(zip(variants, frechet, strict=True)))
    claims = claim_generators(found)
    assert {one.verdict for one in claims if "types of objects" in one.paper} == {types}
    assert {one.verdict for one in claims if "pixelwise" in one.paper} == {units}
    [quality] = [one for one in claims if "better a variant" in one.paper]
    assert better in (None, quality.verdict)
    asked = [one.verdict for one in claims if one.source == "asked here"]
    assert asked == ["replicates"] * 5


def test_training_that_loses_concepts_is_said_to():
    counts = {PLAIN: 20, ALIKE: 5, PIXEL: 30}
    found = make_found(counts, dict.fromkeys(counts, 20), early=40, rotated=40)
    verdicts = {one.paper: one.verdict for one in claim_generators(found)}
    assert verdicts["with training more units match"] == MISSED
    assert verdicts["with training more concepts are matched"] == MISSED
    assert verdicts["and than by rotated units of the same layers"] == MISSED
    assert verdicts["more concepts are matched than before training"] == "replicates"


def test_one_seed_proves_nothing_and_a_missing_variant_is_not_tested():
    counts = {PLAIN: 20, ALIKE: 5}
    claims = judge_generators(make_found(counts, dict.fromkeys(counts, 20), seeds=1)).claims
    assert {one.verdict for one in claims if "pixelwise" in one.paper} == {"not tested"}
    assert {one.verdict for one in claims} == {"unclear", "not tested"}


def test_ranks_are_correlated_with_an_interval():
    middle, low, high = correlate_ranks(range(20), [value**3 for value in range(20)])
    assert middle == pytest.approx(1)
    assert low <= middle <= high
    assert np.isnan(correlate_ranks([1, 2, 3], [1, 2, 3])).all()
    assert np.isnan(correlate_ranks([1, 1, 1, 1], [1, 2, 3, 4])).all()
