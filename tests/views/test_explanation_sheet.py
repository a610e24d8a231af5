"""The picture of an explanation: regions, outlines, and what is written beside them."""

import numpy as np

from unitscope.concepts.vocabulary import Concept
from unitscope.interventions.explained_images import ExplainedImage
from unitscope.interventions.explanation import Explanation
from unitscope.views.explanation_sheet import TILE, draw_explanation, draw_region


def explained(units=7, method="exact", size=(48, 64), truth=None, shown=6):
    rng = np.random.default_rng(0)
    maps = rng.random((units, 4, 4), np.float32)
    parts = rng.normal(size=units)
    logits = np.array([parts.sum() + 0.25, -1.0, -2.0])
    found = Explanation("net", "conv", ("a_b", "c", "d"), 0, logits, 0.25, parts, maps, method)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    labels = {unit: Concept(unit + 1, f"thing with a very long name {unit}", "part") for unit in (0, 3)}
    return ExplainedImage("image", image, found, labels, truth, shown)


def test_outside_of_the_region_is_dark_and_its_edge_is_white():
    image = np.full((10, 10, 3), 200, np.uint8)
    region = np.zeros((40, 40), bool)
    region[10:20, 10:30] = True
    drawn = np.asarray(draw_region(image, region))
    assert (drawn[region] == 200).all()
    assert (drawn[9, 10:30] == 255).all()
    assert (drawn[30:] == int(200 * 0.28)).all()


def test_the_sheet_grows_with_its_units_and_is_always_the_same():
    small, large = (draw_explanation(explained(shown=shown)) for shown in (3, 7))
    assert large.height - small.height > TILE // 2
    assert large.width == small.width
    assert draw_explanation(explained(shown=7)).tobytes() == large.tobytes()


def test_tall_images_keep_their_proportions():
    tall = draw_explanation(explained(size=(90, 30), truth=1))
    assert tall.height > draw_explanation(explained(size=(30, 90), truth=1)).height


def test_sums_add_up_and_a_gap_is_shown():
    exact = explained()
    assert [name for name, _ in exact.sums] == ["6 units shown", "1 other units", "without any unit"]
    assert np.isclose(sum(value for _, value in exact.sums), exact.explanation.logit)
    rough = explained(method="gradient times activation", truth=0)
    assert rough.sums[-1][0] == "what the sum misses"
    text = rough.text()
    assert "(right)" in text
    assert "an approximation" in text
    assert draw_explanation(rough).size == draw_explanation(exact).size
