"""More and more units removed, class by class, and the means of that with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float64, Int64

from unitscope.executors.jobs import Executor
from unitscope.interventions.ablation import Masks, Method, Trial, score_removals
from unitscope.interventions.classes import ClassScores
from unitscope.interventions.edits import Reach, check_counts
from unitscope.interventions.importance import Importance
from unitscope.networks.network import Network
from unitscope.statistics.intervals import Interval, count_draws, draw_again, take_middle

Kind = Literal["none", "most", "only", "least", "random"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Sweep:
    """One class with some units removed.

    `kind` is "none", "most" (the `count` most important ones are gone), "only" (all but these are gone),
    "least" (the `count` least important ones are gone), or "random" (`count` at random, draw number `draw`).
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
    tokens: Reach = "all",
    executor: Executor | None = None,
) -> list[Sweep]:
    """Removes more and more units, class by class: the important, all others, the unimportant, random ones.

    The classes are those of `importance` that the trial has images of. A draw is one random order of the
    units, of which the first are taken, for all counts and classes. Units are removed from these `tokens`;
    `executor` has workers that share the images.
    Rank with other images than these of `trial`, or luck counts as importance. Raises `UsageError` for counts
    that the layer does not have units for.
    """
    units = importance.margin.shape[1]
    check_counts(layer, units, counts)
    present = np.intersect1d(trial.targets, importance.targets).tolist()
    rng, every = np.random.default_rng(seed), np.arange(units)
    lots = [rng.permutation(units) for _ in range(draws)]
    plans: list[tuple[int, Kind, int, int, Bool[np.ndarray, "unit"]]] = []
    for count in counts:
        # One random draw serves all classes: it knows none of them.
        plans += [(-1, "random", count, draw, np.isin(every, lot[:count])) for draw, lot in enumerate(lots)]
        for target in present:
            order = importance.order[target]
            plans.append((target, "most", count, 0, np.isin(every, order[:count])))
            plans.append((target, "only", count, 0, np.isin(every, order[count:])))
            plans.append((target, "least", count, 0, np.isin(every, order[units - count :])))
    masks: Masks = np.stack([plan[4] for plan in plans])
    base, scores = score_removals(
        network, layer, trial, masks, method=method, tokens=tokens, executor=executor
    )
    rows = [_row(base, 0, target, "none", 0, 0) for target in present]
    for place, (target, kind, count, draw, _) in enumerate(plans):
        targets = present if target < 0 else [target]
        rows += [_row(scores, place, one, kind, count, draw) for one in targets]
    return rows


def _row(scores: ClassScores, place: int, target: int, kind: Kind, count: int, draw: int) -> Sweep:
    balanced, recall = scores.balanced_accuracy[place, target], scores.recall[place, target]
    return Sweep(target, kind, count, draw, float(balanced), float(recall), float(scores.accuracy[place]))


@dataclass(frozen=True)
class Level:
    """How a class fares with some units removed; `target` None stands for the mean over classes.

    `balanced` and `accuracy` are means over draws: that of a class with the middle 95 % of its draws, that of
    all classes with the bootstrap interval over classes and draws; a single value has no interval.
    """

    target: int | None
    kind: Kind
    count: int
    balanced: Interval
    accuracy: Interval


def average_sweeps(sweeps: Sequence[Sweep], *, replicates: int = 1000, seed: int = 0) -> list[Level]:
    """The mean over classes, and every class, at every kind and count, in that order.

    >>> rows = [Sweep(c, "random", 2, d, 0.5 + 0.1 * d, 0.0, 1.0) for c in (0, 1) for d in (0, 1)]
    >>> [(level.target, round(level.balanced.value, 3)) for level in average_sweeps(rows)]
    [(None, 0.55), (0, 0.55), (1, 0.55)]
    """
    cells: dict[tuple[Kind, int], dict[int, list[Sweep]]] = {}
    for row in sorted(sweeps, key=lambda row: (KINDS.index(row.kind), row.count, row.target, row.draw)):
        cells.setdefault((row.kind, row.count), {}).setdefault(row.target, []).append(row)
    rng = np.random.default_rng(seed)
    means, singles = [], []
    for (kind, count), classes in cells.items():
        balanced = np.array([[row.balanced for row in rows] for rows in classes.values()])
        accuracy = np.array([[row.accuracy for row in rows] for rows in classes.values()])
        drawn = [draw_again(size, replicates, rng) for size in balanced.shape]
        means.append(Level(None, kind, count, _bootstrap(balanced, drawn), _bootstrap(accuracy, drawn)))
        for target, one, other in zip(classes, balanced, accuracy, strict=True):
            singles.append(Level(target, kind, count, _spread(one), _spread(other)))
    singles.sort(key=lambda level: level.target or 0)
    return means + singles


def _bootstrap(
    values: Float64[np.ndarray, "class draw"], drawn: Sequence[Int64[np.ndarray, "replicate _"]]
) -> Interval:
    if values.size == 1:
        return Interval(float(values[0, 0]))
    shares = [count_draws(places) / places.shape[1] for places in drawn]
    means = np.einsum("rc,cd,rd->r", shares[0], values, shares[1])
    return take_middle(means, float(values.mean()))


def _spread(values: Float64[np.ndarray, "draw"]) -> Interval:
    return Interval(float(values[0])) if len(values) == 1 else take_middle(values, float(values.mean()))
