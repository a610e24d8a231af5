"""What the sheets of pictures share: type, inks, the edge of a region, and the label of a unit."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw, ImageFont

from unitscope.concepts.vocabulary import Concept
from unitscope.errors import writing
from unitscope.views.palette import category_color

PAPER, INK, FAINT = (255, 255, 255), (27, 27, 25), (102, 102, 95)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def open_font(size: int) -> Font:
    """The font of all sheets, at a size in pixels."""
    return ImageFont.load_default(size)


def fit(pen: ImageDraw.ImageDraw, text: str, room: int, font: Font) -> str:
    """A text cut to a width in pixels, as drawn in the font, with an ellipsis where it was longer."""
    while len(text) > 1 and pen.textlength(text, font) > room:
        text = f"{text[:-2]}…"
    return text


def find_edge(region: Bool[np.ndarray, "row column"]) -> Bool[np.ndarray, "row column"]:
    """The pixels just outside of a region.

    >>> find_edge(np.array([[True, False, False]])).tolist()
    [[False, True, False]]
    """
    wider = region.copy()
    wider[1:] |= region[:-1]
    wider[:-1] |= region[1:]
    wider[:, 1:] |= region[:, :-1]
    wider[:, :-1] |= region[:, 1:]
    return np.asarray(wider & ~region)


def write_label(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], wide: int, unit: int, label: Concept | None, size: int
) -> None:
    """A unit's label behind a mark in the color of its category, its number on the right; or its number."""
    x, y = corner
    if label is None:
        pen.text((x, y), f"unit {unit}", INK, open_font(size))
        return
    font = open_font(size)
    pen.rounded_rectangle((x, y + size - 10, x + 9, y + size - 1), 3, category_color(label.category))
    pen.text((x + size + 1, y), fit(pen, label.label, wide - 5 * size, font), INK, font)
    pen.text((x + wide, y + 14 - size), f"unit {unit}", FAINT, open_font(size - 2), anchor="ra")


def save_picture(picture: Image.Image, path: Path) -> None:
    """Writes a PNG. Raises `RunError` where it cannot be written."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, "PNG", optimize=True)
