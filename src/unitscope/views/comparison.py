"""Runs or layers side by side: how many detectors, which concepts, which units changed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unitscope.concepts.vocabulary import Concept
from unitscope.dissection.counts import LayerCounts, count_layer
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.errors import UsageError
from unitscope.results import Result
from unitscope.tables import Table, align, clean
from unitscope.views.formula_comparison import FormulaComparison
from unitscope.views.pages import page_environment, write_page

SCHEMA = 1
CHANGES_SHOWN = 20


@dataclass(frozen=True)
class Column:
    """One layer of one run."""

    run: str
    counts: LayerCounts


@dataclass(frozen=True)
class Change:
    """A unit whose label differs between two runs; `iou_change` is the second IoU minus the first.

    `head_unit` is HEAD.UNIT for one of a head of attention, else nothing.
    """

    unit: int
    before: Concept | None
    after: Concept | None
    iou_before: float
    iou_after: float
    head_unit: str = ""

    @property
    def name(self) -> str:
        """What the unit is called: HEAD.UNIT for one of a head of attention, else its number."""
        return self.head_unit or str(self.unit)

    @property
    def iou_change(self) -> float:
        """The second IoU minus the first."""
        return self.iou_after - self.iou_before


@dataclass(frozen=True)
class Pair:
    """A layer of the same name and size in two runs, unit by unit.

    `same` counts units with the same label in both (concept name and category; two units without a
    label agree), `mean_iou_change` averages the difference of their best IoU over all units.
    """

    first: str
    second: str
    layer: str
    units: int
    same: int
    mean_iou_change: float
    changes: tuple[Change, ...]

    @property
    def agreement(self) -> float:
        """Share of units with the same label, 0 to 1."""
        return self.same / self.units if self.units else 1.0


@dataclass(frozen=True)
class Comparison(Result):
    """Runs side by side. Layers stand in the order of the runs; `pairs` compares each run with the first.

    `rows()` and `to_frame()` have a row a layer; `formulas` compares names by formulas, where it is given.
    """

    columns: tuple[Column, ...]
    categories: tuple[str, ...]
    pairs: tuple[Pair, ...]
    formulas: FormulaComparison | None = None

    def tables(self) -> dict[str, Table]:
        """`layers.csv`, a row a layer, and `changes.csv`, a row a unit with another label; `formulas.csv`."""
        head = ("run", "layer", "units", "detectors", "unique_label", "unique_category")
        layers = Table((*head, *(f"unique_{name}" for name in self.categories)), self._figures(), (0, 1))
        names = ["first", "second", "layer", "unit", "concept_before", "category_before"]
        changes = tuple(
            (pair.first, pair.second, pair.layer, one.unit, *_name(one.before), *_name(one.after),
             one.iou_before, one.iou_after)
            for pair in self.pairs for one in pair.changes
        )  # fmt: skip
        names += ["concept_after", "category_after", "iou_before", "iou_after"]
        table = Table(tuple(names), changes, (0, 1, 2, 4, 5, 6, 7), digits=9)
        heads = [one.head_unit for pair in self.pairs for one in pair.changes]
        return {
            "layers.csv": layers,
            "changes.csv": table.extend("head_unit", heads) if any(heads) else table,
            **({} if self.formulas is None else self.formulas.tables()),
        }

    def _figures(self) -> tuple[tuple[Any, ...], ...]:
        return tuple(
            (column.run, one.layer, one.units, one.detectors, one.count(), one.count(rule="category"),
             *map(one.count, self.categories))
            for column in self.columns for one in [column.counts]
        )  # fmt: skip

    def text(self) -> str:
        """The comparison as aligned text."""
        head = ("run", "layer", "units", "detectors", "unique", "by category rule", *self.categories)
        layers = Table(head, self._figures(), (0, 1)).text()
        formulas = [] if self.formulas is None else [self.formulas.text()]
        return "\n\n".join([layers, *(self._pair_text(pair) for pair in self.pairs), *formulas])

    def _pair_text(self, pair: Pair) -> str:
        title = (
            f"{clean(pair.layer)}, {clean(pair.first)} -> {clean(pair.second)}: {pair.same} of {pair.units}"
            f" units keep their label ({pair.agreement:.1%}), mean IoU change {pair.mean_iou_change:+.4f}"
        )
        if not pair.changes:
            return title
        rows = [["unit", "before", "after", "IoU after", "change"]]
        for change in pair.changes[:CHANGES_SHOWN]:
            ratios = [f"{change.iou_after:.3f}", f"{change.iou_change:+.3f}"]
            rows.append([change.name, spell(change.before), spell(change.after), *ratios])
        rest = len(pair.changes) - CHANGES_SHOWN
        return f"{title}\n{align(rows, left=(1, 2))}" + (f"\nand {rest:,} more" if rest > 0 else "")

    def describe(self) -> dict[str, Any]:
        """The comparison ready for JSON, all changes included; `schema` is the version of this form."""
        return {
            "schema": SCHEMA,
            "layers": [{"run": column.run, **column.counts.record()} for column in self.columns],
            "pairs": [_describe(pair) for pair in self.pairs],
            **({} if self.formulas is None else {"formulas": self.formulas.rows()}),
        }

    def page(self, folder: str | Path, **shown: Any) -> Path:
        """Writes `index.html`, its style sheet, `layers.csv` and `changes.csv`; the path of the page.

        Raises `RunError` where the folder cannot be written.
        """
        self.save(folder)
        largest = max((column.counts.count() for column in self.columns), default=0) or 1
        template = page_environment().get_template("comparison.html")
        return write_page(template.render(comparison=self, largest=largest), Path(folder))


def compare_runs(
    dissections: Mapping[str, Dissection], formulas: FormulaComparison | None = None
) -> Comparison:
    """Put runs side by side, or the layers of one run.

    Layers that have the same name and number of units in the first run and in another are compared
    unit by unit; `formulas`, of `unitscope.views.compare_formulas`, is shown with them.

    Raises `UsageError` where there is nothing to compare.
    """
    columns = tuple(
        Column(run, count_layer(layer))
        for run, dissection in dissections.items()
        for layer in dissection.layers.values()
    )
    if len(columns) < 2:
        raise UsageError("there is one layer in all; give another run, or a run with several layers")
    names = [name for one in dissections.values() for name in one.vocabulary.categories]
    first, *others = dissections.items()
    pairs = tuple(
        compare_layers(first[0], layer, run, other[name])
        for run, other in others
        for name, layer in first[1].layers.items()
        if name in other.layers and len(other[name]) == len(layer)
    )
    return Comparison(columns, tuple(dict.fromkeys(names)), pairs, formulas)


def compare_layers(first: str, before: LayerDissection, second: str, after: LayerDissection) -> Pair:
    """The units of a layer in two runs, those with another label listed, largest IoU change first."""
    difference = after.labels.best_iou - before.labels.best_iou
    changes = [
        Change(old.unit, old.concept, new.concept, old.iou, new.iou, old.head_unit)
        for old, new in zip(before, after, strict=True)
        if _name(old.concept) != _name(new.concept)
    ]
    changes.sort(key=lambda change: (-abs(change.iou_change), change.unit))
    mean = float(difference.mean()) if len(difference) else 0.0
    units = len(before)
    return Pair(first, second, before.layer, units, units - len(changes), mean, tuple(changes))


def _describe(pair: Pair) -> dict[str, Any]:
    changes = [asdict(change) for change in pair.changes]
    for change in changes:
        if not change["head_unit"]:
            del change["head_unit"]
    return {**asdict(pair), "changes": changes, "agreement": pair.agreement}


def _name(concept: Concept | None) -> tuple[str, str]:
    """What makes two concepts of different runs the same: name and category, not the id."""
    return ("", "") if concept is None else (concept.name, concept.category)


def spell(concept: Concept | None) -> str:
    """A concept with its category."""
    return "-" if concept is None else f"{clean(concept.label)} ({clean(concept.category)})"
