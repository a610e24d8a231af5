"""The command that takes units away from a classifier."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

import unitscope as us
from unitscope.cli.words import Device, Draws, Network, Opening, Output, Source, find_device, publish


def ablate(
    network: Network,
    layer: Annotated[str, arg(metavar="LAYER")],
    images: Source,
    test: Annotated[str | None, arg(metavar="SOURCE")] = None,
    run: Annotated[Path | None, arg(metavar="RUN")] = None,
    counts: Annotated[tuple[int, ...], arg(metavar="N [N ...]")] = (),
    by: Literal["contrast", "margin", "accuracy"] = "contrast",
    classes: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = (),
    device: Device = "cpu",
    drawing: Draws = Draws(),
    opening: Opening = Opening(),
    output: Output = Output(Path("runs/ablate")),
) -> None:
    """Remove units of a classifier: which ones does each class need, and what is left without them?

    Units are ranked for every class on one half of the images and removed on the other. Prints balanced
    accuracy / accuracy over all classes, in percent. Writes importance.csv, removal.csv, classes.csv,
    graph.json and a page.

    Args:
        network: a classifier whose classes have names.
        layer: the layer whose units are removed, as in `unitscope layers NETWORK`.
        images: images labelled as a whole with the network's classes.
        test: images to test on, instead of half of the others.
        run: a dissection of the layer, for the names and pictures of its units.
        counts: how many units to remove; 4 and 20 are always among them.
        by: rank units by the drop of contrast, of margin, or of balanced accuracy.
        classes: only these classes; images of the others still count.
    """
    from unitscope.experiments import Pictures, study_removal

    output.check()
    loaded, pictures = opening.load(network), None
    if run is not None:
        found = us.load(run)
        pictures = Pictures(found, us.open_source(found.source, loaded), run)
    loaded.module.to(find_device(device))
    study = study_removal(
        loaded,
        layer,
        us.open_source(images),
        None if test is None else us.open_source(test),
        classes=classes,
        counts=counts,
        by=by,
        run=None if pictures is None else pictures.run,
        **vars(drawing),
    )
    publish(study, output, pictures=pictures)
