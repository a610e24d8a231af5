"""Scores of labels: a slow twin, one pair after the other, and what is known of ideal units."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from unitscope.errors import UsageError
from unitscope.statistics.label_scores import NEURON_EVAL, find_active, label_scores


def score_pair(a, c, top_fraction):
    """All scores of one unit and one concept, from the definitions."""
    inputs = range(len(a))
    x = [bool(value) for value in a]
    if top_fraction is not None:
        least = sorted(a, reverse=True)[math.ceil(Fraction(str(top_fraction)) * len(a)) - 1]
        x = [value >= least for value in a]
    y = [value >= 0.5 for value in c]
    tp = sum(x[i] and y[i] for i in inputs)
    fp = sum(x[i] and not y[i] for i in inputs)
    fn = sum(not x[i] and y[i] for i in inputs)
    tn = len(a) - tp - fp - fn
    active = [c[i] for i in inputs if x[i]]
    found = {
        "iou": tp / (tp + fp + fn) if tp + fp + fn else math.nan,
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else math.nan,
        "recall": tp / max(tp + fn, 1),
        "precision": tp / (tp + fp) if tp + fp else math.nan,
        "accuracy": (tp + tn) / len(a),
        "balanced_accuracy": (tp / max(tp + fp, 1) + tn / max(fn + tn, 1)) / 2,
        "inverse_balanced_accuracy": (tp / max(tp + fn, 1) + tn / max(fp + tn, 1)) / 2,
        "auroc": roc_auc_score(x, c) if 0 < sum(x) < len(a) else 0,
        "inverse_auroc": roc_auc_score(y, a) if 0 < sum(y) < len(a) else 0,
        "average_precision": average_precision_score(x, c) if any(x) else 0,
        "inverse_average_precision": average_precision_score(y, a) if any(y) else 0,
        "cosine": np.dot(a, c) / (max(np.linalg.norm(a), 1e-9) * max(np.linalg.norm(c), 1e-9)),
        "mad": sum(a[i] for i in inputs if y[i]) / max(sum(y), 1)
        - sum(a[i] for i in inputs if not y[i]) / max(len(a) - sum(y), 1),
        "wpmi": np.mean([math.log(max(value, 1e-8)) for value in active]) - math.log(np.mean(c))
        if active and np.mean(c) > 0
        else math.nan,
    }
    varied = len(set(a)) > 1 and len(set(c)) > 1
    found["pearson"] = np.corrcoef(a, c)[0, 1] if varied else 0
    found["spearman"] = spearmanr(a, c).statistic if varied else 0
    return found


LEVELS = [0.0, 0.25, 0.5, 0.75, 1.0]


@settings(max_examples=40)
@given(st.data())
def test_every_score_is_its_twin(data):
    inputs = data.draw(st.integers(1, 12))
    rows = st.lists(st.sampled_from(LEVELS), min_size=inputs, max_size=inputs)
    response, presence = (np.array(data.draw(st.lists(rows, min_size=1, max_size=3))) for _ in range(2))
    top_fraction = data.draw(st.sampled_from([None, 0.05, 0.3, 1]))
    if top_fraction is None:
        response = np.round(response)
    found = label_scores(response, presence, top_fraction)
    assert set(found) == set(NEURON_EVAL)
    for unit, a in enumerate(response.tolist()):
        for concept, c in enumerate(presence.tolist()):
            for name, wanted in score_pair(a, c, top_fraction).items():
                assert found[name][unit, concept] == pytest.approx(wanted, abs=1e-9, nan_ok=True), name


def test_many_inputs_are_scored_as_few_are():
    rng = np.random.default_rng(0)
    response, presence = rng.normal(size=(3, 500)).astype(np.float32), rng.random((4, 500)) < 0.3
    found = label_scores(response, presence)
    for unit, concept in np.ndindex(3, 4):
        pair = score_pair(
            response[unit].astype(float).tolist(), presence[concept].astype(float).tolist(), 0.05
        )
        for name, wanted in pair.items():
            assert found[name][unit, concept] == pytest.approx(wanted, abs=1e-9), name


@pytest.mark.parametrize("frequency", [0.1, 0.01])
def test_ideal_units_change_as_they_must_when_labels_are_spoiled(frequency):
    """Labels that are missing, and labels that are too many: the limits for a unit that is its concept."""
    inputs, g = 200_000, frequency
    rng = np.random.default_rng(1)
    truth = np.zeros(inputs, bool)
    truth[: int(inputs * g)] = True
    missing = truth & (rng.random(inputs) < 0.5)
    extra = truth | (rng.random(inputs) < g / (1 - g))
    found = label_scores(truth[None], np.stack([truth, missing, extra]), None)
    spoiled = {
        "iou": (-1 / 2, -1 / 2),
        "f1": (-1 / 3, -1 / 3),
        "recall": (0, -1 / 2),  # of the concept; published as precision
        "precision": (-1 / 2, 0),
        "accuracy": (-g / 2, -g),
        "balanced_accuracy": (-1 / 4, -g / (2 - 2 * g)),
        "inverse_balanced_accuracy": (-g / (4 - 2 * g), -1 / 4),
        "auroc": (-1 / 4, -g / (2 - 2 * g)),
        "inverse_auroc": (-g / (4 - 2 * g), -1 / 4),
        "average_precision": (-(1 - g) / 2, -1 / 2),
        "inverse_average_precision": (-1 / 2, -(1 / 2 - g)),
        "cosine": (math.sqrt(1 / 2) - 1, math.sqrt(1 / 2) - 1),
        "pearson": (math.sqrt((1 - g) / (2 - g)) - 1, math.sqrt((1 - 2 * g) / (2 - 2 * g)) - 1),
        "mad": (-g / (2 - g), -1 / 2),
    }
    for name, changes in spoiled.items():
        true, *others = found[name][0]
        for other, change in zip(others, changes, strict=True):
            assert other - true == pytest.approx(change, abs=0.02), name


def test_a_share_is_the_decimal_that_it_is_written_as():
    response = np.arange(400.0)[None]
    assert find_active(response, 0.07).sum() == 28


@pytest.mark.parametrize(
    ("response", "presence", "top_fraction", "told"),
    [
        ([[1, 2]], [[1]], 0.5, "response has 2 inputs, presence 1"),
        ([[1, math.nan]], [[1, 0]], 0.5, "response has 1 numbers that are not finite"),
        ([[1, 2]], [[1, 2]], 0.5, "presence is from 1 to 2; wanted 0 to 1"),
        ([[1, 2]], [[1, 0]], 0, "top_fraction is 0; wanted more than 0"),
        ([[1, 2]], [[1, 0]], 1.5, "top_fraction is 1.5"),
        ([[1, 2]], [[1, 0]], None, "not all 0 or 1; give a top_fraction"),
        (np.zeros((1, 0)), np.zeros((1, 0)), 0.5, "with an input"),
    ],
)
def test_what_cannot_be_scored_is_a_line(response, presence, top_fraction, told):
    with pytest.raises(UsageError, match=told):
        label_scores(np.array(response, float), np.array(presence, float), top_fraction)
