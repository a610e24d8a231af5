"""The torch path of the tail, for activations on a GPU: only what is kept crosses to the CPU.

Maps are gathered on the device. What they leave is worked out on a stream of its own, once the next pass has
been queued, so that the host never waits for the newest pass and the device always has one. It gives what
the compiled loops of `quantiles.update_tail` give, cell for cell; the tests hold the two together on the CPU.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional

from unitscope.networks.failures import tell_negative, tell_not_finite
from unitscope.statistics.cells import Cells
from unitscope.statistics.exemplars import TopImages, empty_tops
from unitscope.statistics.lanes import Lane, Mark, cross, mark_place, open_lane
from unitscope.statistics.quantiles import Tail, TailPlan, add_cells

_ROUNDING = 2.0**-18

_TOGETHER = 256
"""So many images are gathered before what is kept of them crosses, where their maps are not too large."""

_ROOM = 256 << 20
"""Bytes of maps that are gathered, and of which cells are picked at a time, which takes a few times that."""


class Packed(NamedTuple):
    """Cells kept of maps: their number by unit and image; of all of them place in the map and value."""

    size: Tensor
    cell: Tensor
    value: Tensor

    def collect(self, first_image: int) -> Cells:
        """The same in the form of the compiled loops, once it has crossed."""
        size, cell, value = (part.numpy() for part in self)
        present = size > 0
        _, image = present.nonzero()
        # Copies: what lies in pinned memory is given back.
        counts, images = present.sum(1, dtype=np.int64), (first_image + image).astype(np.int32)
        return Cells(counts, images, size[present], cell.astype(np.uint32), value.copy())


class _Kept(NamedTuple):
    """What crosses of some images, the first of them number `first`."""

    first: int
    peaks: Tensor
    lows: Tensor
    stored: Packed
    raw: Packed | None


def pack_on_device(maps: Tensor, bound: Tensor, reach: int) -> Packed:
    """The cells of maps[image, unit, y, x] above the unit's bound, with neighbors up to `reach` away."""
    edge = bound - bound.abs() * _ROUNDING
    kept = maps > edge[:, None, None]
    if reach:
        kept = functional.max_pool2d(kept.float(), 2 * reach + 1, 1, reach) > 0
    kept = kept.transpose(0, 1).flatten(2)
    size = kept.sum(2, dtype=torch.int32)
    place = kept.reshape(-1).nonzero()[:, 0]  # the host waits here: for this lane alone
    values = maps.transpose(0, 1).reshape(-1)[place]
    return Packed(cross(size), cross((place % kept.shape[2]).to(torch.int32)), cross(values))


def find_plateaus(stored: Tensor, plan: TailPlan) -> Tensor:
    """The least value over every inner cell, or over its quarters, less what interpolation may round away."""
    (y0, y1), (x0, x1) = plan.grid.inner
    height, width = stored.shape[2:]
    corners = [
        [stored[:, :, top : top + y1 - y0, left : left + x1 - x0] for left in (x0, min(x0 + 1, width - 1))]
        for top in (y0, min(y0 + 1, height - 1))
    ]
    spare = _ROUNDING * sum(corner.abs() for row in corners for corner in row)
    if not plan.grid.quartered:
        return (_find_least(*corners[0], *corners[1]) - spare).flatten(2)
    parts = []
    for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
        own, across, along = 0.5 * corners[y][x], 0.5 * corners[y][1 - x], 0.5 * corners[1 - y][x]
        middle = 0.5 * (own + across) + 0.5 * (along + 0.5 * corners[1 - y][1 - x])
        parts.append(_find_least(corners[y][x], own + across, own + along, middle) - spare)
    return torch.stack(parts, 2).flatten(2)


def _find_least(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return a.minimum(b).minimum(c.minimum(d))


@dataclass(eq=False)
class _Room:
    """Maps of consecutive images that wait on the device, which may not be written to while they are read."""

    maps: Tensor | None = None
    fill: int = 0
    first: int = 0
    keys: tuple[str, ...] = ()
    mark: Mark = None

    def put(self, maps: Tensor, first: int, keys: Sequence[str], images: int) -> None:
        """A copy: some networks (captured graphs) write every pass into the same memory."""
        if self.maps is None or self.maps.shape[1:] != maps.shape[1:]:
            self.maps = maps.new_empty((max(images, len(maps)), *maps.shape[1:]))
        if self.fill == 0:
            self.first, self.keys = first, ()
        self.maps[self.fill : self.fill + len(maps)] = maps
        self.fill, self.keys = self.fill + len(maps), (*self.keys, *keys)


@dataclass(eq=False)
class DeviceTail:
    """The tail and the top images of one layer, gathered on a device."""

    layer: str
    tail: Tail
    tops: TopImages
    device: str
    lane: Lane
    _bound: Tensor = field(init=False)
    _largest: Tensor | None = field(init=False)
    _filling: _Room = field(default_factory=_Room)
    _waiting: _Room | None = None
    _spare: _Room = field(default_factory=_Room)

    def __post_init__(self) -> None:
        with self.lane.after():
            self._bound = torch.from_numpy(self.tail.bound).to(self.device)
            sought = self.tail.largest is not None
            self._largest = self._bound.new_empty((self.tail.plan.units, 0)) if sought else None

    def add(self, maps: Tensor, first: int, keys: Sequence[str], last: bool) -> None:
        """Takes maps; what was gathered before them crosses as soon as there are enough of them."""
        room, batch = self._filling, len(maps)
        images = max(1, min(_TOGETHER, self._at_once) // batch) * batch
        room.put(maps, first, keys, images)
        if room.fill + batch <= images and not last:
            return
        room.mark = mark_place(self.device)
        self.settle()
        self._waiting, self._filling = room, self._spare

    @property
    def _at_once(self) -> int:
        """Images whose maps fill the room."""
        plan = self.tail.plan
        cells = max(int(np.prod(plan.raw_size)), int(np.prod(plan.stored_grid.map_size)))
        return max(1, _ROOM // (4 * plan.units * cells))

    def settle(self) -> None:
        """What is kept of the maps that wait crosses."""
        room, self._waiting = self._waiting, None
        if room is None or room.maps is None:
            return
        maps = room.maps[: room.fill]
        steps = range(0, room.fill, self._at_once)
        with self.lane.after(room.mark):
            kept = [self._keep(maps[k : k + self._at_once], room.first + k) for k in steps]
        self.lane.finish()
        for one in kept:
            self._take(one, room)
        room.fill, self._spare = 0, room

    def _keep(self, maps: Tensor, first: int) -> _Kept:
        plan = self.tail.plan
        stored = plan.grid.surround(maps)
        if plan.grid.sampled:
            stored = plan.grid.upsample(stored)
        if self._largest is not None:
            rows = stored if plan.population == "pixels" else maps
            self._raise_bound(self._largest, find_plateaus(stored, plan) if plan.parted else rows.flatten(2))
        packed = pack_on_device(stored, self._bound, plan.reach)
        raw = pack_on_device(maps, self._bound, 0) if plan.apart else None
        return _Kept(first, cross(maps.amax((2, 3))), cross(maps.amin((2, 3))), packed, raw)

    def _raise_bound(self, largest: Tensor, values: Tensor) -> None:
        keep = self.tail.plan.keep
        seen = torch.cat([largest, values.transpose(0, 1).flatten(1)], 1)
        self._largest = seen = seen.topk(keep, 1).values if seen.shape[1] >= keep else seen
        if seen.shape[1] == keep:
            self._bound = self._bound.maximum(seen[:, -1])

    def _take(self, kept: _Kept, room: _Room) -> None:
        peaks = kept.peaks.numpy()
        if not (np.isfinite(peaks).all() and np.isfinite(kept.lows.numpy()).all()):
            assert room.maps is not None
            raise tell_not_finite(room.maps[: room.fill], self.layer, room.keys)
        if self.tail.plan.whole and (below := (kept.lows.numpy() < 0).any(1)).any():
            raise tell_negative(self.layer, room.keys[kept.first - room.first + int(below.argmax())])
        self.tops = self.tops.add(peaks, kept.first)
        raw = [] if kept.raw is None else [kept.raw.collect(kept.first)]
        self.tail = add_cells(self.tail, [kept.stored.collect(kept.first)], raw, len(peaks))

    def finish(self) -> None:
        """What still waits crosses, and the bound."""
        self.settle()
        with self.lane.after():
            bound = cross(self._bound)
        self.lane.finish()
        self.tail = replace(self.tail, bound=bound.numpy().copy(), largest=None)
        self._filling = self._spare = _Room()


class DeviceTails:
    """Gathers maps on a device; `tails` are those of no image yet."""

    def __init__(self, tails: Mapping[str, Tail], ranks: int, device: str) -> None:
        lane = open_lane(device)
        self.layers = {
            layer: DeviceTail(layer, tail, empty_tops(tail.plan.units, ranks), device, lane)
            for layer, tail in tails.items()
        }

    def add(
        self,
        layer: str,
        maps: Float32[Tensor, "image unit cell_y cell_x"],
        first: int,
        keys: Sequence[str],
        last: bool,
    ) -> None:
        """Takes maps; see `Gatherer`. Of values that are not finite later maps tell, or the end."""
        self.layers[layer].add(maps, first, keys, last)

    def finish(self) -> tuple[dict[str, Tail], dict[str, TopImages]]:
        """All tails and top images; see `Gatherer`."""
        for one in self.layers.values():
            one.finish()
        return (
            {layer: one.tail for layer, one in self.layers.items()},
            {layer: one.tops for layer, one in self.layers.items()},
        )
