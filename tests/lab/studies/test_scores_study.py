"""The study of scores: labels are spoiled as they should be, units of known names are named as by hand."""

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from unitscope.cli import main
from unitscope.errors import RunError
from unitscope.lab.studies import scores as study
from unitscope.lab.studies.planting import Degradation, read_truth
from unitscope.lab.studies.score_measures import Extent, measure_scores
from unitscope.lab.studies.score_pictures import compare_pictures, measure_shares, score_by_pictures
from unitscope.lab.studies.score_sanity import EXPECTED, SPOILINGS, spoil, spoil_ideal, spoil_real
from unitscope.lab.studies.score_tables import list_always, tune_top
from unitscope.lab.studies.score_units import (
    COLUMNS,
    KINDS,
    Case,
    cover_images,
    draw_formulas,
    lay_case,
    lay_out,
    name_case,
    plant_units,
)
from unitscope.lab.world import open_drawn
from unitscope.statistics.label_scores import NEURON_EVAL, label_scores

IMAGES = 24
SMALL = Extent(16, 24, 8, 4000, (KINDS[0], Degradation("formula", 0.0), *KINDS[-2:]), 3, 1, 8)


@pytest.fixture(scope="module")
def source():
    return open_drawn(count=IMAGES, seed=11, size=64)


@pytest.fixture(scope="module")
def truth(source):
    return read_truth(source)


def test_ideal_units_change_as_they_must():
    rows = spoil_ideal(0, 200_000, 400)
    assert len(rows) == 5 * len(SPOILINGS) * len(NEURON_EVAL)
    for one in rows:
        if one.score in EXPECTED and one.frequency >= 0.001:
            sampling = 5 * one.deviation / np.sqrt(400) + 3 / (one.frequency * 200_000)
            assert abs(one.change - one.expected) < sampling, one
    falls = {(one.score, one.spoiling, one.frequency): one.falls for one in rows}
    assert falls["recall", "missing", 0.1] == falls["precision", "extra", 0.1] == 0
    assert falls["pearson", "missing", 0.01] == falls["pearson", "extra", 0.01] == 1


def test_spoiled_labels_are_half_or_twice_as_many():
    present = np.arange(40_000) % 10 == 0
    found = spoil(present, np.random.default_rng(0))
    assert not (found["missing"] & ~present).any()
    assert found["missing"].sum() == pytest.approx(2000, abs=150)
    assert (found["extra"] >= present).all()
    assert found["extra"].sum() == pytest.approx(8000, abs=250)


def test_real_units_that_are_their_names_fall_like_ideal_ones():
    rng = np.random.default_rng(0)
    presence = rng.random((6, 3000)) < 0.1
    response = presence + rng.normal(0, 0.01, presence.shape)
    rows = spoil_real("made", 5, response, presence, list(range(6)), 0.1)
    falls = {(one.score, one.spoiling): one.falls for one in rows}
    assert all(one.count == 6 for one in rows)
    for score in ("iou", "f1", "pearson", "cosine", "average_precision"):
        assert falls[score, "missing"] == falls[score, "extra"] == 1
    assert falls["precision", "extra"] == 0


def test_formulas_need_both_parts(truth):
    formulas = draw_formulas(truth, 0, 5)
    assert {one.joins[0] for one in formulas} == {"OR", "AND", "AND NOT"}
    has = (truth.cover >= 0.5).reshape(len(truth.ids), -1).T
    for one in formulas:
        area = one.holds(has).sum()
        parts = [has[:, concept].sum() for concept in one.concepts]
        assert 0 < area != parts[0], one
        assert area < parts[0] if one.joins[0] != "OR" else area > max(parts)
    assert draw_formulas(truth, 0, 5) == formulas != draw_formulas(truth, 1, 5)


@pytest.mark.parametrize("at", ["cells", "pixels", "images"])
def test_inputs_are_laid_out_image_after_image(truth, at):
    maps, concepts, right = plant_units(truth, KINDS[0], 0)
    response, presence = lay_out(maps, concepts, at)
    places = {"cells": 256, "pixels": 1024, "images": 1}[at]
    assert response.shape == (len(right), IMAGES * places)
    assert presence.shape == (len(truth.ids), IMAGES * places)
    solid = truth.cover.reshape(*truth.cover.shape[:2], 16, 2, 16, 2).mean((3, 5)) >= 0.5
    if at == "cells":
        assert np.array_equal(presence[3, 5 * 256 : 6 * 256], solid[3, 5].ravel())
        assert np.array_equal(response[3, 5 * 256 : 6 * 256], maps[5, 3].ravel())
    if at == "images":
        assert response[3, 5] == pytest.approx(maps[5, 3].mean(), abs=1e-6)
        assert presence[3, 5] == (truth.cover[3, 5] >= 0.5).any()


def test_units_are_named_as_by_hand():
    rng = np.random.default_rng(1)
    presence = rng.random((5, 400)) < 0.2
    right = np.array([4, 0, 2])
    response = presence[right] + rng.normal(0, 1.0, (3, 400))
    named = name_case(Case(response, presence, right, right + 10))
    for place, (score, top) in enumerate(COLUMNS):
        values = label_scores(response, presence, top)[score]
        ranked = np.where(np.isnan(values), -np.inf, values)
        assert named.right[place].tolist() == (ranked.argmax(1) == right).tolist(), (score, top)
        pairs = np.zeros((3, 5), bool)
        pairs[np.arange(3), right] = True
        wanted = average_precision_score(pairs.ravel(), values.ravel())
        assert named.average_precision[place] == pytest.approx(wanted), (score, top)
    assert named.sizes.tolist() == presence[right].mean(1).tolist()


def test_labels_of_other_images_are_those_of_the_shuffle(truth):
    own, other = (lay_case(truth, how, 3, "images") for how in (KINDS[0], KINDS[-2]))
    assert np.array_equal(own.response, other.response)
    assert not np.array_equal(own.presence, other.presence)
    assert np.array_equal(own.presence.sum(1), other.presence.sum(1))


def test_cells_of_images_are_covered_by_half(source):
    ids, cells = cover_images(source, 8)
    planes = source[2].planes
    for row in range(0, len(ids), 9):
        here = (planes == ids[row]).any(0).reshape(8, 8, 8, 8).mean((1, 3)) >= 0.5
        assert np.array_equal(cells[row, 2 * 64 : 3 * 64], here.ravel())


def test_pictures_are_compared_as_detectors_are(source):
    rng = np.random.default_rng(0)
    shown, controls = rng.normal(1, 1, (4, 9)), rng.normal(0, 2, (4, 30))
    auroc, apart = compare_pictures(shown, controls)
    for unit in range(4):
        truth = [1] * 9 + [0] * 30
        assert auroc[unit] == pytest.approx(roc_auc_score(truth, [*shown[unit], *controls[unit]]))
        wanted = (shown[unit].mean() - controls[unit].mean()) / controls[unit].std()
        assert apart[unit] == pytest.approx(wanted)
    shares = measure_shares(source)
    assert shares.max() <= 1
    assert shares.sum(1)[0] == 0
    some, _ = score_by_pictures(shares[:50] + 0.0, shares[:50], None, 3)
    present = shares[:50].any(1) & ~shares[:50].all(1)
    assert (np.diag(some)[present] == 1).all()
    assert np.isnan(np.diag(some)[~present]).all()


def test_a_quick_study_says_so_leaves_its_results_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(study, "QUICK", SMALL)
    words = ["study", "scores", "--quick", "--out", str(tmp_path)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "*A quick look, not a result.*" in printed
    assert "**Recommended: `" in printed
    for table in ("scores.csv", "ideal.csv", "spoiled.csv", "pictures.csv", "masks.csv"):
        rows = list(csv.reader((tmp_path / table).read_text().splitlines()))
        assert len(rows) > 1
        assert len({len(row) for row in rows}) == 1
    assert (tmp_path / "finding.md").read_text() in printed
    assert (tmp_path / "figure.svg").read_text().startswith("<?xml")
    before = (tmp_path / "scores.csv").read_bytes()
    monkeypatch.setattr("unitscope.lab.studies.score_measures.name_case", None)  # all lies there
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["study"] == "scores"
    assert (tmp_path / "scores.csv").read_bytes() == before
    measured = measure_scores([0], SMALL, tmp_path / "measured")
    assert set(list_always(measured)) <= set(NEURON_EVAL)
    assert 0 <= tune_top(measured.known[:1], "iou")[1] <= 1
    (part,) = (tmp_path / "measured").glob("*/ideal-0.safetensors")
    part.write_bytes(b"no")
    with pytest.raises(RunError, match="is damaged"):
        measure_scores([0], SMALL, tmp_path / "measured")


def test_no_seeds_are_a_line(capsys):
    assert main(["study", "scores", "--seeds", "0"]) == 2
    assert "--seeds is 0; wanted 1 or more" in capsys.readouterr().err
