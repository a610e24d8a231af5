"""Commands that run experiments."""

from dataclasses import asdict
from pathlib import Path

from unitscope.cli.parsing import Command
from unitscope.cli.words import ConventionName, Flag, Network, Source, print_json
from unitscope.lab.commands.axis import AXIS
from unitscope.lab.commands.comparisons import COMPARING
from unitscope.lab.commands.raters_study import RATERS


def grade(
    out: Path = Path("runs/study/grade"),
    images: int = 300,
    seeds: int = 3,
    quick: Flag = False,
    json: Flag = False,
) -> None:
    """Grade dissection itself: plant units of known meaning, and see what every convention calls them.

    Writes planted.csv, nulls.csv and figure.svg.

    Args:
        out: folder of the results.
        images: how many drawn scenes.
        seeds: how often everything is repeated, with other noise.
        quick: a small version for a first look: 60 images, one seed.
        json: print JSON instead of tables.
    """
    from unitscope.lab.studies.grade import (
        average,
        grade_conventions,
        make_source,
        spell_grades,
        write_grades,
    )
    from unitscope.lab.studies.planting import DEGRADATIONS
    from unitscope.views.figures import Panel, draw_panels

    images, seeds = (60, 1) if quick else (images, seeds)
    grades = grade_conventions(make_source(images), range(seeds), null_units=60 if quick else 200)
    write_grades(grades, out)
    means = average(grades.planted)
    panels = []
    for kind in DEGRADATIONS:
        lines: dict[str, list[tuple[float, float, float]]] = {}
        for mean, spread in means:
            if mean.kind == kind:
                lines.setdefault(mean.convention, []).append((mean.strength, mean.right, spread / 2))
        panels.append(Panel(kind, "strength", lines))
    figure = draw_panels(panels, out / "figure.svg", y="named right")
    if json:
        print_json(
            {"planted": [asdict(row) for row in grades.planted], "nulls": [asdict(n) for n in grades.nulls]}
        )
    else:
        print("A quick look, not a result.\n" if quick else "", end="")
        print(f"{spell_grades(grades)}\n\nfigure: {figure}")


def labels(
    network: Network = "zoo:scene-classifier",
    layers: tuple[str, ...] = ("layer1", "layer2", "layer3", "layer4", "layer5"),
    concepts: Source = "drawn:count=1200,seed=2000,size=64",
    segmenter: str = "zoo:segmenter",
    weights: tuple[Path, ...] = (),
    convention: ConventionName = "netdissect",
    out: Path = Path("runs/study/labels"),
    quick: Flag = False,
    json: Flag = False,
) -> None:
    """Name units by true labels and by a segmenter's, and see how far the names agree.

    Writes agreement.csv and figure.svg.

    Args:
        network: the network.
        layers: its layers.
        concepts: the images with true labels.
        segmenter: who labels the images again: zoo:segmenter, hf:FOLDER, FILE.onnx, or FILE.py:FACTORY.
        weights: files of weights, such as one a seed, instead of the network's own.
        convention: whose arithmetic: docs/theory.md has the table.
        out: folder of the results.
        quick: a small version for a first look: 100 images.
        json: print JSON instead of a table.
    """
    import unitscope as us
    from unitscope.lab.studies.labels import compare_labels, spell_labels, write_labels
    from unitscope.networks.open_source import load_segmenter
    from unitscope.views.figures import Panel, draw_panels

    source = us.open_source(concepts)
    source = us.limit(source, 100) if quick else source
    namer, rows, lines = load_segmenter(segmenter), [], {}
    for place, file in enumerate(weights or (None,)):
        name = f"seed {place}" if weights else network
        opened = us.load_network(network, weights=file)
        found = compare_labels(opened, layers, source, namer, convention=convention, name=name)
        rows += found
        lines[name] = [(float(at), row.agreement.same, 0.0) for at, row in enumerate(found, 1)]
        lines[f"{name}, by chance"] = [
            (float(at), row.agreement.chance, 0.0) for at, row in enumerate(found, 1)
        ]
        write_labels(rows, out / "agreement.csv")
    figure = draw_panels([Panel("units with the same name", "layer", lines)], out / "figure.svg", y="share")
    if json:
        print_json([asdict(row) for row in rows])
    else:
        print("A quick look, not a result.\n" if quick else "", end="")
        print(f"{spell_labels(rows)}\n\nfigure: {figure}")


def depth(
    network: Network = "zoo:generator",
    layers: tuple[str, ...] = ("layer1", "layer2", "layer3", "layer4", "layer5"),
    concepts: Source = "segmenter:zoo:segmenter,count=1000",
    seeds: int = 3,
    weights: tuple[Path, ...] = (),
    convention: ConventionName = "pnas",
    shifts: int = 100,
    few: int = 32,
    out: Path = Path("runs/study/depth"),
    quick: Flag = False,
    json: Flag = False,
) -> None:
    """Count the concepts of each layer by category: where in a network do objects, parts, colors have units?

    Writes layers.csv and figure.svg.

    Args:
        network: the network, such as a generator.
        layers: its layers, in their order; all are read in one pass.
        concepts: the labelled images; for a generator a segmenter of its own images.
        seeds: a generator is dissected over the images of so many seeds of latents, 0 and on.
        weights: files of weights, such as one a seed of training, instead of the network's own.
        convention: whose arithmetic: docs/theory.md has the table.
        shifts: null draws a unit.
        few: layers are also compared by the concepts expected of so many of their units.
        out: folder of the results.
        quick: a small version for a first look: 100 images, one seed.
        json: print JSON instead of a table.
    """
    import unitscope as us
    from unitscope.errors import UsageError
    from unitscope.lab.studies.depth import compare_layers, find_peak, spell_depth, spell_peak, write_depth
    from unitscope.lab.studies.figures.depth_figure import draw_depth
    from unitscope.networks.generators import Generator, pair_generator, with_seed

    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}; wanted 1 or more")
    rows, shifts = [], 20 if quick else shifts
    for place, file in enumerate(weights or (None,)):
        opened = us.load_network(network, weights=file)
        drawn = isinstance(opened, Generator) and ",images=" not in concepts and ",seed=" not in concepts
        for seed in range(seeds if drawn and not quick else 1):
            one = with_seed(opened, seed) if drawn and isinstance(opened, Generator) else opened
            source = us.open_source(concepts, one)
            one, source = pair_generator(one, us.limit(source, 100) if quick else source)
            repeat = seed if drawn else place
            name = str(file or network)
            rows += compare_layers(
                one, layers, source, convention=convention, shifts=shifts, few=few, repeat=repeat, name=name
            )
            write_depth(rows, out / "layers.csv")
    figure = draw_depth(rows, out / "figure.svg")
    peaks = [find_peak(rows, category) for category in rows[0].categories]
    if json:
        print_json({"layers": [asdict(row) for row in rows], "peaks": [asdict(peak) for peak in peaks]})
    else:
        print("A quick look, not a result.\n" if quick else "", end="")
        print(spell_depth(rows), *map(spell_peak, peaks), f"figure: {figure}", sep="\n")


STUDIES: dict[str, Command] = {
    "grade": grade,
    **AXIS,
    "labels": labels,
    "depth": depth,
    **COMPARING,
    **RATERS,
}
