"""The cells where latents fire, from the tails that a scan has kept whole: no pass of their own is needed."""

import numpy as np
from jaxtyping import Bool, Int32

from unitscope.errors import UsageError
from unitscope.statistics.cells import Cells
from unitscope.statistics.labeled_cells import UNKNOWN, UNLABELED, LabeledCells, Piece
from unitscope.statistics.quantiles import Tail

_BLOCK = 64
"""Latents that are read at a time."""


def gather_fired(
    tail: Tail,
    labels: Int32[np.ndarray, "image cell"],
    held: Bool[np.ndarray, "image"],
    classes: int,
    memory: int,
) -> tuple[LabeledCells, LabeledCells]:
    """The cells where latents are above 0, of images to learn from and of those `held` out.

    `labels` are places of classes, `UNLABELED`, or `UNKNOWN` for cells that are left out. The tail is one of
    all images, with a plan that keeps it `whole`: what comes back is what `gather_cells` makes of the maps.

    Raises `UsageError` where they take more than `memory` bytes, `RunError` where they cannot be read.
    """
    assert tail.plan.whole, "only whole tails have all that fires"
    wide = tail.plan.raw_size[0] * tail.plan.raw_size[1]
    known = labels != UNKNOWN
    named = np.where(labels == UNLABELED, classes, labels).astype(np.uint16)
    blocks: tuple[list[list[np.ndarray]], list[list[np.ndarray]]] = ([], [])
    taken = 0
    for start in range(0, tail.plan.units, _BLOCK):
        stop = min(start + _BLOCK, tail.plan.units)
        unit, image, cell, value = _list_fired(tail.part(start, stop))
        place = image * wide + cell
        for half, parts in zip((False, True), blocks, strict=True):
            chosen = known.reshape(-1)[place] & (held[image] == half)
            counts = np.bincount(unit[chosen], minlength=stop - start)
            parts.append([counts, value[chosen], named.reshape(-1)[place[chosen]]])
            taken += 2 * sum(array.nbytes for array in parts[-1])  # held twice, while they are joined
        if taken > memory:
            raise UsageError(
                f"the cells where latents fire take {taken / 2**30:.1f} GB; allow more memory and go on with "
                "the run, or measure fewer images"
            )
    found = []
    for half, parts in zip((False, True), blocks, strict=True):
        counts, values, of = (np.concatenate(column) for column in zip(*parts, strict=True))
        cells = np.bincount(named[held == half][known[held == half]], minlength=classes + 1)
        found.append(LabeledCells((Piece(0, counts, values, of, cells),)))
    return found[0], found[1]


def _list_fired(part: Tail) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Latent, image, cell and value of all that is above 0, latent by latent in the order of images."""
    kept: Cells = part.map_cells
    ring = int(part.plan.grid.border and not part.plan.apart)
    wide = part.plan.raw_size[1]
    above = np.flatnonzero(kept.values > 0)
    unit = np.repeat(np.repeat(np.arange(part.plan.units), kept.counts), kept.size)[above]
    image = np.repeat(kept.image, kept.size)[above].astype(np.int64)
    row, column = np.divmod(kept.cells[above].astype(np.int64), wide + 2 * ring)
    return unit, image, (row - ring) * wide + column - ring, kept.values[above]
