"""Paints: the concepts that a dissected generator can be made to paint, and the units that paint them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from unitscope.concepts.vocabulary import Concept
from unitscope.dissection.result import Dissection
from unitscope.errors import UsageError
from unitscope.interventions.edits import Edit, edited
from unitscope.interventions.generator_run import Studio
from unitscope.interventions.painting.easel import Easel
from unitscope.interventions.unit_values import measure_layers, rank_by_iou
from unitscope.networks.generators import BLOCK, to_pixels
from unitscope.networks.trace import evaluation, list_layers

UNITS = 20
"""How many units a concept is painted with at most (paper B, fig. 6)."""
TRIED, SHOWN = 4, 64
LEVEL_IMAGES = 256


@dataclass(frozen=True)
class Paint:
    """A concept with its units in every layer where one detects it, the highest IoU first.

    `layer` is the one that suits it best: where the mean IoU of its units is the highest or, once tried
    (`try_paints`), where they draw most of it; `reach` is how much: the share of a brush's place that becomes
    the concept, where the concept is common.
    """

    concept: Concept
    units: Mapping[str, tuple[int, ...]]
    layer: str
    reach: float = 0.0


def open_easel(
    studio: Studio, layers: Sequence[str] | None = None, images: int = LEVEL_IMAGES
) -> tuple[Easel, list[Paint]]:
    """A generator ready to be painted with, and what it can be made to paint.

    `layers` are those whose units paint, all of the studio's run if None; `images` pictures show how high
    units go. Raises `UsageError` for a layer that was not dissected or cannot be edited, or where the run
    finds nothing to paint with.
    """
    names, run, generator = layers or list(studio.run), studio.run, studio.generator
    find_paints(run, layers)  # raises before the work
    shapes = {
        row.name: row.shape for row in list_layers(generator) if row.name in names and row.shape is not None
    }
    if missing := [layer for layer in names if layer not in shapes]:
        raise UsageError(f"layer {missing[0]} of {generator.name} cannot be edited; see `unitscope layers`")
    levels = measure_layers(generator, list(shapes), studio.segmenter, images)
    easel = Easel(generator, studio.segmenter, levels, shapes)
    shown = next(iter(levels.values())).concepts
    return easel, try_paints(easel, find_paints(run, list(shapes), shown))


def find_paints(
    run: Dissection, layers: Sequence[str] | None = None, shown: Collection[int] | None = None
) -> list[Paint]:
    """The concepts that a unit of the layers detects, of the vocabulary's categories in turn, by name.

    That is, whose IoU with a unit is above the cut-off of the run's convention, though the unit may match
    another concept better (a tree's crown). At most 20 units a layer, those with the highest IoU (paper B,
    fig. 6); units that never overlap the concept are left out. `shown` are the ids of concepts that may be
    painted, all if None. Raises `UsageError` for a layer that was not dissected, or where there is nothing
    to paint with.
    """
    for layer in layers or ():
        if layer not in run.layers:
            raise UsageError(f"layer {layer} was not dissected; the run has {', '.join(run)}")
    units: dict[int, dict[str, tuple[int, ...]]] = {}
    means: dict[tuple[int, str], float] = {}
    for layer in layers or list(run):
        found = run[layer]
        for concept in np.flatnonzero(found.iou.max(0) > run.convention.iou_cutoff).tolist():
            ranked = [unit for unit in rank_by_iou(found, concept, UNITS) if found.iou[unit, concept] > 0]
            units.setdefault(concept, {})[layer] = tuple(ranked)
            means[concept, layer] = float(np.mean(found.iou[ranked, concept]))
    paints = [
        Paint(run.vocabulary[concept], by_layer, max(by_layer, key=lambda layer: means[concept, layer]))
        for concept, by_layer in units.items()
        if shown is None or concept in shown
    ]
    if not paints:
        raise UsageError(
            "no unit of the run detects a concept, so there is nothing to paint with; dissect more"
        )
    order = {category: place for place, category in enumerate(run.vocabulary.categories)}
    return sorted(paints, key=lambda paint: (order[paint.concept.category], paint.concept.label))


@torch.no_grad()
def try_paints(easel: Easel, paints: Sequence[Paint], images: int = TRIED, shown: int = SHOWN) -> list[Paint]:
    """The paints, each with the layer whose units draw most of it; of a category those first that draw best.

    The units of every layer are set to their level where the concept is, in the first images, in a square a
    quarter as wide as the picture, put where the concept is common in the first `shown` images and absent in
    this one. Layers are compared by the share of the square that becomes the concept; ties by depth.
    """
    planes = np.concatenate(
        [easel.segmenter(easel.generator.generate(start, BLOCK)) for start in range(0, shown, BLOCK)]
    )
    tried = []
    trials = [(paint, layer) for paint in paints for layer in paint.units]
    reach: dict[tuple[int, str], float] = {}
    for paint, layer in tqdm(trials, desc="trying paints", unit="paint", disable=None):
        here = torch.from_numpy((planes == paint.concept.id).any(1)).float()
        places = _find_places(here, images)
        after = easel.segmenter(_draw(easel, paint, layer, places))
        gained = torch.from_numpy((after == paint.concept.id).any(1)).float() - here[:images]
        reach[paint.concept.id, layer] = float((gained * places).sum() / places.sum())
    for paint in paints:
        layer = max(paint.units, key=lambda layer: reach[paint.concept.id, layer])
        tried.append(replace(paint, layer=layer, reach=reach[paint.concept.id, layer]))
    order = {category: place for place, category in enumerate(easel.segmenter.vocabulary.categories)}
    return sorted(tried, key=lambda paint: (order[paint.concept.category], -paint.reach, paint.concept.label))


def _find_places(here: Float32[Tensor, "n y x"], images: int) -> Float32[Tensor, "image y x"]:
    """For each of the first images a square where the concept often is, and is not in this image."""
    side = max(1, min(here.shape[1:]) // 4)
    spread = functional.avg_pool2d(here[:, None], side, 1)[:, 0]
    free = spread.mean(0) * (1 - spread[:images])
    places = torch.zeros(images, *here.shape[1:])
    for place, best in zip(places, free.flatten(1).argmax(1).tolist(), strict=True):
        y, x = divmod(best, free.shape[2])
        place[y : y + side, x : x + side] = 1
    return places


def _draw(
    easel: Easel, paint: Paint, layer: str, places: Float32[Tensor, "image y x"]
) -> UInt8[np.ndarray, "image y x 3"]:
    generator, (count, *cells) = easel.generator, easel.shapes[layer]
    units = list(paint.units[layer])
    strength, value = torch.zeros(len(places), count, *cells), torch.zeros(1, count, 1, 1)
    strength[:, units] = functional.adaptive_max_pool2d(places[:, None], (cells[0], cells[1]))
    value[0, units, 0, 0] = easel.levels[layer].value(paint.concept.id, units)
    with evaluation(generator.module), edited(generator, Edit(layer, strength, value)):
        return to_pixels(generator.module(*generator.inputs(0, len(places))), generator.low, generator.high)
