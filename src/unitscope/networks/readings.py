"""Layers read without their directions, so that latents are worked out of a few images at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from unitscope.networks.addresses import Address, find_addresses
from unitscope.networks.latents import Lenses, read_latents
from unitscope.networks.network import Network
from unitscope.networks.trace import Reader, tap

AT_ONCE = 2**24
"""About so many latents are worked out at a time, of all images together: 64 MB, not gigabytes of a batch."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What reads layers: `read` gives what they give before any directions, by plain addresses."""

    read: Reader
    asked: Mapping[str, Address]
    lenses: Lenses

    def split(
        self, layer: str, outputs: Mapping[str, Tensor], whole: bool = False
    ) -> Iterator[tuple[int, Tensor]]:
        """What `tap` gives for a layer, of some images after the others, with the number of their first.

        `outputs` are those of `read`. Other than sparse latents, or if it shall be `whole`, it comes at once;
        the values do not depend on that.
        """
        address = self.asked[layer]
        raw = outputs[str(address.plain)]
        if not address.directions:
            yield 0, raw
            return
        lens, step = self.lenses.find(layer, address.directions, raw), len(raw)
        if lens.sparse and not whole:
            cells = raw[0].numel() // lens.units
            together = lens.count_together(cells)
            step = together * max(1, AT_ONCE // (together * cells * lens.latents))
        for start in range(0, len(raw), step):
            with torch.no_grad():
                part = read_latents(lens, raw[start : start + step])
            yield start, part


@contextmanager
def open_reading(network: Network, layers: Sequence[str]) -> Iterator[Reading]:
    """Taps some layers that have been checked.

    Raises what `tap` raises; directions are opened at their first use.

    >>> layers = ["0+rotation:0", "0"]
    >>> with open_reading(Network(torch.nn.Sequential(torch.nn.ReLU())), layers) as reading:
    ...     outputs = reading.read(torch.zeros(1, 3, 2, 2))
    >>> [(start, part.shape) for start, part in reading.split("0+rotation:0", outputs)]
    [(0, torch.Size([1, 3, 2, 2]))]
    """
    asked = find_addresses(network, layers).asked
    plain = dict.fromkeys(str(address.plain) for address in asked.values())
    with tap(network, list(plain), checked=True) as read:
        yield Reading(read, asked, Lenses(network.name))
