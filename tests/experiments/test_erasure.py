"""Erasure: the units that paint a concept are found and remove all of it, and nothing else."""

import csv
import json

import numpy as np
import pytest

from generated import PAINTS, UNITS, WORDS, Plain, planted_generator, planted_studio, segment_alone
from unitscope.concepts.segmented import SegmentedSource
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import RunError, UsageError
from unitscope.experiments.erasure import choose_layers, study_erasure
from unitscope.experiments.erasure_result import Target
from unitscope.interventions.edits import set_units
from unitscope.interventions.generator_run import open_studio
from unitscope.networks.generators import GeneratedImages, with_seed
from unitscope.networks.network import Network

BALL, TREE, GROUND = WORDS[2], WORDS[3], WORDS[5]


@pytest.fixture(scope="module")
def studio():
    return planted_studio()


@pytest.fixture(scope="module")
def study(studio):
    targets = [Target(BALL, "maps"), Target(TREE, "maps")]
    return study_erasure(studio, targets, counts=[1, 2, 3], draws=4, images=24)


def test_shares_are_those_of_a_loop_over_single_edits(studio, study):
    generator, segmenter = studio.generator, studio.segmenter
    before = [segment_alone(generator, segmenter, number) for number in range(64, 88)]
    layer = study.layers["maps"]
    for place, (by, concept, count) in enumerate(layer.versions):
        edit = set_units("maps", study.rankings[by][concept][:count], UNITS)
        after = [segment_alone(generator, segmenter, number, edit) for number in range(64, 88)]
        for concept in (2, 3, 5, 7):
            was, now = (np.mean([(one == concept).any(0).sum() for one in many]) for many in (before, after))
            assert layer.areas.removed(place, concept).value == pytest.approx(-(now - was) / was)
    for draw, (versions, lot) in enumerate(zip(layer.drawn, layer.lots, strict=True)):
        numbers = range(64 + 6 * draw, 70 + 6 * draw)
        for place, units in enumerate(versions):
            edit = set_units("maps", units, UNITS)
            was = sum((before[number - 64] == 3).any(0).sum() for number in numbers)
            after = [segment_alone(generator, segmenter, number, edit) for number in numbers]
            now = sum((one == 3).any(0).sum() for one in after)
            assert lot.removed(place, 3).value == pytest.approx(1 - now / was)
    pooled = [lot.after[1] for lot in layer.lots]
    assert (layer.random.after[1] == sum(pooled)).all()


def test_the_units_that_paint_a_concept_remove_all_of_it_and_nothing_else(study):
    assert set(study.rankings["iou"][2][:2]) == set(PAINTS[2])
    assert set(study.rankings["iou"][3][:3]) == set(PAINTS[3])
    ball, tree = study.targets
    assert study.removed(ball, "iou", 2).value == 1
    assert study.removed(tree, "iou", 3).value == 1
    assert study.aside(tree, "iou", 3) == 0
    assert study.removed(ball, "iou", 2, of=TREE).value == 0
    assert study.removed(ball, "random", 2).value < 0.5
    (ground, lost), (other, none) = reversed(study.others(ball, "iou", 2))
    assert (ground, other) == (GROUND, TREE)
    assert lost.value < 0  # what stood there becomes ground
    assert none.value == 0


def test_a_random_draw_serves_all_concepts_and_larger_counts_hold_smaller_ones(study):
    drawn = study.layers["maps"].drawn
    assert len(drawn) == 4
    for versions in drawn:
        sets = [set(units) for units in versions]
        assert [len(one) for one in sets] == [1, 2, 3]
        assert sets[0] < sets[1] < sets[2]


def test_again_gives_the_same(studio, study):
    again = study_erasure(studio, study.targets, counts=[3, 1, 2], draws=4, images=24)
    assert json.dumps(again.describe()) == json.dumps(study.describe())
    other = study_erasure(studio, study.targets, counts=[1], draws=4, images=24, seed=1)
    assert [lot[0] for lot in other.layers["maps"].drawn] != [lot[0] for lot in study.layers["maps"].drawn]


def test_given_orders_are_measured_too(studio):
    order = [*PAINTS[2], 0, 2, 3]
    found = study_erasure(studio, [Target(BALL, "maps")], counts=[2], draws=2, images=4, effects={2: order})
    assert found.kinds == ("iou", "effect", "random")
    assert found.removed(found.targets[0], "effect", 2).value == 1


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tables_hold_what_was_measured(study, tmp_path):
    files = [study.save(tmp_path) / name for name in study.files]
    assert [file.name for file in files] == ["erasure.csv", "others.csv", "units.csv"]
    rows = read(files[0])
    assert len(rows) == 2 * (3 + 3 * 5)
    [row] = [row for row in rows if (row["concept"], row["by"], row["count"]) == ("ball", "iou", "2")]
    assert float(row["removed"]) == 1
    lots = [row for row in rows if (row["concept"], row["by"], row["count"]) == ("ball", "random", "3")]
    shares = [float(row["removed"]) for row in lots]
    assert min(shares[1:]) <= shares[0] <= max(shares[1:])
    assert (float(lots[0]["low"]), float(lots[0]["high"])) == (min(shares[1:]), max(shares[1:]))
    others = read(files[1])
    own = [row for row in others if row["target"] == "ball" and row["by"] == "iou" and row["count"] == "2"]
    assert sum(float(row["gained"]) for row in own if row["category"] == "object") == pytest.approx(
        0, abs=1e-6
    )
    assert {row["concept"] for row in own} == {"ball", "tree", "ground", "moss"}
    text = study.text()
    assert text.splitlines()[0].startswith("concept  layer  of pixels")
    assert "100.0 (100.0 to 100.0)" in text
    with pytest.raises(RunError, match="cannot write"):
        study.save(tmp_path / "units.csv")


def test_the_layer_is_chosen_on_the_ranking_images(studio, monkeypatch):
    generator = planted_generator()
    source = SegmentedSource(GeneratedImages(generator, 32), studio.segmenter)
    run = dissect(generator, source, ["first", "maps"], confidences=Confidences(shifts=0), convention="pnas")
    both = open_studio(generator, run, source)
    seen = []
    inner = with_seed(generator, 0).inputs
    monkeypatch.setattr(type(generator), "inputs", lambda self, first, count=1, device=None: (
        seen.append((first, count)), inner(first, count, device))[1])  # fmt: skip
    chosen = choose_layers(both, [BALL, TREE], count=2, images=20)
    assert [one.layer for one in chosen] == ["maps", "maps"]
    assert max(first + count for first, count in seen) <= 20
    assert choose_layers(both, [BALL], ["first"]) == [Target(BALL, "first")]


def test_images_that_ranked_units_are_not_measured_on(studio):
    assert studio.fresh(5) == range(64, 69)
    assert studio.fresh(5, 100) == range(100, 105)
    for first in (0, 63):
        with pytest.raises(UsageError, match=f"images {first} to {first + 4} overlap .* start from 64"):
            studio.fresh(5, first)
    with pytest.raises(UsageError, match="1 images have no interval"):
        studio.fresh(1)


def test_what_cannot_be_is_told(studio):
    ball = Target(BALL, "maps")
    with pytest.raises(UsageError, match="has 10 units; remove 1 to 10"):
        study_erasure(studio, [ball], counts=[11])
    with pytest.raises(UsageError, match="no concept was named"):
        study_erasure(studio, [])
    with pytest.raises(UsageError, match="1 random draws"):
        study_erasure(studio, [ball], draws=1)
    with pytest.raises(UsageError, match="'ghost' is in none of the 64 images"):
        study_erasure(studio, [Target(WORDS[9], "maps")])
    with pytest.raises(UsageError, match="no layer 'last'"):
        study_erasure(studio, [Target(BALL, "last")])
    with pytest.raises(UsageError, match="no concept 'bal'; near names: ball"):
        studio.find("bal")


def test_runs_of_others_are_refused(studio):
    source = SegmentedSource(GeneratedImages(studio.generator, 8), Plain())
    other = planted_generator("other")
    other.module.scale.data.mul_(2)
    with pytest.raises(UsageError, match="with other weights than other"):
        open_studio(other, studio.run, source)
    with pytest.raises(UsageError, match="makes no images"):
        open_studio(Network(studio.generator.module), studio.run, source)
    with pytest.warns(UserWarning, match="differs"), pytest.raises(UsageError, match="segmenter:NAME"):
        open_studio(studio.generator, studio.run, GeneratedImages(studio.generator, 64))
