"""Measures of units over cells, each against a twin on dense arrays: fits of SciPy, precision of sklearn."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.metrics import average_precision_score

from unitscope.statistics.cell_scores import (
    RAREST,
    RIDGE,
    TOP,
    CellScores,
    JoinedCells,
    find_purity,
    fit_probes,
    measure_entropy,
    score_cells,
)
from unitscope.statistics.labeled_cells import LabeledCells, gather_cells, merge_cells
from unitscope.statistics.reconstruction import measure_reconstruction
from unitscope.statistics.threads import Threads, open_threads

CLASSES, ABSENT, UNSEEN = 6, 4, 5
"""Of the classes one does not occur in validation, one not in training."""


@pytest.fixture(scope="module")
def threads() -> Iterator[Threads]:
    with open_threads(2) as pool:
        yield pool


def draw(cells: int, seed: int, leave_out: int) -> tuple[np.ndarray, np.ndarray]:
    """z[cell, unit] of all kinds: sparse, dense and signed, of few values, dead, an exact detector."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(CLASSES + 1, cells, p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1])
    labels[labels == leave_out] = 0
    noise = rng.normal(size=(cells, 12))
    z = np.zeros((cells, 12))
    z[:, 0] = noise[:, 0] * (rng.random(cells) < 0.1)
    z[:, 1] = np.maximum(noise[:, 1] + 2 * (labels == 1) - 1.5, 0)
    z[:, 2] = noise[:, 2] - 3 * (labels == 2)  # off where the class is
    z[:, 3] = rng.integers(-2, 3, cells) + (labels == 0)  # many ties
    z[:, 5] = (labels == 3) * (1 + rng.random(cells))  # all of a class and nothing else
    z[:, 6] = z[:, 5]  # the same again
    z[:, 7] = 5 + 0.01 * noise[:, 7]
    z[:, 8] = (labels == 1) * (rng.random(cells) < 0.01) * 3  # fires hardly ever
    z[:, 9] = -np.maximum(noise[:, 9], 0)
    z[:, 10] = np.maximum(noise[:, 10] + 3 * (labels == 5), 0) * 100
    z[:, 11] = np.maximum(noise[:, 11] + 2 * (labels == 4) - 2, 0) * 1e-3
    return z.astype(np.float32), labels


def pack(z: np.ndarray, labels: np.ndarray, parts: int = 3) -> LabeledCells:
    """Dense cells as a map of one row an image."""
    named = np.where(labels == CLASSES, -1, labels).astype(np.int32)
    edges = [len(z) * part // parts for part in range(parts + 1)]
    found = []
    for a, b in itertools.pairwise(edges):
        maps = torch.from_numpy(z[a:b].T.copy()).reshape(1, z.shape[1], 1, b - a)
        found.append(gather_cells(maps, named[None, a:b], CLASSES, a))
    return merge_cells(found[::-1])


TRAIN, VALIDATION = draw(900, 0, UNSEEN), draw(700, 1, ABSENT)


@pytest.fixture(scope="module")
def scores(threads) -> CellScores:
    return score_cells(pack(*TRAIN), pack(*VALIDATION), threads)


def measure_plainly(z: np.ndarray, y: np.ndarray, weight: float, bias: float) -> float:
    score = weight * z.astype(np.float64) + bias
    return float(np.mean(np.logaddexp(0, score) - y * score))


def fit_plainly(z: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Weight, bias and cross-entropy, by another's solver."""
    share = np.clip(y.mean(), RAREST, 1 - RAREST)
    start = np.log(share / (1 - share))
    x = np.stack([z.astype(np.float64), np.ones(len(z))], 1)

    def loss(p: np.ndarray) -> float:
        ridge = RIDGE / 2 * (p[0] ** 2 + (p[1] - start) ** 2)
        return measure_plainly(z, y, *p) + ridge

    def slope(p: np.ndarray) -> np.ndarray:
        mu = 1 / (1 + np.exp(-x @ p))
        return x.T @ (mu - y) / len(z) + RIDGE * (p - [0, start])

    def bend(p: np.ndarray) -> np.ndarray:
        mu = 1 / (1 + np.exp(-x @ p))
        return (x * (mu * (1 - mu))[:, None]).T @ x / len(z) + RIDGE * np.eye(2)

    found = minimize(loss, [0, start], jac=slope, hess=bend, method="trust-exact", options={"gtol": 1e-12})
    return found.x[0], found.x[1], measure_plainly(z, y, *found.x)


@pytest.fixture(scope="module")
def fits() -> np.ndarray:
    """weight, bias and cross-entropy[unit, class] of all fits."""
    z, labels = TRAIN
    return np.array([[fit_plainly(z[:, u], labels == c) for c in range(CLASSES)] for u in range(z.shape[1])])


def test_the_unit_of_a_class_has_the_least_training_cross_entropy(scores, fits):
    losses = fits[:, :, 2]
    for place in range(CLASSES):
        if place == UNSEEN:
            continue
        unit = int(scores.probes.unit[place])
        assert scores.probes.loss[place] == pytest.approx(losses[:, place].min(), rel=1e-6, abs=1e-9)
        assert losses[unit, place] == pytest.approx(losses[:, place].min(), rel=1e-6, abs=1e-9)
        found = scores.probes.weight[place], scores.probes.bias[place]
        if place != 3:  # where all is told, the loss is nearly flat
            assert found == pytest.approx(tuple(fits[unit, place, :2]), rel=1e-3)
        again = measure_plainly(TRAIN[0][:, unit], TRAIN[1] == place, *found)
        assert scores.probes.loss[place] == pytest.approx(again, rel=1e-9, abs=1e-12)
    assert scores.probes.unit[3] == 5  # of two that are the same the first
    assert scores.probes.weight[2] < 0
    assert scores.probes.unit.tolist()[1:4] == [1, 2, 5]


def test_no_fit_is_passed_over_that_could_be_the_best(threads):
    z, labels = TRAIN
    alone = []
    for unit in range(z.shape[1]):
        only = np.zeros_like(z)
        only[:, unit] = z[:, unit]
        found = fit_probes(JoinedCells(pack(only, labels).join()), threads)
        alone.append(found.loss)
    together = fit_probes(JoinedCells(pack(z, labels).join()), threads)
    np.testing.assert_array_equal(together.loss, np.min(alone, 0))


def test_a_class_without_a_cell_to_learn_from_has_no_unit(scores):
    probes = scores.probes
    assert probes.unit[UNSEEN] == -1
    assert (probes.weight[UNSEEN], scores.trained[UNSEEN]) == (0, 0)
    assert np.isnan(scores.purity[UNSEEN])
    share = float((VALIDATION[1] == UNSEEN).mean())
    assert scores.ap[UNSEEN] == pytest.approx(share)
    wanted = measure_plainly(np.zeros(700), VALIDATION[1] == UNSEEN, 0, probes.bias[UNSEEN])
    assert scores.loss[UNSEEN] == pytest.approx(wanted)


def test_cross_entropy_and_probe_r_are_those_of_validation(scores):
    z, labels = VALIDATION
    losses, entropies = [], []
    for place in range(CLASSES):
        unit = max(int(scores.probes.unit[place]), 0)
        weight, bias = scores.probes.weight[place], scores.probes.bias[place]
        losses.append(measure_plainly(z[:, unit], labels == place, weight, bias))
        p = float((labels == place).mean())
        entropies.append(-p * np.log(p) - (1 - p) * np.log(1 - p) if 0 < p < 1 else 0.0)
    np.testing.assert_allclose(scores.loss, losses, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(scores.entropy, entropies, rtol=1e-12)
    assert scores.probe_r == pytest.approx(1 - np.mean(losses) / np.mean(entropies), rel=1e-9)


def test_average_precision_is_scikit_learns(scores):
    z, labels = VALIDATION
    wanted = []
    for place in range(CLASSES):
        unit, weight = max(int(scores.probes.unit[place]), 0), scores.probes.weight[place]
        truth = labels == place
        score = np.sign(weight) * z[:, unit].astype(np.float64)
        wanted.append(average_precision_score(truth, score) if truth.any() else 0.0)
    np.testing.assert_allclose(scores.ap, wanted, rtol=1e-12)
    assert (scores.ap[ABSENT], scores.seen[ABSENT]) == (0, 0)
    assert scores.mean_ap == pytest.approx(np.mean(wanted))
    assert scores.mean_ap_seen == pytest.approx(np.sum(wanted) / 5)
    for tau in (0.3, 0.5, 0.7):
        assert scores.coverage(tau) == pytest.approx(np.mean(np.array(wanted) > tau))


def purify_plainly(z: np.ndarray, labels: np.ndarray, unit: int, place: int) -> tuple[float, float]:
    order = sorted((-float(z[cell, unit]), cell) for cell in range(len(z)) if z[cell, unit] > 0)[:TOP]
    if len(order) < TOP:
        return float("nan"), float("nan")
    top = [int(labels[cell]) for _, cell in order]
    return max(top.count(one) for one in range(CLASSES)) / TOP, top.count(place) / TOP


@pytest.mark.parametrize("unit", range(12))
def test_purity_is_the_commonest_class_of_the_highest_cells(unit):
    z, labels = VALIDATION
    cells = JoinedCells(pack(z, labels).join())
    for place in range(CLASSES):
        wanted = purify_plainly(z, labels, unit, place)
        np.testing.assert_array_equal(find_purity(cells, unit, place), wanted)


def test_units_that_hardly_fire_are_left_out_of_purity(threads):
    labels = np.repeat([0, 1, 2], [40, 10, 70])
    z = np.zeros((120, 3), np.float32)
    z[:40, 0] = 1
    z[40:50, 1] = 1  # told wholly, but in ten cells
    found = score_cells(pack(z, labels), pack(z, labels), threads)
    assert found.probes.unit[:3].tolist() == [0, 1, 0]
    assert found.judged[:3].tolist() == [True, False, True]
    assert found.purity[[0, 2]].tolist() == [1, 1]
    assert found.own_purity[[0, 2]].tolist() == [1, 0]  # the unit is off where class 2 is
    assert (found.mean_purity, found.mean_own_purity) == (1, 0.5)
    assert found.positive_rate[:2].tolist() == pytest.approx([40 / 120, 10 / 120])


def test_planted_detectors_are_perfect_and_noise_is_nothing(threads):
    rng = np.random.default_rng(3)
    halves = []
    for _ in range(2):
        labels = rng.integers(0, CLASSES, 3000)
        z = np.zeros((3000, 2 * CLASSES), np.float32)
        z[np.arange(3000), labels] = 1 + rng.random(3000)
        z[:, CLASSES:] = rng.normal(size=(3000, CLASSES)) * (rng.random((3000, CLASSES)) < 0.2)
        halves.append((z, labels))
    (z, labels), (z2, labels2) = halves
    found = score_cells(pack(z, labels), pack(z2, labels2), threads)
    assert found.probes.unit.tolist() == list(range(CLASSES))
    assert found.mean_ap == found.mean_ap_seen == found.coverage(0.7) == 1
    assert found.mean_purity == found.mean_own_purity == 1
    assert found.probe_r > 0.9999
    noise = score_cells(pack(z[:, CLASSES:], labels), pack(z2[:, CLASSES:], labels2), threads)
    assert noise.mean_ap < 0.2
    assert abs(noise.probe_r) < 0.01
    assert noise.coverage(0.3) == 0


def test_dead_units_are_chosen_for_nothing_but_when_all_are(threads):
    labels = np.tile([0, 1], 50)
    z = np.zeros((100, 2), np.float32)
    found = score_cells(pack(z, labels), pack(z, labels), threads)
    assert found.probes.unit.tolist() == [0, 0, -1, -1, -1, -1]
    assert found.probe_r == pytest.approx(0, abs=1e-6)
    assert found.ap[:2].tolist() == [0.5, 0.5]
    assert not found.judged.any()
    assert np.isnan(found.mean_purity)


def test_the_same_cells_give_the_same_figures_however_they_are_cut(scores, threads):
    for parts in (1, 7):
        found = score_cells(pack(*TRAIN, parts), pack(*VALIDATION, parts), threads)
        for name in ("loss", "ap", "purity", "own_purity", "positive_rate"):
            np.testing.assert_array_equal(getattr(found, name), getattr(scores, name))
        for name in ("unit", "weight", "bias", "loss"):
            np.testing.assert_array_equal(getattr(found.probes, name), getattr(scores.probes, name))


def test_entropy_of_nothing_and_of_all_is_nothing():
    assert measure_entropy(np.array([0.0, 1.0])).tolist() == [0, 0]


def test_what_directions_lose_is_error_over_spread():
    rng = np.random.default_rng(0)
    cells, rebuilt = (torch.from_numpy(rng.normal(size=(60, 4)) + 3) for _ in range(2))
    whole = measure_reconstruction(cells, rebuilt)
    spread = ((cells - cells.mean(0)) ** 2).sum()
    assert whole.nmse == pytest.approx(float(((cells - rebuilt) ** 2).sum() / spread))
    parts = [measure_reconstruction(cells[a:b], rebuilt[a:b]) for a, b in ((0, 9), (9, 60))]
    assert parts[0].merge(parts[1]).nmse == pytest.approx(whole.nmse, rel=1e-12)
    assert parts[1].merge(parts[0]).nmse == pytest.approx(whole.nmse, rel=1e-12)
    assert np.isnan(measure_reconstruction(torch.ones(3, 2), torch.ones(3, 2)).nmse)
