"""Formulas over concepts: pixels with the same set of labels are a row, and a formula holds on whole rows.

So its IoU with a unit follows exactly from a small table: the pixels of every set of labels, and how many of
them are active.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

from unitscope.errors import UsageError
from unitscope.statistics.kernels import formula_search as search

JOINS = ("OR", "AND", "AND NOT")
"""How a formula goes on; it is read from the left: ((a op b) op c)."""

MOST = 3
"""Concepts of a formula at most, for the search that tries all."""


@dataclass(frozen=True, eq=False)
class LabelSets:
    """The sets of labels that pixels have, each once: a row each, with its `area` in pixels.

    The members of row d, concepts 0 to `concepts` - 1 in ascending order, are
    `members[starts[d] : starts[d + 1]]`.

    Raises `UsageError` where members are not that.
    """

    starts: Int64[np.ndarray, "bound"]
    members: Int64[np.ndarray, "member"]
    area: Int64[np.ndarray, "row"]
    concepts: int

    def __post_init__(self) -> None:
        owner = np.repeat(np.arange(len(self.area)), np.diff(self.starts))
        falls = (np.diff(self.members) <= 0) & (np.diff(owner) == 0)
        outside = (self.members < 0) | (self.members >= self.concepts)
        if falls.any() or outside.any():
            raise UsageError(f"members of a set of labels are 0 to {self.concepts - 1}, each once, ascending")

    @classmethod
    def of(cls, sets: Sequence[Sequence[int]], area: Sequence[int], concepts: int) -> "LabelSets":
        """Of lists of members.

        >>> LabelSets.of([[], [0], [0, 2]], [70, 20, 10], 3).areas.tolist()
        [30, 0, 10]
        """
        starts = np.concatenate([[0], np.cumsum([len(one) for one in sets], dtype=np.int64)])
        members = np.array([member for one in sets for member in sorted(one)], np.int64)
        return cls(starts.astype(np.int64), members, np.array(area, np.int64), concepts)

    @cached_property
    def has(self) -> Bool[np.ndarray, "row concept"]:
        """Which rows have which concept."""
        found = np.zeros((len(self.area), self.concepts), np.bool_)
        found[np.repeat(np.arange(len(self.area)), np.diff(self.starts)), self.members] = True
        return found

    @cached_property
    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        one, two = np.zeros(self.concepts, np.int64), np.zeros((self.concepts, self.concepts), np.int64)
        search.sum_concepts(np.arange(len(self.area)), self.area, self.starts, self.members, one, two)
        return one, two

    @property
    def areas(self) -> Int64[np.ndarray, "concept"]:
        """The pixels of every concept."""
        return self._sums[0]

    @property
    def pair_areas(self) -> Int64[np.ndarray, "concept concept"]:
        """The pixels that have both of two concepts; 0 of a concept with itself."""
        return self._sums[1]

    @cached_property
    def _table(self) -> tuple[np.ndarray, ...]:
        """The table as the compiled search reads it, with the rows of every concept."""
        owner = np.repeat(np.arange(len(self.area)), np.diff(self.starts))
        order = np.argsort(self.members, kind="stable")
        concept_starts = np.searchsorted(self.members[order], np.arange(self.concepts + 1))
        return self.starts, self.members, self.area, concept_starts, owner[order], self.has


@dataclass(frozen=True)
class Formula:
    """A formula over concepts, read from the left, and how it fits a unit, in pixels.

    >>> formula = Formula((4, 1, 2), ("OR", "AND NOT"), 30, 100)
    >>> formula.spell(["sky", "sea", "boat", "road", "tree"]), formula.iou
    ('(tree OR sea) AND NOT boat', 0.3)
    """

    concepts: tuple[int, ...]
    joins: tuple[str, ...]
    intersection: int
    union: int

    @property
    def iou(self) -> float:
        """Intersection over union; 0 where both are empty."""
        return self.intersection / self.union if self.union else 0.0

    def __len__(self) -> int:
        return len(self.concepts)

    def spell(self, names: Sequence[str]) -> str:
        """The formula in the names of concepts."""
        text = names[self.concepts[0]]
        for place, (join, concept) in enumerate(zip(self.joins, self.concepts[1:], strict=True)):
            text = f"({text})" if place else text
            text = f"{text} {join} {names[concept]}"
        return text

    def holds(self, has: Bool[np.ndarray, "row concept"]) -> Bool[np.ndarray, "row"]:
        """In which rows it holds."""
        found = has[:, self.concepts[0]].copy()
        for join, concept in zip(self.joins, self.concepts[1:], strict=True):
            other = has[:, concept]
            found = found | other if join == "OR" else found & (other if join == "AND" else ~other)
        return found


def search_formulas(
    sets: LabelSets, active: Int64[np.ndarray, "unit row"], length: int = MOST, threads: int = 1
) -> tuple[Formula, ...]:
    """The formula with the largest IoU of every unit, among all of up to `length` concepts, 3 at most.

    `active[unit, row]` are the unit's active pixels with each set of labels, the empty one included where
    pixels have none. No formula of that length has more: all are tried, but for those that bounds rule out.
    Of formulas that fit as well the shortest is taken, with the fewest NOT, the largest concepts, the
    smallest ids, OR before AND. The IoU is exact: intersection and union are whole pixels.

    Raises `UsageError` for other lengths, tables that do not match, or more active pixels than there are.

    >>> sets = LabelSets.of([[], [0], [0, 1], [2]], [50, 20, 20, 10], 3)
    >>> (found,) = search_formulas(sets, np.array([[0, 20, 2, 10]]))
    >>> found.spell(["sky", "cloud", "sea"]), found.intersection, found.union
    ('(sky AND NOT cloud) OR sea', 30, 32)
    """
    if not 1 <= length <= MOST:
        raise UsageError(f"length is {length}; all formulas are tried of 1 to {MOST} concepts")
    if active.shape[1] != len(sets.area):
        raise UsageError(f"active has {active.shape[1]} rows; the table has {len(sets.area)} sets of labels")
    if (active < 0).any() or (active > sets.area).any():
        raise UsageError("a unit has fewer active pixels than 0, or more than there are, in a set of labels")
    if not sets.concepts:
        raise UsageError("the table has no concepts, so there is no formula")

    def search_one(counts: np.ndarray) -> Formula:
        many = sets.concepts
        scratch = (
            *(np.zeros(many, np.int64), np.zeros((many, many), np.int64)),
            *(np.zeros(many), np.zeros((many, many))),
            *(np.zeros(many, np.int64), np.zeros(many, np.int64)),
        )
        best, numbers = search.search_unit(
            counts, int(counts.sum()), sets._table, sets.areas, sets.pair_areas, length, scratch
        )
        taken = int(best[2])
        joins = tuple(JOINS[op] for op in numbers[1 : 2 * taken - 1 : 2])
        return Formula(tuple(numbers[: 2 * taken : 2].tolist()), joins, int(best[0]), int(best[1]))

    rows = [np.ascontiguousarray(counts) for counts in active]
    if threads == 1:
        return tuple(map(search_one, rows))
    with ThreadPoolExecutor(threads) as pool:
        return tuple(pool.map(search_one, rows))


def bound_formulas(sets: LabelSets, active: Int64[np.ndarray, "unit row"]) -> Float64[np.ndarray, "unit"]:
    """What no formula of any length can exceed: the best IoU of any choice of rows, of every unit.

    Rows enter by the share of them that is active, and the best of all beginnings is the bound.

    >>> sets = LabelSets.of([[], [0], [0, 1], [2]], [50, 20, 20, 10], 3)
    >>> bound_formulas(sets, np.array([[0, 20, 2, 10]])).tolist()
    [0.9375]
    """
    found = np.zeros(len(active))
    for unit, counts in enumerate(active):
        labeled = np.diff(sets.starts) > 0
        n, area = counts[labeled], sets.area[labeled]
        order = np.argsort(-(n / np.maximum(area, 1)), kind="stable")
        inside, idle = np.cumsum(n[order]), np.cumsum((area - n)[order])
        if len(order):
            found[unit] = (inside / np.maximum(counts.sum() + idle, 1)).max()
    return found
