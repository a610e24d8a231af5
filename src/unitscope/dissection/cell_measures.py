"""How well single units tell the classes of cells, by the measures that autoencoders are compared by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Int32

from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError, UsageError, say_near
from unitscope.results import Result
from unitscope.statistics.cell_labels import CellRule
from unitscope.statistics.cell_scores import TAUS, TOP, CellScores, Probes, score_cells
from unitscope.statistics.labeled_cells import MOST_CLASSES, LabeledCells
from unitscope.statistics.scan import ScanPlan
from unitscope.statistics.threads import Threads
from unitscope.tables import Table

Unlabeled = Literal["negative", "class"]
"""What cells without a label are: cells of no class, or of one more class, `NO_LABEL`."""

NO_LABEL = "no label"

CLASS_COLUMNS = (
    *("layer", "concept", "category", "unit", "weight", "bias", "train_ce", "val_ce", "ap", "purity"),
    *("purity_of_class", "positive_rate", "train_cells", "val_cells"),
)
LAYER_COLUMNS = (
    *("layer", "units", "probe_r", "map", "map_seen", *(f"coverage_{tau:g}" for tau in TAUS), "purity"),
    *("purity_of_class", "without_purity", "l0", "nmse", "classes", "classes_seen"),
)


@dataclass(frozen=True)
class CellRules:
    """What the classes of cells are: the concepts of one category, by default of the vocabulary's first.

    A cell is of the commonest of all that its pixels are (`cells` "majority"), or of the commonest concept if
    it has any ("foreground"). Cells without a label are of no class (`unlabeled` "negative"), or of one more
    ("class"). Raises `UsageError` for other words.
    """

    cells: CellRule = "majority"
    category: str | None = None
    unlabeled: Unlabeled = "negative"

    def __post_init__(self) -> None:
        for name, kinds in (("cells", CellRule), ("unlabeled", Unlabeled)):
            if getattr(self, name) not in get_args(kinds):
                wanted = ", ".join(get_args(kinds))
                raise UsageError(f"{name} is {getattr(self, name)!r}; it is one of {wanted}")

    def choose(self, vocabulary: Vocabulary) -> tuple[Concept, ...]:
        """The classes, in the order of ids; where cells without a label are one, the first is `NO_LABEL`.

        Raises `UsageError` for a category that the vocabulary has not, or of too many concepts.
        """
        known = vocabulary.categories
        if self.category is not None and self.category not in known:
            near = say_near(self.category, known) or f"; there are {', '.join(known)}"
            raise UsageError(f"the source has no category {self.category!r}{near}")
        chosen = known[0] if self.category is None else self.category
        found = sorted((one for one in vocabulary if one.category == chosen), key=lambda one: one.id)
        if len(found) > MOST_CLASSES:
            raise UsageError(f"category {chosen} has {len(found)} concepts; {MOST_CLASSES} can be told apart")
        none = [Concept(0, NO_LABEL, chosen)] if self.unlabeled == "class" else []
        return (*none, *found)

    def say(
        self, trained: str, validated: str, classes: Sequence[Concept], mask_size: tuple[int, int]
    ) -> dict[str, str]:
        """In words what was measured: on which images, of which classes, with labels of that size."""
        parts = {"negative": "cells of no class", "class": f"one more class, {NO_LABEL!r}"}
        commonest = {
            "majority": "the commonest of all that its pixels are; of equals no label, then the lowest id",
            "foreground": "the commonest concept in it where there is any; of equals the lowest id",
        }
        return {
            "trained on": trained,
            "validated on": validated,
            "classes": f"{len(classes)} of category {classes[-1].category}",
            "a cell's class": commonest[self.cells],
            "cells without a label": parts[self.unlabeled],
            "labels": f"of {mask_size[0]} x {mask_size[1]} pixels",
            "purity": f"of the {TOP} highest cells; units with fewer cells above 0 are left out",
        }


@dataclass(frozen=True, eq=False)
class LayerCells:
    """What one layer's units know of cells; `nmse` is NaN where it was not measured."""

    layer: str
    units: int
    scores: CellScores
    nmse: float = float("nan")

    def summary(self) -> dict[str, Any]:
        """The layer's figures by the columns of `cell_summary.csv`."""
        found = self.scores
        return {
            "layer": self.layer,
            "units": self.units,
            "probe_r": found.probe_r,
            "map": found.mean_ap,
            "map_seen": found.mean_ap_seen,
            **{f"coverage_{tau:g}": found.coverage(tau) for tau in TAUS},
            "purity": found.mean_purity,
            "purity_of_class": found.mean_own_purity,
            "without_purity": int((~found.judged).sum()),
            "l0": found.active,
            "nmse": self.nmse,
            "classes": len(found.ap),
            "classes_seen": int((found.seen > 0).sum()),
        }


@dataclass(frozen=True, eq=False)
class CellMeasures(Result):
    """How well single units tell classes of cells; made by `measure_cells`, or by a dissection.

    `found[layer]` is a `LayerCells`. `classes` are the concepts, in the order of all arrays; where cells
    without a label are a class, the first is `NO_LABEL`, of id 0. `rules` says in words what was measured.
    """

    layers: Mapping[str, LayerCells]
    classes: tuple[Concept, ...]
    rules: Mapping[str, str]

    def __getitem__(self, layer: str) -> LayerCells:
        """One layer; raises `UsageError` for a name that is none of them."""
        if layer not in self.layers:
            raise UsageError(f"there is no layer {layer!r}; there are {', '.join(self.layers)}")
        return self.layers[layer]

    def tables(self) -> dict[str, Table]:
        """`cells.csv`, a row for every class of a layer, and `cell_summary.csv`, a row for every layer."""
        rows = [row for found in self.layers.values() for row in self._list(found)]
        tables = {"cells.csv": Table.of(rows, CLASS_COLUMNS), "cell_summary.csv": self._summarize()}
        return {name: replace(table, digits=9) for name, table in tables.items()}

    def text(self) -> str:
        """The summary of every layer, and by which rules."""
        said = "\n".join(f"{name}: {rule}" for name, rule in self.rules.items())
        return f"{replace(self._summarize(), digits=4).text()}\n\n{said}"

    def describe(self) -> dict[str, Any]:
        """Summaries, rules, and a record for every class."""
        return {"layers": self._summarize().records(), "rules": dict(self.rules), "rows": self.rows()}

    def _summarize(self) -> Table:
        return Table.of([found.summary() for found in self.layers.values()], LAYER_COLUMNS)

    def _list(self, found: LayerCells) -> list[dict[str, Any]]:
        scores, probes = found.scores, found.scores.probes
        columns = {
            "weight": probes.weight,
            "bias": probes.bias,
            "train_ce": probes.loss,
            "val_ce": scores.loss,
            "ap": scores.ap,
            "purity": scores.purity,
            "purity_of_class": scores.own_purity,
            "positive_rate": scores.positive_rate,
            "train_cells": scores.trained,
            "val_cells": scores.seen,
        }
        rows = []
        for place, concept in enumerate(self.classes):
            unit = int(probes.unit[place])
            named = {"layer": found.layer, "concept": concept.name, "category": concept.category}
            figures = {name: column[place].item() for name, column in columns.items()}
            rows.append({**named, "unit": unit if unit >= 0 else None, **figures})
        return rows


def number_classes(vocabulary: Vocabulary, classes: Sequence[Concept]) -> Int32[np.ndarray, "id"]:
    """The place of every concept's class by its id, -1 where it is none."""
    places = np.full(vocabulary.size, -1, np.int32)
    for place, concept in enumerate(classes):
        if concept.id:
            places[concept.id] = place
    return places


def check_grids(plan: ScanPlan) -> None:
    """Raises `UsageError` for a map that is finer than the labels, some of whose cells would have none."""
    for layer, tail in plan.tails.items():
        (rows, columns), (height, width) = tail.raw_size, plan.frame.mask_size
        if rows > height or columns > width:
            raise UsageError(
                f"the map of layer {layer} has {rows} x {columns} cells, more than the labels' {height} x "
                f"{width} pixels; name a later layer, or give a larger size"
            )


def score_halves(train: LabeledCells, validation: LabeledCells, threads: Threads) -> CellScores:
    """What cells say that are learned from, and measured on. Raises `SourceError` where none has a class."""
    for half, name in ((train, "train"), (validation, "validate")):
        if not half.cells[:-1].any():
            raise SourceError(
                f"no cell of the images to {name} on has a class; give more images, another category, or "
                "cells=foreground"
            )
    return score_cells(train, validation, threads)


def join_scores(
    scores: Mapping[str, tuple[int, CellScores | None]],
    rules: CellRules,
    vocabulary: Vocabulary,
    spec: str,
    mask_size: tuple[int, int],
) -> CellMeasures:
    """The scores of a run's layers, with their numbers of units, as one value; `spec` opens its images."""
    classes = rules.choose(vocabulary)
    found = {layer: LayerCells(layer, units, one) for layer, (units, one) in scores.items() if one}
    return CellMeasures(found, classes, rules.say(f"{spec},half=train", "half=test", classes, mask_size))


_SCORES = ("loss", "entropy", "ap", "purity", "own_purity", "positive_rate", "trained", "seen")
_PROBES = ("unit", "weight", "bias", "loss")


def name_scores(scores: CellScores) -> dict[str, np.ndarray]:
    """All arrays of scores, by the names that they have in a layer's file: docs/files.md."""
    found = {f"class_{name}": getattr(scores, name) for name in _SCORES}
    found |= {f"class_probe_{name}": getattr(scores.probes, name) for name in _PROBES}
    return {**found, "class_active": np.array([scores.active])}


def restore_scores(arrays: Mapping[str, np.ndarray]) -> CellScores | None:
    """The scores that `name_scores` gave, None where there are none. Raises `LookupError`, `ValueError`."""
    if "class_active" not in arrays:
        return None
    probes = Probes(*(arrays[f"class_probe_{name}"] for name in _PROBES))
    scores = {name: arrays[f"class_{name}"] for name in _SCORES}
    if len({array.shape for array in (*scores.values(), *vars(probes).values())}) != 1:
        raise ValueError("its classes differ in number")
    return CellScores(probes, **scores, active=float(arrays["class_active"][0]))
