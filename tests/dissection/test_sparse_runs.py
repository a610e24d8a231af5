"""Runs over latents that seldom fire: their thresholds, the dead among them, and their top images."""

import csv
import json

import numpy as np
import pytest
import torch

import made
import reference
import unitscope as us
from commands import write_folder
from unitscope.cli import main
from unitscope.dissection import dissect_by_quality, dissect_part, merge_run
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.recipe import Recipe
from unitscope.dissection.significance import q_values
from unitscope.dissection.storage import read_thresholds
from unitscope.networks.directions.activations import Relu
from unitscope.networks.directions.directions import make_directions
from unitscope.networks.directions.files import save_directions
from unitscope.views.terminal import describe_dissection, show_dissection

UNITS, DEAD, IMAGES = 12, (2, 7), 50


@pytest.fixture(scope="module")
def source():
    return made.make_source(IMAGES, seed=5)


@pytest.fixture(scope="module")
def latents():
    """Of twelve units, most of the time off: two are dead, one fires in three images."""
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(IMAGES, UNITS, 6, 6)).astype(np.float32)
    maps -= np.linspace(0.5, 2.7, UNITS, dtype=np.float32)[:, None, None]
    maps[:, list(DEAD)] = -np.abs(maps[:, list(DEAD)])
    maps[3:, 4] = -1
    maps[:3, 4] += 3
    return np.maximum(maps, 0)


@pytest.fixture(scope="module")
def network(source, latents):
    return made.wire(source, latents - (latents == 0))


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    made_of = make_directions(torch.eye(UNITS), activation=Relu(), kind="relu-sae")
    return f"maps+{save_directions(made_of, tmp_path_factory.mktemp('files') / 'sae.safetensors')}"


@pytest.fixture(scope="module")
def run(network, source, layer):
    return us.dissect(network, source, [layer], confidences=us.Confidences(60))


@pytest.mark.parametrize("name", CONVENTIONS)
def test_latents_are_counted_at_the_thresholds_of_the_definition(name, network, source, layer, latents):
    rules = CONVENTIONS[name]
    run = us.dissect(network, source, [layer], convention=rules, confidences=us.Confidences(0))
    found, size = run[layer], run.frame.mask_size
    upsampling = "half-pixel" if rules.upsampling == "receptive-field" else rules.upsampling
    dense = np.stack([[reference.upsample(flat, size, upsampling) for flat in image] for image in latents])
    population = latents if rules.population == "cells" else dense
    wanted = [
        reference.latent_threshold(latents[:, unit], population[:, unit], rules.quantile)
        for unit in range(UNITS)
    ]
    assert found.thresholds.tolist() == np.float32(wanted).tolist()
    assert (found.thresholds > 0).tolist() == [unit not in DEAD for unit in range(UNITS)]
    masks = dense > found.thresholds[:, None, None]
    framed = [made.frame(one.image.shape[:2], size).fit(one) for one in source.examples]
    counted = reference.count(masks, framed, source.vocabulary, rules, found.thresholds)
    np.testing.assert_array_equal(found.active, counted.active)
    np.testing.assert_array_equal(found.intersections, counted.intersections)


def test_with_zero_latents_are_counted_like_units_of_the_same_values(network, source, layer, latents):
    asked = {"confidences": us.Confidences(60)}
    zero = us.dissect(network, source, [layer], sparse_threshold="zero", **asked)[layer]
    plain = us.dissect(made.wire(source, latents), source, ["maps"], sparse_threshold="half-median", **asked)
    assert (zero.thresholds == 0).sum() > len(DEAD)
    for name in ("thresholds", "active", "intersections"):
        np.testing.assert_array_equal(getattr(zero, name), getattr(plain["maps"], name))
    half = us.dissect(network, source, [layer], **asked)[layer]
    lifted = zero.thresholds == 0
    assert half.thresholds[~lifted].tolist() == zero.thresholds[~lifted].tolist()
    assert (half.active[lifted] <= zero.active[lifted]).all()
    assert half.active[lifted].sum() < zero.active[lifted].sum()


def test_the_rule_stands_in_the_recipe_only_where_it_decides(network, source, layer, tmp_path, run):
    assert run.recipe.record()["convention"]["sparse_threshold"] == "half-median"
    zero = us.dissect(
        network, source, [layer], sparse_threshold="zero", out=tmp_path, confidences=us.Confidences(60)
    )
    assert zero.recipe.digest != run.recipe.digest
    assert us.load(tmp_path).convention.sparse_threshold == "zero"
    assert Recipe.parse(zero.recipe.record()) == zero.recipe
    plain = us.dissect(network, source, ["maps"], confidences=us.Confidences(0))
    assert "sparse_threshold" not in plain.recipe.record()["convention"]
    assert "sparse_threshold" not in describe_dissection(plain)["convention"]
    assert not plain["maps"].sparse
    turned = us.dissect(network, source, ["maps+rotation:0"], confidences=us.Confidences(0))
    assert "sparse_threshold" not in turned.recipe.record()["convention"]


def test_dead_latents_are_counted_apart(run, layer):
    found = run[layer]
    alive = np.array([unit not in DEAD for unit in range(UNITS)])
    sure = found.confidence
    assert sure.p_value[~alive].tolist() == sure.q_value[~alive].tolist() == [1.0, 1.0]
    np.testing.assert_array_equal(sure.q_value[alive], q_values(sure.p_value[alive]))
    assert (q_values(sure.p_value)[alive] >= sure.q_value[alive]).all()
    assert found.never_fired == describe_dissection(run)["layers"][0]["never_fired"] == 2
    note = "2 of 12 latents are dead: never above 0; q-values leave them out"
    assert note in found.warnings
    shown = show_dissection(run)
    assert note in shown
    assert [unit.concept for unit in found if unit.unit in DEAD] == [None, None]


def test_dead_units_that_are_no_latents_count_as_before(network, source, latents):
    run = us.dissect(made.wire(source, latents), source, ["maps"], confidences=us.Confidences(60))
    sure = run["maps"].confidence
    np.testing.assert_array_equal(sure.q_value, q_values(sure.p_value))
    assert run["maps"].never_fired == 0
    assert "never_fired" not in describe_dissection(run)["layers"][0]


def test_top_images_of_a_latent_are_those_where_it_fires(run, layer, latents, tmp_path):
    top = run[layer].exemplars
    for unit in range(UNITS):
        shown = top.images[unit][top.images[unit] >= 0]
        fires = np.flatnonzero(latents[:, unit].max((1, 2)) > 0)
        assert len(shown) == min(10, len(fires))
        assert set(shown) <= set(fires)
        assert (top.peaks[unit][: len(shown)] > 0).all()
    assert (top.images[4] >= 0).sum() == 3
    loaded = us.load(run.save(tmp_path))
    np.testing.assert_array_equal(loaded[layer].exemplars.images, top.images)
    assert (loaded[layer].sparse, loaded[layer].never_fired) == (True, 2)
    told = json.loads((tmp_path / "run.json").read_text())["layers"][0]
    assert (told["sparse"], told["never_fired"]) == (True, 2)


def test_parts_shards_and_a_run_that_goes_on_give_the_same_table(network, source, layer, tmp_path):
    asked = {"batch_size": 4, "confidences": us.Confidences(20)}
    whole = us.dissect(network, source, [layer], out=tmp_path / "whole", **asked)
    parted = {**asked, "shard_size": 8, "out": tmp_path / "parts"}
    dissect_part(network, source, [layer], "1/2", **parted)
    dissect_part(network, source, [layer], "2/2", **parted)
    merged = merge_run(tmp_path / "parts")
    begun = {**asked, "shard_size": 8, "out": tmp_path / "begun"}
    dissect_part(network, source, [layer], "2/2", **begun)
    us.dissect(network, source, [layer], resume=True, **begun)
    tables = [(tmp_path / name / "units.csv").read_bytes() for name in ("whole", "parts", "begun")]
    assert tables[0] == tables[1] == tables[2]
    np.testing.assert_array_equal(merged[layer].exemplars.runs, whole[layer].exemplars.runs)


def test_a_threshold_of_zero_that_is_given_is_lifted_too(network, source, layer, run, latents, tmp_path):
    """So a latent that was dead where thresholds were found is not blown up where it fires."""
    run.save(tmp_path)
    given = read_thresholds(tmp_path / "units.csv")
    asked = {"thresholds": given, "confidences": us.Confidences(0)}
    again = us.dissect(network, source, [layer], **asked)
    np.testing.assert_allclose(again[layer].thresholds, run[layer].thresholds, rtol=1e-6)
    awake = made.wire(source, np.where(latents > 0, latents, 1e-3 * (np.arange(6) == 3)))
    woken = us.dissect(awake, source, [layer], **asked)[layer].thresholds
    assert woken[list(DEAD)].tolist() == [np.float32(1e-3) / 2] * 2
    kept = us.dissect(awake, source, [layer], sparse_threshold="zero", **asked)[layer].thresholds
    assert kept[list(DEAD)].tolist() == [0.0, 0.0]


def test_latents_take_thresholds_by_information(network, source, layer):
    others = made.Stored(source.examples[:20])
    run = dissect_by_quality(network, source, others, [layer], ranks=3, confidences=us.Confidences(0))
    found = run[layer]
    fires = np.array([unit not in DEAD for unit in range(UNITS)])
    assert (found.thresholds[fires] > 0).all()
    assert (found.active > 0).tolist() == fires.tolist()


def test_the_command_line_takes_the_rule(tmp_path, capsys):
    write_folder(tmp_path / "pictures", images=6)
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n\ndef small():\n    torch.manual_seed(0)\n"
        "    return nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU())\n"
    )
    layer = "1+random-sae:64:1:0"
    asked = [f"{tmp_path}/net.py:small", "--layers", layer, "--concepts", f"folder:{tmp_path}/pictures"]
    for rule in ("half-median", "zero"):
        words = [
            "dissect",
            *asked,
            "--out",
            str(tmp_path / rule),
            "--sparse-threshold",
            rule,
            "--shifts",
            "0",
        ]
        assert main(words) == 0
    capsys.readouterr()
    texts = [(tmp_path / rule / "units.csv").read_text() for rule in ("half-median", "zero")]
    tables = [list(csv.DictReader(text.splitlines())) for text in texts]
    lifted = [float(row["threshold"]) == 0 and int(row["active_pixels"]) > 0 for row in tables[1]]
    assert any(lifted)
    assert all(float(row["threshold"]) > 0 for row, was in zip(tables[0], lifted, strict=True) if was)
