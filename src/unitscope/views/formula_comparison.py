"""Names by formulas of two runs, unit by unit: which words of them stay."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unitscope.dissection.formula_names import FormulaNames, fit_of
from unitscope.errors import UsageError
from unitscope.results import Result
from unitscope.statistics.formulas import Formula
from unitscope.tables import Table, align, clean

COLUMNS = (
    "first", "second", "layer", "unit", "name_before", "name_after", "words_shared", "words",
    "iou_before", "iou_after",
)  # fmt: skip
CHANGES_SHOWN = 20


@dataclass(frozen=True)
class NamePair:
    """A unit in two runs: of all `words` of both names, concepts by name and category, `shared` are in both.

    Its names are `before` and `after`, empty where it has none.
    """

    first: str
    second: str
    layer: str
    unit: int
    before: str
    after: str
    shared: int
    words: int
    iou_before: float
    iou_after: float

    @property
    def overlap(self) -> float:
        """Shared words among all of both names, 0 to 1; two units without a name agree."""
        return self.shared / self.words if self.words else 1.0


@dataclass(frozen=True)
class FormulaComparison(Result):
    """Names by formulas of runs, each run's units beside those of the first."""

    pairs: tuple[NamePair, ...]

    def tables(self) -> dict[str, Table]:
        """`formulas.csv`, a row for every unit that two runs have."""
        rows = tuple(
            (one.first, one.second, one.layer, one.unit, one.before, one.after, one.shared, one.words,
             one.iou_before, one.iou_after)
            for one in self.pairs
        )  # fmt: skip
        return {"formulas.csv": Table(COLUMNS, rows, (0, 1, 2, 4, 5), digits=9)}

    def text(self) -> str:
        """How many units keep their name, or words of it; then those that changed most."""
        groups = dict.fromkeys((one.first, one.second, one.layer) for one in self.pairs)
        return "\n\n".join(self._say(*group) for group in groups) or "no layer is in both runs"

    def _say(self, first: str, second: str, layer: str) -> str:
        units = [one for one in self.pairs if (one.first, one.second, one.layer) == (first, second, layer)]
        same = sum(one.before == one.after for one in units)
        some = sum(one.shared > 0 or not one.words for one in units)
        overlap = sum(one.overlap for one in units) / len(units)
        title = (
            f"{clean(layer)}, {clean(first)} -> {clean(second)}: {same} of {len(units)} units keep their name"
            f" by a formula, {some} a word of it; {overlap:.1%} of the words are shared"
        )
        changed = sorted(
            (one for one in units if one.before != one.after), key=lambda one: (one.overlap, one.unit)
        )
        rows = [["unit", "before", "after", "IoU after", "shared"]]
        for one in changed[:CHANGES_SHOWN]:
            shared = f"{one.shared} of {one.words}"
            rows.append([str(one.unit), one.before or "-", one.after or "-", f"{one.iou_after:.3f}", shared])
        rest = len(changed) - CHANGES_SHOWN
        table = [align(rows, left=(1, 2))] if changed else []
        return "\n".join([title, *table, *([f"and {rest:,} more"] if rest > 0 else [])])

    def describe(self) -> dict[str, Any]:
        """The rows, ready for JSON."""
        return {"rows": self.rows()}


def compare_formulas(named: Mapping[str, FormulaNames]) -> FormulaComparison:
    """Puts names by formulas side by side: each run's layers beside those of the first, unit by unit.

    Layers are compared that have the same name, and of them the units that both have. Raises `UsageError` for
    fewer than two runs.
    """
    if len(named) < 2:
        raise UsageError("names by formulas of one run were given; give those of another as well")
    first, *others = named
    return FormulaComparison(tuple(pair for other in others for pair in _pair(named, first, other)))


def _pair(named: Mapping[str, FormulaNames], first: str, second: str) -> Iterator[NamePair]:
    before, after = named[first], named[second]
    for name, layer in before.layers.items():
        others = {one.unit: one for one in after.layers[name].units} if name in after.layers else {}
        for one in layer.units:
            if one.unit not in others:
                continue
            other = others[one.unit]
            words = _list_words(before, one.name), _list_words(after, other.name)
            yield NamePair(
                first,
                second,
                name,
                one.unit,
                before.spell(one.name),
                after.spell(other.name),
                len(words[0] & words[1]),
                len(words[0] | words[1]),
                fit_of(one.name),
                fit_of(other.name),
            )


def _list_words(found: FormulaNames, formula: Formula | None) -> set[tuple[str, str]]:
    concepts = [] if formula is None else [found.vocabulary[one] for one in formula.concepts]
    return {(one.name, one.category) for one in concepts}
