"""How many pixels a concept has before and after edits, summed over images, with intervals."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int64, UInt16

from unitscope.interventions.repainting import Repainted, count_areas
from unitscope.statistics.intervals import Interval

SURE = 2.5758293035489004
"""Half the width of a normal 99 % interval, in standard errors."""


@dataclass
class Areas:
    """Sums over images of the pixels of every concept, before and after each of some edits.

    `before[concept]` and `after[version, concept]` count pixels; `squares`, `after_squares` and `products`
    are sums of before^2, after^2 and before x after over images. `changed[version]` counts the pixels that
    the first plane names otherwise than before, `changed_in[version, concept]` those of them that were
    the concept before. All are whole numbers, so the order of images does not matter.
    """

    versions: int
    size: int
    images: int = 0
    pixels: int = 0
    before: Int64[np.ndarray, "concept"] = field(init=False)
    squares: Int64[np.ndarray, "concept"] = field(init=False)
    after: Int64[np.ndarray, "version concept"] = field(init=False)
    after_squares: Int64[np.ndarray, "version concept"] = field(init=False)
    products: Int64[np.ndarray, "version concept"] = field(init=False)
    changed: Int64[np.ndarray, "version"] = field(init=False)
    changed_in: Int64[np.ndarray, "version concept"] = field(init=False)

    def __post_init__(self) -> None:
        self.before, self.squares = np.zeros((2, self.size), np.int64)
        self.after, self.after_squares, self.products, self.changed_in = np.zeros(
            (4, self.versions, self.size), np.int64
        )
        self.changed = np.zeros(self.versions, np.int64)

    def add(self, image: Repainted) -> None:
        """Counts one image in."""
        before = count_areas(image.before[None], self.size)[0]
        after = count_areas(image.after, self.size)
        self.images += 1
        self.pixels += image.before[0].size
        self.before += before
        self.squares += before**2
        self.after += after
        self.after_squares += after**2
        self.products += after * before
        differs = image.after[:, 0] != image.before[0]
        self.changed += differs.sum((1, 2))
        self.changed_in += _count_inside(differs, image.before, self.size)

    def removed(self, version: int, concept: int) -> Interval:
        """-(mean change of the concept's pixels) / (its mean pixels before): 1 where all are gone.

        Negative where there are more than before, NaN where there were none. The interval is one of 99 %,
        normal over images, as in paper B (fig. 4a), of a ratio of two means by the delta method: the
        variance of 1 - A / B is the mean square of a - (A / B) b over images, divided by (n - 1) and by the
        squared mean of b. A single image has no interval.
        """
        total = int(self.before[concept])
        if total == 0:
            return Interval(float("nan"))
        ratio = int(self.after[version, concept]) / total
        if self.images < 2:
            return Interval(1 - ratio)
        residual = (
            int(self.after_squares[version, concept])
            - 2 * ratio * int(self.products[version, concept])
            + ratio**2 * int(self.squares[concept])
        )
        error = (max(residual, 0.0) * self.images / (self.images - 1)) ** 0.5 / total
        return Interval(1 - ratio, 1 - ratio - SURE * error, 1 - ratio + SURE * error)

    def aside(self, version: int, concept: int) -> float:
        """Of the pixels that were not the concept, the share that the first plane now names otherwise."""
        others = self.pixels - int(self.before[concept])
        touched = int(self.changed[version]) - int(self.changed_in[version, concept])
        return touched / others if others else float("nan")

    def cover(self, concept: int) -> float:
        """The share of all pixels that were the concept."""
        return int(self.before[concept]) / self.pixels if self.pixels else float("nan")

    def merge(self, other: "Areas") -> "Areas":
        """The sums over the images of both, for the same number of versions."""
        merged = Areas(self.versions, self.size, self.images + other.images, self.pixels + other.pixels)
        for name in _SUMS:
            setattr(merged, name, getattr(self, name) + getattr(other, name))
        return merged

    def growth(self, version: int) -> Float64[np.ndarray, "concept"]:
        """The change of every concept's pixels as a share of all pixels."""
        return np.asarray((self.after[version] - self.before) / max(self.pixels, 1))


_SUMS = ("before", "squares", "after", "after_squares", "products", "changed", "changed_in")


def _count_inside(
    differs: np.ndarray, before: UInt16[np.ndarray, "plane y x"], size: int
) -> Int64[np.ndarray, "version {size}"]:
    """How many of the pixels that differ were each concept before."""
    counts = np.zeros((len(differs), size), np.int64)
    for version, mask in enumerate(differs):
        counts[version] = count_areas(before[None][:, :, mask][:, :, None], size)[0]
    return counts
