"""Cells of activation maps that are kept of some images, packed unit by unit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from unitscope.axes import Thresholds
from unitscope.statistics.kernels import packing


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells kept of some images, sorted by unit, then image.

    `counts[unit]` records; by record its `image` and `size`; by cell its place and value.
    """

    counts: np.ndarray
    image: np.ndarray
    size: np.ndarray
    cells: np.ndarray
    values: np.ndarray
    record_starts: np.ndarray = field(init=False)
    cell_starts: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        records = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])
        sizes = np.concatenate([[0], np.cumsum(self.size, dtype=np.int64)])
        object.__setattr__(self, "record_starts", records)
        object.__setattr__(self, "cell_starts", sizes[records])

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The five arrays, in the order of the constructor."""
        return (self.counts, self.image, self.size, self.cells, self.values)

    @property
    def bytes(self) -> int:
        """Memory that they take."""
        return sum(part.nbytes for part in self.arrays)

    def part(self, start: int, stop: int) -> "Cells":
        """The cells of some units, without a copy."""
        r, s = self.record_starts[start], self.record_starts[stop]
        p, q = self.cell_starts[start], self.cell_starts[stop]
        return Cells(
            self.counts[start:stop], self.image[r:s], self.size[r:s], self.cells[p:q], self.values[p:q]
        )

    def before(self, image: int) -> "Cells":
        """Those of the images before one."""
        kept = self.image < image
        if kept.all():
            return self
        counts = np.diff(np.concatenate([[0], np.cumsum(kept)])[self.record_starts])
        inside = np.repeat(kept, self.size)
        return Cells(counts, self.image[kept], self.size[kept], self.cells[inside], self.values[inside])

    def prune(self, bound: Thresholds, reach: int, size: tuple[int, int]) -> "Cells":
        """Those above the bounds of their units, with neighbors up to `reach` away, in maps of that size."""
        return Cells(*packing.prune_cells(*self.arrays, bound, reach, *size))


@runtime_checkable
class Chunk(Protocol):
    """Cells of all units over some images, in memory or in files: `part` has those of some units."""

    def part(self, start: int, stop: int) -> Cells: ...


def join_cells(chunks: Sequence[Cells]) -> Cells:
    """Several chunks as one, each unit's records in the order of the chunks."""
    if len(chunks) == 1:
        return chunks[0]
    counts = np.sum([chunk.counts for chunk in chunks], 0)
    records, cells = ([getattr(chunk, name) for chunk in chunks] for name in ("record_starts", "cell_starts"))
    owned = (("image", records), ("size", records), ("cells", cells), ("values", cells))
    return Cells(counts, *(_interleave([getattr(c, name) for c in chunks], starts) for name, starts in owned))


def stack_cells(blocks: Sequence[Cells]) -> Cells:
    """The cells of consecutive blocks of units as those of all."""
    if len(blocks) == 1:
        return blocks[0]
    columns = zip(*(block.arrays for block in blocks), strict=True)
    return Cells(*(np.concatenate(column) for column in columns))


def _interleave(parts: Sequence[np.ndarray], starts: Sequence[np.ndarray]) -> np.ndarray:
    """One array of all parts, unit by unit; starts[part][unit] says where in a part a unit begins."""
    whole = np.empty(sum(map(len, parts)), parts[0].dtype)
    places = np.sum(starts, 0)
    for part, begins in zip(parts, starts, strict=True):
        packing.place_shares(part, begins, whole, places)
    return whole
