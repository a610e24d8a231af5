"""Layers in directions: the latents of what a layer gives, and what it gives with edited latents."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.addresses import Address
from unitscope.networks.directions.directions import Directions, unpack
from unitscope.networks.directions.open_directions import check_units, is_drawn, open_directions
from unitscope.networks.structures import describe

KEPT = 256 << 20
"""Bytes of directions that stay open though nobody uses them, for one tap after the other."""

_Stamp = tuple[tuple[str, int, int, int], ...]
_Key = tuple[str, int | None, _Stamp]


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
        units = raw.shape[1 if raw.ndim == 4 else -1]
        if layer not in self.opened:
            self.opened[layer] = open_for(self.network, layer, spec, units)
        with _naming(self.network, layer):
            check_units(self.opened[layer], units, spec)
        self.opened[layer] = self.opened[layer].to(raw.device)
        return self.opened[layer]

    def read_change(self, layer: str, address: Address) -> bool:
        """Whether a layer's latents are of the change that it makes, so that its input is wanted as well.

        Raises `UsageError` for such directions of what is no module's output, and what `open_for` raises.
        """
        spec = address.directions
        if not spec or is_drawn(spec):
            return False
        if layer not in self.opened:
            self.opened[layer] = open_for(self.network, layer, spec)
        if self.opened[layer].reads == "output":
            return False
        if address.side != "out":
            seen = f"{spec} reads the change that a block makes, its output less its input"
            advice = f"give the block itself: {replace(address, side='out', number=0)}"
            raise UsageError(f"layer {layer} of {self.network}: {seen}; {advice}")
        return True


def open_for(network: str, layer: str, spec: str, units: int | None = None) -> Directions:
    """The directions that a text names, for a layer with so many units, which those of files do not need.

    Those in use, and the last ones (`KEPT`), stay open until their files change. Raises what
    `open_directions` raises, naming the layer.
    """
    with _naming(network, layer):
        found = _OPENED.open(spec, units if is_drawn(spec) else None)
        check_units(found, units, spec)
        return found


@contextmanager
def _naming(network: str, layer: str) -> Iterator[None]:
    try:
        yield
    except (NetworkError, UsageError) as error:
        raise type(error)(f"layer {layer} of {network}: {error}") from error


def find_change(given: Tensor, taken: object, layer: str) -> Tensor:
    """What a block adds: its output less its first input, which may be anything.

    float32, as what a network in half precision adds is a small difference of large numbers. Raises
    `NetworkError` where there is no such input of the shape of the output.

    >>> find_change(torch.ones(1, 2), torch.ones(1, 2), "block")
    tensor([[0., 0.]])
    """
    if not isinstance(taken, Tensor) or taken.shape != given.shape:
        shape = tuple(given.shape)
        seen = f"a tensor of shape {tuple(taken.shape)}" if isinstance(taken, Tensor) else describe(taken)
        why = "its directions read the change that it makes, its output less its input"
        raise NetworkError(
            f"layer {layer} gives a tensor of shape {shape} and takes {seen}; {why}: name a block that adds"
        )
    return given.float() - taken.float()


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


@dataclass(eq=False)
class _Opened:
    """Directions that are open: all that are used, and of the others the last ones, or the last alone."""

    used: WeakValueDictionary[_Key, Directions] = field(default_factory=WeakValueDictionary)
    last: dict[_Key, Directions] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def open(self, spec: str, units: int | None) -> Directions:
        """The directions that a text names, opened unless they are open. Raises as `open_directions`."""
        key = spec, units, _stamp(spec)
        with self._lock:
            found = self.used.get(key)
        if found is None:
            found = open_directions(spec, units)
        with self._lock:
            self.used[key] = found
            self.last.pop(key, None)
            self.last[key] = found
            while len(self.last) > 1 and sum(map(_weigh, self.last.values())) > KEPT:
                del self.last[next(iter(self.last))]
        return found


_OPENED = _Opened()


def _weigh(directions: Directions) -> int:
    return sum(tensor.nbytes for tensor in unpack(directions)[0].values())


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


def write_latents(
    directions: Directions, raw: Tensor, before: Tensor, after: Tensor, cells: Tensor | None = None
) -> Tensor:
    """What a layer gives, x, with other latents z' than it had, z: x' = x + decode(z') - decode(z).

    What `decode` misses of x stays in it. A cell whose latents stay as they are stays, bit for bit; where all
    do, `raw` itself comes back. `before` is what `read_latents` gives of `cells`, which are `raw` if they are
    not given; `after` may be several versions of it, where `raw` is one image.

    >>> turned, raw = open_directions("rotation:0", 4), torch.rand(1, 4, 2, 2)
    >>> latents = read_latents(turned, raw)
    >>> write_latents(turned, raw, latents, latents.clone()) is raw
    True
    """
    with torch.autocast(raw.device.type, enabled=False):
        read = raw if cells is None else cells
        return raw if after is before else _write(directions, raw, before, after, read)


def _write(directions: Directions, raw: Tensor, before: Tensor, after: Tensor, read: Tensor) -> Tensor:
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
    at = _last(read).expand(cells.shape)[chosen].float()
    change = directions.decode(new[chosen], at) - directions.decode(old[chosen], at)
    written = whole.clone()
    _last(written)[chosen] = (cells[chosen].float() + change).to(raw.dtype)
    return written


def _last(tensor: Tensor) -> Tensor:
    """A view with the units last."""
    return tensor.movedim(1, -1) if tensor.ndim == 4 else tensor
