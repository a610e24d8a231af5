"""Questions, answers and agreement, against slow twins and raters whose judgment is known."""

import csv
import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_dissection import made_dissection

from unitscope.cli import main
from unitscope.errors import RunError, UsageError
from unitscope.experiments.agreement import alpha, alpha_parts, find_majority, pair_parts, ratio
from unitscope.experiments.questionnaire import GAP, draw_questions, parse_questionnaire
from unitscope.experiments.raters import measure_ratings
from unitscope.experiments.ratings import answer_all, load_ratings, open_ledger, parse_name
from unitscope.lab.studies.scripted_raters import Coin


@pytest.fixture(scope="module")
def run():
    return made_dissection()


@pytest.fixture(scope="module")
def asked(run):
    return draw_questions(run)


tables = st.integers(1, 5).flatmap(
    lambda raters: st.lists(
        st.lists(st.sampled_from([-1, 0, 1]), min_size=raters, max_size=raters), min_size=1, max_size=12
    ).map(lambda rows: np.array(rows, np.int8).T)
)


def slow_alpha(table):
    """Observed over expected disagreement, pair by pair."""
    units = [[int(a) for a in column if a >= 0] for column in table.T]
    units = [answers for answers in units if len(answers) > 1]
    everything = [answer for answers in units for answer in answers]
    total = len(everything)
    observed = sum(
        sum(
            one != other for place, one in enumerate(answers) for q, other in enumerate(answers) if q != place
        )
        / (len(answers) - 1)
        for answers in units
    )
    expected = sum(
        one != other
        for place, one in enumerate(everything)
        for q, other in enumerate(everything)
        if q != place
    )
    return 1 - (observed / total) / (expected / (total * (total - 1))) if expected else float("nan")


@given(tables)
@settings(max_examples=80)
def test_agreement_is_what_pair_by_pair_counting_gives(table):
    assert alpha(alpha_parts(table).sum(0)) == pytest.approx(slow_alpha(table), nan_ok=True)
    pairs = [
        one == other for column in table.T for one, other in combinations([a for a in column if a >= 0], 2)
    ]
    assert ratio(pair_parts(table).sum(0)) == pytest.approx(
        np.mean(pairs) if pairs else float("nan"), nan_ok=True
    )
    for column, found in zip(table.T, find_majority(table), strict=True):
        yes, no = (column == 1).sum(), (column == 0).sum()
        assert found == (1 if yes > no else 0 if no > yes else -1)


def test_alpha_of_a_published_example():
    """Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011: two observers, ten units, 0.095."""
    table = np.array([[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]], np.int8)
    assert round(float(alpha(alpha_parts(table).sum(0))), 3) == 0.095


@given(st.text(min_size=1, max_size=8), st.integers(0, 3))
@settings(max_examples=25)
def test_every_order_holds_all_and_repeats_come_late(run, name, seed):
    asked = draw_questions(run, seed=seed)
    name = name.encode("utf-8", "replace").decode()
    order = asked.order(name)
    assert sorted(order) == list(range(48))
    assert order == asked.order(name)
    for one in asked.of("repeat"):
        assert order.index(one.number) - order.index(one.first) >= GAP


def test_questions_are_drawn_evenly_and_decoys_do_not_fit(run, asked):
    assert [len(asked.of(kind)) for kind in ("label", "repeat", "decoy")] == [32, 8, 8]
    assert len({(one.layer, one.unit) for one in asked.labels}) == 32
    for one in asked.of("decoy"):
        assert run[one.layer].iou[one.unit, one.concept.id] < 0.01
    for layer in run:
        mine = [one for one in asked.labels if one.layer == layer]
        labelled = int((run[layer].labels.best > 0).sum())
        assert sum(one.weight for one in mine) == pytest.approx(labelled)
    assert parse_questionnaire(json.dumps(asked.json())) == asked
    assert asked == draw_questions(run)
    assert asked != draw_questions(run, seed=1)
    assert len(draw_questions(run, units=None, repeats=0, decoys=0)) > 150
    for wrong in ({"units": 0}, {"repeats": 40}, {"decoys": 99}, {"images": 0}, {"layers": ["no"]}):
        with pytest.raises(UsageError):
            draw_questions(run, **wrong)
    for text in ("", "[]", "{}", '{"format": 2}', "[" * 9000):
        with pytest.raises(UsageError, match="no questionnaire"):
            parse_questionnaire(text)


def test_known_raters_are_found_out(asked):
    judges = {
        "truth": lambda one: one.kind != "decoy" and one.detector,
        "again": lambda one: one.kind != "decoy" and one.detector,
        "coin": Coin(0, "coin"),
        "yes": lambda one: True,
    }
    answers = {name: answer_all(asked, name, judge) for name, judge in judges.items()}
    found = measure_ratings(asked, answers, draws=50)
    truth, _, coin, yes = found.raters
    assert (truth.dissection.value, truth.same, truth.caught, truth.flags) == (1.0, 8, 8, ())
    assert (yes.yes, yes.same, yes.caught, yes.flags) == (1.0, 8, 0, ("decoys caught: 0 of 8",))
    detectors = np.mean([one.detector for one in asked.labels])
    assert yes.dissection.value == pytest.approx(detectors)
    tossed = [answers["coin"][one.number] == one.detector for one in asked.labels]
    assert coin.dissection.value == pytest.approx(np.mean(tossed))
    assert coin.flags
    pair = measure_ratings(asked, {name: answers[name] for name in ("truth", "again")}, draws=50)
    assert pair.agreement.value == pair.alpha.value == 1
    last = pair.layers[-1]
    assert (last.layer, last.agreement.value, last.detected.value, last.consistency.value) == ("all", 1, 1, 1)
    weights = np.array([one.weight for one in asked.labels])
    share = weights @ [one.detector for one in asked.labels] / weights.sum()
    assert last.described.value == pytest.approx(share)
    assert last.described.low == pytest.approx(share)  # each draw holds as many detectors
    assert dict(last.above)[0.04].value == 1
    with pytest.raises(UsageError, match="nobody"):
        measure_ratings(asked, {})


def test_answers_outlive_a_kill_and_hostile_names(asked, tmp_path):
    ledger = open_ledger(asked, tmp_path)
    for name in ("=1+1", "'quoted", "a,b", '"q"', "猫"):
        ledger.write(name, 3, True)
    ledger.write("a,b", 3, None)
    with ledger.path.open("ab") as file:
        file.write(b"Ann,1")
    again = open_ledger(asked, tmp_path)
    again.write("Ann", 7, False)
    ledger.read()
    assert ledger.answers == again.answers
    answers = load_ratings(tmp_path)[1]
    assert answers == {
        "=1+1": {3: True},
        "'quoted": {3: True},
        '"q"': {3: True},
        "猫": {3: True},
        "Ann": {7: False},
    }
    assert "\n=1+1" not in ledger.path.read_text()
    result = measure_ratings(asked, answers, draws=5)
    result.save(tmp_path)
    with (tmp_path / "ratings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[3]["'=1+1"] == "1"
    with pytest.raises(RunError, match="other questions"):
        open_ledger(draw_questions(made_dissection(), seed=4), tmp_path)
    with ledger.path.open("ab") as file:
        file.write(b"Ann,999,yes\n")
    with pytest.raises(RunError, match="no answer"):
        open_ledger(asked, tmp_path)


@pytest.mark.parametrize("text", ["", "  ", "x" * 41, "a\nb\x00", "\ud800", 3, None, "a\u202eb"])
def test_names_that_cannot_be(text):
    with pytest.raises(UsageError, match="name"):
        parse_name(text)


def test_the_study_runs_quickly(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["study", "raters", "--quick", "--layers", "layer4", "layer5", "--out", "r"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("A quick look, not a result.")
    assert "| yes | 100 |" in said
    assert {path.name for path in (tmp_path / "r").iterdir()} == {"layers.csv", "raters.csv", "figure.svg"}
    assert main(["study", "raters", "--seeds", "0"]) == 2
