"""A layer's raw output as maps of its units, and back; and what its tokens beside the patches hold."""

import torch
from jaxtyping import Float32
from torch import Tensor

from unitscope.errors import NetworkError
from unitscope.networks.tokens import Layout


def read_units(
    tensor: Tensor,
    layout: Layout = Layout(),  # noqa: B008 - frozen
    layer: str = "",
) -> Float32[Tensor, "image unit cell_y cell_x"]:
    """A layer's raw output as one map a unit, float32, contiguous.

    - 4-D: channels first, as it is. What reads and edits layers has turned channels last (Swin) before.
    - 3-D, token grids [image, token, feature]: class and register tokens are dropped and the patches put back
      on their grid, as `layout` says (`Network.layout`).
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
        placed = layout.place(tensor.shape[1], layer)
        if placed.plain:
            patches = tensor[:, placed.start : placed.start + len(placed.places)]
        else:
            # Not waited for: a GPU's stream may be a whole pass behind.
            patches = tensor[:, placed.places.to(tensor.device, non_blocking=True)]
        maps = patches.transpose(1, 2).reshape(len(patches), -1, *placed.grid)
    elif tensor.ndim == 2:
        maps = tensor[:, :, None, None]
    else:
        found, wanted = tuple(tensor.shape), "maps (4-D), tokens (3-D) or features (2-D)"
        raise NetworkError(f"layer {layer or '?'} gives an array of shape {found}; wanted {wanted}")
    return maps.to(torch.float32).contiguous()


def read_others(
    tensor: Tensor,
    layout: Layout = Layout(),  # noqa: B008 - frozen
    layer: str = "",
) -> Float32[Tensor, "image unit token 1"]:
    """What the units of a layer are in its class and register tokens, which `read_units` leaves out.

    No token where the layer gives no sequence of them. Raises what `read_units` raises of such sequences.

    >>> read_others(torch.zeros(2, 1 + 9, 5)).shape, read_others(torch.zeros(2, 5, 3, 3)).shape
    (torch.Size([2, 5, 1, 1]), torch.Size([2, 5, 0, 1]))
    """
    if tensor.ndim != 3:
        return torch.zeros(len(tensor), tensor.shape[1], 0, 1, device=tensor.device)
    others = layout.place(tensor.shape[1], layer).others.to(tensor.device)
    return tensor[:, others].transpose(1, 2)[..., None].to(torch.float32)


def check_batch(tensor: Tensor, images: int, layer: str = "") -> None:
    """Raises `NetworkError`, naming `layer`, where its output is sparse, or its first axis is not the images.

    So it is inside of windowed attention, where every window is an entry of the batch, and where a network's
    `forward` passes images one by one.

    >>> check_batch(torch.zeros(64, 49, 96), 1, "attn")
    Traceback (most recent call last):
    ...
    unitscope.errors.NetworkError: layer attn gives 64 arrays (49 x 96) for 1 image; ...
    """
    if tensor.layout is not torch.strided or tensor.is_quantized:
        kind = "a quantized array" if tensor.is_quantized else "a sparse array"
        raise NetworkError(f"layer {layer or '?'} gives {kind}, which has no maps; read another layer")
    if tensor.ndim and len(tensor) != images:
        each = " x ".join(map(str, tensor.shape[1:])) or "single numbers"
        found = f"layer {layer or '?'} gives {len(tensor)} array{'s' * (len(tensor) != 1)} ({each})"
        why = "its first axis is not the batch, as inside of windowed attention; read a layer around it"
        if len(tensor) == 1:
            why = (
                "images go through it one by one; have the network, or its `forward`, pass a batch at once, "
                "or read another layer"
            )
        raise NetworkError(f"{found} for {images} image{'s' * (images != 1)}; wanted one an image: {why}")


def write_units(
    raw: Tensor,
    maps: Float32[Tensor, "image unit cell_y cell_x"],
    layout: Layout = Layout(),  # noqa: B008 - frozen
    layer: str = "",
    others: Float32[Tensor, "#image unit token 1"] | None = None,
) -> Tensor:
    """The raw output that reads as `maps`, in the layout of `raw`, and with `others` or its own class tokens.

    The other way of `read_units` and `read_others`; the number of images may be another one if `raw` has one
    image.

    >>> raw = torch.arange(20.0).reshape(1, 5, 4)  # a class token and four patches
    >>> bool((write_units(raw, read_units(raw)) == raw).all())
    True
    """
    count = len(maps)
    if raw.ndim == 4:
        new = maps
    elif raw.ndim == 3:
        patches = maps.flatten(2).transpose(1, 2)
        placed = layout.place(raw.shape[1], layer)
        whole = raw.expand(count, -1, -1).to(maps)
        if others is not None and others.shape[2]:
            rest = others[..., 0].transpose(1, 2).expand(count, -1, -1)
            whole = whole.index_copy(1, placed.others.to(raw.device), rest)
        if placed.plain:
            end = placed.start + patches.shape[1]
            new = torch.cat([whole[:, : placed.start], patches, whole[:, end:]], 1)
        else:
            new = whole.index_copy(1, placed.places.to(raw.device), patches)
    else:
        new = maps[:, :, 0, 0]
    return new.to(raw.dtype)
