"""Sets of units by gradient: better than where they start, found where planted, the same by seed."""

import numpy as np
import pytest
import torch

from generated import PAINTS, UNITS, WORDS, Plain, planted_segmenter, planted_studio
from unitscope.errors import SourceError, UsageError
from unitscope.interventions.causal_sets import Places, Recipe, find_places, optimize_units
from unitscope.interventions.edits import Edit, edited
from unitscope.interventions.unit_values import Levels, measure_layers
from unitscope.networks.generators import to_pixels
from unitscope.networks.segmentation.network_segmenter import NetworkSegmenter, Scorer

QUICK = Recipe(steps=40, batch=4, rate=0.05)


@pytest.fixture(scope="module")
def studio():
    return planted_studio()


@pytest.fixture(scope="module")
def levels(studio):
    return measure_layers(studio.generator, ["maps"], studio.segmenter, 64)["maps"]


@pytest.fixture(scope="module")
def places(studio):
    return find_places(studio, "maps", [WORDS[2], WORDS[3]], 64)


def test_places_are_the_cells_of_the_pictures(studio, places):
    for number in (0, 17, 63):
        planes = studio.segmenter(studio.generator.generate(number, 1))[0, 0]
        wanted = (planes == 3).reshape(4, 4, 4, 4).mean((1, 3))
        np.testing.assert_allclose(places[1].cover[number].numpy(), wanted)
    assert set(places[0].present) | set(places[0].absent) <= set(range(64))


@pytest.mark.parametrize(
    "recipe",
    [
        QUICK,
        Recipe(steps=40, batch=4, rate=0.05, term="removal", removal="everywhere"),
        Recipe(steps=40, batch=4, rate=0.05, term="insertion"),
        Recipe(steps=40, batch=4, rate=0.05, removal="everywhere"),
    ],
    ids=["both", "removal", "insertion", "both everywhere"],
)
def test_the_planted_units_are_found_and_the_objective_falls(studio, places, levels, recipe):
    for found in places:
        best = optimize_units(studio, "maps", found, levels, recipe)
        planted = PAINTS[found.concept.id]
        assert best.after <= best.before
        assert len(best.objective) == 40
        assert best.alpha.min() >= 0
        assert best.alpha.max() <= 1
        idle = np.delete(best.alpha, [unit for units in PAINTS.values() for unit in units])
        assert best.alpha[list(planted)].min() > 2 * idle.max()
        if recipe.term == "removal":  # an insertion also gains by setting the others' units to 0
            assert set(best.order[: len(planted)]) == set(planted)


def test_the_same_seed_gives_the_same_bytes_and_the_generator_is_left_alone(studio, places, levels):
    before = studio.generator.generate(0, 4).tobytes()
    one, two = (optimize_units(studio, "maps", places[0], levels, QUICK) for _ in range(2))
    assert one.alpha.tobytes() == two.alpha.tobytes()
    assert one.objective.tobytes() == two.objective.tobytes()
    other = optimize_units(studio, "maps", places[0], levels, Recipe(steps=40, batch=4, rate=0.05, seed=1))
    assert other.objective.tobytes() != one.objective.tobytes()
    assert studio.generator.generate(0, 4).tobytes() == before
    assert all(part.grad is None for part in studio.generator.module.parameters())
    assert not any(part._forward_hooks for part in studio.generator.module.modules())


def test_the_gradient_is_that_of_a_finite_difference(studio, levels):
    generator, segmenter = studio.generator, studio.segmenter
    strength = torch.full((1, UNITS, 1, 1), 0.5, dtype=torch.float32, requires_grad=True)
    value = torch.from_numpy(levels.means[0])[None, :, None, None]

    def score(strength):
        with edited(generator, Edit("maps", strength, value)):
            picture = generator.module(generator.draw_latents(5, 1))
        return segmenter.score((picture + 1) / 2, 2).mean()

    (slope,) = torch.autograd.grad(score(strength), [strength])
    for unit in range(UNITS):
        step = torch.zeros_like(strength)
        step[0, unit] = 1e-2
        with torch.no_grad():
            plain = (score(strength + step) - score(strength - step)) / 2e-2
        assert float(slope[0, unit, 0, 0]) == pytest.approx(float(plain), abs=2e-3)


def test_the_score_names_what_the_segmenter_names():
    studio = planted_studio(8)
    pictures = studio.generator.generate(0, 4)
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    segmenter = planted_segmenter()
    assert isinstance(segmenter, Scorer)
    planes = segmenter(pictures)
    scores = torch.stack([segmenter.score(pixels, concept) for concept in (2, 3, 5)])
    assert (np.array([2, 3, 5])[scores.argmax(0).numpy()] == planes[:, 0]).all()
    assert float(scores.min()) >= 0
    assert float(scores.sum(0).max()) <= 1 + 1e-6
    small = segmenter.score(pixels[:, :, ::2, ::2], 2)
    assert small.shape == (4, 8, 8)


def test_a_concept_in_two_planes_is_likelier_than_in_either():
    one = planted_segmenter()
    twice = NetworkSegmenter(one.network, WORDS, ((2, 3, 5, 0), (3, 0)))
    pixels = torch.rand(1, 3, 4, 4)
    single = one.score(pixels, 3)
    assert (twice.score(pixels, 3) >= single).all()
    np.testing.assert_allclose(
        1 - twice.score(pixels, 3), (1 - single) * (1 - one.score(pixels, 7)), atol=1e-6
    )


def test_what_gives_no_gradient_is_refused(places, levels):
    plain = planted_studio(64, Plain())
    with pytest.raises(UsageError, match="segmenter plain names pixels without a `score`"):
        optimize_units(plain, "maps", places[0], levels, QUICK)
    with pytest.raises(UsageError, match="no channel for concept 9"):
        planted_segmenter().score(torch.rand(1, 3, 4, 4), 9)


def test_what_cannot_be_is_told(studio, places, levels):
    with pytest.raises(UsageError, match="0 steps"):
        Recipe(steps=0)
    with pytest.raises(UsageError, match="needs the levels"):
        optimize_units(studio, "maps", places[0], None, QUICK)
    nowhere = Places(WORDS[2], torch.zeros(64, 4, 4))
    with pytest.raises(SourceError, match="'ball' fills no cell in 64 images"):
        optimize_units(studio, "maps", nowhere, levels, QUICK)
    with pytest.raises(UsageError, match="'ghost' is in none"):
        optimize_units(studio, "maps", Places(WORDS[9], torch.ones(64, 4, 4)), levels, QUICK)


def test_levels_are_those_of_a_plain_loop(studio):
    generator, cells, weights = studio.generator, [], []
    found = measure_layers(generator, ["maps"], studio.segmenter, 21, first=3, quantile=0.9)["maps"]
    for number in range(3, 24):
        seen = []
        with torch.no_grad():
            handle = generator.module.maps.register_forward_hook(lambda _m, _a, out, s=seen: s.append(out))
            picture = generator.module(generator.draw_latents(number, 1))
            handle.remove()
        cells.append(seen[0][0].flatten(1).double().numpy())
        planes = studio.segmenter(to_pixels(picture))[0]
        weights.append((planes[0] == 3).reshape(4, 4, 4, 4).mean((1, 3)).ravel())
    values, weight = np.concatenate(cells, 1), np.concatenate(weights)
    assert 9 not in found.concepts
    row = found.concepts.index(3)
    np.testing.assert_allclose(found.means[row], (values * weight).sum(1) / weight.sum(), atol=1e-5)
    most = []
    for one in weight.reshape(21, 16):
        there = (one == one.max()) & (one > 0)
        most.append(one.max() * there / max(there.sum(), 1))
    fullest = (values * np.concatenate(most)).sum(1) / np.concatenate(most).sum()
    np.testing.assert_allclose(found.fullest[row], fullest, atol=1e-5)
    assert found.value(3, [5], "fullest").tolist() == [found.fullest[row][5]]
    ranked = np.sort(values, 1)[:, ::-1]
    np.testing.assert_allclose(found.high, ranked[:, 33], atol=1e-6)  # the 34th largest of 336
    assert (values > found.high[:, None]).mean(1).max() <= 0.1
    assert found.value(3, [1, 0]).tolist() == [found.means[row][1], found.means[row][0]]
    assert found.value(9, [2], "quantile").tolist() == [found.high[2]]
    with pytest.raises(UsageError, match="concept 9 is in none of the 21 images"):
        found.value(9, [0])
    with pytest.raises(UsageError, match="wanted one from 0 to 1"):
        measure_layers(generator, ["maps"], studio.segmenter, 4, quantile=99.0)
    assert isinstance(found, Levels)
