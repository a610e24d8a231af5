"""What the classes of a network stand on: importance, removal, correlation and labels of a layer's units."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from unitscope.concepts.derived import source_spec
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.matching import find_layer
from unitscope.dissection.result import Dissection
from unitscope.errors import SourceError, UsageError, check_seed
from unitscope.executors.jobs import Executor
from unitscope.experiments.removal_result import MANY, SPOKEN, Removal, table_counts
from unitscope.interventions.ablation import Method, Trial, open_trial, read_images, specify_trial
from unitscope.interventions.classes import find_class
from unitscope.interventions.edits import (
    Reach,
    check_counts,
    check_reach,
    count_units,
    edited,
    find_tokens,
    set_units,
)
from unitscope.interventions.importance import By, correlate_peaks, measure_importance
from unitscope.interventions.linear_head import check_hidden, read_logits
from unitscope.interventions.sweeps import sweep_removals
from unitscope.networks.addresses import count_heads
from unitscope.networks.network import Network
from unitscope.networks.trace import evaluation

LEAST_DRAWS = 10


def study_removal(
    network: Network,
    layer: str,
    images: ConceptSource | Trial,
    test: ConceptSource | Trial | None = None,
    *,
    classes: Sequence[str] = (),
    counts: Sequence[int] = (),
    by: By = "contrast",
    draws: int = 10,
    seed: int = 0,
    run: Dissection | None = None,
    method: Method = "fastest",
    tokens: Reach = "all",
    executor: Executor | None = None,
) -> Removal:
    """Which units of a layer does each class need, and what is left without them (paper B, fig. 2)?

    Units are ranked for every class on one half of the images, labelled as a whole with the network's
    classes, and removed on the other half; with `test` they are ranked on all images and removed on those of
    `test`. Importance is measured on both (`measure_importance`; `by` says which drop ranks); on the test
    images also everything else: removal of the `counts` most and least important units of each class, of all
    but the most important, and of random ones (`draws` times), and the correlation of peaks with
    probabilities. `classes` are the names of those to study, all if empty; the images of the others still
    count. `run` is a dissection of the layer, for the labels of its units. `tokens` are those of a sequence
    that units are removed from: class tokens, registers and patches ("all"), "patches", or "class".
    `executor` has workers that share the images of each removal. Raises `UsageError` for a layer, a class,
    counts, draws or tokens that cannot be, a run of another network, or what workers cannot open,
    `SourceError` for a class of too few images.
    """
    check_seed(seed)
    check_reach(tokens)
    named = None if run is None else find_layer(run, network, layer)
    trial = open_trial(network, images)
    ranking, testing = trial.split() if test is None else (trial, open_trial(network, test))
    if executor is not None:
        for one in (ranking, testing):
            specify_trial(network, one)  # raises where workers cannot open them
    units = check_layer(network, layer, testing, tokens)
    if counts:
        check_counts(layer, units, counts)
    if draws < 2:
        raise UsageError(f"{draws} random draws have no interval; take {LEAST_DRAWS} or more")
    targets = find_classes(network, classes, (ranking, testing))
    steps = tuple(sorted({*(counts or choose_counts(units)), *table_counts(units)}))
    how: Any = {"method": method, "tokens": tokens, "executor": executor}
    ranked, tested = (
        measure_importance(network, layer, half, by=by, **how).keep(targets) for half in (ranking, testing)
    )
    sweeps = sweep_removals(network, layer, testing, ranked, steps, draws=draws, seed=seed, **how)
    correlation = correlate_peaks(network, layer, testing)
    sources = (source_spec(ranking.source), len(ranking), source_spec(testing.source), len(testing))
    about = (network.name, layer, network.classes, steps, draws, seed, *sources)
    _, batch = next(read_images(network, testing, 1))
    reached = None if find_tokens(network, layer, batch) is None else tokens
    return Removal(
        *about, ranked, tested, correlation, tuple(sweeps), named, reached, count_heads(network, layer)
    )


def choose_counts(units: int) -> tuple[int, ...]:
    """How many units are removed by default: the table's numbers, and doubling ones.

    >>> choose_counts(160)
    (1, 2, 4, 8, 20, 40, 80)
    """
    few, many = table_counts(units)
    below = [1, 2, 4, 8] if units > MANY else []
    above = [many << k for k in range(units.bit_length()) if many << k < units]
    return tuple(sorted({*below, few, many, *above}))


def find_classes(
    network: Network, names: Sequence[str], trials: Sequence[Trial]
) -> Int64[np.ndarray, "class"]:
    """The classes of these names, or without names all that have images, as indices.

    Raises `UsageError` for a class that the network does not have, `SourceError` for one with fewer than two
    images in one of the trials.
    """
    named = np.array([find_class(network, name) for name in names], np.int64)
    targets = np.unique(named if names else np.concatenate([trial.targets for trial in trials]))
    for target in targets.tolist():
        fewest = min(int((trial.targets == target).sum()) for trial in trials)
        if fewest < 2:
            raise SourceError(
                f"class {network.classes[target]!r} has {fewest} images to rank or to test; wanted 2 or more "
                "of each: give more images, or name other classes"
            )
    return targets


def check_layer(network: Network, layer: str, trial: Trial, tokens: Reach = "all") -> int:
    """How many units a layer has. Raises `UsageError` where their removal would say nothing about classes.

    That is so where the layer is what the network gives, and where the output stays as it is without all
    units in these tokens, or there are none such. Raises `SourceError` where there is no image.
    """
    units = count_units(network, layer)
    if not len(trial):
        raise SourceError(
            "no image is left to remove units on: every class needs two, one to rank its units; give more"
        )
    _, batch = next(read_images(network, trial, 2))
    logits = check_hidden(network, layer, batch)
    every = set_units(layer, range(units), units, tokens=tokens)
    with evaluation(network), torch.no_grad(), edited(network, every):
        without = read_logits(network.run(batch))
    if torch.equal(logits, without):
        where, advice = "", "take a layer before its last"
        if tokens != "all":
            where = f" in its {SPOKEN[tokens]}"
            advice = f"what comes after does not read these: take other tokens (--tokens), or {advice}"
        raise UsageError(
            f"without all units of layer {layer}{where}, {network.name} gives the same; {advice}"
        )
    return units
