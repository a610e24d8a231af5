"""Comparisons of networks: their counts, orders and correlations against slow twins."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from unitscope.concepts.frames import Frame
from unitscope.concepts.packed import pack_source
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import UsageError
from unitscope.lab.commands.studies import Students
from unitscope.lab.studies.captioning import Captioned, measure_agreement, rank_fired
from unitscope.lab.studies.claims import (
    Claim,
    judge_change,
    judge_interval,
    judge_order,
    spell_claims,
    spread,
)
from unitscope.lab.studies.depth import claim_layers, compare_trained_layers, dissect_layers
from unitscope.lab.studies.discrimination import LEAST, SCENERY, correlate, find_largest
from unitscope.lab.studies.study import Finding, spell_summary
from unitscope.lab.studies.threshold import Count, compare_orders, count_network
from unitscope.lab.studies.trained_groups import Setting, describe_layer, dissect_kept
from unitscope.lab.world import open_drawn
from unitscope.lab.world.names import OBJECT_IDS
from unitscope.networks.network import Network, Preprocessing

VALUES = st.lists(st.integers(0, 9), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def source():
    return open_drawn(count=24, seed=1, size=64)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 12, 5, 4), nn.ReLU(), nn.Conv2d(12, 6, 3, 2), nn.ReLU())
    return Network(module.eval(), Preprocessing((64, 64)), (), "small")


@given(VALUES, VALUES)
def test_an_order_is_judged_by_every_pair(high, low):
    pairs = [a > b for a in high for b in low]
    verdict = judge_order(high, low)
    if verdict == "replicates":
        assert all(pairs)
        assert min(len(high), len(low)) > 1
    if verdict == "does not replicate at this scale":
        assert not all(pairs) or sum(high) / len(high) <= sum(low) / len(low)
    if verdict == "unclear":
        assert np.mean(high) > np.mean(low)
    # Who is above cannot be above in both directions.
    assert not (verdict == "replicates" and judge_order(low, high) == "replicates")


def test_other_verdicts():
    assert judge_order([], [1]) == "not tested"
    assert judge_change([10, 10], [8, 8], 0.5) == "unclear"
    assert judge_interval(float("nan"), 0.0, 0.0) == "not tested"
    assert spread([]) == "none"
    claim = Claim("fig. 1", "more", "less", "unclear")
    assert spell_claims([claim]).splitlines()[-1] == "| fig. 1 | more | less | **unclear** |"
    finding = Finding("width", "Wider?", (claim,), "table", seeds="3", seconds=180.0, quick=True)
    assert finding.spell().startswith("*A quick look, not a result.*")
    assert "Seeds: 3. Teaching the networks: 3 min" in finding.spell()
    assert "| [width](width.md): fig. 1 | more | less | **unclear** |" in spell_summary([finding])


def test_a_network_is_counted_at_every_cutoff_and_quantile(network, source):
    counts = list(
        count_network(network, "3", source, group="one", cutoffs=(0.02, 0.04), quantiles=(0.005, 0.02))
    )
    assert len(counts) == 2 * 2 * 2
    found = dissect(network, source, ["3"], quantile=0.02, confidences=Confidences(0, 20))["3"]
    [one] = [c.unique for c in counts if (c.cutoff, c.quantile, c.rule) == (0.04, 0.02, "label")]
    assert one == sum(found.unique["label"].values())


def test_orders_are_compared_by_the_share_of_pairs_that_agree():
    usual, other = {"a": 3, "b": 2, "c": 1}, {"a": 2, "b": 3, "c": 1}
    counts = [Count(group, 0, 0.04, 0.005, "label", count) for group, count in usual.items()]
    counts += [Count(group, 0, 0.1, 0.005, "label", count) for group, count in other.items()]
    taus = {order.cutoff: order.tau for order in compare_orders(counts)}
    assert taus == {0.04: pytest.approx(1), 0.1: pytest.approx(1 / 3)}
    assert next(order.first for order in compare_orders(counts) if order.cutoff == 0.1) == "b"


def test_rows_count_as_the_dissection_does(network, source):
    found = dissect(network, source, ["3"], confidences=Confidences(20, 20))["3"]
    row = describe_layer(found, "g", 2, step=7)
    assert (row.units, row.detectors, row.unique) == (len(found), found.detectors, found.unique)
    sure = {unit.concept for unit in found if unit.detector and unit.q_value < 0.05}
    assert row.count(sure=True) == len(sure)
    assert row.count() == sum(found.unique["label"].values())
    assert row.iou == pytest.approx(np.mean([unit.iou for unit in found]))
    names = [unit.concept for unit in found if unit.detector]
    for category, sizes in row.sizes.items():
        named = sorted({one for one in names if one.category == category}, key=lambda one: one.id)
        assert sizes == tuple(names.count(one) for one in named)


def test_a_kept_dissection_is_not_made_again(network, source, tmp_path, monkeypatch):
    setting = Setting(tmp_path)
    first = dissect_kept(network, ["3"], source, setting, "one")
    monkeypatch.setattr("unitscope.lab.studies.trained_groups.dissect", None)
    again = dissect_kept(network, ["3"], source, setting, "one")
    assert (again["3"].intersections == first["3"].intersections).all()


def test_layers_of_any_network_are_judged(network, source):
    rows = dissect_layers(network, ["1", "3"], source)
    assert [row.layer for row in rows] == ["1", "3"]
    low, high = claim_layers(rows)
    assert low.verdict in ("unclear", "does not replicate at this scale")  # one seed is no replication
    assert "in 1" in low.ours
    assert "in 3" in high.ours


def test_the_third_task_asks_for_the_largest_thing(source, tmp_path):
    pictures = pack_source(source, Frame((64, 64), (32, 32), "stretch"), tmp_path)
    task = find_largest(pictures)
    for place in range(len(pictures)):
        planes = pictures[place].planes
        areas = {name: int((planes == i).sum()) for name, i in OBJECT_IDS.items() if name not in SCENERY}
        name = max(areas, key=lambda one: areas[one])
        expected = OBJECT_IDS[name] if areas[name] >= LEAST * planes[0].size else 0
        assert task.answers[place] == expected
    assert (task.answers[task.chosen] > 0).all()


def test_correlations_have_intervals_that_hold_them():
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    y = x + rng.normal(size=40)
    found = correlate(x.tolist(), y.tolist())
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert np.isnan(correlate([1, 1, 1], [1, 2, 3]).value)
    # four copies of ten kinds tell no more than the ten kinds
    few = correlate(x[:10].tolist(), y[:10].tolist())
    copied = correlate(np.tile(x[:10], 4).tolist(), np.tile(y[:10], 4).tolist(), [*"abcdefghij"] * 4)
    assert (copied.value, copied.low, copied.high) == pytest.approx((few.value, few.low, few.high))
    assert np.isnan(correlate([1, 2], [1, 2]).value)


def test_fired_units_are_those_above_their_thresholds():
    peaks = np.array([2.0, 5.0, 0.5, 9.0], np.float32)
    thresholds = np.array([1.0, 1.0, 1.0, 1.0], np.float32)
    assert rank_fired(peaks, thresholds, np.array([True, True, True, False])) == [1, 0]


def test_captions_and_units_agree_as_counted_by_hand():
    captioned = [
        Captioned("a", "a cow.", ("cow",), ("cow", "sky"), ("cow",)),
        Captioned("b", "a dog and a tree.", ("dog", "tree"), ("tree",), ("tree",)),
    ]
    agreement = measure_agreement(captioned)
    assert (agreement.words, agreement.true, agreement.fired, agreement.chance) == (3, 2 / 3, 2 / 3, 0)


def test_settings_are_checked():
    with pytest.raises(UsageError, match="--seeds is 0; wanted 1 or more"):
        Students(kept=Path("kept"), images=10).set(0)


def test_a_finding_is_a_result(network, source, tmp_path):
    setting = Setting(tmp_path, quick=True)
    finding = compare_trained_layers([(network, network)], ["1", "3"], source, setting, name="small")
    assert str(finding) == f"{finding.question}\n\n{finding.spell().rstrip()}"
    assert list(finding.tables()) == ["layers.csv", "layers-1.csv"]
    assert [row["layer"] for row in finding.rows()] == ["1", "3"]
    assert finding.to_frame()["units"].tolist() == [12, 6]
    figure = finding.page(tmp_path / "out")
    assert {path.name for path in figure.parent.iterdir()} == {*finding.tables(), "finding.md", "figure.svg"}
    assert (tmp_path / "out" / "finding.md").read_text() == finding.spell()
    written = list(csv.DictReader((tmp_path / "out" / "layers.csv").read_text().splitlines()))
    assert [row["units"] for row in written] == ["12", "6"]
    assert finding.record()["tables"]["layers.csv"] == list(finding.tables()["layers.csv"].cells())
    with pytest.raises(UsageError, match="has no figure"):
        replace(finding, figure=None).page(tmp_path / "out")
