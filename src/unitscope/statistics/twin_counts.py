"""Where units are active in pictures and in their twins: masks by cell, thresholds, counts that merge."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from unitscope.axes import Thresholds
from unitscope.statistics.quantiles import tail_rank

Maps = Float32[np.ndarray, "image unit y x"]
Packed = UInt8[np.ndarray, "image unit byte"]
"""Masks on the cells of a map, eight cells a byte."""


@dataclass(frozen=True, eq=False)
class LargestCells:
    """The largest activations of every unit over all cells so far: a mergeable statistic.

    `values` holds at most `keep` a unit, in no order: enough for the threshold of a quantile among a number
    of cells that is known beforehand.

    >>> cells = LargestCells.start(units=1, cells=100, quantile=0.01)
    >>> cells.add(np.arange(100, dtype=np.float32).reshape(1, 1, 10, 10)).threshold.tolist()
    [98.0]
    """

    keep: int
    values: Float32[np.ndarray, "unit value"]

    @classmethod
    def start(cls, units: int, cells: int, quantile: float) -> "LargestCells":
        """One that has seen nothing; there will be `cells` of every unit."""
        return cls(tail_rank(quantile, cells), np.empty((units, 0), np.float32))

    def add(self, maps: Maps) -> "LargestCells":
        """The same after some more images."""
        values = np.moveaxis(maps, 0, 1).reshape(maps.shape[1], -1)
        return self.merge(LargestCells(self.keep, values))

    def merge(self, other: "LargestCells") -> "LargestCells":
        """The largest of both."""
        both = np.concatenate([self.values, other.values], 1)
        if both.shape[1] > self.keep:
            both = np.partition(both, -self.keep, axis=1)[:, -self.keep :]
        return LargestCells(self.keep, both)

    @property
    def threshold(self) -> Thresholds:
        """The exact threshold of every unit: at most the quantile of its cells lies strictly above it.

        It is the value of rank floor(q N) + 1 (`tail_rank`), as everywhere here.
        """
        return np.asarray(self.values.min(1))


def pack_masks(maps: Maps, thresholds: Thresholds) -> Packed:
    """Where the units are above their thresholds, a bit a cell.

    >>> pack_masks(np.array([[[[0, 2]]]], np.float32), np.array([1], np.float32)).tolist()
    [[[64]]]
    """
    above = maps > thresholds[:, None, None]
    return np.packbits(above.reshape(*above.shape[:2], -1), axis=2)


@dataclass(frozen=True, eq=False)
class TwinCounts:
    """Active cells of every unit over pairs of masks: in the first, in the second, in both; of `cells` each.

    A mergeable statistic: `merge` is associative and commutative, and all fields are arrays, which
    `numpy.savez(file, **vars(counts))` keeps.
    """

    first: Int64[np.ndarray, "unit"]
    second: Int64[np.ndarray, "unit"]
    both: Int64[np.ndarray, "unit"]
    cells: Int64[np.ndarray, ""]

    def merge(self, other: "TwinCounts") -> "TwinCounts":
        """The counts of the pairs of both."""
        return TwinCounts(*(np.asarray(mine + vars(other)[name]) for name, mine in vars(self).items()))

    @property
    def iou(self) -> Float64[np.ndarray, "unit"]:
        """Active in both over active in either; NaN for a unit that is active nowhere."""
        either = self.first + self.second - self.both
        nowhere = np.full(len(either), np.nan)
        return np.asarray(np.divide(self.both, either, out=nowhere, where=either > 0))

    def score(self, quantile: float) -> Float64[np.ndarray, "unit"]:
        """Paper B's score i / (2 q - i), i the share of cells that are active in both.

        It is `iou` where both masks have exactly the share q of the cells; where ties at the threshold leave
        them smaller, it is lower.

        >>> one = np.array([2])
        >>> TwinCounts(one, one, np.array([1]), np.array(200)).score(0.01).round(3).tolist()
        [0.333]
        """
        shared = self.both / self.cells
        return np.asarray(shared / (2 * quantile - shared))


def count_twins(first: Packed, second: Packed, cells: int) -> TwinCounts:
    """The counts of pairs of masks, image by image; `cells` is that of one map.

    >>> mask = np.array([[[0b11000000]]], np.uint8)
    >>> count_twins(mask, mask >> 1, 8).both.tolist()
    [1]
    """

    def count(masks: Packed) -> Int64[np.ndarray, "unit"]:
        return np.asarray(np.bitwise_count(masks).sum((0, 2), dtype=np.int64))

    total = np.asarray(cells * len(first), np.int64)
    return TwinCounts(count(first), count(second), count(first & second), total)
