"""A contact sheet: images beside their labels, drawn in the colors of the categories."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageColor, ImageDraw, ImageFont

from unitscope.concepts.frames import Frame, show_bands
from unitscope.concepts.vocabulary import ConceptSource, Example, Vocabulary
from unitscope.errors import UsageError
from unitscope.files import whole_file
from unitscope.views.drawing import find_edge
from unitscope.views.palette import category_color

_SIDE, _GAP, _CAPTION = 168, 12, 34
_PANELS, _NAMES, _NAMED_PIXELS = 5, 5, 60
_INK, _PAPER, _FAINT = (32, 32, 32), (255, 255, 255), (120, 120, 120)


def preview_source(source: ConceptSource, out: str | Path, count: int = 24, seed: int = 0) -> Path:
    """A PNG with `count` images of the source, drawn by `seed`, each beside its labels; the path written.

    Every category of pixel labels has a panel of its own: the image in gray under the category's color,
    lighter and darker from concept to concept, with the names of the largest regions; void pixels are
    hatched. Under an image stand its key and the labels of the whole image. The same source, count and
    seed give the same picture.

    Raises `UsageError` where `count` is below 1, `SourceError` where an image cannot be read, `RunError`
    where the file cannot be written.
    """
    if count < 1:
        raise UsageError(f"a contact sheet of {count} images shows nothing; wanted 1 or more")
    if seed < 0:
        raise UsageError(f"the seed of a contact sheet is {seed}; it must be 0 or more")
    chosen = sorted(np.random.default_rng(seed).permutation(len(source))[:count].tolist())
    cells = [_draw_cell(source[index], source.vocabulary) for index in chosen]
    columns = max(1, min(len(cells), 1200 // max(cell.width for cell in cells)))
    width = max(cell.width for cell in cells) + _GAP
    height = _SIDE + _CAPTION + _GAP
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), _PAPER)
    for place, cell in enumerate(cells):
        sheet.paste(cell, (_GAP + place % columns * width, _GAP + place // columns * height))
    with whole_file(Path(out), "name another file") as unfinished:
        sheet.save(unfinished, "PNG")
    return Path(out)


def _draw_cell(example: Example, vocabulary: Vocabulary) -> Image.Image:
    shown = replace(example, image=show_bands(example.image))
    small = Frame((_SIDE, _SIDE), (_SIDE, _SIDE)).fit(shown)
    panels = [Image.fromarray(small.image), *_draw_labels(small, vocabulary)]
    cell = Image.new("RGB", (len(panels) * (_SIDE + 4) - 4, _SIDE + _CAPTION), _PAPER)
    for place, panel in enumerate(panels):
        cell.paste(panel, (place * (_SIDE + 4), 0))
    draw, font = ImageDraw.Draw(cell), ImageFont.load_default(11)
    width = max(len(panels) * 26, 26)
    draw.text((0, _SIDE + 3), _shorten(example.key, width), _FAINT, font)
    left = 0.0
    for concept in (vocabulary[number] for number in example.ids if number in vocabulary):
        draw.text((left, _SIDE + 17), concept.label, category_color(concept.category), font)
        left += draw.textlength(concept.label, font) + 8
    return cell


def _draw_labels(small: Example, vocabulary: Vocabulary) -> list[Image.Image]:
    """One panel for every category among the pixel labels, or one of void alone."""
    gray = (small.image.mean(axis=-1) * 0.45 + 130).astype(np.uint8)
    faint = np.repeat(gray[..., None], 3, axis=-1)
    if small.void is not None:
        faint[small.void & (np.indices((_SIDE, _SIDE)).sum(0) % 8 < 2)] = 90  # hatched
    present = [number for number in np.unique(small.planes).tolist() if number in vocabulary]
    categories = [c for c in vocabulary.categories if any(vocabulary[n].category == c for n in present)]
    panels = []
    for category in categories[:_PANELS]:
        numbers = [number for number in present if vocabulary[number].category == category]
        masks = {number: (small.planes == number).any(axis=0) for number in numbers}
        panels.append(_draw_panel(faint, masks, vocabulary, category))
    if not panels and small.void is not None:
        panels.append(Image.fromarray(faint))
    return panels


def _draw_panel(
    faint: UInt8[np.ndarray, "y x 3"], masks: dict[int, np.ndarray], vocabulary: Vocabulary, category: str
) -> Image.Image:
    canvas = faint.astype(np.float64)
    color = np.array(ImageColor.getrgb(category_color(category)), np.float64)
    for place, mask in enumerate(masks.values()):
        shade = color * (1, 0.7, 1.25, 0.5)[place % 4]
        canvas[mask] = 0.35 * canvas[mask] + 0.65 * shade.clip(0, 255)
        canvas[outline(mask)] = 255
    panel = Image.fromarray(canvas.clip(0, 255).astype(np.uint8))
    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(11)
    seen = {number: mask for number, mask in masks.items() if mask.sum() >= _NAMED_PIXELS}
    largest = sorted(seen.items(), key=lambda item: (-int(item[1].sum()), item[0]))[:_NAMES]
    for number, mask in largest:
        name, (row, column) = _shorten(vocabulary[number].label, 24), _deepest(mask)
        width = draw.textlength(name, font)
        left = float(np.clip(column - width / 2, 2, max(2.0, _SIDE - width - 2)))
        top = float(np.clip(row - 7, 1, _SIDE - 15))
        draw.rectangle((left - 2, top, left + width + 1, top + 13), _PAPER)
        draw.text((left, top), name, _INK, font)
    return panel


def _deepest(mask: Bool[np.ndarray, "y x"]) -> tuple[int, int]:
    """A pixel far from the region's edge, where a name hides least of its outline."""
    left = mask.copy()
    left[[0, -1]] = left[:, [0, -1]] = False
    while left.any():
        mask, left = left, left & ~outline(left)
    rows, columns = np.nonzero(mask)
    middle = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
    return int(rows[middle]), int(columns[middle])


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else "…" + text[1 - length :]


def outline(mask: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """The pixels of a region that touch what is not of it, the picture's edge aside.

    >>> outline(np.array([[True, True, True, False]])).tolist()
    [[False, False, True, False]]
    """
    return find_edge(~mask)
