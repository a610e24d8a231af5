"""Layers in directions: the latents of what a layer gives, and what it gives with edited latents."""

import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.directions.directions import Directions
from unitscope.networks.directions.open_directions import open_directions

_OPEN = 8
"""So many directions stay open, for one tap after the other."""

_Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, eq=False)
class Lenses:
    """The directions that some layers of a network are read in, opened when their first cells are seen.

    Once open they stay the same, whatever becomes of their files meanwhile.
    """

    network: str
    opened: dict[str, Directions] = field(default_factory=dict)

    def find(self, layer: str, spec: str, raw: Tensor) -> Directions:
        """The directions of a layer that gives `raw`, with its channels first, on the device of that.

        Raises `NetworkError` where that has no cells, and what `open_for` raises.
        """
        if raw.ndim not in (2, 3, 4) or not raw.is_floating_point():
            seen = f"an array of {raw.dtype} of shape {tuple(raw.shape)}"
            wanted = "maps (4-D), tokens (3-D) or features (2-D) of real numbers"
            raise NetworkError(f"layer {layer} gives {seen}; directions lie in {wanted}")
        if layer not in self.opened:
            units = raw.shape[1 if raw.ndim == 4 else -1]
            self.opened[layer] = open_for(self.network, layer, spec, units).to(raw.device)
        return self.opened[layer]


def open_for(network: str, layer: str, spec: str, units: int) -> Directions:
    """The directions that a text names, for a layer with so many units.

    The last few stay open, until their files change. Raises what `open_directions` raises, naming the layer.
    """
    try:
        return _open(spec, units, _stamp(spec))
    except (NetworkError, UsageError) as error:
        raise type(error)(f"layer {layer} of {network}: {error}") from error


@lru_cache(maxsize=_OPEN)
def _open(spec: str, units: int, _files: _Stamp) -> Directions:
    return open_directions(spec, units)


def _stamp(spec: str) -> _Stamp:
    """Differs once a file has changed that a text names, or one that lies in it or beside it."""
    texts = [part for text in (spec, spec.partition(":")[2]) for part in (text, *re.split("[?&=]", text))]
    named = [Path(text) for text in dict.fromkeys(texts) if text and os.path.exists(text)]
    stamps: list[tuple[str, int, int, int]] = []
    for path in named:
        inside = sorted(path.iterdir()) if path.is_dir() else [path, *sorted(path.parent.glob("*.json"))]
        for one in inside:
            told = one.stat()
            stamps.append((str(one.absolute()), told.st_ino, told.st_mtime_ns, told.st_size))
    return tuple(stamps)


def read_latents(directions: Directions, raw: Tensor) -> Tensor:
    """The latents of every cell of what a layer gives, channels first: of all tokens, one by one.

    They stand where the units stood; float32, whatever precision the layer has.

    >>> read_latents(open_directions("rotation:0", 4), torch.zeros(2, 9, 4)).shape
    torch.Size([2, 9, 4])
    """
    with torch.autocast(raw.device.type, enabled=False):
        if raw.ndim == 4:
            return directions.encode_maps(raw)
        if raw.ndim == 2:
            return directions.encode(raw)
        # As many images together as in maps: in a batch cut at other places numbers would round otherwise.
        latents = torch.empty(*raw.shape[:-1], directions.latents, device=raw.device)
        images = directions.count_together(raw.shape[1])
        for start in range(0, len(raw), images):
            part = raw[start : start + images]
            found = directions.encode(part.reshape(-1, directions.units))
            latents[start : start + images] = found.reshape(*part.shape[:-1], -1)
        return latents


def write_latents(directions: Directions, raw: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """What a layer gives, x, with other latents z' than it had, z: x' = x + decode(z') - decode(z).

    What `decode` misses of x stays in it. A cell whose latents stay as they are stays, bit for bit; where all
    do, `raw` itself comes back. `before` is what `read_latents` gives of `raw`; `after` may be several
    versions of it, where `raw` is one image.

    >>> turned, raw = open_directions("rotation:0", 4), torch.rand(1, 4, 2, 2)
    >>> latents = read_latents(turned, raw)
    >>> write_latents(turned, raw, latents, latents.clone()) is raw
    True
    """
    with torch.autocast(raw.device.type, enabled=False):
        return _write(directions, raw, before, after)


def _write(directions: Directions, raw: Tensor, before: Tensor, after: Tensor) -> Tensor:
    if after is before:
        return raw
    versions = len(after)
    whole = raw if len(raw) == versions else raw.expand(versions, *raw.shape[1:])
    cells, new = _last(whole), _last(after)
    old = _last(before).expand(new.shape)
    if torch.is_grad_enabled() and (new.requires_grad or old.requires_grad):
        # Every cell has its share in the gradient, also those that stay: there the difference is 0.
        chosen = torch.ones(new.shape[:-1], dtype=torch.bool, device=new.device)
    else:
        chosen = (new != old).any(-1)
        if not chosen.any():
            return whole
    at = cells[chosen].float()
    change = directions.decode(new[chosen], at) - directions.decode(old[chosen], at)
    written = whole.clone()
    _last(written)[chosen] = (at + change).to(raw.dtype)
    return written


def _last(tensor: Tensor) -> Tensor:
    """A view with the units last."""
    return tensor.movedim(1, -1) if tensor.ndim == 4 else tensor
