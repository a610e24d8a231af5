"""How images pass a network: how many at once, and in which order a picture's numbers lie in memory.

Both are found by two passes of one image, and not by the time that they take: the same network gets the same.
What is chosen decides the last digits of activations, so that it stands in the recipe of a run.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from unitscope.dissection.device_batches import fit_on_device
from unitscope.networks.addresses import leave_directions
from unitscope.networks.network import Network
from unitscope.networks.probe import draw_inputs
from unitscope.networks.trace import tap
from unitscope.statistics.scan import Machine, ScanPlan, feed_pictures

_FEWEST, _MOST = 8, 32
_ROOM = 1 << 30
"""Bytes that the outputs of all layers may take for a batch: of more, too little stays near the processor."""

_ROUNDING = 1e-3
"""Of the largest activation: what rounding in another order may change, and another result exceeds."""


@dataclass(frozen=True, eq=False)
class _Trial:
    """What the layers themselves give for one made image, and the bytes of all outputs on the way to them."""

    maps: Mapping[str, Tensor]
    bytes: int


def settle_passes(network: Network, plan: ScanPlan, machine: Machine, batch_size: int | None) -> ScanPlan:
    """The plan with how images pass: as `batch_size` and the machine say, else as the network suggests.

    On a CPU that is 8, 16 or 32 images at once, with which the outputs of all layers on the way stay below
    1 GB together, where that can be. Pictures lie with their channels last in memory, which convolutions on a
    CPU like better, where layers give maps and the result is the same but for rounding: some code takes it
    for granted that channels lie first. A random network, whose images pass one by one, is given them as
    always. On a GPU as many pass as its memory holds, channels first. Raises what `fit_on_device` raises.
    """
    last = machine.channels_last
    if plan.random:
        return replace(plan, batch_size=batch_size or _FEWEST, channels_last=bool(last))
    if torch.device(machine.device).type != "cpu":
        last = bool(last)
    if batch_size is None and not machine.compiled:
        batch_size = fit_on_device(network, plan, machine)
    if batch_size is None or last is None:
        trial = _try(network, plan, machine, False)
        batch_size = batch_size or size_batch(trial.bytes)
        last = _lies_last(network, plan, machine, trial) if last is None else last
    return replace(plan, batch_size=batch_size, channels_last=last)


def size_batch(size: int) -> int:
    """How many images pass at once on a CPU where the outputs for one take so many bytes.

    >>> size_batch(8_000_000), size_batch(60_000_000), size_batch(240_000_000)
    (32, 16, 8)
    """
    fitting = _MOST
    while fitting > _FEWEST and fitting * size > _ROOM:
        fitting //= 2
    return fitting


def _lies_last(network: Network, plan: ScanPlan, machine: Machine, usual: _Trial) -> bool:
    convolves = any(isinstance(part, nn.Conv2d) for part in network.module.modules())
    if not convolves or type(network) is not Network or any(maps.ndim != 4 for maps in usual.maps.values()):
        return False
    try:
        other = _try(network, plan, machine, True)
    except Exception:  # whatever the network's own code raises
        return False
    return all(_agree(maps, other.maps[layer]) for layer, maps in usual.maps.items())


def _try(network: Network, plan: ScanPlan, machine: Machine, last: bool) -> _Trial:
    fed, sizes = network.blank(plan.frame.size), list[int]()
    if isinstance(fed, Tensor):
        images = draw_inputs(network, plan.frame.size)[:1]
        fed = feed_pictures(network, images, 0, machine.device, last)

    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel() * output.element_size())

    # Latents may differ by much where a layer is another one by rounding alone.
    layers = list(dict.fromkeys(leave_directions(network, tuple(plan.tails)).values()))
    with tap(network, layers, checked=True) as read, ExitStack() as hooks:
        for part in network.module.modules():
            if not [*part.children()] and not isinstance(part, torch.jit.ScriptModule):
                hooks.callback(part.register_forward_hook(note).remove)
        # A copy: some networks write every pass into the same memory.
        return _Trial({layer: maps.clone() for layer, maps in read(fed).items()}, sum(sizes))


def _agree(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    return bool((one - other).abs().max() <= _ROUNDING * one.abs().max())
