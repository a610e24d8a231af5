"""Units taken out of a generator: how much of a concept goes, and what else (paper B, fig. 4a and b)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Literal, get_args

import numpy as np
import torch

from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import UsageError
from unitscope.interventions.areas import Areas, Share
from unitscope.interventions.edits import Edit
from unitscope.interventions.generator_run import Studio
from unitscope.interventions.repainting import repaint

By = Literal["iou", "effect", "random"]
KINDS: tuple[By, ...] = get_args(By)
COUNTS = (1, 2, 4, 8, 12, 20, 30)
MANY = 20
"""How many units the paper's figure is read at."""
LEAST_DRAWS = 10
COMMON = 0.01
"""A concept with so many of all pixels counts among the others that a removal might hurt."""


@dataclass(frozen=True)
class Target:
    """A concept and the layer whose units are taken away for it."""

    concept: Concept
    layer: str


@dataclass(frozen=True)
class Version:
    """Which units are set to 0: `count` of them, ranked for `concept`, or by lot."""

    by: By
    concept: int
    count: int
    units: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class LayerErasure:
    """The removals from one layer, and the areas after each.

    `areas` are those without ranked units, `versions`, over all images; `lots[draw]` those without the random
    units of a draw, the versions `drawn[draw]`, over its own images.
    """

    units: int
    versions: tuple[Version, ...]
    areas: Areas
    drawn: tuple[tuple[Version, ...], ...]
    lots: tuple[Areas, ...]

    @cached_property
    def random(self) -> Areas:
        """The areas without random units, over all images."""
        return reduce(Areas.merge, self.lots)

    def find(self, by: By, concept: int, count: int) -> tuple[Areas, int]:
        """The areas that hold a removal, over all images, and its place in them."""
        if by == "random":
            return self.random, [one.count for one in self.drawn[0]].index(count)
        wanted = (by, concept, count)
        return self.areas, [(one.by, one.concept, one.count) for one in self.versions].index(wanted)


@dataclass(frozen=True, eq=False)
class Erasure:
    """Concepts erased from a generator's pictures.

    `rankings[by][concept]` are the units in the order in which they are removed; they were ranked on images 0
    to `ranked` - 1, and removed on `images` others from number `first` on. Random units are drawn `draws`
    times; a draw serves all concepts of a layer, over its own run of images.
    """

    generator: str
    segmenter: str
    vocabulary: Vocabulary
    targets: tuple[Target, ...]
    counts: tuple[int, ...]
    draws: int
    ranked: int
    first: int
    images: int
    latents: int
    seed: int
    rankings: Mapping[By, Mapping[int, tuple[int, ...]]]
    layers: Mapping[str, LayerErasure]

    @property
    def kinds(self) -> tuple[By, ...]:
        """What was removed: `iou`, where asked for `effect`, and `random`."""
        return (*self.rankings, "random")

    @property
    def many(self) -> int:
        """The count that tables are read at: 20, or the largest below."""
        return max((count for count in self.counts if count <= MANY), default=self.counts[0])

    def removed(self, target: Target, by: By, count: int, of: Concept | None = None) -> Share:
        """The share of a concept's pixels that goes with the target's units, of its own if `of` is None.

        With its 99 % interval over images; that of random units from the lowest draw to the highest.
        """
        layer, concept = self.layers[target.layer], (of or target.concept).id
        areas, place = layer.find(by, target.concept.id, count)
        share = areas.removed(place, concept)
        if by != "random":
            return share
        values = [lot.removed(place, concept).value for lot in layer.lots]
        return Share(share.value, float(np.nanmin(values)), float(np.nanmax(values)))

    def aside(self, target: Target, by: By, count: int) -> float:
        """Of the pixels that were not the target, the share that is named otherwise."""
        areas, place = self.layers[target.layer].find(by, target.concept.id, count)
        return areas.aside(place, target.concept.id)

    def cover(self, target: Target) -> float:
        """The share of all pixels that the target had before."""
        return self.layers[target.layer].areas.cover(target.concept.id)

    def others(self, target: Target, by: By, count: int) -> list[tuple[Concept, Share]]:
        """The share removed of every other common concept of the target's category, the largest first."""
        areas = self.layers[target.layer].areas
        common = [
            one
            for one in self.vocabulary
            if one.category == target.concept.category
            and one != target.concept
            and areas.cover(one.id) >= COMMON
        ]
        rows = [(one, self.removed(target, by, count, one)) for one in common]
        return sorted(rows, key=lambda row: -row[1].value)


def study_erasure(
    studio: Studio,
    targets: Sequence[Target],
    *,
    counts: Sequence[int] = (),
    draws: int = LEAST_DRAWS,
    images: int = 1000,
    first: int | None = None,
    effects: Mapping[int, Sequence[int]] | None = None,
    seed: int = 0,
) -> Erasure:
    """Removes more and more units of every target's layer: those ranked for the concept, and random ones.

    Units are set to 0 everywhere. They are ranked by IoU in the studio's run, and by `effects`, where given:
    orders of units by concept id. Measured on images that have not ranked them. Raises `UsageError` for
    counts, draws, images or layers that cannot be, or a concept that no unit has to do with.
    """
    numbers = studio.fresh(images, first)
    if not targets:
        raise UsageError("no concept was named; say which, as in: --concepts tree")
    if not 2 <= draws <= images:
        raise UsageError(
            f"{draws} random draws over {images} images; take 2 draws or more, better {LEAST_DRAWS}, and an "
            "image or more for each"
        )
    steps = choose_counts(studio, targets, counts)
    rankings: dict[By, dict[int, tuple[int, ...]]] = {
        "iou": {one.concept.id: tuple(studio.rank(one.concept, one.layer)) for one in targets}
    }
    if effects is not None:
        rankings["effect"] = {one.concept.id: tuple(effects[one.concept.id]) for one in targets}
    layers = {}
    for layer in dict.fromkeys(one.layer for one in targets):
        here = [one for one in targets if one.layer == layer]
        layers[layer] = _erase_layer(studio, layer, here, rankings, steps, draws, seed, numbers)
    return Erasure(
        studio.generator.name,
        studio.segmenter.name,
        studio.vocabulary,
        tuple(targets),
        steps,
        draws,
        studio.ranked,
        numbers.start,
        images,
        studio.generator.seed,
        seed,
        rankings,
        layers,
    )


def choose_counts(studio: Studio, targets: Sequence[Target], counts: Sequence[int] = ()) -> tuple[int, ...]:
    """How many units are removed: these, or those of the paper's figure that the layers have.

    Raises `UsageError` for a count that a layer does not have units for.
    """
    sizes = {one.layer: len(studio.layer(one.layer)) for one in targets}
    layer = min(sizes, key=lambda name: sizes[name])
    if counts and not (min(counts) >= 1 and max(counts) <= sizes[layer]):
        raise UsageError(
            f"layer {layer} has {sizes[layer]} units; remove 1 to {sizes[layer]}, not {list(counts)}"
        )
    return tuple(sorted({*(counts or (n for n in COUNTS if n < max(sizes[layer], 2)))}))


def choose_layers(
    studio: Studio,
    concepts: Sequence[Concept],
    layers: Sequence[str] = (),
    *,
    count: int = MANY,
    images: int = 200,
) -> list[Target]:
    """For every concept the layer whose units are most its own.

    That is where the `count` units of highest IoU remove the largest share of the concept, less the share of
    all other pixels that they change. Layers that have fewer than twice as many units are passed over, if
    there are others: taking most of a layer shows nothing. Looks at images that have ranked the units, at no
    others. Raises `UsageError` for a concept that no unit has to do with.
    """
    named = list(layers or studio.run.layers)
    names = [name for name in named if len(studio.layer(name)) >= 2 * count] or named
    if len(names) == 1:
        return [Target(concept, names[0]) for concept in concepts]
    numbers = range(min(images, studio.ranked))
    gains: dict[int, dict[str, float]] = {concept.id: {} for concept in concepts}
    for layer in names:
        found = studio.layer(layer)
        here = [Target(one, layer) for one in concepts if found.iou[:, one.id].any()]
        if not here:
            continue
        taken = min(count, max(len(found) // 2, 1))
        orders = {one.concept.id: tuple(studio.rank(one.concept, layer)) for one in here}
        tried = _erase_layer(studio, layer, here, {"iou": orders}, [taken], 0, 0, numbers)
        for place, one in enumerate(here):
            share = tried.areas.removed(place, one.concept.id).value - tried.areas.aside(
                place, one.concept.id
            )
            gains[one.concept.id][layer] = float(np.nan_to_num(share, nan=-np.inf))
    for concept in concepts:
        if not gains[concept.id]:
            studio.rank(concept, names[-1])  # raises
    return [Target(one, max(gains[one.id], key=lambda layer: gains[one.id][layer])) for one in concepts]


def _erase_layer(
    studio: Studio,
    layer: str,
    targets: Sequence[Target],
    rankings: Mapping[By, Mapping[int, tuple[int, ...]]],
    counts: Sequence[int],
    draws: int,
    seed: int,
    numbers: Sequence[int],
) -> LayerErasure:
    """Removes ranked units from every image, and the random units of one draw from each."""
    units, size = len(studio.layer(layer)), studio.vocabulary.size
    versions = tuple(
        Version(by, one.concept.id, count, tuple(orders[one.concept.id][:count]))
        for by, orders in rankings.items()
        for one in targets
        for count in counts
    )
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(units).tolist() for _ in range(draws)]
    drawn = tuple(
        tuple(Version("random", 0, count, tuple(order[:count])) for count in counts) for order in orders
    )
    plans = [_remove(layer, units, (*versions, *lot)) for lot in drawn or ((),)]
    areas, lots = Areas(len(versions), size), tuple(Areas(len(counts), size) for _ in drawn)
    title = f"removing units of {layer}"
    for image in repaint(
        studio.generator,
        layer,
        studio.segmenter,
        lambda number, _: plans[share_out(number, numbers, len(plans))],
        numbers,
        title=title,
    ):
        areas.add(replace(image, after=image.after[: len(versions)]))
        if lots:
            lots[share_out(image.number, numbers, draws)].add(
                replace(image, after=image.after[len(versions) :])
            )
    return LayerErasure(units, versions, areas, drawn, lots)


def share_out(number: int, numbers: Sequence[int], draws: int) -> int:
    """Which draw an image has: the first images the first draw, and so on, about as many for each.

    Runs of images, not turns: the kinds of a generator take turns already.

    >>> [share_out(number, range(100, 107), 3) for number in range(100, 107)]
    [0, 0, 0, 1, 1, 2, 2]
    """
    return (number - numbers[0]) * draws // len(numbers)


def _remove(layer: str, units: int, versions: Sequence[Version]) -> Edit:
    """Versions of a picture, each with some units at 0 everywhere."""
    strength = torch.zeros(len(versions), units, 1, 1)
    for place, version in enumerate(versions):
        strength[place, list(version.units)] = 1.0
    return Edit(layer, strength, torch.zeros(1, 1, 1, 1))
