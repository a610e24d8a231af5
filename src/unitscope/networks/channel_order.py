"""Where a layer has its channels: first, as convolutions, or last, as Swin."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from unitscope.errors import NetworkError

_CHANNELS_FIRST = (_ConvNd, _NormBase, nn.GroupNorm, nn.MaxPool2d, nn.AvgPool2d, nn.Upsample)
_CHANNELS_LAST = (nn.Linear, nn.LayerNorm, nn.RMSNorm)


def has_channels_last(
    tensor: Tensor, part: nn.Module, network: nn.Module, size: tuple[int, int], layer: str = ""
) -> bool:
    """Whether the 4-D output (or input) `tensor` of `part` is [image, row, column, unit], as in Swin.

    Channels come first but where there is evidence. Convolutions, pools and batch normalization have them
    first, `Linear` and a `LayerNorm` over one axis last. The output of anything else in a network that has
    a `LayerNorm` is known by its shape: the grid has the proportions of the input, `size` (height, width).

    Raises `NetworkError`, naming `layer`, where both readings have them.

    >>> import torch
    >>> has_channels_last(torch.zeros(1, 8, 8, 96), nn.LayerNorm(96), nn.LayerNorm(96), (32, 32))
    True
    >>> has_channels_last(torch.zeros(1, 8, 8, 96), nn.Conv2d(3, 8, 3), nn.LayerNorm(96), (32, 32))
    False
    """
    if tensor.ndim != 4 or isinstance(part, _CHANNELS_FIRST):
        return False
    # Subclasses may turn their input first, as ConvNeXt's LayerNorm2d does.
    if type(part) in _CHANNELS_LAST and len(getattr(part, "normalized_shape", (0,))) == 1:
        return True
    _, first, second, third = tensor.shape
    if first == second == third == 1 or not fits(first, second, size):
        return False
    if not any(map(_is_layer_norm, network.modules())):  # last: it walks through all of the network
        return False
    if fits(second, third, size):
        raise NetworkError(
            f"layer {layer or '?'} gives an array of shape {tuple(tensor.shape)}, whose units may be "
            f"{first} (channels first) or {third} (channels last); read one of its parts, or give the "
            "network another input size"
        )
    return True


def turn_channels(
    raw: Tensor, part: nn.Module, network: nn.Module, size: tuple[int, int], layer: str
) -> Tensor:
    """A part's output (or input) with the channels first where it is 4-D; see `has_channels_last`."""
    return raw.movedim(-1, 1) if has_channels_last(raw, part, network, size, layer) else raw


def turn_change(
    change: Callable[[Tensor], Tensor],
    raw: Tensor,
    part: nn.Module,
    network: nn.Module,
    size: tuple[int, int],
    layer: str,
) -> Tensor:
    """What a part gives, changed by what takes its channels first; they lie afterwards where they lay."""
    if has_channels_last(raw, part, network, size, layer):
        return change(raw.movedim(-1, 1)).movedim(1, -1)
    return change(raw)


def input_size(parts: tuple[Any, ...]) -> tuple[int, int]:
    """Height and width of the images a network is called with; a latent stands for a square image."""
    first = parts[0] if parts else None
    return (first.shape[2], first.shape[3]) if isinstance(first, Tensor) and first.ndim == 4 else (1, 1)


def _is_layer_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.LayerNorm | nn.RMSNorm) and "2d" not in type(module).__name__.lower()


def fits(rows: int, columns: int, size: tuple[int, int]) -> bool:
    """Whether a grid has the proportions of the input, give or take less than one cell."""
    return abs(rows * size[1] - columns * size[0]) < max(size)
