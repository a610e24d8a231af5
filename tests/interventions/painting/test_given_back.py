"""Strokes on inverted pictures: against the generator's parts run by hand, and what never changes."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from generated import planted_segmenter
from inverted import SIDE, STEP, small_generator, some_picture
from unitscope.errors import UsageError
from unitscope.interventions import invert_picture
from unitscope.interventions.inversion import Steps
from unitscope.interventions.painting.easel import Easel
from unitscope.interventions.painting.edit_lists import describe_painting, read_painting
from unitscope.interventions.painting.given_back import blur, grow, measure_nearness, show_inversion
from unitscope.interventions.painting.strokes import Bitmap, Painting, Stroke, cover_pixels
from unitscope.interventions.unit_values import measure_layers

SHAPES = {"early": (12, 8, 8), "middle.2": (10, 16, 16), "late": (8, 32, 32)}


@cache
def make_easel():
    """Made once; no argument of property tests, which would be spelled out at every example."""
    generator = small_generator()
    segmenter = planted_segmenter()
    levels = measure_layers(generator, list(SHAPES), segmenter, 16)
    inversion = invert_picture(generator, some_picture(), layer="early", steps=Steps(10, 15, 10))
    return Easel(generator, segmenter, levels, SHAPES).place(inversion)


@pytest.fixture(scope="module")
def easel():
    return make_easel()


@pytest.fixture(scope="module")
def inversion(easel):
    return next(iter(easel.photos.values()))


def mark(top, left, height, width):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top : top + height, left : left + width] = True
    return mask


boxes = st.tuples(*(st.integers(0, SIDE - 1) for _ in range(2)), *(st.integers(1, 12) for _ in range(2)))
strokes = st.tuples(
    st.sampled_from(list(SHAPES)),
    boxes,
    st.sampled_from(["draw", "erase"]),
    st.floats(0, 1),
    st.lists(st.integers(0, 7), unique=True, max_size=5),
)


def make_stroke(layer, box, mode, strength, units):
    return Stroke(layer, tuple(units), Bitmap.of(mark(*box)), mode, rule="quantile", strength=strength)


def far_from(mask, by):
    """The pixels that lie farther from every pixel of a mask than that, by rows or by columns."""
    far = np.ones(mask.shape, bool)
    for y, x in zip(*np.nonzero(mask), strict=True):
        far[max(0, y - by) : y + by + 1, max(0, x - by) : x + by + 1] = False
    return far


@settings(max_examples=25)
@given(st.lists(strokes, max_size=3))
def test_what_is_far_from_all_strokes_is_the_given_picture(drawn):
    easel = make_easel()
    [inversion] = easel.photos.values()
    drawn = [make_stroke(*one) for one in drawn]
    shown = easel.show(Painting(inversion.key, tuple(drawn)))
    covered = np.any([stroke.mask.pixels for stroke in drawn], 0) if drawn else np.zeros((SIDE, SIDE), bool)
    far = far_from(covered, 2 * STEP)
    assert np.array_equal(shown[far], inversion.picture[far])
    if all(not stroke.units or not stroke.strength for stroke in drawn):
        assert np.array_equal(shown, inversion.picture)


def test_undoing_is_a_shorter_list(easel, inversion):
    one, two = (
        Stroke("early", (0, 3), Bitmap.of(mark(*box)), "erase") for box in ((4, 4, 6, 6), (20, 20, 6, 6))
    )
    before, first = (easel.show(Painting(inversion.key, some)) for some in ((), (one,)))
    second = easel.show(Painting(inversion.key, (one, two)))
    assert np.array_equal(before, inversion.picture)
    assert not np.array_equal(first, before)
    assert not np.array_equal(second, first)
    assert np.array_equal(easel.show(Painting(inversion.key, (one,))), first)
    off = frozenset((("early", 0), ("early", 3)))
    assert np.array_equal(easel.show(Painting(inversion.key, (one, two), off)), before)


def show_slowly(easel, inversion, stroke):
    """A stroke of full strength on `early`, by the generator's parts and loops over pixels and cells."""
    module, (_, rows, columns) = easel.generator.module, SHAPES["early"]
    mask, cells = stroke.mask.pixels, np.zeros((rows, columns), bool)
    for y, x in zip(*np.nonzero(mask), strict=True):
        cells[y // STEP, x // STEP] = True
    value = stroke.values(easel.levels["early"], list(stroke.units))
    returned = ~far_from(cells, 1)
    kept = 1 - blurred(~far_from(returned.repeat(STEP, 0).repeat(STEP, 1), STEP // 4))
    with torch.no_grad():
        generated = module.early(module.begin(inversion.latent, torch.tensor([inversion.kind])))
        early = inversion.fitted.clone()
        for y, x in zip(*np.nonzero(returned), strict=True):
            early[0, :, y, x] = generated[0, :, y, x]
        for y, x in zip(*np.nonzero(cells), strict=True):
            early[0, list(stroke.units), y, x] = value.float()
        share = torch.from_numpy(kept).float()[None]
        middle, late = (
            one * functional.adaptive_avg_pool2d(share, one.shape[2:])
            for one in (inversion.maps["middle.2@in"], inversion.maps["late.conv"])
        )
        made = module.finish(early, middle, late) + inversion.residual * share
    near = blurred(~far_from(mask, STEP + STEP // 2))
    given = torch.from_numpy(inversion.picture).permute(2, 0, 1)[None] / 255
    mixed = given + torch.from_numpy(near).float() * (made - given)
    return (mixed[0].permute(1, 2, 0) * 255 + 0.5).floor().clamp(0, 255).numpy().astype(np.uint8)


def blurred(mask):
    by, found = STEP // 2, np.zeros(mask.shape)
    for y, x in np.ndindex(mask.shape):
        found[y, x] = mask[max(0, y - by) : y + by + 1, max(0, x - by) : x + by + 1].mean()
    return found


@pytest.mark.parametrize("mode", ["draw", "erase"])
@pytest.mark.parametrize("box", [(9, 5, 7, 12), (0, 0, 3, 3), (28, 30, 4, 2)])
def test_a_stroke_is_what_the_definition_says(easel, inversion, mode, box):
    stroke = Stroke("early", (1, 4, 7), Bitmap.of(mark(*box)), mode, rule="quantile")
    shown = easel.show(Painting(inversion.key, (stroke,)))
    slow = show_slowly(easel, inversion, stroke)
    assert np.abs(shown.astype(int) - slow).max() <= 1
    assert (shown == slow).mean() > 0.99
    assert not np.array_equal(shown, inversion.picture)


def test_cells_can_be_given_back_without_setting_units(easel, inversion):
    stroke = Stroke("early", (1,), Bitmap.of(mark(8, 8, 8, 8)), "erase")
    places = cover_pixels([stroke], SHAPES, (SIDE, SIDE))
    shown = show_inversion(easel.generator, inversion, [], *places)
    assert not np.array_equal(shown, inversion.picture)
    nothing = torch.zeros(SIDE, SIDE)
    assert np.array_equal(show_inversion(easel.generator, inversion, [], nothing, nothing), inversion.picture)


@given(boxes, st.integers(1, 4))
@settings(max_examples=30)
def test_growing_and_nearness_are_those_of_loops(box, by):
    mask = mark(*box)
    there = torch.from_numpy(mask).float()
    assert np.array_equal(grow(there, (by, by)).numpy() > 0, ~far_from(mask, by))
    near = measure_nearness(there, (STEP, STEP)).numpy()
    assert np.allclose(near, blurred(~far_from(mask, STEP + STEP // 2)), atol=1e-6)
    assert (near[~far_from(mask, STEP)] == 1).all()
    assert (near[far_from(mask, 2 * STEP)] == 0).all()
    assert np.allclose(blur(there, (STEP, STEP)).numpy(), blurred(mask), atol=1e-6)


def test_a_painting_on_a_photo_goes_through_json(easel, inversion):
    stroke = Stroke("early", (0,), Bitmap.of(mark(4, 4, 8, 8)), "erase")
    painting = Painting(inversion.key, (stroke,))
    value = describe_painting(painting, easel)
    assert value["image"] == inversion.key
    assert read_painting(value, easel) == painting
    with pytest.raises(UsageError, match="not open here"):
        read_painting({**value, "image": "0" * 16}, easel)
    with pytest.raises(UsageError, match="whole number"):
        read_painting({**value, "image": None}, easel)
    with pytest.raises(UsageError, match="not open here"):
        replace(easel, photos={}).show(painting)
    with pytest.raises(UsageError, match="other weights"):
        easel.place(replace(inversion, digest="other"))
