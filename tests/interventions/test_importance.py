"""Importance of classes that have images, the units they share, sweeps, peaks against probabilities."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_ablation import CLASSES, Noise, Pooled, Shortcut

from unitscope.errors import NetworkError, UsageError
from unitscope.interventions.ablation import Trial, find_targets, read_images, score_removals
from unitscope.interventions.classes import add_logits, empty_scores
from unitscope.interventions.importance import (
    Importance,
    correlate_peaks,
    correlate_ranks,
    count_signs,
    group_by_classes,
    list_edges,
    measure_importance,
    shared_units,
)
from unitscope.interventions.sweeps import Sweep, average_sweeps, sweep_removals
from unitscope.networks.network import Network, Preprocessing


def small(kind=Pooled, classes=CLASSES):
    torch.manual_seed(0)
    return Network(kind().eval(), Preprocessing((16, 16)), classes, "small")


def drops(table, by="margin", present=None):
    table = np.asarray(table, float)
    return Importance(table, table, table, by, None if present is None else np.array(present))


@given(st.integers(1, 4), st.integers(0, 9))
def test_contrast_is_margins_inside_minus_outside(classes, seed):
    rng = np.random.default_rng(seed)
    images = [(rng.integers(-3, 4, (2, classes)).astype(float), int(rng.integers(classes))) for _ in range(7)]
    scores = empty_scores(2, classes)
    for logits, target in images:
        add_logits(scores, logits, target)
    for removal in range(2):
        for c in range(classes):
            rows = [(row[removal], target) for row, target in images]
            margins = [(row[c] - max(np.delete(row, c), default=0.0), target) for row, target in rows]
            inside = [m for m, target in margins if target == c] or [0.0]
            outside = [m for m, target in margins if target != c] or [0.0]
            assert scores.contrast[removal, c] == pytest.approx(np.mean(inside) - np.mean(outside))


def test_nothing_matters_to_a_class_without_images():
    network = small(classes=(*CLASSES[:2], "never"))
    importance = measure_importance(network, "act", find_targets(network, Noise(12)))
    assert importance.targets.tolist() == [0, 1]
    assert importance.matters.sum(1).tolist() == [4, 4, 0]
    assert {edge.target for edge in list_edges(importance)} == {0, 1}
    assert importance.keep(np.array([1])).matters.sum(1).tolist() == [0, 4, 0]


def test_the_three_drops_are_told_apart_and_one_orders_the_units():
    network = small()
    trial = find_targets(network, Noise(12))
    measures = ("accuracy", "margin", "contrast")
    found = {by: measure_importance(network, "act", trial, by=by) for by in measures}
    for by, one in found.items():
        assert np.array_equal(one.margin, found["margin"].margin)
        assert np.array_equal(one.order, np.argsort(-getattr(one, by), axis=1, kind="stable"))


def test_shared_units_and_edges_are_those_that_matter():
    table = np.random.default_rng(0).random((5, 12))
    importance = drops(table, present=[True, True, False, True, True])
    edges = list(list_edges(importance))
    assert [edge.rank for edge in edges] == [1, 2, 3, 4] * 4
    assert all(edge.drop == table[edge.target, edge.unit] for edge in edges)
    shared = shared_units(importance)
    counts = np.bincount([edge.unit for edge in edges], minlength=12)
    assert set(shared) == set(np.flatnonzero(counts > 1).tolist())
    assert [len(classes) for classes in shared.values()] == sorted(counts[counts > 1].tolist(), reverse=True)
    assert sum(group.units for group in group_by_classes(importance, table[0])) == 12


def test_a_rank_correlation_is_far_from_shuffled_where_there_is_one():
    one = np.arange(40.0)
    found = correlate_ranks(one, one + np.random.default_rng(0).normal(0, 4, 40), replicates=200)
    assert found.low > found.chance_high
    assert found.p_value < 0.01
    assert correlate_ranks(one, np.random.default_rng(1).random(40), replicates=200).p_value > 0.01


@pytest.mark.parametrize("kind", [Pooled, Shortcut])
def test_correlation_of_peaks_equals_numpys(kind):
    network, layer = small(kind), {Pooled: "act", Shortcut: "block.1"}[kind]
    trial = find_targets(network, Noise(40))
    batches = list(read_images(network, trial, 7))
    peaks, likely = [], []
    hook = network.module.get_submodule(layer).register_forward_hook(
        lambda _m, _a, output: peaks.append(output.amax((2, 3)).clone())
    )
    with torch.no_grad():
        for _, batch in batches:
            likely.append(network.module(batch).double().softmax(1))
    hook.remove()
    both = np.concatenate([torch.cat(likely).double().numpy(), torch.cat(peaks).double().numpy()], 1)
    varies = both.std(0) > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        wanted = np.where(np.outer(varies, varies), np.corrcoef(both.T), 0)[:3, 3:]
    found = correlate_peaks(network, layer, trial)
    assert found == pytest.approx(wanted, abs=1e-5)
    importance = drops(np.abs(wanted))
    signs = count_signs(found, importance)
    assert signs.every == pytest.approx((found > 0).mean())
    assert signs.important == pytest.approx((found[importance.matters] > 0).mean())
    assert (signs.pairs, signs.important_pairs) == (18, 12)
    assert not network.module._forward_hooks


def test_a_network_without_logits_has_no_probabilities():
    network = Network(torch.nn.Conv2d(3, 4, 3), Preprocessing((16, 16)), CLASSES, "bare")
    network = Network(torch.nn.Sequential(network.module), Preprocessing((16, 16)), CLASSES, "bare")
    trial = find_targets(network, Noise(6))
    with pytest.raises(NetworkError, match="no logits"):
        correlate_peaks(network, "0", trial)
    nobody = Trial(trial.source, trial.images[:0], trial.targets[:0])
    with pytest.raises(NetworkError, match="no images"):
        correlate_peaks(network, "0", nobody)


def test_logits_that_are_not_finite_are_not_scored():
    network = small()
    with torch.no_grad():
        network.module.head.bias.fill_(torch.nan)
    trial = find_targets(network, Noise(6))
    for method in ("fastest", "replay", "plain"):
        with pytest.raises(NetworkError, match="not finite"):
            score_removals(network, "act", trial, np.eye(6, dtype=bool), method=method)


def test_a_draw_is_one_order_of_the_units_for_all_counts():
    network = small()
    trial = find_targets(network, Noise())
    importance = measure_importance(network, "act", trial)
    short = sweep_removals(network, "act", trial, importance, [3], draws=4, seed=5)
    long = sweep_removals(network, "act", trial, importance, [1, 3, 5], draws=4, seed=5)
    assert [row for row in long if row.count in (0, 3)] == short
    only = sweep_removals(network, "act", trial, importance.keep(np.array([2])), [3], draws=4, seed=5)
    assert only == [row for row in short if row.target == 2]
    with pytest.raises(UsageError, match="remove 1 to 6"):
        sweep_removals(network, "act", trial, importance, [0])


def test_means_and_intervals_of_sweeps_are_those_of_their_values():
    rng = np.random.default_rng(0)
    values = rng.random((6, 50))
    rows = [Sweep(c, "random", 3, d, values[c, d], 0.0, 0.5) for c in range(6) for d in range(50)]
    rows += [Sweep(c, "most", 3, 0, 0.1 * c, 0.0, 0.5) for c in range(6)]
    levels = {(one.target, one.kind): one for one in average_sweeps(rows, replicates=4000)}
    assert len(levels) == 14
    for c in range(6):
        one = levels[c, "random"].balanced
        assert (one.value, one.low) == pytest.approx((values[c].mean(), np.quantile(values[c], 0.025)))
        assert not levels[c, "most"].balanced.known
    mean = levels[None, "most"].balanced
    half = 1.96 * np.std([0.1 * c for c in range(6)]) / np.sqrt(6)
    assert (mean.value, mean.high - mean.value) == (pytest.approx(0.25), pytest.approx(half, rel=0.1))
    random = levels[None, "random"].balanced
    assert random.value == pytest.approx(values.mean())
    assert random.low < random.value < random.high
    assert levels[None, "random"].accuracy.low == pytest.approx(0.5)


class Many(torch.nn.Module):
    """A pooled layer of many units, half of which are silent in any image."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 96, 5, 2)
        self.act = torch.nn.ReLU()
        self.mid = torch.nn.Conv2d(96, 32, 1)
        self.head = torch.nn.Linear(32, 3)

    def forward(self, x):
        x = self.act(self.conv(x) - 0.2)
        return self.head(torch.relu(self.mid(x)).mean((2, 3)))


def test_a_sweep_over_many_units_is_the_plain_loop():
    network = small(Many)
    trial = find_targets(network, Noise(9))
    importance = measure_importance(network, "act", trial, method="replay")
    plain = measure_importance(network, "act", trial, method="plain")
    assert np.array_equal(importance.accuracy, plain.accuracy)
    assert importance.contrast == pytest.approx(plain.contrast, abs=1e-5)
    found = [
        sweep_removals(network, "act", trial, plain, [1, 30, 95], draws=3, method=method)
        for method in ("fastest", "plain")
    ]
    assert found[0] == found[1]
