"""How an insertion spreads through the later layers, by what stood there (GAN Dissection)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import lcm
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor
from torch.nn import functional

from unitscope.concepts.segmented import Segmenter
from unitscope.concepts.vocabulary import Concept
from unitscope.errors import check_seed
from unitscope.executors.calls import Arrays, Work
from unitscope.executors.jobs import Executor
from unitscope.experiments.erasure import (
    LEAST_DRAWS,
    choose_targets,
    rank_targets,
    share_out,
    share_studio,
)
from unitscope.experiments.erasure_result import MANY, WORDS, By, GeneratorStudy, Target, list_units
from unitscope.experiments.placement import ALL, LEAST, check_insertion, name_context
from unitscope.interventions.edits import Edit
from unitscope.interventions.generator_run import Studio, take_part
from unitscope.interventions.insertion import (
    average_trials,
    choose_grid,
    draw_cells,
    find_context,
    find_pixels,
    set_at,
)
from unitscope.interventions.repainting import repaint_pixels, stack_edits
from unitscope.interventions.unit_values import Levels, Rule, measure_layers
from unitscope.networks.generators import Generator, to_pixels
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import evaluation, hook_layer
from unitscope.networks.unit_maps import read_units
from unitscope.progress import follow_each, silence
from unitscope.statistics.intervals import Interval
from unitscope.tables import Table, align, plain

PICTURE = "picture"
"""What stands for the picture among the layers: its pixels, a unit a color."""
ZONES = ("place", "around", "rest")
"""The place where units are set, the eight places around it, and the rest of the picture."""
APPEARED, ABSENT = "(appeared)", "(did not appear)"
ENOUGH = 0.1
"""A concept appeared where so much of the place has become it."""
_SCALED = 200


@dataclass(frozen=True, eq=False)
class SpreadTrials:
    """Insertions of one concept by one set of units, each at one place of an image.

    By trial the `image`, the `context` (what stood at the place), the share of the place's pixels that
    became the concept (`gained`), and the `change` by layer and zone.
    """

    image: Int64[np.ndarray, "trial"]
    context: Int64[np.ndarray, "trial"]
    gained: Float64[np.ndarray, "trial"]
    change: Float64[np.ndarray, "trial layer 3"]

    def __len__(self) -> int:
        return len(self.image)

    def keep(self, kept: Bool[np.ndarray, "trial"]) -> "SpreadTrials":
        """Only some trials."""
        return SpreadTrials(self.image[kept], self.context[kept], self.gained[kept], self.change[kept])

    def changed(self, layer: int, zone: int = 0) -> Interval:
        """The mean change of a layer in a zone; 99 %, normal over images."""
        return average_trials(self.change[:, layer, zone], self.image)

    def carried(self, layer: int, zone: int = 0) -> float:
        """The mean change there over that at the place of the layer of the units; NaN without trials."""
        if not len(self) or not (first := float(self.change[:, 0, 0].mean())):
            return float("nan")
        return float(self.change[:, layer, zone].mean()) / first


@dataclass(frozen=True, eq=False)
class Spread(GeneratorStudy):
    """How far insertions reach; made by `study_spread`.

    `trials[concept, by]` are those of each set of `count` units; `layers[layer]` are where their changes were
    read, the layer itself first and the picture last. The main table has a row a concept, set of units,
    context, layer and zone.
    """

    count: int
    places: int
    across: int | None
    rule: Rule
    layers: Mapping[str, tuple[str, ...]]
    trials: Mapping[tuple[int, By], SpreadTrials]
    least: int

    files = ("spread.csv", "units.csv")

    def contexts(self, target: Target, by: By = "iou") -> list[tuple[str, SpreadTrials]]:
        """All trials, those where the concept appeared and where not, then by what stood there.

        Contexts of `least` trials or more, the one carried farthest first.
        """
        found = self.trials[target.concept.id, by]
        appeared = found.gained >= ENOUGH
        parts = [(ALL, found), (APPEARED, found.keep(appeared)), (ABSENT, found.keep(~appeared))]
        names: dict[int, Concept] = {one.id: one for one in self.studio.vocabulary}
        rows = [
            (name_context(names.get(one)), found.keep(found.context == one))
            for one in np.unique(found.context).tolist()
            if (found.context == one).sum() >= self.least
        ]
        return [*parts, *sorted(rows, key=lambda row: -row[1].carried(-1))]

    def tables(self) -> dict[str, Table]:
        """Changes by context, layer and zone, then the units."""
        columns = ("concept", "layer", "by", "context", "trials", "gained", "at", "zone", "change", "low",
                   "high", "carried")  # fmt: skip
        rows = tuple(self._list_rows())
        return {
            "spread.csv": Table(columns, rows, left=(0, 1, 2, 3, 6, 7)),
            "units.csv": list_units(self.targets, self.rankings, self.count),
        }

    def _list_rows(self) -> Iterator[tuple[Any, ...]]:
        for target in self.targets:
            for by in self.kinds:
                for context, trials in self.contexts(target, by):
                    gained = float(trials.gained.mean()) if len(trials) else float("nan")
                    head = (target.concept.name, target.layer, by, context, len(trials), gained)
                    for place, layer in enumerate(self.layers[target.layer]):
                        for zone, name in enumerate(ZONES):
                            change = trials.changed(place, zone).ends
                            yield (*head, layer, name, *change, trials.carried(place, zone))

    def text(self) -> str:
        """How much of the change of the first layer is left in the others, at the place, in percent."""
        parts = []
        for layer, at in self.layers.items():
            head = ["concept", "units", "where", "trials", *at[1:], f"around, {at[-1]}", f"rest, {at[-1]}"]
            rows = [head]
            for target in (one for one in self.targets if one.layer == layer):
                for by in self.kinds:
                    for context, trials in self.contexts(target, by):
                        shares = [trials.carried(place) for place in range(1, len(at))]
                        shares += [trials.carried(-1, zone) for zone in (1, 2)]
                        spelled = ("-" if np.isnan(one) else f"{100 * one:.0f}" for one in shares)
                        rows.append([target.concept.label, WORDS[by], context, f"{len(trials):,}", *spelled])
            parts.append(f"set in {layer}, left of its change there, %:\n{align(rows, left=(0, 1, 2))}")
        return "\n\n".join(parts)

    def describe(self) -> dict[str, Any]:
        """The study in short, ready for JSON."""
        options = {"places": self.places, "across": self.across, "units": self.count, "rule": self.rule}
        about = {**self._about(), **options, "draws": self.draws, "seed": self.seed}
        return dict(plain({**about, "layers": self.layers, "rows": self.rows()}))


def study_spread(
    studio: Studio,
    concepts: Sequence[str | Target],
    *,
    layer: str | None = None,
    later: Sequence[str] = (),
    count: int = MANY,
    places: int = 2,
    across: int | None = 8,
    rule: Rule = "mean",
    draws: int = LEAST_DRAWS,
    images: int = 300,
    first: int | None = None,
    least: int = LEAST,
    levels: Mapping[str, Levels] | None = None,
    seed: int = 0,
    executor: Executor | None = None,
) -> Spread:
    """Sets units of a generator at one place: how much does it change in later layers, and in the picture?

    Units, places, levels, random units and `executor` are those of `study_placement`. What is followed, at a
    cell of a layer, is the mean over units of (change of x) / (mean size of x), without signs; the size of a
    unit is taken over the pictures that ranked the units, and a unit that is 0 in all of them is left out.
    Its mean is taken over the place, over the places around it, and over the rest. `later` are the layers
    that are read, by default those of the run behind the layer in its order; the picture is always read.
    Raises what `study_placement` raises.
    """
    check_seed(seed)
    studio = share_studio(studio, executor)
    numbers = studio.fresh(images, first)
    targets = choose_targets(studio, concepts, layer)
    check_insertion(studio, targets, count, {"places": places, "draws": draws, "cells across": across})
    named = list(dict.fromkeys(one.layer for one in targets))
    followed = {name: (name, *(later or _find_later(studio, name)), PICTURE) for name in named}
    levels = levels or measure_layers(studio.generator, named, studio.segmenter, studio.ranked)
    rankings = rank_targets(studio, targets, None, count)
    study = Spread(
        *(studio, targets, numbers, draws, seed, rankings, count, places, across, rule),
        layers=followed,
        trials={},
        least=least,
    )
    trials: dict[tuple[int, By], SpreadTrials] = {}
    for name in named:
        trials |= _try_layer(study, name, levels[name])
    return Spread(**{**vars(study), "trials": trials})


def _find_later(studio: Studio, layer: str) -> tuple[str, ...]:
    """The layers of the run behind a layer, in the order of the run."""
    names = list(studio.run.layers)
    return tuple(names[names.index(layer) + 1 :])


def measure_sizes(
    generator: Generator, layers: Sequence[str], numbers: Sequence[int]
) -> dict[str, Float64[np.ndarray, "unit"]]:
    """The mean of |x| of every unit over all cells of these pictures, by layer; `PICTURE` is the pixels."""
    sums: dict[str, Tensor] = {}
    with evaluation(generator), ExitStack() as hooks:
        seen = _watch(generator, layers, hooks)
        for number in follow_each(numbers, "sizes of units"):
            with torch.no_grad():
                made = generator.run(generator.inputs(number))
            maps = {**{name: some.pop() for name, some in seen.items()}, PICTURE: _paint(generator, made)}
            for name in layers:
                sums[name] = sums.get(name, 0) + maps[name].double().abs().mean((0, 2, 3))
    return {name: (total / len(numbers)).numpy() for name, total in sums.items()}


def _paint(generator: Generator, made: Tensor) -> Float32[Tensor, "n 3 y x"]:
    pixels = to_pixels(made, generator.low, generator.high)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float()


def _watch(generator: Generator, layers: Sequence[str], hooks: ExitStack) -> dict[str, list[Tensor]]:
    """What the layers give from now on, until the hooks are gone; the picture is no layer."""
    seen: dict[str, list[Tensor]] = {name: [] for name in layers if name != PICTURE}

    def note(name: str, raw: Tensor, layout: Layout) -> Tensor:
        seen[name].append(read_units(raw, layout, name).detach().float().cpu())
        return raw

    for name in seen:
        hooks.enter_context(hook_layer(generator, name, partial(note, name)))
    return seen


def _try_layer(study: Spread, layer: str, levels: Levels) -> dict[tuple[int, By], SpreadTrials]:
    """All trials of one layer: every set of units at every place of every image."""
    studio, ranked = study.studio, study.rankings
    found, followed = studio.layer(layer), study.layers[layer]
    units, rng = len(found), np.random.default_rng(study.seed)
    lots = [rng.permutation(units)[: study.count].tolist() for _ in range(study.draws)]
    here = [one.concept.id for one in study.targets if one.layer == layer]
    sets = [(one, by, ranked[by][one] if by in ranked else ()) for one in here for by in study.kinds]
    given = {
        "layers": followed,
        "sizes": measure_sizes(studio.generator, followed, range(min(studio.ranked, _SCALED))),
        "sets": [(one, tuple(chosen)) for one, _, chosen in sets],
        "lots": lots,
        "values": {one: levels.value(one, range(units), study.rule).numpy() for one in here},
        "cells": found.map_size,
        "grid": choose_grid(found.map_size, study.across),
        "places": study.places,
        "seed": study.seed,
    }
    parts = list(studio.look(prepare_spread, given, study.numbers, f"following {layer}"))
    trials = {}
    for place, (concept, by, _) in enumerate(sets):
        head = np.concatenate([part[f"head{place}"] for part in parts])
        change = np.concatenate([part[f"change{place}"] for part in parts])
        image, context = head[:, 0].astype(np.int64), head[:, 1].astype(np.int64)
        trials[concept, by] = SpreadTrials(image, context, head[:, 2], change)
    return trials


def prepare_spread(
    generator: Generator,
    segmenter: Segmenter,
    numbers: Sequence[int],
    *,
    layers: Sequence[str],
    sizes: Mapping[str, Float64[np.ndarray, "unit"]],
    sets: Sequence[tuple[int, Sequence[int]]],
    lots: Sequence[Sequence[int]],
    values: Mapping[int, Float32[np.ndarray, "unit"]],
    cells: tuple[int, int],
    grid: tuple[int, int],
    places: int,
    seed: int,
) -> Work:
    """What tries parts of images: by set, its trials' image, context and gain, and their changes.

    A set is a concept and its units, those of a lot where it names none; `values` are what all units are set
    to for a concept.
    """
    units = len(next(iter(values.values())))

    def plan(number: int, _: object) -> Edit:
        tried, edits = draw_cells(grid, places, number, seed), []
        for concept, chosen in sets:
            strength = torch.zeros(units)
            strength[list(chosen or lots[share_out(number, numbers, len(lots))])] = 1
            one = set_at(layers[0], strength, torch.tensor(values[concept]), tried, grid, cells)
            edits.append(Edit(layers[0], one.strength, one.value.expand(len(tried), -1, -1, -1), one.tokens))
        return stack_edits(edits)

    def work(number: int) -> Arrays:
        heads: list[list[tuple[int, int, float]]] = [[] for _ in sets]
        changes: list[list[Float64[np.ndarray, "layer 3"]]] = [[] for _ in sets]
        with silence(), evaluation(generator), ExitStack() as hooks:
            seen = _watch(generator, layers, hooks)
            for image, pixels in repaint_pixels(generator, layers[0], plan, take_part(numbers, number)):
                # What the layers gave last is of these versions; before that the picture was made once more.
                maps = {name: torch.cat(some)[-len(pixels) :] for name, some in seen.items()}
                maps[PICTURE] = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
                for some in seen.values():
                    some.clear()
                planes = segmenter(pixels)
                for row, cell in enumerate(tried := draw_cells(grid, places, image, seed)):
                    for place, (concept, _) in enumerate(sets):
                        version = 1 + place * len(tried) + row
                        zones = mark_zones(cell, grid)
                        heads[place].append(
                            (image, find_context(planes[0], cell, grid),
                             _gain(planes[[0, version]], concept, find_pixels(cell, grid, planes.shape[2:])))
                        )  # fmt: skip
                        pairs = ((maps[name][[0, version]], sizes[name]) for name in layers)
                        changes[place].append(np.stack([compare_maps(*pair, zones) for pair in pairs]))
        found = {f"head{place}": np.array(one, np.float64) for place, one in enumerate(heads)}
        return found | {f"change{place}": np.stack(one) for place, one in enumerate(changes)}

    return work


def _gain(planes: np.ndarray, concept: int, spans: tuple[slice, slice]) -> float:
    """How much more of a place is the concept after than before."""
    before, after = (planes == concept).any(1)[:, *spans].mean((1, 2)).tolist()
    return float(after - before)


def mark_zones(cell: tuple[int, int], grid: tuple[int, int]) -> Float32[Tensor, "3 grid_y grid_x"]:
    """1 at the cells of a grid of each zone: the place, those that touch it, the rest.

    >>> mark_zones((0, 0), (1, 3)).tolist()
    [[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]]
    """
    y, x = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    apart = torch.maximum((y - cell[0]).abs(), (x - cell[1]).abs())
    return torch.stack([apart == 0, apart == 1, apart > 1]).float()


def compare_maps(
    pair: Float32[Tensor, "2 unit cell_y cell_x"],
    sizes: Float64[np.ndarray, "unit"],
    zones: Float32[Tensor, "3 grid_y grid_x"],
) -> Float64[np.ndarray, "3"]:
    """The mean change of the units from the first of a pair to the second, by zone.

    Each over its size; units without a size are left out.

    A cell counts for a zone by the share of it that lies there; NaN for a zone of no cells.
    """
    known = sizes > 0
    moved = (pair[1] - pair[0]).abs().double()[known]
    change = (moved / torch.from_numpy(sizes[known])[:, None, None]).mean(0)
    height, width = change.shape
    size = (lcm(height, zones.shape[1]), lcm(width, zones.shape[2]))
    fine = functional.interpolate(zones[None], size, mode="nearest")
    weight = functional.adaptive_avg_pool2d(fine, (height, width))[0].double()
    found = (weight * change).sum((1, 2)) / weight.sum((1, 2))
    return np.asarray(found.numpy())
