"""The command that explains single predictions."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

import unitscope as us
from unitscope.cli.words import Device, Flag, Json, Network, Opening, check_out, find_device, show

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

    if out is not None:
        check_out(out)
    loaded = opening.load(network)
    source = None if deletion is None else us.open_source(deletion)
    named = None if run is None else us.load(run)
    loaded.module.to(find_device(device))
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
    show(found, json, *(f"{kinds[Path(name).suffix]}: {out / name}" for name in found.pictures if out))
