"""Thresholds chosen by information: every pair as the definition says, on images that are not counted."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import made
import reference
from unitscope.cli import main
from unitscope.concepts.vocabulary import Vocabulary
from unitscope.dissection.adaptive import QualityRule, dissect_by_quality
from unitscope.dissection.conventions import find_convention
from unitscope.dissection.dissect import Confidences
from unitscope.dissection.storage import load
from unitscope.errors import UsageError
from unitscope.networks.generators import find_generated
from unitscope.networks.load import load_network
from unitscope.networks.network import Network
from unitscope.networks.network_sources import hold_out
from unitscope.networks.open_source import open_source
from unitscope.statistics.level_counts import climb, empty_ladder, lay_labels
from unitscope.statistics.scan import Machine

RULE = QualityRule(levels=12, least_fraction=0.01, coverage=0.02, agreement=0.5)
MASKS = (12, 12)
WORDS = made.WORDS


def score(both, above, truth, total):
    """The information quality ratio of a 2 x 2 table, cell by cell."""
    joint = [both, above - both, truth - both, total - above - truth + both]
    sides = [(above, truth), (above, total - truth), (total - above, truth), (total - above, total - truth)]
    mutual = entropy = 0.0
    for cell, (one, other) in zip(joint, sides, strict=True):
        if cell > 0:
            mutual += cell / total * math.log(cell * total / (one * other))
            entropy -= cell / total * math.log(cell / total)
    return mutual / entropy if entropy > 0 else 0.0


def choose_slowly(maps, examples, rules, rule):
    """For every pair: threshold and quality of the best level that is left, tried one after the other."""
    count, units = len(maps), maps.shape[1]
    dense = np.stack(
        [[reference.upsample(flat, MASKS, rules.upsampling) for flat in image] for image in maps]
    )
    values = maps if rules.population == "cells" else dense
    valid = [np.ones(MASKS, bool) if one.void is None else ~one.void for one in examples]
    best = {}
    for fraction in rule.fractions:
        levels = np.array([reference.threshold(values[:, u], fraction) for u in range(units)], np.float32)
        counted = reference.count(dense > levels[None, :, None, None], examples, WORDS, rules, levels)
        for place, category in enumerate(WORDS.categories):
            ids = [concept.id for concept in WORDS if concept.category == category]
            total = sum(
                int(valid[image].sum())
                for image in range(count)
                if rules.union == "all"
                or any((np.isin(plane, ids) & valid[image]).any() for plane in examples[image].planes)
                or (any(one in ids for one in examples[image].ids) and valid[image].any())
            )
            for concept in ids:
                truth = counted.concept_pixels[concept]
                if truth == 0 or truth < rule.coverage * total:
                    continue
                for unit in range(units):
                    both = counted.intersections[unit, concept]
                    above = counted.active_in[unit, place]
                    agreed = (total - above - truth + 2 * both) / total
                    if agreed > rule.agreement and (levels[unit] > 0 or not rule.positive):
                        quality = score(both, above, truth, total)
                        if quality > best.get((unit, concept), (0.0, 0.0))[0] + 1e-12:
                            best[unit, concept] = quality, float(levels[unit])
    return best, dense


def make_world(seed, kind="normal"):
    """Maps and labels of 7 held-out and 9 counted images, the first units near a concept; the network."""
    source = made.make_source(16, MASKS, (24, 24), seed)
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(16, 4, 12, 12)).astype(np.float32)
    for image, example in enumerate(source.examples):
        for plane in example.planes:
            maps[image, 0] += 2 * (plane == 1)
            maps[image, 1] += 3 * (plane == 5)
    maps[:, 3] = -1.0  # no level of it is above 0
    maps = np.maximum(maps, 0) if kind == "relu" else maps
    network = made.wire(source, maps)
    return made.Stored(source.examples[:7]), made.Stored(source.examples[7:]), maps, network


@pytest.mark.parametrize("name", ["pnas", "netdissect", "gandissect", "dissect"])
@pytest.mark.parametrize("kind", ["normal", "relu"])
def test_every_pair_has_the_threshold_and_the_counts_of_the_definition(name, kind):
    heldout, source, maps, network = make_world(len(name), kind)
    rules = replace(find_convention(name), reduction=2)
    run = dissect_by_quality(
        network, source, heldout, ["maps"], rule=RULE, convention=rules, confidences=Confidences(5, 20)
    )
    layer = run["maps"]
    twin_rules = replace(rules, upsampling="half-pixel") if rules.upsampling == "receptive-field" else rules
    frame = made.frame((24, 24), MASKS)
    examples = [frame.fit(one) for one in heldout.examples]
    best, _ = choose_slowly(maps[:7], examples, twin_rules, RULE)
    found = {(u, c) for u, c in np.argwhere(~np.isnan(layer.pairs.thresholds)).tolist()}
    assert found == set(best)
    assert len(found) > 4
    assert not any(unit == 3 for unit, _ in found)
    for (unit, concept), (quality, threshold) in best.items():
        assert layer.pairs.quality[unit, concept] == pytest.approx(quality, abs=1e-9)
        assert layer.pairs.thresholds[unit, concept] == threshold
    counted = [frame.fit(one) for one in source.examples]
    categories = list(WORDS.categories)
    for unit, concept in found:
        levels = np.repeat(layer.pairs.thresholds[unit, concept], 4)
        twin = reference.dissect(maps[7:], counted, WORDS, twin_rules, MASKS, thresholds=levels)
        assert layer.pairs.intersections[unit, concept] == twin.intersections[unit, concept]
        place = categories.index(WORDS[concept].category)
        assert layer.pairs.active[unit, concept] == twin.active_in[unit, place]
        assert layer.iou[unit, concept] == pytest.approx(twin.iou[unit, concept], abs=1e-15)
    check_names(layer, found)


def check_names(layer, found):
    """Units are named by the best pair, and all else is counted at its threshold."""
    for unit in layer:
        pairs = {concept: layer.iou[unit.unit, concept] for one, concept in found if one == unit.unit}
        if not pairs or max(pairs.values()) == 0:
            assert unit.concept is None
            continue
        assert unit.iou == max(pairs.values()) == pytest.approx(pairs[unit.concept.id])
        assert unit.threshold == layer.pairs.thresholds[unit.unit, unit.concept.id]
        assert unit.intersection == layer.pairs.intersections[unit.unit, unit.concept.id]
        assert unit.iou_low <= unit.iou + 1e-12 <= unit.iou_high + 2e-12
        assert not any(one.id not in pairs for one in (unit.runner_up,) if one)


@given(st.integers(0, 20), st.sampled_from(["twice", "once"]))
def test_a_ladder_counts_what_lies_strictly_above_each_level(seed, doubles):
    rng = np.random.default_rng(seed)
    examples = [made.label_image(rng, (5, 4)) for _ in range(3)]
    maps = torch.from_numpy(rng.integers(-2, 3, (3, 2, 5, 4)).astype(np.float32))
    levels = np.array([[-2, 0, 1], [-1, -1, np.inf]], np.float32)
    concepts = np.array([1, 5, 9])
    laid = [lay_labels(one, (5, 4), doubles) for one in examples]
    valid = np.stack([one for _, one in laid])
    entering = rng.random((3, 2)) < 0.6
    whole = climb(empty_ladder(levels, concepts, 2), maps, [one for one, _ in laid], valid, entering)
    for unit in range(2):
        for place, level in enumerate(levels[unit]):
            above = [(maps[k, unit].numpy() > level) & valid[k] for k in range(3)]
            for category in range(2):
                wanted = sum(above[k].sum() for k in range(3) if entering[k, category])
                assert whole.active[unit, category, place] == wanted
            for column, concept in enumerate(concepts):
                wanted = sum(((laid[k][0] == concept) & above[k]).sum() for k in range(3))
                assert whole.shared[unit, column, place] == wanted
    parts = [
        climb(empty_ladder(levels, concepts, 2), maps[k : k + 1], [laid[k][0]], valid[[k]], entering[[k]])
        for k in range(3)
    ]
    merged = parts[2].merge(parts[0]).merge(parts[1])
    assert np.array_equal(merged.shared, whole.shared)
    assert np.array_equal(merged.active, whole.active)


def test_a_planted_unit_gets_the_level_that_was_planted():
    heldout, source, maps, network = make_world(3)
    for image, example in enumerate([*heldout.examples, *source.examples]):
        there = np.zeros(MASKS, bool)
        for plane in example.planes:
            there |= plane == 1
        there |= 1 in example.ids
        maps[image, 2] = np.where(there, 5.0, 1.0)
    network = made.wire(made.Stored([*heldout.examples, *source.examples]), maps)
    convention = replace(find_convention("pnas"), reduction=2)
    rule = replace(RULE, agreement=0.0)
    run = dissect_by_quality(
        network, source, heldout, ["maps"], rule=rule, convention=convention, confidences=Confidences(0)
    )
    unit = run["maps"][2]
    assert (unit.concept.name, unit.iou, unit.threshold) == ("cat", 1.0, 1.0)


def test_thresholds_are_chosen_in_the_precision_that_is_counted_in():
    torch.manual_seed(0)
    source = made.make_source(12)
    network = Network(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5, 2)))
    kinds = []
    network.module[0].register_forward_hook(
        lambda _module, args, output: kinds.append(output.dtype) if len(output) > 3 else None
    )
    heldout, rest = made.Stored(source.examples[:5]), made.Stored(source.examples[5:])
    options = {"convention": replace(find_convention("pnas"), reduction=2), "confidences": Confidences(0)}
    machine = Machine(mixed_precision=True)
    dissect_by_quality(network, rest, heldout, ["0"], rule=RULE, machine=machine, **options)
    assert kinds == [torch.bfloat16] * 3


def test_a_run_keeps_its_pairs(tmp_path):
    heldout, source, _, network = make_world(1)
    rules = replace(find_convention("pnas"), reduction=2)
    options = {"rule": RULE, "convention": rules, "confidences": Confidences(3, 20)}
    run = dissect_by_quality(network, source, heldout, ["maps"], out=tmp_path / "run", **options)
    again = load(tmp_path / "run")
    for name in ("thresholds", "quality", "active", "intersections"):
        np.testing.assert_array_equal(getattr(again["maps"].pairs, name), getattr(run["maps"].pairs, name))
    assert again["maps"].labels.best.tolist() == run["maps"].labels.best.tolist()
    assert again.recipe.quality["images"] == 7
    again.save(tmp_path / "copy")
    for name in ("units.csv", "maps.safetensors"):
        assert (tmp_path / "copy" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_what_cannot_be_chosen_is_told():
    heldout, source, _, network = make_world(1)
    with pytest.raises(UsageError, match="depends on each mask"):
        dissect_by_quality(network, source, heldout, ["maps"], convention="netdissect-lite")
    words = Vocabulary(WORDS.concepts[:2])
    with pytest.raises(UsageError, match="name other concepts"):
        dissect_by_quality(network, source, made.Stored(heldout.examples, words), ["maps"])
    drawn = open_source("drawn:count=4,size=64")
    zoo = load_network("zoo:scene-classifier")
    with pytest.raises(UsageError, match="images that are counted"):
        dissect_by_quality(zoo, drawn, open_source("drawn:count=4,size=64"), ["layer1"])
    others = open_source("drawn:count=4,size=64,seed=9")
    small = Machine(memory=1000)
    with pytest.raises(UsageError, match="4 held-out images take"):
        dissect_by_quality(zoo, drawn, others, ["layer1"], machine=small)
    for wrong in ({"levels": 1}, {"least_fraction": 1.0}, {"coverage": -0.1}, {"agreement": 1.0}):
        with pytest.raises(UsageError):
            QualityRule(**wrong)


def test_other_latents_or_another_half_are_held_out():
    generator = load_network("zoo:generator")
    source, others = hold_out(open_source("segmenter:zoo:segmenter,count=6,seed=3", generator), 4)
    assert (len(source), len(others)) == (6, 4)
    assert find_generated(others).generator.seed == 4
    source, others = hold_out(open_source("drawn:count=10,size=64"), 3)
    assert (len(source), len(others)) == (5, 3)
    assert not {source[k].key for k in range(5)} & {others[k].key for k in range(3)}
    with pytest.raises(UsageError, match="0 held-out"):
        hold_out(source, 0)


def test_the_command_line_chooses_thresholds(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "dissect zoo:generator --layers layer4 layer5 --concepts segmenter:zoo:segmenter,count=12,seed=1"
    words += " --convention pnas --thresholds iqr --held-out 10 --shifts 4 --no-report --out"
    assert main([*words.split(), "one"]) == 0
    assert main([*words.split(), "two"]) == 0
    capsys.readouterr()
    assert (tmp_path / "one" / "units.csv").read_bytes() == (tmp_path / "two" / "units.csv").read_bytes()
    recipe = json.loads((tmp_path / "one" / "run.json").read_text())["recipe"]
    assert recipe["quality"]["source"].endswith("count=10,seed=2")
    with (tmp_path / "one" / "units.csv").open() as file:
        rows = list(csv.DictReader(file))
    run = load(tmp_path / "one")
    for row in rows:
        layer = run[row["layer"]]
        if row["concept"]:
            concept = next(
                c.id for c in run.vocabulary if (c.name, c.category) == (row["concept"], row["category"])
            )
            chosen = layer.pairs.thresholds[int(row["unit"]), concept]
            assert np.float32(row["threshold"]) == chosen
    assert len({row["concept"] for row in rows}) > 5
