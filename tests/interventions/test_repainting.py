"""Pictures painted again: like one edit, one image at a time; and the counting of areas."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from generated import PAINTS, UNITS, WORDS, planted_generator, planted_segmenter, segment_alone
from unitscope.errors import UsageError
from unitscope.interventions.edits import Edit, edited, set_units
from unitscope.interventions.repainting import (
    SURE,
    Areas,
    Repainted,
    count_areas,
    repaint,
    repaint_pixels,
    stack_edits,
)

EDITS = [
    set_units("maps", PAINTS[2], UNITS),
    set_units("maps", [3], UNITS, value=2.0),
    set_units("maps", [0, 6], UNITS, value=1.5, strength=0.7, place=torch.eye(4)),
    set_units("maps", [], UNITS),
]


def planes(draw_from, shape):
    return arrays.arrays(np.uint16, shape, elements=st.sampled_from(draw_from))


@pytest.mark.parametrize("batch", [1, 2, 3, 16])
def test_versions_are_what_single_edits_give(batch):
    generator, segmenter = planted_generator(), planted_segmenter()
    edit = stack_edits(EDITS)
    for image in repaint(generator, "maps", segmenter, lambda *_: edit, range(3, 7), batch=batch):
        assert (image.before == segment_alone(generator, segmenter, image.number)).all()
        assert len(image.after) == len(EDITS)
        for found, alone in zip(image.after, EDITS, strict=True):
            assert (found == segment_alone(generator, segmenter, image.number, alone)).all()
        assert (image.after[-1] == image.before).all()  # an edit of nothing


def test_the_generator_is_as_before_also_after_an_error():
    generator = planted_generator()
    generator.module.maps.training = True
    before = generator.generate(0, 4).tobytes()
    generator.module.maps.training = True

    def broken(number, maps):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(repaint(generator, "maps", planted_segmenter(), broken, range(2)))
    pictures = repaint_pixels(generator, "maps", lambda *_: EDITS[0], range(5))
    next(pictures)
    pictures.close()  # left halfway
    assert generator.module.maps.training
    assert generator.generate(0, 4).tobytes() == before
    assert not any(part._forward_hooks or "forward" in part.__dict__ for part in generator.module.modules())


def test_an_edit_taken_back_gives_the_same_picture_bit_for_bit():
    generator = planted_generator()
    before = generator.generate(0, 8).tobytes()
    with edited(generator, EDITS[0]):
        assert generator.generate(0, 8).tobytes() != before
    assert generator.generate(0, 8).tobytes() == before
    with (
        pytest.raises(UsageError),
        edited(generator, Edit("maps", torch.ones(1, 3, 1, 1), torch.ones(1, 1, 1, 1))),
    ):
        generator.generate(0, 1)
    assert generator.generate(0, 8).tobytes() == before


def test_a_layer_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="no layer 'nope'"):
        list(repaint(planted_generator(), "nope", planted_segmenter(), lambda *_: EDITS[0], range(2)))


@given(planes([0, 2, 3, 7], (3, 2, 4, 5)))
def test_areas_are_those_of_a_plain_count(found):
    counts = count_areas(found, 10)
    for version in range(3):
        for concept in range(10):
            plain = sum(
                bool(concept and (found[version, :, y, x] == concept).any())
                for y in range(4)
                for x in range(5)
            )
            assert counts[version, concept] == plain


@given(planes([0, 2, 3, 5, 7], (6, 3, 2, 3, 4)), st.permutations(range(6)))
def test_sums_over_images_are_those_of_a_plain_count_in_any_order(found, order):
    images = [Repainted(number, one[0], one[1:]) for number, one in enumerate(found)]
    tally, other = Areas(2, WORDS.size), Areas(2, WORDS.size)
    for place, image in enumerate(images):
        tally.add(image)
        other.add(images[order[place]])
    before = np.array([[(one.before == k).any(0).sum() for k in range(10)] for one in images])
    after = np.array([[[(v == k).any(0).sum() for k in range(10)] for v in one.after] for one in images])
    for concept in (2, 3, 5, 7, 9):
        b, a = before[:, concept].astype(float), after[:, :, concept].astype(float)
        for version in range(2):
            share = tally.removed(version, concept)
            if b.sum() == 0:
                assert np.isnan(share.value)
                continue
            assert share == other.removed(version, concept)
            assert share.value == pytest.approx(-(a[:, version] - b).mean() / b.mean())
            ratio = a[:, version].mean() / b.mean()
            error = np.sqrt(((a[:, version] - ratio * b) ** 2).sum() / 5 / 6) / b.mean()
            assert share.high - share.value == pytest.approx(SURE * error, abs=1e-9)
            assert tally.growth(version)[concept] == pytest.approx((a[:, version] - b).sum() / (6 * 12))
    for version in range(2):
        differs = np.array([one.after[version, 0] != one.before[0] for one in images])
        outside = ~np.array([(one.before == 3).any(0) for one in images])
        if outside.any():
            assert tally.aside(version, 3) == pytest.approx(differs[outside].mean())


def test_the_interval_of_the_ratio_is_that_of_the_bootstrap():
    rng = np.random.default_rng(0)
    b = rng.integers(0, 60, 400)
    a = rng.binomial(b, 0.6) + rng.integers(0, 4, 400)
    tally = Areas(1, 3)
    for number in range(400):
        before, after = np.zeros((1, 8, 8), np.uint16), np.zeros((1, 1, 8, 8), np.uint16)
        before.reshape(-1)[: b[number]] = 2
        after.reshape(-1)[: a[number]] = 2
        tally.add(Repainted(number, before, after))
    picks = rng.integers(0, 400, (4000, 400))
    drawn = 1 - a[picks].sum(1) / b[picks].sum(1)
    share = tally.removed(0, 2)
    low, high = np.quantile(drawn, [0.005, 0.995])
    assert (share.low, share.high) == pytest.approx((low, high), abs=0.15 * (high - low))
