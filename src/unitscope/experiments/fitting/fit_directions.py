"""Directions are fitted to the cells of a layer: one verb for all kinds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from unitscope.concepts.derived import source_digest, source_spec
from unitscope.concepts.unlabeled import gather_pictures
from unitscope.dissection.activations import Activations, read_activations
from unitscope.errors import UsageError
from unitscope.experiments.fitting.asked import (
    MOST,
    Asked,
    Kind,
    Training,
    check_concepts,
    check_kind,
    check_size,
    choose_cells,
)
from unitscope.experiments.fitting.cells import Cells
from unitscope.experiments.fitting.components import fit_ica, fit_nmf, fit_pca, import_decomposition
from unitscope.experiments.fitting.measures import Fitted, measure_fit
from unitscope.experiments.fitting.probes import CellLabels, fit_probes, import_regression
from unitscope.experiments.fitting.training import train_autoencoder
from unitscope.experiments.fitting.unfinished import NOWHERE, Unfinished, check_out, open_unfinished
from unitscope.networks.addresses import find_addresses
from unitscope.networks.directions.directions import Directions
from unitscope.networks.directions.files import save_directions
from unitscope.networks.network import Network
from unitscope.statistics.scan import Machine
from unitscope.version import __version__


def fit_directions(
    network: Network,
    layer: str,
    images: object,
    kind: Kind,
    latents: int | None = None,
    *,
    k: int | None = None,
    concepts: Sequence[str] = (),
    seed: int = 0,
    training: Training = Training(),  # noqa: B008 - frozen
    out: str | Path | None = None,
    resume: bool = False,
    batch_size: int | None = None,
    machine: Machine = Machine(),  # noqa: B008 - frozen
    trust_layout: bool = False,
) -> Directions:
    """Directions fitted to the cells of a layer on images: a sparse autoencoder, components, or probes.

    - `topk-sae`, `batchtopk-sae`, `matryoshka-sae`, with `k` latents a cell, and `relu-sae`: autoencoders
      (`Autoencoder` has their losses);
    - `pca`, `ica`, `nmf`: so many components (`fit_pca`, `fit_ica`, `fit_nmf`);
    - `probe`: one for each concept of the images' own labels, or for the `concepts` named (`fit_probes`).

    Cells are places of maps and patches of tokens, float32, as `read_activations` reads them; class tokens
    are left out. `images` is a source or a list of pictures. If the cells take more than half of the
    machine's memory, the images are read again and again, as many at once as fit: so it is for pca and
    autoencoders; the others take a part of the cells by lot (`Training.cells`).

    With `out`, FILE.safetensors, the directions are saved, and what is done is kept beside it, in
    FILE.safetensors.unfinished, every 15 seconds and every 32 MB of cells, so that `resume` goes on. The
    same network, images, seed and threads give the same file, stopped in between or not, on the same kind of
    processor. What was fitted on what, and how well (`measure_fit`), is in `Directions.about`.

    Raises `UsageError` for an unknown kind or layer, numbers out of range, concepts that the images do not
    have, or a missing scikit-learn; `RunError` where `out` is there or cannot be written, or an unfinished
    fit is there that is another one, or not to be resumed; `SourceError`, `NetworkError` and
    `ActivationError` as `read_activations`.

    >>> import numpy as np
    >>> from torch import nn
    >>> network = Network(nn.Sequential(nn.AvgPool2d(2)))
    >>> pictures = [np.random.default_rng(i).integers(0, 255, (8, 8, 3), np.uint8) for i in range(4)]
    >>> found = fit_directions(network, "0", pictures, "topk-sae", 6, k=2, training=Training(steps=20))
    >>> found, found.about["cells"], found.about["k"]
    (topk-sae: 6 latents of 3 units, '64', '2')
    """
    check_kind(kind, latents, k, seed)
    source = gather_pictures(images)
    check_concepts(kind, concepts, source)
    if kind == "probe":
        import_regression()
    elif kind in ("ica", "nmf"):
        import_decomposition()
    place = None if out is None else Path(out)
    if place is not None:
        check_out(place, resume)
    # Where cells lie in the picture matters to what is labelled alone.
    trusted = trust_layout or kind != "probe"
    found = read_activations(
        network, source, [layer], batch_size=batch_size, machine=machine, trust_layout=trusted
    )
    asked = Asked(kind, latents or 0, k or 0, seed, training, machine.device)
    cells = plan_cells(found, layer, asked)
    recipe = _write_recipe(cells, asked, concepts)
    with open_unfinished(place, recipe, resume) as begun:
        made = fit_cells(replace(cells, folder=begun.folder), asked, concepts, begun)
        if place is not None:
            save_directions(made, place)
    return made


def plan_cells(found: Activations, layer: str, asked: Asked) -> Cells:
    """The cells of a layer that are read, after all that can be checked before.

    Raises `UsageError` for a layer in directions, for more latents than it, or its cells, can have, and for
    more cells than memory holds.
    """
    if find_addresses(found.network, [layer]).asked[layer].directions:
        raise UsageError(f"layer {layer} is read in directions already; fit on the layer without +")
    shape = found.plan.tails[layer]
    places = shape.raw_size[0] * shape.raw_size[1]
    chosen = choose_cells(asked.kind, asked.training.cells, len(found), places)
    if asked.kind == "probe":
        found = replace(found, source=CellLabels(found.source, found.plan.frame, shape.raw_size))
    cells = Cells(found, layer, chosen, asked.seed)
    check_size(asked, layer, cells.units, len(cells))
    if asked.kind in MOST and cells.rounds > 1:
        size, room = 4 * len(cells) * cells.units / 2**30, found.machine.memory / 2**31
        raise UsageError(
            f"{len(cells):,} cells of {layer} take {size:.1f} GB, and {asked.kind} has {room:.1f} for them; "
            "give fewer (--cells) or more memory (--memory)"
        )
    return cells


def fit_cells(
    cells: Cells, asked: Asked, concepts: Sequence[str] = (), begun: Unfinished = NOWHERE
) -> Directions:
    """Directions fitted to cells, with all that is known of them, and of how well they fit."""
    fitted = _fit(cells, asked, concepts, begun)
    measured = {} if asked.kind == "probe" else measure_fit(fitted, asked.seed, asked.device)
    return replace(fitted.directions, about=describe_fit(cells, asked) | fitted.about | measured)


def _fit(cells: Cells, asked: Asked, concepts: Sequence[str], begun: Unfinished) -> Fitted:
    if asked.kind == "probe":
        return fit_probes(cells, concepts, begun)
    fit = {"pca": fit_pca, "ica": fit_ica, "nmf": fit_nmf}.get(asked.kind, train_autoencoder)
    return fit(cells, asked, begun)


def _write_recipe(cells: Cells, asked: Asked, concepts: Sequence[str]) -> dict[str, Any]:
    """All that decides the directions: who goes on with a fit must ask for the same."""
    plan, machine = cells.found.plan, cells.found.machine
    return {
        **describe_fit(cells, asked),
        "concepts": list(concepts),
        "size": list(plan.frame.size),
        "batch_size": plan.batch_size,
        "channels_last": plan.channels_last,
        "mixed_precision": machine.mixed_precision,
        "device": machine.device.partition(":")[0],
        "images_a_block": cells.images_a_block,
        "blocks_a_turn": cells.blocks_a_turn,
        "version": __version__,
    }


def describe_fit(cells: Cells, asked: Asked) -> dict[str, str]:
    """What directions are fitted to, and how, as texts by name."""
    found, places = cells.found, cells.grid[0] * cells.grid[1]
    source = found.source.source if isinstance(found.source, CellLabels) else found.source
    about = {
        "network": found.network.name,
        "network_digest": found.network.digest,
        "layer": cells.layer,
        "source": source_spec(source),
        "source_digest": source_digest(source),
        "images": str(len(found)),
        "cells": str(len(cells)),
        "cells_an_image": f"{cells.chosen} of {places}",
    }
    about |= {name: str(value) for name, value in asked.facts.items() if name != "kind"}
    if asked.kind == "probe":
        del about["latents"]
    return about
