"""The page of units described by words: the surest of every layer with their images, and what was asked."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from unitscope.concepts.frames import Frame, show_bands
from unitscope.concepts.unlabeled import gather_pictures
from unitscope.concepts.vocabulary import ConceptSource, Example
from unitscope.errors import UsageError
from unitscope.experiments.describing.descriptions import Descriptions, LayerWords
from unitscope.progress import follow_each
from unitscope.views.generator_pages import save_sheet
from unitscope.views.pages import page_environment, write_page

TILES, SIDE, GAP = 6, 112, 4
SHOWN = 60
"""Of every layer so many units are on the page; all are in words.csv."""


def write_words_page(found: Descriptions, out: str | Path, *, pictures: object = None) -> Path:
    """Writes `index.html` and its pictures into the folder `out`; the path of the page.

    Of every layer it has the 60 units whose words are the surest. With `pictures`, the images that were
    described (a source or a list), each has the 6 of its largest responses.

    Raises `UsageError` where the pictures are others in number, `RunError` where the folder cannot be
    written.
    """
    source = None if pictures is None else gather_pictures(pictures)
    if source is not None and len(source) != found.about["images"]:
        wanted = f"the {found.about['images']} that were described"
        raise UsageError(f"the page was given {len(source)} pictures; give {wanted}")
    folder = Path(out)
    rows = found.rows()
    parts = []
    for place, layer in enumerate(found.layers):
        own = [row for row in rows if row["layer"] == layer.layer and row["word"] is not None]
        own.sort(key=lambda row: (1.0 if row["q_value"] is None else row["q_value"], -row["score"]))
        units = follow_each(own[:SHOWN], f"drawing {layer.layer}", "units")
        cards = [_draw_card(row, layer, place, folder, source) for row in units]
        parts.append({"layer": layer, "cards": cards, "shown": len(cards)})
    page = page_environment().get_template("words.html")
    return write_page(page.render(found=found, about=found.about, parts=parts), folder)


def _draw_card(
    row: dict[str, Any], layer: LayerWords, place: int, folder: Path, source: ConceptSource | None
) -> dict[str, Any]:
    """A unit as the page shows it: its row, and the file of its strip of images where there is one."""
    if source is None:
        return {**row, "strip": ""}
    tiles = [_shrink(source[image]) for image in layer.top[row["unit"], :TILES].tolist()]
    strip = np.full((SIDE, len(tiles) * (SIDE + GAP) - GAP, 3), 255, np.uint8)
    for rank, tile in enumerate(tiles):
        strip[:, rank * (SIDE + GAP) : rank * (SIDE + GAP) + SIDE] = tile
    file = f"pictures/{place}-{row['unit']}.jpg"
    save_sheet(Image.fromarray(strip), folder / file)
    return {**row, "strip": file}


def _shrink(example: Example) -> UInt8[np.ndarray, "y x 3"]:
    picture = Example(example.key, show_bands(example.image))
    return Frame((SIDE, SIDE), (SIDE, SIDE)).fit(picture).image
