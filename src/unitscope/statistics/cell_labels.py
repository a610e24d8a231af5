"""Which label a cell of a map has: the commonest of the pixels that it covers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt16

from unitscope.statistics.annotations import Annotations
from unitscope.statistics.labeled_cells import UNKNOWN, UNLABELED

CellRule = Literal["majority", "prefer-fg"]
"""What a cell is called by: the commonest of all that its pixels are, or of their labels if any has one."""


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

    @property
    def places(self) -> Int64[np.ndarray, "row column"]:
        """The cell of every mask pixel."""
        rows, columns = (
            np.arange(side) * cells // side for side, cells in zip(self.mask_size, self.map_size, strict=True)
        )
        return np.asarray(rows[:, None] * self.map_size[1] + columns[None])


def label_cells(
    labels: Annotations, grid: CellGrid, classes: Int32[np.ndarray, "id"], rule: CellRule
) -> Int32[np.ndarray, "image cell"]:
    """The label of every cell of some images: the place of a class, `UNLABELED`, or `UNKNOWN`.

    `classes` has the place of every concept's class by its id, in the order of ids, and -1 for a concept that
    is no class. Of the pixels of a cell that are not void, every label counts by itself, as does a label of
    the whole image; pixels without any, together, as one more. By "majority" the commonest is the cell's, by
    "prefer-fg" the commonest label where there is one. Of equally common ones no label comes first, then the
    lowest id. A cell of void alone is `UNKNOWN`.
    """
    places = grid.places.reshape(-1)
    found = np.empty((len(labels), grid.cells), np.int32)
    for number, (planes, scalars) in enumerate(_decode(labels)):
        void = planes[0] == len(classes) if len(planes) else np.zeros(len(places), bool)
        found[number] = _label(planes, scalars, void, places, grid.cells, classes, rule)
    return found


def _label(
    planes: UInt16[np.ndarray, "plane pixel"],
    scalars: UInt16[np.ndarray, "label"],
    void: Bool[np.ndarray, "pixel"],
    places: Int64[np.ndarray, "pixel"],
    cells: int,
    classes: Int32[np.ndarray, "id"],
    rule: CellRule,
) -> Int32[np.ndarray, "cell"]:
    known = np.bincount(places[~void], minlength=cells)
    lookup = np.append(classes, -1)  # void is the id after the last
    named = [lookup[plane] for plane in planes]
    whole = [int(place) for place in lookup[scalars] if place >= 0]
    present = np.unique(np.concatenate([np.array(whole, np.int64), *(plane[plane >= 0] for plane in named)]))
    labeled = np.zeros(len(places), bool)
    counts = np.zeros((cells, len(present)), np.int64)
    for plane in named:
        here = plane >= 0
        labeled |= here
        columns = np.searchsorted(present, plane[here])
        pairs = places[here] * len(present) + columns
        counts += np.bincount(pairs, minlength=counts.size).reshape(counts.shape)
    for place in whole:
        counts[:, np.searchsorted(present, place)] += known
    none = np.zeros_like(known) if whole else np.bincount(places[~void & ~labeled], minlength=cells)
    if rule == "prefer-fg":
        none = np.where(counts.any(1), 0, none)
    best = np.concatenate([none[:, None], counts], 1).argmax(1)  # the first of equal ones
    named_by = np.concatenate([[UNLABELED], present]).astype(np.int32)
    return np.where(known > 0, named_by[best], np.int32(UNKNOWN))


def _decode(labels: Annotations) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """By image the ids of its pixels, plane after plane, and those of the whole image."""
    arrays, (height, width) = labels.arrays, labels.mask_size
    per_row = arrays["per_row"].astype(np.int64)
    ends = arrays["ends"].astype(np.int64)
    starts = np.concatenate([[0], ends[:-1]])
    begins = np.cumsum(per_row) - per_row
    starts[begins[per_row > 0]] = 0
    of_rows = np.concatenate([begins, [len(ends)]])
    row = scalar = 0
    for planes, scalars in zip(arrays["planes"].tolist(), arrays["scalar_counts"].tolist(), strict=True):
        part = slice(of_rows[row], of_rows[row + planes * height])
        pixels = np.repeat(arrays["ids"][part], (ends - starts)[part])
        yield pixels.reshape(planes, height * width), arrays["scalars"][scalar : scalar + scalars]
        row, scalar = row + planes * height, scalar + scalars
