"""Paints: the concepts that a dissected generator can be made to paint, and the units that paint them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unitscope.concepts.vocabulary import Concept
from unitscope.dissection.result import Dissection
from unitscope.errors import UsageError
from unitscope.interventions.levels import rank_by_iou

UNITS = 20
"""How many units a concept is painted with at most (paper B, fig. 6)."""


@dataclass(frozen=True)
class Paint:
    """A concept with its units in every layer that has a detector for it, the highest IoU first.

    `layer` is the one that suits it best: where the mean IoU of its units is the highest.
    """

    concept: Concept
    units: Mapping[str, tuple[int, ...]]
    layer: str


def find_paints(
    run: Dissection, layers: Sequence[str] | None = None, shown: Collection[int] | None = None
) -> list[Paint]:
    """The concepts with at least one detector in the layers, of the vocabulary's categories in turn, by name.

    At most 20 units a layer, those with the highest IoU (paper B, fig. 6); units that never overlap the
    concept are left out. `shown` are the ids of concepts that may be painted, all if None. Raises
    `UsageError` for a layer that was not dissected, or where no concept has a detector.
    """
    for layer in layers or ():
        if layer not in run.layers:
            raise UsageError(f"layer {layer} was not dissected; the run has {', '.join(run)}")
    units: dict[int, dict[str, tuple[int, ...]]] = {}
    means: dict[tuple[int, str], float] = {}
    for layer in layers or list(run):
        found = run[layer]
        labels = found.labels
        for concept in sorted({int(best) for best in labels.best[labels.detector]}):
            ranked = [unit for unit in rank_by_iou(found, concept, UNITS) if found.iou[unit, concept] > 0]
            units.setdefault(concept, {})[layer] = tuple(ranked)
            means[concept, layer] = float(np.mean(found.iou[ranked, concept]))
    paints = [
        Paint(run.vocabulary[concept], by_layer, max(by_layer, key=lambda layer: means[concept, layer]))
        for concept, by_layer in units.items()
        if shown is None or concept in shown
    ]
    if not paints:
        raise UsageError("no unit of the run is a detector, so there is nothing to paint with; dissect more")
    order = {category: place for place, category in enumerate(run.vocabulary.categories)}
    return sorted(paints, key=lambda paint: (order[paint.concept.category], paint.concept.label))
