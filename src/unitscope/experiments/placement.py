"""Units put into a generator's pictures at one place: the effect by context (paper B, fig. 4c and d)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import UsageError
from unitscope.experiments.erasure import LEAST_DRAWS, MANY, By, Target, share_out
from unitscope.interventions.edits import Edit
from unitscope.interventions.generator_run import Studio
from unitscope.interventions.insertion import Cell, Trials, choose_grid, draw_cells, read_trials, set_at
from unitscope.interventions.repainting import repaint, stack_edits
from unitscope.interventions.unit_values import Levels, Rule

LEAST = 100
"""A context with fewer trials is not shown; the paper asks for 1,000 of its 640,000."""
PLACES = 4


@dataclass(frozen=True, eq=False)
class Placement:
    """Concepts put into a generator's pictures.

    `rankings[by][concept]` are the `count` units that are set, ranked on images 0 to `ranked` - 1;
    `trials[concept, by]` what came of it on `images` others, at `places` places each: cells of the layer,
    or of a grid `across` by `across` where that is coarser. `rule` says what units
    are set to. With `random` the units are by lot, at their own levels; each of `draws` draws has its own
    run of images.
    """

    generator: str
    segmenter: str
    vocabulary: Vocabulary
    targets: tuple[Target, ...]
    count: int
    places: int
    across: int | None
    rule: Rule
    draws: int
    ranked: int
    first: int
    images: int
    latents: int
    seed: int
    rankings: Mapping[By, Mapping[int, tuple[int, ...]]]
    trials: Mapping[tuple[int, By], Trials]

    @property
    def kinds(self) -> tuple[By, ...]:
        """Which units were set: `iou`, where asked for `effect`, and `random`."""
        return (*self.rankings, "random")

    def contexts(self, target: Target, least: int = LEAST) -> list[tuple[Concept | None, dict[By, Trials]]]:
        """The trials by what stood at the place, None for nothing named; the largest effect by IoU first."""
        names = {one.id: one for one in self.vocabulary}
        found = {by: self.trials[target.concept.id, by] for by in self.kinds}
        ids, counts = np.unique(found["iou"].context, return_counts=True)
        rows = [
            (
                names.get(int(one)),
                {by: trials.keep(int(one)) for by, trials in found.items()},
            )
            for one, count in zip(ids, counts, strict=True)
            if count >= least
        ]
        return sorted(rows, key=lambda row: -row[1]["iou"].effect.value)


def study_placement(
    studio: Studio,
    targets: Sequence[Target],
    levels: Mapping[str, Levels],
    *,
    count: int = MANY,
    places: int = PLACES,
    across: int | None = None,
    rule: Rule = "mean",
    draws: int = LEAST_DRAWS,
    images: int = 1000,
    first: int | None = None,
    effects: Mapping[int, Sequence[int]] | None = None,
    seed: int = 0,
) -> Placement:
    """Sets units to the level they have where a concept is, at places by lot, one place a picture.

    `levels` are those of every target's layer. The same places are tried with the units ranked for the
    concept by IoU, by `effects` where given, and with random ones, on images that have not ranked the units.
    Raises `UsageError` for counts, places, draws, images or layers that cannot be, a concept that no unit has
    to do with, or one without a level.
    """
    numbers = studio.fresh(images, first)
    if not targets:
        raise UsageError("no concept was named; say which, as in: --concepts tree")
    for what, number in (("places", places), ("draws", draws), ("cells across", across)):
        if number is not None and number < 1:
            raise UsageError(f"{number} {what} were asked for; wanted 1 or more")
    for one in targets:
        units = len(studio.layer(one.layer))
        if not 1 <= count <= units:
            raise UsageError(f"layer {one.layer} has {units} units; set 1 to {units}, not {count}")
    rankings: dict[By, dict[int, tuple[int, ...]]] = {
        "iou": {one.concept.id: tuple(studio.rank(one.concept, one.layer)[:count]) for one in targets}
    }
    if effects is not None:
        rankings["effect"] = {one.concept.id: tuple(effects[one.concept.id][:count]) for one in targets}
    trials: dict[tuple[int, By], Trials] = {}
    for layer in dict.fromkeys(one.layer for one in targets):
        work = _LayerWork(
            studio, levels[layer], [one for one in targets if one.layer == layer], rankings, count, places,
            across, rule, draws, seed,
        )  # fmt: skip
        trials |= work.run(numbers)
    return Placement(
        studio.generator.name,
        studio.segmenter.name,
        studio.vocabulary,
        tuple(targets),
        count,
        places,
        across,
        rule,
        draws,
        studio.ranked,
        numbers.start,
        images,
        studio.generator.seed,
        seed,
        rankings,
        trials,
    )


class _LayerWork:
    """All trials of one layer: every set of units at every place of every image."""

    def __init__(
        self,
        studio: Studio,
        levels: Levels,
        targets: Sequence[Target],
        rankings: Mapping[By, Mapping[int, tuple[int, ...]]],
        count: int,
        places: int,
        across: int | None,
        rule: Rule,
        draws: int,
        seed: int,
    ) -> None:
        found = studio.layer(levels.layer)
        self.studio, self.layer, self.cells = studio, levels.layer, found.map_size
        self.grid = choose_grid(self.cells, across)
        self.units, self.places, self.seed = len(found), places, seed
        rng = np.random.default_rng(seed)
        self.lots = [rng.permutation(self.units)[:count].tolist() for _ in range(draws)]
        self.sets: list[tuple[int, By, tuple[int, ...]]] = []
        for one in targets:
            ranked = [(by, orders[one.concept.id]) for by, orders in rankings.items()]
            self.sets += [(one.concept.id, by, units) for by, units in ranked]
            self.sets.append((one.concept.id, "random", ()))
        values = {one.concept.id: levels.value(one.concept.id, range(self.units), rule) for one in targets}
        self.values: dict[int, Float32[Tensor, "unit"]] = values

    def plan(self, number: int, draw: int) -> Edit:
        """For every set the places with its units inserted, then the places with them removed."""
        cells, edits = self.draw(number), []
        for concept, _, units in self.sets:
            strength = torch.zeros(self.units)
            strength[list(units or self.lots[draw])] = 1
            values = (self.values[concept], torch.zeros(self.units))
            edits += [set_at(self.layer, strength, value, cells, self.grid, self.cells) for value in values]
        # A set's value is its versions' alone.
        return stack_edits([Edit(one.layer, one.strength, one.value.expand(len(cells), -1, -1, -1))
                            for one in edits])  # fmt: skip

    def draw(self, number: int) -> list[Cell]:
        return draw_cells(self.grid, self.places, number, self.seed)

    def run(self, numbers: Sequence[int]) -> dict[tuple[int, By], Trials]:
        rows: list[list[tuple[int, int, int, float, float, float]]] = [[] for _ in self.sets]
        shown = np.zeros(len(self.sets), np.int64)
        title = f"inserting into {self.layer}"
        lots = len(self.lots)
        for image in repaint(
            self.studio.generator,
            self.layer,
            self.studio.segmenter,
            lambda number, _: self.plan(number, share_out(number, numbers, lots)),
            numbers,
            title=title,
        ):
            cells = self.draw(image.number)
            for place, (concept, _, _) in enumerate(self.sets):
                rows[place] += read_trials(image, concept, cells, self.grid, 2 * place * len(cells))
                shown[place] += int((image.before == concept).any(0).sum())
        found = {}
        for place, (concept, by, _) in enumerate(self.sets):
            columns = np.array(rows[place], np.float64).T
            image, context, change = columns[:3].astype(np.int64)
            was, put, gone = columns[3:]
            mean = float(shown[place] / len(numbers))
            found[concept, by] = Trials(image, context, change, was, put, gone, mean)
        return found
