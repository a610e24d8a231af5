"""Colors are named as a person would name them, and every color has a name."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitscope.concepts.union.colors import (
    COLOR_CONCEPTS,
    COLOR_NAMES,
    color_table,
    measure_color,
    name_colors,
)


def names_of(*colors: str) -> list[str]:
    pixels = np.array([[int(color[i : i + 2], 16) for i in (0, 2, 4)] for color in colors], np.uint8)
    return [COLOR_NAMES[color - 1] for color in name_colors(pixels[None])[0]]


SHADES = {
    "black": "000000 101010 1a1a1a 0a0a14 141c14 1e1410",
    "blue": "0000ff 000080 4169e1 87ceeb add8e6 1e90ff 6495ed 4682b4 00bfff 191970 b0e0e6 3c6ea5 14285a",
    "brown": "8b4513 a0522d 654321 964b00 5c4033 8b5a2b 855e42 c19a6b 6b4423 4a2c2a 7b5c3c a67b5b d2b48c",
    "grey": "808080 a9a9a9 696969 505050 c0c0c0 5a5f64 8a8784",
    "green": "008000 00ff00 228b22 006400 90ee90 32cd32 2e8b57 6b8e23 556b2f 4c7a2e 87a96b 98fb98 004225",
    "orange": "ffa500 ff8c00 ff7f00 ff7518 e67e22 f28500 ff6600 ffb347",
    "pink": "ffc0cb ff69b4 ff1493 ffb6c1 db7093 e75480 f4c2c2 ffa6c9 e0a0a8",
    "purple": "800080 8a2be2 9400d3 4b0082 9370db ba55d3 663399 8b008b 5d3a66 301934 b57edc 702963",
    "red": "ff0000 dc143c b22222 cc0000 a01010 e03030 c8102e ff2400",
    "white": "ffffff f5f5f5 fffafa f0f8ff fffff0 faf0e6 f0f0f0",
    "yellow": "ffff00 ffd700 fff44f f0e68c ffef00 e6d200 ffe135 c8b400 dcc850",
}


@pytest.mark.parametrize("name", COLOR_NAMES)
def test_shades_that_people_name_alike_have_that_name(name: str) -> None:
    colors = SHADES[name].split()
    assert dict(zip(colors, names_of(*colors), strict=True)) == dict.fromkeys(colors, name)


def test_things_of_photographs_have_their_color() -> None:
    skin, wood, sky, grass, overcast = "c58c6d", "8b5a2b", "7ba7d9", "4c7a2e", "eceef0"
    assert names_of(skin, wood, sky, grass, overcast) == ["brown", "brown", "blue", "green", "white"]


def test_grays_go_from_black_over_grey_to_white() -> None:
    ramp = names_of(*(f"{level:02x}" * 3 for level in range(256)))
    changes = [ramp[0]] + [b for a, b in pairwise(ramp) if a != b]
    assert changes == ["black", "grey", "white"]


def test_every_color_has_a_name_and_every_name_a_color() -> None:
    table = color_table()
    assert table.shape == (32_768,)
    assert set(table.tolist()) == set(range(1, 12))


def test_concepts_carry_brodens_names() -> None:
    names = ["black", "blue", "brown", "grey", "green", "orange", "pink", "purple", "red", "white", "yellow"]
    assert [concept.label for concept in COLOR_CONCEPTS] == names
    assert [concept.id for concept in COLOR_CONCEPTS] == list(range(1, 12))
    assert {concept.category for concept in COLOR_CONCEPTS} == {"color"}


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_a_pixel_has_the_name_of_its_cube(color: tuple[int, int, int]) -> None:
    red, green, blue = (value // 8 for value in color)
    named = name_colors(np.array([[color]], np.uint8))
    assert named[0, 0] == color_table()[(red * 32 + green) * 32 + blue]


def test_reference_colors_lie_where_oklab_puts_them() -> None:
    colors = np.array([[255.0, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 0]])
    lightness, chroma, hue = measure_color(colors)
    np.testing.assert_allclose(lightness, [1, 0.628, 0.866, 0], atol=1e-3)
    np.testing.assert_allclose(chroma, [0, 0.258, 0.295, 0], atol=1e-3)
    np.testing.assert_allclose(hue[1:3], [29.23, 142.5], atol=0.01)
