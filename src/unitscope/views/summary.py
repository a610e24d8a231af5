"""The figures that every view shows of a layer and of a run, counted once."""

import math
from collections import Counter
from dataclasses import dataclass

from unitscope.concepts.vocabulary import Concept
from unitscope.dissection.conventions import Convention
from unitscope.dissection.result import Dissection, LayerDissection

POPULATIONS = {
    "cells": "raw cells of the activation map",
    "pixels": "pixels of the map brought to mask size",
}
UPSAMPLINGS = {
    "receptive-field": "bilinear, cells at the centers of their receptive fields",
    "half-pixel": "bilinear, half-pixel centers, edges clamped",
    "zero-border": "bilinear, borders fade to zero",
}
UNIONS = {
    "category": "images with any label of the concept's category",
    "touched": "images where the active region touches a label of the concept's category",
    "all": "all images",
}
DOUBLES = {
    "twice": "counts twice, in truth and intersection",
    "truth-twice": "counts twice in truth, once in the intersection",
    "once": "counts once",
}
UNIQUE_RULES = {
    "label": "one label a unit",
    "category": "one label a unit and category, summed",
}
RECIPE_NAMES = {
    "network": "Network",
    "network_digest": "Network digest",
    "source": "Concepts",
    "source_digest": "Concepts digest",
    "images": "Images",
    "seed": "Seed",
    "device": "Device",
    "version": "unitscope version",
    "created": "Made",
}


@dataclass(frozen=True)
class LayerSummary:
    """One layer in numbers.

    `by_category` counts detectors by the category of their label; `unique_label` and
    `unique_category` count different concepts by category by the two rules of
    `unitscope.dissection.labels.unique_detectors`. `chance_detectors` and `chance_discoveries` are
    the shuffled-label controls, None without confidence; `discoveries` counts units with q < 0.05.
    """

    layer: str
    units: int
    detectors: int
    dead: int
    by_category: dict[str, int]
    unique_label: dict[str, int]
    unique_category: dict[str, int]
    chance_detectors: float | None
    chance_discoveries: float | None
    discoveries: int | None

    @property
    def unique(self) -> int:
        """Different concepts among the detectors' labels."""
        return sum(self.unique_label.values())

    @property
    def unique_in_categories(self) -> int:
        """Different concepts, one label a unit and category, summed over categories."""
        return sum(self.unique_category.values())


def summarize_layer(layer: LayerDissection) -> LayerSummary:
    """Units, detectors, unique concepts and chance controls of a layer."""
    labeled = [concept.category for concept, count in count_detectors(layer) for _ in range(count)]
    sure = layer.confidence
    return LayerSummary(
        layer=layer.layer,
        units=len(layer),
        detectors=layer.detectors,
        dead=int((layer.active == 0).sum()),
        by_category={category: labeled.count(category) for category in layer.vocabulary.categories},
        unique_label=layer.unique["label"],
        unique_category=layer.unique["category"],
        chance_detectors=None if sure is None else float(sure.chance_detectors),
        chance_discoveries=None if sure is None else float(sure.chance_discoveries),
        discoveries=None if sure is None else int((sure.q_value < 0.05).sum()),
    )


def count_detectors(layer: LayerDissection) -> list[tuple[Concept, int]]:
    """Every concept that names a detector with their number: by category, most units first."""
    counts = Counter(layer.labels.best[layer.labels.detector].tolist())
    order = {category: place for place, category in enumerate(layer.vocabulary.categories)}
    named = [(layer.vocabulary[concept_id], count) for concept_id, count in counts.items()]
    return sorted(named, key=lambda pair: (order[pair[0].category], -pair[1], pair[0].label, pair[0].id))


def spell_convention(convention: Convention) -> list[tuple[str, str]]:
    """The parameters of a convention in words, as (name, text) pairs."""
    iqr = convention.iqr_cutoff
    cutoff = f"IoU above {convention.iou_cutoff:g}"
    return [
        ("Convention", convention.name),
        ("Quantile", f"{convention.quantile:g}: at most this fraction of a unit's values is above threshold"),
        ("Taken over", POPULATIONS[convention.population]),
        ("Upsampling", UPSAMPLINGS[convention.upsampling]),
        ("Union over", UNIONS[convention.union]),
        ("A pixel labeled twice", DOUBLES[convention.doubles]),
        ("Mask size", f"input size / {convention.reduction}"),
        ("A detector has", cutoff + (f" and information quality above {iqr:g}" if iqr > 0 else "")),
        ("Unique detectors", UNIQUE_RULES[convention.unique_rule]),
    ]


def spell_recipe(dissection: Dissection) -> list[tuple[str, str]]:
    """What made a run, as (name, text) pairs: network, source, digests, seed, version, times."""
    facts = []
    for name, value in dissection.recipe.items():
        if name in ("convention", "warnings", "layers") or value is None or value == "":
            continue
        facts.append((RECIPE_NAMES.get(name, name.replace("_", " ").capitalize()), spell_value(name, value)))
    facts += [(f"Time, {name}", f"{seconds:.1f} s") for name, seconds in dissection.times.items()]
    return facts


def spell_value(name: str, value: object) -> str:
    """One value of the recipe as text; digests shortened to twelve characters."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {spell_value(str(key), inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(spell_value(name, inner) for inner in value)
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text[:12] if "digest" in name else text


def collect_warnings(dissection: Dissection) -> list[str]:
    """The warnings of a run and of its layers, each once, in order."""
    told = dissection.recipe.get("warnings")
    texts = [str(text) for text in told] if isinstance(told, list | tuple) else []
    for name, layer in dissection.layers.items():
        texts += [f"{name}: {text}" for text in layer.warnings]
    return list(dict.fromkeys(texts))


def count_images(dissection: Dissection) -> int:
    """How many images the layers were dissected over."""
    return max((layer.images for layer in dissection.layers.values()), default=0)


def known(value: float) -> float | None:
    """The value, None where it is not a number: JSON has no NaN."""
    return value if math.isfinite(value) else None
