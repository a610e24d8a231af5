"""Which labels the cells of a map have: the commonest of the pixels that a cell covers, by several rules."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt16

from unitscope.concepts.vocabulary import Example
from unitscope.statistics.annotations import Annotations
from unitscope.statistics.kernels import label_runs as loops
from unitscope.statistics.labeled_cells import UNKNOWN, UNLABELED

CellRule = Literal["majority", "foreground"]
"""What a cell is called by: the commonest of all that its pixels are, or of their labels if any has one.

Both say one label a cell; `label_planes` says one a plane.
"""


@dataclass(frozen=True, eq=False)
class CellGrid:
    """How a map's cells lie in the mask: cut evenly, into squares where the numbers allow it.

    Mask row y of Y belongs to row floor(y R / Y) of R, and columns likewise.

    >>> CellGrid((2, 2), (4, 5)).places.tolist()[0]
    [0, 0, 0, 1, 1]
    """

    map_size: tuple[int, int]
    mask_size: tuple[int, int]

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return self.map_size[0] * self.map_size[1]

    @cached_property
    def places(self) -> Int64[np.ndarray, "row column"]:
        """The cell of every mask pixel."""
        rows, columns = (
            np.arange(side) * cells // side for side, cells in zip(self.mask_size, self.map_size, strict=True)
        )
        return np.asarray(rows[:, None] * self.map_size[1] + columns[None])

    def count(
        self,
        ids: Int64[np.ndarray, "pixel"],
        present: Int64[np.ndarray, "id"],
        kept: Bool[np.ndarray, "pixel"],
    ) -> Int64[np.ndarray, "cell id"]:
        """How many kept pixels of every cell have each of the ids that are present, which ascend."""
        pairs = self.places.reshape(-1)[kept] * len(present) + np.searchsorted(present, ids[kept])
        found = np.bincount(pairs, minlength=self.cells * len(present))
        return found.reshape(self.cells, len(present))


def label_cells(
    labels: Annotations, grid: CellGrid, classes: Int32[np.ndarray, "id"], rule: CellRule
) -> Int32[np.ndarray, "image cell"]:
    """The label of every cell of some images: the place of a class, `UNLABELED`, or `UNKNOWN`.

    `classes` has the place of every concept's class by its id, in the order of ids, and -1 for a concept that
    is no class. Of the pixels of a cell that are not void, every label counts by itself, as does a label of
    the whole image, twice on a pixel once; pixels without any, together, as one more. By "majority" the
    commonest is the cell's, by "foreground" the commonest label where there is one. Of equally common ones no
    label comes first, then the lowest id. A cell of void alone is `UNKNOWN`.
    """
    found = np.empty((len(labels), grid.cells), np.int32)
    for number, (planes, scalars) in enumerate(_decode(labels)):
        void = planes[0] == len(classes) if len(planes) else np.zeros(grid.places.size, bool)
        if len(planes) + len(scalars) > 1:  # some conventions keep a concept twice on a pixel
            planes, scalars = _drop_doubles(planes, scalars, grid)
        found[number] = _label(planes, scalars, void, grid, classes, rule)
    return found


def label_planes(example: Example, grid: CellGrid) -> Int32[np.ndarray, "plane cell"]:
    """What most pixels of each cell are, in every plane of labels by itself; of as many the lowest id.

    0 is no label, and counts; void pixels are left out, and a cell of which more than half is void is
    `UNKNOWN`. The example is at the grid's mask size.

    >>> plane = np.array([[[3, 3, 0, 0], [3, 5, 0, 7]]], np.uint16)
    >>> example = Example("a", np.zeros((2, 4, 3), np.uint8), plane)
    >>> label_planes(example, CellGrid((1, 2), (2, 4))).tolist()
    [[3, 0]]
    """
    void = np.zeros(grid.mask_size, bool) if example.void is None else example.void
    nothing, one = np.zeros(void.size, np.int64), np.zeros(1, np.int64)
    blank = grid.count(nothing, one, void.reshape(-1))
    unknown = (2 * blank > blank + grid.count(nothing, one, ~void.reshape(-1)))[:, 0]
    found = np.empty((len(example.planes), grid.cells), np.int32)
    for place, plane in enumerate(example.planes):
        ids = plane.reshape(-1).astype(np.int64)
        present = np.unique(ids)
        most = present[grid.count(ids, present, ~void.reshape(-1)).argmax(1)]
        found[place] = np.where(unknown, UNKNOWN, most)
    return found


def _drop_doubles(
    planes: UInt16[np.ndarray, "plane pixel"], scalars: UInt16[np.ndarray, "label"], grid: CellGrid
) -> tuple[UInt16[np.ndarray, "plane pixel"], UInt16[np.ndarray, "one_label"]]:
    whole = np.unique(scalars)
    kept: np.ndarray = loops.drop_doubles(np.ascontiguousarray(planes).reshape(-1, *grid.mask_size), whole)
    return kept.reshape(planes.shape), whole


def _label(
    planes: UInt16[np.ndarray, "plane pixel"],
    scalars: UInt16[np.ndarray, "label"],
    void: Bool[np.ndarray, "pixel"],
    grid: CellGrid,
    classes: Int32[np.ndarray, "id"],
    rule: CellRule,
) -> Int32[np.ndarray, "cell"]:
    nothing, one = np.zeros(len(void), np.int64), np.zeros(1, np.int64)
    known = grid.count(nothing, one, ~void)[:, 0]
    lookup = np.append(classes, -1).astype(np.int64)  # void is the id after the last
    named = [lookup[plane] for plane in planes]
    whole = [int(place) for place in lookup[scalars] if place >= 0]
    present = np.unique(np.concatenate([np.array(whole, np.int64), *(plane[plane >= 0] for plane in named)]))
    labeled = np.zeros(len(void), bool)
    counts = np.zeros((grid.cells, len(present)), np.int64)
    for plane in named:
        labeled |= plane >= 0
        counts += grid.count(plane, present, plane >= 0)
    for place in whole:
        counts[:, np.searchsorted(present, place)] += known
    none = np.zeros_like(known) if whole else grid.count(nothing, one, ~void & ~labeled)[:, 0]
    if rule == "foreground":
        none = np.where(counts.any(1), 0, none)
    best = np.concatenate([none[:, None], counts], 1).argmax(1)  # the first of equal ones
    named_by = np.concatenate([[UNLABELED], present]).astype(np.int32)
    return np.where(known > 0, named_by[best], np.int32(UNKNOWN))


def _decode(labels: Annotations) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """By image the ids of its pixels, plane after plane, and those of the whole image."""
    arrays, (height, width) = labels.arrays, labels.mask_size
    row = scalar = 0
    for planes, scalars in zip(arrays["planes"].tolist(), arrays["scalar_counts"].tolist(), strict=True):
        begins = labels.row_starts[row : row + planes * height].astype(np.int64)
        row += planes * height
        stop = int(labels.row_starts[row]) if row < len(labels.row_starts) else len(arrays["ends"])
        part = slice(int(begins[0]) if planes else stop, stop)
        ends = arrays["ends"][part].astype(np.int64)
        starts = np.concatenate([np.zeros(1, np.int64), ends])[: len(ends)]
        starts[begins - part.start] = 0
        pixels = np.repeat(arrays["ids"][part], ends - starts)
        yield pixels.reshape(planes, height * width), arrays["scalars"][scalar : scalar + scalars]
        scalar += scalars
