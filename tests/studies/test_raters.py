"""Raters: questions as promised, measures against slow twins, and scripts whose agreement is known."""

import csv
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import unitscope as us
from unitscope.dissection.dissect import Confidences
from unitscope.errors import RunError, UsageError
from unitscope.studies.oracle import Careless, Coin, consult_labels, measure_fill
from unitscope.studies.panel import study_raters
from unitscope.studies.questionnaire import (
    FALSE_IOU,
    FALSE_SHARE,
    GAP,
    draw_questions,
    parse_questionnaire,
)
from unitscope.studies.raters import agree, agree_beyond_chance, find_majority, measure_ratings, resample
from unitscope.studies.rating_tables import write_ratings
from unitscope.studies.ratings import answer_all, load_ratings, open_ledger, parse_name, tabulate

TABLES = arrays.arrays(np.int8, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.integers(-1, 1))


@pytest.fixture(scope="module")
def source():
    return us.open_source("drawn:count=80,seed=2000,size=64")


@pytest.fixture(scope="module")
def run(source):
    network = us.load_network("zoo:scene-classifier")
    return us.dissect(network, source, ["layer3", "layer5"], confidences=Confidences(shifts=0))


@pytest.fixture(scope="module")
def asked(run):
    return draw_questions(run, units=24, repeats=6, decoys=6, images=4)


def test_questions_are_about_both_kinds_of_units_of_every_layer(run, asked):
    labels = asked.labels
    assert (len(labels), len(asked.of("repeat")), len(asked.of("decoy"))) == (24, 6, 6)
    for layer in ("layer3", "layer5"):
        for detector in (True, False):
            mine = [one for one in labels if one.layer == layer and one.detector == detector]
            assert len(mine) == 6
            everyone = int((run[layer].labels.detector == detector).sum())
            assert sum(one.weight for one in mine) <= everyone
    for one in labels:
        unit = run[one.layer][one.unit]
        assert (one.concept, one.iou, one.detector) == (unit.concept, unit.iou, unit.detector)
    assert draw_questions(run, units=24, repeats=6, decoys=6, images=4) == asked
    assert draw_questions(run, units=24, repeats=6, decoys=6, images=4, seed=1) != asked


def test_decoys_surely_do_not_fit(run, asked):
    for one in asked.of("decoy"):
        layer = run[one.layer]
        assert layer.iou[one.unit, one.concept.id] < FALSE_IOU
        assert layer.intersections[one.unit, one.concept.id] < FALSE_SHARE * layer.active[one.unit]


@pytest.mark.parametrize("rater", ["Ada", "Grace", "x"])
def test_everybody_gets_every_question_once_and_repeats_late(asked, rater):
    order = asked.order(rater)
    assert sorted(order) == list(range(len(asked)))
    assert order == asked.order(rater)
    for one in asked.of("repeat"):
        assert order.index(one.number) - order.index(one.first) >= min(GAP, 10)
    assert asked.order("Ada") != asked.order("Grace")


def test_a_questionnaire_survives_its_file(asked):
    import json

    assert parse_questionnaire(json.dumps(asked.json())) == asked
    for broken in ("", "[]", "{}", json.dumps({**asked.json(), "format": 9})):
        with pytest.raises(UsageError, match="no questionnaire"):
            parse_questionnaire(broken)


def test_what_cannot_be_asked_is_told(run):
    with pytest.raises(UsageError, match="no layer 'layer9'"):
        draw_questions(run, layers=["layer9"])
    with pytest.raises(UsageError, match="repeats is 5; wanted 2 at most"):
        draw_questions(run, units=2, repeats=5, decoys=0)
    with pytest.raises(UsageError, match="images is 0"):
        draw_questions(run, images=0)


@given(TABLES)
def test_agreement_is_that_of_all_pairs(table):
    pairs = [
        one[unit] == other[unit]
        for unit in range(table.shape[1])
        for one, other in combinations(table, 2)
        if one[unit] >= 0 and other[unit] >= 0
    ]
    assert agree(table) == pytest.approx(np.mean(pairs), nan_ok=True) if pairs else np.isnan(agree(table))


@settings(deadline=None)
@given(TABLES)
def test_alpha_is_one_minus_observed_over_expected_disagreement(table):
    """Krippendorff's definition, pair by pair, each unit's pairs weighted by its answers less one."""
    units = [[a for a in column if a >= 0] for column in table.T]
    units = [answers for answers in units if len(answers) > 1]
    every = [a for answers in units for a in answers]
    n = len(every)
    expected = sum(a != b for i, a in enumerate(every) for j, b in enumerate(every) if i != j)
    found = agree_beyond_chance(table)
    if n < 2 or expected == 0:
        assert np.isnan(found)
        return
    observed = sum(
        sum(a != b for i, a in enumerate(answers) for j, b in enumerate(answers) if i != j)
        / (len(answers) - 1)
        for answers in units
    )
    assert found == pytest.approx(1 - (observed / n) / (expected / (n * (n - 1))))


@given(TABLES)
def test_the_majority_is_counted(table):
    for unit, answer in enumerate(find_majority(table)):
        votes = [a for a in table[:, unit] if a >= 0]
        assert answer == (-1 if 2 * sum(votes) == len(votes) else int(2 * sum(votes) > len(votes)))


def test_draws_keep_every_stratum_whole():
    drawn = resample(np.array([0, 0, 0, 1, 1]), 50, 0)
    assert (drawn[:, :3].sum(1) == 3).all()
    assert (drawn[:, 3:].sum(1) == 2).all()


def test_scripts_are_measured_as_they_behave(run, source):
    asked = draw_questions(run, units=60, repeats=20, decoys=12, seed=3)
    truth = consult_labels(run, source, asked)
    judges = {"truth": truth, "twin": truth, "coin": Coin(0, "coin"), "yes": lambda question: True}
    result = measure_ratings(asked, {name: answer_all(asked, name, judge) for name, judge in judges.items()})
    by_name = {row.rater: row for row in result.raters}
    yes = by_name["yes"]
    assert (yes.yes, yes.same, yes.caught) == (1.0, 20, 0)
    assert yes.flags
    right = np.mean([truth(one) for one in asked.labels])
    assert by_name["truth"].yes == pytest.approx(right)
    assert by_name["truth"].same == 20
    assert by_name["truth"].caught == sum(not truth(one) for one in asked.of("decoy"))
    detectors = np.mean([truth(one) == one.detector for one in asked.labels])
    assert by_name["truth"].dissection.value == pytest.approx(detectors)
    pair = measure_ratings(asked, {name: answer_all(asked, name, truth) for name in ("one", "two")})
    assert pair.agreement.value == 1
    assert pair.alpha.value == 1
    careful = measure_ratings(
        asked,
        {f"{i}": answer_all(asked, f"{i}", Careless(truth, Coin(i, "slip", 0.1))) for i in range(6)},
    )
    # Two who each err in one of ten agree in .9 * .9 + .1 * .1 of their answers.
    assert careful.agreement.value == pytest.approx(0.82, abs=0.06)
    assert careful.agreement.low < careful.agreement.value < careful.agreement.high


def test_layers_are_weighted_by_the_units_they_stand_for(run, asked):
    answers = {"a": {one.number: one.detector for one in asked.questions}}
    result = measure_ratings(asked, answers)
    for row in result.layers[:-1]:
        labels = [one for one in asked.labels if one.layer == row.layer]
        wanted = sum(one.weight for one in labels if one.detector) / sum(one.weight for one in labels)
        assert row.described.value == pytest.approx(wanted)
        assert row.detected.value == 1
        assert row.agreement.value == 1
    assert result.layers[-1].layer == "all"
    assert np.isnan(result.agreement.value)
    with pytest.raises(UsageError, match="nobody has answered"):
        measure_ratings(asked, {})


def test_fill_is_counted_pixel_by_pixel(run, source):
    exemplars = run["layer5"].exemplars
    example = run.frame.fit(source[int(exemplars.images[0, 0])])
    runs = exemplars.mask_runs(0, 0)
    mask = np.zeros(run["layer5"].mask_size, bool)
    for row, start, stop in runs.tolist():
        mask[row, start:stop] = True
    for concept in np.unique(example.planes)[1:]:
        here = (example.planes == concept).any(0)
        assert measure_fill(example, int(concept), runs) == pytest.approx((here & mask).sum() / mask.sum())
    assert measure_fill(example, example.ids[0], runs) == 1


def test_answers_are_kept_line_by_line_and_mended_after_a_kill(asked, tmp_path):
    ledger = open_ledger(asked, tmp_path)
    ledger.write("Ada", 3, True)
    ledger.write("=Grace", 1, False)
    ledger.write("Ada", 3, None)
    ledger.write("Ada", 4, False)
    with (tmp_path / "answers.csv").open("ab") as file:
        file.write(b"Ada,5,y")  # a kill in the middle of a line
    again = open_ledger(asked, tmp_path)
    assert again.answers == {"Ada": {4: False}, "=Grace": {1: False}}
    assert load_ratings(tmp_path)[0] == asked
    table = tabulate(asked, load_ratings(tmp_path)[1])
    assert (table[0, 4], table[1, 1], (table >= 0).sum()) == (0, 0, 2)
    other = open_ledger(asked, tmp_path)
    other.write("Ada", 6, True)
    ledger.read()
    assert ledger.answers["Ada"] == {4: False, 6: True}
    with pytest.raises(RunError, match="holds other questions"):
        open_ledger(replace(asked, seed=9), tmp_path)
    (tmp_path / "answers.csv").write_text("rater,question,answer\nAda,99,yes\n")
    with pytest.raises(RunError, match="no answer to these questions"):
        open_ledger(asked, tmp_path)


def test_names_are_one_printable_line():
    assert parse_name(" Ada\n Lovelace ") == "Ada Lovelace"
    for wrong in ("", "  ", None, 3, "x" * 41, "a\x07"):
        with pytest.raises(UsageError):
            parse_name(wrong)


def test_tables_are_written_without_formulae(asked, tmp_path):
    answers = {"=cmd": {one.number: True for one in asked.questions}}
    paths = write_ratings(asked, answers, measure_ratings(asked, answers), tmp_path)
    for path in paths:
        rows = list(csv.reader(path.read_text().splitlines()))
        assert len({len(row) for row in rows}) == 1
        assert not any(cell.startswith("=") for row in rows for cell in row)


def test_the_study_repeats_its_figures(run, source):
    network = us.load_network("zoo:scene-classifier")
    panel = study_raters(network, ["layer5"], source, units=30, seed=2)
    assert panel == study_raters(network, ["layer5"], source, units=30, seed=2)
    shares = panel.layers[0].oracle
    assert shares[0.25] >= shares[0.5] >= shares[0.75]
    [oracle] = [row for row in panel.raters if row.rater == "oracle"]
    assert oracle.same == 1
