"""Units taken out of a generator: how much of a concept goes, and what else (paper B, fig. 4a and b)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from unitscope.concepts.segmented import Segmenter
from unitscope.concepts.vocabulary import Concept
from unitscope.errors import UsageError, check_seed
from unitscope.executors.calls import Arrays, Work
from unitscope.executors.jobs import Executor
from unitscope.experiments.erasure_result import MANY, By, Erasure, LayerErasure, Rankings, Target
from unitscope.interventions.ablation import Masks
from unitscope.interventions.causal_sets import Recipe, check_scorer, find_places, optimize_units
from unitscope.interventions.edits import Edit, check_counts
from unitscope.interventions.generator_run import Studio, take_part
from unitscope.interventions.linear_head import remove_units
from unitscope.interventions.repainting import Areas, read_areas, repaint
from unitscope.interventions.unit_values import Levels
from unitscope.networks.generators import Generator
from unitscope.progress import silence

COUNTS = (1, 2, 4, 8, 12, 20, 30)
LEAST_DRAWS = 10
_RANKED = "ranked"


def study_erasure(
    studio: Studio,
    concepts: Sequence[str | Target],
    *,
    layer: str | None = None,
    counts: Sequence[int] = (),
    draws: int = LEAST_DRAWS,
    images: int = 1000,
    first: int | None = None,
    optimize: int = 0,
    effects: Mapping[int, Sequence[int]] | None = None,
    seed: int = 0,
    executor: Executor | None = None,
) -> Erasure:
    """Removes more and more units of a generator: how much of each concept goes, and what else?

    `concepts` are names, as `choose_targets` reads them: NAME, CATEGORY/NAME, NAME@LAYER; `layer` is that of
    all others. Units are set to 0 everywhere: those that the studio's run ranks highest by IoU, and random
    ones, `draws` times; with `optimize` also those that so many steps of `optimize_units` rank highest, or
    those of `effects`, orders of units by concept id. Measured on `images` images from number `first` on,
    which have not ranked them. `executor` has workers that share the images. Raises `UsageError` for counts,
    draws, images or layers that cannot be, a concept that no unit has to do with, or what workers cannot
    open.
    """
    check_seed(seed)
    studio = share_studio(studio, executor)
    numbers = studio.fresh(images, first)
    targets = choose_targets(studio, concepts, layer)
    if not 2 <= draws <= images:
        raise UsageError(
            f"{draws} random draws over {images} images; take 2 draws or more, better {LEAST_DRAWS}, and an "
            "image or more for each"
        )
    steps = choose_counts(studio, targets, counts)
    if optimize:
        recipe = Recipe(steps=optimize, term="removal", removal="everywhere", seed=seed)
        effects = optimize_orders(studio, targets, recipe)
    rankings, layers = rank_targets(studio, targets, effects), {}
    for name in dict.fromkeys(one.layer for one in targets):
        here = [one for one in targets if one.layer == name]
        layers[name] = _erase_layer(studio, name, here, rankings, steps, draws, seed, numbers)
    return Erasure(studio, targets, numbers, draws, seed, rankings, steps, layers)


def share_studio(studio: Studio, executor: Executor | None) -> Studio:
    """The studio whose images these workers share; raises `UsageError` for what they cannot open."""
    if executor is None:
        return studio
    studio.specify()
    return replace(studio, executor=executor)


def choose_targets(
    studio: Studio, concepts: Sequence[str | Target], layer: str | None = None
) -> tuple[Target, ...]:
    """Every concept with the layer whose units are taken for it: the one named, or that of `choose_layers`.

    A concept is NAME or CATEGORY/NAME, with @LAYER behind it where it is not of `layer`. Raises `UsageError`
    for no concept, one named twice, one that the run does not have or no unit has to do with.
    """
    if not concepts:
        raise UsageError("no concept was named; say which, as in: --concepts tree")
    named: dict[Concept, str | None] = {}
    for one in concepts:
        if isinstance(one, Target):
            concept, place = one.concept, one.layer
        else:
            name, _, place = one.partition("@")
            concept = studio.find(name)
        if concept in named:
            raise UsageError(f"{concept.label!r} is named twice; name each concept once")
        named[concept] = place or layer
    for concept, chosen in named.items():
        if chosen:
            studio.rank(concept, chosen)  # raises where no unit has to do with it
    free = [concept for concept, chosen in named.items() if not chosen]
    found = {target.concept: target for target in choose_layers(studio, free)} if free else {}
    return tuple(Target(concept, chosen) if chosen else found[concept] for concept, chosen in named.items())


def rank_targets(
    studio: Studio,
    targets: Sequence[Target],
    effects: Mapping[int, Sequence[int]] | None,
    count: int | None = None,
) -> Rankings:
    """The units of every target, `count` of them or all: by IoU, and in the order of `effects` if given."""
    ranks: dict[By, dict[int, Sequence[int]]] = {
        "iou": {one.concept.id: studio.rank(one.concept, one.layer) for one in targets}
    }
    if effects is not None:
        ranks["effect"] = {one.concept.id: effects[one.concept.id] for one in targets}
    return {by: {one: tuple(units[:count]) for one, units in orders.items()} for by, orders in ranks.items()}


def optimize_orders(
    studio: Studio,
    targets: Sequence[Target],
    recipe: Recipe,
    levels: Mapping[str, Levels] | None = None,
    across: int | None = None,
) -> dict[int, tuple[int, ...]]:
    """The units of every target's layer by what they do to its concept (`optimize_units`), by concept id.

    `levels` by layer are needed unless units are only removed. Raises what `optimize_units` raises.
    """
    check_scorer(studio)
    found = {}
    for layer in dict.fromkeys(target.layer for target in targets):
        concepts = [target.concept for target in targets if target.layer == layer]
        for places in find_places(studio, layer, concepts, studio.ranked, across):
            known = None if levels is None else levels[layer]
            found[places.concept.id] = optimize_units(studio, layer, places, known, recipe).order
    return found


def choose_counts(studio: Studio, targets: Sequence[Target], counts: Sequence[int]) -> tuple[int, ...]:
    """How many units are removed: these, or those of the paper's figure that the layers have.

    Raises `UsageError` for a count that a layer does not have units for.
    """
    sizes = {one.layer: len(studio.layer(one.layer)) for one in targets}
    layer = min(sizes, key=lambda name: sizes[name])
    if counts:
        check_counts(layer, sizes[layer], counts)
    return tuple(sorted({*(counts or (n for n in COUNTS if n < max(sizes[layer], 2)))}))


def choose_layers(
    studio: Studio,
    concepts: Sequence[Concept],
    layers: Sequence[str] = (),
    *,
    count: int = MANY,
    images: int = 200,
) -> list[Target]:
    """For every concept the layer whose units are most specific to it.

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
        for place, concept in enumerate(orders):
            gain = tried.areas.removed(place, concept).value - tried.areas.aside(place, concept)
            gains[concept][layer] = float(np.nan_to_num(gain, nan=-np.inf))
    for one in concepts:
        if not gains[one.id]:
            studio.rank(one, names[-1])  # raises
    return [Target(one, max(gains[one.id], key=lambda layer: gains[one.id][layer])) for one in concepts]


def _erase_layer(
    studio: Studio,
    layer: str,
    targets: Sequence[Target],
    rankings: Rankings,
    counts: Sequence[int],
    draws: int,
    seed: int,
    numbers: Sequence[int],
) -> LayerErasure:
    """Removes ranked units from every image, and the random units of one draw from each."""
    units, size = len(studio.layer(layer)), studio.vocabulary.size
    versions = tuple((by, one.concept.id, count) for by in rankings for one in targets for count in counts)
    ranked = [rankings[by][concept][:count] for by, concept, count in versions]
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(units).tolist() for _ in range(draws)]
    drawn = tuple(tuple(tuple(order[:count]) for count in counts) for order in orders)
    masks = ([np.isin(np.arange(units), taken) for taken in (*ranked, *lot)] for lot in drawn or ((),))
    given = {"layer": layer, "masks": [np.stack(mask) for mask in masks], "ranked": len(ranked), "size": size}
    areas, lots = Areas(len(versions), size), [Areas(len(counts), size) for _ in drawn]
    for part in studio.look(prepare_erasure, given, numbers, f"removing units of {layer}"):
        for place, found in _read_parts(part).items():
            if place == _RANKED:
                areas = areas.merge(found)
            else:
                lots[int(place)] = lots[int(place)].merge(found)
    return LayerErasure(units, tuple(counts), versions, areas, drawn, tuple(lots))


def prepare_erasure(
    generator: Generator,
    segmenter: Segmenter,
    numbers: Sequence[int],
    *,
    layer: str,
    masks: Sequence[Masks],
    ranked: int,
    size: int,
) -> Work:
    """What sums areas over parts of images: under `ranked` of the `ranked` first versions, by draw of others.

    Every image has the masks of its draw, the ranked units of all draws first.
    """
    plans = [remove_units(layer, mask) for mask in masks]

    def plan(number: int, _: object) -> Edit:
        return plans[share_out(number, numbers, len(plans))]

    def work(number: int) -> Arrays:
        found: dict[str, Areas] = {}
        with silence():
            for image in repaint(generator, layer, segmenter, plan, take_part(numbers, number)):
                draw = str(share_out(image.number, numbers, len(plans)))
                parts = {_RANKED: image.after[:ranked], draw: image.after[ranked:]}
                for name, after in parts.items():
                    if len(after):
                        found.setdefault(name, Areas(len(after), size)).add(replace(image, after=after))
        return {f"{name}/{key}": one for name, areas in found.items() for key, one in areas.arrays.items()}

    return work


def _read_parts(arrays: Arrays) -> dict[str, Areas]:
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        place, _, key = name.partition("/")
        parts.setdefault(place, {})[key] = array
    return {place: read_areas(part) for place, part in parts.items()}


def share_out(number: int, numbers: Sequence[int], draws: int) -> int:
    """Which draw an image has: the first images the first draw, and so on, about as many for each.

    Runs of images, not turns: the kinds of a generator take turns already.

    >>> [share_out(number, range(100, 107), 3) for number in range(100, 107)]
    [0, 0, 0, 1, 1, 2, 2]
    """
    return (number - numbers[0]) * draws // len(numbers)
