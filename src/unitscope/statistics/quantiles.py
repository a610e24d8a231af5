"""The upper tail of every unit: what is needed for its exact threshold and its masks, and no more.

A bilinear value never exceeds the largest of its four corners, so a cell none of whose corners is
above a lower bound of the threshold can never be in a mask. The bound is certified by values already
seen and only rises; what lies above it is kept, packed. See docs/decisions/0001.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from unitscope.axes import Thresholds
from unitscope.errors import RunError, writing
from unitscope.statistics.grids import Axis, Grid
from unitscope.statistics.kernels import bilinear as surfaces
from unitscope.statistics.kernels import bounds, packing
from unitscope.statistics.threads import Threads

Population = Literal["cells", "pixels", "given"]

_CELLS = ("counts", "image", "size", "cells", "cell_values")
"""The arrays of packed cells, as the state of a tail names them."""


def tail_rank(quantile: float, count: int) -> int:
    """The rank of the threshold among `count` values, 1 for the largest: floor(q N) + 1.

    So at most a fraction q lies strictly above it. The quantile is taken as the decimal it is
    written as: 0.005 of 1,000 values is exactly 5.

    >>> tail_rank(0.005, 1000)
    6
    """
    return min(math.floor(Fraction(str(quantile)) * count) + 1, count)


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
        """Memory of the packed cells; those spilled to disk take none."""
        return 0 if isinstance(self.values, np.memmap) else sum(part.nbytes for part in self.arrays)

    def part(self, start: int, stop: int) -> "Cells":
        """The cells of some units, without a copy."""
        r, s = self.record_starts[start], self.record_starts[stop]
        p, q = self.cell_starts[start], self.cell_starts[stop]
        return Cells(
            self.counts[start:stop], self.image[r:s], self.size[r:s], self.cells[p:q], self.values[p:q]
        )


class Masks(NamedTuple):
    """Masks of some units, sorted by unit, in the order of their records.

    `counts[unit]` masks; by mask its `image` and `size` in runs; all `runs`: row, first column, last + 1.
    """

    counts: np.ndarray
    image: np.ndarray
    size: np.ndarray
    runs: np.ndarray


@dataclass(frozen=True)
class TailPlan:
    """What a tail needs to know beforehand.

    `population` says whose quantile is taken: raw `cells`, upsampled `pixels`, or none where the
    thresholds are `given`. `images` is the number of images of the whole scan.
    """

    units: int
    images: int
    raw_size: tuple[int, int]
    grid: Grid
    population: Population
    quantile: float

    @cached_property
    def count(self) -> int:
        """How many values of a unit the quantile is taken over."""
        height, width = self.raw_size if self.population == "cells" else self.grid.mask_size
        return self.images * height * width

    @cached_property
    def rank(self) -> int:
        """The rank of the threshold among them."""
        return tail_rank(self.quantile, self.count)

    @cached_property
    def keep(self) -> int:
        """How many tail values certify the bound: for pixels, parts of cells that hold that many pixels."""
        if self.population == "given":
            return 0
        if self.population == "pixels" and not self.grid.sampled:
            return math.ceil(self.rank / self.grid.pixels_per_part)
        return self.rank

    @cached_property
    def stored_grid(self) -> Grid:
        """The grid of what is stored: where the mask is coarser the sampled values, a cell each pixel."""
        if not self.grid.sampled:
            return self.grid
        axes = []
        for pixels in self.grid.mask_size:
            places = np.arange(pixels + 1, dtype=np.int32)
            axes.append(Axis(places[:-1], places[:-1], np.zeros(pixels, np.float32), places))
        return Grid(axes[0], axes[1])

    @property
    def reach(self) -> int:
        """How far neighbors of a hot cell are kept."""
        return 0 if self.grid.sampled else 1


@dataclass(frozen=True, eq=False)
class Tail:
    """The tail of every unit over some of the images: a mergeable statistic.

    `bound` never exceeds the final threshold. `values[u, : fill[u]]` holds the largest values seen.
    Merge is associative and commutative in its results: thresholds and masks.
    """

    plan: TailPlan
    bound: np.ndarray
    values: np.ndarray
    fill: np.ndarray
    chunks: tuple[Cells, ...] = ()
    seen: int = 0

    @property
    def bytes(self) -> int:
        """Memory of the packed cells held in memory."""
        return sum(chunk.bytes for chunk in self.chunks)

    def merge(self, other: "Tail") -> "Tail":
        """The tail over the images of both."""
        bound = np.maximum(self.bound, other.bound)
        values, fill = bounds.merge_tails(
            self.values, self.fill, other.values, other.fill, bound, self.plan.keep
        )
        return Tail(self.plan, bound, values, fill, self.chunks + other.chunks, self.seen + other.seen)

    def prune(self, threads: Threads | None = None) -> "Tail":
        """The same tail with what is in memory in one chunk, without cells that can no longer matter."""
        size = self.plan.stored_grid.map_size
        spilled = tuple(chunk for chunk in self.chunks if not chunk.bytes)
        loaded = [chunk for chunk in self.chunks if chunk.bytes]
        units = self.plan.units

        def prune_block(block: tuple[int, int]) -> Cells:
            kept = (self.bound[slice(*block)], self.plan.reach, *size)
            parts = (chunk.part(*block).arrays for chunk in loaded)
            return join_cells([Cells(*packing.prune_cells(*part, *kept)) for part in parts])

        if not loaded:
            return self
        blocks = [prune_block((0, units))] if threads is None else threads.map_blocks(prune_block, units)
        return replace(self, chunks=(*spilled, stack_cells(blocks)))

    def spill(self, folder: Path) -> "Tail":
        """The same tail with its cells in files of an existing folder, read back as they are needed.

        Raises `RunError` where they cannot be written.
        """
        hint = "free some space or allow more memory, and go on with --resume"
        chunks = []
        for chunk in self.chunks:
            if chunk.bytes:
                number = len(list(folder.iterdir()))
                paths = [folder / f"{number:06d}-{name}.npy" for name in _CELLS]
                pairs = list(zip(paths, chunk.arrays, strict=True))
                with writing(f"packed activations to {folder}", hint):
                    for path, array in pairs:
                        np.save(path, array)
                mapped = (np.load(path, mmap_mode="r" if len(array) else None) for path, array in pairs)
                chunk = Cells(*mapped)
            chunks.append(chunk)
        return replace(self, chunks=tuple(chunks))

    def part(self, start: int, stop: int) -> "Tail":
        """The tail of the units from `start` to before `stop`."""
        units = slice(start, stop)
        chunks = join_cells([chunk.part(start, stop) for chunk in self.chunks])
        plan = replace(self.plan, units=stop - start)
        return Tail(plan, self.bound[units], self.values[units], self.fill[units], (chunks,), self.seen)

    def thresholds(self) -> Thresholds:
        """The exact threshold of every unit: the floor(q N) + 1 -th largest value.

        Raises `RunError` if not all images have been seen.
        """
        plan = self.plan
        if self.seen != plan.images:
            raise RunError(
                f"{self.seen} of {plan.images} images have been seen; a threshold needs all of them"
            )
        if plan.population == "given":
            return self.bound
        if plan.population == "cells" or plan.grid.sampled:
            found: Thresholds = bounds.rank_tails(self.values, self.fill, plan.rank)
        else:
            counts, _, size, cells, values = join_cells(self.chunks).arrays
            found = surfaces.rank_units(counts, size, cells, values, self.bound, plan.rank, *self._axes)
        return found

    def masks(self, thresholds: Thresholds) -> Masks:
        """The masks of every unit at these thresholds."""
        return Masks(*surfaces.decode_masks(*join_cells(self.chunks).arrays, thresholds, *self._axes))

    @property
    def _axes(self) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """The axes of what is stored, as the compiled loops read them."""
        grid = self.plan.stored_grid
        rows, columns = (
            (axis.low, axis.high, axis.weight, axis.starts) for axis in (grid.rows, grid.columns)
        )
        return rows, columns

    def state(self) -> dict[str, np.ndarray]:
        """Everything but the plan, as arrays: with `restore_tail` it survives a file."""
        largest = np.ascontiguousarray(self.values[:, : int(self.fill.max(initial=0))])
        packed = dict(zip(_CELLS, join_cells(self.chunks).arrays, strict=True))
        seen = np.array([self.seen])
        return {"bound": self.bound, "values": largest, "fill": self.fill, "seen": seen, **packed}


def empty_tail(plan: TailPlan, bound: Thresholds | None = None) -> Tail:
    """A tail that has seen nothing; `bound` is what other parts of the data have certified already."""
    start = np.full(plan.units, -np.inf, np.float32) if bound is None else bound.astype(np.float32)
    values = np.empty((plan.units, 2 * plan.keep), np.float32)
    return Tail(plan, start, values, np.zeros(plan.units, np.int64))


def restore_tail(plan: TailPlan, state: Mapping[str, np.ndarray]) -> Tail:
    """The tail that `Tail.state` described."""
    bound, values, fill = (np.array(state[name]) for name in ("bound", "values", "fill"))
    chunk = Cells(*(state[name] for name in _CELLS))
    return Tail(plan, bound, values, fill, (chunk,), int(state["seen"][0]))


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
    columns = zip(*(block.arrays for block in blocks), strict=True)
    return Cells(*(np.concatenate(column) for column in columns))


def _interleave(parts: Sequence[np.ndarray], starts: Sequence[np.ndarray]) -> np.ndarray:
    """One array of all parts, unit by unit; starts[part][unit] says where in a part a unit begins."""
    whole = np.empty(sum(map(len, parts)), parts[0].dtype)
    places = np.sum(starts, 0)
    for part, begins in zip(parts, starts, strict=True):
        packing.place_shares(part, begins, whole, places)
    return whole


def update_tail(tail: Tail, maps: Tensor, first_image: int, threads: Threads) -> Tail:
    """The tail after one more batch of raw maps, float32 [image, unit, cell_y, cell_x] on the CPU.

    Buffers of the given tail are reused; go on with the one that is returned.
    """
    plan = tail.plan
    stored = plan.grid.surround(maps)
    if plan.grid.sampled:
        stored = plan.grid.upsample(stored)
    kept: Float32[np.ndarray, "image unit y x"] = stored.contiguous().numpy()
    rows = kept if plan.population == "pixels" else maps.contiguous().numpy()
    flat = rows.reshape(rows.shape[0], rows.shape[1], -1)
    bound, values, fill = tail.bound, tail.values, tail.fill

    def update_block(units: tuple[int, int]) -> Cells:
        if plan.population == "pixels" and not plan.grid.sampled:
            bounds.push_plateaus(
                kept, units, bound, values, fill, plan.keep, plan.grid.inner, plan.grid.quartered
            )
        elif plan.population != "given":
            bounds.push_tail(flat, units, bound, values, fill, plan.keep)
        return Cells(*packing.pack_cells(kept, units, bound, plan.reach, first_image))

    chunk = stack_cells(threads.map_blocks(update_block, plan.units))
    return replace(tail, chunks=(*tail.chunks, chunk), seen=tail.seen + maps.shape[0])
