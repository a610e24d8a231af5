"""Where layers answer, found by brute force: one small patch of the input is changed at a time.

It shares nothing with the probe of places but how a layer is read. With a the change of a cell, each unit in
its own scale, averaged over units, every patch's answers have the sum 1, and what all patches have in common
is taken away; what is left of a patch must be largest at the patch.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.addresses import Address, Site, find_addresses
from unitscope.networks.channel_order import turn_channels
from unitscope.networks.network import Network, number_images
from unitscope.networks.structures import pick
from unitscope.networks.tokens import Size
from unitscope.networks.trace import evaluation
from unitscope.networks.unit_maps import read_units

PLACES = tuple(((row + 0.3) / 8, ((3 * row + 1) % 8 + 0.6) / 8) for row in range(8))
"""Where patches are changed, of the height and the width: no two in a row or a column."""
PATCH = 1 / 14
"""The sides of a patch, of the height and the width."""
FOLLOWS = 0.8
"""The correlation from which the centers of answers follow the patches: one in 10,000 does so by chance."""
ENOUGH = 5
"""How many patches must be answered to tell anything."""
SLACK = 1 / 16
"""How far beside the patch its cell may lie, of the height and the width."""


@dataclass(frozen=True)
class Answer:
    """How many of the patches that a layer answers to at all (`told`) it answers to at their places (`hits`).

    Where answers are wide their peak is anywhere: `follows` is how the centers of the answers follow the
    places of the patches, the smaller correlation of the two axes.
    """

    hits: int
    told: int
    follows: float

    @property
    def tells(self) -> bool:
        """Whether enough patches are answered to tell anything: behind a ReLU there may be few."""
        return self.told >= ENOUGH

    @property
    def agrees(self) -> bool:
        """Whether at least half of the patches are answered at their places, or the centers follow them."""
        return 2 * self.hits >= self.told or self.follows >= FOLLOWS


@dataclass
class _Seen:
    """What the hooks of one pass have seen: of each layer the maps, image by image, until all are there."""

    network: Network
    size: Size
    asked: dict[Address, list[tuple[str, Address]]]
    calls: Counter[Address] = field(default_factory=Counter)
    maps: dict[str, list[Tensor]] = field(default_factory=dict)
    shares: dict[str, Tensor] = field(default_factory=dict)

    def see(self, site: Site, whole: object) -> None:
        self.calls[site.address] += 1
        for text, address in self.asked[site.address]:
            if (address.call or 1) != self.calls[site.address]:
                continue
            with suppress(NetworkError, UsageError):
                value = pick(whole, address.steps)
                assert isinstance(value, Tensor)
                raw = turn_channels(value, site.part, self.network.module, self.size, text)
                found = self.maps.setdefault(text, [])
                found.append(read_units(raw, self.network.layout(self.size), text))
                if sum(map(len, found)) == len(PLACES) + 1:
                    self.shares[text] = measure(torch.cat(self.maps.pop(text)))
                else:  # random networks pass their images one by one
                    found[-1] = found[-1].clone()


def find_answers(network: Network, layers: Sequence[str], size: Size, draws: int = 1) -> dict[str, Answer]:
    """Where layers answer to patches, over so many draws of an image; absent is what cannot be read."""
    found = find_addresses(network, layers)
    asked: dict[Address, list[tuple[str, Address]]] = {}
    for text, address in found.asked.items():
        asked.setdefault(address.site, []).append((text, address))
    total: dict[str, Tensor] = {}
    for draw in range(draws):
        batch = network.feed(draw_patches(size, draw), 0, network.device)
        assert isinstance(batch, Tensor)
        number_images(batch, [0] * len(batch))  # the same random numbers for all, where any are drawn
        seen = _Seen(network, size, asked)
        with evaluation(network), torch.no_grad(), ExitStack() as hooks:
            hooks.enter_context(network.watch(lambda _given, calls=seen.calls: calls.clear()))
            for site in found.sites.values():
                hooks.callback(site.hook(partial(seen.see, site)))
            network.run(batch)
        for layer, shares in seen.shares.items():
            total[layer] = total[layer] + shares if layer in total else shares
    return {layer: judge(shares) for layer, shares in total.items()}


def draw_patches(size: Size, seed: int = 0) -> np.ndarray:
    """An image of random blocks, and as many more as there are places, each with one patch changed.

    >>> images = draw_patches((56, 112))
    >>> images.shape, {int((image != images[0]).any(-1).sum()) for image in images}
    ((9, 56, 112, 3), {0, 32})
    """
    height, width = size
    random = np.random.default_rng(1000 + seed)
    blocks = random.integers(0, 256, (9, 11, 3))
    rows, columns = np.arange(height) * 9 // height, np.arange(width) * 11 // width
    base = (2 * blocks[rows][:, columns] + random.integers(0, 256, (height, width, 3))) // 3
    images = np.repeat(base[None], len(PLACES) + 1, 0).astype(np.uint8)
    high, wide = (max(round(side * PATCH), 1) for side in size)
    for image, (y, x) in zip(images[1:], PLACES, strict=True):
        top, left = round(y * height - high / 2), round(x * width - wide / 2)
        part = image[max(top, 0) : top + high, max(left, 0) : left + wide]
        part += random.integers(64, 193, part.shape, np.uint8)  # round the corner of 256: another color
    return images


def measure(maps: Tensor) -> Tensor:
    """The share of each cell in the answers to each patch [patch, row, column]; 0 where there is none."""
    changes = (maps[1:] - maps[:1]).abs_()
    scales = changes.mean((0, 2, 3))
    weights = torch.where(scales > 1e-3 * scales.max(), 1 / scales.clamp_min(1e-30), 0.0)
    answers = torch.einsum("puyx,u->pyx", changes, weights).double()
    return answers / answers.sum((1, 2), keepdim=True).clamp_min(1e-300)


def judge(shares: Tensor) -> Answer:
    """How often the cell that answers more to a patch than to the others is at the patch."""
    rows, columns = shares.shape[1:]
    told = shares.sum((1, 2)) > 0
    excess = shares - shares[told].mean(0)
    # Many small cells are noisy each: they are taken together over the size of a patch.
    high, wide = (2 * int(count * PATCH / 2) + 1 for count in (rows, columns))
    smooth = avg_pool2d(excess[:, None], (high, 1), 1, (high // 2, 0), count_include_pad=False)
    smooth = avg_pool2d(smooth, (1, wide), 1, (0, wide // 2), count_include_pad=False)[:, 0]
    hits, places, centers = 0, [], []
    for place, one, is_told in zip(PLACES, smooth.numpy(), told, strict=True):
        if not is_told:
            continue
        peak = np.unravel_index(one.argmax(), one.shape)
        hits += all(
            abs((number + 0.5) / count - at) <= PATCH / 2 + SLACK + 0.5 / count
            for number, count, at in zip(peak, (rows, columns), place, strict=True)
        )
        places.append(place)
        weights = one.clip(0)
        axes = weights.sum(1), weights.sum(0)
        centers.append([axis @ np.arange(len(axis)) / max(axis.sum(), 1e-300) for axis in axes])
    return Answer(hits, len(places), correlate(np.array(places), np.array(centers)))


def correlate(places: np.ndarray, centers: np.ndarray) -> float:
    """The smaller correlation of the two axes; an axis of one cell is left out, 0 where too few are told."""
    if len(places) < ENOUGH:
        return 0.0
    axes = [axis for axis in (0, 1) if np.ptp(centers[:, axis]) > 1e-9]
    return min((float(np.corrcoef(places[:, axis], centers[:, axis])[0, 1]) for axis in axes), default=0.0)
