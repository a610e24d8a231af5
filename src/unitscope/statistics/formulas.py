"""Formulas over concepts: pixels with the same set of labels are a row, and a formula holds on whole rows.

So its IoU with a unit follows exactly from a small table: the pixels of every set of labels, and how many of
them are active.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt32

from unitscope.errors import UsageError
from unitscope.statistics.kernels import formula_draws as draws
from unitscope.statistics.kernels import formula_search as kernels

JOINS = ("OR", "AND", "AND NOT")
"""How a formula goes on; it is read from the left: ((a op b) op c)."""

MOST, LONGEST = 3, 10
"""Concepts of a formula at most: where all are sure to be tried, and at all."""

ENOUGH = 10
"""Draws of the null go on until so many have reached a unit's IoU."""


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
    def areas(self) -> Int64[np.ndarray, "concept"]:
        """The pixels of every concept."""
        found = np.zeros(self.concepts, np.int64)
        np.add.at(found, self.members, np.repeat(self.area, np.diff(self.starts)))
        return found

    @cached_property
    def present(self) -> Int64[np.ndarray, "present"]:
        """The concepts that some set has, ascending."""
        return np.unique(self.members)

    @cached_property
    def _by_concept(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows of every present concept: where they start, and they."""
        owner = np.repeat(np.arange(len(self.area)), np.diff(self.starts))
        order = np.argsort(self.members, kind="stable")
        starts = np.searchsorted(self.members[order], np.append(self.present, self.concepts))
        return starts.astype(np.int64), owner[order]

    def rows_of(self, concept: int) -> Bool[np.ndarray, "row"]:
        """Which rows have a concept.

        >>> LabelSets.of([[], [0], [0, 2]], [70, 20, 10], 3).rows_of(0).tolist()
        [False, True, True]
        """
        found = np.zeros(len(self.area), np.bool_)
        starts, rows = self._by_concept
        place = int(np.searchsorted(self.present, concept))
        if place < len(self.present) and self.present[place] == concept:
            found[rows[starts[place] : starts[place + 1]]] = True
        return found

    @cached_property
    def _table(self) -> tuple[np.ndarray, ...]:
        """The table as the compiled search reads it, with concepts as their places among the present ones."""
        places = np.searchsorted(self.present, self.members).astype(np.int64)
        owner = np.repeat(np.arange(len(self.area)), np.diff(self.starts))
        bits = np.zeros((len(self.area), len(self.present) // 64 + 1), np.uint64)
        np.bitwise_or.at(bits, (owner, places >> 6), np.uint64(1) << (places & 63).astype(np.uint64))
        keys = np.random.default_rng(0).integers(1, 1 << 63, len(self.area), np.uint64)
        return self.starts, places, self.area, *self._by_concept, bits, keys

    @cached_property
    def _shared(self) -> tuple[np.ndarray, ...]:
        """What all units share: the areas of present concepts, of their pairs, and the keys of their rows."""
        starts, places, area, *_, keys = self._table
        many = len(self.present)
        one, two = np.zeros(many, np.int64), np.zeros((many, many), np.int64)
        rows = np.arange(len(area))
        kernels.sum_concepts(rows, area, starts, places, one)
        kernels.sum_pairs(rows, area, starts, places, two)
        found = np.zeros(many, np.uint64)
        np.bitwise_xor.at(found, places, np.repeat(keys, np.diff(starts)))
        return one, two, found


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

    def spell(self, names: Sequence[str] | Mapping[int, str]) -> str:
        """The formula in the names of concepts, by their ids."""
        text = names[self.concepts[0]]
        for place, (join, concept) in enumerate(zip(self.joins, self.concepts[1:], strict=True)):
            text = f"({text})" if place else text
            text = f"{text} {join} {names[concept]}"
        return text

    def holds(self, has: Bool[np.ndarray, "row concept"]) -> Bool[np.ndarray, "row"]:
        """In which rows it holds, of a table of which rows have which concepts."""
        return self._join(lambda concept: has[:, concept])

    def count(self, sets: LabelSets, active: Int64[np.ndarray, "row"]) -> "Formula":
        """The same formula with its pixels in other images, by their sets and a unit's active pixels.

        >>> sets = LabelSets.of([[], [0], [0, 1], [2]], [50, 20, 20, 10], 3)
        >>> Formula((0,), (), 0, 0).count(sets, np.array([4, 20, 2, 10]))
        Formula(concepts=(0,), joins=(), intersection=22, union=54)
        """
        held = self._join(sets.rows_of)
        inside = int(active[held].sum())
        return replace(self, intersection=inside, union=int(active.sum() + sets.area[held].sum()) - inside)

    def _join(self, find: Callable[[int], np.ndarray]) -> np.ndarray:
        found = find(self.concepts[0]).copy()
        for join, concept in zip(self.joins, self.concepts[1:], strict=True):
            other = find(concept)
            found = found | other if join == "OR" else found & (other if join == "AND" else ~other)
        return found


@dataclass(frozen=True)
class Search:
    """How formulas are searched for.

    `exact` tries all of up to `length` concepts, but for those that bounds rule out: three at most for
    certain, more from the answer of a beam on, as far as `nodes` formulas that are gone on from lead. `beam`
    keeps the `width` best of every length, joins them to all concepts, and knows no more.

    Raises `UsageError` for a length, width or number of nodes out of range.
    """

    length: int = MOST
    how: Literal["exact", "beam"] = "exact"
    width: int = 5
    nodes: int = 10_000

    def __post_init__(self) -> None:
        if not 1 <= self.length <= LONGEST:
            raise UsageError(f"length is {self.length}; formulas have 1 to {LONGEST} concepts")
        if self.how not in ("exact", "beam"):
            raise UsageError(f"the search is {self.how!r}; it is exact or beam")
        if self.width < 1 or self.nodes < 1:
            raise UsageError(f"a beam of {self.width} and {self.nodes} nodes were asked for; give 1 or more")

    @property
    def rule(self) -> tuple[int, int, int, int]:
        """What the compiled search reads."""
        return (draws.BEAM if self.how == "beam" else draws.EXACT, self.length, self.width, self.nodes)


@dataclass(frozen=True)
class Answer:
    """What a search found for a unit, and what is known of all others.

    Where `optimal` no formula of that length has a larger IoU; none of them has more than `possible`.
    """

    formula: Formula
    optimal: bool
    possible: float


def search_formulas(
    sets: LabelSets,
    active: Int64[np.ndarray, "unit row"],
    length: int = MOST,
    threads: int = 1,
    search: Search | None = None,
) -> tuple[Formula, ...]:
    """The formula with the largest IoU of every unit, among all of up to `length` concepts; or by a `search`.

    `active[unit, row]` are the unit's active pixels with each set of labels, the empty one included where
    pixels have none. No formula of up to three concepts has more: all are tried, but for those that bounds
    rule out. Of formulas that fit as well the shortest is taken, with the fewest NOT, the largest concepts,
    the smallest ids, OR before AND. The IoU is exact: intersection and union are whole pixels.

    Raises `UsageError` for other lengths, tables that do not match, or more active pixels than there are.

    >>> sets = LabelSets.of([[], [0], [0, 1], [2]], [50, 20, 20, 10], 3)
    >>> (found,) = search_formulas(sets, np.array([[0, 20, 2, 10]]))
    >>> found.spell(["sky", "cloud", "sea"]), found.intersection, found.union
    ('(sky AND NOT cloud) OR sea', 30, 32)
    """
    rules = Search(length) if search is None else search
    check_counts(sets, active)
    rows = [np.ascontiguousarray(counts) for counts in active]
    if threads == 1:
        return tuple(answer_unit(sets, counts, rules).formula for counts in rows)
    with ThreadPoolExecutor(threads) as pool:
        return tuple(pool.map(lambda counts: answer_unit(sets, counts, rules).formula, rows))


def check_counts(sets: LabelSets, active: Int64[np.ndarray, "unit row"]) -> None:
    """Raises `UsageError` for counts that do not match the sets, and for sets without any concept."""
    if active.shape[1] != len(sets.area):
        raise UsageError(f"active has {active.shape[1]} rows; the table has {len(sets.area)} sets of labels")
    if (active < 0).any() or (active > sets.area).any():
        raise UsageError("a unit has fewer active pixels than 0, or more than there are, in a set of labels")
    if not len(sets.present):
        raise UsageError("the table has no concepts, so there is no formula")
    if int(sets.area.sum()) * max(1, int(active.sum(1).max(initial=0))) >= 1 << 62:
        raise UsageError("the images have more pixels than can be compared exactly; take fewer of them")


def answer_unit(sets: LabelSets, counts: Int64[np.ndarray, "row"], search: Search) -> Answer:
    """What a search finds for one unit, whose counts are not checked.

    >>> sets = LabelSets.of([[], [0], [0, 1], [2]], [50, 20, 20, 10], 3)
    >>> found = answer_unit(sets, np.array([0, 20, 2, 10]), Search(4))
    >>> found.formula.spell("abc"), found.optimal, found.possible
    ('(a AND NOT b) OR c', True, 0.9375)
    """
    table, shared = sets._table, sets._shared
    scratch = kernels.make_scratch(len(sets.present))
    active = int(counts.sum())
    goal = np.array([0, 1], np.int64)
    best, numbers, whole = draws.search_by(search.rule, counts, active, table, shared, goal, scratch)
    taken = int(best[2])
    joins = tuple(JOINS[op] for op in numbers[1 : 2 * taken - 1 : 2])
    concepts = tuple(sets.present[numbers[: 2 * taken : 2]].tolist())
    formula = Formula(concepts, joins, int(best[0]), int(best[1]))
    if whole:
        return Answer(formula, True, formula.iou)
    possible = kernels.bound_unit(counts, active, table[0], table[2])
    return Answer(formula, formula.iou >= possible, max(possible, formula.iou))


def bound_formulas(sets: LabelSets, active: Int64[np.ndarray, "unit row"]) -> Float64[np.ndarray, "unit"]:
    """What no formula of any length can exceed: the best IoU of any choice of rows, of every unit.

    Rows enter by the share of them that is active, and the best of all beginnings is the bound.

    >>> sets = LabelSets.of([[], [0], [0, 1], [2]], [50, 20, 20, 10], 3)
    >>> bound_formulas(sets, np.array([[0, 20, 2, 10]])).tolist()
    [0.9375]
    """
    rows = [np.ascontiguousarray(counts) for counts in active]
    return np.array(
        [
            kernels.bound_unit(one, int(one.sum()), sets.starts, sets.area) if one.any() else 0.0
            for one in rows
        ]
    )


class Entries(NamedTuple):
    """Active pixels by parts of units: `pixels[i]` in row `rows[i]`, of part p those i from offsets[p] on."""

    offsets: Int64[np.ndarray, "place_and_one"]
    rows: UInt32[np.ndarray, "entry"]
    pixels: UInt32[np.ndarray, "entry"]


def rank_formula(
    sets: LabelSets,
    entries: Entries,
    first: int,
    chosen: Int64[np.ndarray, "draw part"],
    search: Search,
    observed: Formula,
) -> tuple[int, int]:
    """How many draws have a formula, by the same search, as good as the observed one; how many were drawn.

    A draw adds up some parts of a unit, which has its parts at `first` and behind. Draws end when 10 have
    reached it.
    """
    goal = np.array([observed.intersection, observed.union], np.int64)
    reached, drawn = draws.count_reaching(
        tuple(entries), first, chosen, search.rule, sets._table, sets._shared, goal, ENOUGH
    )
    return int(reached), int(drawn)
