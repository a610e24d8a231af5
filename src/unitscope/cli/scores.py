"""The command that scores names of units, whichever tool gave them."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

import unitscope as us
from unitscope.cli.words import Convention, Flag, Json, Opening, Running, Source, check_out, show


def score(
    names: Annotated[Positional[Path], arg(metavar="LABELS.csv|RUN")],
    network: Annotated[str, arg(metavar="NETWORK")],
    concepts: Source,
    layer: Annotated[tuple[str, ...], arg(metavar="LAYER [LAYER ...]")] = (),
    at: Literal["pixels", "cells", "images"] = "pixels",
    top_fraction: float = 0.05,
    pool: Literal["mean", "max"] = "mean",
    convention: Convention = "netdissect",
    null: Literal["images", "units"] = "images",
    draws: int = 200,
    replicates: int = 200,
    seed: int = 0,
    skip_unknown: Flag = False,
    fit: Literal["stretch", "crop"] = "stretch",
    limit: int | None = None,
    trust_layout: Flag = False,
    out: Annotated[Path | None, arg(metavar="DIR")] = None,
    opening: Opening = Opening(),
    running: Running = Running(),
    json: Json = False,
) -> None:
    """Score the names that any tool gave to units: IoU, F1, Pearson, AUROC and others, each with a p-value.

    Args:
        names: the folder of a run, or a table with columns layer, unit, and concept, formula or word;
            CLIP-Dissect's descriptions.csv and NetDissect's tally.csv are read as they are.
        network: the network that the units belong to.
        concepts: labeled images, other ones than the names were made from.
        layer: score names of these layers alone; where the table has no layers, the one they belong to.
        at: what an input is: a pixel, a cell of the map, or an image.
        top_fraction: the share of inputs where a unit is taken for active.
        pool: what an image's response is, of its map.
        null: p-values ask whether a name fits as well with the presence of other images, or as many other
            named units of the layer as it fits this one.
        draws: how many of these are drawn, for p-values.
        replicates: how often images are redrawn, for intervals.
        seed: seed of both.
        skip_unknown: leave out names that are none of the concepts, and say which.
        fit: stretch the whole image to the input, or crop as the network's library does.
        limit: only the first images.
        trust_layout: take a layer whose map answers at other places than those where the input changes.
        out: folder for scores.csv, a row for every name and score, and names.csv, a row a name.
    """
    from unitscope.networks.generators import pair_generator

    if out is not None:
        check_out(out)
    machine = running.start()
    loaded = opening.load(network)
    loaded, source = pair_generator(loaded, us.open_source(concepts, loaded))
    found = us.score_names(
        names,
        loaded,
        layer or None,
        source if limit is None else us.limit(source, limit),
        at=at,
        top_fraction=top_fraction,
        pool=pool,
        convention=convention,
        null=null,
        draws=draws,
        replicates=replicates,
        seed=seed,
        skip_unknown=skip_unknown,
        fit=fit,
        machine=machine,
        trust_layout=trust_layout,
    )
    if out is not None:
        found.save(out)
    show(found, json, *(str(out / name) for name in found.files if out))
