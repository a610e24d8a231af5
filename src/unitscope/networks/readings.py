"""Layers read without their directions, so that latents are worked out of a few images at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from unitscope.networks.addresses import leave_directions
from unitscope.networks.directions.directions import Directions
from unitscope.networks.latents import read_latents
from unitscope.networks.network import Network
from unitscope.networks.tokens import Size
from unitscope.networks.trace import Reader, open_lenses, tap

AT_ONCE = 2**24
"""About so many latents are worked out at a time, of all images together: 64 MB, not gigabytes of a batch."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What reads layers: `read` gives them without their directions, by their `plain` addresses.

    `lenses` has the directions of those layers that are read in any.
    """

    read: Reader
    plain: Mapping[str, str]
    lenses: Mapping[str, Directions]

    def split(
        self, layer: str, outputs: Mapping[str, Tensor], whole: bool = False
    ) -> Iterator[tuple[int, Tensor]]:
        """What `tap` gives for a layer, of some images after the others, with the number of their first.

        `outputs` are those of `read`. Without directions, or if it shall be `whole`, of all images at once.
        The values do not depend on that.
        """
        raw, lens = outputs[self.plain[layer]], self.lenses.get(layer)
        if lens is None:
            yield 0, raw
            return
        cells = raw[0].numel() // lens.units
        together = lens.count_together(cells)
        step = together * max(1, AT_ONCE // (together * cells * lens.latents))
        for start in range(0, len(raw), len(raw) if whole else step):
            with torch.no_grad():
                part = read_latents(lens, raw if whole else raw[start : start + step])
            yield start, part


@contextmanager
def open_reading(network: Network, layers: Sequence[str], size: Size) -> Iterator[Reading]:
    """Taps some layers, which have been checked, of a network that is fed images of that size.

    Raises what `tap` raises.

    >>> layers = ["0+rotation:0", "0"]
    >>> with open_reading(Network(torch.nn.Sequential(torch.nn.ReLU())), layers, (2, 2)) as reading:
    ...     outputs = reading.read(torch.zeros(1, 3, 2, 2))
    >>> [(start, part.shape) for start, part in reading.split("0+rotation:0", outputs)]
    [(0, torch.Size([1, 3, 2, 2]))]
    """
    lenses, plain = open_lenses(network, layers, size), leave_directions(network, layers)
    with tap(network, list(dict.fromkeys(plain.values())), checked=True) as read:
        yield Reading(read, plain, lenses)
