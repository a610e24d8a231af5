"""What the sheets of pictures share: type, inks, the edge of a region, a unit's label and its top images."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw, ImageFont

from unitscope.concepts.frames import show_bands
from unitscope.concepts.vocabulary import Concept, ConceptSource
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.errors import writing
from unitscope.views.palette import category_color

PAPER, INK, FAINT = (255, 255, 255), (27, 27, 25), (102, 102, 95)
SILENT = 0.28
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
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], wide: int, unit: str, label: Concept | None, size: int
) -> None:
    """A unit's label behind a mark in the color of its category, its name on the right; or its name."""
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
        picture.save(path, "PNG")  # to optimize takes three times as long for one byte of a hundred


def pick_units(layer: LayerDissection, count: int) -> list[int]:
    """The best unit of each of the `count` best detected concepts, best first."""
    labels = layer.labels
    chosen: dict[int, int] = {}
    for unit in np.argsort(-labels.best_iou, kind="stable").tolist():
        if labels.detector[unit]:
            chosen.setdefault(int(labels.best[unit]), unit)
    return list(chosen.values())[:count]


def draw_strip(
    dissection: Dissection, source: ConceptSource, layer: str, unit: int, *, count: int = 6, side: int = 96
) -> Image.Image:
    """The unit's `count` top images side by side, each `side` pixels, darkened where it is not above
    its threshold."""
    found = dissection[layer]
    strip = Image.new("RGB", (count * (side + 4) - 4, side), (255, 255, 255))
    for rank, index in enumerate(found.exemplars.images[unit, :count].tolist()):
        if index < 0:
            continue
        image = dissection.frame.fit_image(show_bands(source[index].image))
        lit = draw_mask(found.exemplars.mask_runs(unit, rank), found.mask_size)
        mask = Image.fromarray(lit * np.uint8(255)).resize((side, side), Image.Resampling.BILINEAR)
        picture = Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS)
        dark = Image.fromarray((np.asarray(picture) * SILENT).astype(np.uint8))
        strip.paste(Image.composite(picture, dark, mask), (rank * (side + 4), 0))
    return strip


def draw_mask(runs: np.ndarray, size: tuple[int, int]) -> UInt8[np.ndarray, "row column"]:
    """Runs of (row, first column, column after the last) as a mask of zeros and ones."""
    mask = np.zeros(size, np.uint8)
    for row, start, stop in runs.tolist():
        mask[row, start:stop] = 1
    return mask


def draw_sheet(images: list[np.ndarray], columns: int, side: int, gap: int = 2) -> Image.Image:
    """Images in rows of `columns`, each `side` pixels."""
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (side + gap) - gap, rows * (side + gap) - gap), (255, 255, 255))
    for place, image in enumerate(images):
        cell = Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(cell, (place % columns * (side + gap), place // columns * (side + gap)))
    return sheet
