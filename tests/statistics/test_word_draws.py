"""The scores of many pairings, block by block, against `text_scores` of each pairing at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitscope.errors import UsageError
from unitscope.statistics.text_scores import DEFAULTS, settle_parameters, text_scores
from unitscope.statistics.word_draws import WordFit, draw_shifts, pair_truly, redraw_images

SMALL = {
    "soft-wpmi": {"top_k": 7},
    "wpmi": {"top_k": 5},
    "rank-reorder": {"top_fraction": 0.25},
    "cosine": {},
    "cosine-cubed": {},
}


def make_problem(seed, images=24, words=9, units=5, width=6, ties=False):
    rng = np.random.default_rng(seed)
    embeddings = [rng.standard_normal((count, width)) + 0.5 for count in (images, words)]
    parts = [(one / np.linalg.norm(one, axis=1, keepdims=True)).astype(np.float32) for one in embeddings]
    response = rng.standard_normal((images, units)).astype(np.float32)
    if ties:  # sparse units: fewer of their responses differ than are looked at
        response = np.round(np.maximum(response - 0.8, 0), 1).astype(np.float32)
        response[0] += 1
    return (*parts, response)


def gather(fit, pairings):
    blocks = list(fit.score(pairings))
    assert [words.start for words, *_ in blocks] == [0, *(words.stop for words, *_ in blocks[:-1])]
    return np.concatenate([found for _, found, _ in blocks], 2), len(blocks)


def score_slowly(fit, pairing):
    similarity = fit.images.astype(np.float64) @ fit.words.astype(np.float64).T
    seen, answered = similarity[pairing.seen], fit.response[pairing.answered]
    return text_scores(seen, answered, fit.method, **fit.parameters)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), ties=st.booleans(), method=st.sampled_from(sorted(DEFAULTS)))
def test_every_pairing_scores_as_it_does_alone(seed, ties, method):
    fit = WordFit(*make_problem(seed, ties=ties), method, SMALL[method])
    pairings = [pair_truly(24), *draw_shifts(24, 4, seed), *redraw_images(24, 3, seed)]
    found, _ = gather(fit, pairings)
    for draw, pairing in enumerate(pairings):
        np.testing.assert_allclose(found[draw], score_slowly(fit, pairing), rtol=1e-6, atol=1e-9)


def lift_slowly(fit, pairing, unit, word):
    """How much likelier a word is in a unit's images than in any, from the formula."""
    known = settle_parameters(fit.method, fit.parameters)
    similarity = known["a"] * (fit.images.astype(np.float64) @ fit.words.astype(np.float64).T)
    likely = np.exp(similarity) / np.exp(similarity).sum(1, keepdims=True)
    rows = np.argsort(-fit.response[pairing.answered, unit], kind="stable")[: int(known["top_k"])]
    total = 0.0
    for rank, row in enumerate(rows):
        weight = known.get("p_start", 1) - rank / len(rows) * (
            known.get("p_start", 1) - known.get("p_end", 1)
        )
        logs = np.log(1 + weight * (likely[:, word] - 1) + known["min_prob"])
        total += logs[pairing.seen[row]] - logs.mean()
    return total


@pytest.mark.parametrize("method", ["soft-wpmi", "wpmi"])
def test_lifts_are_what_the_formula_says(method):
    fit = WordFit(*make_problem(5), method, SMALL[method])
    pairings = [pair_truly(24), *draw_shifts(24, 2, 0), *redraw_images(24, 2, 0)]
    [(_, _, lifts)] = fit.score(pairings)
    for draw, pairing in enumerate(pairings):
        for unit, word in ((0, 0), (2, 5), (4, 8)):
            np.testing.assert_allclose(lifts[draw, unit, word], lift_slowly(fit, pairing, unit, word))
    fit = WordFit(*make_problem(5), "cosine", {})
    [(_, scores, lifts)] = fit.score(pairings)
    assert np.array_equal(scores, lifts)


@pytest.mark.parametrize("method", sorted(DEFAULTS))
def test_blocks_of_words_change_nothing(method, monkeypatch):
    problem = make_problem(3, words=40)
    pairings = [pair_truly(24), *draw_shifts(24, 3, 0)]
    whole, _ = gather(WordFit(*problem, method, SMALL[method]), pairings)
    monkeypatch.setattr("unitscope.statistics.word_draws._LEAST_MEMORY", 1)
    parts, blocks = gather(WordFit(*problem, method, SMALL[method], memory=30_000), pairings)
    assert blocks > 3
    np.testing.assert_allclose(parts, whole, rtol=1e-9, atol=1e-12)


def test_a_unit_that_is_constant_where_it_is_drawn_has_no_score():
    images, words, response = make_problem(0)
    response[:, 2] = 0
    response[5, 2] = 1  # a single image, which a bootstrap may miss
    fit = WordFit(images, words, response, "soft-wpmi", {"top_k": 3})
    pairings = redraw_images(24, 30, 1)
    found, _ = gather(fit, pairings)
    missed = [5 not in pairing.seen for pairing in pairings]
    assert 0 < sum(missed) < 30
    assert np.isnan(found[:, 2]).all(1).tolist() == missed
    assert np.isfinite(np.delete(found, 2, 1)).all()


def test_shifts_are_other_permutations_without_fixed_images():
    shifts = draw_shifts(10, 100, 4)
    assert len(shifts) == 9
    assert len({tuple(pairing.answered.tolist()) for pairing in shifts}) == 9
    for pairing in shifts:
        assert sorted(pairing.answered.tolist()) == list(range(10))
        assert (pairing.answered != pairing.seen).all()
    # With the true pairing they are a group: one after the other is a third, or the truth.
    known = {tuple(range(10)), *(tuple(pairing.answered.tolist()) for pairing in shifts)}
    for one in shifts:
        for other in shifts:
            assert tuple(one.answered[other.answered].tolist()) in known


def test_parameters_that_do_not_fit_are_refused_at_once():
    problem = make_problem(0)
    with pytest.raises(UsageError, match="top_k is 100, but there are 24 images"):
        WordFit(*problem, "soft-wpmi", {})
    with pytest.raises(UsageError, match=r"top_fraction 0\.05 of 24 images is 1"):
        WordFit(*problem, "rank-reorder", {})
    with pytest.raises(UsageError, match="wpmi has no parameter 'k'; it has top_k"):
        WordFit(*problem, "wpmi", {"k": 3})
