"""What is painted on: a generator, its dissection, the palette found by it, and small pictures of all."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from unitscope.concepts.segmented import Segmenter
from unitscope.concepts.vocabulary import Concept
from unitscope.dissection.result import Dissection
from unitscope.errors import NetworkError, UsageError
from unitscope.interventions.generator_run import Studio
from unitscope.interventions.inversion_result import Inversion
from unitscope.interventions.painting.easel import LEVEL_IMAGES, Easel, Paint, open_easel
from unitscope.interventions.painting.edit_lists import MOST_IMAGE, MOST_SIDE, MOST_STROKES
from unitscope.interventions.painting.photos import MOST_BYTES
from unitscope.networks.generators import BLOCK as GENERATED
from unitscope.networks.generators import Generator, with_seed
from unitscope.progress import follow_each
from unitscope.tables import plain
from unitscope.views.drawing import SILENT, draw_mask
from unitscope.views.palette import category_color

BLOCK = 24
"""How many samples come in one strip."""
SAMPLES = min(50 * BLOCK, MOST_IMAGE + 1)
"""How many samples there are to choose from."""
TILE = 96
ICON = 64
_MASK_SIDE = 64
_MARGIN = 1.25
_MOST_SHARE = 0.6
"""An icon shows a part of the picture, also of a concept that is everywhere."""


@dataclass(frozen=True, eq=False)
class Project:
    """Everything that the page shows; made by `open_project`."""

    easel: Easel
    run: Dissection
    dissected: Generator
    """The generator with the seed of the images that were dissected."""
    paints: Sequence[Paint]
    icons: UInt8[np.ndarray, "y x 3"]
    size: tuple[int, int]

    @cached_property
    def id(self) -> str:
        """Differs for other generators, seeds and runs."""
        generator = self.easel.generator
        concepts = [paint.concept for paint in self.paints]
        text = f"{generator.digest} {generator.seed} {self.run.recipe.record()} {concepts}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of a sample in the strip."""
        scale = min(1.0, TILE / max(self.size))
        return max(1, round(self.size[0] * scale)), max(1, round(self.size[1] * scale))

    def place(self, inversion: Inversion) -> "Project":
        """The same with one more picture from outside, behind those that there are.

        Raises `UsageError` for a picture that was inverted into another generator.
        """
        return replace(self, easel=self.easel.place(inversion))

    def describe(self) -> dict[str, Any]:
        """What the page must know, ready for JSON."""
        generator = self.easel.generator
        return {
            "id": self.id,
            "generator": {"name": generator.name, "digest": generator.digest, "seed": generator.seed},
            "size": self.size,
            "mask": [min(side, _MASK_SIDE, MOST_SIDE) for side in self.size],
            "tile": self.tile,
            "icon": ICON,
            "block": BLOCK,
            "images": SAMPLES,
            "photos": [describe_photo(one, key) for key, one in self.easel.photos.items()],
            "photo_bytes": MOST_BYTES,
            "strokes": MOST_STROKES,
            "layers": {
                layer: {"units": n, "cells": cells} for layer, (n, *cells) in self.easel.shapes.items()
            },
            "paints": [self._describe_paint(paint) for paint in self.paints],
        }

    def _describe_paint(self, paint: Paint) -> dict[str, Any]:
        return {
            **describe_concept(paint.concept),
            "layer": paint.layer,
            "reach": round(paint.reach, 3),
            "layers": [
                {"name": layer, "units": [self._describe_unit(paint, layer, unit) for unit in units]}
                for layer, units in paint.units.items()
            ],
        }

    def _describe_unit(self, paint: Paint, layer: str, unit: int) -> dict[str, Any]:
        found = self.run[layer]
        iou, named = round(float(found.iou[unit, paint.concept.id]), 4), found[unit].concept
        own = None if named is None or named == paint.concept else named.label
        return {"unit": unit, "iou": iou, "own": own}

    def draw_samples(self, block: int) -> UInt8[np.ndarray, "y x 3"]:
        """The samples of a block side by side."""
        images = self.easel.generator.generate(block * BLOCK, BLOCK)
        return np.concatenate([shrink(image, self.tile) for image in images], 1)

    def draw_units(self, paint: int, place: int) -> UInt8[np.ndarray, "y x 3"]:
        """The units of a paint in one of its layers side by side, each by the image that excites it most."""
        layer, units = list(self.paints[paint].units.items())[place]
        return np.concatenate([draw_unit(self.run, self.dissected, layer, unit, ICON) for unit in units], 1)


def describe_concept(concept: Concept) -> dict[str, str]:
    """A concept for the page, with its category's color."""
    return {
        "name": concept.name,
        "label": concept.label,
        "category": concept.category,
        "color": category_color(concept.category),
    }


def describe_photo(inversion: Inversion, name: str) -> dict[str, Any]:
    """A picture from outside for the page: what to ask for it by, how near each stage came, what is said."""
    told = {key: plain(one) for key, one in inversion.describe().items()}
    return {"photo": name, **told, "can": not inversion.lacks}


def shrink(image: UInt8[np.ndarray, "y x 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "v u 3"]:
    """The image at (height, width)."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.LANCZOS))


def open_project(
    studio: Studio,
    *,
    layers: Sequence[str] | None = None,
    seed: int | None = None,
    images: int = LEVEL_IMAGES,
) -> Project:
    """A generator with its dissection, ready to be painted with.

    `images` images show how high units go and what concepts look like. `seed` draws other samples than those
    that were dissected. Raises `UsageError` where the run finds nothing to paint with, and what the generator
    and the segmenter raise.
    """
    dissected, segmenter = studio.generator, studio.segmenter
    if segmenter.vocabulary != studio.run.vocabulary:
        raise UsageError(f"{segmenter.name} names other concepts than when the run was made; dissect again")
    easel, paints = open_easel(studio, layers, images)
    size = dissected.generate(0, 1).shape[1:3]
    if max(size) > 4096:
        raise NetworkError(f"{dissected.name} makes pictures of {size}; wanted sides of 4096 at most")
    return Project(
        easel if seed is None else replace(easel, generator=with_seed(dissected, seed)),
        studio.run,
        dissected,
        paints,
        cut_icons(dissected, segmenter, [paint.concept for paint in paints], images, ICON),
        (int(size[0]), int(size[1])),
    )


def cut_icons(
    generator: Generator, segmenter: Segmenter, concepts: Sequence[Concept], images: int, side: int
) -> UInt8[np.ndarray, "y x 3"]:
    """A square for every concept, side by side: out of the image, of the first ones, that shows most of it.

    A concept that none shows gets a gray square.
    """
    best = dict.fromkeys((concept.id for concept in concepts), 0)
    icons = {number: np.full((side, side, 3), 128, np.uint8) for number in best}
    for first in follow_each(range(0, images, GENERATED), "icons", "blocks"):
        pictures = generator.generate(first, min(GENERATED, images - first))
        for picture, planes in zip(pictures, segmenter(pictures), strict=True):
            counts = np.bincount(planes.reshape(-1), minlength=max(best, default=0) + 1)
            for number in best:
                if counts[number] > best[number]:
                    best[number] = int(counts[number])
                    icons[number] = cut_icon(picture, (planes == number).any(0), side)
    return np.concatenate(list(icons.values()), 1)


def cut_icon(picture: np.ndarray, mask: np.ndarray, side: int) -> UInt8[np.ndarray, "y x 3"]:
    """A square of the picture around where the mask is, as large as most of it, resized to `side`."""
    rows, columns = np.nonzero(mask)
    boxes = [np.quantile(axis, (0.04, 0.96)) for axis in (rows, columns)]
    height, width = picture.shape[:2]
    wanted = _MARGIN * max(float(high - low) + 1 for low, high in boxes)
    length = min(max(wanted, min(height, width) / 5), _MOST_SHARE * min(height, width))
    top, left = (
        int(np.clip((low + high + 1) / 2 - length / 2, 0, edge - length))
        for (low, high), edge in zip(boxes, (height, width), strict=True)
    )
    cut = picture[top : top + round(length), left : left + round(length)]
    return np.asarray(Image.fromarray(cut).resize((side, side), Image.Resampling.BICUBIC))


def draw_unit(
    run: Dissection, generator: Generator, layer: str, unit: int, side: int
) -> UInt8[np.ndarray, "y x 3"]:
    """The image that excites the unit most, dark where the unit is silent."""
    found = run[layer]
    index = int(found.exemplars.images[unit, 0]) if found.exemplars.images.shape[1] else -1
    if index < 0:
        return np.full((side, side, 3), 128, np.uint8)
    picture = Image.fromarray(run.frame.fit_image(generator.generate(index, 1)[0]))
    lit = Image.fromarray(draw_mask(found.exemplars.mask_runs(unit, 0), found.mask_size) * np.uint8(255))
    large = picture.resize((side, side), Image.Resampling.BICUBIC)
    dark = Image.fromarray((np.asarray(large) * SILENT).astype(np.uint8))
    return np.asarray(Image.composite(large, dark, lit.resize((side, side), Image.Resampling.BILINEAR)))
