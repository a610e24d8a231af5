"""The commands that take units out of a generator, put them in, and paint with them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

import unitscope as us
from unitscope.cli.sharing import Workers
from unitscope.cli.words import Address, Draws, Flag, Network, Opening, Output, publish, show

if TYPE_CHECKING:
    from unitscope.interventions.generator_run import Studio

Concepts = Annotated[
    tuple[str, ...],
    arg(
        help="concepts, as NAME or CATEGORY/NAME; @LAYER says with the units of which layer",
        metavar="NAME[@LAYER] [NAME[@LAYER] ...]",
    ),
]
Layer = Annotated[
    str | None,
    arg(
        help="the layer of all others; by default that of the run where removal takes most of the concept "
        "and least of all else, tried out on pictures that ranked the units",
        metavar="LAYER",
    ),
]
RunOfGenerator = Annotated[
    Path, arg(help="its dissection with a segmenter; the same segmenter looks at the pictures", metavar="RUN")
]


@dataclass(frozen=True)
class Measured:
    """Which pictures are measured."""

    images: Annotated[int, arg(help="how many pictures are measured")] = 1000
    first: Annotated[
        int | None,
        arg(help="the number of the first of them; by default the first that the run has not seen"),
    ] = None


@dataclass(frozen=True)
class Optimizing:
    """Whether units are ranked by what they do, too."""

    optimize: Annotated[
        Flag, arg(help="also rank units by what they do to the concept, by gradient through the segmenter")
    ] = False
    steps: Annotated[int, arg(help="steps of that optimization")] = 100


def erase(
    network: Network,
    run: RunOfGenerator,
    concepts: Concepts,
    layer: Layer = None,
    counts: Annotated[tuple[int, ...], arg(metavar="N [N ...]")] = (),
    measured: Measured = Measured(),
    drawing: Draws = Draws(),
    optimizing: Optimizing = Optimizing(),
    sharing: Workers = Workers(),
    opening: Opening = Opening(),
    output: Output = Output(Path("runs/erase")),
) -> None:
    """Remove units of a generator: how much of a concept goes from its pictures, and what else?

    The units that a run ranks highest for a concept are set to 0 in whole pictures, more and more of them,
    and as many random ones. Pictures are others than those that ranked the units. Prints shares of pixels in
    percent. Writes erasure.csv, others.csv, units.csv and a page with pictures before and after.

    Args:
        network: a generator.
        counts: how many units are removed.
    """
    from unitscope.experiments import study_erasure

    studio, executor = _open_studio(network, run, opening, output), sharing.start("cpu")
    study = study_erasure(
        studio,
        concepts,
        layer=layer,
        counts=counts,
        optimize=optimizing.steps if optimizing.optimize else 0,
        executor=executor,
        **vars(measured),
        **vars(drawing),
    )
    publish(study, output)


def insert(
    network: Network,
    run: RunOfGenerator,
    concepts: Concepts,
    layer: Layer = None,
    units: int = 20,
    measured: Measured = Measured(),
    places: int = 4,
    across: int | None = None,
    level: Literal["mean", "quantile", "fullest"] = "mean",
    least: int = 100,
    drawing: Draws = Draws(),
    optimizing: Optimizing = Optimizing(),
    sharing: Workers = Workers(),
    opening: Opening = Opening(),
    output: Output = Output(Path("runs/insert")),
) -> None:
    """Set units of a generator at one place: does a concept appear, and does it depend on what stood there?

    The units that a run ranks highest for a concept are set, in a cell of their maps, to the level that
    they have where the concept is; so are as many random ones. Prints, by what stood at the place, the change
    of the concept's pixels as a share of its mean pixels a picture, and the average causal effect at the
    place, both in percent. Writes placement.csv, trials.csv, units.csv and a page with pictures.

    Args:
        network: a generator.
        units: how many units are set.
        places: how many random places are tried in each picture, one at a time.
        across: places are cells of a grid so many across, where that is coarser than the layer's own cells.
        level: set units to their mean where the concept is, to their 0.99 quantile, or to their mean in the
            cell of every picture that shows most of the concept.
        least: contexts with fewer trials are in placement.csv only.
    """
    from unitscope.experiments import study_placement

    studio, executor = _open_studio(network, run, opening, output), sharing.start("cpu")
    study = study_placement(
        studio,
        concepts,
        layer=layer,
        count=units,
        places=places,
        across=across,
        rule=level,
        least=least,
        optimize=optimizing.steps if optimizing.optimize else 0,
        executor=executor,
        **vars(measured),
        **vars(drawing),
    )
    publish(study, output)


def levels(
    network: Network,
    run: RunOfGenerator,
    concepts: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")],
    layers: Annotated[tuple[str, ...], arg(metavar="LAYER [LAYER ...]")] = (),
    images: int | None = None,
    opening: Opening = Opening(),
    output: Output = Output(Path("runs/levels")),
) -> None:
    """Tabulate how high units are where a concept is: means, and quantiles given the concept.

    The levels that `insert` and `paint` set units to, beside how units are spread over the cells that a
    concept covers mostly, and their 0.99 quantile over all cells. Writes levels.csv.

    Args:
        network: a generator.
        concepts: concepts, as NAME or CATEGORY/NAME.
        layers: layers of the run; by default all.
        images: how many pictures are looked at; by default those that ranked the units.
    """
    from unitscope.experiments import measure_concept_levels

    found = measure_concept_levels(
        _open_studio(network, run, opening, output), concepts, layers=layers, images=images
    )
    found.save(output.out)
    show(found, output.json, *([] if output.json else [f"\ntables: {output.out / found.files[0]}"]))


def _open_studio(network: str, run: Path, opening: Opening, output: Output) -> "Studio":
    from unitscope.interventions import open_studio

    output.check()
    return open_studio(opening.load(network), us.load(run))


def paint(
    network: Network,
    run: Annotated[Path, arg(metavar="RUN")],
    layers: Annotated[tuple[str, ...], arg(metavar="LAYER [LAYER ...]")] = (),
    seed: int | None = None,
    images: int = 256,
    photo: Annotated[Path | None, arg(metavar="FILE")] = None,
    address: Address = Address(port=8765),
    opening: Opening = Opening(),
) -> None:
    """Paint with the units of a generator, in the browser.

    Serves a local page: choose a picture, a concept and a brush; under a stroke the concept's units are set
    to the level they have where the concept is, or to 0. A segmenter says what changed. Ctrl-C ends it.
    A picture of your own is inverted into the generator first, as by unitscope invert.

    Args:
        network: a generator.
        run: its dissection with a segmenter; the same segmenter looks at what was painted.
        layers: only the units of these layers; by default every concept gets the layer that draws most of it.
        seed: the seed of the pictures to choose from; by default that of the run.
        images: how many pictures show how high units go.
        photo: a picture's file, which comes before the generator's own.
    """
    from unitscope.interventions import open_studio
    from unitscope.views.serving import serve_painting

    studio = open_studio(opening.load(network), us.load(run))
    serve_painting(studio, layers=layers, seed=seed, images=images, photo=photo, **vars(address))


def invert(
    network: Network,
    photo: Annotated[Path, arg(metavar="FILE")],
    segmenter: str | None = None,
    features: str | None = None,
    layer: Annotated[str | None, arg(metavar="LAYER")] = None,
    opening: Opening = Opening(),
    output: Output = Output(Path("runs/invert")),
) -> None:
    """Bring a picture into a generator, so that it can be painted on.

    A latent is fitted, then the units of a layer, then maps added to later ones. Prints how near each
    stage comes to the picture, and whether the generator can make such a picture. The picture is turned
    upright, its middle cut out, and resized. Writes stages.csv, inversion.safetensors and stages.png.

    Args:
        network: a generator.
        photo: the picture's file, of 20 MB and 50 megapixels at most.
        segmenter: who names pixels: zoo:segmenter, hf:FOLDER, FILE.onnx, or FILE.py:FACTORY.
        features: a network in whose first layers pictures are compared, such as zoo:scene-classifier, which
            also says of what kind the picture is; by default the segmenter's.
        layer: the layer whose units are fitted; by default the last whose maps have at most half of the
            picture's rows.
    """
    from unitscope.interventions import open_photo
    from unitscope.interventions.picture_loss import choose_features
    from unitscope.networks.generators import as_generator
    from unitscope.networks.network_sources import load_segmenter

    output.check()
    generator = as_generator(opening.load(network))
    judge = None if segmenter is None else load_segmenter(segmenter)
    seen = None if features is None else choose_features(us.load_network(features))
    publish(open_photo(photo, generator, judge, layer=layer, features=seen), output)
