"""Directions held out: scores and removals against slow twins; what was measured is not measured again."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from made import Stored
from unitscope.concepts.derived import limit, split_source
from unitscope.dissection.conventions import find_convention
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import RunError, UsageError
from unitscope.experiments.fitting.asked import Training
from unitscope.interventions.ablation import Trial
from unitscope.interventions.edits import edited, set_units
from unitscope.lab.studies import direction_bases, direction_removal, directions
from unitscope.lab.studies.direction_bases import (
    ICA,
    MATRYOSHKA,
    NEURONS,
    NMF,
    PCA,
    ROTATIONS,
    TOPK,
    UNTRAINED,
    Basis,
    Effort,
    Subject,
    find_basis,
    make_bases,
)
from unitscope.lab.studies.direction_removal import (
    BEST,
    RANDOM,
    Effect,
    Scene,
    choose_concepts,
    draw_alike,
    measure_reach,
    measure_removals,
    measure_sizes,
    open_scene,
)
from unitscope.lab.studies.directions import measure_all
from unitscope.lab.studies.held_out import Halves, Scores, measure_bases
from unitscope.lab.studies.trained_groups import Setting
from unitscope.lab.world import open_drawn
from unitscope.lab.world.names import SCENES
from unitscope.networks.directions.directions import make_directions
from unitscope.networks.directions.files import save_directions
from unitscope.networks.directions.normalizations import Standardized
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.trace import tap

LAYER = "1"
UNITS = 6
TINY = Effort(Training(3, 64), (1, 2), 200, Confidences(10, 5), (0.02,), 2)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(UNITS, len(SCENES)))
    module = nn.Sequential(nn.Conv2d(3, UNITS, 5, 8), nn.ReLU(), *head)
    with torch.no_grad():
        module[-1].weight.mul_(20)
    return Network(module.eval(), Preprocessing((64, 64)), tuple(SCENES), "small")


@pytest.fixture(scope="module")
def source():
    return open_drawn(count=24, seed=1, size=64)


@pytest.fixture(scope="module")
def halves(source):
    return Halves(*(split_source(source, half, seed=3) for half in ("train", "test")))


def draw_scores(seed, units=7, concepts=5):
    rng = np.random.default_rng(seed)
    named, measured = rng.random((2, units, concepts)) * (rng.random((2, units, concepts)) < 0.7)
    named[2] = 0  # a unit without a name
    return Scores(named, measured, rng.random(units))


@pytest.mark.parametrize("seed", range(20))
def test_scores_are_those_of_loops(seed):
    scores = draw_scores(seed)
    units, concepts = scores.named.shape
    names = []
    for unit in range(units):
        best = max(range(concepts), key=lambda one: (scores.named[unit, one], -one))
        names.append(best if scores.named[unit, best] > 0 else None)
    for concept in range(concepts):
        best = max(range(units), key=lambda one: (scores.named[one, concept], -one))
        assert scores.best[concept] == best
        assert scores.best_measured[concept] == scores.measured[best, concept]
    kept = [0.0 if name is None else scores.measured[unit, name] for unit, name in enumerate(names)]
    assert scores.kept.tolist() == kept
    above = np.array(kept) > 0.4
    named = {name for name, passes in zip(names, above, strict=True) if passes}
    assert scores.count_unique(above) == len(named - {None})
    assert scores.count_unique(np.ones(units, bool)) == len(set(names) - {None})


def test_units_are_chosen_on_one_half_and_measured_on_the_other(network, halves):
    subject = Subject("small", network, LAYER, halves.naming)
    bases = [
        Basis(NEURONS, "layer", UNITS),
        Basis(ROTATIONS, "large", 2 * UNITS, ("rotation:0", "rotation:1")),
        Basis(UNTRAINED, "large", 20, ("random-sae:20:2:0",)),
    ]
    rules = find_convention("netdissect")
    rows, best = measure_bases(subject, 3, bases, halves, rules, Confidences(10, 5))
    assert [(row.kind, row.units) for row in rows] == [(NEURONS, 6), (ROTATIONS, 12), (UNTRAINED, 20)]
    for basis, row in zip(bases, rows, strict=True):
        named, measured, q, owners = [], [], [], []
        for spec in basis.specs:
            address = f"{LAYER}+{spec}" if spec else LAYER
            first = dissect(network, halves.naming, [address], confidences=Confidences(10, 5))[address]
            given = {address: first.thresholds}
            none = Confidences(0, 1)
            second = dissect(network, halves.measuring, [address], confidences=none, thresholds=given)[
                address
            ]
            named.append(first.iou)
            measured.append(second.iou)
            q += first.confidence.q_value.tolist()
            owners += [(spec, unit) for unit in range(len(first))]
        named, measured = np.concatenate(named), np.concatenate(measured)
        shared = (first.concept_pixels > 0) & (second.concept_pixels > 0)
        concepts = [one.id for one in halves.naming.vocabulary if shared[one.id]]
        values = []
        for concept in concepts:
            unit = int(named[:, concept].argmax())
            values.append(measured[unit, concept])
            [found] = [one for one in best if one.kind == basis.kind and one.concept_id == concept]
            assert (found.spec, found.unit) == owners[unit]
            assert found.named == named[unit, concept]
            assert found.measured == measured[unit, concept]
        assert row.best == pytest.approx(np.mean(values))
        assert row.sure == np.mean(np.array(q) < 0.05)
        assert (row.quantile, row.sparse, row.labels) == (0.005, "half-median", "own")


def test_halves_without_a_common_concept_are_an_error(network, halves):
    first, second = list(halves.naming.vocabulary)[:2]
    planes = np.ones((1, 64, 64), np.uint16)
    one, other = (
        Stored(
            [replace(halves.naming[index], planes=planes * concept.id, ids=()) for index in range(4)],
            halves.naming.vocabulary,
        )
        for concept in (first, second)
    )
    with pytest.raises(UsageError, match="no concept is in both halves"):
        measure_bases(
            Subject("small", network, LAYER, halves.naming),
            0,
            [Basis(NEURONS, "layer", UNITS)],
            Halves(one, other),
            find_convention("netdissect"),
            Confidences(0, 1),
        )


@pytest.mark.parametrize("spec", ["", "rotation:1", "random-sae:20:2:0"])
def test_a_removal_is_that_of_an_edit(network, source, spec):
    address = f"{LAYER}+{spec}" if spec else LAYER
    count = 20 if spec.startswith("random") else UNITS
    targets = np.arange(8) % 3
    targets[5] = -1
    trial = Trial(source, np.arange(8), targets)
    with tap(network, [address]) as read:
        batch = network.preprocessing.tensor(np.stack([source[place].image for place in range(8)]))
        units = read(batch)[address].abs().sum((0, 2, 3)).argsort(descending=True)[[0, 1, -1]].tolist()
    effects = measure_removals(network, address, trial, units)
    for unit, effect in zip(units, effects, strict=True):
        for place in range(8):
            image = network.preprocessing.tensor(source[place].image[None])
            with torch.no_grad():
                before = network.run(image)[0].double()
                with edited(network, set_units(address, [unit], count)):
                    after = network.run(image)[0].double()
            changed = float((after.softmax(0) - before.softmax(0)).abs().sum()) / 2
            assert effect.changed[place] == pytest.approx(changed, abs=1e-6)
            if targets[place] < 0:
                assert np.isnan(effect.margin[place])
                assert effect.right[place] == 0
                continue
            own = int(targets[place])
            margins = [
                logits[own] - max(logits[j] for j in range(len(SCENES)) if j != own)
                for logits in (before, after)
            ]
            assert effect.margin[place] == pytest.approx(float(margins[1] - margins[0]), abs=1e-5)
            rights = [int(logits.argmax()) == own for logits in (before, after)]
            assert effect.right[place] == int(rights[1]) - int(rights[0])
    assert max(effect.changed.max() for effect in effects) > 0.001


def test_what_is_lost_is_told_apart_from_what_else_changes(source):
    present = np.zeros((4, 9), bool)
    present[:2, 7] = True
    scene = Scene(Trial(source, np.arange(4), np.array([3, 3, 5, -1])), present, {7: 3})
    effect = Effect(
        np.array([0.2, 0.4, 0.1, 0.0]), np.array([-1.0, -3.0, 0.5, np.nan]), np.array([-1, 0, 1, 0])
    )
    assert effect.split(scene, 7) == pytest.approx((0.3, 0.05, 2.0, 0.5, -1.0))
    there, elsewhere, *rest = effect.split(replace(scene, classes={}), 7)
    assert (there, elsewhere) == pytest.approx((0.3, 0.05))
    assert np.isnan(rest).all()


def test_sizes_are_how_far_cells_move(network, source):
    subject = Subject("small", network, LAYER, source)
    batch = network.preprocessing.tensor(np.stack([source[place].image for place in range(6)]))
    for spec in ("", "rotation:1", "random-sae:20:2:0"):
        address = f"{LAYER}+{spec}" if spec else LAYER
        sizes = measure_sizes(subject, spec, limit(source, 6))
        with tap(network, [LAYER, address]) as read:
            maps = read(batch)
        length = maps[LAYER].norm(dim=1).mean()
        for unit in (0, 3):
            count = maps[address].shape[1]
            with edited(network, set_units(address, [unit], count)), tap(network, [LAYER]) as read:
                moved = (read(batch)[LAYER] - maps[LAYER]).norm(dim=1).mean()
            assert sizes[unit] == pytest.approx(float(moved / length), rel=1e-4)


def test_reach_is_the_length_of_a_latent_whatever_the_norm(tmp_path):
    rows = torch.tensor([[3.0, 4.0], [0.0, 1.0], [1.0, 0.0]])
    made = make_directions(
        torch.rand(2, 3), rows, offset=torch.ones(2), normalization=Standardized(torch.ones(2), 2.0)
    )
    file = save_directions(made, tmp_path / "made.safetensors")
    assert measure_reach(str(file), 2) == pytest.approx([10.0, 2.0, 2.0])


def test_a_random_unit_is_as_large_and_none_of_the_best():
    sizes = np.arange(40.0)
    rng = np.random.default_rng(0)
    drawn = {draw_alike(sizes, 20, {19, 20, 21}, rng) for _ in range(200)}
    assert drawn == {14, 15, 16, 17, 18, 22, 23, 24, 25, 26}
    assert draw_alike(sizes[:2], 0, {0, 1}, rng) == 1
    assert draw_alike(sizes[:1], 0, {0}, rng) == 0


def test_concepts_that_most_images_have_are_tried_after_classes(network):
    scene = open_scene(network, open_drawn(count=60, seed=1, size=64))
    few, many = choose_concepts(scene, 0), choose_concepts(scene, 3)
    assert many[: len(few)] == few
    assert len(many) == len(few) + 3
    counts = scene.present.sum(0)
    assert all(10 <= counts[one] <= 30 for one in many)
    assert set(few) <= set(scene.classes)
    assert scene.present[np.arange(60), [source.ids[0] for source in scene.trial.source]].all()


def test_bases_have_the_sizes_that_they_say(network, source, tmp_path):
    subject = Subject("small", network, LAYER, source)
    bases, notes = make_bases(subject, source, 2, TINY, tmp_path)
    assert not notes
    latents = {(one.kind, one.size): one.latents for one in bases}
    assert latents[NEURONS, "layer"] == latents[PCA, "layer"] == latents[ICA, "layer"] == 6
    assert latents[NMF, "layer"] == 3
    for kind in (ROTATIONS, UNTRAINED, TOPK, MATRYOSHKA):
        assert (latents[kind, "small"], latents[kind, "large"]) == (6, 12)
    assert find_basis(bases, ROTATIONS, "large").specs == ("rotation:2000", "rotation:2001")
    with tap(network, [one for basis in bases for one in basis.list_addresses(LAYER)]) as read:
        maps = read(network.preprocessing.tensor(source[0].image[None]))
    for basis in bases:
        assert sum(maps[one].shape[1] for one in basis.list_addresses(LAYER)) == basis.latents


def test_parts_of_a_layer_with_values_below_0_are_said_to_be_missing(network, source, tmp_path):
    bases, notes = make_bases(Subject("small", network, "0", source), source, 0, TINY, tmp_path)
    assert NMF not in {one.kind for one in bases}
    assert len(notes) == 1
    assert "no NMF" in notes[0]
    assert "below 0" in notes[0]


def test_what_was_measured_is_not_measured_again(network, source, tmp_path, monkeypatch):
    monkeypatch.setattr(direction_removal, "LEAST", 3)
    subject = Subject("small", network, LAYER, source)
    setting = Setting(tmp_path, seeds=2)
    found = measure_all([subject], setting, TINY)
    assert {one.seed for one in found.bases} == {0, 1}
    assert {(one.quantile, one.sparse) for one in found.bases} == {
        (0.005, "half-median"),
        (0.005, "zero"),
        (0.02, "half-median"),
    }
    assert {one.labels for one in found.bases} == {"own", "shuffled"}
    assert all(one.sure != one.sure for one in found.bases if one.labels == "shuffled")
    assert len({one.best for one in found.bases if one.kind == NEURONS}) == 6  # no unit seldom fires

    best = {(one.seed, one.kind, one.size, one.concept_id): one for one in found.best}
    assert {one.kind for one in found.removals} == {NEURONS, UNTRAINED, TOPK, MATRYOSHKA}
    for row in found.removals:
        chosen = best[row.seed, row.kind, row.size, row.concept_id]
        assert row.chosen in (BEST, RANDOM)
        assert row.spec == chosen.spec
        assert (row.unit == chosen.unit) or row.chosen == RANDOM

    def never(*args, **kwargs):
        raise AssertionError("done again")

    with monkeypatch.context() as patch:
        patch.setattr(directions, "measure_bases", never)
        patch.setattr(directions, "remove_all", never)
        patch.setattr(direction_bases, "fit_directions", never)
        again = measure_all([subject], setting, TINY)
    assert repr(again) == repr(found)
    [kept] = (tmp_path / "directions" / "measured").glob("center-0-*.json")
    kept.write_text("{")
    with pytest.raises(RunError, match="is damaged"):
        measure_all([subject], setting, TINY)
