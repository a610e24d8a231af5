"""What every view says of a run in words: its recipe, its convention, its warnings."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
    "twice": "a pixel labeled twice counts twice, in truth and intersection",
    "truth-twice": "a pixel labeled twice counts twice in truth, once in the intersection",
    "once": "a pixel labeled twice counts once",
}
UNIQUE_RULES = {
    "label": "one label a unit",
    "category": "one label a unit and category, summed",
}


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
        ("Double labels", DOUBLES[convention.doubles]),
        ("Mask size", f"input size / {convention.reduction}"),
        ("A detector has", cutoff + (f" and information quality above {iqr:g}" if iqr > 0 else "")),
        ("Unique detectors", UNIQUE_RULES[convention.unique_rule]),
    ]


def spell_recipe(dissection: Dissection) -> list[tuple[str, str]]:
    """What made a run, as (name, text) pairs: network, source, digests, geometry, seed, versions, times."""
    recipe = dissection.recipe
    network, source, frame = (as_mapping(recipe.get(name)) for name in ("network", "source", "frame"))
    told: list[tuple[str, object]] = [
        ("Network", network.get("name")),
        ("Network digest", str(network.get("digest") or "")[:12]),
        ("Preprocessing", as_mapping(network.get("preprocessing"))),
        ("Concepts", source.get("spec")),
        ("Concepts digest", str(source.get("digest") or "")[:12]),
        ("Images", count_images(dissection)),
        ("Image size", spell_size(frame.get("size"))),
        ("Mask size", spell_size(frame.get("mask_size"))),
        ("Fitted by", frame.get("fit_mode")),
        ("Activation maps", ", ".join(
            f"{name} {spell_size(layer.map_size)}" for name, layer in dissection.layers.items()
        )),
        ("Thresholds", "given" if recipe.get("thresholds") else "found in this run"),
        ("Seed", recipe.get("seed")),
        ("Confidence", as_mapping(recipe.get("confidence"))),
        ("Device", recipe.get("device")),
        ("Mixed precision", recipe.get("mixed_precision")),
        ("unitscope", recipe.get("version")),
        ("torch", recipe.get("torch")),
    ]  # fmt: skip
    facts = [(name, spell_value(value)) for name, value in told if value not in (None, "", {})]
    return facts + [(f"Time, {name}", f"{seconds:.1f} s") for name, seconds in dissection.times.items()]


def as_mapping(value: object) -> Mapping[str, object]:
    """The value where it is a mapping, else an empty one: recipes of other versions may lack parts."""
    return value if isinstance(value, Mapping) else {}


def spell_size(size: object) -> str:
    """A (height, width) pair in words.

    >>> spell_size((7, 9))
    '7 × 9'
    """
    return " × ".join(str(side) for side in size) if isinstance(size, list | tuple) else ""


def spell_value(value: object) -> str:
    """One value of the recipe as text.

    >>> spell_value({"mean": (0.5, 0.25), "crop_fraction": 1.0})
    'mean 0.5, 0.25; crop fraction 1'
    """
    if isinstance(value, Mapping):
        parts = [f"{key} {spell_value(inner)}" for key, inner in value.items() if inner is not None]
        return "; ".join(part.replace("_", " ") for part in parts)
    if isinstance(value, list | tuple):
        return ", ".join(spell_value(inner) for inner in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def name_network(dissection: Dissection) -> str:
    """What the run calls its network."""
    return str(as_mapping(dissection.recipe.get("network")).get("name", "network"))


def name_source(dissection: Dissection) -> str:
    """What the run calls its labeled images."""
    return str(as_mapping(dissection.recipe.get("source")).get("spec", "labeled images"))


def collect_warnings(layers: Iterable[LayerDissection]) -> list[str]:
    """The warnings of some layers; one that all of them share stands once, without a layer's name."""
    layers = list(layers)
    texts = dict.fromkeys(text for layer in layers for text in layer.warnings)
    told = []
    for text in texts:
        warned = [layer.layer for layer in layers if text in layer.warnings]
        told.append(text if len(warned) == len(layers) else f"{', '.join(warned)}: {text}")
    return told


def count_images(dissection: Dissection) -> int:
    """How many images the layers were dissected over."""
    return max((layer.images for layer in dissection.layers.values()), default=0)


def known(value: float) -> float | None:
    """The value, None where it is not a number: JSON has no NaN."""
    return value if math.isfinite(value) else None


def all_known(value: Any) -> Any:
    """A value of mappings, sequences and numbers with None for every number that is none.

    >>> all_known({"iou": [0.5, float("nan")], "unit": 3})
    {'iou': [0.5, None], 'unit': 3}
    """
    if isinstance(value, float):
        return known(value)
    if isinstance(value, Mapping):
        return {name: all_known(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [all_known(part) for part in value]
    return value
