"""The commands that explain single predictions, and take single units for detectors."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

import unitscope as us
from unitscope.cli.components import settle_layers
from unitscope.cli.words import Device, Flag, Json, Network, Opening, Source, check_out, find_device, show

Images = Annotated[
    Positional[tuple[str, ...]],
    arg(
        metavar="[IMAGE ...]", help="a picture's file, or SOURCE#INDEX: an image of a source, counted from 0"
    ),
]


def explain(
    network: Network,
    images: Images = (),
    layer: str | None = None,
    run: Annotated[Path | None, arg(metavar="RUN")] = None,
    target: Annotated[str | None, arg(name="class", metavar="CLASS")] = None,
    units: int = 6,
    exact: Flag = False,
    deletion: Annotated[str | None, arg(metavar="SOURCE")] = None,
    draws: int = 10,
    seed: int = 0,
    opening: Opening = Opening(),
    device: Device = "cpu",
    out: Annotated[Path | None, arg(metavar="DIR")] = None,
    json: Json = False,
) -> None:
    """Explain predictions: which units of a layer speak for a class, and where in the image.

    Args:
        network: the classifier.
        images: the images to explain.
        layer: the layer whose units explain; by default that of the run, or the last one with maps.
        run: a dissection of this network and layer, for the units' labels.
        target: the class explained, a name or a number, instead of the predicted one.
        units: how many units are shown.
        exact: refuse a layer whose units do not reach a last linear layer one by one.
        deletion: remove top contributors, and random units, from all images of this source.
        draws: random draws an image in the deletion test.
        seed: seed of these draws and of the bootstrap.
        out: also write explanation.png (or -1, -2, ...), explanation.json, deletion.csv and deletion.svg.
    """
    from unitscope.interventions import explain
    from unitscope.views.pages import spell_look

    if out is not None:
        check_out(out)
    loaded = opening.load(network)
    source = None if deletion is None else us.open_source(deletion)
    named = None if run is None else us.load(run)
    loaded.module.to(find_device(device))
    if layer is not None:
        [layer] = settle_layers(loaded, [layer], source)
    found = explain(
        loaded,
        images,
        layer,
        run=named,
        target=target,
        units=units,
        exact=exact,
        deletion=source,
        draws=draws,
        seed=seed,
    )
    if out is not None:
        found.save(out)
        found.page(out)
    kinds = {".svg": "figure", ".png": "picture"}
    files = [f"{kinds[Path(name).suffix]}: {out / name}" for name in found.pictures if out]
    page = [] if run is None else [f"in the browser: {spell_look(network, run)}"]
    show(found, json, *files, *page)


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
    [layer] = settle_layers(loaded, [layer], source)
    found = detect(
        loaded, layer, source, concept, unit=unit, top=top, run=named, most=most, share=share, seed=seed
    )
    if out is not None:
        found.save(out)
        found.page(out)
    show(found, json, *(str(out / name) for name in (*found.files, *found.pictures) if out))
