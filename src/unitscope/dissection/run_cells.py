"""How well latents tell the classes of cells, from the scan of a dissection: the network runs once."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from unitscope.concepts.derived import draw_train
from unitscope.concepts.vocabulary import Vocabulary
from unitscope.dissection.cell_measures import CellRules, check_grids, number_classes, score_halves
from unitscope.dissection.result import Dissection
from unitscope.errors import SourceError, UsageError
from unitscope.progress import LOGGER
from unitscope.statistics.cell_labels import CellGrid, label_cells
from unitscope.statistics.cell_scores import CellScores
from unitscope.statistics.fired_cells import gather_fired
from unitscope.statistics.labeled_cells import UNLABELED
from unitscope.statistics.scan import Machine, Scan, ScanPlan
from unitscope.statistics.threads import open_threads


def plan_cells(plan: ScanPlan, vocabulary: Vocabulary, rules: CellRules) -> ScanPlan:
    """The plan that keeps all cells where latents fire.

    Raises `UsageError` for units of which not all are kept, for classes that there are not, and for a map
    finer than the labels.
    """
    rules.choose(vocabulary)
    check_grids(plan)
    for layer, tail in plan.tails.items():
        if tail.sparse is None:
            raise UsageError(
                f"of the units of layer {layer} only the highest cells are kept; cell scores want latents of "
                "sparse directions: measure the layer with `unitscope cells`"
            )
        if tail.population == "given":
            raise UsageError(
                f"of layer {layer} only cells above the thresholds given are kept; leave these or cell "
                "scores out, or measure the layer with `unitscope cells`"
            )
    if next(iter(plan.tails.values())).images < 2:
        raise UsageError("cell scores want images to learn from and others to measure on, and there is one")
    return replace(plan, tails={layer: replace(tail, whole=True) for layer, tail in plan.tails.items()})


def record_rules(rules: CellRules | None, vocabulary: Vocabulary) -> dict[str, Any] | None:
    """What a recipe records of them, with the category that is meant; nothing of none."""
    if rules is None:
        return None
    return {**asdict(rules), "category": rules.choose(vocabulary)[-1].category}


def score_run(run: Dissection, scan: Scan, plan: ScanPlan, machine: Machine) -> Dissection:
    """The run with what its latents know of cells, where that was asked for.

    Its images are split like a source's halves train and test. A layer of which nothing can be said, since
    no cell of a half has a class, has a warning. Raises `UsageError` where cells take more memory than is
    allowed.
    """
    if run.recipe.cell_scores is None:
        return run
    rules = CellRules(**run.recipe.cell_scores)
    classes = rules.choose(run.vocabulary)
    numbers = number_classes(run.vocabulary, classes)
    held = ~draw_train(_list_images(scan))
    none = np.int32(0 if rules.unlabeled == "class" else UNLABELED)
    layers = dict(run.layers)
    LOGGER.info("scoring cells")
    with open_threads(machine.threads) as threads:
        for layer, tail in scan.tails.items():
            grid = CellGrid(tail.plan.raw_size, plan.frame.mask_size)
            labels = label_cells(scan.annotations, grid, numbers, rules.cells)
            labels = np.where(labels == UNLABELED, none, labels)
            halves = gather_fired(tail, labels, held, len(classes), machine.memory)
            scores: CellScores | None = None
            warnings = layers[layer].warnings
            try:
                scores = score_halves(*halves, threads)
            except SourceError as error:
                warnings = (*warnings, f"no cell scores: {error}")
            layers[layer] = replace(layers[layer], cell_scores=scores, warnings=warnings)
    return replace(run, layers=layers)


def _list_images(scan: Scan) -> Iterator[tuple[str, tuple[int, ...]]]:
    """By image its key and the labels of all of it."""
    place, labels = 0, scan.annotations.arrays
    for image, count in enumerate(labels["scalar_counts"].tolist()):
        yield scan.keys[image], tuple(labels["scalars"][place : place + count].tolist())
        place += count
