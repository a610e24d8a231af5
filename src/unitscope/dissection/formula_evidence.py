"""Do formulas hold on images that they were not made from, and are they above chance?"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from unitscope.statistics.formulas import (
    Answer,
    Entries,
    Formula,
    LabelSets,
    Search,
    answer_unit,
    rank_formula,
)
from unitscope.statistics.label_tables import QUARTERS, LabelTable

CONTROLS = 2
"""So many draws of the null are taken for the truth and judged by the others."""


class Split(NamedTuple):
    """Some of the images: their sets of labels, and the parts of the table that count them."""

    sets: LabelSets
    parts: Int64[np.ndarray, "part"]


@dataclass(frozen=True, eq=False)
class Ground:
    """The images of a table, in the splits that formulas are named and scored on, and the draws of the null.

    `blocks` are the images that null draws take part in, None where there are none; draws are lists of parts,
    the truth's first in none of them.
    """

    table: LabelTable
    whole: Split
    halves: tuple[Split, Split]
    quarters: tuple[Split, ...]
    blocks: Split | None
    draws: Int64[np.ndarray, "draw block"]
    controls: Int64[np.ndarray, "control block"]

    def count(self, unit: int, split: Split) -> Int64[np.ndarray, "row"]:
        """The active pixels of a unit in some of the images, by set of labels."""
        return self.table.count(unit, split.parts)


def lay_ground(table: LabelTable, draws: int, seed: int) -> Ground:
    """The splits of a table and the null draws, `draws` and those for controls; the seed says which.

    A draw takes a slot of every block by lot, and is not the truth in all of them.
    """
    fold = np.arange(len(table.areas))
    of = table.quarters

    def split(folds: np.ndarray) -> Split:
        return Split(table.sets(folds), table.true_parts[folds])

    blocks = split(fold < table.blocks) if table.blocks and table.ways > 1 and draws else None
    slots = np.zeros((0, table.blocks), np.int64)
    if blocks is not None:
        rng = np.random.default_rng((seed, table.blocks, table.ways))
        slots = rng.integers(0, table.ways, (draws + CONTROLS, table.blocks))
        while not (moved := slots.any(1)).all():
            slots[~moved] = rng.integers(0, table.ways, ((~moved).sum(), table.blocks))
    parts = np.arange(table.blocks) * table.ways + slots
    return Ground(
        table,
        split(fold >= 0),
        (split(of < QUARTERS // 2), split(of >= QUARTERS // 2)),
        tuple(split(of == quarter) for quarter in range(QUARTERS)),
        blocks,
        parts[:draws],
        parts[draws:],
    )


@dataclass(frozen=True)
class Named:
    """The formula of a unit, the best single concept, and what they are worth where they were not found.

    `held_out`, `held_out_single` and `held_out_name` are the IoU of what was named on one half of the images
    on the other, both ways, averaged: of the formula, of the best single concept, and of whichever of them
    the gate takes there. `earned` says whether the formula passes it.
    """

    answer: Answer
    single: Formula
    held_out: float
    held_out_single: float
    held_out_name: float
    earned: bool


@dataclass(frozen=True)
class Trial:
    """What was named on one of two splits, scored on the other: a formula and the best single concept."""

    longer: bool
    formula: float
    single: float

    @property
    def better(self) -> bool:
        """Whether the formula is one of several concepts, and fits better where it was not found."""
        return self.longer and self.formula > self.single


def try_out(ground: Ground, unit: int, splits: tuple[Split, Split], search: Search) -> tuple[Trial, Trial]:
    """Named on one split, scored on the other: both ways."""
    counts = [ground.count(unit, split) for split in splits]
    trials = []
    for here in range(2):
        there = splits[1 - here].sets, counts[1 - here]
        found, single = (
            answer_unit(splits[here].sets, counts[here], rule).formula for rule in (search, Search(1))
        )
        alone = single.count(*there).iou
        longer = len(found) > 1
        trials.append(Trial(longer, found.count(*there).iou if longer else alone, alone))
    return trials[0], trials[1]


def name_unit(ground: Ground, unit: int, search: Search) -> Named:
    """The formula of a unit with its held-out IoU.

    The gate: a formula of several concepts passes where what is found on either half of the images fits the
    other half better than the best single concept does. On a half the gate asks its two quarters, so that
    `held_out_name` is scored on images that had no say in it.
    """
    counts = ground.count(unit, ground.whole)
    answer = answer_unit(ground.whole.sets, counts, search)
    single = answer_unit(ground.whole.sets, counts, Search(1)).formula
    trials = try_out(ground, unit, ground.halves, search)
    names = []
    for half, trial in enumerate(trials):
        passed = trial.longer and all(
            one.better
            for one in try_out(ground, unit, ground.quarters[2 * half : 2 * half + 2], search)  # type: ignore[arg-type]
        )
        names.append(trial.formula if passed else trial.single)
    return Named(
        answer,
        single,
        float(np.mean([one.formula for one in trials])),
        float(np.mean([one.single for one in trials])),
        float(np.mean(names)),
        len(answer.formula) > 1 and all(one.better for one in trials),
    )


class Ranked(NamedTuple):
    """The p-value of a unit's formula among `drawn` draws of the null; and the IoU that it judges."""

    p: float
    drawn: int
    iou: float


def rank_unit(ground: Ground, unit: int, search: Search, parts: Int64[np.ndarray, "block"]) -> Ranked:
    """The chance that the same search finds as good a formula where masks and labels are unrelated.

    `parts` is what is taken for the truth, of every block one. Draws go on until 10 have a formula that fits
    as well: p = 10 / drawn; or all are drawn: p = (1 + reached) / (1 + drawn) (Besag and Clifford, Biometrika
    1991). NaN without blocks.
    """
    if ground.blocks is None:
        return Ranked(float("nan"), 0, float("nan"))
    sets, table = ground.blocks.sets, ground.table
    observed = answer_unit(sets, table.count(unit, parts), search).formula
    if not observed.intersection:
        return Ranked(1.0, 0, 0.0)
    entries = Entries(table.offsets, table.rows, table.pixels)
    reached, drawn = rank_formula(sets, entries, unit * table.parts, ground.draws, search, observed)
    enough = drawn < len(ground.draws)
    return Ranked(reached / drawn if enough else (1 + reached) / (1 + drawn), drawn, observed.iou)
