"""The sets of labels that pixels have, coded along rows, and tables of what units share with them."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64, UInt32

from unitscope.errors import writing
from unitscope.progress import follow
from unitscope.statistics.annotations import LabelIndex
from unitscope.statistics.kernels import set_runs as loops
from unitscope.statistics.label_tables import QUARTERS, LabelTable
from unitscope.statistics.quantiles import Masks
from unitscope.statistics.threads import Threads

WAYS, BLOCKS = 8, 8
"""Slots of a block of images, and the most blocks."""

NULL = (1024, 4096)
"""Of so many images, at least and at most, masks meet the labels of others."""

SPENT = 1 << 22
"""Units times images whose masks do so, about."""

MOST = 1 << 25
"""The most entries of a table: of one with more the null is left out, or all of it."""

_CHUNK = 256
"""Images are coded so many at a time."""

_KINDS = (np.int64, np.uint16, np.int32)
"""Of row starts, ends and ids."""

_Part = tuple[np.ndarray, np.ndarray, np.ndarray]

Coded = tuple[np.ndarray, np.ndarray, np.ndarray, int]
"""Sets along the rows of images, as `set_runs` reads them: row starts, ends, ids, and rows of an image."""


@dataclass(frozen=True, eq=False)
class SetIndex:
    """The sets of labels of all images of a scan: `coded` along rows, set k with id k + 1, and 0 for void.

    The members of row r of tables are `members[starts[r] : starts[r + 1]]`; `ranks[id]` is the row of a set.
    `order` is that of the images by lot. There are ids of concepts below `concepts`.
    """

    coded: Coded
    ranks: Int64[np.ndarray, "set_and_void"]
    starts: Int64[np.ndarray, "row_and_one"]
    members: Int64[np.ndarray, "member"]
    order: Int64[np.ndarray, "image"]
    concepts: int

    @cached_property
    def place(self) -> Int64[np.ndarray, "image"]:
        """Where in the order every image stands."""
        place = np.empty_like(self.order)
        place[self.order] = np.arange(len(self.order))
        return place

    def plan(self, units: int, null: bool) -> "TablePlan":
        """How the table of a layer with so many units is made; with a `null` if there are images enough."""
        images = min(len(self.order), max(NULL[0], min(NULL[1], SPENT // max(units, 1))))
        blocks = min(BLOCKS, images // WAYS) if null and images >= 2 * WAYS else 0
        return TablePlan(self, blocks, images // (WAYS * blocks) if blocks else 1)


def index_sets(
    index: LabelIndex, order: Int64[np.ndarray, "image"], threads: Threads, folder: Path | None = None
) -> SetIndex:
    """The sets of labels of all images; coded, they lie in nameless files of the `folder`, or in memory.

    A label twice on a pixel counts once, one of the whole image is on all its pixels. Raises `RunError`
    where the folder has no room.
    """
    known = _Known()
    parts = _encode_images(index, threads, known)
    held = _hold_parts(parts) if folder is None else _map_parts(parts, folder)
    coded = (*held, index.annotations.mask_size[0])
    return SetIndex(coded, *_sort_sets(*known.sets), order, index.vocabulary.size)


class _Known:
    """Sets of labels by the order in which they came."""

    def __init__(self) -> None:
        self._table = loops.know_none()

    def add(self, starts: np.ndarray, members: np.ndarray) -> Int32[np.ndarray, "set"]:
        """The numbers of some sets; those that are new are known then."""
        numbers: np.ndarray
        numbers, self._table = loops.add_sets(starts, members, self._table)
        return numbers

    @property
    def sets(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the members of each begin, and all members."""
        _, starts, members, count = self._table
        return starts[: count + 1], members[: starts[count]]


def _encode_images(index: LabelIndex, threads: Threads, known: _Known) -> Iterator[_Part]:
    """Some images at a time, in their order: row starts, ends and ids. New sets go to `known`."""
    width, images, void = index.annotations.mask_size[1], len(index.annotations), index.vocabulary.size
    chunks = [(start, min(start + _CHUNK, images)) for start in range(0, images, _CHUNK)]

    def encode(chunk: tuple[int, int]) -> tuple[np.ndarray, ...]:
        found: tuple[np.ndarray, ...] = loops.encode_sets(*chunk, width, index.arrays, void)
        return found

    end = 0
    with follow(images, "sets of labels") as work:
        for some in range(0, len(chunks), 2 * threads.count):
            wave = chunks[some : some + 2 * threads.count]
            for (first, last), coded in zip(wave, threads.pool.map(encode, wave), strict=True):
                starts, ends, ids, set_starts, members = coded
                numbers = np.concatenate(
                    [np.zeros(1, np.int32), known.add(set_starts, members) + np.int32(1)]
                )
                # Where the last row ends, the first of the next images begins.
                yield (starts if last == images else starts[:-1]) + end, ends, numbers[ids]
                end += len(ends)
                work.update(last - first)


def _hold_parts(parts: Iterator[_Part]) -> _Part:
    starts, ends, ids = (np.concatenate(some) for some in zip(*parts, strict=True))
    return starts, ends, ids


def _map_parts(parts: Iterator[_Part], folder: Path) -> _Part:
    with ExitStack() as stack, writing(folder, "free some space"):
        files = [stack.enter_context(TemporaryFile(dir=folder)) for _ in _KINDS]
        for part in parts:
            for file, array in zip(files, part, strict=True):
                array.tofile(file)
        # Private copies, which none writes to: loops compiled for arrays in memory serve them as well.
        starts, ends, ids = (
            np.asarray(np.memmap(file, kind, "c")) for file, kind in zip(files, _KINDS, strict=True)
        )
        return starts, ends, ids


def _sort_sets(starts: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By id the row of a set, in ascending order as lists; by row where members begin; all members."""
    listed, bounds = members.tolist(), starts.tolist()
    sets = [tuple(listed[a:b]) for a, b in pairwise(bounds)]
    first = sorted(range(len(sets)), key=sets.__getitem__)
    ranks = np.zeros(len(sets) + 1, np.int64)
    ranks[np.array(first, np.int64) + 1] = np.arange(len(sets))
    begins = np.cumsum([0, *(len(sets[one]) for one in first)], dtype=np.int64)
    return ranks, begins, np.array([member for one in first for member in sets[one]], np.int64)


class SetCounts(NamedTuple):
    """Entries of a table for some units: how many each part of each unit has, their rows and pixels."""

    lengths: Int64[np.ndarray, "unit part"]
    rows: UInt32[np.ndarray, "entry"]
    pixels: UInt32[np.ndarray, "entry"]


class TablePlan:
    """How a layer's table is made: of `blocks` with slots of `width` images, by several threads.

    Some units are counted at a time. Once there are more entries than are kept, only those of the truth are
    counted, or none.
    """

    def __init__(self, index: SetIndex, blocks: int, width: int) -> None:
        self.index, self.blocks, self.width = index, blocks, width
        self._lock, self._held, self._true = Lock(), 0, 0

    def count(self, masks: Masks) -> SetCounts:
        """The entries of some units."""
        slots, index = WAYS if self._held <= MOST else 1, self.index
        parts = self.blocks * slots + QUARTERS
        if self._true > MOST:
            return SetCounts(np.zeros((len(masks.counts), parts), np.int64), *np.zeros((2, 0), np.uint32))
        plan = (self.blocks, self.width, WAYS, slots)
        lengths, rows, pixels = loops.tally_sets(
            tuple(masks), index.coded, index.order, index.place, plan, index.ranks
        )
        found = SetCounts(lengths.reshape(-1, parts), rows, pixels)
        with self._lock:
            self._held += len(rows)
            self._true += int(found.lengths[:, self._find_true(slots)].sum())
        return found

    def finish(self, counts: list[SetCounts]) -> LabelTable | None:
        """The table of all units; None where it would have too many entries."""
        areas = self._measure_areas()
        # A unit has no more active pixels in a part than there are pixels: they are kept in 32 bits.
        if self._true > MOST or areas.sum(1).max() > np.iinfo(np.uint32).max:
            return None
        ways = WAYS if self._held <= MOST else 1
        if ways == 1:
            counts = [self.drop_null(one) for one in counts]
        lengths = np.concatenate([one.lengths.reshape(-1) for one in counts])
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        rows, pixels = (np.concatenate([one[place] for one in counts]) for place in (1, 2))
        index = self.index
        return LabelTable(
            index.starts, index.members, areas, index.concepts, self.blocks, ways,
            offsets, rows, pixels,
        )  # fmt: skip

    def _find_true(self, slots: int) -> np.ndarray:
        """The parts in which masks meet their own labels."""
        return np.concatenate([np.arange(self.blocks) * slots, self.blocks * slots + np.arange(QUARTERS)])

    def drop_null(self, counts: SetCounts) -> SetCounts:
        """The same without what masks share with the labels of other images."""
        lengths = counts.lengths
        if lengths.shape[1] == self.blocks + QUARTERS:
            return counts
        true = np.zeros(lengths.shape, np.bool_)
        true[:, self._find_true(WAYS)] = True
        kept = np.repeat(true.reshape(-1), lengths.reshape(-1))
        return SetCounts(lengths[true].reshape(len(lengths), -1), counts.rows[kept], counts.pixels[kept])

    def _measure_areas(self) -> Int64[np.ndarray, "fold row"]:
        index, span = self.index, self.width * WAYS
        blocks = index.place // span
        fold = np.where(blocks < self.blocks, blocks, self.blocks + index.place % QUARTERS)
        by_id = np.zeros((self.blocks + QUARTERS, len(index.ranks)), np.int64)
        loops.sum_areas(fold, index.coded, by_id)
        areas = np.empty((len(by_id), len(index.ranks) - 1), np.int64)
        areas[:, index.ranks[1:]] = by_id[:, 1:]
        return areas
