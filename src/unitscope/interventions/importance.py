"""Which units a class needs, which they share, and what that has to do with another value, such as IoU."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from unitscope.errors import NetworkError
from unitscope.executors.jobs import Executor
from unitscope.interventions.ablation import Method, Trial, read_images, score_removals, single_units
from unitscope.interventions.edits import Reach, count_units
from unitscope.interventions.linear_head import read_logits
from unitscope.networks.network import Network
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import evaluation, hook_layer
from unitscope.networks.unit_maps import read_units
from unitscope.progress import follow
from unitscope.statistics.intervals import Interval, draw_again, take_middle

By = Literal["contrast", "margin", "accuracy"]
Values = Float64[np.ndarray, "unit"]
_BATCH = 16
TOP = 4
"""A unit matters to a class if it is among so many most important ones (paper B, fig. 2e)."""


@dataclass(frozen=True, eq=False)
class Importance:
    """What each class loses with each unit: the drop, by class and unit, of three things.

    `accuracy`: balanced accuracy, as in paper B; where it is near 1 most of its drops are 0, and their
    order is noise. `margin`: the mean margin of the class's images, in logits, which knows nothing of images
    that are called by that class and should not be. `contrast`: that minus the class's mean margin in all
    other images. `by` says which of them orders the units. `present` says which classes had images to lose,
    all if None: nothing matters to the others.
    """

    accuracy: Float64[np.ndarray, "classes unit"]
    margin: Float64[np.ndarray, "classes unit"]
    contrast: Float64[np.ndarray, "classes unit"]
    by: By = "contrast"
    present: Bool[np.ndarray, "classes"] | None = None

    @property
    def drop(self) -> Float64[np.ndarray, "classes unit"]:
        """The drop that orders the units."""
        return {"accuracy": self.accuracy, "margin": self.margin, "contrast": self.contrast}[self.by]

    @property
    def order(self) -> Int64[np.ndarray, "classes unit"]:
        """The units of every class, the most important one first; ties go to the lower unit."""
        return np.argsort(-self.drop, axis=1, kind="stable")

    @property
    def targets(self) -> Int64[np.ndarray, "present"]:
        """The classes that had images."""
        return np.arange(len(self.margin)) if self.present is None else np.flatnonzero(self.present)

    @property
    def matters(self) -> Bool[np.ndarray, "classes unit"]:
        """Which units are among the `TOP` most important ones of a class."""
        table = np.zeros(self.margin.shape, bool)
        np.put_along_axis(table, self.order[:, :TOP], True, 1)
        return table if self.present is None else table & self.present[:, None]

    def keep(self, targets: Int64[np.ndarray, "chosen"]) -> "Importance":
        """The same, for some of the classes alone."""
        present = np.zeros(len(self.margin), bool)
        present[targets] = True
        return replace(self, present=present)


def measure_importance(
    network: Network,
    layer: str,
    trial: Trial,
    *,
    by: By = "contrast",
    method: Method = "fastest",
    tokens: Reach = "all",
    executor: Executor | None = None,
) -> Importance:
    """Removes every unit of a layer by itself, and takes the drop of every class (paper B, Methods).

    `tokens` are those that units are removed from, `executor` has workers that share the images; raises what
    `score_removals` raises.
    """
    masks = single_units(count_units(network, layer))
    base, single = score_removals(
        network, layer, trial, masks, method=method, tokens=tokens, executor=executor
    )
    names = ("balanced_accuracy", "mean_margin", "contrast")
    accuracy, margin, contrast = ((getattr(base, name) - getattr(single, name)).T for name in names)
    return Importance(accuracy, margin, contrast, by, base.images > 0)


@dataclass(frozen=True)
class Edge:
    """A class and one of the `TOP` units that matter most to it, and by how much; `rank` counts from 1."""

    target: int
    unit: int
    rank: int
    drop: float


def list_edges(importance: Importance) -> Iterator[Edge]:
    """The graph of classes and the units that matter to them, class by class."""
    for target in importance.targets.tolist():
        for rank, unit in enumerate(importance.order[target, :TOP].tolist(), 1):
            yield Edge(target, unit, rank, float(importance.drop[target, unit]))


def shared_units(importance: Importance) -> dict[int, list[int]]:
    """The units that matter to more than one class, with those classes; most classes first.

    >>> drops = np.array([[9.0, 8, 7, 6, 0, 0], [0, 0, 1, 2, 3, 4]])
    >>> shared_units(Importance(drops, drops, drops))
    {2: [0, 1], 3: [0, 1]}
    """
    matters = importance.matters
    found = {unit: np.flatnonzero(matters[:, unit]).tolist() for unit in range(matters.shape[1])}
    many = sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return {unit: classes for unit, classes in many if len(classes) > 1}


@dataclass(frozen=True)
class Group:
    """Some units: how many, and the mean of a value over them with its standard error."""

    name: str
    units: int
    mean: float
    error: float


def group_by_classes(importance: Importance, value: Values, most: int = 7) -> list[Group]:
    """Units by the number of classes they matter to, with the mean of a value such as IoU (fig. 2e)."""
    counts = np.minimum(importance.matters.sum(0), most)
    return [
        _group(f"{count}+" if count == most else str(count), value[counts == count])
        for count in range(most + 1)
        if (counts == count).any()
    ]


def group_by_importance(importance: Importance, value: Values, size: int = 32) -> list[Group]:
    """Units in bins of `size` by their mean importance, the least important first."""
    order = np.argsort(mean_drop(importance), kind="stable")
    bins = [order[start : start + size] for start in range(0, len(order), size)]
    return [_group(f"{k * size + 1}–{k * size + len(some)}", value[some]) for k, some in enumerate(bins)]


def mean_drop(importance: Importance) -> Values:
    """What the classes lose with each unit, on average over them."""
    return np.asarray(importance.drop[importance.targets].mean(0))


def _group(name: str, values: Float64[np.ndarray, "some"]) -> Group:
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    return Group(name, len(values), float(values.mean()), error)


@dataclass(frozen=True)
class Correlation(Interval):
    """Spearman's rank correlation of two values of the same units, with its bootstrap interval over units.

    `chance_low` and `chance_high`: the middle 95 % where one of the values is shuffled over the units;
    `p_value`: how often that is as far from 0.
    """

    chance_low: float = float("nan")
    chance_high: float = float("nan")
    p_value: float = float("nan")


def correlate_ranks(one: Values, other: Values, *, replicates: int = 1000, seed: int = 0) -> Correlation:
    """Spearman's rank correlation, ties sharing their mean rank; 0 where nothing varies.

    >>> found = correlate_ranks(np.arange(9.0), np.arange(9.0) ** 3)
    >>> found.value, found.p_value < 0.05
    (1.0, True)
    """
    rng = np.random.default_rng(seed)
    draws, value = draw_again(len(one), replicates, rng), _spearman(one, other)
    found = take_middle([_spearman(one[draw], other[draw]) for draw in draws], value)
    shuffled = np.array([_spearman(one, rng.permutation(other)) for _ in range(replicates)])
    chance = take_middle(shuffled, 0.0)
    p_value = (1 + int((np.abs(shuffled) >= abs(value)).sum())) / (1 + replicates)
    return Correlation(*found.ends, chance.low, chance.high, p_value)


def _spearman(one: Values, other: Values) -> float:
    first, second = (ranks - ranks.mean() for ranks in map(_ranks, (one, other)))
    scale = np.sqrt((first @ first) * (second @ second))
    return round(float(first @ second / scale), 12) if scale > 0 else 0.0


def _ranks(values: Values) -> Values:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts + 1) / 2)[places])


def correlate_peaks(network: Network, layer: str, trial: Trial) -> Float64[np.ndarray, "classes unit"]:
    """Pearson's correlation over images of a unit's peak with a class's probability (paper B, SI).

    The peak is the largest value of the unit's map, the probability the softmax over the logits. One pass; 0
    where a unit or a class is the same in all images. Raises `NetworkError` where there are no logits.
    """
    seen: list[Tensor] = []

    def note(raw: Tensor, layout: Layout) -> Tensor:
        seen.append(read_units(raw, layout, layer).amax((2, 3)).double())
        return raw

    sums: _Sums | None = None
    with (
        evaluation(network),
        hook_layer(network, layer, note),
        torch.no_grad(),
        follow(len(trial), f"peaks of {layer}") as work,
    ):
        for targets, batch in read_images(network, trial, _BATCH):
            logits = read_logits(network.run(batch))
            peaks, likely = seen.pop().cpu().numpy(), logits.double().softmax(1).cpu().numpy()
            sums = sums or _Sums(likely[0], peaks[0])
            sums.update(likely, peaks)
            work.update(len(targets))
    if sums is None:
        raise NetworkError("there are no images to correlate over; give a source with images")
    return sums.correlation()


class _Sums:
    """Sums of products of two sets of columns, about an origin near the means, against cancellation."""

    def __init__(self, one: Float64[np.ndarray, "a"], other: Float64[np.ndarray, "b"]) -> None:
        self.origin = np.concatenate([one, other])
        self.split, self.count = len(one), 0
        self.sums = np.zeros_like(self.origin)
        self.squares = np.zeros_like(self.origin)
        self.products = np.zeros((len(one), len(other)))

    def update(self, one: Float64[np.ndarray, "n a"], other: Float64[np.ndarray, "n b"]) -> None:
        both = np.concatenate([one, other], 1) - self.origin
        self.count += len(both)
        self.sums += both.sum(0)
        self.squares += (both**2).sum(0)
        self.products += both[:, : self.split].T @ both[:, self.split :]

    def correlation(self) -> Float64[np.ndarray, "a b"]:
        mean = self.sums / self.count
        spread = np.sqrt(np.maximum(self.squares / self.count - mean**2, 0))
        # What is left of rounding is no spread.
        spread[spread < 1e-12 * (1 + np.abs(self.origin))] = 0
        one, other = slice(None, self.split), slice(self.split, None)
        joint = self.products / self.count - mean[one, None] * mean[None, other]
        scale = spread[one, None] * spread[None, other]
        found = np.divide(joint, scale, out=np.zeros_like(joint), where=scale > 0)
        return np.asarray(found.clip(-1, 1))


@dataclass(frozen=True)
class Signs:
    """The share of (class, unit) pairs whose correlation is positive: of those that matter, and of all."""

    important: float
    important_pairs: int
    every: float
    pairs: int


def count_signs(correlation: Float64[np.ndarray, "classes unit"], importance: Importance) -> Signs:
    """How often a class gets likelier where a unit that matters to it is high (paper B, SI)."""
    every = correlation[importance.targets]
    important = correlation[importance.matters]
    return Signs(float((important > 0).mean()), important.size, float((every > 0).mean()), every.size)
