"""Detectors and their concepts, counted once: against a slow count, unit by unit."""

import json
import math

import numpy as np
import pytest
from made_dissection import made_dissection

from unitscope.dissection.counts import RULES, SURE, count_concepts, count_layer, recount


@pytest.fixture(scope="module")
def layer():
    return made_dissection(layers=("a",))["a"]


def count_slowly(layer, cutoff, rule, chosen=None, sure=False):
    """The unique concepts of a layer by category, a unit after the other."""
    found = {category: set() for category in layer.vocabulary.categories}
    for unit in range(len(layer)):
        if sure and not layer.confidence.q_value[unit] < SURE:
            continue
        iou = {c: layer.iou[unit, c.id] for c in layer.vocabulary if chosen is None or chosen[c.id]}
        best = max(iou, key=iou.get)
        for category in found:
            within = {c: value for c, value in iou.items() if c.category == category}
            if not within:
                continue
            first = max(within, key=within.get)
            if within[first] > max(cutoff, 0) and (rule == "category" or first == best):
                found[category].add(first)
    return {category: len(concepts) for category, concepts in found.items()}


@pytest.mark.parametrize("rule", RULES)
def test_unique_concepts_are_those_of_a_slow_count(layer, rule):
    counts = count_layer(layer)
    assert counts.unique[rule] == layer.unique[rule] == count_slowly(layer, 0.04, rule)
    assert counts.sure_unique[rule] == count_slowly(layer, 0.04, rule, sure=True)
    assert counts.count(rule=rule) == sum(counts.unique[rule].values())
    assert counts.count("object", rule, sure=True) == counts.sure_unique[rule]["object"] > 0
    assert counts.count("smell") == 0


def test_detectors_are_counted_by_category_and_confidence(layer):
    counts = count_layer(layer)
    detectors = [unit for unit in layer if unit.detector]
    assert counts.detectors == len(detectors) == sum(counts.by_category.values())
    assert counts.by_category["part"] == sum(unit.concept.category == "part" for unit in detectors)
    assert counts.sure_detectors == sum(unit.q_value < SURE for unit in detectors)
    assert counts.discoveries == sum(unit.q_value < SURE for unit in layer)
    assert (counts.units, counts.dead, counts.confident) == (64, 1, True)
    assert sum(count for _, count in count_concepts(layer)) == counts.detectors


@pytest.mark.parametrize("rule", RULES)
def test_another_cutoff_and_fewer_concepts_count_like_a_slow_count(layer, rule):
    chosen = np.random.default_rng(0).random(layer.vocabulary.size) < 0.4
    counts = count_layer(recount(layer, cutoff=0.1, concepts=chosen))
    assert counts.unique[rule] == count_slowly(layer, 0.1, rule, chosen)
    assert counts.sure_unique[rule] == count_slowly(layer, 0.1, rule, chosen, sure=True)
    assert counts.detectors == (np.where(chosen, layer.iou, 0).max(1) > 0.1).sum()


def test_without_confidence_nothing_is_sure():
    counts = count_layer(made_dissection(layers=("a",), confident=False)["a"])
    assert (counts.confident, counts.discoveries, counts.sure_detectors) == (False, None, 0)
    assert counts.count(sure=True) == 0
    assert math.isnan(counts.chance_detectors)
    assert json.loads(json.dumps(counts.record(), allow_nan=False))["chance_detectors"] is None
