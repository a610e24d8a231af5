"""Looking through a classifier: what fires, what switches do, held against whole passes of the network."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unitscope as us
from looked import CLASSES, tiny_lens, tiny_network, tiny_run, tiny_source
from unitscope.dissection.dissect import Confidences
from unitscope.errors import NetworkError, UsageError
from unitscope.interventions import edited, explain_image, open_lens, prepare_slide, see, set_units, turn
from unitscope.interventions.explanation import soften
from unitscope.interventions.looking import switches as switching
from unitscope.interventions.looking.comparison import (
    ATTACKS,
    attack_slide,
    compare_sights,
    copy_lens,
    count_passes,
)
from unitscope.interventions.looking.evidence import weigh_classes
from unitscope.interventions.looking.sights import find_at
from unitscope.interventions.looking.switches import (
    Switch,
    begin_replay,
    draw_others,
    find_start,
    switch_concept,
    weigh_replay,
)
from unitscope.interventions.painting.strokes import Bitmap

LAYERS = ("first", "second", "last")
UNITS = {"first": 6, "second": 8, "last": 9}


@pytest.fixture(scope="module")
def lens():
    return tiny_lens()


def picture(seed, size=(24, 24)):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (5, 4, 3)).astype(np.uint8)
    rows, columns = (np.arange(side) * few // side for side, few in zip(size, (5, 4), strict=True))
    return np.clip(small[rows][:, columns] + rng.integers(-20, 20, (*size, 3)), 0, 255).astype(np.uint8)


def read_maps(lens, slide, layer):
    return us.read_activations(lens.network, [slide.fitted], [layer]).arrays()[layer][0]


@given(st.integers(0, 10_000), st.sampled_from(LAYERS), st.sampled_from([(24, 24), (30, 50), (9, 7)]))
@settings(max_examples=12)
def test_what_fires_is_what_the_run_counts(lens, seed, layer, size):
    shown = picture(seed, size)
    sight = see(lens, prepare_slide(lens, shown), layer)
    [counted] = lens.run[layer].masks([shown], lens.network)
    found = np.zeros_like(counted)
    for one in sight.firings:
        found[one.unit] = one.outline.pixels
        assert one.area == found[one.unit].mean() > 0
        assert one.peak == sight.explanation.maps[one.unit].max()
    grid = lens.grids[layer]
    dense = grid.upsample(grid.surround(torch.from_numpy(sight.explanation.maps)[None]))[0].numpy()
    close = np.abs(dense - lens.run[layer].thresholds[:, None, None]) < 1e-5
    assert np.array_equal(found | close, counted | close)
    assert np.array_equal(sight.areas, found.mean((1, 2)))
    assert sorted(one.unit for one in sight.ranked) == [one.unit for one in sight.firings]


@pytest.mark.parametrize("layer", LAYERS)
def test_a_place_has_the_units_whose_outlines_cover_it(lens, layer):
    sight = see(lens, prepare_slide(lens, picture(2)), layer)
    grid = lens.grids[layer]
    dense = grid.upsample(grid.surround(torch.from_numpy(sight.explanation.maps)[None]))[0].numpy()
    rows, columns = grid.mask_size
    covered = 0
    for row in range(rows):
        for column in range(columns):
            place, found = find_at(sight, (column + 0.5) / columns, (row + 0.5) / rows)
            assert place == (row, column)
            wanted = {one.unit for one in sight.firings if one.outline.pixels[row, column]}
            assert {one.unit for one in found} == wanted
            assert all(one.activation == dense[one.unit, row, column] for one in found)
            covered += len(found)
    assert covered
    assert find_at(sight, 1, 1)[0] == (rows - 1, columns - 1)
    with pytest.raises(UsageError, match="outside"):
        find_at(sight, 1.01, 0)


def test_the_sum_is_that_of_explain(lens):
    shown = picture(4)
    slide = prepare_slide(lens, shown)
    for layer, target in ((layer, target) for layer in LAYERS for target in (None, 2)):
        sight, plain = (
            see(lens, slide, layer, target=target),
            explain_image(lens.network, layer, shown, target=target),
        )
        assert np.array_equal(sight.explanation.contributions, plain.contributions)
        assert sight.explanation.method == plain.method == ("exact" if layer == "last" else plain.method)
    assert np.array_equal(slide.probabilities, plain.probabilities)


# Switches, held against the whole network edited once for every set of units

brushes = st.one_of(st.none(), st.lists(st.booleans(), min_size=24, max_size=24))


@st.composite
def parts(draw):
    layer = draw(st.sampled_from(LAYERS))
    units = draw(st.lists(st.integers(0, UNITS[layer] - 1), max_size=UNITS[layer], unique=True))
    level, strength = draw(st.sampled_from([0.0, 0.5, 1.0, 2.0])), draw(st.sampled_from([1.0, 0.3, 0.0]))
    return layer, tuple(units), level, strength, draw(brushes)


def make_switch(layer, units, level, strength, bits):
    brush = None if bits is None else Bitmap.of(np.array(bits, bool).reshape(4, 6))
    return Switch(layer, units, level, strength, brush)


def turn_slowly(lens, slide, switches, instead):
    """One whole pass with the switches, each unit exchanged for another one or left out."""
    edits = []
    for one in switches:
        count = UNITS[one.layer]
        units = [instead[one.layer][unit] for unit in one.units if unit in instead[one.layer]]
        place = None if one.place is None else one.place.pool(lens.run[one.layer].map_size)
        values = lens.levels[one.layer][units] * one.level
        edits.append(set_units(one.layer, units, count, value=values, strength=one.strength, place=place))
    with torch.no_grad(), edited(lens.network, *edits):
        return lens.network.run(slide.batch)[0].double().numpy()


@given(st.lists(parts(), max_size=4), st.integers(0, 3), st.integers(0, 5))
@settings(max_examples=60)
def test_switches_do_what_whole_passes_do(lens, made, draws, seed):
    switches = [make_switch(*one) for one in made]
    slide = prepare_slide(lens, picture(seed))
    found = turn(lens, slide, switches, draws=draws, seed=seed)
    chosen = switching.gather_units(lens, switches)
    same = {layer: {unit: unit for unit in units} for layer, units in chosen.items()}
    assert np.allclose(found.after, turn_slowly(lens, slide, switches, same), atol=1e-5)
    assert np.array_equal(found.before, slide.logits)
    drawn = draw_others(lens, chosen, draws, seed)
    for row in range(draws):
        instead = {layer: dict(pairs[row].tolist()) for layer, pairs in drawn.items()}
        for layer, pairs in instead.items():
            assert not set(pairs.values()) & set(chosen[layer])
            assert (
                len(set(pairs.values()))
                == len(pairs)
                == min(len(chosen[layer]), UNITS[layer] - len(chosen[layer]))
            )
        assert np.allclose(found.control[row], turn_slowly(lens, slide, switches, instead), atol=1e-5)
    assert found.control.shape == (draws, len(CLASSES))
    assert found.units == sum(len(units) for units in chosen.values())
    assert np.allclose(found.probabilities.sum(1), 1)


@given(st.lists(parts(), min_size=1, max_size=3))
@settings(max_examples=20)
def test_a_replay_that_is_kept_gives_the_same(lens, made):
    switches = [make_switch(*one) for one in made]
    slide = prepare_slide(lens, picture(7))
    start = find_start(lens, switches)
    rest = None if start is None else begin_replay(lens, slide, start)
    for _ in range(2):
        kept, fresh = (turn(lens, slide, switches, draws=2, start=it) for it in (rest, None))
        assert np.array_equal(kept.after, fresh.after)
        assert np.array_equal(kept.control, fresh.control)
        assert kept.start == start
    if rest is not None:
        assert weigh_replay(rest) > 0
        other = next(layer for layer in LAYERS if layer != start)
        with pytest.raises(UsageError, match="the first layer switched"):
            turn(lens, slide, [Switch(other, (0,))], start=rest)


def test_layers_stand_as_the_network_reaches_them():
    lens = tiny_lens(["last", "first"])
    assert lens.layers == ("first", "last")
    assert find_start(lens, [Switch("last", (1,)), Switch("first", ())]) == "last"
    assert find_start(lens, [Switch("last", (1,)), Switch("first", (0,))]) == "first"
    assert find_start(lens, []) is None


def test_a_layer_that_gives_the_classes_is_left_out_unless_it_is_named():
    network, source = tiny_network(), tiny_source()
    run = us.dissect(network, source, ["last", "head"], confidences=Confidences(shifts=0))
    lens = open_lens(network, run)
    assert lens.layers == ("last",)
    assert "gives the classes themselves" in lens.left_out["head"]
    assert lens.classes == 4
    for layers in (["head"], ["last", "head"]):
        with pytest.raises(UsageError, match="gives the classes themselves"):
            open_lens(network, run, layers)


def test_another_way_to_prepare_pictures_is_refused():
    network = tiny_network()
    other = replace(network, preprocessing=replace(network.preprocessing, mean=(0.1,) * 3))
    with pytest.raises(UsageError, match="mean"):
        open_lens(other, tiny_run())


def test_a_concept_is_switched_wherever_it_is_detected(lens):
    for concept, layers in lens.detectors.items():
        for layer, units in layers.items():
            named = [one.unit for one in lens.run[layer] if one.detector and one.concept.id == concept]
            assert list(units) == named
        switches = switch_concept(lens, concept, level=1.0)
        assert {one.layer: one.units for one in switches} == layers
        layer = next(iter(layers))
        assert switch_concept(lens, concept, layer) == [Switch(layer, layers[layer])]
    assert lens.detectors
    with pytest.raises(UsageError, match="no unit here detects"):
        lens.pick(11)


def test_up_is_the_highest_of_the_runs_images(lens):
    source = tiny_source()
    for layer in LAYERS:
        maps = us.read_activations(lens.network, source, [layer]).arrays()[layer]
        assert np.allclose(lens.high[layer], maps.max((0, 2, 3)), atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda lens: Switch("first", (0,), 2.1), "level"),
        (lambda lens: Switch("first", (0,), 1.0, -0.1), "strength"),
        (lambda lens: turn(lens, prepare_slide(lens, picture(0)), [Switch("first", (6,))]), "units 0 to 5"),
        (lambda lens: turn(lens, prepare_slide(lens, picture(0)), [Switch("no", (6,))]), "no layer 'no'"),
        (lambda lens: turn(lens, prepare_slide(lens, picture(0)), [], draws=-1), "draws is -1"),
        (lambda lens: prepare_slide(lens, picture(0, (8, 8)), fitted=True), "the network reads"),
        (lambda lens: see(lens, prepare_slide(lens, picture(0)), "first", target=9), "classes 0 to 3"),
        (lambda lens: see(lens, prepare_slide(lens, picture(0)), "no"), "no layer 'no'"),
        (lambda lens: weigh_classes(lens, "first", 6, [picture(0)]), "units 0 to 5"),
        (lambda lens: weigh_classes(lens, "first", 0, []), "no pictures"),
        (lambda lens: open_lens(tiny_network(), tiny_run(), ["no"]), "no layer 'no'"),
        (lambda lens: open_lens(us.load_network("zoo:scene-classifier"), tiny_run()), "other weights"),
        (lambda lens: open_lens(us.load_network("zoo:generator"), tiny_run()), "makes pictures"),
        (lambda lens: attack_slide(lens, prepare_slide(lens, picture(0)), 4), "no class 4"),
    ],
)
def test_what_cannot_be_is_refused(lens, wrong, said):
    with pytest.raises(UsageError, match=said):
        wrong(lens)


def test_a_network_that_fails_is_told():
    lens = tiny_lens()
    slide = prepare_slide(lens, picture(0))
    lens.network.module.head = torch.nn.Linear(5, 4)
    with pytest.raises(NetworkError):
        prepare_slide(lens, picture(0))
    assert slide.logits.shape == (4,)


# Two pictures, and one that was changed


def test_comparing_the_other_way_round_changes_signs(lens):
    first, second = (see(lens, prepare_slide(lens, picture(seed)), "second") for seed in (1, 2))
    found, back = compare_sights(lens, first, second), compare_sights(lens, second, first)
    assert np.array_equal(found.change, -back.change)
    assert np.array_equal(found.relative, -back.relative)
    assert np.array_equal(found.peaks[:, 0], first.explanation.maps.max((1, 2)))
    assert np.array_equal(found.fires.sum(0), [len(first.firings), len(second.firings)])
    assert np.allclose(found.relative * lens.high["second"], found.change)
    same = compare_sights(lens, first, first)
    assert not same.change.any()
    with pytest.raises(UsageError, match="seen through"):
        compare_sights(lens, first, see(lens, prepare_slide(lens, picture(1)), "last"))


def find_close(lens):
    """Of some pictures the one whose second class is nearest to the first."""
    slides = [prepare_slide(lens, picture(seed), str(seed)) for seed in range(12)]
    return min(slides, key=lambda one: one.logits[one.order[0]] - one.logits[one.order[1]])


@pytest.mark.parametrize("method", ["pgd-linf", "pgd-l2", "cw"])
def test_an_attack_gives_a_slide_of_its_own(lens, method):
    slide = find_close(lens)
    target = int(slide.order[1])
    told = []
    found = attack_slide(lens, slide, target, method, tell=lambda done, most: told.append((done, most)))
    assert told == [(done, told[0][1]) for done in range(1, len(told) + 1)]
    assert len(told) <= count_passes(ATTACKS[method]) == told[0][1]
    assert (found.source, found.target) == (slide.predicted, target)
    assert found.success == (found.slide.predicted == target)
    assert found.success
    change = found.slide.fitted - slide.fitted.astype(np.float32) / 255
    assert np.isclose(found.l2, np.linalg.norm(change.astype(np.float64)), rtol=1e-4)
    assert np.isclose(found.linf, np.abs(change).max(), rtol=1e-4)
    assert (slide.exact, found.slide.exact, found.slide.name) == (True, False, slide.name)
    again = attack_slide(copy_lens(lens), slide, target, method)
    assert np.array_equal(found.slide.fitted, again.slide.fitted)
    assert see(lens, found.slide, "second").explanation.predicted == target


def test_an_attack_ends_when_it_is_told_to(lens):
    class EnoughError(Exception):
        pass

    def stop(done, _most):
        if done == 5:
            raise EnoughError

    slide = prepare_slide(lens, picture(3))
    with pytest.raises(EnoughError):
        attack_slide(lens, slide, int(slide.order[1]), tell=stop)
    assert np.array_equal(prepare_slide(lens, picture(3)).logits, slide.logits)
    with pytest.raises(UsageError, match="passes for"):
        attack_slide(lens, slide, slide.predicted)


def test_the_classes_that_need_a_unit_are_weighed_picture_by_picture(lens):
    pictures = [picture(seed) for seed in range(3)]
    lost = np.zeros(len(CLASSES))
    for shown in pictures:
        slide = prepare_slide(lens, shown)
        gone = turn(lens, slide, [Switch("second", (4,))], draws=0)
        fall = gone.before - gone.after
        lost += (fall - fall.mean()) / len(pictures)
    found = weigh_classes(lens, "second", 4, pictures)
    assert np.allclose(found, lost, atol=1e-5)
    assert abs(found.sum()) < 1e-9


def test_the_network_is_left_as_it_was():
    network = tiny_network()
    network.module.train()
    lens = open_lens(network, tiny_run())
    slide = prepare_slide(lens, picture(0))
    see(lens, slide, "first")
    turn(lens, slide, [Switch("first", (0,)), Switch("last", (1,))])
    rest = begin_replay(lens, slide, "second")
    attack_slide(lens, slide, int(slide.order[1]))
    assert network.module.training
    assert rest.raw is not None
    assert not network.module.second._forward_hooks
    assert "forward" not in vars(network.module.second)
    assert torch.is_grad_enabled()
    digest = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in network.module.parameters()))
    fresh = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in tiny_network().module.parameters()))
    assert digest.hexdigest() == fresh.hexdigest()


# Tokens, heads, directions


@pytest.fixture(scope="module")
def transformer():
    network, source = (
        us.load_network("zoo:scene-transformer"),
        us.open_source("drawn:count=12,seed=3000,size=64"),
    )
    layers = ["blocks.2", "blocks.3.attn@heads", "blocks.3+rotation:1", "blocks.4"]
    run = us.dissect(network, source, layers, confidences=Confidences(shifts=0))
    return open_lens(network, run), source


def test_tokens_heads_and_directions_are_switched_too(transformer):
    lens, source = transformer
    slide = prepare_slide(lens, source[0].image)
    grid = Bitmap.of(np.eye(3, dtype=bool))
    for layer in lens.layers:
        assert lens.tokens[layer] == (1, 0)
        for place in (None, grid):
            one = Switch(layer, (3, 5), 1.0, 0.5, place)
            found = turn(lens, slide, [one], draws=1)
            assert found.start == (None if layer.endswith("@heads") else layer)
            count = len(lens.run[layer])
            spot = None if place is None else place.pool(lens.run[layer].map_size)
            edit = set_units(layer, [3, 5], count, value=lens.levels[layer][[3, 5]], strength=0.5, place=spot)
            with torch.no_grad(), edited(lens.network, edit):
                wanted = lens.network.run(slide.batch)[0].double().numpy()
            assert np.allclose(found.after, wanted, atol=1e-4)
            if place is None:
                assert not np.allclose(found.after, slide.logits)


def test_the_class_tokens_share_is_what_is_lost_without_them(transformer):
    lens, source = transformer
    slide = prepare_slide(lens, source[1].image)
    last = see(lens, slide, "blocks.4")
    assert last.explanation.reads == ("class tokens",)
    assert set(last.lost) == {"class", "patches"}
    assert abs(last.lost["patches"]) < 1e-4
    units = list(range(len(lens.run["blocks.4"])))
    with torch.no_grad(), edited(lens.network, set_units("blocks.4", units, len(units), tokens="class")):
        without = lens.network.run(slide.batch)[0, slide.predicted].item()
    assert np.isclose(last.lost["class"], slide.logits.max() - without, atol=1e-5)
    assert np.allclose(soften(slide.logits), slide.probabilities)
