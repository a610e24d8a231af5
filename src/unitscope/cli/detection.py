"""The command that takes units for detectors."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

import unitscope as us
from unitscope.cli.words import Json, Network, Opening, Source, check_out, show


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
    opening: Opening = Opening(),
    json: Json = False,
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
        share: fraction of an image's pixels that the concept must have, 0 for any pixel; by default 0.01, and
            0.05 in the images of a generator, as in paper B.
        seed: which images are taken, and in which half they are.
    """
    from unitscope.interventions import detect

    if out is not None:
        check_out(out)
    loaded = opening.load(network)
    source = us.open_source(images, loaded)
    named = None if run is None else us.load(run)
    found = detect(
        loaded, layer, source, concept, unit=unit, top=top, run=named, most=most, share=share, seed=seed
    )
    if out is not None:
        found.save(out)
        found.page(out)
    show(found, json, *(str(out / name) for name in (*found.files, *found.pictures) if out))
