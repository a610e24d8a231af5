"""Units put into a generator's pictures at one place: the effect by context (paper B, fig. 4c and d)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from unitscope.concepts.segmented import Segmenter
from unitscope.concepts.vocabulary import Concept
from unitscope.errors import UsageError, check_seed
from unitscope.executors.calls import Arrays, Work
from unitscope.executors.jobs import Executor
from unitscope.experiments.erasure import (
    LEAST_DRAWS,
    choose_targets,
    optimize_orders,
    rank_targets,
    share_out,
    share_studio,
)
from unitscope.experiments.erasure_result import MANY, WORDS, By, GeneratorStudy, Target, list_units
from unitscope.interventions.causal_sets import Recipe
from unitscope.interventions.edits import Edit
from unitscope.interventions.generator_run import Studio, take_part
from unitscope.interventions.insertion import Trials, choose_grid, draw_cells, read_trials, set_at
from unitscope.interventions.repainting import repaint, stack_edits
from unitscope.interventions.unit_values import Levels, Rule, measure_layers
from unitscope.networks.generators import Generator
from unitscope.progress import silence
from unitscope.tables import Table, align, plain

LEAST = 100
"""A context with fewer trials is not shown; the paper asks for 1,000 of its 640,000."""
PLACES = 4
UNNAMED, ALL = "(unnamed)", "(all)"

Kinds = Mapping[By, Trials]


@dataclass(frozen=True, eq=False)
class Placement(GeneratorStudy):
    """Concepts put into a generator's pictures; made by `study_placement`.

    `count` units are set; `trials[concept, by]` is what came of it at `places` places an image: cells of the
    layer, or of a grid `across` by `across` where that is coarser. `rule` says what units are set to,
    `levels` how high that is, by layer. Random units are set to their own levels. Contexts with fewer than
    `least` trials are not shown. The main table has a row a concept, set of units and context.
    """

    count: int
    places: int
    across: int | None
    rule: Rule
    trials: Mapping[tuple[int, By], Trials]
    levels: Mapping[str, Levels]
    least: int

    files = ("placement.csv", "trials.csv", "units.csv")

    def together(self, target: Target) -> Kinds:
        """All trials of a target, by the set of units."""
        return {by: self.trials[target.concept.id, by] for by in self.kinds}

    def contexts(self, target: Target, least: int | None = None) -> list[tuple[Concept | None, Kinds]]:
        """The trials by what stood at the place, None for nothing named; the largest effect by IoU first.

        Of contexts with `least` trials or more, those of the study if None.
        """
        least = self.least if least is None else least
        names = {one.id: one for one in self.studio.vocabulary}
        found = self.together(target)
        ids, counts = np.unique(found["iou"].context, return_counts=True)
        rows = [
            (names.get(int(one)), {by: trials.keep(int(one)) for by, trials in found.items()})
            for one, count in zip(ids, counts, strict=True)
            if count >= least
        ]
        return sorted(rows, key=lambda row: -row[1]["iou"].effect.value)

    def tables(self) -> dict[str, Table]:
        """Effects by context, all contexts that occurred and all of them together, then trials and units."""
        columns = ("concept", "layer", "by", "context", "trials", "effect", "low", "high", "deviation",
                   "added", "added_low", "added_high", "causal", "causal_low", "causal_high")  # fmt: skip
        trials = ("concept", "by", "image", "context", "change", "before", "inserted", "removed")
        return {
            "placement.csv": Table(columns, tuple(self._list_contexts()), left=(0, 1, 2, 3)),
            "trials.csv": Table(trials, tuple(self._list_trials()), left=(0, 1, 3)),
            "units.csv": list_units(self.targets, self.rankings, self.count),
        }

    def _list_contexts(self) -> Iterator[tuple[Any, ...]]:
        for target in self.targets:
            contexts = [(name_context(one), kinds) for one, kinds in self.contexts(target, 1)]
            for context, kinds in [(ALL, self.together(target)), *contexts]:
                for by, trials in kinds.items():
                    head = (target.concept.name, target.layer, by, context, len(trials))
                    effects = (*trials.effect.ends, trials.deviation, *trials.added.ends, *trials.causal.ends)
                    yield (*head, *effects)

    def _list_trials(self) -> Iterator[tuple[Any, ...]]:
        names = {one.id: one.name for one in self.studio.vocabulary}
        for target in self.targets:
            for by, trials in self.together(target).items():
                columns = [column.tolist() for column in trials.columns]
                for image, context, *figures in zip(*columns, strict=True):
                    yield (target.concept.name, by, image, names.get(context, UNNAMED), *figures)

    def text(self) -> str:
        """What units do, all contexts together and one by one, in percent."""
        head = ["concept", "where", "trials", *(f"{self.count} {WORDS[by]}" for by in self.kinds)]
        rows = [[*head, *(f"causal {WORDS[by]}" for by in self.kinds)]]
        for target in self.targets:
            contexts = [(name_context(one), kinds) for one, kinds in self.contexts(target)]
            for where, kinds in [("everywhere", self.together(target)), *contexts]:
                shares = [kinds[by].effect for by in self.kinds] + [kinds[by].causal for by in self.kinds]
                cells = (share.spell(times=100.0) for share in shares)
                rows.append([target.concept.label, where, f"{len(kinds['iou']):,}", *cells])
        return align(rows, left=(0, 1))

    def describe(self) -> dict[str, Any]:
        """The study in short, ready for JSON."""
        options = {"places": self.places, "across": self.across, "units": self.count, "rule": self.rule}
        concepts = [
            {
                "concept": target.concept.name,
                "layer": target.layer,
                "units": {by: orders[target.concept.id] for by, orders in self.rankings.items()},
                "everywhere": _describe(self.together(target)),
                "contexts": [
                    {"context": one.name if one else UNNAMED, "by": _describe(kinds)}
                    for one, kinds in self.contexts(target)
                ],
            }
            for target in self.targets
        ]
        draws = {"draws": self.draws, "seed": self.seed}
        return dict(plain({**self._about(), **options, **draws, "concepts": concepts}))


def _describe(kinds: Kinds) -> dict[str, Any]:
    names = ("effect", "added", "causal")
    return {
        by: {"trials": len(one), **{name: asdict(getattr(one, name)) for name in names}}
        for by, one in kinds.items()
    }


def name_context(context: Concept | None) -> str:
    """What stood at a place, for people."""
    return context.label if context else UNNAMED


def check_insertion(
    studio: Studio, targets: Sequence[Target], count: int, numbers: Mapping[str, int | None]
) -> None:
    """Raises `UsageError` for a number below 1, and for more units than a target's layer has."""
    for what, number in numbers.items():
        if number is not None and number < 1:
            raise UsageError(f"{number} {what} were asked for; wanted 1 or more")
    for one in targets:
        units = len(studio.layer(one.layer))
        if not 1 <= count <= units:
            raise UsageError(f"layer {one.layer} has {units} units; set 1 to {units}, not {count}")


def study_placement(
    studio: Studio,
    concepts: Sequence[str | Target],
    *,
    layer: str | None = None,
    count: int = MANY,
    places: int = PLACES,
    across: int | None = None,
    rule: Rule = "mean",
    draws: int = LEAST_DRAWS,
    images: int = 1000,
    first: int | None = None,
    least: int = LEAST,
    levels: Mapping[str, Levels] | None = None,
    optimize: int = 0,
    effects: Mapping[int, Sequence[int]] | None = None,
    seed: int = 0,
    executor: Executor | None = None,
) -> Placement:
    """Sets units of a generator at one place: does a concept appear, and does what stood there matter?

    `concepts` and `layer` are as in `study_erasure`. The `count` units that the studio's run ranks highest by
    IoU are set, at `places` random places in each of `images` pictures, one at a time, to the level that they
    have where the concept is (`rule` "mean"), to their 0.99 quantile, or to the level they have in the cells
    that show most of the concept ("fullest"); so are random ones, `draws` times, and with `optimize` those
    that so many steps of `optimize_units` rank highest, or those of `effects`.
    `levels` by layer are measured on the pictures that ranked the units unless given. Contexts with fewer
    than `least` trials are not shown. `executor` has workers that share the images. Raises `UsageError` for
    counts, places, draws, images or layers that cannot be, a concept that no unit has to do with, one without
    a level, or what workers cannot open.
    """
    check_seed(seed)
    studio = share_studio(studio, executor)
    numbers = studio.fresh(images, first)
    targets = choose_targets(studio, concepts, layer)
    check_insertion(studio, targets, count, {"places": places, "draws": draws, "cells across": across})
    layers = list(dict.fromkeys(one.layer for one in targets))
    levels = levels or measure_layers(studio.generator, layers, studio.segmenter, studio.ranked)
    if optimize:
        effects = optimize_orders(studio, targets, Recipe(steps=optimize, seed=seed), levels, across)
    rankings = rank_targets(studio, targets, effects, count)
    trials: dict[tuple[int, By], Trials] = {}
    about = (studio, targets, numbers, draws, seed, rankings)
    study = Placement(*about, count, places, across, rule, trials, levels, least)
    for name in layers:
        trials |= _try_layer(study, name)
    return study


def _try_layer(study: Placement, layer: str) -> dict[tuple[int, By], Trials]:
    """All trials of one layer: every set of units at every place of every image."""
    found, levels, ranked = study.studio.layer(layer), study.levels[layer], study.rankings
    units, grid, numbers = len(found), choose_grid(found.map_size, study.across), study.numbers
    rng = np.random.default_rng(study.seed)
    lots = [rng.permutation(units)[: study.count].tolist() for _ in range(study.draws)]
    here = [one.concept.id for one in study.targets if one.layer == layer]
    sets = [(one, by, ranked[by][one] if by in ranked else ()) for one in here for by in study.kinds]
    given = {
        "layer": layer,
        "sets": [(one, tuple(chosen)) for one, _, chosen in sets],
        "lots": lots,
        "values": {one: levels.value(one, range(units), study.rule).numpy() for one in here},
        "cells": found.map_size,
        "grid": grid,
        "places": study.places,
        "seed": study.seed,
    }
    parts = list(study.studio.look(prepare_placement, given, numbers, f"inserting into {layer}"))
    rows = np.concatenate([part["rows"] for part in parts], 1)
    shown = np.sum([part["shown"] for part in parts], 0)
    trials = {}
    for place, (concept, by, _) in enumerate(sets):
        figures = rows[place].T
        columns = (*figures[:3].astype(np.int64), *figures[3:])
        trials[concept, by] = Trials(float(shown[place] / len(numbers)), *columns)
    return trials


def prepare_placement(
    generator: Generator,
    segmenter: Segmenter,
    numbers: Sequence[int],
    *,
    layer: str,
    sets: Sequence[tuple[int, Sequence[int]]],
    lots: Sequence[Sequence[int]],
    values: Mapping[int, Float32[np.ndarray, "unit"]],
    cells: tuple[int, int],
    grid: tuple[int, int],
    places: int,
    seed: int,
) -> Work:
    """What tries parts of images: by set the `rows` of all trials, and the pixels `shown` before.

    A set is a concept and its units, those of a lot where it names none; `values` are what all units are set
    to for a concept.
    """
    set_to = {concept: torch.tensor(value) for concept, value in values.items()}
    units = len(next(iter(values.values())))

    def plan(number: int, _: object) -> Edit:
        """For every set the places with its units inserted, then the places with them removed."""
        tried, edits = draw_cells(grid, places, number, seed), []
        for concept, chosen in sets:
            strength = torch.zeros(units)
            strength[list(chosen or lots[share_out(number, numbers, len(lots))])] = 1
            for value in (set_to[concept], torch.zeros(units)):
                one = set_at(layer, strength, value, tried, grid, cells)
                # A set's value is its versions' alone.
                edits.append(Edit(layer, one.strength, one.value.expand(len(tried), -1, -1, -1), one.tokens))
        return stack_edits(edits)

    def work(number: int) -> Arrays:
        rows: list[list[tuple[int, int, int, float, float, float]]] = [[] for _ in sets]
        shown = np.zeros(len(sets), np.int64)
        with silence():
            for image in repaint(generator, layer, segmenter, plan, take_part(numbers, number)):
                tried = draw_cells(grid, places, image.number, seed)
                for place, (concept, _) in enumerate(sets):
                    rows[place] += read_trials(image, concept, tried, grid, 2 * place * len(tried))
                    shown[place] += int((image.before == concept).any(0).sum())
        return {"rows": np.array(rows, np.float64), "shown": shown}

    return work
