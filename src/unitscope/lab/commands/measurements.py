"""The commands of `unitscope study` that measure what ships, or any network, and train nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitArgPrefixes, arg

from unitscope.cli.sharing import Workers
from unitscope.cli.words import Convention, Flag, Network, Output, Source, print_json
from unitscope.errors import UsageError

if TYPE_CHECKING:
    from unitscope.lab.studies.study import StudyResult

LAYERS = ("layer1", "layer2", "layer3", "layer4", "layer5")


def finish(result: "StudyResult", output: Output, gap: str = "\n\n") -> None:
    """Writes tables and figure into a folder, and prints the result and where the figure lies."""
    figure = result.page(output.out)
    if output.json:
        record = result.record()
        print_json({**record, "figure": str(figure)} if "claims" in record else record)
    else:
        print(result, f"figure: {figure}", sep=gap)


def grade(
    images: int = 300,
    seeds: int = 3,
    quick: Flag = False,
    sharing: Annotated[Workers, OmitArgPrefixes] = Workers(),
    output: Annotated[Output, OmitArgPrefixes] = Output(Path("runs/study/grade")),
) -> None:
    """Grade dissection itself: plant units of known meaning, and see what every convention calls them.

    Writes planted.csv, nulls.csv and figure.svg.

    Args:
        images: how many drawn scenes.
        seeds: how often everything is repeated, with other noise.
        quick: a small version for a first look: 60 images, one seed.
    """
    from unitscope.lab.studies.grade import study_grade

    finish(study_grade(images, seeds, quick=quick, executor=sharing.start("cpu")), output)


def labels(
    network: Network = "zoo:scene-classifier",
    layers: tuple[str, ...] = LAYERS,
    concepts: Source = "drawn:count=1200,seed=2000,size=64",
    segmenter: str = "zoo:segmenter",
    weights: tuple[Path, ...] = (),
    convention: Convention = "netdissect",
    quick: Flag = False,
    output: Annotated[Output, OmitArgPrefixes] = Output(Path("runs/study/labels")),
) -> None:
    """Name units by true labels and by a segmenter's, and see how far the names agree.

    Writes agreement.csv and figure.svg.

    Args:
        network: the network.
        layers: its layers.
        concepts: the images with true labels.
        segmenter: who labels the images again: zoo:segmenter, hf:FOLDER, FILE.onnx, or FILE.py:FACTORY.
        weights: files of weights, such as one a seed, instead of the network's own.
        quick: a small version for a first look: 100 images.
    """
    import unitscope as us
    from unitscope.lab.studies.labels import LabelComparison, compare_labels
    from unitscope.networks.network_sources import load_segmenter

    source = us.open_source(concepts)
    source = us.limit(source, 100) if quick else source
    namer, compared = load_segmenter(segmenter), LabelComparison((), quick)
    for place, file in enumerate(weights or (None,)):
        opened = us.load_network(network, weights=file)
        name = f"seed {place}" if weights else network
        compared += compare_labels(opened, layers, source, namer, convention=convention, name=name)
        compared.save(output.out)
    finish(compared, output)


def depth(
    network: Network = "zoo:generator",
    layers: tuple[str, ...] = LAYERS,
    concepts: Source = "segmenter:zoo:segmenter,count=1000",
    seeds: int = 3,
    weights: tuple[Path, ...] = (),
    convention: Convention = "pnas",
    shifts: int = 100,
    few: int = 32,
    quick: Flag = False,
    output: Annotated[Output, OmitArgPrefixes] = Output(Path("runs/study/depth")),
) -> None:
    """Count the concepts of each layer by category: where in a network do objects, parts, colors have units?

    Writes layers.csv and figure.svg.

    Args:
        network: the network, such as a generator.
        layers: its layers, in their order; all are read in one pass.
        concepts: the labelled images; for a generator a segmenter of its own images.
        seeds: a generator is dissected over the images of so many seeds of latents, 0 and on.
        weights: files of weights, such as one a seed of training, instead of the network's own.
        shifts: null draws a unit.
        few: layers are also compared by the concepts expected of so many of their units.
        quick: a small version for a first look: 100 images, one seed.
    """
    import unitscope as us
    from unitscope.lab.studies.depth import Depth, compare_layers
    from unitscope.networks.generators import Generator, pair_generator, with_seed

    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}; wanted 1 or more")
    compared, shifts = Depth((), few, quick), 20 if quick else shifts
    for place, file in enumerate(weights or (None,)):
        opened = us.load_network(network, weights=file)
        drawn = isinstance(opened, Generator) and ",images=" not in concepts and ",seed=" not in concepts
        for seed in range(seeds if drawn and not quick else 1):
            one = with_seed(opened, seed) if drawn and isinstance(opened, Generator) else opened
            source = us.open_source(concepts, one)
            one, source = pair_generator(one, us.limit(source, 100) if quick else source)
            compared += compare_layers(
                *(one, layers, source),
                convention=convention,
                shifts=shifts,
                few=few,
                repeat=seed if drawn else place,
                name=str(file or network),
            )
            compared.save(output.out)
    finish(compared, output, gap="\n")


def raters(
    network: Network = "zoo:scene-classifier",
    layers: Annotated[tuple[str, ...], arg(metavar="LAYER [LAYER ...]")] = LAYERS,
    images: int = 1200,
    seeds: int = 3,
    convention: Convention = "netdissect",
    quick: Flag = False,
    output: Annotated[Output, OmitArgPrefixes] = Output(Path("runs/study/raters")),
) -> None:
    """Rate units by scripts that see the labels, with known slips: what `unitscope ratings` makes of them.

    They are no people, so what people would say is not tested. Writes layers.csv, raters.csv and figure.svg.

    Args:
        network: the network, dissected over drawn scenes.
        layers: its layers.
        images: how many drawn scenes, other ones for every seed.
        seeds: how often everything is repeated.
        quick: a small version for a first look: 100 images, one seed.
    """
    import unitscope as us
    from unitscope.lab.studies.raters_study import study_raters
    from unitscope.views.figures import load_matplotlib

    for option, value in (("images", images), ("seeds", seeds)):
        if value < 1:
            raise UsageError(f"--{option} is {value}; wanted 1 or more")
    load_matplotlib()  # where it is missing, that is reported before the work, not after it
    opened = us.load_network(network)
    finish(study_raters(opened, layers, images, seeds, convention=convention, quick=quick), output)


def scores(
    seeds: int = 3,
    quick: Flag = False,
    output: Annotated[Output, OmitArgPrefixes] = Output(Path("runs/study/scores")),
) -> None:
    """Grade scores of names: spoil labels, and name units of known meaning by every score.

    Planted units, the classes of classifiers, and controls, at pixels, cells and images; and names tested by
    pictures of them. What was done is not done again: the same command goes on where it was stopped. Writes
    scores.csv, ideal.csv, spoiled.csv, pictures.csv, masks.csv, finding.md and figure.svg.

    Args:
        seeds: how often everything is repeated, with other scenes, noise and labels.
        quick: a small version for a first look: 24 scenes, one seed.
    """
    from unitscope.lab.studies.scores import study_scores

    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}; wanted 1 or more")
    output.check()  # what is missing is reported before the work, not after it
    finish(study_scores(output.out, seeds, quick=quick), output)
