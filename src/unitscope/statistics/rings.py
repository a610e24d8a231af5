"""Null draws from few pairings: labels are shifted inside of blocks of images, and blocks recombined.

The images stand in a random order, cut into blocks. A block is a ring of slots, and in slot s of it every
mask meets the labels that lie s slots on. A draw takes a slot of every block by lot and adds up what they
share. The shifts of all blocks are a group, Z_B x ... x Z_B, in which slot 0 everywhere is the truth; so the
rank of the truth among draws is an exact p-value, whatever is measured, as long as truth and draws are
measured alike. Both are therefore measured on cells: the pixels of a mask in a cell times the share of the
cell that is labeled. See docs/theory.md.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt16

from unitscope.axes import ConceptAreas
from unitscope.statistics.annotations import LabelIndex
from unitscope.statistics.kernels import coarse as loops
from unitscope.statistics.kernels import draws as counting

PAIRINGS = 32_768
"""So many times in all a unit's masks meet labels: units with few masks meet more slots."""

SPENT = 1 << 24
"""The same times images: of many images, where hardly a unit is a near thing, masks meet fewer slots."""

WAYS = (8, 400)
"""The fewest and the most slots of a block."""

BLOCKS = 8
"""The most blocks, besides the one of the images that are left over."""

ROOM = 1 << 19
"""The most pairs of a row and a concept that are held for a unit."""

TOGETHER = 1 << 22
"""The most pairs of a row and a concept that are held for units that meet labels together."""

MORE = 25
"""Units whose draws hardly reach the truth get so many times more of them."""

JUDGED = 4
"""So many whole slots are taken for the truth, as controls."""

WHOLE = 32
"""So many whole slots, at most, say what chance gives."""

FINEST = 16
"""The most cells a side on which masks and labels meet."""


class RingPlan(NamedTuple):
    """Blocks of the order and draws from them.

    By block the place of its `first` image, the `width` of a slot in images, its slots (`ways`), and the row
    of its first slot (`rows`, and behind the last their number). A draw is a row of every block. `whole` are
    the same slot in every block: first the truth, then others by lot.
    """

    first: Int64[np.ndarray, "block"]
    width: Int64[np.ndarray, "block"]
    ways: Int64[np.ndarray, "block"]
    rows: Int64[np.ndarray, "block_and_one"]
    draws: UInt16[np.ndarray, "draw block"]
    whole: UInt16[np.ndarray, "slot block"]


@dataclass(frozen=True, eq=False)
class Rings:
    """Blocks of images in a random `order`, for `draws` null draws a unit, by the `seed`; of one scan."""

    order: Int64[np.ndarray, "place"]
    draws: int
    seed: int
    _plans: dict[tuple[int, int], RingPlan] = field(default_factory=dict)
    _labels: dict[tuple[int, int], "CoarseLabels"] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """How many images take part."""
        return len(self.order)

    def plan(self, masks: int, concepts: int) -> RingPlan:
        """The blocks for a unit with so many masks among the images, empty ones not counted, and concepts.

        Neither number depends on which mask meets which labels.
        """
        ways = count_ways(self.images, masks, concepts)
        blocks = max(2, min(BLOCKS, ROOM // (max(concepts, 1) * ways)))
        if (ways, blocks) not in self._plans:
            self._plans[ways, blocks] = plan_rings(self.images, ways, blocks, self.draws, self.seed)
        return self._plans[ways, blocks]

    def coarsen(self, index: LabelIndex, map_size: tuple[int, int]) -> "CoarseLabels":
        """The labels of the images on cells for maps of that size."""
        cells = (min(map_size[0], FINEST), min(map_size[1], FINEST))
        if cells not in self._labels:
            self._labels[cells] = coarsen(index, self.order, cells)
        return self._labels[cells]


def count_ways(images: int, masks: int, concepts: int) -> int:
    """How many slots a block of a unit with `masks` masks has; few numbers are in use.

    >>> count_ways(4096, 700, 1197), count_ways(591, 55, 23), count_ways(16, 5, 7)
    (8, 256, 8)
    """
    most = min(WAYS[1], images // 2, max(WAYS[0], ROOM // (2 * max(concepts, 1))))
    ways = max(WAYS[0], min(min(PAIRINGS, SPENT // images) // max(masks, 1), most))
    step = max(1, 1 << (ways.bit_length() - 3))
    return ways // step * step


def plan_rings(images: int, ways: int, blocks: int, draws: int, seed: int) -> RingPlan:
    """Blocks of `ways` slots over so many images, at most `blocks`, and the draws from them.

    What is left over is a block of its own with slots of one image; a single image is left out.

    >>> plan = plan_rings(images=27, ways=8, blocks=16, draws=5, seed=0)
    >>> plan.first.tolist(), plan.width.tolist(), plan.ways.tolist(), plan.rows.tolist()
    ([0, 8, 16, 24], [1, 1, 1, 1], [8, 8, 8, 3], [0, 8, 16, 24, 27])
    """
    each = images // ways
    count = min(blocks, each)
    width = np.full(count, each // count)
    width[: each % count] += 1
    slots = np.full(count, ways)
    rest = images - each * ways
    if rest > 1:
        width, slots = np.append(width, 1), np.append(slots, rest)
    first = np.concatenate([[0], np.cumsum(width * slots)])[:-1]
    rows = np.concatenate([[0], np.cumsum(slots)])
    rng = np.random.default_rng((seed, ways, blocks))
    drawn = rng.integers(0, slots, (draws * MORE, len(slots)))
    whole = np.append(0, 1 + rng.permutation(ways - 1)[:WHOLE])
    # In the block of what is left over a slot is one of its own, and never the truth but for the truth.
    within = np.where(whole[:, None] > 0, 1 + (whole[:, None] - 1) % (slots - 1), 0)
    return RingPlan(
        first,
        width,
        slots,
        rows,
        (drawn + rows[:-1]).astype(np.uint16),
        (within + rows[:-1]).astype(np.uint16),
    )


@dataclass(frozen=True, eq=False)
class CoarseLabels:
    """The labels of images on cells, in a random order; of concepts that occur there, sorted by category.

    `bands`, `bounds` are where rows and columns of cells begin and end; `areas[column]` all pixels of a
    concept, and `pixels[id]` too; `starts[category]` where columns of a category begin.
    """

    bands: Int64[np.ndarray, "cell_y_and_one"]
    bounds: Int64[np.ndarray, "cell_x_and_one"]
    areas: Float32[np.ndarray, "column"]
    pixels: ConceptAreas
    starts: Int64[np.ndarray, "category_and_one"]
    arrays: tuple[object, ...]

    @cached_property
    def cell_of(self) -> tuple[Int64[np.ndarray, "row"], Int64[np.ndarray, "column"]]:
        """Which row of cells a row of pixels lies in, and which column a column."""
        rows, columns = (
            np.repeat(np.arange(len(edges) - 1), np.diff(edges)) for edges in (self.bands, self.bounds)
        )
        return rows, columns


def coarsen(index: LabelIndex, order: Int64[np.ndarray, "place"], cells: tuple[int, int]) -> CoarseLabels:
    """The labels of the images of `order` on a grid of cells."""
    words, labels = index.vocabulary, index.annotations
    bands, bounds = (
        -(-np.arange(count + 1) * side // count)
        for side, count in zip(labels.mask_size, np.minimum(cells, labels.mask_size).tolist(), strict=True)
    )
    chosen = np.zeros(len(labels), np.bool_)
    chosen[order] = True
    areas: ConceptAreas = labels.concept_pixels(words.size, chosen)
    kinds = words.category_index
    present = np.flatnonzero((areas > 0) & (kinds >= 0))
    columns = present[np.argsort(kinds[present], kind="stable")]
    column_of = np.full(words.size + 1, -1, np.int32)
    column_of[columns] = np.arange(len(columns))
    column_of[words.size] = len(columns)  # void
    starts = np.searchsorted(kinds[columns], np.arange(len(words.categories) + 1)).astype(np.int64)
    table: tuple[Any, ...] = index.arrays
    cell_starts, entries = loops.coarsen_labels(table, order, bands, bounds, column_of, len(columns) + 1)
    scalars = [column_of[labels.arrays["scalars"][table[4][i] : table[4][i + 1]]] for i in order]
    scalars = [part[part >= 0] for part in scalars]  # that of an image all void has no pixels anywhere
    scalar_starts = np.concatenate([[0], np.cumsum([len(part) for part in scalars], dtype=np.int64)])
    tables = (
        cell_starts.astype(np.int32), entries, scalar_starts, np.concatenate(scalars).astype(np.uint16),
        index.image_categories[order],
        np.append(index.concept_bits[columns], np.uint64(0)), (len(bands) - 1) * (len(bounds) - 1),
    )  # fmt: skip
    return CoarseLabels(bands, bounds, areas[columns].astype(np.float32), areas, starts, tables)


def pair_slot(
    plan: RingPlan, slot: int, places: Int64[np.ndarray, "mask"], order: Int64[np.ndarray, "image"]
) -> Int32[np.ndarray, "mask"]:
    """The image whose labels every mask meets in one of the plan's whole slots; -1 where it takes no part.

    >>> plan = plan_rings(images=27, ways=8, blocks=16, draws=5, seed=0)
    >>> pair_slot(plan, 0, np.arange(4), np.arange(40)).tolist()  # slot 0 is the truth
    [0, 1, 2, 3]
    """
    span = plan.width * plan.ways
    block = np.searchsorted(plan.first, places, side="right") - 1
    within = places - plan.first[block]
    shifted = (within + (plan.whole[slot] - plan.rows[:-1])[block] * plan.width[block]) % span[block]
    return np.where(within < span[block], order[plan.first[block] + shifted], -1).astype(np.int32)


class Room(threading.local):
    """A thread's memory for a unit, and for the next: to get it anew costs more than to fill it."""

    def __init__(self) -> None:
        self._held = np.empty(0, np.float32)

    def take(self, count: int) -> Float32[np.ndarray, "{count}"]:
        """So many numbers, of any value."""
        if len(self._held) < count:
            self._held = np.empty(count, np.float32)
        return self._held[:count]


class PlacedMasks(NamedTuple):
    """A unit's masks, and the `plan` of its draws: by mask its place in the order, its first run and its
    pixels; all runs.
    """

    plan: RingPlan
    places: Int64[np.ndarray, "mask"]
    run_starts: Int64[np.ndarray, "mask_and_one"]
    runs: np.ndarray
    pixels: Int64[np.ndarray, "mask"]


class Ranks(NamedTuple):
    """p of the truth and of whole slots taken for it; the best IoU of the truth and of all whole slots."""

    p: np.ndarray
    best: Float32[np.ndarray, "slot"]


def rank_units(
    units: Sequence[PlacedMasks], labels: CoarseLabels, rule: int, first: int, room: Room
) -> list[Ranks]:
    """Where the truth of every unit stands among its draws.

    Among `first` draws, or more where hardly one of them reaches it; and so for `JUDGED` whole slots.
    """
    columns = len(labels.areas) + 1
    sizes = np.array([int(unit.plan.rows[-1]) * columns for unit in units])
    ranks: list[Ranks] = []
    while len(ranks) < len(units):
        start = len(ranks)
        many = max(1, int(np.searchsorted(np.cumsum(sizes[start:]), TOGETHER, side="right")))
        some = slice(start, start + many)
        ends = np.cumsum(sizes[some]).tolist()
        space = room.take(ends[-1] + int(sizes[some].max()))
        shares = [part.reshape(-1, columns) for part in np.split(space, ends)[:-1]]
        counts = _meet_blocks(units[some], labels, rule, shares)
        for unit, shared, active in zip(units[some], shares, counts, strict=True):
            judged = min(1 + JUDGED, len(unit.plan.whole))
            p, best = counting.rank_draws(
                shared, active, unit.plan.rows, labels.areas, labels.starts, unit.plan.draws,
                unit.plan.whole, judged, first, space[ends[-1] :],
            )  # fmt: skip
            ranks.append(Ranks(p, best))
    return ranks


def _meet_blocks(
    units: Sequence[PlacedMasks], labels: CoarseLabels, rule: int, shares: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Fills by unit what its masks share with the labels of all slots; what enters the unions comes back.

    Block by block, so that the labels of one stay in the processor's cache while all units meet them.
    """
    masks = [_bring_to_cells(unit, labels) for unit in units]
    counts = [np.empty((len(shared), len(labels.starts) - 1), np.float32) for shared in shares]
    for b in range(max(len(unit.plan.first) for unit in units)):
        for unit, found, shared, active in zip(units, masks, shares, counts, strict=True):
            if b < len(unit.plan.first):
                loops.meet_slots(b, *found, labels.arrays, rule, unit.plan[:4], shared, active)
    return counts


def _bring_to_cells(unit: PlacedMasks, labels: CoarseLabels) -> tuple[np.ndarray, ...]:
    """The masks of a unit that take part, sorted by place: places, starts, cells, mass in them, pixels."""
    plan, places = unit.plan, unit.places
    chosen = np.argsort(places, kind="stable")
    chosen = chosen[: np.searchsorted(places[chosen], plan.first[-1] + plan.width[-1] * plan.ways[-1])]
    band_of, bound_of = labels.cell_of
    cells = loops.coarsen_masks(unit.run_starts, unit.runs, chosen, band_of, bound_of, labels.bounds)
    return places[chosen], *cells, unit.pixels[chosen].astype(np.float32)
