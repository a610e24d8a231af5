"""The command that takes units for detectors."""

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

import unitscope as us
from unitscope.cli.parsing import Command
from unitscope.cli.words import Flag, Network, Source, check_out, print_json
from unitscope.errors import UsageError


def detect(
    network: Network,
    layer: str,
    concept: Annotated[list[str], arg(metavar="NAME [NAME ...]")],
    images: Source,
    unit: int | None = None,
    top: int = 10,
    run: Path | None = None,
    out: Path | None = None,
    most: int = 1000,
    share: float | None = None,
    seed: int = 0,
    size: int | None = None,
    weights: Path | None = None,
    random_weights: int | None = None,
    json: Flag = False,
) -> None:
    """Take single units for detectors: does a unit's peak tell images with a concept from those without?

    Args:
        network: whose units.
        layer: their layer; NAME@in reads what the layer is given, such as a ReLU's input.
        concept: a concept or class of the images, as NAME or CATEGORY/NAME; of several, any counts.
        images: labelled images, of any kind: they need not be like those the network was trained on. For a
            generator its own, labelled by a segmenter, such as segmenter:zoo:segmenter,count=1000.
        unit: this unit instead of the best ones.
        top: how many of the best units to print.
        run: a run with this layer, whose labels are printed beside the units.
        out: folder for detectors.csv, all units, and of the first unit printed jitter.svg and answers.png,
            images in which it is right and wrong.
        most: the most images with the concept, and as many without.
        share: fraction of an image's pixels that the concept must have, 0 for any pixel; 0.01 unless you
            say otherwise, 0.05 in the images of a generator, as in paper B.
        seed: which images are taken, and in which half they are.
        size: side of the network's input in pixels.
        weights: a weights file; nothing in it is executed.
        random_weights: a seed: the architecture with random weights.
        json: print JSON instead of a table.
    """
    from unitscope.interventions.detection import check_units, detect_concept, score_units, shuffle_control
    from unitscope.networks.generators import find_generated, pair_generator
    from unitscope.views.detection import Findings, describe_findings, show_findings, write_findings

    if top < 1:
        raise UsageError(f"--top is {top}; wanted 1 unit or more")
    if out is not None:
        check_out(out)
    loaded = us.load_network(network, weights=weights, random=random_weights, size=size)
    count = check_units(loaded, layer, unit)
    labels = [""] * count if run is None else _read_labels(us.load(run), loaded, layer)
    loaded, source = pair_generator(loaded, us.open_source(images, loaded))
    if share is None:
        share = 0.01 if find_generated(source) is None else 0.05
    sample, peaks = detect_concept(loaded, layer, source, concept, most=most, share=share, seed=seed)
    detectors = score_units(peaks, sample, seed=seed)
    units = detectors.order[:top].tolist() if unit is None else [unit]
    compared = peaks if unit is None else peaks[:, [unit]]
    shuffled = shuffle_control(compared, sample, seed=seed)
    findings = Findings(layer, sample, peaks, detectors, units, labels, shuffled)
    if json:
        print_json(describe_findings(findings))
    else:
        print(show_findings(findings))
    if out is not None:
        for path in write_findings(findings, source, out):
            print(path, file=sys.stderr if json else sys.stdout)


def _read_labels(run: "us.Dissection", network: "us.Network", layer: str) -> list[str]:
    """The labels of a layer's detectors, empty for other units; `UsageError` for a run of another network."""
    from unitscope.dissection.matching import find_layer

    found = find_layer(run, network, layer)
    return [row.concept.label if row.concept and row.detector else "" for row in found]


DETECTION: dict[str, Command] = {"detect": detect}
