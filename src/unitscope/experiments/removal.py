"""What the classes of a network stand on: importance, removal, correlation and labels of a layer's units."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from unitscope.concepts.derived import source_spec
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.result import LayerDissection
from unitscope.errors import SourceError, UsageError
from unitscope.interventions.ablation import Method, Trial, find_targets, read_images
from unitscope.interventions.classes import find_class
from unitscope.interventions.edits import count_units, edited, set_units
from unitscope.interventions.importance import (
    By,
    Correlation,
    Group,
    Importance,
    correlate_ranks,
    group_by_classes,
    group_by_importance,
    mean_drop,
    measure_importance,
)
from unitscope.interventions.peak_correlation import Signs, correlate_peaks, count_signs
from unitscope.interventions.sweeps import Kind, Level, Sweep, average_sweeps, sweep_removals
from unitscope.networks.network import Network, spread
from unitscope.networks.trace import evaluation, hook_layer

FEW, MANY = 4, 20
"""How many units the paper's table removes (paper B, fig. 2b)."""
LEAST_DRAWS = 10


@dataclass(frozen=True, eq=False)
class Removal:
    """A layer's units removed from a classifier, one by one and many at a time.

    `ranked` is the importance on the images that rank the units, `tested` that on the images that all else
    is measured on: `sweeps`, `correlation[class, unit]` of peak and probability. `named` is the layer's
    dissection where there is one. `counts` are the numbers of units removed, among them `few` and `many`.
    """

    network: str
    layer: str
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    draws: int
    seed: int
    ranking_source: str
    ranking_images: int
    testing_source: str
    testing_images: int
    ranked: Importance
    tested: Importance
    correlation: Float64[np.ndarray, "classes unit"]
    sweeps: tuple[Sweep, ...]
    named: LayerDissection | None = None

    @property
    def units(self) -> int:
        """How many units the layer has."""
        return len(self.ranked.margin[0])

    @property
    def targets(self) -> Int64[np.ndarray, "class"]:
        """The classes that were studied, as indices of `classes`."""
        return self.ranked.targets

    @property
    def few(self) -> int:
        """4, as in the paper's table, or fewer in a small layer."""
        return table_counts(self.units)[0]

    @property
    def many(self) -> int:
        """20, as in the paper's table, or fewer in a small layer."""
        return table_counts(self.units)[1]

    @cached_property
    def levels(self) -> dict[tuple[int | None, Kind, int], Level]:
        """Accuracies by class, kind and count; class None is the mean over classes."""
        found = average_sweeps(self.sweeps, seed=self.seed)
        return {(level.target, level.kind, level.count): level for level in found}

    @cached_property
    def signs(self) -> Signs:
        """How often a class gets likelier where a unit is high."""
        return count_signs(self.correlation, self.ranked)

    @cached_property
    def labelling(self) -> "Labelling | None":
        """Importance against IoU, None without a dissection."""
        if self.named is None:
            return None
        iou = self.named.labels.best_iou.astype(np.float64)
        counts, drops = self.ranked.matters.sum(0).astype(np.float64), mean_drop(self.ranked)
        return Labelling(
            group_by_classes(self.ranked, iou),
            group_by_importance(self.ranked, iou),
            correlate_ranks(counts, iou, seed=self.seed),
            correlate_ranks(drops, iou, seed=self.seed),
        )


@dataclass(frozen=True)
class Labelling:
    """IoU by importance: groups of units with their mean IoU, and rank correlations over all units."""

    by_classes: list[Group]
    by_importance: list[Group]
    with_classes: Correlation
    with_importance: Correlation


def table_counts(units: int) -> tuple[int, int]:
    """How many units the table removes of a layer: 4 and 20, fewer of one that has no more than 20.

    >>> table_counts(512), table_counts(8)
    ((4, 20), (1, 4))
    """
    return (FEW, MANY) if units > MANY else (max(units // 8, 1), max(units // 2, 1))


def choose_counts(units: int) -> tuple[int, ...]:
    """How many units are removed where nobody says: the table's, and doubling numbers.

    >>> choose_counts(160)
    (1, 2, 4, 8, 20, 40, 80)
    """
    few, many = table_counts(units)
    below = [1, 2, 4, 8] if units > MANY else []
    above = [many << k for k in range(units.bit_length()) if many << k < units]
    return tuple(sorted({*below, few, many, *above}))


def pair_trials(
    network: Network, images: ConceptSource, test: ConceptSource | None = None
) -> tuple[Trial, Trial]:
    """Images to rank units by and others to test on: two sources, or two halves of one.

    Raises what `find_targets` raises.
    """
    if test is None:
        return find_targets(network, images, least=1).split()
    return find_targets(network, images, least=1), find_targets(network, test, least=1)


def find_classes(
    network: Network, names: Sequence[str], trials: Sequence[Trial]
) -> Int64[np.ndarray, "class"]:
    """The classes of these names, or without names all that have images, as indices.

    Raises `UsageError` for a class that the network does not have, `SourceError` for one with fewer than two
    images in one of the trials.
    """
    if names:
        targets = np.array(sorted({find_class(network, name) for name in names}), np.int64)
    else:
        targets = np.unique(np.concatenate([trial.targets for trial in trials]))
    for target in targets.tolist():
        fewest = min(int((trial.targets == target).sum()) for trial in trials)
        if fewest < 2:
            raise SourceError(
                f"class {network.classes[target]!r} has {fewest} images to rank or to test; wanted 2 or more "
                "of each: give more images, or name other classes"
            )
    return targets


def check_layer(network: Network, layer: str, trial: Trial) -> int:
    """How many units a layer has. Raises `UsageError` where their removal would say nothing about classes.

    That is so where the layer is what the network gives, and where the output stays as it is without all
    units. Raises `SourceError` where there is no image.
    """
    units = count_units(network, layer)
    if not len(trial):
        raise SourceError(
            "no image is left to remove units on: every class needs two, one to rank its units; give more"
        )
    seen: list[Tensor] = []

    def note(raw: Tensor) -> Tensor:
        seen.append(raw)
        return raw

    _, batch = next(read_images(network, trial.keep(np.arange(len(trial)) < 2), 2))
    inputs = spread(batch)
    with evaluation(network.module), torch.no_grad():
        with hook_layer(network, layer, note):
            output = network.module(*inputs)
        with edited(network, set_units(layer, range(units), units)):
            without = network.module(*inputs)
    output, without = (getattr(one, "logits", one) for one in (output, without))
    if isinstance(output, Tensor) and any(torch.equal(raw, output) for raw in seen):
        raise UsageError(
            f"layer {layer} is what {network.name} gives, its units are the classes; take one before"
        )
    if isinstance(output, Tensor) and torch.equal(output, without):
        raise UsageError(
            f"without all units of layer {layer}, {network.name} gives the same; take a layer before its last"
        )
    return units


def study_removal(
    network: Network,
    layer: str,
    ranking: Trial,
    testing: Trial,
    *,
    classes: Sequence[str] = (),
    counts: Sequence[int] = (),
    by: By = "contrast",
    draws: int = 10,
    seed: int = 0,
    named: LayerDissection | None = None,
    method: Method = "fastest",
) -> Removal:
    """Ranks a layer's units for every class by some images, and removes them on others (paper B, fig. 2).

    Importance is measured on both; on `testing` also everything else: removal of the `counts` most and least
    important units of each class, of all but the most important, and of random ones (`draws` times), and the
    correlation of peaks with probabilities. `classes` are the names of those to study, all if empty; the
    images of the others still count.

    Raises `UsageError` for a layer, a class, counts or draws that cannot be, `SourceError` for a class of too
    few images.
    """
    units = check_layer(network, layer, testing)
    if counts and not (min(counts) >= 1 and max(counts) <= units):
        raise UsageError(f"layer {layer} has {units} units; remove 1 to {units}, not {list(counts)}")
    if draws < 2:
        raise UsageError(f"{draws} random draws have no interval; take {LEAST_DRAWS} or more")
    targets = find_classes(network, classes, (ranking, testing))
    steps = tuple(sorted({*(counts or choose_counts(units)), *table_counts(units)}))
    ranked = measure_importance(network, layer, ranking, by=by, method=method).keep(targets)
    tested = measure_importance(network, layer, testing, by=by, method=method).keep(targets)
    sweeps = sweep_removals(network, layer, testing, ranked, steps, draws=draws, seed=seed, method=method)
    return Removal(
        network=network.name,
        layer=layer,
        classes=network.classes,
        counts=steps,
        draws=draws,
        seed=seed,
        ranking_source=source_spec(ranking.source),
        ranking_images=len(ranking),
        testing_source=source_spec(testing.source),
        testing_images=len(testing),
        ranked=ranked,
        tested=tested,
        correlation=correlate_peaks(network, layer, testing),
        sweeps=tuple(sweeps),
        named=named,
    )
