"""Units as rows: in words, as records, as a frame, and as `units.csv`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from unitscope.concepts.vocabulary import Concept
from unitscope.dissection.recipe import Recipe
from unitscope.doors import TEXTS
from unitscope.networks.network import Network
from unitscope.plugins import find_function
from unitscope.results import Result, find_drawer
from unitscope.tables import Cells, Table, guard_cell, write_tables

COLUMNS = (
    "layer", "unit", "concept", "category", "iou", "iou_low", "iou_high", "p_value", "q_value", "detector",
    "threshold", "active_pixels", "concept_pixels", "intersection", "runner_up", "runner_up_iou",
    "heldout_iou",
)  # fmt: skip
"""The columns of `units.csv`, of `rows()` and of `to_frame()`: docs/files.md.

Where units belong to heads of attention, `head_unit` is one more; where they are named by another score than
IoU, `score`.
"""

_TEXTS = ("layer", "concept", "category", "runner_up")


class Units(Result):
    """Units as rows: in words, as records, as a frame, and as `units.csv`."""

    def units(self) -> Iterable["Unit"]:
        """The units, in order."""
        raise NotImplementedError

    def tables(self) -> Mapping[str, Table]:
        """`units.csv`: a row a unit, with the columns of docs/files.md."""
        units = list(self.units())
        columns = _choose_columns(units)
        left = [place for place, name in enumerate(columns) if name in (*_TEXTS, "head_unit")]
        rows = tuple(unit.figures(columns) for unit in units)
        return {"units.csv": Table(columns, rows, left)}

    def cells(self) -> Iterator[Cells]:
        """The rows of `units.csv`: numbers with nine significant digits, names safe in a spreadsheet."""
        units = list(self.units())
        columns = _choose_columns(units)
        yield list(columns)
        for unit in units:
            yield [_spell(figure) for figure in unit.figures(columns)]

    def text(self, **chosen: Any) -> str:
        """The units in words, as `unitscope show` prints them; `chosen` is what `show` can be asked for.

        See `unitscope.views.terminal.show_dissection`.
        """
        place = find_drawer(TEXTS, self)
        return super().text() if place is None else str(find_function(place)(self, **chosen))

    def save(self, folder: str | Path) -> Path:
        """Writes `units.csv` into a folder, which is made; the folder.

        Raises `RunError` where it cannot be written.
        """
        write_tables(Path(folder), {"units.csv": self.cells()})
        return Path(folder)


def _choose_columns(units: Iterable["Unit"]) -> tuple[str, ...]:
    some = list(units)
    heads = ("head_unit",) if any(unit.head_unit for unit in some) else ()
    return (*COLUMNS, *heads, *(("score",) if any(unit.score == unit.score for unit in some) else ()))


def _spell(figure: Any) -> str:
    if isinstance(figure, float):
        return f"{figure:.9g}"
    return guard_cell(figure or "") if figure is None or isinstance(figure, str) else str(int(figure))


def name_unit(unit: int, units: int, heads: int) -> str:
    """What one of `units` units is called: its number, or HEAD.UNIT where they belong to heads of attention.

    >>> name_unit(20, 64, 4), name_unit(20, 64, 0)
    ('1.4', '20')
    """
    head, inner = divmod(unit, units // max(heads, 1))
    return f"{head}.{inner}" if heads else str(unit)


@dataclass(frozen=True)
class Unit(Units):
    """One row of `units.csv`: a unit with its name and the evidence for it.

    `concept` is None for a dead unit. `iou` and its interval are fractions, areas are in mask
    pixels over all images. `head_unit` is HEAD.UNIT for a unit of a head of attention, such as 3.17, else
    nothing; `probe` is what its direction is called where that is known, as the concept of a probe is
    (category/label), whatever `concept` it was found to overlap; `score` is what the concept was chosen by,
    where that is not IoU, else NaN; `recipe` is that of its run.
    """

    layer: str
    unit: int
    concept: Concept | None
    iou: float
    iou_low: float
    iou_high: float
    p_value: float
    q_value: float
    heldout_iou: float
    detector: bool
    threshold: float
    active_pixels: int
    concept_pixels: int
    intersection: int
    runner_up: Concept | None
    runner_up_iou: float
    head_unit: str = ""
    probe: str = ""
    score: float = float("nan")
    recipe: Recipe | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """What the unit is called in tables: HEAD.UNIT for one of a head of attention, else its number."""
        return self.head_unit or str(self.unit)

    def units(self) -> Iterable["Unit"]:
        """The unit alone."""
        return (self,)

    def mask(self, image: object, network: Network | None = None) -> Bool[np.ndarray, "row column"]:
        """Where the unit is active in a picture, at mask size: the mask that its run counts.

        The picture is uint8[y, x, 3] of any size, a PIL image, or the path of a file. Of many units or
        pictures at once, and of `network`, see `LayerDissection.masks`, which raises the same.
        """
        # Imported here: what reads pictures by the run's rules is built on what runs are.
        from unitscope.dissection.masks import draw_masks

        threshold = {self.unit: self.threshold}
        dead = () if self.active_pixels else (self.unit,)
        found: np.ndarray = next(draw_masks(self.recipe, self.layer, threshold, [image], network, dead))[0]
        return found

    def text(self, **chosen: Any) -> str:
        """The columns of the unit, a line each."""
        columns = _choose_columns([self])
        return (
            Table(("", ""), tuple(zip(columns, self.figures(columns), strict=True)), (0, 1)).text().lstrip()
        )

    def figures(self, columns: Sequence[str] = COLUMNS) -> tuple[Any, ...]:
        """The values of the columns, concepts by name, None for no label."""
        named = {
            "concept": self.concept and self.concept.name,
            "category": self.concept and self.concept.category,
            "runner_up": self.runner_up and self.runner_up.name,
        }
        return tuple(named[name] if name in named else getattr(self, name) for name in columns)
