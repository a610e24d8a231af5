"""What a study of removal found: its figures, its tables, its graph, and what the command prints."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.dissection.units import name_unit
from unitscope.files import write_whole
from unitscope.interventions.edits import Reach
from unitscope.interventions.importance import (
    TOP,
    By,
    Correlation,
    Group,
    Importance,
    Signs,
    correlate_ranks,
    count_signs,
    group_by_classes,
    group_by_importance,
    list_edges,
    mean_drop,
    shared_units,
)
from unitscope.interventions.sweeps import Kind, Level, Sweep, average_sweeps
from unitscope.results import Result
from unitscope.tables import Table, align, plain

FEW, MANY = 4, 20
"""How many units the paper's table removes (paper B, fig. 2b)."""
MEASURES: tuple[By, ...] = ("accuracy", "margin", "contrast")
REMOVAL_COLUMNS = ("class", "kind", "count", "draw", "balanced_accuracy", "recall", "overall_accuracy")
CLASS_COLUMNS = ("class", "kind", "count", "balanced_accuracy", "balanced_low", "balanced_high",
                 "overall_accuracy", "overall_low", "overall_high")  # fmt: skip
MEAN = "(mean)"
NAME_LETTERS = 24
SPOKEN: dict[Reach, str] = {
    "all": "class tokens, registers and patches",
    "patches": "patches",
    "class": "class tokens",
}


def table_counts(units: int) -> tuple[int, int]:
    """How many units the table removes of a layer: 4 and 20, fewer of one that has no more than 20.

    >>> table_counts(512), table_counts(8)
    ((4, 20), (1, 4))
    """
    return (FEW, MANY) if units > MANY else (max(units // 8, 1), max(units // 2, 1))


@dataclass(frozen=True)
class Pictures:
    """Where the names and pictures of units come from: a run, its images, and the folder it lies in."""

    run: Dissection
    source: ConceptSource
    folder: Path


@dataclass(frozen=True)
class Labelling:
    """IoU by importance: groups of units with their mean IoU, and rank correlations over all units."""

    by_classes: list[Group]
    by_importance: list[Group]
    with_classes: Correlation
    with_importance: Correlation


@dataclass(frozen=True, eq=False)
class Removal(Result):
    """A layer's units removed from a classifier, one by one and many at a time; made by `study_removal`.

    `ranked` is the importance on the images that rank the units, `tested` that on the images that all else
    is measured on: `sweeps`, `correlation[class, unit]` of peak and probability. `named` is the layer's
    dissection where there is one. `tokens` are those that units were removed from, None where the layer
    has no tokens beside patches. `counts` are the numbers of units removed, among them `few` and `many`.
    Units of `heads` of attention are called HEAD.UNIT.

    The main table has a row a class and unit. The page takes `pictures`, for the names and images of units.
    """

    network: str
    layer: str
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    draws: int
    seed: int
    ranking_source: str
    ranking_images: int
    testing_source: str
    testing_images: int
    ranked: Importance
    tested: Importance
    correlation: Float64[np.ndarray, "classes unit"]
    sweeps: tuple[Sweep, ...]
    named: LayerDissection | None = None
    tokens: Reach | None = None
    heads: int = 0

    files = ("importance.csv", "removal.csv", "classes.csv", "graph.json")

    @property
    def units(self) -> int:
        """How many units the layer has."""
        return len(self.ranked.margin[0])

    def name_unit(self, unit: int) -> str:
        """What a unit is called: its number, or HEAD.UNIT where units belong to heads of attention."""
        return name_unit(unit, self.units, self.heads)

    @property
    def targets(self) -> Int64[np.ndarray, "class"]:
        """The classes that were studied, as indices of `classes`."""
        return self.ranked.targets

    @property
    def few(self) -> int:
        """4, as in the paper's table, or fewer in a small layer."""
        return table_counts(self.units)[0]

    @property
    def many(self) -> int:
        """20, as in the paper's table, or fewer in a small layer."""
        return table_counts(self.units)[1]

    @property
    def kinds(self) -> list[tuple[Kind, int, str]]:
        """The columns of the paper's table: what is removed, how many, in words (paper B, fig. 2b)."""
        many = self.many
        rest: dict[Kind, str] = {"random": "{} random", "least": "{} least", "only": "all but {}"}
        most: list[tuple[Kind, int, str]] = [
            ("most", n, f"{n} most") for n in dict.fromkeys((self.few, many))
        ]
        return [
            ("none", 0, "none"),
            *most,
            *((kind, many, words.format(many)) for kind, words in rest.items()),
        ]

    @cached_property
    def levels(self) -> dict[tuple[int | None, Kind, int], Level]:
        """Accuracies by class, kind and count; class None is the mean over classes."""
        found = average_sweeps(self.sweeps, seed=self.seed)
        return {(level.target, level.kind, level.count): level for level in found}

    @cached_property
    def signs(self) -> Signs:
        """How often a class gets likelier where a unit is high."""
        return count_signs(self.correlation, self.ranked)

    @cached_property
    def labelling(self) -> Labelling | None:
        """Importance against IoU, None without a dissection."""
        if self.named is None:
            return None
        iou = self.named.labels.best_iou.astype(np.float64)
        values = self.ranked.matters.sum(0).astype(np.float64), mean_drop(self.ranked)
        correlations = (correlate_ranks(value, iou, seed=self.seed) for value in values)
        groups = group_by_classes(self.ranked, iou), group_by_importance(self.ranked, iou)
        return Labelling(*groups, *correlations)

    def tables(self) -> dict[str, Table]:
        """Importance by class and unit, what every removal left, and the paper's table with intervals."""
        sweeps = (
            (self.classes[one.target], one.kind, one.count, one.draw, one.balanced, one.recall, one.accuracy)
            for one in self.sweeps
        )
        levels = (
            (MEAN if target is None else self.classes[target], level.kind, level.count,
             *level.balanced.ends, *level.accuracy.ends)
            for target, level in self._levels()
        )  # fmt: skip
        return {
            "importance.csv": self._rank_units(),
            "removal.csv": Table(REMOVAL_COLUMNS, tuple(sweeps), left=(0, 1)),
            "classes.csv": Table(CLASS_COLUMNS, tuple(levels), left=(0, 1)),
        }

    def _rank_units(self) -> Table:
        """A row a class and unit, the most important one first; drops on the images that rank, and test."""
        drops = (f"{half}{by}_drop" for half in ("", "test_") for by in MEASURES)
        columns = ("class", "unit", "rank", *drops, "peak_correlation", "concept", "category", "iou")
        names = [self._name(unit) for unit in range(self.units)]
        measured = [getattr(half, by) for half in (self.ranked, self.tested) for by in MEASURES]
        rows = []
        for target in self.targets.tolist():
            for rank, unit in enumerate(self.ranked.order[target].tolist(), 1):
                figures = (float(table[target, unit]) for table in (*measured, self.correlation))
                rows.append((self.classes[target], unit, rank, *figures, *names[unit]))
        table = Table(columns, tuple(rows), left=(0, 10, 11))
        called = (self.name_unit(row[1]) for row in rows)
        return table.extend("head_unit", called) if self.heads else table

    def _name(self, unit: int) -> tuple[str, str, float | None]:
        """A unit's concept, category and IoU: empty where nothing was found, None without a dissection."""
        if self.named is None:
            return "", "", None
        found = self.named[unit]
        return (found.concept.name, found.concept.category, found.iou) if found.concept else ("", "", 0.0)

    def _levels(self) -> list[tuple[int | None, Level]]:
        """The cells of the paper's table, those of the mean over classes first."""
        targets = (None, *self.targets.tolist())
        return [(one, self.levels[one, kind, count]) for one in targets for kind, count, _ in self.kinds]

    def save(self, folder: str | Path) -> Path:
        """Writes importance.csv, removal.csv, classes.csv and graph.json into a folder; the folder.

        Raises `RunError` where they cannot be written.
        """
        write_whole(super().save(folder) / "graph.json", json.dumps(self.graph(), indent=1) + "\n")
        return Path(folder)

    def graph(self) -> dict[str, Any]:
        """The graph of classes and the units that matter to them, ready for JSON; shared units first."""
        edges = list(list_edges(self.ranked))
        nodes = []
        for unit in dict.fromkeys([*shared_units(self.ranked), *sorted(edge.unit for edge in edges)]):
            names: dict[str, Any] = {"head_unit": self.name_unit(unit)} if self.heads else {}
            names |= dict(zip(("concept", "category", "iou"), self._name(unit), strict=True))
            classes = [self.classes[edge.target] for edge in edges if edge.unit == unit]
            nodes.append({"unit": unit, **names, "classes": classes})
        columns = ("class", "unit", "rank", "drop", "peak_correlation")
        rows = (
            (self.classes[e.target], e.unit, e.rank, e.drop, float(self.correlation[e.target, e.unit]))
            for e in edges
        )
        return {
            "network": self.network,
            "layer": self.layer,
            "by": self.ranked.by,
            "classes": [self.classes[target] for target in self.targets.tolist()],
            "units": nodes,
            "edges": Table(columns, tuple(rows)).records(),
        }

    def describe(self) -> dict[str, Any]:
        """The study in short, ready for JSON: the table, signs of correlation, importance against IoU."""
        labelling = self.labelling
        levels = (
            asdict(level) | {"target": None if target is None else self.classes[target]}
            for target, level in self._levels()
        )
        found = {
            "network": self.network,
            "layer": self.layer,
            "units": self.units,
            "by": self.ranked.by,
            "draws": self.draws,
            "ranking": {"source": self.ranking_source, "images": self.ranking_images},
            "testing": {"source": self.testing_source, "images": self.testing_images},
            "table": list(levels),
            "shared_units": len(shared_units(self.ranked)),
            "positive_correlations": asdict(self.signs),
            "iou_with_classes": None if labelling is None else asdict(labelling.with_classes),
            "iou_with_importance": None if labelling is None else asdict(labelling.with_importance),
        }
        return dict(plain(found if self.tokens is None else found | {"tokens": self.tokens}))

    def text(self) -> str:
        """The paper's table, balanced accuracy / that of all classes, in percent, and the `findings`."""
        rows = [["removed", *(words for _, _, words in self.kinds)]]
        for target in (None, *self.targets.tolist()):
            name = f"mean of {len(self.targets)}" if target is None else self.classes[target][:NAME_LETTERS]
            levels = [self.levels[target, kind, count] for kind, count, _ in self.kinds]
            cells = (f"{100 * one.balanced.value:.1f} / {100 * one.accuracy.value:.1f}" for one in levels)
            rows.append([name, *cells])
        return "\n".join([align(rows, left=(0,)), "", *self.findings])

    @property
    def findings(self) -> list[str]:
        """The figures beside the table, a line each."""
        levels, many = self.levels, self.many
        kinds: tuple[tuple[Kind, int], ...] = (("none", 0), ("most", many), ("random", many), ("only", many))
        whole, gone, lots, kept = (levels[None, kind, count].balanced.spell(".3f") for kind, count in kinds)
        shared = len(shared_units(self.ranked))
        lines = [
            f"balanced accuracy {whole}; without the {many} most important units {gone}, "
            f"without {many} random ones {lots}, with nothing but the {many} {kept}",
            f"{shared} units are among the {TOP} most important ones of several classes",
            f"peak and class rise together in {self.signs.important:.0%} of important pairs, "
            f"in {self.signs.every:.0%} of all",
        ]
        if self.tokens is not None:
            lines.append(f"units were removed from {SPOKEN[self.tokens]}")
        if found := self.labelling:
            classes = ("the number of classes a unit matters to", found.with_classes)
            lines += [
                f"rank correlation of IoU with {name}: {one.spell('.2f')}, "
                f"shuffled {one.chance_low:.2f} to {one.chance_high:.2f}"
                for name, one in (classes, ("mean importance", found.with_importance))
            ]
        return lines
