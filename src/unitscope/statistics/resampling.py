"""How the images of a scan are put in a random order, paired with others' labels, halved and redrawn."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Int8, Int64, UInt8

from unitscope.statistics.rings import Rings

Null = Literal["blocks", "shifts"]

FEWEST = 16
"""Fewer images than this are too few for blocks: whole orders are shifted."""

BINS = 256
"""The interval redraws so many bins of images."""


@dataclass(frozen=True, eq=False)
class Resampling:
    """How the images of a scan are shuffled, halved and redrawn.

    `order` is a random order of the images. With `rings`, null draws shift labels inside of blocks of the
    order. Without, null draw s pairs the masks of image order[k] with the labels of image order[k +
    shifts[s]], around the end; the shifts are distinct and never 0, so together with the true pairing they
    are draws from a group, and a rank among them is an exact p-value. `weights[bin, b]` says how often
    bootstrap replicate b draws a bin of images.
    """

    order: Int64[np.ndarray, "image"]
    shifts: Int64[np.ndarray, "shift"]
    weights: UInt8[np.ndarray, "bin replicate"]
    rings: Rings | None = None

    @cached_property
    def place(self) -> Int64[np.ndarray, "image"]:
        """Where in the order every image stands."""
        place = np.empty_like(self.order)
        place[self.order] = np.arange(len(self.order))
        return place

    @property
    def count(self) -> int:
        """Null draws a unit."""
        return len(self.shifts) if self.rings is None else self.rings.draws

    @cached_property
    def half(self) -> Int8[np.ndarray, "image"]:
        """0 for images in the first half of the order, 1 for others."""
        return (self.place >= len(self.order) // 2).astype(np.int8)

    @cached_property
    def bin(self) -> Int64[np.ndarray, "image"]:
        """The bin of every image: consecutive places of the order share one."""
        return self.place * len(self.weights) // len(self.order)


def draw_resampling(
    count: int, seed: int, shifts: int, replicates: int, null: Null = "blocks", null_images: int = 4096
) -> Resampling:
    """A resampling of `count` images, with `shifts` null draws a unit; `null` says of which kind.

    Blocks take at most `null_images` of them, by lot. Of fewer than 16 images the whole order is shifted; at
    most count - 1 shifts are possible then.

    >>> draw_resampling(3, seed=0, shifts=100, replicates=5).shifts.tolist()
    [1, 2]
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    rings = Rings(order[:null_images], shifts, seed) if null == "blocks" and count >= FEWEST else None
    drawn = np.zeros(0, np.int64)
    if rings is None:
        drawn = np.sort(rng.permutation(np.arange(1, max(count, 1)))[:shifts])
    bins = min(count, BINS)
    weights = np.empty((bins, replicates), np.uint8)
    for replicate in range(replicates):
        picks = rng.integers(0, bins, bins)
        weights[:, replicate] = np.minimum(np.bincount(picks, minlength=bins), 255)
    return Resampling(order, drawn, weights, rings)
