"""How high units are where a concept is: means and quantiles given the concept, as tables."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from unitscope.concepts.vocabulary import Concept
from unitscope.errors import UsageError
from unitscope.interventions.generator_run import Studio
from unitscope.interventions.unit_values import (
    Levels,
    Rule,
    cover_cells,
    measure_layers,
    rank_by_iou,
)
from unitscope.networks.generators import to_pixels
from unitscope.networks.randomness import limit_batch
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import evaluation, hook_layer
from unitscope.networks.unit_maps import read_units
from unitscope.progress import follow
from unitscope.results import Result
from unitscope.tables import Table, align, plain

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MOSTLY = 0.5
"""A cell shows a concept that covers more of it than this."""
_SHOWN, _BATCH = 10, 16
_MEANS: tuple[Rule, Rule] = ("mean", "fullest")


@dataclass(frozen=True, eq=False)
class ConceptLevels(Result):
    """How high the units of some layers are where concepts are; made by `measure_concept_levels`.

    `levels[layer]` are what insertion sets units to. `quantiles[layer, concept]` are those of every unit over
    the cells that the concept covers mostly, `cells[layer, concept]` of them, linear between values; NaN
    where there are none. The main table has a row a concept, layer and unit, by IoU.
    """

    studio: Studio
    concepts: tuple[Concept, ...]
    images: int
    levels: Mapping[str, Levels]
    cells: Mapping[tuple[str, int], int]
    quantiles: Mapping[tuple[str, int], Float64[np.ndarray, "quantile unit"]]

    files = ("levels.csv",)

    def tables(self) -> dict[str, Table]:
        """Mean, the mean where the concept is most, quantiles; the .99 quantile over all cells."""
        named = tuple(f"q{100 * one:02.0f}" for one in QUANTILES)
        columns = ("concept", "layer", "unit", "iou", "cells", "mean", "fullest", *named, "all_q99")
        return {"levels.csv": Table(columns, tuple(self._list_rows()), left=(0, 1))}

    def _list_rows(self) -> list[tuple[Any, ...]]:
        rows = []
        for concept in self.concepts:
            for layer, levels in self.levels.items():
                found, shown = self.studio.layer(layer), concept.id in levels.concepts
                for unit in rank_by_iou(found, concept.id):
                    means: list[float | None] = [None, None]
                    if shown:
                        means = [float(levels.value(concept.id, [unit], rule)) for rule in _MEANS]
                    given = self.quantiles[layer, concept.id][:, unit].tolist()
                    head = (concept.name, layer, unit, float(found.iou[unit, concept.id]))
                    high = float(levels.high[unit])
                    rows.append((*head, self.cells[layer, concept.id], *means, *given, high))
        return rows

    def text(self) -> str:
        """The first units of every concept and layer."""
        columns = ("concept", "layer", "unit", "iou", "mean", "fullest", "q05", "q50", "q95", "all_q99")
        rows, seen = [list(columns)], dict[tuple[str, str], int]()
        for record in self.rows():
            pair = (str(record["concept"]), str(record["layer"]))
            seen[pair] = seen.get(pair, 0) + 1
            if seen[pair] <= _SHOWN:
                rows.append([_spell(record[name]) for name in columns])
        lines = [
            f"levels over {self.images:,} pictures; the {_SHOWN} units of highest IoU",
            align(rows, (0, 1)),
        ]
        lines += [
            f"{concept!r} covers no cell of {layer}: no quantiles" for layer, concept in self._missing()
        ]
        return "\n".join(lines)

    def _missing(self) -> list[tuple[str, str]]:
        names = {one.id: one.label for one in self.concepts}
        return [(layer, names[concept]) for (layer, concept), count in self.cells.items() if not count]

    def describe(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        about = {"generator": self.studio.generator.name, "segmenter": self.studio.segmenter.name}
        return dict(plain({**about, "images": self.images, "rows": self.rows()}))


def _spell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def measure_concept_levels(
    studio: Studio, concepts: Sequence[str], *, layers: Sequence[str] = (), images: int | None = None
) -> ConceptLevels:
    """How high the units of layers are where concepts are, by default of all layers of the run.

    Over the first `images` pictures, by default those that ranked the units. Raises `UsageError` for no
    concept, fewer than one picture, or a layer or concept that the run does not have.
    """
    if not concepts:
        raise UsageError("no concept was named; say which, as in: --concepts tree")
    named = tuple(dict.fromkeys(studio.find(one) for one in concepts))
    at, count = list(layers or studio.run.layers), studio.ranked if images is None else images
    for layer in at:
        studio.layer(layer)  # raises
    levels = measure_layers(studio.generator, at, studio.segmenter, count)
    values = _gather(studio, at, named, count)
    quantiles = {}
    for key, one in values.items():
        some = one.double().numpy()
        nothing = np.full((len(QUANTILES), some.shape[1]), np.nan)
        quantiles[key] = np.quantile(some, QUANTILES, axis=0) if len(some) else nothing
    cells = {key: len(one) for key, one in values.items()}
    return ConceptLevels(studio, named, count, levels, cells, quantiles)


def _gather(
    studio: Studio, layers: Sequence[str], concepts: Sequence[Concept], images: int
) -> dict[tuple[str, int], Float32[Tensor, "cell unit"]]:
    """By layer and concept the units in all cells that the concept covers mostly."""
    generator, seen = studio.generator, dict[str, Tensor]()
    ids = [one.id for one in concepts]
    found: dict[tuple[str, int], list[Tensor]] = {(layer, one): [] for one in ids for layer in layers}

    def note(layer: str, raw: Tensor, layout: Layout) -> Tensor:
        seen[layer] = read_units(raw, layout, layer).detach().float().cpu()
        return raw

    size = limit_batch(generator, _BATCH)
    with evaluation(generator), ExitStack() as hooks, follow(images, "cells of concepts") as work:
        for layer in layers:
            hooks.enter_context(hook_layer(generator, layer, partial(note, layer)))
        for start in range(0, images, size):
            count = min(size, images - start)
            with torch.no_grad():
                made = generator.run(generator.inputs(start, count))
            planes = studio.segmenter(to_pixels(made, generator.low, generator.high))
            for layer, maps in seen.items():
                mostly = cover_cells(planes, ids, (maps.shape[2], maps.shape[3])) > MOSTLY
                rows = maps.permute(0, 2, 3, 1)
                for place, one in enumerate(ids):
                    found[layer, one].append(rows[mostly[:, place]])
            work.update(count)
    return {key: torch.cat(parts) for key, parts in found.items()}
