"""What the sheets of pictures share."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from unitscope.concepts.vocabulary import Concept
from unitscope.views.drawing import PAPER, find_edge, fit, open_font, write_label


@pytest.mark.parametrize("size", [11, 13, 14])
def test_a_text_is_cut_to_what_the_font_it_is_drawn_in_needs(size):
    pen, font = ImageDraw.Draw(Image.new("RGB", (400, 40))), open_font(size)
    text = "matters to mountain lake and harbor"
    cut = fit(pen, text, 132, font)
    assert cut.endswith("…")
    assert pen.textlength(cut, font) <= 132 < pen.textlength(f"{text[: len(cut)]}…", font)
    assert fit(pen, text, 400, font) == text


def test_the_edge_lies_just_outside():
    region = np.zeros((5, 6), bool)
    region[2, 2:4] = True
    assert np.argwhere(find_edge(region)).tolist() == [[1, 2], [1, 3], [2, 1], [2, 4], [3, 2], [3, 3]]
    assert not find_edge(np.ones((3, 3), bool)).any()


@pytest.mark.parametrize("label", [None, Concept(1, "a label that is much too long for one tile", "object")])
def test_labels_stay_within_their_tile(label):
    sheet = Image.new("RGB", (200, 40), PAPER)
    write_label(ImageDraw.Draw(sheet), (20, 8), 132, "1234", label, 13)
    inked = (np.asarray(sheet) != 255).any((0, 2)).nonzero()[0]
    assert inked.min() >= 19
    assert inked.max() <= 152
