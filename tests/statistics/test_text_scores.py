"""Scores of words: each method beside a slow twin, and units without a name."""

import math

import numpy as np
import pytest

from unitscope.errors import UsageError
from unitscope.statistics.text_scores import DEFAULTS, text_scores

IMAGES, WORDS, UNITS = 60, 7, 5


def draw(seed, *, ties=False):
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(0.1, 0.35, (IMAGES, WORDS))
    response = rng.normal(size=(IMAGES, UNITS))
    if ties:  # as units after a ReLU that seldom fire
        response = np.round(np.maximum(response - 0.5, 0), 1)
    return similarity, response


def order(values):
    """Images by falling response, the first of equal ones first."""
    return sorted(range(len(values)), key=lambda image: (-values[image], image))


def inform(similarity, response, top_k, a, lam, min_prob, p_start=1.0, p_end=1.0):
    scores, top_k = np.zeros((response.shape[1], similarity.shape[1])), int(top_k)
    for unit in range(response.shape[1]):
        for rank, image in enumerate(order(response[:, unit])[:top_k]):
            weight = p_start - rank / top_k * (p_start - p_end)
            whole = sum(math.exp(a * one) for one in similarity[image])
            for word, one in enumerate(similarity[image]):
                scores[unit, word] += math.log(1 + weight * (math.exp(a * one) / whole - 1) + min_prob)
    mean = [np.log(np.mean([math.exp(one) for one in column])) for column in scores.T]
    return scores - lam * np.array(mean)


def reorder(similarity, response, top_fraction, p, scale_p):
    count = int(round(top_fraction * len(similarity), 9))
    scores = np.zeros((response.shape[1], similarity.shape[1]))
    for unit in range(response.shape[1]):
        images = order(response[:, unit])[:count]
        falling = [response[image, unit] for image in images]
        rising = falling[::-1]
        lot = np.mean([abs(one - other) ** p for one in falling for other in falling])
        for word in range(similarity.shape[1]):
            chosen = [similarity[image, word] for image in images]
            ranks = [sum(other < one for other in chosen) for one in chosen]
            error = np.mean([abs(one - rising[rank]) ** p for one, rank in zip(falling, ranks, strict=True)])
            scores[unit, word] = -(error / lot) / np.mean(chosen) ** scale_p
    return scores


def compare(similarity, response):
    return np.array([[x @ y / math.sqrt(x @ x) / math.sqrt(y @ y) for y in similarity.T] for x in response.T])


def compare_cubes(similarity, response, min_norm):
    cube = [[(column - column.mean()) ** 3 for column in values.T] for values in (response, similarity)]
    return np.array(
        [
            [
                sum(x * y) / max(math.sqrt(sum(x * x)), min_norm) / max(math.sqrt(sum(y * y)), min_norm)
                for y in cube[1]
            ]
            for x in cube[0]
        ]
    )


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("method", "twin", "given"),
    [
        ("soft-wpmi", inform, {"top_k": 20}),
        ("soft-wpmi", inform, {"top_k": 7, "a": 30.0, "lam": 0.5, "p_start": 0.9, "p_end": 0.1}),
        ("wpmi", inform, {}),
        ("rank-reorder", reorder, {"top_fraction": 0.15}),
        ("cosine", compare, {}),
        ("cosine-cubed", compare_cubes, {}),
        ("cosine-cubed", compare_cubes, {"min_norm": 1e-9}),
    ],
)
def test_every_method_is_its_twin(method, twin, given, seed, ties):
    similarity, response = draw(seed, ties=ties)
    response = np.round(response, 1) if ties else response
    scores = text_scores(similarity, response, method, **given)
    np.testing.assert_allclose(scores, twin(similarity, response, **(DEFAULTS[method] | given)), atol=1e-9)


@pytest.mark.parametrize("method", DEFAULTS)
def test_units_that_answer_the_same_to_all_have_no_name_and_change_no_other(method):
    similarity, response = draw(0)
    given = {"top_k": 20} if "wpmi" in method else {"top_fraction": 0.1} if "rank" in method else {}
    alone = text_scores(similarity, response, method, **given)
    silent = np.insert(np.insert(response, 2, 0.0, axis=1), 0, 3.0, axis=1)
    scores = text_scores(similarity, silent, method, **given)
    assert np.isnan(scores[[0, 3]]).all()
    np.testing.assert_array_equal(np.delete(scores, [0, 3], 0), alone)
    assert np.isnan(text_scores(similarity, np.ones((IMAGES, 2)), method, **given)).all()


def test_far_similarities_do_not_overflow():
    similarity, response = draw(1)
    scores = text_scores(similarity * 100, response, top_k=20, a=50)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    ("shape", "method", "given", "told"),
    [
        (IMAGES, "cosine", {"top_k": 3}, "cosine has no parameter 'top_k'; it has none"),
        (IMAGES, "wpmi", {"scale_p": 3}, "wpmi has no parameter 'scale_p'; it has top_k, a, lam, min_prob"),
        (IMAGES, "soft-wpmi", {}, "top_k is 100, but there are 60 images"),
        (IMAGES, "wpmi", {"top_k": 2.5}, "wanted a whole number"),
        (IMAGES, "rank-reorder", {"top_fraction": 0.02}, "0.02 of 60 images is 1; wanted 2 or more"),
        (IMAGES, "rank-reorder", {"top_fraction": 2}, "top_fraction is 2; wanted more than 0"),
        (IMAGES - 1, "cosine", {}, "similarity has 60 images, response 59"),
    ],
)
def test_what_cannot_be_scored_is_a_line(shape, method, given, told):
    similarity, response = draw(0)
    with pytest.raises(UsageError, match=told):
        text_scores(similarity, response[:shape], method, **given)
