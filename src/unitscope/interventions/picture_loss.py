"""How far pictures are from a given one: by colors, and by the first layers of a network that reads both."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional

from unitscope.errors import NetworkError
from unitscope.networks.network import Network, spread
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import evaluation, hook_layer, list_layers
from unitscope.networks.unit_maps import read_units

_COARSEST = 2
"""Layers whose cells are larger than so many pixels of what the network reads are not compared."""


class _Enough(BaseException):
    """Ends a forward pass whose rest is not read; no `Exception`, so that no network swallows it."""


@dataclass(frozen=True)
class Features:
    """A network that reads pictures, and the layers in which these are compared."""

    network: Network
    layers: tuple[str, ...]


def choose_features(network: Network) -> Features:
    """The layers of a network before its maps shrink, from the first on, down to a half of its input.

    Of a network whose maps are coarser from the beginning, the first one; no layer of one without maps.
    """
    height = spread(network.blank())[0].shape[2]
    rows = [row for row in list_layers(network) if row.whole and row.calls == 1 and row.shape]
    maps = [(row.name, row.shape[1]) for row in rows if row.shape is not None and row.shape[1] > 1]
    outer = {name for name, _ in maps if not any(name.startswith(f"{other}.") for other, _ in maps)}
    stages: list[tuple[str, int]] = []
    for name, side in (one for one in maps if one[0] in outer):
        if stages and side > stages[-1][1]:
            break
        if stages and side == stages[-1][1]:
            stages.pop()
        stages.append((name, side))
    fine = [name for name, side in stages if side * _COARSEST >= height]
    return Features(network, tuple(fine or [name for name, _ in stages[:1]]))


@contextmanager
def compare_with(
    picture: Float32[Tensor, "1 3 y x"], features: Features | None = None
) -> Iterator[Callable[[Tensor], Tensor]]:
    """Gives `loss(pictures) -> numbers`, one a picture: 0 for the given one, the larger the farther from it.

    2 (mean abs(x - g) + 2 mean (x - g)^2) + sum over layers of mean abs(f(x) - f(g)) / mean abs(f(g)), with
    colors from -1 to 1 and f what a layer of the network gives; without a network the first term alone.
    Gradients flow back to the pictures.

    >>> with compare_with(torch.zeros(1, 3, 4, 4)) as loss:
    ...     loss(torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])).tolist()
    [0.0, 6.0]
    """
    with ExitStack() as opened:
        read: Callable[[Tensor], list[Tensor]] = _no_maps
        if features is not None and features.layers:
            read = opened.enter_context(_reading(features))
        with torch.no_grad():
            seen = read(picture)
        sizes = [maps.abs().mean().clamp_min(1e-12) for maps in seen]

        def compare(pictures: Tensor) -> Tensor:
            off = pictures - picture
            loss = 2 * (off.abs().mean((1, 2, 3)) + 2 * off.square().mean((1, 2, 3)))
            for maps, wanted, size in zip(read(pictures), seen, sizes, strict=True):
                loss = loss + (maps - wanted).abs().mean((1, 2, 3)) / size
            return loss

        yield compare


def _no_maps(pictures: Tensor) -> list[Tensor]:
    return []


@contextmanager
def _reading(features: Features) -> Iterator[Callable[[Tensor], list[Tensor]]]:
    """Gives what the layers give for pictures with colors from -1 to 1; what comes after does not run."""
    network, size = features.network, features.network.preprocessing.size
    found: dict[str, Tensor] = {}

    def note(layer: str, raw: Tensor, layout: Layout) -> Tensor:
        found[layer] = read_units(raw, layout, layer)
        if len(found) == len(features.layers):
            raise _Enough
        return raw

    def read(pictures: Tensor) -> list[Tensor]:
        pixels = ((pictures + 1) / 2).clamp(0, 1).to(network.device)
        if size is not None and size != tuple(pixels.shape[2:]):
            pixels = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
        found.clear()
        try:
            network.run(network.preprocessing.normalize(pixels).to(network.dtype))
        except _Enough:
            return [found[layer].to(pictures.device) for layer in features.layers]
        missing = [layer for layer in features.layers if layer not in found]
        raise NetworkError(f"layer {missing[0]} of {network.name} never ran; compare other layers")

    with evaluation(network), ExitStack() as hooks:
        for layer in features.layers:
            hooks.enter_context(hook_layer(network, layer, partial(note, layer)))
        yield read
