"""Draws of images for null distributions, halves and bootstrap intervals, all from one seed."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int64, UInt8


@dataclass(frozen=True, eq=False)
class Resampling:
    """How the images of a scan are shuffled, halved and redrawn.

    `order` is a random order of the images. Null draw s pairs the masks of image order[k] with the
    labels of image order[k + shifts[s]], around the end; the shifts are distinct and never 0, so
    together with the true pairing they are draws from a group, and a rank among them is an exact
    p-value. `weights[image, b]` says how often bootstrap replicate b draws an image.
    """

    order: Int64[np.ndarray, "image"]
    shifts: Int64[np.ndarray, "shift"]
    weights: UInt8[np.ndarray, "image replicate"]

    @cached_property
    def place(self) -> Int64[np.ndarray, "image"]:
        """Where in the order every image stands."""
        place = np.empty_like(self.order)
        place[self.order] = np.arange(len(self.order))
        return place

    @cached_property
    def first_half(self) -> Int64[np.ndarray, "image"]:
        """Every image's own number where it is in the first half of the order, else -1."""
        return np.where(self.place < len(self.order) // 2, np.arange(len(self.order)), -1)


def draw_resampling(images: int, seed: int, shifts: int, replicates: int) -> Resampling:
    """A resampling of that many images; at most images - 1 shifts are possible.

    >>> draw_resampling(3, seed=0, shifts=100, replicates=5).shifts.tolist()
    [1, 2]
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(images)
    possible = rng.permutation(np.arange(1, max(images, 1)))
    drawn = np.sort(possible[:shifts])
    weights = np.empty((images, replicates), np.uint8)
    for replicate in range(replicates):
        picks = rng.integers(0, images, images)
        weights[:, replicate] = np.minimum(np.bincount(picks, minlength=images), 255)
    return Resampling(order, drawn, weights)
