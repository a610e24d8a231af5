"""What units share with every set of labels, by parts of the images: all that the IoU of a formula needs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int64, UInt32

from unitscope.statistics.formulas import LabelSets

QUARTERS = 4
"""Parts of the images that names are given on and scored on: two of them are a half."""

_KEPT = ("starts", "members", "areas", "offsets", "rows", "pixels", "shape")
"""The arrays of a table, as they lie in the file of a layer behind `sets_` or `ranges_`."""


@dataclass(frozen=True, eq=False)
class LabelTable:
    """The active pixels of a layer's units with every set of labels, exactly, by parts of the images.

    A row is a set of labels that pixels have, each set once, in ascending order as lists; the empty one is a
    row too, void pixels are in none. Its members, ids of the vocabulary, are
    `members[starts[row] : starts[row + 1]]`; there are ids below `concepts`.

    Images are in folds: `blocks` of a random order, then four rests of what is in no block, by lot.
    `areas[fold, row]` are the pixels of a set in a fold.

    Active pixels are counted by parts. In a block the masks of images meet the labels of others, in `ways`
    slots: in slot s those that lie s steps on, around the end of the block; in slot 0 their own, which is the
    truth (`unitscope.statistics.rings`). Part block * ways + slot has what they share, and behind these come
    the rests, with their own labels. Unit u has in part p `pixels[i]` active pixels with set `rows[i]`, for i
    from offsets[u * parts + p] up to the next offset; rows ascend and pixels are above 0. Without `blocks`
    there is no null, and all images are in the rests.
    """

    starts: Int64[np.ndarray, "row_and_one"]
    members: Int64[np.ndarray, "member"]
    areas: Int64[np.ndarray, "fold row"]
    concepts: int
    blocks: int
    ways: int
    offsets: Int64[np.ndarray, "part_of_unit_and_one"]
    rows: UInt32[np.ndarray, "entry"]
    pixels: UInt32[np.ndarray, "entry"]

    @property
    def parts(self) -> int:
        """The parts that active pixels are counted by."""
        return self.blocks * self.ways + QUARTERS

    @property
    def units(self) -> int:
        """How many units there are."""
        return (len(self.offsets) - 1) // self.parts

    @cached_property
    def quarters(self) -> Int64[np.ndarray, "fold"]:
        """Which quarter of the images a fold belongs to: 0 and 1 are the first half."""
        of_blocks = np.arange(self.blocks, dtype=np.int64) * QUARTERS // max(self.blocks, 1)
        return np.concatenate([of_blocks, np.arange(QUARTERS, dtype=np.int64)])

    @cached_property
    def true_parts(self) -> Int64[np.ndarray, "fold"]:
        """By fold the part in which masks meet their own labels."""
        rests = self.blocks * self.ways + np.arange(QUARTERS, dtype=np.int64)
        return np.concatenate([np.arange(self.blocks, dtype=np.int64) * self.ways, rests])

    def sets(self, folds: Bool[np.ndarray, "fold"] | None = None) -> LabelSets:
        """The sets with their pixels, in all folds or in those that are true."""
        area = self.areas.sum(0) if folds is None else self.areas[folds].sum(0)
        return LabelSets(self.starts, self.members, area, self.concepts)

    def count(self, unit: int, parts: Int64[np.ndarray, "_part"]) -> Int64[np.ndarray, "row"]:
        """The active pixels of a unit with every set, over some parts.

        >>> table = stack_parts(np.array([[[3, 0], [0, 2], [1, 0], [0, 0]]]), [[], [1]], np.ones((4, 2)), 2)
        >>> table.count(0, table.true_parts).tolist()
        [4, 2]
        """
        found = np.zeros(len(self.starts) - 1, np.int64)
        for part in parts.tolist():
            owned = slice(*self.offsets[unit * self.parts + part : unit * self.parts + part + 2])
            found[self.rows[owned]] += self.pixels[owned]
        return found

    def merge(self, other: "LabelTable") -> "LabelTable":
        """The table of the images of both, whose units, blocks and slots are the same.

        It is as if all images had been counted at once, each in the fold and part that it was in.
        """
        return _add_up([(self, self.list_sets()), (other, other.list_sets())])

    def drop(self, concepts: Collection[int]) -> "LabelTable":
        """The table without some concepts, ids of the vocabulary: as if no pixel had them.

        >>> table = stack_parts(np.ones((1, 4, 3), np.int64), [[], [0], [0, 1]], np.ones((4, 3)), 2)
        >>> table.drop([1]).sets().areas.tolist(), table.drop([1]).count(0, np.array([0])).tolist()
        ([8, 0], [1, 2])
        """
        gone = set(concepts)
        return _add_up([(self, [tuple(one for one in some if one not in gone) for some in self.list_sets()])])

    def list_sets(self) -> list[tuple[int, ...]]:
        """The members of every row."""
        return [tuple(self.members[a:b].tolist()) for a, b in pairwise(self.starts.tolist())]

    def arrays(self, prefix: str = "sets") -> dict[str, np.ndarray]:
        """What is kept in the file of a layer, by name; `restore` makes the table of it."""
        small = {"members": self.members.astype(np.uint16)}
        shape = {"shape": np.array([self.concepts, self.blocks, self.ways], np.int64)}
        return {f"{prefix}_{name}": {**vars(self), **small, **shape}[name] for name in _KEPT}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], prefix: str = "sets") -> "LabelTable | None":
        """The table that `arrays` gave, None where the file has none."""
        if f"{prefix}_shape" not in arrays:
            return None
        kept = {name: arrays[f"{prefix}_{name}"] for name in _KEPT}
        concepts, blocks, ways = kept.pop("shape").tolist()
        kept["members"] = kept["members"].astype(np.int64)
        return cls(**kept, concepts=concepts, blocks=blocks, ways=ways)


def _add_up(tables: Sequence[tuple[LabelTable, Sequence[tuple[int, ...]]]]) -> LabelTable:
    """The sum of tables alike, whose rows have the sets that stand beside them."""
    first = tables[0][0]
    sets = sorted({one for _, known in tables for one in known})
    place = {one: row for row, one in enumerate(sets)}
    areas = np.zeros((len(first.areas), len(sets)), np.int64)
    keys, pixels = [], []
    for table, known in tables:
        row_of = np.array([place[one] for one in known], np.int64)
        np.add.at(areas.T, row_of, table.areas.T)
        part = np.repeat(np.arange(len(table.offsets) - 1), np.diff(table.offsets))
        keys.append(part * len(sets) + row_of[table.rows.astype(np.int64)])
        pixels.append(table.pixels.astype(np.int64))
    found, owner = np.unique(np.concatenate(keys), return_inverse=True)
    total = np.zeros(len(found), np.int64)
    np.add.at(total, owner, np.concatenate(pixels))
    offsets = np.searchsorted(found, np.arange(len(first.offsets), dtype=np.int64) * len(sets))
    starts = np.cumsum([0, *map(len, sets)], dtype=np.int64)
    members = np.array([member for one in sets for member in one], np.int64)
    return replace(
        first, starts=starts, members=members, areas=areas, offsets=offsets.astype(np.int64),
        rows=(found % max(len(sets), 1)).astype(np.uint32), pixels=total.astype(np.uint32),
    )  # fmt: skip


def stack_parts(
    active: Int64[np.ndarray, "unit part row"],
    sets: list[list[int]],
    areas: np.ndarray,
    concepts: int,
    ways: int = 0,
) -> LabelTable:
    """The table of counts that are held whole: active[unit, part, row], areas[fold, row].

    >>> stack_parts(np.zeros((2, 4, 1), np.int64), [[]], np.ones((4, 1)), 1).units
    2
    """
    blocks = (active.shape[1] - QUARTERS) // ways if ways else 0
    named = LabelSets.of(sets, [0] * len(sets), concepts)
    where = active.reshape(-1, active.shape[2]) > 0
    offsets = np.concatenate([[0], np.cumsum(where.sum(1), dtype=np.int64)])
    rows, pixels = where.nonzero()[1].astype(np.uint32), active[active > 0].astype(np.uint32)
    return LabelTable(
        named.starts,
        named.members,
        np.asarray(areas, np.int64),
        concepts,
        blocks,
        ways,
        offsets,
        rows,
        pixels,
    )
