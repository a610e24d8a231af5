"""The masks of units for any picture: those that a run counted."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from unitscope.concepts.unlabeled import gather_pictures
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.activations import read_batches
from unitscope.dissection.matching import check_directions, check_weights
from unitscope.dissection.planning import plan_scan
from unitscope.dissection.recipe import NetworkRecord, Recipe, record_network
from unitscope.errors import UnitscopeError, UsageError
from unitscope.networks.generators import Generator, find_generated, pair_generator
from unitscope.networks.load import load_network
from unitscope.networks.network import Network
from unitscope.statistics.grids import Grid
from unitscope.statistics.scan import Machine, ScanPlan
from unitscope.tables import plain

_STATED_BY_FRAME = ("size", "crop_fraction", "resample")


def draw_masks(
    recipe: Recipe | None,
    layer: str,
    thresholds: Mapping[int, float],
    images: object,
    network: Network | None = None,
    dead: Collection[int] = (),
) -> Iterator[Bool[np.ndarray, "unit row column"]]:
    """The masks of some units of a run's layer on pictures, one picture after the other.

    `thresholds` are those of the units wanted; of the `dead` ones the run counted nothing. What is wrong with
    what was asked for is raised at once; see `LayerDissection.masks`.
    """
    if recipe is None:
        raise UsageError(
            f"layer {layer} comes from no run, which says how pictures are read; take run[layer]"
        )
    opened = _reopen(recipe.network) if network is None else network
    check_same(recipe.network, opened)
    check_directions(recipe, opened, layer)
    source = gather_pictures(images)
    if isinstance(opened, Generator) and find_generated(source) is None:
        raise UsageError(
            f"{opened.name} makes its own pictures and reads none; give layer.masks a source of its images, "
            f"such as open_source('generator:{opened.name},count=8')"
        )
    opened, source = pair_generator(opened, source)
    plan = _plan(recipe, opened, source, layer)
    return _draw(recipe, opened, source, plan, thresholds, dead)


def find_grids(recipe: Recipe, network: Network, layers: Sequence[str]) -> dict[str, Grid]:
    """How the maps of some layers lie over the masks that a run counts, by layer.

    Raises what planning a scan raises: `UsageError` for an unknown layer, `NetworkError` for one that gives
    no maps.
    """
    blank = gather_pictures([np.zeros((*recipe.frame.size, 3), np.uint8)])
    frame = recipe.frame
    plan, *_ = plan_scan(network, blank, layers, recipe.convention, {}, frame.size, frame.fit_mode)
    return {layer: tail.grid for layer, tail in plan.tails.items()}


def find_fired(
    grid: Grid,
    maps: Float32[Tensor, "unit cell_y cell_x"],
    thresholds: Float32[Tensor, "unit"],
    dead: Bool[Tensor, "unit"],
) -> Bool[Tensor, "unit row column"]:
    """Where units are above their thresholds in a picture, at mask size.

    What was `dead` in the run wakes where a cell is above its threshold, not where interpolation rounds up.
    """
    stored = grid.surround(maps[None])
    bounds = thresholds[:, None, None]
    awake = ~dead[:, None, None] | (stored[0].amax((1, 2), keepdim=True) > bounds)
    return (grid.upsample(stored)[0] > bounds) & awake


def _draw(
    recipe: Recipe,
    network: Network,
    source: ConceptSource,
    plan: ScanPlan,
    thresholds: Mapping[int, float],
    dead: Collection[int],
) -> Iterator[Bool[np.ndarray, "unit row column"]]:
    [(layer, tail)] = plan.tails.items()
    units = list(thresholds)
    bounds = torch.tensor(list(thresholds.values()), dtype=torch.float32)
    sleeping = torch.tensor([unit in dead for unit in units], dtype=torch.bool)
    machine = Machine(network.device, bool(recipe.mixed_precision))
    for _, maps in read_batches(network, source, plan, machine):
        for image in maps[layer].cpu():
            yield find_fired(tail.grid, image[units], bounds, sleeping).numpy()


def _plan(recipe: Recipe, network: Network, source: ConceptSource, layer: str) -> ScanPlan:
    """The plan of the run, for one layer and other pictures."""
    frame = recipe.frame
    plan, *_ = plan_scan(network, source, [layer], recipe.convention, {}, frame.size, frame.fit_mode)
    return replace(
        plan,
        frame=frame,
        # As the run had them: libraries round otherwise in batches of another size.
        batch_size=recipe.batch_size or plan.batch_size,
        shard_size=recipe.shard_size or plan.shard_size,
        channels_last=bool(recipe.channels_last),
    )


def _reopen(made: NetworkRecord) -> Network:
    if ".py:" in made.name:
        raise UsageError(
            f"the network of the run is made by {made.name}, which is not run unasked; give network"
        )
    size = (made.preprocessing or {}).get("size")
    return _open(made.name, None if size is None else (size[0], size[1]), made.digest)


@lru_cache(maxsize=1)
def _open(name: str, size: tuple[int, int] | None, digest: str | None) -> Network:
    """The network of that name and digest; the last one is kept, for one mask after the other."""
    try:
        network = load_network(name, size=size)
    except UnitscopeError as error:
        reason = f"the network of the run, {name!r}, does not open by its name ({error})"
        raise UsageError(f"{reason}; give network") from error
    if digest not in (None, network.digest):
        raise UsageError(f"{name} opens with other weights than those of the run; give network")
    return network


def check_same(made: NetworkRecord, network: Network) -> None:
    """Raises `UsageError` where a network has other weights than a run's, or prepares its input otherwise."""
    if not isinstance(network, Network):
        raise UsageError(
            f"the network is a {type(network).__name__}; give a Network, as load_network opens it"
        )
    check_weights(made, network)
    here, there = plain(asdict(network.preprocessing)), plain(made.preprocessing or {})
    differing = [
        name for name, value in here.items()
        if name not in _STATED_BY_FRAME and there.get(name, value) != value
    ]  # fmt: skip
    if differing:
        name = differing[0]
        raise UsageError(
            f"{network.name} is given pictures with {name} {here[name]}, in the run it was {there[name]}; "
            "give the network as it was dissected"
        )
    given = record_network(network)
    if (made.prefix_tokens, made.tokens) != (given.prefix_tokens, given.tokens):
        raise UsageError(
            f"{network.name} has {network.tokens}, in the run its tokens were stated as first="
            f"{made.prefix_tokens}, {dict(made.tokens or {})}; give the network as it was dissected"
        )
