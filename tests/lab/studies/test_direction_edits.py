"""Edits along directions: against plain edits, random ones that move as much, what the command leaves."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from generated import BALL, TREE, planted_generator, planted_latents, planted_segmenter, segment_alone
from unitscope.cli import main
from unitscope.concepts.derived import limit, split_source
from unitscope.dissection.conventions import find_convention
from unitscope.errors import RunError, UsageError
from unitscope.experiments.fitting.asked import Training
from unitscope.interventions.edits import edited, set_units
from unitscope.interventions.insertion import cell_region, find_context, find_pixels
from unitscope.lab.studies import classifier_edits, edits_finding, trained_groups
from unitscope.lab.studies.claims import judge_order
from unitscope.lab.studies.classifier_edits import (
    Answers,
    answer_edits,
    choose_middle,
    edit_classifier,
    measure_change,
)
from unitscope.lab.studies.direction_bases import NEURONS, TOPK, UNTRAINED, Basis, Effort, Subject
from unitscope.lab.studies.direction_edits import (
    INSERTION,
    QUICK_EXTENT,
    REMOVAL,
    EditResult,
    Pick,
    insert_alike,
    insert_unit,
    measure_units,
    pick_units,
)
from unitscope.lab.studies.direction_removal import BEST, RANDOM, open_scene
from unitscope.lab.studies.edits_finding import judge_edits
from unitscope.lab.studies.generator_edits import Places, edit_generator
from unitscope.lab.studies.held_out import Halves
from unitscope.lab.world import open_drawn
from unitscope.lab.world.names import SCENES
from unitscope.networks.directions.files import save_directions
from unitscope.networks.generators import GeneratedImages
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.trace import tap

LAYER, UNITS = "1", 6
SPARSE = "random-sae:20:3:0"


@pytest.fixture(scope="module")
def subject():
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(UNITS, len(SCENES)))
    module = nn.Sequential(nn.Conv2d(3, UNITS, 5, 8), nn.ReLU(), *head)
    with torch.no_grad():
        module[-1].weight.mul_(20)
    network = Network(module.eval(), Preprocessing((64, 64)), tuple(SCENES), "small")
    return Subject("small", network, LAYER, open_drawn(count=30, seed=1, size=64))


@torch.no_grad()
def read_layer(network, image, address):
    with tap(network, [address]) as read:
        return read(image)[address].clone()


@pytest.mark.parametrize("spec", ["", SPARSE])
def test_edits_of_a_classifier_are_those_of_the_plain_loop(subject, spec):
    network, scene = subject.network, open_scene(subject.network, subject.source)
    units = measure_units(subject, spec, subject.source)
    high = np.argsort(-units.sizes)[:4].tolist()
    picks = [
        Pick("a", 1, high[0], 0.1, (high[2], high[3]), (high[1], high[2])),
        Pick("b", 2, high[1], 0.1, (high[3], high[0]), (high[0], high[3])),
    ]
    found = answer_edits(subject, units, picks, scene)
    assert found.edited.shape == (2 * 6, 30, len(SCENES))
    count, place = len(units.levels), choose_middle((8, 8))
    for number in range(0, 30, 7):
        image = network.preprocessing.tensor(subject.source[number].image[None])
        before = read_layer(network, image, LAYER)
        versions = iter(found.edited[:, number])
        for pick in picks:
            for unit in (pick.unit, *pick.alike):
                with torch.no_grad(), edited(network, set_units(units.address, [unit], count)):
                    assert next(versions) == pytest.approx(network.run(image)[0].numpy(), abs=1e-4)
            level = float(units.levels[pick.unit])
            edit = set_units(units.address, [pick.unit], count, value=level, place=place)
            with torch.no_grad(), edited(network, edit):
                assert next(versions) == pytest.approx(network.run(image)[0].numpy(), abs=1e-4)
                moved = (read_layer(network, image, LAYER) - before).norm(dim=1)
            maps = read_layer(network, image, units.address)
            for other in pick.others:
                alike = insert_alike(units, pick.unit, other, place, maps)
                with torch.no_grad(), edited(network, alike):
                    assert next(versions) == pytest.approx(network.run(image)[0].numpy(), abs=1e-4)
                    assert torch.allclose(
                        (read_layer(network, image, LAYER) - before).norm(dim=1), moved, atol=1e-4
                    )
            assert (moved[0, 2:6, 2:6] > 0).any()
            assert not moved[0, :2].any()


def test_levels_are_means_of_the_highest_cells_that_are_on(subject):
    units = measure_units(subject, SPARSE, subject.source)
    batch = subject.network.preprocessing.tensor(np.stack([subject.source[i].image for i in range(30)]))
    cells = read_layer(subject.network, batch, units.address).movedim(1, 0).flatten(1)
    length = read_layer(subject.network, batch, LAYER).norm(dim=1).mean()
    for latent, row in enumerate(cells):
        highest = sorted(row.tolist(), reverse=True)[: round(0.01 * len(row))]
        on = [one for one in highest if one > 0]
        wanted = sum(on) / len(on) if on else 0.0
        assert units.levels[latent] == pytest.approx(wanted, rel=1e-4)
        assert units.heights[latent] == pytest.approx(wanted / float(length), rel=1e-4)  # atoms of length 1
    assert (units.levels > 0).sum() > 5


def test_what_a_class_loses_and_gains_is_told_apart_from_the_rest(subject):
    scene = open_scene(subject.network, subject.source)
    target = int(scene.trial.targets[0])
    whole, after = np.random.default_rng(0).normal(size=(2, 30, len(SCENES)))
    found = Answers(whole, after[None])
    p, q = (np.exp(one) / np.exp(one).sum(1, keepdims=True) for one in (whole, after))
    own = [i for i in range(30) if scene.trial.targets[i] == target]
    rest = [i for i in range(30) if i not in own]
    effect, others, _ = measure_change(found, 0, scene, target, REMOVAL)
    assert effect == pytest.approx(np.mean([p[i, target] - q[i, target] for i in own]))
    assert others == pytest.approx(np.mean([np.abs(p[i] - q[i]).sum() / 2 for i in rest]))
    effect, others, margin = measure_change(found, 0, scene, target, INSERTION)
    assert effect == pytest.approx(np.mean([q[i, target] - p[i, target] for i in rest]))
    left = [np.abs(p[i] - q[i]).sum() / 2 - max(q[i, target] - p[i, target], 0) for i in rest]
    assert others == pytest.approx(np.mean(left))
    gained = [
        logits[i, target] - max(np.delete(logits[i], target)) for logits in (whole, after) for i in rest
    ]
    assert margin == pytest.approx(np.mean(gained[len(rest) :]) - np.mean(gained[: len(rest)]))


def test_random_units_are_none_of_the_best(subject):
    units = measure_units(subject, SPARSE, subject.source)
    picks = pick_units([("a", 1, 3, 0.1), ("b", 2, 5, 0.1)], units, 4, 0)
    assert [len(one.alike) for one in picks] == [len(one.others) for one in picks] == [4, 4]
    assert not {3, 5} & {unit for one in picks for unit in (*one.alike, *one.others)}


def edit_planted(concepts, folder):
    generator = planted_generator()
    subject = Subject("planted", generator, "maps", GeneratedImages(generator, 4))
    file = save_directions(planted_latents(), folder / "planted.safetensors")
    bases = [Basis(UNTRAINED, "small", 20, ("random-sae:20:4:0",)), Basis(TOPK, "small", 8, (str(file),))]
    extent = replace(QUICK_EXTENT, named=32, edited=24)
    return subject, edit_generator(subject, 0, bases, planted_segmenter(), concepts, extent)


def test_edits_of_a_generator_are_those_of_the_plain_loop(tmp_path):
    subject, rows = edit_planted(["ball", "tree"], tmp_path)
    assert len(rows) == 2 * 2 * 4
    generator, segmenter = subject.network, planted_segmenter()
    units = measure_units(subject, str(tmp_path / "planted.safetensors"), GeneratedImages(generator, 32))
    for name, concept, latent in (("ball", 2, BALL), ("tree", 3, TREE)):
        mine = [one for one in rows if (one.kind, one.concept) == (TOPK, name)]
        found = {(one.edit, one.chosen): one for one in mine}
        unit = found[REMOVAL, BEST].unit
        assert unit == latent
        before = [segment_alone(generator, segmenter, number) for number in range(32, 56)]
        removal = set_units(units.address, [unit], 8)
        after = [segment_alone(generator, segmenter, number, removal) for number in range(32, 56)]
        left = sum((one == concept).any(0).sum() for one in after)
        was = sum((one == concept).any(0).sum() for one in before)
        assert found[REMOVAL, BEST].effect == pytest.approx(1 - left / was)
        others = [(a[0] != b[0]) & ~(b == concept).any(0) for a, b in zip(after, before, strict=True)]
        rest = sum((~(b == concept).any(0)).sum() for b in before)
        assert found[REMOVAL, BEST].others == pytest.approx(np.sum(others) / rest)
        came, outside = [], []
        for number, planes in zip(range(32, 56), before, strict=True):
            at = Places((4, 4), 0).draw(number)
            if find_context(planes, at, (4, 4)) == concept:
                continue
            mask = torch.zeros(1, 4, 4)
            mask[0][at] = 1
            edit = insert_unit(units, unit, cell_region(mask, (4, 4))[0])
            now = segment_alone(generator, segmenter, number, edit)
            inside = np.zeros((16, 16), bool)
            inside[find_pixels(at, (4, 4), (16, 16))] = True
            shown = [(some == concept).any(0)[inside].mean() for some in (planes, now)]
            came.append(shown[1] - shown[0])
            outside.append((planes[0] != now[0])[~inside].mean())
        assert found[INSERTION, BEST].effect == pytest.approx(np.mean(came))
        assert found[INSERTION, BEST].others == pytest.approx(np.mean(outside)) == 0
        assert found[REMOVAL, BEST].effect > 0.9 > found[REMOVAL, RANDOM].effect
        assert found[INSERTION, BEST].effect > found[INSERTION, RANDOM].effect


def test_a_concept_that_no_unit_meets_is_an_error(subject, tmp_path):
    with pytest.raises(UsageError, match=r"no unit of maps.* has to do with 'ghost'"):
        edit_planted(["ghost"], tmp_path)
    halves = Halves(*(split_source(limit(subject.source, 6), half, seed=0) for half in ("train", "test")))
    with pytest.raises(UsageError, match="no class of small is in both halves of 6 pictures"):
        edit_classifier(subject, 0, [Basis(NEURONS, "layer", UNITS)], halves, find_convention("pnas"), 2)
    with pytest.raises(UsageError, match="small makes no images"):
        edit_generator(subject, 0, [], planted_segmenter(), ["ball"], QUICK_EXTENT)


def make_rows(best):
    """Rows of three seeds, in which latents have this effect and all others none."""
    sides = [(TOPK, BEST), (TOPK, RANDOM), (UNTRAINED, BEST), (NEURONS, BEST)]
    return [
        EditResult("net", seed, kind, "ball", edit, chosen, 0, 0.1, 0.02, effect, 0.1)
        for seed in range(3)
        for edit in (REMOVAL, INSERTION)
        for kind, chosen in sides
        for effect in [best + seed / 100 if (kind, chosen) == (TOPK, BEST) else 0.01]
    ]


def test_verdicts_follow_the_effects():
    for best, wanted in ((0.5, "replicates"), (-0.5, "does not replicate at this scale")):
        finding = judge_edits(make_rows(best))
        assert {one.verdict for one in finding.claims} == {wanted}
        assert len(finding.claims) == 2 * 5
    assert judge_order([0.5], [0.1]) == "unclear"


@pytest.fixture
def smaller(monkeypatch):
    """Less than even --quick takes: what is left is tested, not what is found."""
    tiny = replace(QUICK_EXTENT, effort=Effort(Training(2, 64), (1, 1)), fitted=6, named=8, edited=1, draws=1)
    monkeypatch.setattr(edits_finding, "QUICK_EXTENT", tiny)
    monkeypatch.setattr(edits_finding, "CONCEPTS", ("tree", "object/sky"))
    monkeypatch.setattr(trained_groups.Setting, "source", lambda _: open_drawn(count=20, seed=2000, size=64))
    monkeypatch.setattr(classifier_edits, "LEAST", 1)


def test_a_quick_study_says_so_and_goes_on_from_what_it_left(tmp_path, capsys, monkeypatch, smaller):
    words = ["study", "edits", "--quick", "--kept", str(tmp_path)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "*A quick look, not a result.*" in printed
    assert "**replicates**" not in printed  # one seed
    home = tmp_path / "edits"
    rows = list(csv.DictReader((home / "edits.csv").read_text().splitlines()))
    assert {row["subject"] for row in rows} == {"zoo:scene-classifier layer5", "zoo:generator layer3"}
    for edit in (REMOVAL, INSERTION):
        kinds = {(row["kind"], row["chosen"]) for row in rows if row["edit"] == edit}
        assert kinds == {(kind, chosen) for kind in (NEURONS, UNTRAINED, TOPK) for chosen in (BEST, RANDOM)}
    figure = (home / "figure.svg").read_text()
    assert figure.startswith("<?xml")
    assert not re.search(r"\bnan\b", figure)

    def never(*_args, **_more):
        raise AssertionError("measured again")

    monkeypatch.setattr(edits_finding, "edit_classifier", never)
    monkeypatch.setattr(edits_finding, "edit_generator", never)
    monkeypatch.setattr("unitscope.lab.studies.study.Finding.draw", lambda _, path: path)  # it is there
    assert main(words) == 0
    assert capsys.readouterr().out == printed
    [kept] = (home / "measured").glob("generator-0-*.json")
    kept.write_text("{")
    with pytest.raises(RunError, match="is damaged"):
        edits_finding.study_edits(trained_groups.Setting(tmp_path, quick=True))
    assert main([*words, "--seeds", "0"]) == 2
