"""The commands that take units out of a generator, and put them in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

import unitscope as us
from unitscope.cli.parsing import Command
from unitscope.cli.words import Flag, Network, check_out, print_json
from unitscope.errors import UsageError

if TYPE_CHECKING:
    from unitscope.experiments.erasure import Target
    from unitscope.interventions.causal_sets import CausalSet, Recipe
    from unitscope.interventions.generator_run import Studio
    from unitscope.interventions.unit_values import Levels

Concepts = Annotated[tuple[str, ...], arg(metavar="NAME[@LAYER] [NAME[@LAYER] ...]")]


def erase(
    network: Network,
    run: Annotated[Path, arg(metavar="RUN")],
    concepts: Concepts,
    layer: Annotated[str | None, arg(metavar="LAYER")] = None,
    counts: Annotated[tuple[int, ...], arg(metavar="N [N ...]")] = (),
    images: int = 1000,
    first: int | None = None,
    draws: int = 10,
    optimize: Flag = False,
    steps: int = 100,
    weights: Path | None = None,
    out: Path = Path("runs/erase"),
    seed: int = 0,
    json: Flag = False,
) -> None:
    """Remove units of a generator: how much of a concept goes from its pictures, and what else?

    The units that a run ranks highest for a concept are set to 0 in whole pictures, more and more of them,
    and as many random ones. Pictures are others than those that ranked the units. Prints shares of pixels in
    percent. Writes erasure.csv, others.csv, units.csv and a page with pictures before and after.

    Args:
        network: a generator.
        run: its dissection with a segmenter; the same segmenter looks at the pictures.
        concepts: what is removed, as NAME or CATEGORY/NAME; @LAYER says with the units of which layer.
        layer: the layer of all others; by default that of the run where removal takes most of the concept
            and least of all else, tried out on pictures that ranked the units.
        counts: how many units are removed.
        images: how many pictures are measured.
        first: the number of the first of them; by default the first that the run has not seen.
        draws: how often random units are drawn.
        optimize: also rank units by what removing them does, by gradient through the segmenter.
        steps: steps of that optimization.
        weights: a safetensors file or a state dict; nothing in it is executed.
        out: folder of the results.
        seed: seed of the draws and of the optimization.
        json: print JSON instead of the table.
    """
    from unitscope.experiments.erasure import study_erasure
    from unitscope.experiments.erasure_tables import describe_erasure, spell_erasure, write_erasure
    from unitscope.views.generator_pages import write_erasure_page

    studio, targets = _prepare(network, weights, run, concepts, layer, out, seed, images, first)
    effects = None
    if optimize:
        from unitscope.interventions.causal_sets import Recipe

        recipe = Recipe(steps=steps, term="removal", removal="everywhere", seed=seed)
        effects = {number: found.order for number, found in _optimize(studio, targets, recipe).items()}
    study = study_erasure(
        studio, targets, counts=counts, draws=draws, images=images, first=first, effects=effects, seed=seed
    )
    tables = write_erasure(study, out)
    page = write_erasure_page(study, studio, out)
    if json:
        print_json(describe_erasure(study))
        return
    print(spell_erasure(study))
    print(f"\ntables: {', '.join(map(str, tables))}\npage: {page}")


def insert(
    network: Network,
    run: Annotated[Path, arg(metavar="RUN")],
    concepts: Concepts,
    layer: Annotated[str | None, arg(metavar="LAYER")] = None,
    units: int = 20,
    images: int = 1000,
    first: int | None = None,
    places: int = 4,
    across: int | None = None,
    level: Literal["mean", "quantile"] = "mean",
    least: int = 100,
    draws: int = 10,
    optimize: Flag = False,
    steps: int = 100,
    weights: Path | None = None,
    out: Path = Path("runs/insert"),
    seed: int = 0,
    json: Flag = False,
) -> None:
    """Set units of a generator at one place: does a concept appear, and does it depend on what stood there?

    The units that a run ranks highest for a concept are set, in a cell of their maps, to the level that
    they have where the concept is; so are as many random ones. Prints, by what stood at the place, the change
    of the concept's pixels as a share of its mean pixels a picture, and the average causal effect at the
    place, both in percent. Writes placement.csv, trials.csv, units.csv and a page with pictures.

    Args:
        network: a generator.
        run: its dissection with a segmenter; the same segmenter looks at the pictures.
        concepts: what is put in, as NAME or CATEGORY/NAME; @LAYER says with the units of which layer.
        layer: the layer of all others; by default that of the run where removal takes most of the concept
            and least of all else, tried out on pictures that ranked the units.
        units: how many units are set.
        images: how many pictures are painted on.
        first: the number of the first of them; by default the first that the run has not seen.
        places: how many places are tried in each picture, one at a time, by lot.
        across: places are cells of a grid so many across, where that is coarser than the layer's own cells.
        level: set units to their mean where the concept is, or to their 0.99 quantile.
        least: contexts with fewer trials are in placement.csv only.
        draws: how often random units are drawn.
        optimize: also rank units by their average causal effect, by gradient through the segmenter.
        steps: steps of that optimization.
        weights: a safetensors file or a state dict; nothing in it is executed.
        out: folder of the results.
        seed: seed of the places, the draws and the optimization.
        json: print JSON instead of the table.
    """
    from unitscope.experiments.placement import study_placement
    from unitscope.experiments.placement_tables import describe_placement, spell_placement, write_placement
    from unitscope.interventions.unit_values import measure_levels
    from unitscope.views.generator_pages import write_placement_page

    studio, targets = _prepare(network, weights, run, concepts, layer, out, seed, images, first)
    levels = {
        name: measure_levels(studio.generator, name, studio.segmenter, studio.ranked)
        for name in dict.fromkeys(target.layer for target in targets)
    }
    effects = None
    if optimize:
        from unitscope.interventions.causal_sets import Recipe

        sets = _optimize(studio, targets, Recipe(steps=steps, seed=seed), levels, across)
        effects = {number: found.order for number, found in sets.items()}
    study = study_placement(
        studio, targets, levels, count=units, places=places, across=across, rule=level, draws=draws,
        images=images, first=first, effects=effects, seed=seed,
    )  # fmt: skip
    tables = write_placement(study, out)
    page = write_placement_page(study, studio, levels, out, least)
    if json:
        print_json(describe_placement(study, least))
        return
    print(spell_placement(study, least))
    print(f"\ntables: {', '.join(map(str, tables))}\npage: {page}")


def _prepare(
    network: str,
    weights: Path | None,
    run: Path,
    concepts: tuple[str, ...],
    layer: str | None,
    out: Path,
    seed: int,
    images: int,
    first: int | None,
) -> "tuple[Studio, list[Target]]":
    """What both commands begin with; whatever is wrong is told here, before the work."""
    from unitscope.experiments.erasure import Target, choose_layers
    from unitscope.interventions.generator_run import open_studio
    from unitscope.views.figures import load_matplotlib

    load_matplotlib()
    if seed < 0:
        raise UsageError(f"--seed is {seed}; it must be 0 or more")
    check_out(out)
    loaded = us.load_network(network, weights=weights)
    studio = open_studio(loaded, us.load(run))
    studio.fresh(images, first)
    named = [(studio.find(name), place) for name, _, place in (text.partition("@") for text in concepts)]
    if len({concept.id for concept, _ in named}) < len(named):
        raise UsageError("a concept is named twice; name each once")
    for concept, place in named:
        if place or layer:
            studio.rank(concept, place or layer or "")
    open_ones = [concept for concept, place in named if not (place or layer)]
    chosen = choose_layers(studio, open_ones) if open_ones else []
    layers = {target.concept.id: target.layer for target in chosen}
    return studio, [Target(one, place or layer or layers[one.id]) for one, place in named]


def _optimize(
    studio: "Studio",
    targets: "Sequence[Target]",
    recipe: "Recipe",
    levels: "Mapping[str, Levels] | None" = None,
    across: int | None = None,
) -> "dict[int, CausalSet]":
    """The optimized set of every concept, by its id."""
    from unitscope.interventions.causal_sets import check_scorer, find_places, optimize_units

    check_scorer(studio)
    found = {}
    for layer in dict.fromkeys(target.layer for target in targets):
        concepts = [target.concept for target in targets if target.layer == layer]
        for places in find_places(studio, layer, concepts, studio.ranked, across):
            known = None if levels is None else levels[layer]
            found[places.concept.id] = optimize_units(studio, layer, places, known, recipe)
    return found


GENERATION: dict[str, Command] = {"erase": erase, "insert": insert}
