"""Which units a class needs: importance, removal in that order, and what it has to do with their labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64

from unitscope.errors import UsageError
from unitscope.interventions.ablation import Masks, Method, Trial, score_removals, single_units
from unitscope.interventions.edits import count_units
from unitscope.interventions.scores import ClassScores
from unitscope.networks.network import Network

By = Literal["margin", "accuracy"]
Kind = Literal["none", "most", "only", "least", "random"]
TOP = 4
"""A unit matters to a class if it is among so many most important ones (paper B, fig. 2e)."""


@dataclass(frozen=True, eq=False)
class Importance:
    """What each class loses with each unit: `accuracy[c, u]` of balanced accuracy, `margin[c, u]` in logits.

    `by` says which of the two orders the units; where accuracy is near 1 most of its drops are 0.
    """

    accuracy: Float64[np.ndarray, "classes unit"]
    margin: Float64[np.ndarray, "classes unit"]
    by: By = "margin"

    @property
    def order(self) -> Int64[np.ndarray, "classes unit"]:
        """The units of every class, the most important one first; ties go to the lower unit."""
        return np.argsort(-(self.margin if self.by == "margin" else self.accuracy), axis=1, kind="stable")

    @property
    def matters(self) -> Bool[np.ndarray, "classes unit"]:
        """Which units are among the `TOP` most important ones of a class."""
        table = np.zeros(self.margin.shape, bool)
        np.put_along_axis(table, self.order[:, :TOP], True, 1)
        return table


def measure_importance(
    network: Network, layer: str, trial: Trial, *, by: By = "margin", method: Method = "fastest"
) -> Importance:
    """Removes every unit of a layer by itself, and takes the drop of every class (paper B, Methods)."""
    units = count_units(network, layer)
    base, single = score_removals(network, layer, trial, single_units(units), method=method)
    return weigh_units(base, single, by)


def weigh_units(base: ClassScores, single: ClassScores, by: By = "margin") -> Importance:
    """Importance from the scores with all units, and without each."""
    return Importance(
        (base.balanced_accuracy - single.balanced_accuracy).T, (base.mean_margin - single.mean_margin).T, by
    )


@dataclass(frozen=True)
class Sweep:
    """One class with some units removed.

    `kind` is "none", "most" (the `count` most important ones are gone), "only" (all but these are gone),
    "least" (the `count` least important ones are gone), or "random" (`count` by lot, number `draw`).
    `balanced` is the class's balanced accuracy, `recall` its recall, `accuracy` that of all classes.
    """

    target: int
    kind: Kind
    count: int
    draw: int
    balanced: float
    recall: float
    accuracy: float


def sweep_removals(
    network: Network,
    layer: str,
    trial: Trial,
    importance: Importance,
    counts: Sequence[int],
    *,
    draws: int = 10,
    seed: int = 0,
    method: Method = "fastest",
) -> list[Sweep]:
    """Removes more and more units, class by class: the important, all others, the unimportant, random ones.

    Rank with other images than these of `trial`, or luck counts as importance. Raises `UsageError` for
    counts that the layer does not have units for.
    """
    units = importance.margin.shape[1]
    if not counts or min(counts) < 1 or max(counts) > units:
        raise UsageError(f"{layer} has {units} units; remove 1 to {units}, not {list(counts)}")
    present = np.unique(trial.targets)
    rng = np.random.default_rng(seed)
    plans: list[tuple[int, Kind, int, int, Masks]] = []
    for count in counts:
        # One draw by lot serves all classes: it knows none of them.
        lots = [rng.permutation(units)[:count] for _ in range(draws)]
        plans += [(-1, "random", count, draw, _mask(lot, units)) for draw, lot in enumerate(lots)]
        for target in present.tolist():
            order = importance.order[target]
            plans.append((target, "most", count, 0, _mask(order[:count], units)))
            plans.append((target, "only", count, 0, _mask(order[count:], units)))
            plans.append((target, "least", count, 0, _mask(order[units - count :], units)))
    masks = np.stack([plan[4] for plan in plans])
    base, scores = score_removals(network, layer, trial, masks, method=method)
    rows = [_row(base, 0, target, "none", 0, 0) for target in present.tolist()]
    for place, (target, kind, count, draw, _) in enumerate(plans):
        targets = present.tolist() if target < 0 else [target]
        rows += [_row(scores, place, one, kind, count, draw) for one in targets]
    return rows


def _mask(units: Int64[np.ndarray, "chosen"], count: int) -> Bool[np.ndarray, "unit"]:
    mask = np.zeros(count, bool)
    mask[units] = True
    return mask


def _row(scores: ClassScores, place: int, target: int, kind: Kind, count: int, draw: int) -> Sweep:
    balanced, recall = scores.balanced_accuracy[place, target], scores.recall[place, target]
    return Sweep(target, kind, count, draw, float(balanced), float(recall), float(scores.accuracy[place]))


@dataclass(frozen=True)
class Group:
    """Some units: how many, and the mean of a value over them with its standard error."""

    name: str
    units: int
    mean: float
    error: float


def group_by_classes(
    importance: Importance, value: Float64[np.ndarray, "unit"], most: int = 7
) -> list[Group]:
    """Units by the number of classes they matter to, with the mean of a value such as IoU (fig. 2e)."""
    counts = np.minimum(importance.matters.sum(0), most)
    return [
        _group(f"{count}+" if count == most else str(count), value[counts == count])
        for count in range(most + 1)
        if (counts == count).any()
    ]


def group_by_importance(
    importance: Importance, value: Float64[np.ndarray, "unit"], size: int = 32
) -> list[Group]:
    """Units in bins of `size` by their mean importance, the least important first."""
    order = np.argsort(importance.margin.mean(0), kind="stable")
    starts = range(0, len(order), size)
    return [_group(f"{start + 1}–{start + size}", value[order[start : start + size]]) for start in starts]


def _group(name: str, values: Float64[np.ndarray, "some"]) -> Group:
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    return Group(name, len(values), float(values.mean()), error)


@dataclass(frozen=True)
class Correlation:
    """A rank correlation with its 95 % bootstrap interval over units."""

    value: float
    low: float
    high: float


def correlate_ranks(
    one: Float64[np.ndarray, "n"], other: Float64[np.ndarray, "n"], *, replicates: int = 1000, seed: int = 0
) -> Correlation:
    """Spearman's rank correlation, ties sharing their mean rank; 0 where nothing varies.

    >>> correlate_ranks(np.arange(9.0), np.arange(9.0) ** 3).value
    1.0
    """
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(one), (replicates, len(one)))
    found = [_spearman(one[draw], other[draw]) for draw in draws]
    low, high = np.quantile(found, [0.025, 0.975])
    return Correlation(_spearman(one, other), float(low), float(high))


def _spearman(one: Float64[np.ndarray, "n"], other: Float64[np.ndarray, "n"]) -> float:
    first, second = _ranks(one), _ranks(other)
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return round(float(np.corrcoef(first, second)[0, 1]), 12)


def _ranks(values: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts + 1) / 2)[places])
