"""Units followed through the checkpoints of a training: what each was called at every step."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.dissection.result import LayerDissection
from unitscope.errors import UsageError
from unitscope.experiments.tables import Cells
from unitscope.tables import guard_cell

NONE = "none"
"""The category of a unit that is no detector."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """The names of one layer's units at several steps, the concept ids 0 where a unit is dead.

    `iou` is that with the concept of each step, `detector` says where it passes the cut-off.
    """

    steps: tuple[int, ...]
    vocabulary: Vocabulary
    concepts: Int64[np.ndarray, "step unit"]
    iou: Float64[np.ndarray, "step unit"]
    detector: Bool[np.ndarray, "step unit"]

    @cached_property
    def categories(self) -> list[list[str]]:
        """The category of every detector at every step, `NONE` for a unit that is none."""
        words = self.vocabulary
        return [
            [
                words[int(one)].category if found else NONE
                for one, found in zip(concepts, detector, strict=True)
            ]
            for concepts, detector in zip(self.concepts, self.detector, strict=True)
        ]

    def concept(self, place: int, unit: int) -> Concept | None:
        """What a unit detects at a step, None where it detects nothing."""
        return self.vocabulary[int(self.concepts[place, unit])] if self.detector[place, unit] else None


def track_units(layers: Sequence[LayerDissection], steps: Sequence[int]) -> Tracks:
    """The tracks of the units of one layer, dissected at every one of `steps`.

    Raises `UsageError` where the layers have other numbers of units or other vocabularies, or there is none.
    """
    if not layers or len(layers) != len(steps):
        raise UsageError(
            f"{len(layers)} dissections for {len(steps)} steps; wanted one for each, at least one"
        )
    first = layers[0]
    for layer in layers[1:]:
        if len(layer) != len(first):
            raise UsageError(
                f"{len(layer)} units cannot be followed from {len(first)}; give one network's steps"
            )
        if layer.vocabulary != first.vocabulary:
            raise UsageError("units can be followed over one source of concepts; these differ")
    return Tracks(
        tuple(steps),
        first.vocabulary,
        np.stack([layer.labels.best for layer in layers]).astype(np.int64),
        np.stack([layer.labels.best_iou for layer in layers]),
        np.stack([layer.labels.detector for layer in layers]),
    )


def count_changes(tracks: Tracks) -> Counter[tuple[str, str]]:
    """How often a unit goes from one category to another between one step and the next, `NONE` included.

    A unit that stays in its category counts too, as (category, category).
    """
    changes: Counter[tuple[str, str]] = Counter()
    for before, after in zip(tracks.categories, tracks.categories[1:], strict=False):
        changes.update(zip(before, after, strict=True))
    return changes


def find_births(tracks: Tracks, category: str) -> list[int]:
    """For every unit that ends as a detector of a category, the step since which it has been one."""
    births = []
    for unit, last in enumerate(tracks.categories[-1]):
        if last != category:
            continue
        place = len(tracks.steps) - 1
        while place > 0 and tracks.categories[place - 1][unit] == category:
            place -= 1
        births.append(tracks.steps[place])
    return births


def find_pasts(tracks: Tracks, category: str) -> Counter[str]:
    """The last other category of every unit that ends as a detector of this one, `NONE` without any."""
    pasts: Counter[str] = Counter()
    for unit, last in enumerate(tracks.categories[-1]):
        if last == category:
            earlier = [step[unit] for step in tracks.categories if step[unit] not in (category, NONE)]
            pasts[earlier[-1] if earlier else NONE] += 1
    return pasts


def keep_share(tracks: Tracks, first: int = 0, last: int = -1) -> float:
    """The share of a step's detectors that detect the same concept at another; NaN where there is none."""
    was = tracks.detector[first]
    if not was.any():
        return float("nan")
    same = (tracks.concepts[first] == tracks.concepts[last]) & tracks.detector[last]
    return float(same[was].mean())


def find_movers(tracks: Tracks, count: int = 8) -> list[int]:
    """Units that detect one thing at the first step and another at the last, the surest ones first."""
    moved = tracks.detector[0] & tracks.detector[-1] & (tracks.concepts[0] != tracks.concepts[-1])
    sure = np.minimum(tracks.iou[0], tracks.iou[-1])
    order = np.argsort(-sure, kind="stable")
    return [int(unit) for unit in order if moved[unit]][:count]


def track_rows(followed: Iterable[tuple[str, int, Tracks]]) -> list[Cells]:
    """The name of every unit at every step, a row each, of trainings told by their name and seed."""
    rows = [["training", "seed", "unit", "step", "concept", "category", "iou", "detector"]]
    for name, seed, tracks in followed:
        for unit in range(tracks.concepts.shape[1]):
            for place, step in enumerate(tracks.steps):
                best = int(tracks.concepts[place, unit])
                named = tracks.vocabulary[best] if best else None
                words = (guard_cell(named.name), guard_cell(named.category)) if named else ("", "")
                rows.append(
                    [
                        *(guard_cell(name), str(seed), str(unit), str(step), *words),
                        *(f"{tracks.iou[place, unit]:.6g}", str(int(tracks.detector[place, unit]))),
                    ]
                )
    return rows
