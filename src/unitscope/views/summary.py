"""What every view says of a run in words: its recipe, its convention, its warnings."""

from collections.abc import Iterable, Mapping

from unitscope.concepts.left_out import LeftOut
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
SPARSE_THRESHOLDS = {
    "half-median": "half of the median of the positive cells, where the threshold would be 0",
    "zero": "as the quantile has it, also where that is 0",
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
    network, source, frame = recipe.network, recipe.source, recipe.frame
    left_out = "; ".join(
        str(LeftOut(reason, found["files"], tuple(found["examples"])))
        for reason, found in (source.left_out or {}).items()
    )
    facts: list[tuple[str, object]] = [
        ("Network", network.name),
        ("Network digest", (network.digest or "")[:12]),
        ("Preprocessing", network.preprocessing),
        ("Concepts", source.spec),
        ("Concepts digest", (source.digest or "")[:12]),
        ("Images", dissection.images),
        ("Files left out", left_out),
        ("Image size", spell_size(frame.size)),
        ("Mask size", spell_size(frame.mask_size)),
        ("Fitted by", frame.fit_mode),
        ("Activation maps", ", ".join(
            f"{name} {spell_size(layer.map_size)}" for name, layer in dissection.layers.items()
        )),
        ("Cells look", ", ".join(
            f"{name} {layer.place.where}" for name, layer in dissection.layers.items() if layer.place
        )),
        ("Latents", "; ".join(
            f"{name} {one['latents']:,} of {one['units']:,} units, {one['kind']}"
            for name, one in (recipe.directions or {}).items()
        )),
        ("Threshold of latents",
         SPARSE_THRESHOLDS[recipe.convention.sparse_threshold] if recipe.sparse else None),
        ("Thresholds", "given" if recipe.thresholds else "found in this run"),
        ("Seed", recipe.seed),
        ("Confidence", recipe.confidence),
        ("Device", recipe.device),
        ("Machines", "; ".join(recipe.machines or ())),
        ("Mixed precision", recipe.mixed_precision),
        ("unitscope", recipe.version),
        ("torch", recipe.torch),
    ]  # fmt: skip
    spelled = [(name, spell_value(value)) for name, value in facts if value not in (None, "", {})]
    return spelled + [(f"Time, {name}", f"{seconds:.1f} s") for name, seconds in dissection.times.items()]


def spell_size(size: tuple[int, int]) -> str:
    """A (height, width) pair in words.

    >>> spell_size((7, 9))
    '7 × 9'
    """
    return " × ".join(map(str, size))


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


def collect_warnings(layers: Iterable[LayerDissection]) -> list[str]:
    """The warnings of some layers; one that all of them share stands once, without a layer's name."""
    layers = list(layers)
    texts = dict.fromkeys(text for layer in layers for text in layer.warnings)
    lines = []
    for text in texts:
        warned = [layer.layer for layer in layers if text in layer.warnings]
        lines.append(text if len(warned) == len(layers) else f"{', '.join(warned)}: {text}")
    return lines
