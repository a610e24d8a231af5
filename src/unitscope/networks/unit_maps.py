"""A layer's raw output as maps of its units, and back."""

import math

import torch
from jaxtyping import Float32
from torch import Tensor

from unitscope.errors import NetworkError

_MOST_PREFIX_TOKENS = 16


def read_units(
    tensor: Tensor, prefix_tokens: int | None = None, layer: str = ""
) -> Float32[Tensor, "image unit cell_y cell_x"]:
    """A layer's raw output as one map a unit, float32, contiguous.

    - 4-D: channels first, as it is. What reads and edits layers has turned channels last (Swin) before.
    - 3-D, token grids [image, token, feature]: the `prefix_tokens` class and register tokens in front are
      dropped and the patches put back on their square grid. Without a number it is the fewest, 16 at most,
      that leave a square.
    - 2-D, flat features: maps of 1x1.

    Raises `NetworkError`, naming `layer`, for anything else.

    >>> read_units(torch.zeros(2, 1 + 9, 5)).shape
    torch.Size([2, 5, 3, 3])
    """
    if not tensor.is_floating_point():
        raise NetworkError(f"layer {layer or '?'} gives {tensor.dtype}, not real numbers; read another layer")
    if tensor.ndim == 4:
        maps = tensor
    elif tensor.ndim == 3:
        patches = tensor[:, _prefix(tensor.shape[1], prefix_tokens, layer) :]
        side = math.isqrt(patches.shape[1])
        maps = patches.transpose(1, 2).reshape(len(patches), -1, side, side)
    elif tensor.ndim == 2:
        maps = tensor[:, :, None, None]
    else:
        found, wanted = tuple(tensor.shape), "maps (4-D), tokens (3-D) or features (2-D)"
        raise NetworkError(f"layer {layer or '?'} gives an array of shape {found}; wanted {wanted}")
    return maps.to(torch.float32).contiguous()


def check_batch(tensor: Tensor, images: int, layer: str = "") -> None:
    """Raises `NetworkError`, naming `layer`, where the first axis of a layer's output is not the images.

    So it is inside of windowed attention, where every window is an entry of the batch.

    >>> check_batch(torch.zeros(64, 49, 96), 1, "attn")
    Traceback (most recent call last):
    ...
    unitscope.errors.NetworkError: layer attn gives 64 arrays (49 x 96) for 1 image; ...
    """
    if tensor.ndim and len(tensor) != images:
        each = " x ".join(map(str, tensor.shape[1:])) or "single numbers"
        raise NetworkError(
            f"layer {layer or '?'} gives {len(tensor)} arrays ({each}) for {images} image"
            f"{'s' * (images != 1)}; wanted one an image: its first axis is not the batch, as inside of "
            "windowed attention; read a layer around it"
        )


def _prefix(tokens: int, given: int | None, layer: str) -> int:
    # Layers after the point where the prefix tokens are dropped give the bare grid.
    counts = range(_MOST_PREFIX_TOKENS + 1) if given is None else (given, 0)
    for count in counts:
        if tokens > count and math.isqrt(tokens - count) ** 2 == tokens - count:
            return count
    which = f"{given}" if given is not None else f"up to {_MOST_PREFIX_TOKENS}"
    raise NetworkError(
        f"layer {layer or '?'} gives {tokens} tokens, which are no square grid after {which} class and "
        "register tokens; set Network.prefix_tokens or read another layer"
    )


def write_units(
    raw: Tensor, maps: Float32[Tensor, "image unit cell_y cell_x"], prefix_tokens: int | None = None
) -> Tensor:
    """The raw output that reads as `maps`, in the layout, and with the class tokens, of `raw`.

    The other way of `read_units`; the number of images may be another one if `raw` has one image.

    >>> raw = torch.arange(20.0).reshape(1, 5, 4)  # a class token and four patches
    >>> bool((write_units(raw, read_units(raw)) == raw).all())
    True
    """
    count = len(maps)
    if raw.ndim == 4:
        new = maps
    elif raw.ndim == 3:
        patches = maps.flatten(2).transpose(1, 2)
        front = raw[:, : raw.shape[1] - patches.shape[1]]
        new = torch.cat([front.expand(count, -1, -1).to(maps), patches], 1)
    else:
        new = maps[:, :, 0, 0]
    return new.to(raw.dtype)
