"""A generator to paint with: what it can be made to paint, its pictures with strokes, and what changes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8, UInt16
from torch import Tensor
from torch.nn import functional

from unitscope.concepts.segmented import Segmenter
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.dissection.result import Dissection
from unitscope.errors import NetworkError, UsageError
from unitscope.interventions.edits import Edit, edited
from unitscope.interventions.generator_run import Studio
from unitscope.interventions.inversion_result import Inversion
from unitscope.interventions.painting.given_back import show_inversion
from unitscope.interventions.painting.strokes import Painting, Shape, cover_pixels, merge_strokes
from unitscope.interventions.unit_values import Levels, measure_layers, rank_by_iou
from unitscope.networks.generators import BLOCK, Generator, to_pixels
from unitscope.networks.trace import evaluation, find_shapes
from unitscope.progress import follow_each

UNITS = 20
"""How many units a concept is painted with at most (paper B, fig. 6)."""
TRIED, SHOWN = 4, 64
LEVEL_IMAGES = 256

Picture = UInt8[np.ndarray, "y x 3"]
Planes = UInt16[np.ndarray, "plane y x"]


@dataclass(frozen=True, eq=False)
class Change:
    """What became of a concept: where it is new and where it is gone, and its pixels before and after."""

    concept: Concept
    before: int
    after: int
    gained: Bool[np.ndarray, "y x"]
    lost: Bool[np.ndarray, "y x"]


@dataclass(frozen=True, eq=False)
class Easel:
    """A generator, who names its pixels, and the levels and shapes of the layers that may be painted.

    `photos` are pictures from outside, inverted into the generator, by their keys.
    """

    generator: Generator
    segmenter: Segmenter
    levels: Mapping[str, Levels]
    shapes: Mapping[str, Shape]
    photos: Mapping[str, Inversion] = field(default_factory=dict)

    def place(self, inversion: Inversion) -> "Easel":
        """The same with one more picture from outside: `Painting(inversion.key)` is that one.

        Raises `UsageError` for a picture that was inverted into another generator.
        """
        if inversion.digest != self.generator.digest:
            other = f"another generator than {self.generator.name}, or into other weights"
            raise UsageError(f"{inversion.name} was inverted into {other}; invert it again")
        return replace(self, photos={**self.photos, inversion.key: inversion})

    def find(self, key: str) -> Inversion:
        """The picture from outside of that key. Raises `UsageError` for one that is not there."""
        if key not in self.photos:
            raise UsageError("the painting is on a picture that is not open here; open that picture first")
        return self.photos[key]

    @torch.inference_mode()
    def show(self, painting: Painting) -> Picture:
        """The picture with its strokes; without strokes it is, bit for bit, what it was.

        Strokes on a picture from outside leave all of it as it is but what is near them (`show_inversion`).
        Raises `UsageError` for strokes that do not fit and a picture that is not there, `NetworkError` where
        no picture comes out.
        """
        generator = self.generator
        edits = merge_strokes(painting.strokes, self.levels, self.shapes, painting.off)
        if isinstance(painting.image, str):
            inversion = self.find(painting.image)
            size = (inversion.picture.shape[0], inversion.picture.shape[1])
            places = cover_pixels(painting.strokes, self.shapes, size, painting.off)
            return show_inversion(generator, inversion, edits, *places)
        with evaluation(generator), edited(generator, *edits):
            images = generator.run(generator.inputs(painting.image))
        if not (images.ndim == 4 and images.shape[:2] == (1, 3)):
            raise NetworkError(
                f"{generator.name} gave {tuple(images.shape)}; wanted one image, 1 x 3 x y x x"
            )
        picture: Picture = to_pixels(images, generator.low, generator.high)[0]
        return picture

    def name_pixels(self, picture: Picture) -> Planes:
        """The concept ids of every pixel of a picture, as the segmenter sees it."""
        planes: Planes = self.segmenter(picture[None])[0]
        return planes


def compare_planes(before: Planes, after: Planes, vocabulary: Vocabulary) -> list[Change]:
    """Every concept whose pixels are not the same ones, the most changed pixels first; ties by id.

    A pixel has a concept where any plane names it.
    """
    changes = []
    for number in sorted({*np.unique(before[before != after]), *np.unique(after[before != after])} - {0}):
        was, is_now = (before == number).any(0), (after == number).any(0)
        gained, lost = is_now & ~was, was & ~is_now
        if gained.any() or lost.any():
            concept = vocabulary[int(number)]
            changes.append(Change(concept, int(was.sum()), int(is_now.sum()), gained, lost))
    return sorted(changes, key=lambda change: -int(change.gained.sum() + change.lost.sum()))


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
    rows = find_shapes(generator, names)
    shapes = {name: row.shape for name, row in rows.items() if row.shape is not None}
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
    place = run.vocabulary.categories.index
    return sorted(paints, key=lambda paint: (place(paint.concept.category), paint.concept.label))


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
    for paint, layer in follow_each(trials, "trying paints", "paints"):
        here = torch.from_numpy((planes == paint.concept.id).any(1)).float()
        places = _find_places(here, images)
        after = easel.segmenter(_draw(easel, paint, layer, places))
        gained = torch.from_numpy((after == paint.concept.id).any(1)).float() - here[:images]
        reach[paint.concept.id, layer] = float((gained * places).sum() / places.sum())
    for paint in paints:
        layer = max(paint.units, key=lambda layer: reach[paint.concept.id, layer])
        tried.append(replace(paint, layer=layer, reach=reach[paint.concept.id, layer]))
    place = easel.segmenter.vocabulary.categories.index
    return sorted(tried, key=lambda one: (place(one.concept.category), -one.reach, one.concept.label))


def _find_places(here: Float32[Tensor, "n y x"], images: int) -> Float32[Tensor, "image y x"]:
    """For each of the first images a square where the concept often is, and is not in this image."""
    side = max(1, min(here.shape[1:]) // 4)
    spread = functional.avg_pool2d(functional.avg_pool2d(here, (side, 1), 1), (1, side), 1)
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
    with evaluation(generator), edited(generator, Edit(layer, strength, value, "patches")):
        return to_pixels(generator.run(generator.inputs(0, len(places))), generator.low, generator.high)
