"""Where in the input each cell of a layer's map looks: receptive fields from the sizes of its parts."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from unitscope.errors import NetworkError
from unitscope.networks.network import Input, Network, as_network
from unitscope.networks.trace import tap
from unitscope.networks.unit_maps import read_units

_PADS = (nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.CircularPad2d)
_ADAPTIVE = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_WINDOWED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d)


@dataclass(frozen=True)
class Field:
    """Where a layer's cells lie in the input: cell i is centered at pixel `center + i * step`.

    Both are (rows, columns) in pixels of the network's input; pixel 0 is the first, its center at 0.
    """

    step: tuple[float, float]
    center: tuple[float, float]


@dataclass(frozen=True)
class _Window:
    """One axis of receptive fields: cell 0 sees `size` pixels from `offset` on, the next `step` further."""

    size: int = 1
    offset: int = 0
    step: int = 1

    def then(self, inner: "_Window") -> "_Window":
        """This window's cells seen through another: the composition of paper A's released code."""
        return _Window(
            (inner.size - 1) * self.step + self.size,
            inner.offset * self.step + self.offset,
            inner.step * self.step,
        )

    @property
    def center(self) -> float:
        return float(self.offset + self.size // 2)


_Windows = tuple[_Window, _Window]
Windows = dict[tuple[int, int], _Windows]
"""Receptive fields along rows and columns, by the size of the maps whose cells have them."""


def find_fields(
    network: Network | nn.Module, layers: Sequence[str], size: tuple[int, int] | None = None
) -> dict[str, Field]:
    """The field of each layer, for an input of `size` (height, width).

    Windows compose along the network as in the released code of paper A (Bau et al., CVPR 2017)::

        size = (size2 - 1) * step1 + size1,  offset = offset2 * step1 + offset1,  step = step2 * step1

    with offset = -padding, and cell i centered at i * step + offset + size // 2. They are followed through
    convolutions, pools and padding of one forward pass, by the size of the maps between them. Where a network
    pads outside its layers ("same" padding as in TensorFlow), half of what is missing, rounded down, is
    padded in front.

    A layer whose maps have a size that cannot be followed (flat features, pooling outside of modules) is
    absent from the result. Raises what `tap` raises.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 7, stride=2, padding=3), nn.MaxPool2d(3, 2, 1))
    >>> find_fields(net, ["1"], (32, 32))
    {'1': Field(step=(4.0, 4.0), center=(0.0, 0.0))}
    """
    network = as_network(network)
    batch = network.blank(size)
    with tap(network, layers) as read, following(network, batch) as found:
        outputs = read(batch)
    return take_fields(network, batch, outputs, found)


@contextmanager
def following(network: Network, batch: Input) -> Iterator[Windows]:
    """Gives the windows by the size of maps, filled when the network runs on the batch inside the block."""
    found: Windows = {}
    with ExitStack() as stack:
        if not isinstance(batch, tuple):  # nothing that a latent enters has a place in an input image
            height, width = batch.shape[2:]
            found[height, width] = _Window(), _Window()
            for part in _outermost(network.module):
                stack.callback(part.register_forward_hook(partial(_follow, found)).remove)
        yield found


def take_fields(
    network: Network, batch: Input, outputs: Mapping[str, Tensor], found: Windows
) -> dict[str, Field]:
    """The fields of layers, from what they gave on the batch and the windows that were followed."""
    fields = {}
    for layer, output in outputs.items():
        try:
            shape = read_units(output, network.layout(batch), layer).shape[2:]
        except NetworkError:
            continue
        windows = found.get((shape[0], shape[1]))
        if windows is not None and tuple(shape) != (1, 1):
            rows, columns = windows
            fields[layer] = Field((float(rows.step), float(columns.step)), (rows.center, columns.center))
    return fields


def _outermost(module: nn.Module) -> list[nn.Module]:
    """Convolutions, pools and pads, but not the parts of one (some convolutions hold their padding)."""
    if isinstance(module, (*_WINDOWED, *_ADAPTIVE, *_PADS)):
        return [module]
    parts = [part for child in module.children() for part in _outermost(child)]
    return list(dict.fromkeys(parts))


def _follow(found: Windows, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
    if not (args and isinstance(args[0], Tensor) and isinstance(output, Tensor)):
        return
    before, after = args[0].shape[-2:], output.shape[-2:]
    outer, key = found.get((before[0], before[1])), (after[0], after[1])
    if outer is None or key in found:
        return
    rows, columns = (_window(module, axis, before[axis], after[axis]) for axis in (0, 1))
    if rows is not None and columns is not None:
        found[key] = (outer[0].then(rows), outer[1].then(columns))


def _window(module: nn.Module, axis: int, before: int, after: int) -> _Window | None:
    """The window of one layer on one axis (0 rows, 1 columns), None where its sizes cannot be explained."""
    if isinstance(module, _PADS):
        stated: Any = module.padding  # left, right, top, bottom, or one for all
        return _Window(offset=-int(stated if isinstance(stated, int) else stated[0 if axis else 2]))
    if isinstance(module, _ADAPTIVE):
        return _Window(before // after, 0, before // after) if before % after == 0 else None
    kernel, stride = _pair(module.kernel_size)[axis], _pair(module.stride or module.kernel_size)[axis]
    extent = (kernel - 1) * _pair(getattr(module, "dilation", 1))[axis] + 1
    stated = getattr(module, "padding", 0)
    if not isinstance(stated, str):
        padding = _pair(stated)[axis]
        rounded = math.ceil if getattr(module, "ceil_mode", False) else math.floor
        steps = rounded((before + 2 * padding - extent) / stride)
        # A last window that would start in the padding on the right is dropped.
        if after == steps + 1 or (rounded is math.ceil and after == steps):
            return _Window(extent, -padding, stride)
    elif stated == "valid":
        return _Window(extent, 0, stride)
    if after != math.ceil(before / stride):
        return None
    return _Window(extent, -(max((after - 1) * stride + extent - before, 0) // 2), stride)


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)
