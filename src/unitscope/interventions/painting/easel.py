"""A generator to paint with: its pictures with strokes on them, and what a segmenter sees change."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, UInt8, UInt16

from unitscope.concepts.segmented import Segmenter
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import NetworkError
from unitscope.interventions.edits import edited
from unitscope.interventions.painting.strokes import Painting, Shape, merge_strokes
from unitscope.interventions.unit_values import Levels
from unitscope.networks.generators import Generator, to_pixels
from unitscope.networks.trace import evaluation

Picture = UInt8[np.ndarray, "y x 3"]


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
    """A generator, who names its pixels, and the levels and shapes of the layers that may be painted."""

    generator: Generator
    segmenter: Segmenter
    levels: Mapping[str, Levels]
    shapes: Mapping[str, Shape]

    @torch.inference_mode()
    def show(self, painting: Painting) -> Picture:
        """The picture with its strokes; without strokes it is, bit for bit, what the generator makes.

        Raises `UsageError` for strokes that do not fit, `NetworkError` where no picture comes out.
        """
        generator = self.generator
        edits = merge_strokes(painting.strokes, self.levels, self.shapes, painting.off)
        with evaluation(generator.module), edited(generator, *edits):
            images = generator.module(*generator.inputs(painting.image))
        if not (images.ndim == 4 and images.shape[:2] == (1, 3)):
            raise NetworkError(
                f"{generator.name} gave {tuple(images.shape)}; wanted one image, 1 x 3 x y x x"
            )
        picture: Picture = to_pixels(images, generator.low, generator.high)[0]
        return picture

    def name_pixels(self, picture: Picture) -> UInt16[np.ndarray, "plane y x"]:
        """The concept ids of every pixel of a picture, as the segmenter sees it."""
        planes: UInt16[np.ndarray, "plane y x"] = self.segmenter(picture[None])[0]
        return planes


def compare_planes(
    before: UInt16[np.ndarray, "plane y x"], after: UInt16[np.ndarray, "plane y x"], vocabulary: Vocabulary
) -> list[Change]:
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
