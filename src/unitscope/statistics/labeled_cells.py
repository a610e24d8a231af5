"""The cells of units with their labels: of every unit those that are not 0, a mergeable statistic."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64, UInt16
from torch import Tensor

UNKNOWN, UNLABELED = -2, -1
"""Labels of cells: all of it is void, which is left out; and no class."""

MOST_CLASSES = 65_534


@dataclass(frozen=True, eq=False)
class Piece:
    """The cells of some consecutive images, the first of them number `first`.

    `counts` has by unit how many of `values` are its own, one unit after the other, each in the order of
    images, rows and columns. `labels` are places of classes, or `classes`, their number, for none; `cells`
    counts all cells by label, those included where a unit is 0.
    """

    first: int
    counts: Int64[np.ndarray, "unit"]
    values: Float32[np.ndarray, "entry"]
    labels: UInt16[np.ndarray, "entry"]
    cells: Int64[np.ndarray, "class_and_none"]

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return sum(a.nbytes for a in (self.counts, self.values, self.labels, self.cells))


@dataclass(frozen=True, eq=False)
class LabeledCells:
    """Of every unit the cells that are not 0, each with the label of its place in the image.

    Six bytes an entry: a sparse latent is short, a unit that is never 0 has as many as there are cells.
    Pieces may be merged in any order; what is read from them is in the order of the images.
    """

    pieces: tuple[Piece, ...]

    def merge(self, other: "LabeledCells") -> "LabeledCells":
        """The cells of both, in the order of their images."""
        return merge_cells([self, other])

    @property
    def bytes(self) -> int:
        """What they take in memory."""
        return sum(piece.bytes for piece in self.pieces)

    @property
    def units(self) -> int:
        """How many units there are."""
        return len(self.pieces[0].counts)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.pieces[0].cells) - 1

    @cached_property
    def cells(self) -> Int64[np.ndarray, "class_and_none"]:
        """How many cells have each label; the last is none."""
        return np.asarray(np.sum([piece.cells for piece in self.pieces], 0))

    @property
    def total(self) -> int:
        """How many cells there are."""
        return int(self.cells.sum())

    @property
    def starts(self) -> Int64[np.ndarray, "unit_and_one"]:
        """Where the entries of every unit begin."""
        counts = np.sum([piece.counts for piece in self.pieces], 0)
        return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def join(self) -> "LabeledCells":
        """The same in one piece; of images without gaps, where more will be merged."""
        if len(self.pieces) == 1:
            return self
        starts = self.starts
        values, labels = np.empty(starts[-1], np.float32), np.empty(starts[-1], np.uint16)
        free = starts[:-1].copy()
        for piece in self.pieces:
            begins = np.cumsum(piece.counts) - piece.counts
            places = np.repeat(free - begins, piece.counts) + np.arange(len(piece.values))
            values[places], labels[places] = piece.values, piece.labels
            free += piece.counts
        return LabeledCells((Piece(self.pieces[0].first, np.diff(starts), values, labels, self.cells),))


def merge_cells(parts: Sequence[LabeledCells]) -> LabeledCells:
    """The cells of several stretches of images, in the order of their images."""
    return LabeledCells(
        tuple(sorted((piece for part in parts for piece in part.pieces), key=lambda one: one.first))
    )


def gather_cells(
    maps: Tensor, labels: Int32[np.ndarray, "image cell"], classes: int, first: int
) -> LabeledCells:
    """The cells of some images, of maps [image, unit, cell_y, cell_x] on any device.

    `labels` are places of classes, `UNLABELED`, or `UNKNOWN` for cells that are left out.

    >>> cells = gather_cells(torch.tensor([[[[0.0, 2.0]], [[3.0, 0.0]]]]), np.int32([[0, UNLABELED]]), 1, 0)
    >>> cells.starts.tolist(), cells.pieces[0].values.tolist(), cells.pieces[0].labels.tolist()
    ([0, 1, 2], [2.0, 3.0], [1, 0])
    """
    flat = labels.reshape(-1)
    kept = torch.from_numpy(np.flatnonzero(flat != UNKNOWN)).to(maps.device)
    named = np.where(flat == UNLABELED, classes, flat).astype(np.uint16)[flat != UNKNOWN]
    rows = maps.flatten(2).transpose(0, 1).flatten(1)[:, kept].float()
    units, places = rows.nonzero(as_tuple=True)
    values = rows[units, places].cpu().numpy()
    counts = torch.bincount(units, minlength=len(rows)).cpu().numpy()
    cells = np.bincount(named, minlength=classes + 1)
    return LabeledCells((Piece(first, counts, values, named[places.cpu().numpy()], cells),))
