"""What `score_names` gives: every score of every name, with its interval, p-value and rate of false ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unitscope.results import Result
from unitscope.statistics.pair_scores import SCORES
from unitscope.tables import Table

SHOWN = ("iou", "f1", "pearson", "cosine", "average_precision", "inverse_auroc", "simulation")
"""The scores that people are shown: those that pass the tests of a score, then how well one tells another."""

_MOST = 40
_COLUMNS = ("layer", "unit", "name", "formula", "inputs", "positives")
LONG_COLUMNS = (*_COLUMNS, "score", "value", "low", "high", "p_value", "q_value")


@dataclass(frozen=True)
class Score:
    """One score of one name: its value, the middle 95 % of its bootstrap over images, its p- and q-value.

    `p_value` is the chance of so high a value with the presence of other images, `q_value` the rate of false
    discoveries among all names at it. NaN is what is not defined.
    """

    value: float
    low: float
    high: float
    p_value: float
    q_value: float


@dataclass(frozen=True)
class NameScore:
    """One unit with one name: `name` as it was given, `formula` in names of the source's concepts.

    `inputs` are those whose truth is known, `positives` those of them where the name holds.
    """

    layer: str
    unit: int
    name: str
    formula: str
    inputs: int
    positives: int
    scores: Mapping[str, Score]


@dataclass(frozen=True, eq=False)
class NameScores(Result):
    """How good names are, name by name; made by `score_names`.

    `names[i].scores["pearson"].value` is one of them. `about` says in words what was measured, `notes` what
    was left out and what to mind.
    """

    names: tuple[NameScore, ...]
    about: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def tables(self) -> dict[str, Table]:
        """`scores.csv`, a row for every name and score, and `names.csv`, a row a name with all its scores."""
        long, wide = list[dict[str, Any]](), list[dict[str, Any]]()
        for one in self.names:
            named = {column: getattr(one, column) for column in _COLUMNS}
            long += [{**named, "score": score, **vars(found)} for score, found in one.scores.items()]
            wide.append({**named, **{score: found.value for score, found in one.scores.items()}})
        return {
            "scores.csv": Table.of(long, LONG_COLUMNS),
            "names.csv": Table.of(wide, (*_COLUMNS, *SCORES)),
        }

    def average(self, score: str) -> float:
        """The mean of a score over names that have it."""
        values = np.array([one.scores[score].value for one in self.names])
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

    def text(self) -> str:
        """Names with the scores of `SHOWN`, their means, and what to mind."""
        rows = [
            (one.layer, str(one.unit), one.formula, *(one.scores[name].value for name in SHOWN), p)
            for one in self.names[:_MOST]
            for p in [one.scores["pearson"].p_value]
        ]
        rows.append(("mean", "", "", *(self.average(name) for name in SHOWN), float("nan")))
        head = ("layer", "unit", "name", *SHOWN, "p (pearson)")
        more = len(self.names) - _MOST
        told = [f"{more} more names: --out DIR writes all, with intervals and p-values"] if more > 0 else []
        said = [f"{name}: {value}" for name, value in self.about.items()]
        lines = [Table(head, tuple(rows), (0, 2), 3).text(), *told, "", *said]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def describe(self) -> dict[str, Any]:
        """The rows of `scores.csv`, what was measured, and what to mind."""
        return {"rows": self.rows(), "about": dict(self.about), "notes": list(self.notes)}
