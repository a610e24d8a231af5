"""How many images fit onto a device at once, found by trying, and how many make a shard."""

from contextlib import suppress
from dataclasses import replace

import numpy as np

from unitscope.errors import ActivationError
from unitscope.networks.fitting import MOST, fit_batch
from unitscope.networks.network import Network
from unitscope.networks.probe import draw_inputs
from unitscope.networks.trace import tap
from unitscope.statistics.annotations import Annotations
from unitscope.statistics.devices import DeviceTails
from unitscope.statistics.quantiles import empty_tail
from unitscope.statistics.scan import Batch, Machine, ScanPlan, feed_ahead, read_fed

PACKED = 24
"""Bytes that a cell takes where all are kept: 8, and as many again for what is pruned, and what is left."""

_SHARD = 128
"""Images a shard on a CPU."""

_BATCHES = 4
"""Batches that make a shard on a device: fewer would leave it idle in between."""


def fit_on_device(network: Network, plan: ScanPlan, machine: Machine) -> int:
    """The largest power of two of images, up to 256, whose pass and tails fit into a device's memory.

    That is tried with made pictures, the next batch beside it; no more than the source has, and than may be
    packed in the memory of the machine. Raises `NetworkError` where one image is too much.
    """
    images = next(iter(plan.tails.values())).images
    most = min(MOST, 1 << (images - 1).bit_length(), max(1, count_fitting(plan, machine)))
    return fit_batch(lambda size: _rehearse(network, plan, machine, size), machine.device, most)


def choose_shard(plan: ScanPlan, machine: Machine, asked: int | None) -> int:
    """Images a shard: as many as asked for, or fewer where all cells of so many would not fit into memory.

    Where nobody asked 128, and on a device at least four batches.
    """
    batch = plan.batch_size
    usual = _SHARD if machine.compiled else max(_SHARD, _BATCHES * batch)
    return min(asked or usual, max(count_fitting(plan, machine) // batch * batch, batch))


def count_fitting(plan: ScanPlan, machine: Machine) -> int:
    """Images all of whose cells fit into memory; beside a device two shards are held at a time."""
    cells = sum(tail.cells for tail in plan.tails.values())
    return machine.memory // (PACKED * cells * (1 if machine.compiled else 2))


def _rehearse(network: Network, plan: ScanPlan, machine: Machine, size: int) -> None:
    """Two batches of a scan, of which everything is kept."""
    made = draw_inputs(network, plan.frame.size)
    images = made[np.arange(size) % len(made)]
    none, keys = Annotations(plan.frame.mask_size, ()), ("a made picture",) * size
    plan = replace(plan, batch_size=size)
    lowest = {layer: np.full(tail.units, -np.inf, np.float32) for layer, tail in plan.tails.items()}
    tails = {layer: empty_tail(tail, lowest[layer]) for layer, tail in plan.tails.items()}
    gatherer = DeviceTails(tails, 1, machine.device)
    batches = (Batch(k * size, keys, images, none, True) for k in range(2))
    with tap(network, tuple(plan.tails), checked=True) as read, suppress(ActivationError):
        for batch, fed in feed_ahead(network, batches, plan, machine):
            for layer, maps in read_fed(network, read, plan, batch, fed, machine):
                gatherer.add(layer, maps, batch.first, keys, True)
        gatherer.finish()
