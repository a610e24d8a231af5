"""A run held against the network it is used with: units of other weights are other units."""

from unitscope.concepts.vocabulary import Concept
from unitscope.dissection.recipe import NetworkRecord
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.errors import UsageError, say_near
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


def pick_layer(run: Dissection, layer: str) -> LayerDissection:
    """A layer of a run. Raises `UsageError` for one that it does not have, with near names and all names."""
    if layer not in run.layers:
        near = say_near(layer, run.layers)
        raise UsageError(f"the run has no layer {layer!r}{near}; it has {', '.join(run.layers)}")
    return run[layer]


def find_layer(run: Dissection, network: Network, layer: str) -> LayerDissection:
    """That layer of that network in a run. Raises what `check_network` and `pick_layer` raise."""
    check_network(run, network)
    return pick_layer(run, layer)


def find_detectors(layer: LayerDissection) -> dict[int, Concept]:
    """The labels of a layer's detectors, by unit."""
    return {unit.unit: unit.concept for unit in layer if unit.detector and unit.concept is not None}
