"""What a study of erasure found: its figures, its tables, and what the command prints."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, reduce
from typing import Any, Literal

import numpy as np

from unitscope.concepts.vocabulary import Concept
from unitscope.interventions.generator_run import Studio
from unitscope.interventions.repainting import Areas
from unitscope.results import Result
from unitscope.statistics.intervals import Interval
from unitscope.tables import Table, align, plain

By = Literal["iou", "effect", "random"]
WORDS: dict[By, str] = {"iou": "by IoU", "effect": "by effect", "random": "random"}
MANY = 20
"""How many units the paper's figure is read at."""
COMMON = 0.01
"""A concept with so many of all pixels counts among the others that a removal might hurt."""

Rankings = Mapping[By, Mapping[int, Sequence[int]]]
"""Units in their order, by what ranked them and by concept id."""


@dataclass(frozen=True)
class Target:
    """A concept and the layer whose units are taken away, or set, for it."""

    concept: Concept
    layer: str


@dataclass(frozen=True, eq=False)
class LayerErasure:
    """The removals from one layer, and the areas after each.

    `areas` are those without ranked units, over all images: `versions` say what ranked them, for which
    concept, and how many; `lots[draw]` those without `counts` random units, `drawn[draw]`, over the images
    of that draw.
    """

    units: int
    counts: tuple[int, ...]
    versions: tuple[tuple[By, int, int], ...]
    areas: Areas
    drawn: tuple[tuple[tuple[int, ...], ...], ...]
    lots: tuple[Areas, ...]

    @cached_property
    def random(self) -> Areas:
        """The areas without random units, over all images."""
        return reduce(Areas.merge, self.lots)

    def find(self, by: By, concept: int, count: int) -> tuple[Areas, int]:
        """The areas that hold a removal, over all images, and its place in them."""
        if by == "random":
            return self.random, self.counts.index(count)
        return self.areas, self.versions.index((by, concept, count))


@dataclass(frozen=True, eq=False)
class GeneratorStudy(Result):
    """What studies of a generator's units have in common.

    `rankings[by][concept]` are the units in their order; the studio's run ranked them, and they were tried on
    other images, `numbers`. Random units are drawn `draws` times; each draw has its own run of images.
    """

    studio: Studio
    targets: tuple[Target, ...]
    numbers: range
    draws: int
    seed: int
    rankings: Rankings

    @property
    def kinds(self) -> tuple[By, ...]:
        """Which units were tried: `iou`, where asked for `effect`, and `random`."""
        return (*self.rankings, "random")

    def _about(self) -> dict[str, Any]:
        return {
            "generator": self.studio.generator.name,
            "segmenter": self.studio.segmenter.name,
            "latents": self.studio.generator.seed,
            "ranked_images": self.studio.ranked,
            "first_image": self.numbers.start,
            "images": len(self.numbers),
        }


@dataclass(frozen=True, eq=False)
class Erasure(GeneratorStudy):
    """Concepts erased from a generator's pictures; made by `study_erasure`.

    `counts` are the numbers of units removed; a random draw serves all concepts of a layer. The main table
    has a row a concept, ranking and count.
    """

    counts: tuple[int, ...]
    layers: Mapping[str, LayerErasure]

    files = ("erasure.csv", "others.csv", "units.csv")

    @property
    def many(self) -> int:
        """The count that tables are read at: 20, or the largest below."""
        return max((count for count in self.counts if count <= MANY), default=self.counts[0])

    def removed(self, target: Target, by: By, count: int, of: Concept | None = None) -> Interval:
        """The share of a concept's pixels that goes with the target's units, of its own if `of` is None.

        With its 99 % interval over images; that of random units from the lowest draw to the highest.
        """
        layer, concept = self.layers[target.layer], (of or target.concept).id
        areas, place = layer.find(by, target.concept.id, count)
        share = areas.removed(place, concept)
        if by != "random":
            return share
        values = [lot.removed(place, concept).value for lot in layer.lots]
        return Interval(share.value, float(np.nanmin(values)), float(np.nanmax(values)))

    def aside(self, target: Target, by: By, count: int) -> float:
        """Of the pixels that were not the target, the share that is named otherwise."""
        areas, place = self.layers[target.layer].find(by, target.concept.id, count)
        return areas.aside(place, target.concept.id)

    def cover(self, target: Target) -> float:
        """The share of all pixels that the target had before."""
        return self.layers[target.layer].areas.cover(target.concept.id)

    def others(self, target: Target, by: By, count: int) -> list[tuple[Concept, Interval]]:
        """The share removed of every other common concept of the target's category, the largest first."""
        areas = self.layers[target.layer].areas
        alike = (one for one in self.studio.vocabulary if one.category == target.concept.category)
        common = (one for one in alike if one != target.concept and areas.cover(one.id) >= COMMON)
        rows = [(one, self.removed(target, by, count, one)) for one in common]
        return sorted(rows, key=lambda row: -row[1].value)

    def tables(self) -> dict[str, Table]:
        """What goes of every target, what of all other concepts, and the units in their order."""
        columns = ("concept", "layer", "by", "count", "draw", "removed", "low", "high", "others_changed")
        others = ("target", "layer", "by", "count", "concept", "category", "pixels", "removed", "low", "high",
                  "gained")  # fmt: skip
        return {
            "erasure.csv": Table(columns, tuple(self._list_removals()), left=(0, 1, 2)),
            "others.csv": Table(others, tuple(self._list_others()), left=(0, 1, 2, 4, 5)),
            "units.csv": list_units(self.targets, self.rankings, max(self.counts)),
        }

    def _versions(self) -> Iterator[tuple[Target, LayerErasure, By, int]]:
        for target in self.targets:
            for by in self.kinds:
                yield from ((target, self.layers[target.layer], by, count) for count in self.counts)

    def _list_removals(self) -> Iterator[tuple[Any, ...]]:
        """A row a concept, ranking and count; for random units also one a draw."""
        for target, layer, by, count in self._versions():
            head = (target.concept.name, target.layer, by, count)
            yield (*head, None, *self.removed(target, by, count).ends, self.aside(target, by, count))
            if by == "random":
                concept, (_, place) = target.concept.id, layer.find(by, 0, count)
                for draw, lot in enumerate(layer.lots):
                    yield (*head, draw, *lot.removed(place, concept).ends, lot.aside(place, concept))

    def _list_others(self) -> Iterator[tuple[Any, ...]]:
        """What every concept of the pictures loses: as a share of its pixels, and of all pixels gained."""
        for target, layer, by, count in self._versions():
            areas, place = layer.find(by, target.concept.id, count)
            growth = areas.growth(place)
            for one in self.studio.vocabulary:
                if layer.areas.before[one.id]:
                    head = (target.concept.name, target.layer, by, count, one.name, one.category)
                    removed = self.removed(target, by, count, one).ends
                    yield (*head, layer.areas.cover(one.id), *removed, float(growth[one.id]))

    def text(self) -> str:
        """What goes with `many` units, in percent, and what else."""
        many = self.many
        head = ["concept", "layer", "of pixels", *(f"{many} {WORDS[by]}" for by in self.kinds)]
        rows = [[*head, "others changed", "by random", "other that loses most"]]
        for target in self.targets:
            others = self.others(target, "iou", many)
            removed = (self.removed(target, by, many).spell(times=100.0) for by in self.kinds)
            row = [target.concept.label, target.layer, f"{100 * self.cover(target):.1f}", *removed]
            row += [f"{100 * self.aside(target, by, many):.1f}" for by in ("iou", "random")]
            most = f"{others[0][0].label} {100 * others[0][1].value:.1f}" if others else "-"
            rows.append([*row, most])
        return "\n".join([align(rows, left=(0, 1, len(rows[0]) - 1)), *self._warnings])

    @property
    def _warnings(self) -> list[str]:
        """A line a layer whose removals have not changed a pixel."""
        return [
            f"warning: no removal from {name} changed how a pixel is named, so the zeros say nothing; take "
            "another layer, or more units"
            for name, layer in self.layers.items()
            if not any(areas.changed.any() for areas in (layer.areas, *layer.lots))
        ]

    def describe(self) -> dict[str, Any]:
        """The study in short, ready for JSON."""
        options = {"draws": self.draws, "seed": self.seed, "counts": self.counts}
        concepts = [self._describe_target(target) for target in self.targets]
        return dict(plain({**self._about(), **options, "concepts": concepts}))

    def _describe_target(self, target: Target) -> dict[str, Any]:
        return {
            "concept": target.concept.name,
            "category": target.concept.category,
            "layer": target.layer,
            "cover": self.cover(target),
            "units": {by: orders[target.concept.id] for by, orders in self.rankings.items()},
            "removed": {
                by: [
                    {"count": count, **asdict(self.removed(target, by, count)),
                     "others_changed": self.aside(target, by, count)}
                    for count in self.counts
                ]
                for by in self.kinds
            },
            "others": [
                {"concept": one.name, **asdict(share)}
                for one, share in self.others(target, "iou", self.many)
            ],
        }  # fmt: skip


def list_units(targets: Iterable[Target], rankings: Rankings, count: int) -> Table:
    """The first `count` units of every ranking, in the order in which they were removed or set."""
    rows = (
        (target.concept.name, target.layer, by, rank, unit)
        for target in targets
        for by, orders in rankings.items()
        for rank, unit in enumerate(orders[target.concept.id][:count], 1)
    )
    return Table(("concept", "layer", "by", "rank", "unit"), tuple(rows), left=(0, 1, 2))
