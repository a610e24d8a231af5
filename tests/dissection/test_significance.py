from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import made
import reference
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.labels import information_quality
from unitscope.dissection.significance import judge_units, p_values, q_values
from unitscope.statistics import resampling, rings
from unitscope.statistics.annotations import LabelIndex, annotate, merge_annotations
from unitscope.statistics.exemplars import empty_tops
from unitscope.statistics.grids import make_grid
from unitscope.statistics.overlap import measure_overlap
from unitscope.statistics.quantiles import TailPlan, empty_tail, update_tail
from unitscope.statistics.resampling import draw_resampling
from unitscope.statistics.rings import pair_slot
from unitscope.statistics.threads import open_threads


def smooth_maps(images, units, side, seed):
    """Random blobs that know nothing of any label."""
    maps = np.random.default_rng(seed).normal(size=(images, units, side, side))
    maps = maps + np.roll(maps, 1, 2) + np.roll(maps, 1, 3)
    return (maps * np.random.default_rng(seed + 1).gamma(1.0, size=(images, units, 1, 1))).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "null"),
    [("netdissect-lite", "blocks"), ("netdissect", "blocks"), ("pnas", "blocks"), ("pnas", "shifts")],
)
def test_p_values_of_units_that_know_nothing_are_uniform(name, null):
    source = made.make_source(80, mask_size=(14, 14), size=(28, 28), seed=11)
    maps = smooth_maps(80, 240, 4, 5)
    layer = dissect(
        made.wire(source, maps),
        source,
        ["maps"],
        convention=name,
        quantile=0.02,
        confidences=Confidences(400, 20, null),
    )["maps"]
    assert (layer.confidence.null, layer.confidence.null_images) == (null, 80)
    p = layer.confidence.p_value
    assert len(p) == 240
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert (layer.confidence.q_value < 0.05).mean() <= 0.02
    assert layer.confidence.chance_discoveries <= 0.02


def test_units_wired_to_a_concept_are_named_right_and_found_significant():
    source = made.make_source(60, mask_size=(12, 12), size=(24, 24), seed=2, void=False)
    frame = made.frame((24, 24), (12, 12))
    wired = [1, 2, 3, 5, 6]
    rng = np.random.default_rng(0)
    maps = np.zeros((60, len(wired) + 20, 6, 6), np.float32)
    for i in range(60):
        planes = frame.fit(source[i]).planes
        for unit, concept in enumerate(wired):
            here = np.any(planes == concept, axis=0) if len(planes) else np.zeros((12, 12))
            here = np.maximum(here, concept in source[i].ids)
            maps[i, unit] = here.reshape(6, 2, 6, 2).mean((1, 3)) + 0.1 * rng.normal(size=(6, 6))
    maps[:, len(wired) :] = smooth_maps(60, 20, 6, 3)
    layer = dissect(made.wire(source, maps), source, ["maps"], convention="pnas", quantile=0.1)["maps"]
    assert [layer[unit].concept.id for unit in range(len(wired))] == wired
    for unit in range(len(wired)):
        assert layer[unit].q_value < 0.05
        assert layer[unit].iou_low <= layer[unit].iou <= layer[unit].iou_high
    found = layer.confidence.q_value < 0.05
    assert found[len(wired) :].sum() <= 1


def test_p_values_of_a_part_of_the_images_are_uniform_too():
    source = made.make_source(160, mask_size=(14, 14), size=(28, 28), seed=3)
    maps = smooth_maps(160, 200, 4, 7)
    spent = Confidences(400, 20, null_images=64)
    layer = dissect(made.wire(source, maps), source, ["maps"], quantile=0.02, confidences=spent)["maps"]
    assert layer.confidence.null_images == 64
    assert "p-values are measured on 64 of the 160 images, by lot" in layer.warnings
    assert stats.kstest(layer.confidence.p_value, "uniform").pvalue > 0.01


def test_controls_fail_where_the_order_is_no_lot(monkeypatch):
    """Labels come round in every block, and units are active where they come: a whole slot is then as good as
    the truth.

    Draws that mix slots do not show it. In a random order they do, and there is nothing to find.
    """
    images, ways = 64, 8
    monkeypatch.setattr(rings, "WAYS", (ways, ways))
    source = made.make_source(images, mask_size=(8, 8), size=(16, 16), void=False)
    rng = np.random.default_rng(0)
    for i, example in enumerate(source.examples):
        plane = np.full((1, 8, 8), 1 if i % ways == 5 else 2, np.uint16)
        source.examples[i] = replace(example, planes=plane, ids=())
    maps = rng.normal(size=(images, 30, 4, 4)).astype(np.float32)
    maps[::ways] += 4
    labels = merge_annotations(
        [
            annotate(made.frame((16, 16), (8, 8)).fit(e), (8, 8), "twice", made.WORDS, i)
            for i, e in enumerate(source)
        ]
    )
    index = LabelIndex(labels, made.WORDS)
    plan = TailPlan(30, images, (4, 4), make_grid((4, 4), (8, 8), "half-pixel"), "cells", 0.1)
    tops, areas = empty_tops(30, 2).add(maps.max((2, 3)), 0), labels.concept_pixels(made.WORDS.size)
    found = []
    drawn, order = draw_resampling(images, 0, 400, 5), np.arange(images)
    for draws in (drawn, replace(drawn, order=order, rings=rings.Rings(order, 400, 0))):
        with open_threads(1) as threads:
            tail = update_tail(empty_tail(plan), torch.from_numpy(maps), 0, threads)
            _, evidence, _ = measure_overlap(tail, tops, index, "category", areas, draws, threads)
        found.append(judge_units(np.zeros(30), evidence, 0.04, draws).chance_discoveries)
    assert found[0] < 0.05
    assert found[1] > 0.2  # one of the four slots that are judged


UNIONS = ("netdissect-lite", "gandissect", "pnas")


def measure(name, images):
    """Three units by one convention: its rules, the examples, what was drawn, the evidence, and the twin."""
    source = made.make_source(images, mask_size=(10, 10), size=(20, 20), seed=5)
    maps = smooth_maps(images, 3, 4, 8)
    rules = CONVENTIONS[name]
    masks = (20 // rules.reduction,) * 2
    examples = [made.frame((20, 20), masks).fit(source[i]) for i in range(images)]
    labels = merge_annotations(
        [annotate(e, masks, rules.doubles, made.WORDS, i) for i, e in enumerate(examples)]
    )
    plan = TailPlan(3, images, (4, 4), make_grid((4, 4), masks, rules.upsampling), rules.population, 0.1)
    draws = draw_resampling(images, seed=1, shifts=50, replicates=30)
    with open_threads(2) as threads:
        tail = update_tail(empty_tail(plan), torch.from_numpy(maps), 0, threads)
        areas = labels.concept_pixels(made.WORDS.size)
        tops = empty_tops(3, 2).add(maps.max((2, 3)), 0)
        index = LabelIndex(labels, made.WORDS)
        _, evidence, _ = measure_overlap(tail, tops, index, rules.union, areas, draws, threads)
    twin = reference.dissect(maps, examples, made.WORDS, replace(rules, quantile=0.1), masks)
    return rules, examples, draws, evidence, twin


@pytest.mark.parametrize("name", UNIONS)
def test_shifts_and_halves_are_those_of_the_definition(name):
    rules, examples, draws, evidence, twin = measure(name, 9)
    assert sorted(draws.shifts) == list(range(1, 9))
    for place, shift in enumerate(draws.shifts):
        shuffled = [None] * 9
        for k, image in enumerate(draws.order):
            shuffled[image] = examples[draws.order[(k + shift) % 9]]
        counted = reference.count(twin.masks, shuffled, made.WORDS, rules, twin.thresholds)
        np.testing.assert_allclose(evidence.null[:, place], counted.iou.max(1), atol=1e-15)
    half = draws.half == 0
    score = []
    for naming, scoring in ((half, ~half), (~half, half)):
        parts = [
            reference.count(
                twin.masks[chosen], [e for e, keep in zip(examples, chosen, strict=True) if keep],
                made.WORDS, rules, twin.thresholds,
            )
            for chosen in (naming, scoring)
        ]  # fmt: skip
        best = parts[0].iou.argmax(1)
        score.append(np.where(parts[0].iou.max(1) > 0, parts[1].iou[np.arange(3), best], 0))
    np.testing.assert_allclose(evidence.heldout, np.mean(score, 0), atol=1e-15)


@pytest.mark.parametrize("name", UNIONS)
def test_a_whole_slot_in_pixels_is_that_of_labels_moved_by_the_definition(name):
    rules, examples, draws, evidence, twin = measure(name, 19)
    for unit in range(3):
        here = draws.place[twin.masks[:, unit].any((1, 2))] < 19
        plan = draws.rings.plan(int(here.sum()), len(np.flatnonzero(twin.concept_pixels)))
        partners = pair_slot(plan, 1, draws.place, draws.order)
        assert sorted(partners) == list(range(19))
        assert (partners != np.arange(19)).all()
        moved = [examples[partner] for partner in partners]
        counted = reference.count(twin.masks, moved, made.WORDS, rules, twin.thresholds)
        np.testing.assert_allclose(evidence.fine[unit], counted.iou[unit].max(), atol=1e-15)


@pytest.mark.parametrize("bins", [256, 4])
@pytest.mark.parametrize("name", UNIONS)
def test_the_interval_is_that_of_images_drawn_anew(name, bins, monkeypatch):
    monkeypatch.setattr(resampling, "BINS", bins)
    rules, examples, draws, evidence, twin = measure(name, 9)
    assert draws.weights.shape == (min(bins, 9), 30)
    assert (draws.weights.sum(0) == min(bins, 9)).all()
    alone = [
        reference.count(twin.masks[i : i + 1], examples[i : i + 1], made.WORDS, rules, twin.thresholds)
        for i in range(9)
    ]
    for unit, concept in enumerate(twin.iou.argmax(1).tolist()):
        place = made.WORDS.categories.index(made.WORDS[concept].category)
        ratios = []
        for weights in draws.weights.T.astype(int):
            shared, active, area = (
                sum(weights[draws.bin[i]] * part for i, part in enumerate(parts))
                for parts in (
                    [one.intersections[unit, concept] for one in alone],
                    [one.active_in[unit, place] for one in alone],
                    [one.concept_pixels[concept] for one in alone],
                )
            )
            ratios.append(shared / max(active + area - shared, 1))
        expected = np.quantile(ratios, [0.025, 0.975])
        np.testing.assert_allclose([evidence.low[unit], evidence.high[unit]], expected, atol=1e-12)


def test_the_fitted_tail_follows_a_known_one():
    rng = np.random.default_rng(0)
    draws = rng.exponential(size=(200, 400))
    p = p_values(np.full(200, 9.0), draws)
    assert 0.3 < np.median(p) / np.exp(-9.0) < 4
    close = p_values(np.full(200, 1.0), draws)
    assert abs(close.mean() - np.exp(-1.0)) < 0.01


def test_few_draws_are_counted_not_fitted():
    assert p_values(np.array([5.0]), np.zeros((1, 9))).tolist() == [0.1]
    assert p_values(np.array([0.0]), np.zeros((1, 9))).tolist() == [1.0]
    assert p_values(np.array([5.0]), np.zeros((1, 0))).tolist() == [1.0]


@given(st.lists(st.floats(0.0001, 1.0), min_size=1, max_size=30))
def test_q_values_are_those_of_scipy(p):
    np.testing.assert_allclose(q_values(np.array(p)), stats.false_discovery_control(p), rtol=1e-12)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_information_quality_lies_between_0_and_1_and_is_symmetric(both, active, truth, neither):
    total = np.array([both + active + truth + neither])
    shared, left, right = np.array([both]), np.array([both + active]), np.array([both + truth])
    one = information_quality(shared, left, right, total)[0]
    other = information_quality(shared, right, left, total)[0]
    assert 0 <= one <= 1
    assert one == pytest.approx(other, abs=1e-12)
    if active == truth == 0 and both and neither:
        assert one == pytest.approx(1)
