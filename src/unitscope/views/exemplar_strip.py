"""A unit in one row of pictures: its top images, dark where it is silent."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.result import Dissection, LayerDissection

SILENT = 0.28


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
        image = dissection.frame.fit_image(source[index].image)
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
