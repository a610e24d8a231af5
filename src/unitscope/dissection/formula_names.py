"""Units named by formulas over concepts: what is known of each, in words and tables."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np

from unitscope.concepts.vocabulary import Vocabulary
from unitscope.dissection.formula_text import quote_name
from unitscope.dissection.result import Dissection
from unitscope.errors import UsageError
from unitscope.results import Result
from unitscope.statistics.formulas import Formula, Search
from unitscope.tables import Table, align, clean

COLUMNS = (
    "layer", "unit", "formula", "length", "intersection", "union", "iou", "gain", "iou_held_out", "p_value",
    "q_value", "name", "earned", "single", "iou_single", "iou_held_out_single", "iou_held_out_name",
    "optimal", "possible", "draws",
)  # fmt: skip
"""The columns of `formulas.csv`: docs/files.md."""

SURE = 0.05
"""Units with a q-value below are counted as found."""
LISTED = 20
"""So many units of a layer are listed in words."""


@dataclass(frozen=True)
class UnitFormula:
    """The formula of one unit, and what is known of it; `formula` is None for a unit that shares nothing.

    `single` is the best concept alone in the same arithmetic, unions over all images. `held_out` is the IoU
    of what was named on one half of the images on the other half, both ways, averaged; `held_out_single` that
    of the best single concept, and `held_out_name` that of whichever the gate takes on each half, asking that
    half alone. `earned` says whether the formula passes the gate over all images, `optimal` whether no
    formula of that length fits better, `possible` what none of them exceeds. `p_value` is NaN where there is
    no null, otherwise among so many `draws`. `range` is the range of activation, None for all above the
    threshold.
    """

    layer: str
    unit: int
    formula: Formula | None
    single: Formula | None
    held_out: float
    held_out_single: float
    held_out_name: float
    earned: bool
    optimal: bool
    possible: float
    p_value: float
    q_value: float
    draws: int
    range: int | None = None

    @property
    def title(self) -> str:
        """The unit's number, with the range behind a colon where it is one of several."""
        return str(self.unit) if self.range is None else f"{self.unit}:{self.range}"

    @property
    def name(self) -> Formula | None:
        """What the unit is called: the formula where it earns its length, else the best single concept."""
        return self.formula if self.earned else self.single

    @property
    def gain(self) -> float:
        """By how much the IoU is above that of the best single concept."""
        return fit_of(self.formula) - fit_of(self.single)


@dataclass(frozen=True)
class LayerFormulas:
    """The formulas of a layer's units, and what chance gives.

    `chance_sure` is the share of units with a q-value below .05 where null draws are taken for the truth, and
    `chance_iou` the mean IoU of their formulas; NaN without a `null`.
    """

    layer: str
    units: tuple[UnitFormula, ...]
    chance_sure: float
    chance_iou: float
    null: bool

    def mean(self, figure: Callable[[UnitFormula], float]) -> float:
        """The mean of a figure over the units that have a formula, 0 for none."""
        found = [figure(one) for one in self.units if one.formula is not None]
        return float(np.mean(found)) if found else 0.0


@dataclass(frozen=True, eq=False)
class FormulaNames(Result):
    """Units named by formulas, layer by layer; made by `find_formulas`.

    `print(found)` says what formulas are worth and lists the best; `rows()`, `to_frame()` and `save(folder)`
    give a row for every unit, and `found["layer5"]` one layer. `run` is what they were found in.
    """

    layers: Mapping[str, LayerFormulas]
    vocabulary: Vocabulary
    search: Search
    without: tuple[str, ...] = ()
    run: Dissection | None = None

    def __getitem__(self, layer: str) -> LayerFormulas:
        """One layer; raises `UsageError` for a name that is none of them."""
        if layer not in self.layers:
            raise UsageError(f"there are no formulas of layer {layer!r}; layers are {', '.join(self.layers)}")
        return self.layers[layer]

    @cached_property
    def names(self) -> dict[int, str]:
        """How every concept is written in a formula, by its id: with its category where names are shared."""
        words = list(self.vocabulary)
        counts: dict[str, int] = {}
        for one in words:
            counts[one.name] = counts.get(one.name, 0) + 1
        spelled = {
            one.id: one.name if counts[one.name] == 1 else f"{one.category}/{one.name}" for one in words
        }
        return {number: quote_name(name) for number, name in spelled.items()}

    def spell(self, formula: Formula | None) -> str:
        """A formula in names, such as `(sky OR sea) AND NOT boat`; nothing for None."""
        return "" if formula is None else formula.spell(self.names)

    def units(self) -> Iterator[UnitFormula]:
        """The units of all layers, layer after layer."""
        return (unit for layer in self.layers.values() for unit in layer.units)

    def tables(self) -> dict[str, Table]:
        """`formulas.csv`: a row for every unit."""
        ranges = [one.range for one in self.units()]
        rows = [self._row(one) for one in self.units()]
        columns: tuple[str, ...] = COLUMNS
        if any(one is not None for one in ranges):
            columns = (*COLUMNS, "range")
            rows = [(*row, one) for row, one in zip(rows, ranges, strict=True)]
        left = [COLUMNS.index(name) for name in ("layer", "formula", "name", "single")]
        return {"formulas.csv": Table(columns, tuple(rows), left, digits=9)}

    def _row(self, one: UnitFormula) -> tuple[Any, ...]:
        formula, single = one.formula, one.single
        counts = (0, 0, 0) if formula is None else (len(formula), formula.intersection, formula.union)
        return (
            one.layer, one.unit, self.spell(formula), *counts, fit_of(formula), one.gain, one.held_out,
            one.p_value, one.q_value, self.spell(one.name), one.earned, self.spell(single), fit_of(single),
            one.held_out_single, one.held_out_name, one.optimal, one.possible, one.draws,
        )  # fmt: skip

    def text(self) -> str:
        """What formulas are worth in every layer, and the units that they fit best."""
        parts = ([self.summarize(one), self.list_units(one.units)] for one in self.layers.values())
        return "\n\n".join(text for part in parts for text in part)

    def summarize(self, layer: LayerFormulas) -> str:
        """What formulas are worth in a layer, in lines."""
        named = [one for one in layer.units if one.formula is not None]
        sure = sum(one.q_value < SURE for one in named)
        earned = sum(one.earned for one in named)
        kind = {"exact": "all tried", "beam": f"beam of {self.search.width}"}[self.search.how]
        lines = [
            f"{clean(layer.layer)}: {len(named)} of {len(layer.units)} units have a formula of up to "
            f"{self.search.length} concepts ({kind}), {earned} earn one of several",
            f"mean IoU {layer.mean(lambda one: fit_of(one.formula)):.4f}, best single concept "
            f"{layer.mean(lambda one: fit_of(one.single)):.4f}",
            f"mean IoU held out {layer.mean(lambda one: one.held_out):.4f}, best single concept "
            f"{layer.mean(lambda one: one.held_out_single):.4f}, "
            f"whichever the gate takes {layer.mean(lambda one: one.held_out_name):.4f}",
        ]
        if self.without:
            lines.append(f"without concepts of {', '.join(map(clean, self.without))}")
        if layer.null:
            lines.append(
                f"{sure} units with q < {SURE:g}; labels of other images: {layer.chance_sure:.1%} of units, "
                f"mean IoU {layer.chance_iou:.4f}"
            )
        else:
            lines.append(
                "no p-values: the run has no blocks of images to draw a null from, or no draws were asked"
            )
        ended = sum(not one.optimal for one in named)
        if ended and self.search.how == "exact":
            lines.append(
                f"the search was ended early for {ended} units: their optimum may be higher, up to `possible`"
            )
        return "\n".join(lines)

    def list_units(self, units: Sequence[UnitFormula], most: int = LISTED) -> str:
        """Units that have a name as a table, highest IoU first."""
        ranked = rank_units(units)
        rows = [["unit", "name", "IoU", "gain", "held out", "q", "longer, not earned"]]
        for one in ranked[:most]:
            refused = "" if one.earned or one.formula == one.single else self.spell(one.formula)
            q = f"{one.q_value:.3g}" if isfinite(one.q_value) else "-"
            figures = [f"{fit_of(one.name):.4f}", f"{fit_of(one.name) - fit_of(one.single):.4f}"]
            rows.append([one.title, self.spell(one.name), *figures, f"{one.held_out_name:.4f}", q, refused])
        if len(rows) == 1:
            return "no units"
        lines = align(rows, left=(1, 6)).splitlines()
        rest = len(ranked) - len(rows) + 1
        return "\n".join([*lines, *([f"and {rest:,} more; --out DIR keeps all"] if rest > 0 else [])])


def rank_units(units: Iterable[UnitFormula]) -> list[UnitFormula]:
    """Those that have a name, the best IoU first."""
    named = (one for one in units if one.name is not None)
    return sorted(named, key=lambda one: (-fit_of(one.name), one.unit, one.range or 0))


def fit_of(formula: Formula | None) -> float:
    """The IoU of a formula, 0 for none."""
    return 0.0 if formula is None else formula.iou
