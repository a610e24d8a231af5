"""Names by another score than IoU: those of a slow count, without another pass, and what stays as it is."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from made_dissection import made_dissection

import unitscope as us
from unitscope.cli import main
from unitscope.dissection.conventions import NameBy
from unitscope.dissection.counts import recount
from unitscope.errors import UsageError

OTHERS = [name for name in get_args(NameBy) if name != "iou"]


@pytest.fixture(scope="module")
def layer():
    return made_dissection(layers=("a",))["a"]


def score_slowly(layer, unit, concept, name_by):
    """The score of one pair, from the four kinds of pixels."""
    place = layer.vocabulary.category_index[concept]
    pixels = int(layer.pixels_in[place])
    active, there = int(layer.active_in[unit, place]), min(int(layer.concept_pixels[concept]), pixels)
    both = min(int(layer.intersections[unit, concept]), active, there)
    if not both:
        return -np.inf
    counts = [pixels - active - there + both, there - both, active - both, both]
    if name_by == "pearson":
        table = np.cov([[0, 0, 1, 1], [0, 1, 0, 1]], fweights=counts)
        return table[0, 1] / np.sqrt(table[0, 0] * table[1, 1])
    if name_by == "wpmi":
        return (counts[2] * np.log(1e-8) + both * np.log(1)) / active - np.log(there / pixels)
    return {"f1": 2 * both / (active + there), "precision": both / active}[name_by]


@pytest.mark.parametrize("name_by", ["f1", "precision", "pearson", "wpmi"])
def test_names_are_those_of_a_slow_count(layer, name_by):
    named = recount(layer, name_by=name_by)
    ids = [concept.id for concept in layer.vocabulary]
    for unit in range(0, len(layer), 3):
        scores = [score_slowly(layer, unit, concept, name_by) for concept in ids]
        scores = np.where(np.isnan(scores), -np.inf, scores)
        best = ids[int(np.argmax(scores))] if np.isfinite(scores).any() else 0
        found = named[unit]
        assert (found.concept.id if found.concept else 0) == best
        if best:
            assert found.score == pytest.approx(scores.max(), abs=1e-9)
            assert found.iou == layer.iou[unit, best]
            assert found.detector == (found.iou > layer.convention.iou_cutoff)


def test_f1_names_as_iou_does_where_the_union_is_the_same(layer):
    assert np.array_equal(recount(layer, name_by="f1").labels.best, layer.labels.best)


def test_confidence_stays_where_the_name_does_and_is_said_to_be_missing_elsewhere(layer):
    named = recount(layer, name_by="recall")
    other = named.labels.best != layer.labels.best
    assert other.any()
    assert not other.all()
    assert np.isnan(named.confidence.p_value[other]).all()
    assert np.array_equal(named.confidence.q_value[~other], layer.confidence.q_value[~other])
    told = named.warnings[-1]
    assert told.startswith(
        f"named by recall; {other.sum()} of {len(layer)} units have another name than by iou"
    )
    assert recount(layer, name_by="iou") is not None
    assert recount(layer, name_by="iou").warnings == layer.warnings


def test_a_dissection_names_so_and_a_recount_after_it_does_the_same(tmp_path):
    network, source = us.load_network("zoo:scene-classifier"), us.open_source("drawn:count=24,size=64")
    confidences = us.Confidences(shifts=20, replicates=20)
    plain = us.dissect(network, source, ["layer5"], convention="pnas", confidences=confidences)
    rules = replace(us.CONVENTIONS["pnas"], name_by="pearson")
    run = us.dissect(network, source, ["layer5"], convention=rules, confidences=confidences)
    again = recount(plain["layer5"], name_by="pearson")
    assert np.array_equal(run["layer5"].labels.best, again.labels.best)
    assert (run["layer5"].labels.best != plain["layer5"].labels.best).any()
    for name in ("p_value", "low", "heldout"):
        one, other = getattr(run["layer5"].confidence, name), getattr(again.confidence, name)
        assert np.array_equal(one, other, equal_nan=True)
    loaded = us.load(run.save(tmp_path / "run"))
    assert loaded.convention.name_by == "pearson"
    assert loaded.rows() == run.rows()
    assert "score" in run.rows()[0]
    assert "score" not in plain.rows()[0]
    assert "named by pearson" in str(loaded)
    assert loaded.page(tmp_path / "report").exists()
    assert "name_by" not in plain.recipe.record()["convention"]
    assert run.recipe.digest != plain.recipe.digest


def test_scores_that_want_responses_are_refused():
    # Past the checks of types, which would refuse it first here.
    rules = object.__new__(us.Convention)
    for name, value in {**vars(us.CONVENTIONS["pnas"]), "name_by": "inverse_auroc"}.items():
        object.__setattr__(rules, name, value)
    with pytest.raises(UsageError, match="want responses, which it does not keep: `unitscope score`"):
        us.Convention.__post_init__(rules)


@pytest.mark.parametrize("name_by", OTHERS)
def test_every_score_names_units(layer, name_by):
    labels = recount(layer, name_by=name_by).labels
    assert ((labels.best > 0) == (layer.labels.best > 0)).all()
    assert (labels.best_iou <= layer.labels.best_iou + 1e-12).all()
    assert (labels.runner_up[labels.best > 0] != labels.best[labels.best > 0]).all()


def test_the_command_takes_it(tmp_path, capsys):
    words = "zoo:scene-classifier --layers layer5 --concepts drawn:count=24,size=64 --threads 1 --shifts 0"
    out = str(tmp_path / "run")
    assert main(["dissect", *words.split(), "--no-report", "--name-by", "pearson", "--out", out]) == 0
    assert "named by pearson" in capsys.readouterr().out
    assert main(["dissect", *words.split(), "--name-by", "auroc", "--out", str(tmp_path / "other")]) == 2
    iqr = [
        "dissect",
        *words.split(),
        "--thresholds",
        "iqr",
        "--name-by",
        "f1",
        "--out",
        str(tmp_path / "iqr"),
    ]
    assert main(iqr) == 2
    assert "thresholds by information are chosen for IoU" in capsys.readouterr().err
