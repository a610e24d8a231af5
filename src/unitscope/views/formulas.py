"""Names by formulas as colored words with small maps: a page, a piece for a notebook, a terminal."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unitscope.concepts.frames import show_bands
from unitscope.concepts.vocabulary import Concept, ConceptSource
from unitscope.dissection.formula_names import (
    LISTED,
    FormulaNames,
    LayerFormulas,
    UnitFormula,
    fit_of,
    rank_units,
)
from unitscope.dissection.reopening import reopen_source
from unitscope.dissection.result import Dissection
from unitscope.errors import UnitscopeError
from unitscope.progress import follow_each
from unitscope.statistics.formulas import Formula
from unitscope.statistics.level_counts import lay_labels
from unitscope.tables import clean
from unitscope.views.drawing import draw_mask
from unitscope.views.pages import page_environment, write_page
from unitscope.views.palette import category_color

SHOWN, MAPS, SIDE = 24, 4, 112
"""So many units of a layer have maps on the page, so many images each, with sides of so many pixels."""
FEW = (6, 3)
"""The same in a notebook."""
SHADES = (0.85, 0.5, 0.3)
"""How dark the regions of the first, second and third concept of one category are."""


@dataclass(frozen=True)
class Word:
    """A piece of a formula: a concept, or what joins two."""

    text: str
    concept: Concept | None = None


@dataclass(frozen=True)
class Map:
    """One image: its picture as an address, and its map at mask size: paths, colors, opacities of an SVG."""

    picture: str
    width: int
    height: int
    paths: tuple[tuple[str, str, float], ...]


def spell_words(found: FormulaNames, formula: Formula | None) -> list[Word]:
    """A formula in pieces, read from the left."""
    if formula is None:
        return []
    words = [Word("(")] * max(0, len(formula) - 2)
    for place, concept in enumerate(formula.concepts):
        words += [Word(formula.joins[place - 1])] if place else []
        words.append(Word(found.vocabulary[concept].label, found.vocabulary[concept]))
        words += [Word(")")] if 0 < place < len(formula) - 1 else []
    return words


def color_formulas(found: FormulaNames) -> str:
    """`found.text()` with concepts in the colors of their categories, as a terminal shows them."""
    parts = []
    for layer in found.layers.values():
        head, *lines = found.list_units(layer.units).split("\n")
        painted = [
            _paint(found, line, one) for line, one in zip(lines, rank_units(layer.units), strict=False)
        ]
        parts += [found.summarize(layer), "\n".join([head, *painted, *lines[len(painted) :]])]
    return "\n\n".join(parts)


def _paint(found: FormulaNames, line: str, one: UnitFormula) -> str:
    if one.name is None:
        return line
    painted = {}
    for concept in one.name.concepts:
        inks = bytes.fromhex(category_color(found.vocabulary[concept].category)[1:])
        name = clean(found.names[concept], None)
        painted[concept] = f"\x1b[38;2;{inks[0]};{inks[1]};{inks[2]}m{name}\x1b[39m"
    # A name that was too long for the column is left as it is.
    return line.replace(clean(found.spell(one.name), None), one.name.spell(painted), 1)


def formulas_html(found: FormulaNames) -> str:
    """The best units of every layer for a notebook, self-contained; `FormulaNames._repr_html_` shows it."""
    source = _open(found)
    layers = [_describe(found, layer, source, *FEW) for layer in found.layers.values()]
    return page_environment().get_template("formulas_notebook.html").render(layers=layers)


def write_formulas(found: FormulaNames, out: Path, source: ConceptSource | str | None = None) -> Path:
    """Writes `index.html` and its style into a folder: every unit with a name, the best with maps; its path.

    Maps show where units are active in their top images, and where the parts of their formulas are; they are
    left out where the images cannot be opened again, by the run or as `source`.

    Raises `RunError` where the folder cannot be written.
    """
    opened = _open(found, source)
    layers = [_describe(found, layer, opened, SHOWN, MAPS) for layer in found.layers.values()]
    found.save(out)
    text = page_environment().get_template("formulas.html").render(found=found, layers=layers)
    return write_page(text, Path(out))


def _open(found: FormulaNames, source: ConceptSource | str | None = None) -> ConceptSource | None:
    """The images of the run, None where there are none any more."""
    if found.run is None:
        return None
    try:
        return reopen_source(found.run, source)
    except UnitscopeError:
        if source is not None:
            raise
        return None


def _describe(
    found: FormulaNames, layer: LayerFormulas, source: ConceptSource | None, shown: int, maps: int
) -> dict[str, Any]:
    """What the templates need of a layer; `shown` units have maps."""
    ranked = rank_units(layer.units)
    rows = []
    for place, one in enumerate(follow_each(ranked, f"maps of {layer.layer}", "units")):
        drawn = place < shown and source is not None and found.run is not None
        pictures = draw_maps(found, one, source, maps) if drawn and source is not None else []
        refused = [] if one.earned or one.formula == one.single else spell_words(found, one.formula)
        rows.append((one, spell_words(found, one.name), fit_of(one.name), refused, pictures))
    return {
        "layer": layer,
        "summary": found.summarize(layer).splitlines(),
        "rows": rows,
        "listed": LISTED,
        "drawn": any(row[4] for row in rows),
    }


def draw_maps(found: FormulaNames, one: UnitFormula, source: ConceptSource, maps: int) -> list[Map]:
    """The top images of a unit: where it is active, and where the concepts of its name are.

    An image that cannot be read any more is left out.
    """
    run = found.run
    if run is None or one.name is None:
        return []
    exemplars = run[one.layer].exemplars
    drawn = []
    for rank, image in enumerate(exemplars.images[one.unit, :maps].tolist()):
        try:
            example = run.frame.fit(source[image]) if image >= 0 else None
        except (UnitscopeError, OSError, IndexError):
            continue
        if example is None:
            continue
        planes, _ = lay_labels(example, run.frame.mask_size, run.convention.doubles)
        runs = exemplars.mask_runs(one.unit, rank)
        drawn.append(_draw_map(found, one.name, planes, runs, run, example.image))
    return drawn


def _draw_map(
    found: FormulaNames,
    name: Formula,
    planes: np.ndarray,
    runs: np.ndarray,
    run: Dissection,
    image: np.ndarray,
) -> Map:
    height, width = run.frame.mask_size
    regions, used = [], dict[str, int]()
    for place, concept in enumerate(name.concepts):
        category = found.vocabulary[concept].category
        shade = SHADES[min(used.get(category, 0), 2)]
        used[category] = used.get(category, 0) + 1
        barred = place > 0 and name.joins[place - 1] == "AND NOT"
        region = (planes == concept).any(0)
        if region.any():
            regions.append((region, category_color(category), 0.12 if barred else shade))
    regions.sort(key=lambda one: -int(one[0].sum()))  # what is small lies on top
    paths = [(trace_runs(find_runs(region)), color, shade) for region, color, shade in regions]
    mask = draw_mask(runs, (height, width)).astype(bool)
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    edge = mask & ~inner
    if edge.any():
        paths.append((trace_runs(find_runs(edge)), "#1b1b19", 1.0))
    thumbnail = Image.fromarray(show_bands(image))
    thumbnail.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    kept = io.BytesIO()
    thumbnail.save(kept, "JPEG", quality=85)
    address = f"data:image/jpeg;base64,{base64.b64encode(kept.getvalue()).decode()}"
    return Map(address, width, height, tuple(paths))


def find_runs(region: np.ndarray) -> list[tuple[int, int, int]]:
    """A region as runs: row, first column, column after the last.

    >>> find_runs(np.array([[False, True, True], [True, False, True]]))
    [(0, 1, 3), (1, 0, 1), (1, 2, 3)]
    """
    padded = np.pad(region.astype(np.int8), ((0, 0), (1, 1)))
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    return list(zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True))


def trace_runs(runs: Sequence[tuple[int, int, int]]) -> str:
    """The path of an SVG that covers some runs.

    >>> trace_runs([(0, 1, 3)])
    'M1 0h2v1h-2z'
    """
    return "".join(f"M{first} {row}h{stop - first}v1h-{stop - first}z" for row, first, stop in runs)
