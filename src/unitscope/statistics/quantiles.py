"""The upper tail of every unit: what is needed for its exact threshold and its masks, and no more.

A bilinear value never exceeds the largest of its four corners, so a cell none of whose corners is
above a lower bound of the threshold can never be in a mask. The bound is certified by values already
seen and only rises; what lies above it is kept, packed. See docs/decisions/0001.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from unitscope.axes import Thresholds
from unitscope.errors import RunError
from unitscope.statistics.cells import Cells, Chunk, join_cells, stack_cells
from unitscope.statistics.grids import Axis, Grid
from unitscope.statistics.kernels import bilinear as surfaces
from unitscope.statistics.kernels import bounds, packing
from unitscope.statistics.threads import Threads

Population = Literal["cells", "pixels", "given"]
SparseThreshold = Literal["half-median", "zero"]

_RANKED, _PRUNED = 8192, 64
"""Maps that are ranked, and units that are pruned, at a time, to bound what is held besides their cells."""

_JOINED = 32
"""Chunks of latents that are made one: of each a place is kept for every latent, whether it fires or not."""


def tail_rank(quantile: float, count: int) -> int:
    """The rank of the threshold among `count` values, 1 for the largest: floor(q N) + 1.

    So at most a fraction q lies strictly above it. The quantile is taken as the decimal it is
    written as: 0.005 of 1,000 values is exactly 5.

    >>> tail_rank(0.005, 1000)
    6
    """
    return min(math.floor(Fraction(str(quantile)) * count) + 1, count)


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
    thresholds are `given`. `images` is the number of images of the whole scan. `sparse` is None for units,
    and says for latents, which are 0 where they do not fire, what a threshold becomes that would be 0;
    `firing` of all are then not 0 in a cell at most, which bounds what is kept. `whole` asks for all cells
    where latents fire, whatever the thresholds: then no bound is raised, and none may be below 0.
    """

    units: int
    images: int
    raw_size: tuple[int, int]
    grid: Grid
    population: Population
    quantile: float
    sparse: SparseThreshold | None = None
    firing: int | None = None
    whole: bool = False

    @cached_property
    def count_each(self) -> int:
        """How many values of a unit an image gives to the population."""
        height, width = self.raw_size if self.population == "cells" else self.grid.mask_size
        return height * width

    @cached_property
    def rank(self) -> int:
        """The rank of the threshold among the values of all images."""
        return tail_rank(self.quantile, self.images * self.count_each)

    @cached_property
    def keep(self) -> int:
        """How many tail values certify the bound: for pixels, parts of cells that hold that many pixels."""
        if self.population == "given":
            return 0
        return math.ceil(self.rank / self.grid.pixels_per_part) if self.parted else self.rank

    @cached_property
    def cells(self) -> int:
        """How many cells of an image are kept in all units at most."""
        firing = self.units if self.firing is None else min(self.firing, self.units)
        # A latent that fires in a cell has neighbors kept, or is not 0 in pixels sampled around.
        beside = min(self.units, firing * ((2 * self.reach + 1) ** 2 if self.reach else 4))
        apart = firing * int(np.prod(self.raw_size)) if self.apart else 0
        return beside * int(np.prod(self.stored_grid.map_size)) + apart

    def reaches(self, images: int) -> bool:
        """Whether so many images certify a bound: where one is sought, and they have values enough."""
        return self.population != "given" and not self.whole and images * self.count_each >= self.rank

    @property
    def parted(self) -> bool:
        """Whether pixels are counted by the parts of cells that hold them."""
        return self.population == "pixels" and not self.grid.sampled

    @property
    def apart(self) -> bool:
        """Whether raw cells are wanted that what is stored for the masks has not: they are kept besides."""
        return self.grid.sampled and (self.population == "cells" or self.lifted or self.whole)

    @property
    def lifted(self) -> bool:
        """Whether a threshold of 0 is replaced by half of the median of the unit's positive cells."""
        return self.sparse == "half-median"

    @property
    def floor(self) -> np.float32:
        """What no threshold lies below: latents that are not above 0 are off."""
        off = self.lifted or (self.sparse is not None and self.population != "given")
        return np.float32(0 if off else -np.inf)

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
class Largest:
    """The largest values of every unit so far: `values[u, : fill[u]]`; the `keep`-th of them is a bound."""

    values: np.ndarray
    fill: np.ndarray


@dataclass(frozen=True, eq=False)
class Tail:
    """The tail of every unit over some of the images: a mergeable statistic.

    `bound` never exceeds the final threshold. `chunks` hold the cells that may be in a mask, and so all
    values of the population above the bound, but where that is `apart`: these are in `raw`. `largest` raises
    the bound while images come. Merge is associative and commutative in its results: thresholds and masks.
    """

    plan: TailPlan
    bound: np.ndarray
    chunks: tuple[Chunk, ...] = ()
    raw: tuple[Chunk, ...] = ()
    seen: int = 0
    largest: Largest | None = None

    def merge(self, other: "Tail") -> "Tail":
        """The tail over the images of both."""
        bound, seen = np.maximum(self.bound, other.bound), self.seen + other.seen
        return Tail(self.plan, bound, self.chunks + other.chunks, self.raw + other.raw, seen)

    def part(self, start: int, stop: int, prune: bool = False) -> "Tail":
        """The tail of the units from `start` to before `stop`, in memory, in one chunk.

        It is pruned where there were several, or where that is asked for.
        """
        plan, bound = replace(self.plan, units=stop - start), self.bound[start:stop]

        def gather(chunks: tuple[Chunk, ...], reach: int, size: tuple[int, int]) -> tuple[Cells, ...]:
            parts = [chunk.part(start, stop) for chunk in chunks]
            if prune or len(parts) > 1:  # before they are joined, which then takes less
                parts = [join_cells([part.prune(bound, reach, size) for part in parts])]
            return tuple(parts)

        chunks = gather(self.chunks, plan.reach, plan.stored_grid.map_size)
        raw = gather(self.raw, 0, plan.raw_size) if self.raw else ()
        return Tail(plan, bound, chunks, raw, self.seen)

    def prune(self, threads: Threads) -> "Tail":
        """The same tail in memory, in one chunk, without cells that can no longer matter."""
        if not self.chunks:
            return self
        if np.isneginf(self.bound).all():  # nothing can be dropped: a copy less
            return self.join()
        blocks = list(
            threads.pool.map(lambda block: self.part(block[0], block[1], True), self._blocks(_PRUNED))
        )
        chunk = stack_cells([cells.part(0, part.plan.units) for part in blocks for cells in part.chunks])
        raw = [cells.part(0, part.plan.units) for part in blocks for cells in part.raw]
        return Tail(self.plan, self.bound, (chunk,), (stack_cells(raw),) if raw else (), self.seen)

    def join(self) -> "Tail":
        """The same tail in memory, in one chunk, with all that it has."""
        chunks, raw = (
            (join_cells([chunk.part(0, self.plan.units) for chunk in parts]),) if parts else ()
            for parts in (self.chunks, self.raw)
        )
        return Tail(self.plan, self.bound, chunks, raw, self.seen)

    def _blocks(self, many: int) -> list[tuple[int, int]]:
        """Consecutive blocks of so many units that cover all of them."""
        units = self.plan.units
        return [(start, min(start + many, units)) for start in range(0, units, many)]

    def certify(self, threads: Threads, keep: Callable[[int, "Tail"], None] | None = None) -> Thresholds:
        """The bounds that the images seen so far certify: ranks of their values, or a little less.

        `keep` is given the first unit of every block of units, and their tail as these bounds leave it.
        """
        plan = self.plan
        if not plan.reaches(self.seen):
            return self.bound

        def certify_block(block: tuple[int, int]) -> Thresholds:
            part = self.part(*block)
            found = part._certify()
            if keep is not None:
                keep(block[0], replace(part, bound=found).part(0, len(found), True))
            return found

        many = max(1, min(16, _RANKED // self.seen)) if plan.sparse is None else _PRUNED
        return np.concatenate(list(threads.pool.map(certify_block, self._blocks(many))))

    def _certify(self) -> Thresholds:
        if not self.plan.parted:
            return self.rank_values()
        counts, _, size, cells, values = self._stored.arrays
        found: Thresholds = surfaces.certify_units(
            counts, size, cells, values, self.bound, self.plan.rank, *self._axes
        )
        return found

    def thresholds(self) -> Thresholds:
        """The exact threshold of every unit: the floor(q N) + 1 -th largest value.

        Of latents that fire on less, half of the median of the positive cells where the plan says so: these
        are all there, for their bound is 0. One that never fires keeps 0.

        Raises `RunError` if not all images have been seen.
        """
        if self.seen != self.plan.images:
            raise RunError(
                f"{self.seen} of {self.plan.images} images have been seen; a threshold needs all of them"
            )
        found = self.rank_values()
        return self._lift(found) if self.plan.lifted else found

    def _lift(self, thresholds: Thresholds) -> Thresholds:
        off = thresholds <= 0
        if not off.any():
            return thresholds
        kept = self.map_cells.arrays
        halves: Thresholds = bounds.halve_medians(*kept[:1], *kept[2:], off)
        return np.where(off, halves, thresholds)

    def rank_values(self) -> Thresholds:
        """The floor(q N) + 1 -th largest of every unit's values so far, or the bound if fewer are above it.

        Never more than the threshold, for N counts all images.
        """
        plan = self.plan
        if plan.population == "given":
            return self.bound
        if plan.parted:
            counts, _, size, cells, values = self._stored.arrays
            found = surfaces.rank_units(counts, size, cells, values, self.bound, plan.rank, *self._axes)
        else:
            grid = plan.stored_grid
            packed = self.map_cells if plan.population == "cells" else self._stored
            # Of a map with a ring of zeros around it the inner cells alone are values.
            ring = int(grid.border and plan.population == "cells")
            found = bounds.rank_cells(*packed.arrays, self.bound, plan.rank, ring, *grid.map_size)
        ranked: Thresholds = found + np.float32(0)  # of the two zeros the positive one, in any order
        return ranked

    def masks(self, thresholds: Thresholds) -> Masks:
        """The masks of every unit at these thresholds."""
        return Masks(*surfaces.decode_masks(*self._stored.arrays, thresholds, *self._axes))

    @property
    def _stored(self) -> Cells:
        return join_cells([chunk.part(0, self.plan.units) for chunk in self.chunks])

    @property
    def map_cells(self) -> Cells:
        """The cells of the maps themselves, in a ring of zeros where the grid has one."""
        kept = self.raw if self.plan.apart else self.chunks
        return join_cells([chunk.part(0, self.plan.units) for chunk in kept])

    @property
    def _axes(self) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """The axes of what is stored, as the compiled loops read them."""
        grid = self.plan.stored_grid
        rows, columns = (
            (axis.low, axis.high, axis.weight, axis.starts) for axis in (grid.rows, grid.columns)
        )
        return rows, columns


def empty_tail(plan: TailPlan, bound: Thresholds | None = None, images: int | None = None) -> Tail:
    """A tail that has seen nothing, and will see so many images, all of the scan by default.

    `bound` is what other parts of the data have certified already; a part alone would hardly raise it. Of
    latents only what fires is kept from the first image on: few do, so that their bounds can wait.
    """
    if bound is not None:
        return Tail(plan, np.maximum(bound.astype(np.float32), plan.floor))
    tail, coming = Tail(plan, np.full(plan.units, plan.floor, np.float32)), images or plan.images
    if plan.sparse is not None:
        return tail
    (y0, y1), (x0, x1) = plan.grid.inner
    parts = (y1 - y0) * (x1 - x0) * (4 if plan.grid.quartered else 1)
    if plan.keep == 0 or 4 * plan.keep > coming * (parts if plan.parted else plan.count_each):
        return tail  # the bound would hardly rise before most of these images have been seen
    values = np.empty((plan.units, 2 * plan.keep), np.float32)
    return replace(tail, largest=Largest(values, np.zeros(plan.units, np.int64)))


def update_tail(tail: Tail, maps: Tensor, first_image: int, threads: Threads) -> Tail:
    """The tail after one more batch of raw maps, float32 [image, unit, cell_y, cell_x] on the CPU.

    Buffers of the given tail are reused; go on with the one that is returned.
    """
    plan = tail.plan
    stored = plan.grid.surround(maps)
    if plan.grid.sampled:
        stored = plan.grid.upsample(stored)
    kept: Float32[np.ndarray, "image unit y x"] = stored.contiguous().numpy()
    raw: Float32[np.ndarray, "image unit y x"] = kept if stored is maps else maps.contiguous().numpy()
    rows = kept if plan.population == "pixels" else raw
    flat = rows.reshape(rows.shape[0], rows.shape[1], -1)
    bound, largest = tail.bound, tail.largest

    def update_block(units: tuple[int, int]) -> tuple[Cells, Cells | None]:
        if largest is not None:
            certified = (units, bound, largest.values, largest.fill, plan.keep)
            if plan.parted:
                bounds.push_plateaus(kept, *certified, plan.grid.inner, plan.grid.quartered)
            else:
                bounds.push_tail(flat, *certified)
        chunk = Cells(*packing.pack_cells(kept, units, bound, plan.reach, first_image))
        return chunk, Cells(*packing.pack_cells(raw, units, bound, 0, first_image)) if plan.apart else None

    blocks = threads.map_blocks(update_block, plan.units)
    return add_cells(tail, [kept for kept, _ in blocks], [part for _, part in blocks if part], maps.shape[0])


def add_cells(tail: Tail, blocks: list[Cells], raw: list[Cells], images: int) -> Tail:
    """The tail with the cells of some more images, in consecutive blocks of units."""
    added = (*tail.raw, stack_cells(raw)) if raw else tail.raw
    more = replace(tail, chunks=(*tail.chunks, stack_cells(blocks)), raw=added, seen=tail.seen + images)
    return more.join() if more.plan.sparse is not None and len(more.chunks) >= _JOINED else more
