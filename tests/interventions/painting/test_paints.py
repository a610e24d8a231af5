"""The palette: which concepts can be painted, by which units of which layer."""

import pytest

from generated import CELLS, PAINTS, UNITS, planted_studio
from unitscope.errors import UsageError
from unitscope.interventions.painting.easel import Easel, Paint, find_paints, try_paints
from unitscope.interventions.unit_values import measure_layers


@pytest.fixture(scope="module")
def studio():
    return planted_studio()


def test_paints_are_the_concepts_that_units_detect_with_the_units_that_paint_them(studio):
    paints = {paint.concept.name: paint for paint in find_paints(studio.run)}
    assert set(paints["ball"].units["maps"][:2]) == set(PAINTS[2])
    found = studio.run["maps"]
    detected = [one.name for one in studio.vocabulary if found.iou[:, one.id].max() > 0.04]
    assert sorted(paints) == sorted(detected)
    assert [paint.concept.name for paint in find_paints(studio.run, shown={2})] == ["ball"]


def test_what_cannot_be_painted_with_is_refused(studio):
    with pytest.raises(UsageError, match="layer none was not dissected; the run has maps"):
        find_paints(studio.run, ["none"])
    with pytest.raises(UsageError, match="nothing to paint with"):
        find_paints(studio.run, shown=set())


def test_a_paint_that_draws_is_told_from_one_that_does_not(studio):
    generator, segmenter = studio.generator, studio.segmenter
    levels = measure_layers(generator, ["maps"], segmenter, 64)
    easel = Easel(generator, segmenter, levels, {"maps": (UNITS, CELLS, CELLS)})
    ball = studio.vocabulary[2]
    good, bad = (Paint(ball, {"maps": units}, "maps") for units in (PAINTS[2], (8,)))
    [tried] = try_paints(easel, [good])
    assert tried.reach > 0.9
    [tried] = try_paints(easel, [bad])
    assert tried.reach == 0
