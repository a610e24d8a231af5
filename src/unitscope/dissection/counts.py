"""How many units of a layer are detectors, and of how many different concepts: all counting is done here."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from unitscope.concepts.vocabulary import Concept
from unitscope.dissection.conventions import NameBy, UniqueRule
from unitscope.dissection.labels import unique_detectors
from unitscope.dissection.layer_arrays import CONFIDENCE
from unitscope.dissection.result import LayerDissection
from unitscope.errors import UsageError
from unitscope.tables import plain

SURE = 0.05
"""Units with a smaller q-value are sure: at most one in twenty of them is expected to be chance."""
RULES: tuple[UniqueRule, ...] = ("label", "category")

ByCategory = Mapping[str, int]


@dataclass(frozen=True)
class LayerCounts:
    """The units of one layer in numbers.

    - `detectors`: units that pass the cut-offs of the convention, `by_category` of their label; `dead` units
      are never active.
    - `unique`: different concepts that have a detector, by counting rule and category (`unique_detectors`).
    - `sure_detectors` and `sure_unique`: the same of detectors with q < 0.05; 0 without confidence.
    - `discoveries`: all units with q < 0.05, detectors or not; None without confidence.
    - `chance_detectors`, `chance_discoveries`: the controls with shuffled labels, the mean number of
      detectors and the mean share of units with q < 0.05; NaN without confidence.
    """

    layer: str
    units: int
    detectors: int
    dead: int
    by_category: ByCategory
    unique: Mapping[UniqueRule, ByCategory]
    chance_detectors: float
    chance_discoveries: float
    discoveries: int | None
    sure_detectors: int
    sure_unique: Mapping[UniqueRule, ByCategory]

    @property
    def confident(self) -> bool:
        """Whether confidence was measured."""
        return self.discoveries is not None

    def count(self, category: str | None = None, rule: UniqueRule = "label", *, sure: bool = False) -> int:
        """The unique concepts of a category, or of all summed, by a rule, or only those with a sure detector.

        0 for a category that the vocabulary does not have.
        """
        counts = (self.sure_unique if sure else self.unique)[rule]
        return sum(counts.values()) if category is None else counts.get(category, 0)

    def record(self) -> dict[str, Any]:
        """The counts ready for JSON, without the sure ones."""
        counted = ("layer", "units", "detectors", "dead", "by_category")
        by_chance = ("chance_detectors", "chance_discoveries", "discoveries")
        made = {
            **{name: getattr(self, name) for name in counted},
            **{f"unique_{rule}": self.unique[rule] for rule in RULES},
            **{name: getattr(self, name) for name in by_chance},
            "unique": self.count(),
        }
        return {name: plain(value) for name, value in made.items()}


def count_layer(layer: LayerDissection) -> LayerCounts:
    """Counts the detectors and concepts of a dissected layer."""
    labels, words, confidence = layer.labels, layer.vocabulary, layer.confidence
    places = words.category_index[labels.best[labels.detector]]
    by_category = np.bincount(places, minlength=len(words.categories)).tolist()
    found = np.zeros(len(layer), bool) if confidence is None else confidence.q_value < SURE
    return LayerCounts(
        layer=layer.layer,
        units=len(layer),
        detectors=layer.detectors,
        dead=int((layer.active == 0).sum()),
        by_category=dict(zip(words.categories, by_category, strict=True)),
        unique={rule: layer.unique[rule] for rule in RULES},
        chance_detectors=float("nan") if confidence is None else float(confidence.chance_detectors),
        chance_discoveries=float("nan") if confidence is None else float(confidence.chance_discoveries),
        discoveries=None if confidence is None else int(found.sum()),
        sure_detectors=int((labels.detector & found).sum()),
        sure_unique={rule: unique_detectors(labels, words, rule, found) for rule in RULES},
    )


def count_concepts(layer: LayerDissection) -> list[tuple[Concept, int]]:
    """Every concept that names a detector, with their number: by category, most units first."""
    counts = Counter(layer.labels.best[layer.labels.detector].tolist())
    order = {category: place for place, category in enumerate(layer.vocabulary.categories)}
    named = [(layer.vocabulary[concept_id], count) for concept_id, count in counts.items()]
    return sorted(named, key=lambda pair: (order[pair[0].category], -pair[1], pair[0].label, pair[0].id))


def best_by_concept(layer: LayerDissection) -> list[tuple[Concept, int, float]]:
    """For every concept that any unit meets the unit with the largest IoU, named by it or not, and that IoU.

    The largest first. Of many latents it says more than their number: how well each concept is told at all.
    """
    units = layer.iou.argmax(0)
    best = layer.iou[units, np.arange(layer.vocabulary.size)]
    found = [(one, int(units[one.id]), float(best[one.id])) for one in layer.vocabulary if best[one.id] > 0]
    return sorted(found, key=lambda row: (-row[2], row[0].label, row[0].id))


def recount(
    layer: LayerDissection,
    *,
    cutoff: float | None = None,
    concepts: Bool[np.ndarray, "concept"] | None = None,
    name_by: NameBy | None = None,
) -> LayerDissection:
    """The layer under another cut-off of IoU, named by another score, or as if there were fewer concepts.

    Only the `concepts` that are true are left. An IoU does not depend on which other concepts there are, so
    this takes no other pass. Confidence stays that of the whole vocabulary; `name_by` as a `Convention` has
    it leaves it to units that keep their names, and none to others, and says so in the layer's warnings.

    Raises `UsageError` for a score that a run does not have, or where every pair has a threshold of its own,
    which IoU chose.
    """
    convention = layer.convention if cutoff is None else replace(layer.convention, iou_cutoff=cutoff)
    changed = _rename(replace(layer, convention=convention), name_by or layer.convention.name_by)
    if concepts is None:
        return changed
    pairs = layer.pairs and replace(
        layer.pairs, intersections=np.where(concepts, layer.pairs.intersections, 0)
    )
    return replace(changed, intersections=np.where(concepts, layer.intersections, 0), pairs=pairs)


def _rename(layer: LayerDissection, name_by: NameBy) -> LayerDissection:
    """The layer with the names that a score chooses."""
    if name_by == layer.convention.name_by:
        return layer
    if layer.pairs is not None:
        raise UsageError(
            f"layer {layer.layer} has a threshold for every pair, chosen for its IoU; name it by IoU, or "
            "dissect it without thresholds by information"
        )
    renamed = replace(layer, convention=replace(layer.convention, name_by=name_by))
    other = renamed.labels.best != layer.labels.best
    told = f"named by {name_by}; {int(other.sum())} of {len(layer)} units have another name than by "
    told += f"{layer.convention.name_by}"
    sure = layer.confidence
    if sure is not None:
        told += ": without confidence, which is that of IoU"
        kept: dict[str, Any] = {one: np.where(other, np.nan, getattr(sure, one)) for one in CONFIDENCE}
        sure = replace(sure, **kept)
    return replace(renamed, confidence=sure, warnings=(*layer.warnings, told))
