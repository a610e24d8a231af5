"""The command that tells cells' classes by single units."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

import unitscope as us
from unitscope.cli.components import settle_layers
from unitscope.cli.words import Flag, Json, Network, Opening, Running, Source, check_out, show


def cells(
    network: Network,
    layers: Annotated[list[str], arg(metavar="LAYER [LAYER ...]")],
    concepts: Source,
    validation: Annotated[str | None, arg(metavar="SOURCE")] = None,
    category: str | None = None,
    cells: Literal["majority", "foreground"] = "majority",
    unlabeled: Literal["negative", "class"] = "negative",
    reduction: int = 1,
    fit: Literal["stretch", "crop"] = "stretch",
    limit: int | None = None,
    trust_layout: Flag = False,
    out: Path | None = None,
    opening: Opening = Opening(),
    running: Running = Running(),
    json: Json = False,
) -> None:
    """Tell classes of cells by single units: probe R, mAP, coverage, purity, as saev measures autoencoders.

    Args:
        network: whose units.
        layers: layer names as `unitscope layers NETWORK` lists them, NAME+SPEC in directions;
            NAME+pca:N, NAME+ica:N and NAME+nmf:N are fitted to the images that are learned from.
        concepts: the labelled images; their half train is learned from, and their half test measured on.
        validation: measure on these images instead, and learn from all of the others.
        category: whose concepts are the classes; by default the first that the images have.
        cells: what a cell is called by: the commonest of all that its pixels are, or of their concepts if
            they have any.
        unlabeled: what cells without a label are: of no class, or of one more.
        reduction: labels are read at the input's size divided by this.
        fit: stretch the whole image to the input, or crop as the network's library does.
        limit: only the first images of the sources.
        trust_layout: take a layer whose map answers at other places than those where the input changes.
        out: folder for cells.csv, a row for every class, and cell_summary.csv, a row for every layer.
    """
    from unitscope.concepts.derived import split_source
    from unitscope.dissection import measure_cells
    from unitscope.networks.generators import pair_generator

    if out is not None:
        check_out(out)
    machine = running.start()
    loaded = opening.load(network)
    loaded, source = pair_generator(loaded, us.open_source(concepts, loaded))
    other = None if validation is None else us.open_source(validation, loaded)
    if limit is not None:
        source, other = us.limit(source, limit), None if other is None else us.limit(other, limit)
    learned = split_source(source, "train") if other is None else source
    layers = settle_layers(loaded, layers, learned, machine=machine, batch_size=running.batch_size)
    found = measure_cells(
        loaded,
        source,
        layers,
        validation=other,
        category=category,
        cells=cells,
        unlabeled=unlabeled,
        reduction=reduction,
        fit=fit,
        batch_size=running.batch_size,
        machine=machine,
        trust_layout=trust_layout,
    )
    if out is not None:
        found.save(out)
    show(found, json, *(str(out / name) for name in found.files if out))
