"""How well single units tell the classes of cells, by the measures that autoencoders are compared by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32
from torch import Tensor

from unitscope.concepts.derived import DerivedSource, source_spec, split_source
from unitscope.concepts.vocabulary import Concept, ConceptSource, Vocabulary
from unitscope.dissection.activations import read_batches
from unitscope.dissection.arguments import Fit, check_asked, check_concepts
from unitscope.dissection.batches import settle_passes
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.planning import plan_scan
from unitscope.errors import SourceError, UsageError, say_near
from unitscope.networks.addresses import leave_directions
from unitscope.networks.borrowing import placed
from unitscope.networks.directions.directions import Directions
from unitscope.networks.generators import check_source
from unitscope.networks.network import Network
from unitscope.networks.trace import open_lenses
from unitscope.networks.verdicts import check_places
from unitscope.results import Result
from unitscope.statistics.cell_labels import CellGrid, CellRule, label_cells
from unitscope.statistics.cell_scores import TAUS, TOP, CellScores, score_cells
from unitscope.statistics.labeled_cells import (
    MOST_CLASSES,
    UNKNOWN,
    UNLABELED,
    LabeledCells,
    gather_cells,
    merge_cells,
)
from unitscope.statistics.reconstruction import Reconstruction, measure_reconstruction
from unitscope.statistics.scan import Machine, ScanPlan
from unitscope.statistics.threads import Threads, open_threads
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


@dataclass(frozen=True, eq=False)
class LayerCells:
    """What one layer's units know of cells; `nmse` is NaN where units are not read in directions."""

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
    """How well single units tell classes of cells; made by `measure_cells`.

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


def measure_cells(
    network: Network,
    source: ConceptSource,
    layers: Sequence[str],
    *,
    validation: ConceptSource | None = None,
    category: str | None = None,
    cells: CellRule = "majority",
    unlabeled: Unlabeled = "negative",
    size: int | tuple[int, int] | None = None,
    fit: Fit = "stretch",
    batch_size: int | None = None,
    machine: Machine = Machine(),  # noqa: B008 - frozen
    trust_layout: bool = False,
) -> CellMeasures:
    """How well single units tell the classes of cells: probe R, mAP, coverage, purity, as saev measures them.

    Every cell of a layer's map gets one class, that of the pixels it covers. For every class the unit is
    chosen that tells it best by one logistic regression, least cross-entropy on the cells of the training
    images; all else is measured on validation images. docs/theory.md has the definitions.

    - `validation`: the images that are measured on; by default `source` is split into its halves train and
      test (`half=train`), which share no image.
    - `category`: whose concepts are the classes; by default the vocabulary's first.
    - `cells`: a cell is of the commonest of all that its pixels are ("majority"), or of the commonest concept
      if it has any ("foreground"); of equally common ones no label comes first, then the lowest id.
    - `unlabeled`: cells without a label are of no class ("negative"), or of one more ("class"), as ADE20K's
      151st. Cells of void alone are left out, void pixels are not counted.
    - `size`, `fit`, `batch_size`, `machine` and `trust_layout` are those of `dissect`.

    It takes a pass of its own, and keeps six bytes for every cell where a unit is not 0. Raises `UsageError`
    for names and rules that do not exist, a validation set of other concepts, a map finer than the pictures,
    and where the cells take more than `machine.memory`; `SourceError` where no cell has a class; and what
    `dissect` raises.

    >>> from unitscope import Concept, Example, Vocabulary
    >>> class Pictures(list):  # white on the right, which is labeled
    ...     vocabulary = Vocabulary((Concept(1, "white", "color"),))
    >>> pixels = np.zeros((16, 16, 3), np.uint8)
    >>> pixels[:, 8:] = 255
    >>> planes = np.uint16(pixels[None, :, :, 0] > 0)
    >>> source = Pictures(Example(f"picture {number}", pixels, planes) for number in range(4))
    >>> network = Network(torch.nn.Sequential(torch.nn.AvgPool2d(4)))  # unit 0 is the red channel
    >>> found = measure_cells(network, source, ["0"])
    >>> found["0"].scores.mean_ap, round(found["0"].scores.probe_r, 3), found.rows()[0]["unit"]
    (1.0, 1.0, 0)
    """
    _check_rules(cells=(cells, CellRule), unlabeled=(unlabeled, Unlabeled))
    layers = check_asked(network, source, layers, fit)
    for part in (source,) if validation is None else (source, validation):
        check_source(network, part)
        check_concepts(part)
    classes = _choose_classes(source.vocabulary, category, unlabeled)
    if validation is not None:
        _check_vocabulary(source.vocabulary, validation.vocabulary)
    rules = replace(CONVENTIONS["pnas"], doubles="once", reduction=1)
    plain = leave_directions(network, layers)
    with placed(network, machine.device):
        plan, _, places = plan_scan(network, source, (*layers, *plain.values()), rules, {}, size, fit)
        check_places(network.name, places, trust_layout)
        plan = settle_passes(network, plan, machine, batch_size)
        opened = open_lenses(network, layers, plan.frame.size)
    rebuilt = {layer: (plain[layer], made) for layer, made in opened.items() if made.reads == "output"}
    _check_grids(plan, layers)
    numbers = _number_classes(source.vocabulary, classes)
    passed = _Pass(network, plan, machine, layers, rebuilt, numbers, cells, classes[0].id == 0)
    if validation is None:
        passed.read(source, _hold_out(source))
    else:
        passed.read(source, np.zeros(len(source), bool))
        passed.read(validation, np.ones(len(validation), bool))
    with open_threads(machine.threads) as threads:
        found = {layer: passed.finish(layer, threads) for layer in layers}
    return CellMeasures(found, classes, _say_rules(source, validation, classes, cells, unlabeled))


@dataclass(eq=False)
class _Pass:
    """The cells of images that have passed the network, by layer, those to learn from and those held out."""

    network: Network
    plan: ScanPlan
    machine: Machine
    layers: Sequence[str]
    rebuilt: Mapping[str, tuple[str, Directions]]
    classes: Int32[np.ndarray, "id"]
    rule: CellRule
    with_none: bool
    """Whether no label is a class, the first."""

    def __post_init__(self) -> None:
        self.seen = self.bytes = 0
        self.parts: dict[tuple[str, bool], list[LabeledCells]] = {
            (layer, held): [] for layer in self.layers for held in (False, True)
        }
        self.lost: dict[str, Reconstruction] = {}

    def read(self, source: ConceptSource, held: Bool[np.ndarray, "image"]) -> None:
        """Passes the images of a source, of which some are held out.

        Raises `UsageError` where their cells take too much memory.
        """
        count = int(self.classes.max()) + 1
        for batch, maps in read_batches(self.network, source, self.plan, self.machine):
            out = held[batch.first : batch.first + len(batch.keys)]
            labels: dict[tuple[int, int], np.ndarray] = {}
            for layer in self.layers:
                grid = self._find_grid(layer)
                if grid.map_size not in labels:
                    found = label_cells(batch.annotations, grid, self.classes, self.rule)
                    none = np.int32(0 if self.with_none else UNLABELED)
                    labels[grid.map_size] = np.where(found == UNLABELED, none, found)
                for half in (False, True):
                    chosen = np.where((out == half)[:, None], labels[grid.map_size], np.int32(UNKNOWN))
                    part = gather_cells(maps[layer], chosen, count, self.seen + batch.first)
                    self.parts[layer, half].append(part)
                    self._weigh(part)
                if layer in self.rebuilt:
                    self._rebuild(layer, maps, torch.from_numpy(out))
        self.seen += len(source)

    def finish(self, layer: str, threads: Threads) -> LayerCells:
        """What a layer's cells say. Raises `SourceError` where none has a class."""
        train, validation = (merge_cells(self.parts.pop((layer, held))) for held in (False, True))
        for half, name in ((train, "train"), (validation, "validate")):
            if not half.cells[:-1].any():
                raise SourceError(
                    f"no cell of the images to {name} on has a class; give more images, another category, or "
                    "cells=foreground"
                )
        lost = self.lost.get(layer)
        nmse = float("nan") if lost is None else lost.nmse
        return LayerCells(layer, train.units, score_cells(train, validation, threads), nmse)

    def _find_grid(self, layer: str) -> CellGrid:
        return CellGrid(self.plan.tails[layer].raw_size, self.plan.frame.mask_size)

    def _weigh(self, part: LabeledCells) -> None:
        """They are held twice, while they are joined."""
        self.bytes += 2 * part.bytes
        if self.bytes > self.machine.memory:
            raise UsageError(
                f"the cells of the images so far take {self.bytes / 2**30:.1f} GB; name fewer layers, limit "
                "the images, or allow more memory: Machine(memory=...)"
            )

    def _rebuild(self, layer: str, maps: Mapping[str, Tensor], out: Tensor) -> None:
        """Adds what the directions lose of the cells of held-out images."""
        plain, directions = self.rebuilt[layer]
        if not out.any():
            return
        whole, latents = _list_cells(maps[plain], out), _list_cells(maps[layer], out)
        part = measure_reconstruction(whole, directions.decode(latents, whole))
        self.lost[layer] = self.lost[layer].merge(part) if layer in self.lost else part


def _list_cells(
    maps: Float32[Tensor, "image unit cell_y cell_x"], chosen: Bool[Tensor, "image"]
) -> Float32[Tensor, "cell unit"]:
    picked = maps[chosen.to(maps.device)]
    return picked.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]).float()


def _hold_out(source: ConceptSource) -> Bool[np.ndarray, "image"]:
    """Which images of a source are not in its train half."""
    half = split_source(source, "train")
    held = np.ones(len(source), bool)
    if isinstance(half, DerivedSource):
        held[[half.place(index) for index in range(len(half))]] = False
    return held


def _choose_classes(
    vocabulary: Vocabulary, category: str | None, unlabeled: Unlabeled
) -> tuple[Concept, ...]:
    known = vocabulary.categories
    if category is not None and category not in known:
        near = say_near(category, known) or f"; there are {', '.join(known)}"
        raise UsageError(f"the source has no category {category!r}{near}")
    chosen = known[0] if category is None else category
    found = tuple(sorted((one for one in vocabulary if one.category == chosen), key=lambda one: one.id))
    if len(found) > MOST_CLASSES:
        raise UsageError(f"category {chosen} has {len(found)} concepts; {MOST_CLASSES} can be told apart")
    return (Concept(0, NO_LABEL, chosen), *found) if unlabeled == "class" else found


def _number_classes(vocabulary: Vocabulary, classes: Sequence[Concept]) -> Int32[np.ndarray, "id"]:
    """The place of every concept's class by its id, -1 where it is none."""
    places = np.full(vocabulary.size, -1, np.int32)
    for place, concept in enumerate(classes):
        if concept.id:
            places[concept.id] = place
    return places


def _check_rules(**given: tuple[str, Any]) -> None:
    for name, (value, kinds) in given.items():
        if value not in get_args(kinds):
            raise UsageError(f"{name} is {value!r}; it is one of {', '.join(get_args(kinds))}")


def _check_vocabulary(first: Vocabulary, second: Vocabulary) -> None:
    if {*first} != {*second}:
        other = min({*first} ^ {*second}, key=lambda one: one.id)
        raise UsageError(
            f"concept {other.id}, {other.name!r}, is not the same in both sources; validate on images of the "
            "same concepts, such as another split of the set"
        )


def _check_grids(plan: ScanPlan, layers: Sequence[str]) -> None:
    for layer in layers:
        (rows, columns), (height, width) = plan.tails[layer].raw_size, plan.frame.mask_size
        if rows > height or columns > width:
            raise UsageError(
                f"the map of layer {layer} has {rows} x {columns} cells, more than the pictures' {height} x "
                f"{width} pixels; name a later layer, or give a larger size"
            )


def _say_rules(
    source: ConceptSource,
    validation: ConceptSource | None,
    classes: Sequence[Concept],
    cells: CellRule,
    unlabeled: Unlabeled,
) -> dict[str, str]:
    parts = {"negative": "cells of no class", "class": f"one more class, {NO_LABEL!r}"}
    commonest = {
        "majority": "the commonest of all that its pixels are; of equals no label, then the lowest id",
        "foreground": "the commonest concept in it where there is any; of equals the lowest id",
    }
    spec = source_spec(source)
    split = (spec, source_spec(validation)) if validation is not None else (f"{spec},half=train", "half=test")
    return {
        "trained on": split[0],
        "validated on": split[1],
        "classes": f"{len(classes)} of category {classes[-1].category}",
        "a cell's class": commonest[cells],
        "cells without a label": parts[unlabeled],
        "purity": f"of the {TOP} highest cells; units with fewer cells above 0 are left out",
    }
