"""Strokes against the plain way: every stroke a whole edit, one after the other, one picture at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from generated import CELLS, PAINTS, UNITS, WORDS, planted_generator, planted_segmenter
from unitscope.errors import UsageError
from unitscope.interventions.edits import Edit, edited
from unitscope.interventions.painting.easel import Easel, compare_planes
from unitscope.interventions.painting.strokes import Bitmap, Painting, Stroke, merge_strokes
from unitscope.interventions.unit_values import measure_layers
from unitscope.networks.generators import to_pixels

SHAPES = {"maps": (UNITS, CELLS, CELLS)}
BALL, TREE = WORDS[2], WORDS[3]


@pytest.fixture(scope="module")
def easel():
    generator, segmenter = planted_generator(), planted_segmenter()
    return Easel(generator, segmenter, measure_layers(generator, ["maps"], segmenter, 64), SHAPES)


def draw_painting(seed):
    """A painting by lot."""
    rng = np.random.default_rng(seed)

    def draw_stroke():
        units = rng.permutation(UNITS)[: rng.integers(0, 6)]
        return Stroke(
            layer="maps",
            units=tuple(int(unit) for unit in units),
            mask=Bitmap.of(rng.random(rng.integers(1, 10, 2)) < 0.3),
            mode=("draw", "erase")[rng.integers(2)],
            concept=(BALL, TREE)[rng.integers(2)],
            rule=("mean", "quantile", "fullest")[rng.integers(3)],
            strength=(0.0, 0.25, 0.5, 1.0)[rng.integers(4)],
        )

    off = frozenset(("maps", int(unit)) for unit in rng.permutation(UNITS)[: rng.integers(0, 4)])
    return Painting(int(rng.integers(6)), tuple(draw_stroke() for _ in range(rng.integers(0, 5))), off)


def edit_alone(stroke, levels, off):
    """One stroke as an edit of whole maps, unit by unit and cell by cell."""
    strength, value = torch.zeros(1, UNITS, CELLS, CELLS), torch.zeros(1, UNITS, CELLS, CELLS)
    rows, columns = stroke.mask.pixels.shape
    for unit in stroke.units:
        if ("maps", unit) in off:
            continue
        for y in range(CELLS):
            for x in range(CELLS):
                top, bottom = y * rows // CELLS, -(-(y + 1) * rows // CELLS)
                left, right = x * columns // CELLS, -(-(x + 1) * columns // CELLS)
                if stroke.mask.pixels[top:bottom, left:right].any():
                    strength[0, unit, y, x] = stroke.strength
        if stroke.mode == "draw":
            value[0, unit] = levels.value(stroke.concept.id, [unit], stroke.rule)[0]
    return Edit("maps", strength, value)


def paint_alone(easel, painting):
    edits = [edit_alone(stroke, easel.levels["maps"], painting.off) for stroke in painting.strokes]
    batch = easel.generator.feed(np.zeros((1, 1, 1, 3), np.uint8), painting.image)
    with torch.no_grad(), edited(easel.generator, *edits):
        return to_pixels(easel.generator.module(*batch))[0]


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_strokes_do_what_edits_one_after_the_other_do(easel, seed):
    painting = draw_painting(seed)
    merged = merge_strokes(painting.strokes, easel.levels, SHAPES, painting.off)
    maps = torch.rand(1, UNITS, CELLS, CELLS, generator=torch.Generator().manual_seed(0)) * 3
    wanted = maps
    for stroke in painting.strokes:
        wanted = edit_alone(stroke, easel.levels["maps"], painting.off).apply(wanted)
    found = merged[0].apply(maps) if merged else maps
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    far = easel.show(painting).astype(int) - paint_alone(easel, painting)
    assert np.abs(far).max() <= 1


def test_without_strokes_the_picture_is_bit_for_bit_the_generators(easel):
    for image in range(3):
        assert np.array_equal(easel.show(Painting(image)), easel.generator.generate(image, 1)[0])
    stroke = Stroke("maps", PAINTS[2], Bitmap(1, 1, (0, 1)), concept=BALL)
    painted = easel.show(Painting(0, (stroke,)))
    assert not np.array_equal(painted, easel.generator.generate(0, 1)[0])
    off = frozenset(("maps", unit) for unit in PAINTS[2])
    assert np.array_equal(easel.show(Painting(0, (stroke,), off)), easel.generator.generate(0, 1)[0])


def test_a_stroke_paints_its_concept_where_it_goes_and_erasing_takes_it_away(easel):
    corner = np.zeros((16, 16), bool)
    corner[:8, :8] = True
    before = easel.name_pixels(easel.show(Painting(0)))
    drawn = Stroke("maps", PAINTS[2], Bitmap.of(corner), concept=BALL)
    hidden = Stroke("maps", PAINTS[3], Bitmap.of(corner), "erase", concept=TREE)
    after = easel.name_pixels(easel.show(Painting(0, (drawn, hidden))))
    assert ((after == 2).any(0) >= corner).all()
    changes = {change.concept.name: change for change in compare_planes(before, after, WORDS)}
    ball = changes["ball"]
    assert ball.after - ball.before == ball.gained.sum() - ball.lost.sum() > 0
    assert not (ball.gained & ~corner).any()


def test_the_generator_is_left_as_it_was_also_after_an_error(easel):
    module = easel.generator.module
    module.train()
    with pytest.raises(UsageError, match="units 0 to 9, not 10"):
        easel.show(Painting(0, (Stroke("maps", (10,), Bitmap(1, 1, (0, 1)), concept=BALL),)))
    with pytest.raises(UsageError, match="layer 'none' cannot be painted"):
        easel.show(Painting(0, (Stroke("none", (1,), Bitmap(1, 1, (0, 1)), concept=BALL),)))
    easel.show(Painting(0, (Stroke("maps", (1,), Bitmap(1, 1, (0, 1)), concept=BALL),)))
    assert module.training
    assert not module.maps._forward_hooks
    module.eval()


@given(pixels=st.integers(0, 2**32 - 1), rows=st.integers(1, 8), columns=st.integers(1, 8))
def test_runs_are_the_bitmap(pixels, rows, columns):
    drawn = np.random.default_rng(pixels).random((rows, columns)) < 0.5
    bitmap = Bitmap.of(drawn)
    assert np.array_equal(bitmap.pixels, drawn)
    assert Bitmap(rows, columns, bitmap.runs) == bitmap


@pytest.mark.parametrize("runs", [(3,), (5, -1), (2, 3)])
def test_runs_that_are_no_bitmap_are_refused(runs):
    with pytest.raises(UsageError, match="wanted 4"):
        Bitmap(2, 2, runs)
