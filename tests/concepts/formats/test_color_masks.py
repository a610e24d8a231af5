"""Masks whose colors say what is where, and masks of objects that lie over each other."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from unitscope.concepts.formats.color_masks import ColorFiles, ColorTable, voc_palette
from unitscope.concepts.formats.mask_values import name_values
from unitscope.concepts.formats.voc.pascal_parts import stack_masks
from unitscope.errors import SourceError

bands = st.integers(0, 3)
colors = st.tuples(bands, bands, bands)


@given(st.lists(colors, min_size=1, max_size=9), st.lists(colors, min_size=4, max_size=4))
def test_the_table_is_asked_for_every_pixel(
    table: list[tuple[int, int, int]], pixels: list[tuple[int, int, int]]
) -> None:
    codes = np.array([red * 65536 + green * 256 + blue for red, green, blue in pixels], np.uint32).reshape(
        2, 2
    )
    numbers, listed = ColorTable(tuple(table), "the list").number(codes)
    wanted = [table.index(color) if color in table else 0 for color in pixels]
    assert numbers.ravel().tolist() == wanted
    assert listed.ravel().tolist() == [color in table for color in pixels]


def test_the_palette_of_voc_has_256_colors_that_differ() -> None:
    assert len(set(voc_palette().colors)) == 256


def test_lossy_masks_and_other_colors_are_refused(tmp_path: Path) -> None:
    values, _ = name_values({0: ("sky", "object")})
    names = {name: name for name in ("a.jpg", "b.png", "c.png")}
    layer = ColorFiles(tmp_path, names, values, ColorTable(((0, 0, 0),), "the list"))
    Image.new("RGB", (4, 3)).save(tmp_path / "a.jpg")
    Image.new("RGBA", (4, 3), (0, 0, 0, 9)).save(tmp_path / "b.png")
    Image.new("RGB", (4, 3), (0, 9, 255)).save(tmp_path / "c.png")
    with pytest.raises(SourceError, match=r"a.jpg: colors of RGB in JPEG are not exact; store the mask as"):
        layer.read("a.jpg")
    labels = layer.read("b.png")
    assert labels is not None
    assert labels.planes.tolist() == [[[1] * 4] * 3]
    with pytest.raises(
        SourceError, match=r"c.png: the mask has the color \(0, 9, 255\), which the list does"
    ):
        layer.read("c.png")
    assert layer.read("d.png") is None


@given(
    st.dictionaries(
        st.integers(1, 9), st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=6
    )
)
def test_stacked_masks_are_all_there_once(drawn: dict[int, list[bool]]) -> None:
    masks = {number: np.array(pixels).reshape(2, 3) for number, pixels in drawn.items()}
    planes = stack_masks(masks)
    for number, mask in masks.items():
        np.testing.assert_array_equal((planes == number).sum(axis=0), mask)
    assert len(planes) <= len(masks)
