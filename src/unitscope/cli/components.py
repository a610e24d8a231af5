"""Layers as commands take them: components that are named by their number become files."""

import sys
from collections.abc import Sequence
from dataclasses import replace

import unitscope as us
from unitscope.errors import UsageError


def settle_layers(
    network: "us.Network",
    layers: Sequence[str],
    images: "us.ConceptSource | None",
    *,
    machine: "us.Machine | None" = None,
    batch_size: int | None = None,
    fits: bool = True,
) -> list[str]:
    """Layers with the address of a file for each `LAYER+pca:N`, `+ica:N` and `+nmf:N` (`name_components`).

    Each of these is told in a line. `images` are those that the command reads, None where it reads none to
    fit to; `machine` is by default that of the network's device. Without `fits` nothing is fitted. Raises
    `UsageError` where components are asked for then, and what `name_components` raises.
    """
    if not any("+" in layer for layer in layers):  # what is wrong with them is the command's to tell
        return list(layers)
    from unitscope.experiments.fitting.named import find_components, name_components
    from unitscope.networks.directions.open_directions import say_fit

    asked = find_components(network, layers)
    if not asked:
        return list(layers)
    why = "" if images is not None else "this command has no images to fit to"
    why = why if fits else "--dry-run fits nothing"
    if why:
        layer, _, spec = asked[0].rpartition("+")
        raise UsageError(f"{asked[0]}: {why}; do so first: {say_fit(layer, spec)}")
    assert images is not None
    machine = machine or us.Machine(network.device)
    found = name_components(
        network, asked, images, batch_size=batch_size, machine=replace(machine, workers=None, ray=None)
    )
    for one in found.values():
        print(f"unitscope: {one}", file=sys.stderr)
    return [found[layer].layer if layer in found else layer for layer in layers]
