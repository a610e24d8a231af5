"""Scores of a pair: those of all inputs at once, of redrawn images, and of images with others' presence."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from unitscope.statistics import pair_scores
from unitscope.statistics.label_scores import label_scores
from unitscope.statistics.pair_scores import SCORES, Pair, draw_pairs, score_pair


def make_pair(seed, images=12, places=7, levels=5, top_fraction=0.2, void=0.2, share=0.3):
    rng = np.random.default_rng(seed)
    response = rng.integers(0, levels, (images, places)).astype(np.float32) / 3 + 2
    known = rng.random((images, places)) >= void
    known[0, 0] = True
    present = (rng.random((images, places)) < share) & known
    return Pair(response, known, present, top_fraction)


def simulate(a, c, image, half):
    """Fits a line on one half, predicts the other, both ways: as the words say it."""
    found = []
    for fitted in (0, 1):
        some, others = half[image] == fitted, half[image] != fitted
        if some.sum() < 2 or others.sum() < 2:
            found.append(0.0)
            continue
        if np.ptp(c[some]) == 0 or np.ptp(a[some]) == 0:
            found.append(0.0)
            continue
        slope, start = np.polyfit(c[some], a[some], 1)
        predicted = slope * c[others] + start
        flat = abs(slope) * np.std(c[some]) <= 1e-6 * np.std(a[some])  # as float32 rounds the responses
        flat = flat or np.ptp(predicted) == 0 or np.ptp(a[others]) == 0
        found.append(0.0 if flat else np.corrcoef(predicted, a[others])[0, 1])
    return float(np.mean(found))


def score_slowly(pair, image, place, present, half):
    """The scores of the inputs listed, active where the pair is."""
    a, c = pair.response[image, place].astype(float), present.astype(float)
    active = pair.response >= pair.least
    whole = label_scores(a[None], c[None], pair.top_fraction)
    masks = label_scores(active[image, place][None], c[None], None)
    by_activity = {"iou", "f1", "recall", "precision", "accuracy", "balanced_accuracy"}
    by_activity |= {"inverse_balanced_accuracy", "auroc", "average_precision", "wpmi"}
    found = {name: (masks if name in by_activity else whole)[name][0, 0] for name in whole}
    return {**found, "simulation": simulate(a, c, image, half)}


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.integers(1, 14),
    st.sampled_from([1, 2, 9]),
    st.sampled_from([0.0, 0.3, 0.9, 1.0]),
)
def test_every_score_is_that_of_all_inputs(seed, images, levels, share):
    pair = make_pair(seed, images=images, levels=levels, share=share)
    draws = draw_pairs(images, seed, 5, 3)
    found = score_pair(pair, draws)
    image, place = np.nonzero(pair.known)
    wanted = score_slowly(pair, image, place, pair.present[image, place], draws.half)
    assert tuple(found.values) == SCORES
    assert found.inputs == len(image)
    whole = label_scores(pair.response[pair.known][None], pair.present[pair.known][None], pair.top_fraction)
    for name, one in wanted.items():
        assert found.values[name] == pytest.approx(one, abs=1e-6, nan_ok=True), name
        if name in whole:
            assert found.values[name] == pytest.approx(whole[name][0, 0], abs=1e-6, nan_ok=True), name


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_replicates_are_scores_of_redrawn_images(seed):
    pair = make_pair(seed)
    draws = draw_pairs(len(pair.response), seed, 3, 4)
    found = score_pair(pair, draws)
    for replicate, weights in enumerate(draws.weights):
        image, place = (np.concatenate(one) for one in zip(*[
            np.nonzero(pair.known & (np.arange(len(weights))[:, None] == i)) for i in range(len(weights))
            for _ in range(weights[i])
        ], strict=True))  # fmt: skip
        wanted = score_slowly(pair, image, place, pair.present[image, place], draws.half)
        for name, one in wanted.items():
            assert found.replicates[name][replicate] == pytest.approx(one, abs=1e-6, nan_ok=True), name


@settings(max_examples=30)
@example(36588)  # the line that is fitted has a slope of 0 but for rounding
@given(st.integers(0, 10**6))
def test_the_null_gives_every_image_the_presence_of_another(seed):
    pair = make_pair(seed)
    draws = draw_pairs(len(pair.response), seed, 5, 2)
    found = score_pair(pair, draws)
    assert len(draws.partners) == 5
    image, place = np.nonzero(pair.known)
    for draw, partners in enumerate(draws.partners):
        assert sorted(partners) == list(range(len(partners)))
        assert (partners != np.arange(len(partners))).all()
        wanted = score_slowly(pair, image, place, pair.present[partners[image], place], draws.half)
        for name, one in wanted.items():
            assert found.null[name][draw] == pytest.approx(one, abs=1e-6, nan_ok=True), name


def test_many_levels_are_told_apart_in_steps_of_rank(monkeypatch):
    """Intervals and the null of scores by rank are those of all levels, but for little; the rest is exact."""
    rng = np.random.default_rng(0)
    response = rng.normal(size=(60, 50)).astype(np.float32)
    present = response + rng.normal(size=response.shape) > 2
    pair = Pair(response, np.ones(present.shape, bool), present, 0.05)
    draws = draw_pairs(60, 0, 20, 20)
    coarse = score_pair(pair, draws)
    monkeypatch.setattr(pair_scores, "STEPS", 10**6)
    fine = score_pair(Pair(response, pair.known, present, 0.05), draws)
    assert dict(coarse.values) == dict(fine.values)
    for name in SCORES:
        near = 0.004 if name in ("inverse_auroc", "spearman", "inverse_average_precision") else 0
        for some, others in ((coarse.replicates, fine.replicates), (coarse.null, fine.null)):
            assert np.abs(some[name] - others[name]).max() <= near, name


def test_a_group_of_shifts_makes_p_exact():
    """Presence of another image is as good as its own where there is nothing to find: ranks are even."""
    ranks = []
    for seed in range(200):
        pair = make_pair(seed, images=20, levels=9)
        found = score_pair(pair, draw_pairs(20, seed, 19, 1))
        ranks.append((found.null["pearson"] >= found.values["pearson"]).mean())
    assert abs(np.mean(ranks) - 0.5) < 0.07
    assert (np.array(ranks) < 0.05).mean() < 0.1
