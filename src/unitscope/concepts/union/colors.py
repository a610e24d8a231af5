"""The 11 basic color names of a pixel.

English has 11 basic color terms (Berlin and Kay 1969); Broden names every pixel of every image with one
of them, spelled as in `COLOR_NAMES`. Broden took them from a published table learned from web images
(van de Weijer et al. 2009). That table is not used here: a pixel is named by the rules of `RULES`, by
lightness, chroma and hue in Oklab (Ottosson 2020), in which hues keep their name as they get darker or
paler. The rules were set by hand on shades that most people name alike, so near the borders between two
names they may differ from the table's, and from yours.

As in the table, all colors of a cube of 8x8x8 RGB values have the same name.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float64, UInt16

from unitscope.axes import Pixels
from unitscope.concepts.vocabulary import Concept

_NAMES = "black blue brown grey green orange pink purple red white yellow"
COLOR_NAMES = tuple(_NAMES.split())
"""The names in the order of their ids, spelled as in Broden."""

COLOR_CONCEPTS = tuple(Concept(place, f"{name}-c", "color") for place, name in enumerate(COLOR_NAMES, 1))
"""The same as concepts, ids 1 to 11."""

_STEP = 8
_LEVELS = 256 // _STEP

Bounds = tuple[float | int, float | int]


@dataclass(frozen=True)
class Shades:
    """A region of Oklab that has one name: bounds of hue in degrees, lightness and chroma.

    Lower bounds belong to the region, upper ones do not. `hue` may pass through 360.
    """

    name: str
    hue: Bounds = (0, 360)
    lightness: Bounds = (0, 2)
    chroma: Bounds = (0, 1)


RULES = (
    # too dark or too dull to have a hue (the pale blue of skies has one)
    Shades("black", lightness=(0, 0.12)),
    Shades("black", lightness=(0, 0.25), chroma=(0, 0.07)),
    Shades("black", lightness=(0.25, 0.31), chroma=(0, 0.035)),
    Shades("blue", (200, 280), lightness=(0.60, 2), chroma=(0.025, 0.035)),
    Shades("grey", lightness=(0.31, 0.87), chroma=(0, 0.035)),
    Shades("white", lightness=(0.87, 2), chroma=(0, 0.035)),
    Shades("white", (40, 120), lightness=(0.87, 2), chroma=(0, 0.045)),
    # reds: pale ones are pink, dull ones brown
    Shades("pink", (18, 36), lightness=(0.70, 2), chroma=(0, 0.17)),
    Shades("brown", (18, 36), lightness=(0, 0.70), chroma=(0, 0.12)),
    Shades("red", (18, 36)),
    # oranges: strong ones are orange or, if dark, red; the others brown, or pink and yellow if pale
    Shades("orange", (36, 82), lightness=(0.60, 2), chroma=(0.13, 1)),
    Shades("orange", (60, 82), lightness=(0.83, 2), chroma=(0.09, 0.13)),
    Shades("red", (36, 42), lightness=(0, 0.60), chroma=(0.14, 1)),
    Shades("brown", (36, 82), lightness=(0, 0.83)),
    Shades("pink", (36, 70), lightness=(0.83, 2)),
    # yellows: dark or dull ones are brown on the orange side and green on the other
    Shades("yellow", (70, 115), lightness=(0.83, 2)),
    Shades("yellow", (82, 115), lightness=(0.70, 0.83), chroma=(0.09, 1)),
    Shades("brown", (82, 103)),
    Shades("green", (103, 190)),
    Shades("blue", (190, 291)),
    Shades("purple", (291, 335)),
    # beyond purple: pale is pink, dark goes from purple over red to brown
    Shades("pink", (335, 18), lightness=(0.60, 2)),
    Shades("purple", (335, 350)),
    Shades("red", (350, 18), chroma=(0.10, 1)),
    Shades("purple", (350, 5)),
    Shades("brown", (5, 18)),
)
"""The names by region; the first that holds a color names it."""


def name_colors(image: Pixels) -> UInt16[np.ndarray, "y x"]:
    """The basic color of every pixel of an RGB image, as ids: 1 is black, 11 yellow, 0 never occurs.

    The ids are those of `COLOR_CONCEPTS`; `COLOR_NAMES[id - 1]` is the name.

    >>> image = np.array([[[255, 0, 0], [135, 206, 235], [139, 90, 43]]], np.uint8)
    >>> [COLOR_NAMES[color - 1] for color in name_colors(image)[0]]
    ['red', 'blue', 'brown']
    """
    cell = (image // _STEP).astype(np.intp)
    named: np.ndarray = color_table()[(cell[..., 0] * _LEVELS + cell[..., 1]) * _LEVELS + cell[..., 2]]
    return named


@cache
def color_table() -> UInt16[np.ndarray, "32768"]:
    """The id of every cube of 8x8x8 colors, at index `(R // 8 * 32 + G // 8) * 32 + B // 8`.

    A cube has the name of its center.
    """
    levels = np.arange(_LEVELS) * _STEP + (_STEP - 1) / 2
    cubes = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    table = np.zeros(len(cubes), np.uint16)
    lightness, chroma, hue = measure_color(cubes)
    for shades in reversed(RULES):
        start, stop = shades.hue
        inside = (hue - start) % 360 < ((stop - start) % 360 or 360)
        for values, (low, high) in ((lightness, shades.lightness), (chroma, shades.chroma)):
            inside &= (low <= values) & (values < high)
        table[inside] = COLOR_NAMES.index(shades.name) + 1
    table.setflags(write=False)
    return table


def measure_color(
    colors: Float64[np.ndarray, "color 3"],
) -> tuple[Float64[np.ndarray, "color"], Float64[np.ndarray, "color"], Float64[np.ndarray, "color"]]:
    """Lightness (0 to 1), chroma (0 to about 0.32) and hue (degrees) in Oklab of sRGB colors of 0 to 255.

    Ottosson, "A perceptual color space for image processing", 2020.

    >>> [round(float(value[0]), 3) for value in measure_color(np.array([[0.0, 0.0, 255.0]]))]
    [0.452, 0.313, 264.052]
    """
    encoded = colors / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    lab = np.cbrt(linear @ _CONES.T) @ _OPPONENTS.T
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360
    return lab[:, 0], np.hypot(lab[:, 1], lab[:, 2]), hue


_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OPPONENTS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
