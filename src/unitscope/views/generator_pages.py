"""The pages of units taken out of a generator, and put in: figures, pictures before and after, tables."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from unitscope.errors import writing
from unitscope.experiments.erasure_result import WORDS, By, Erasure, Target
from unitscope.experiments.placement import Placement, name_context
from unitscope.interventions.edits import Edit, set_units
from unitscope.interventions.generator_run import Studio
from unitscope.interventions.insertion import Cell, choose_grid, draw_cells, find_context, find_pixels, set_at
from unitscope.interventions.repainting import repaint_pixels
from unitscope.views.figures import load_matplotlib
from unitscope.views.generator_figures import (
    draw_erasure,
    draw_others,
    draw_pairs,
    draw_placement,
    mark_place,
)
from unitscope.views.pages import page_environment, write_page

SHOWN = 8
"""So many pictures of a concept are shown before and after."""
ENOUGH = 0.05
"""They are the first ones with so many of their pixels the concept."""
SEARCHED = 400
_QUALITY = 88

Pictures = list[UInt8[np.ndarray, "y x 3"]]


def find_pictures(studio: Studio, concept: int, numbers: range, count: int = SHOWN) -> list[int]:
    """The first images of these that show enough of a concept; where too few do, those with most of it."""
    shares: dict[int, float] = {}
    enough: list[int] = []
    for place in range(0, min(len(numbers), SEARCHED), 16):
        block = numbers[place : place + 16]
        planes = studio.segmenter(studio.generator.generate(block.start, len(block)))
        found = (planes == concept).any(1).mean((1, 2))
        shares |= dict(zip(block, found.tolist(), strict=True))
        enough = [number for number, share in shares.items() if share >= ENOUGH]
        if len(enough) >= count:
            return enough[:count]
    return sorted(sorted(shares, key=lambda number: -shares[number])[:count])


def paint_pairs(
    studio: Studio, layer: str, numbers: Sequence[int], plan: Callable[[int], Edit]
) -> tuple[Pictures, Pictures]:
    """Pictures of these numbers before and after an edit of a layer."""
    painted = repaint_pixels(
        studio.generator, layer, lambda number, _: plan(number), numbers, title="painting pictures"
    )
    pairs = [versions for _, versions in painted]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def paint_removal(study: Erasure, target: Target, by: By = "iou") -> tuple[Pictures, Pictures]:
    """Pictures that show the target, before and after the most units are removed."""
    units = study.rankings[by][target.concept.id][: study.many]
    edit = set_units(target.layer, units, study.layers[target.layer].units)
    numbers = find_pictures(study.studio, target.concept.id, study.numbers)
    return paint_pairs(study.studio, target.layer, numbers, lambda _: edit)


def write_erasure_page(study: Erasure, out: Path) -> Path:
    """Writes `index.html` with its figures and pictures into the folder `out`; the path of the page.

    Raises `UsageError` where matplotlib is missing, `RunError` where the folder cannot be written.
    """
    load_matplotlib()
    draw_erasure(study, out / "figures" / "erasure.svg")
    draw_others(study, out / "figures" / "others.svg")
    parts = []
    for place, target in enumerate(study.targets):
        file = f"pictures/{place}.jpg"
        save_sheet(draw_pairs(paint_removal(study, target)), out / file)
        parts.append(
            {
                "target": target,
                "picture": file,
                "cover": study.cover(target),
                "removed": {by: study.removed(target, by, study.many) for by in study.kinds},
                "aside": study.aside(target, "iou", study.many),
                "aside_random": study.aside(target, "random", study.many),
                "others": study.others(target, "iou", study.many)[:4],
                "units": study.rankings["iou"][target.concept.id][: study.many],
            }
        )
    return write_page(_render("erasure.html", study=study, parts=parts, words=WORDS), out)


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Writes a picture as JPEG. Raises `RunError` where it cannot be written."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path, quality=_QUALITY)


def _render(template: str, **shown: Any) -> str:
    environment = page_environment()
    environment.filters["share"] = lambda share: share.spell(times=100.0)
    return environment.get_template(template).render(**shown)


def paint_insertion(study: Placement, target: Target, by: By = "iou") -> tuple[Pictures, Pictures]:
    """The first pictures without the target, with a place marked, and the same with its units set there.

    Places are those tried in the study that lie where the effect is largest by context, in the next pictures
    that have such a context at one of their places.
    """
    studio, concept = study.studio, target.concept.id
    cells = studio.layer(target.layer).map_size
    grid = choose_grid(cells, study.across)
    rows = study.contexts(target) or study.contexts(target, 1)
    contexts = [one for one, _ in rows if one != target.concept] or [target.concept]
    wanted = {one.id if one else 0 for one in contexts[: max(1, len(contexts) // 2)]}
    every = len(studio.layer(target.layer))
    value, strength = study.levels[target.layer].value(concept, range(every), study.rule), torch.zeros(every)
    strength[list(study.rankings[by][concept])] = 1
    chosen: dict[int, tuple[Edit, Cell]] = {}
    for number in study.numbers[:SEARCHED]:
        planes = studio.segmenter(studio.generator.generate(number, 1))[0]
        for cell in draw_cells(grid, study.places, number, study.seed):
            if find_context(planes, cell, grid) in wanted:
                chosen[number] = (set_at(target.layer, strength, value, [cell], grid, cells), cell)
                break
        if len(chosen) == SHOWN:
            break
    before, after = paint_pairs(studio, target.layer, list(chosen), lambda number: chosen[number][0])
    marked = [
        mark_place(image, find_pixels(cell, grid, image.shape[:2]))
        for image, (_, cell) in zip(before, chosen.values(), strict=True)
    ]
    return marked, after


def write_placement_page(study: Placement, out: Path) -> Path:
    """Writes `index.html` with its figures and pictures into the folder `out`; the path of the page.

    Raises `UsageError` where matplotlib is missing, `RunError` where the folder cannot be written.
    """
    load_matplotlib()
    parts = []
    for place, target in enumerate(study.targets):
        figure, picture = f"figures/{place}.svg", f"pictures/{place}.jpg"
        draw_placement(study, target, out / figure)
        save_sheet(draw_pairs(paint_insertion(study, target)), out / picture)
        rows = [(name_context(one), kinds) for one, kinds in study.contexts(target)]
        parts.append(
            {
                "target": target,
                "figure": figure,
                "picture": picture,
                "rows": [("everywhere", study.together(target)), *rows],
                "units": study.rankings["iou"][target.concept.id],
            }
        )
    return write_page(_render("placement.html", study=study, parts=parts, words=WORDS), out)
