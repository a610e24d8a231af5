"""A run held against the network it is used with: units of other weights are other units."""

from unitscope.concepts.vocabulary import Concept
from unitscope.dissection.recipe import NetworkRecord, Recipe
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.errors import UsageError, say_near
from unitscope.networks.addresses import find_addresses
from unitscope.networks.latents import open_for
from unitscope.networks.network import Network


def check_network(run: Dissection, network: Network) -> None:
    """Raises `UsageError` where a run is of other weights than the network has.

    What counts is the network's digest, not its name: a copy under another name has the same units. A recipe
    without a digest fits every network.
    """
    check_weights(run.recipe.network, network)


def check_weights(made: NetworkRecord, network: Network) -> None:
    """The same for what a run recorded of its network."""
    if made.digest not in (None, network.digest):
        raise UsageError(
            f"the run is of {made.name} with other weights than {network.name} here has; "
            "give the run of this network, or the weights of that run"
        )


def check_directions(recipe: Recipe | None, network: Network, layer: str) -> None:
    """Raises `UsageError` where the directions of a run's layer are others now: their file was changed."""
    made = ((recipe and recipe.directions) or {}).get(layer)
    if made is None:
        return
    spec = find_addresses(network, [layer]).asked[layer].directions
    if open_for(network.name, layer, spec, made["units"]).digest != made["digest"]:
        raise UsageError(
            f"the directions of {layer} are others than when the run was made, so its units are others; give "
            "the file of that run, or dissect again"
        )


def pick_layer(run: Dissection, layer: str) -> LayerDissection:
    """A layer of a run. Raises `UsageError` for one that it does not have, with near names and all names."""
    if layer not in run.layers:
        near = say_near(layer, run.layers)
        raise UsageError(f"the run has no layer {layer!r}{near}; it has {', '.join(run.layers)}")
    return run[layer]


def find_layer(run: Dissection, network: Network, layer: str) -> LayerDissection:
    """That layer of that network in a run.

    Raises what `check_network`, `pick_layer` and `check_directions` raise.
    """
    check_network(run, network)
    found = pick_layer(run, layer)
    check_directions(run.recipe, network, layer)
    return found


def find_detectors(layer: LayerDissection) -> dict[int, Concept]:
    """The labels of a layer's detectors, by unit."""
    return {unit.unit: unit.concept for unit in layer if unit.detector and unit.concept is not None}
