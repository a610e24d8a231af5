"""Probing layers: a few passes over made images tell what a layer gives, where it answers, what is random."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from unitscope.axes import Pictures
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.addresses import Address, Site, find_addresses, leave_directions
from unitscope.networks.channel_order import fits, turn_channels
from unitscope.networks.latents import Lenses, read_latents
from unitscope.networks.listing import LayerShape
from unitscope.networks.network import Input, Network, as_network
from unitscope.networks.places import (
    CHANGED,
    DIFFERS,
    Place,
    are_moving,
    draw_changes,
    follow_changes,
    locate,
)
from unitscope.networks.randomness import (
    check_steady,
    differ,
    draw_maps,
    find_unsteady,
    is_known,
    is_random,
    note_randomness,
    seeded,
    watch,
)
from unitscope.networks.receptive_fields import Field, Windows, following, take_fields
from unitscope.networks.shuffles import Shuffles
from unitscope.networks.structures import pick
from unitscope.networks.tokens import Layout, Size
from unitscope.networks.trace import evaluation, list_layers, tap
from unitscope.networks.unit_maps import check_batch, read_units
from unitscope.progress import follow_each

_TOGETHER = 16
_IF_SHUFFLED = (
    "where patches are shuffled or left out at random, as by a masked autoencoder, give a module whose "
    "forward pass does not mask (a wrapper around its encoder), or name a layer before the shuffle"
)


@dataclass(frozen=True, eq=False)
class Probe:
    """What a few passes have told of some layers of a network; made by `probe_layers`.

    `outputs` is what each gives for one image, raw, or its latents; `fields` the receptive fields of those
    that have them; `places` where they answer to changes; `random` whether the network draws random numbers;
    `company` the layers that give an image other maps in a batch with other images. A layer in directions has
    all but its output from the layer itself.
    """

    outputs: Mapping[str, Tensor]
    fields: Mapping[str, Field]
    places: Mapping[str, Place]
    random: bool = False
    company: tuple[str, ...] = ()


def draw_inputs(network: Network, size: Size) -> Pictures:
    """The images of `draw_changes` as the network's pictures: of named bands in the scale that it expects."""
    prepared = network.preprocessing
    images = draw_changes(size, max(prepared.places) + 1)
    if isinstance(prepared.channels, str):
        return images
    deviations = images.astype(np.float32) / 64 - 2
    for place, mean, std in zip(prepared.places, prepared.mean, prepared.std, strict=True):
        deviations[..., place] = mean + std * deviations[..., place]
    return deviations


def is_fitting(raw: Tensor, layout: Layout, windows: Windows, layer: str = "") -> bool:
    """Whether the grid of a layer may be that of the input, by its proportions or its patches.

    `raw` has its channels first. Where the patches are known, only their grid fits, halved and doubled; else
    only sizes that convolutions and pools of the network have led to (`windows`), halved.
    """
    if raw.ndim == 3:
        return layout.place(raw.shape[1], layer).known or not layout.patches
    if raw.ndim != 4:
        return True
    size = raw.shape[2], raw.shape[3]
    if layout.patches:
        return size in layout.grids
    reached = [
        (-(-rows // power), -(-columns // power)) for power in (1, 2, 4, 8) for rows, columns in windows
    ]
    return fits(*size, layout.size) and (size in reached or len(windows) < 2)


def list_places(network: Network | nn.Module, size: Size | None = None) -> list[LayerShape]:
    """`list_layers`, with the `place` of every layer that can be read.

    One forward pass more, over three images. A generator's layers have none: a latent has no places. Raises
    what `list_layers` raises.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
    >>> [layer.place for layer in list_places(net, (14, 14))]
    ['in place', 'in place', 'whole']
    """
    network = as_network(network)
    rows = list_layers(network, size)
    blank = network.blank(size)
    if isinstance(blank, tuple):
        return rows
    size = blank.shape[2], blank.shape[3]
    if is_random(network):
        where = _find_places(network, [row.name for row in rows if row.shape], size)
        return [replace(row, place=where.get(row.name, "")) for row in rows]
    batch = network.feed(draw_inputs(network, size), 0, network.device)
    placed: dict[str, str] = {}
    calls: Counter[Address] = Counter()
    layout = network.layout(batch)
    found = find_addresses(network, [row.name for row in rows if row.shape])

    def note(site: Site, whole: object) -> None:
        calls[site.address] += 1
        for text, address in found.asked.items():
            if address.site != site.address or (address.call or 1) != calls[site.address]:
                continue
            # Three images may show that a first axis is not the batch.
            with suppress(NetworkError, UsageError):
                value = pick(whole, address.steps)
                if not isinstance(value, Tensor):
                    continue
                check_batch(value, len(CHANGED) + 1, text)
                raw = turn_channels(value, site.part, network.module, layout.size, text)
                place = locate(read_units(raw, layout, text), is_fitting(raw, layout, windows, text))
                placed[text] = place.where

    with evaluation(network.module), torch.no_grad(), ExitStack() as hooks:
        windows = hooks.enter_context(following(network, batch))
        for site in found.sites.values():
            hooks.callback(site.hook(partial(note, site)))
        network.run(batch)
    return [replace(row, place=placed.get(row.name, "")) for row in rows]


def _find_places(network: Network, layers: Sequence[str], size: Size) -> dict[str, str]:
    """Where layers of a random network answer: of some at a time, since maps of many images are held."""
    found: dict[str, str] = {}
    batch = network.feed(draw_inputs(network, size), 0, network.device)
    shuffles = Shuffles(network, batch, are_moving)
    for start in follow_each(range(0, len(layers), _TOGETHER), "looking at layers", "parts"):
        some, wrong = _probe(network, layers[start : start + _TOGETHER], size, shuffles)
        found |= {layer: place.where for layer, place in some.places.items()}
        found |= dict.fromkeys(wrong, "elsewhere")
    return found


def probe_layers(network: Network, layers: Sequence[str], size: Size) -> Probe:
    """What a few passes tell of layers, at an input of (height, width).

    Forward passes over one image of random blocks, then over two with changes, up to the last layer; where
    not all code is of well-known libraries, also over the first one again, which must come out the same; more
    where random numbers are drawn. A generator is read with its first latent, and its layers have no places.

    Raises what `tap` raises, `NetworkError` where two passes of the same image differ without random numbers
    that could be set, or where places are random.
    """
    plain = leave_directions(network, layers)
    found, wrong = _probe(network, list(dict.fromkeys(plain.values())), size)
    for error in wrong.values():
        raise error
    lenses, outputs = Lenses(network.name), dict[str, Tensor]()
    for layer, address in find_addresses(network, layers).asked.items():
        raw = outputs[layer] = found.outputs[plain[layer]]
        if lenses.read_change(layer, address):  # of its input as well, which was not read
            with tap(network, [layer]) as read:
                batch = _draw_batch(network, size)
                outputs[layer] = read(batch if isinstance(batch, tuple) else batch[:1])[layer]
        elif address.directions:
            outputs[layer] = read_latents(lenses.find(layer, address.directions, raw), raw)
    fields = {layer: found.fields[name] for layer, name in plain.items() if name in found.fields}
    places = {layer: found.places[name] for layer, name in plain.items() if name in found.places}
    return replace(found, outputs=outputs, fields=fields, places=places)


def _draw_batch(network: Network, size: Size) -> Input:
    """What the network is called with for the images of `draw_changes`; a generator's first latent."""
    blank = network.blank(size)
    return blank if isinstance(blank, tuple) else network.feed(draw_inputs(network, size), 0, network.device)


def _probe(
    network: Network, layers: Sequence[str], size: Size, shuffles: Shuffles | None = None
) -> tuple[Probe, dict[str, NetworkError]]:
    """What `probe_layers` finds, and what it says of layers whose places are random."""
    module, batch = network.module, _draw_batch(network, size)
    first = batch if isinstance(batch, tuple) else batch[:1]
    moved: tuple[str, ...] = ()
    with tap(network, layers, steady=False) as read:
        with following(network, first) as windows, watch(module) as drawn:
            outputs = read(first)
        random = drawn[0]
        note_randomness(module, random)
        if is_known(network) and isinstance(batch, Tensor):
            changed = {} if random else read(batch[1:])
            whole = {layer: torch.cat([outputs[layer], maps]) for layer, maps in changed.items()}
        else:
            # The first image again, with other random numbers: what draws past all known sources is seen too.
            with seeded(module, 1), watch(module) as drawn:
                whole = read(batch)
            random, moved = drawn[0], find_unsteady(outputs, whole)
        if not random and (random is None or moved):
            with seeded(module, 1):
                again = read(first)  # in a batch of the same size, where libraries round alike
            random = random is None and differ(outputs, again)
            if not random:
                check_steady(network.name, outputs, again)
        fields = take_fields(network, first, outputs, windows)
        draws = {layer: [maps] for layer, maps in whole.items()}
        if random:
            draws = draw_maps(network, read, batch)
            outputs = {layer: maps[0][:1] for layer, maps in draws.items()}
    places: dict[str, Place] = {}
    wrong: dict[str, NetworkError] = {}
    layout = network.layout(size)
    shuffles = shuffles or Shuffles(network, batch, are_moving)
    for layer, raws in draws.items() if isinstance(batch, Tensor) else ():
        fitting = is_fitting(raws[0], layout, windows, layer)
        try:
            places[layer] = _place_draws(network.name, layer, raws, layout, fitting)
            if random and raws[0].ndim == 3 and places[layer].where in ("in place", "mixed"):
                _check_order(network.name, layer, raws, layout, shuffles)
        except NetworkError as error:
            wrong[layer] = error
    return Probe(outputs, fields, places, bool(random), () if random else moved), wrong


def _place_draws(name: str, layer: str, raws: Sequence[Tensor], layout: Layout, fitting: bool) -> Place:
    """Where a layer answers, of what it gave for the three images, each time with other random numbers.

    Places that are the same each time add up. Raises `NetworkError` where they are random.
    """
    try:
        maps = [read_units(raw, layout, layer) for raw in raws]
    except NetworkError as error:
        if len(raws) == 1:
            raise
        seen = f"{name} draws random numbers in evaluation, and its map has no place: {error}"
        raise NetworkError(f"{seen}; {_IF_SHUFFLED}") from error
    if len(maps) > 1 and are_moving(maps):
        raise NetworkError(
            f"layer {layer} of {name} has its places at random: with other random numbers it answers "
            f"to the same changes of an image at other cells; {_IF_SHUFFLED}"
        )
    return locate(torch.cat(maps, 1), fitting)


def _check_order(name: str, layer: str, raws: Sequence[Tensor], layout: Layout, shuffles: Shuffles) -> None:
    """Raises `NetworkError` where a layer mixes its tokens too much to tell, and they were shuffled."""
    strength, _ = follow_changes([read_units(raw, layout, layer) for raw in raws])
    earlier = shuffles.find_before(layer, raws[0].shape[1]) if strength <= DIFFERS else None
    if earlier is not None:
        raise NetworkError(
            f"layer {layer} of {name} has its places at random: {earlier}, which runs before it, answers to "
            f"the same changes of an image at other cells with other random numbers; {_IF_SHUFFLED}"
        )
