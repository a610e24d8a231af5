"""What becomes of maps as they come: tails and top images, by compiled loops; `devices` has the other way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float32
from torch import Tensor

from unitscope.networks.failures import tell_negative, tell_not_finite
from unitscope.statistics.exemplars import TopImages, empty_tops
from unitscope.statistics.quantiles import Tail, update_tail
from unitscope.statistics.threads import Threads

ENOUGH = 32
"""Maps of this many images are packed at once, however small the batches, and packed images read together."""

_ROOM = 1 << 25
"""So many bytes of maps are enough too: those of many latents need not wait for others."""


@runtime_checkable
class Gatherer(Protocol):
    """Makes tails and top images of the maps of consecutive images."""

    def add(
        self,
        layer: str,
        maps: Float32[Tensor, "image unit cell_y cell_x"],
        first: int,
        keys: Sequence[str],
        last: bool,
    ) -> None:
        """Takes a layer's maps of some images, the first of them number `first`; `last` of them or not.

        Raises `ActivationError` for values that are not finite, at once or before the end.
        """

    def finish(self) -> tuple[dict[str, Tail], dict[str, TopImages]]:
        """The tails and top images of all layers, once all maps were given."""


@dataclass
class _Pile:
    """Maps of a layer that wait until there are enough."""

    room: Tensor | None = None
    fill: int = 0

    def add(self, maps: Tensor, last: bool) -> Tensor | None:
        """All that have waited, and these, once they are enough or the last; valid until more are added."""
        before, self.fill = self.fill, self.fill + len(maps)
        most = max(1, min(ENOUGH, -(-_ROOM // maps[0].nbytes)))
        enough = last or self.fill >= most
        if before or not enough:
            # A copy: some networks (captured graphs) write every pass into the same memory.
            if self.room is None or len(self.room) < self.fill:
                room = maps.new_empty((most + len(maps), *maps.shape[1:]))
                if self.room is not None:
                    room[:before] = self.room[:before]
                self.room = room
            self.room[before : self.fill] = maps
            maps = self.room[: self.fill]
        if not enough:
            return None
        self.fill = 0
        return maps


@dataclass(eq=False)
class CompiledTails:
    """Gathers maps on the CPU by compiled loops. `tails` are those of no image yet."""

    tails: Mapping[str, Tail]
    ranks: int
    threads: Threads
    _grown: dict[str, Tail] = field(default_factory=dict)
    _tops: dict[str, TopImages] = field(default_factory=dict)
    _piles: dict[str, _Pile] = field(default_factory=dict)

    def add(
        self,
        layer: str,
        maps: Float32[Tensor, "image unit cell_y cell_x"],
        first: int,
        keys: Sequence[str],
        last: bool,
    ) -> None:
        """Takes maps; see `Gatherer`."""
        # Sums and peaks at once, while the maps are still near: to fetch them takes longer than to add.
        if not torch.isfinite(maps.sum()) and not torch.isfinite(maps).all():
            raise tell_not_finite(maps, layer, keys)
        before = self._tops.get(layer) or empty_tops(maps.shape[1], self.ranks)
        self._tops[layer] = before.add(maps.amax((2, 3)).numpy(), first)
        if self.tails[layer].plan.whole and (below := maps.amin((1, 2, 3)) < 0).any():
            raise tell_negative(layer, keys[int(below.int().argmax())])
        together = self._piles.setdefault(layer, _Pile()).add(maps, last)
        if together is not None:
            start = first + len(maps) - len(together)
            tail = self._grown.get(layer, self.tails[layer])
            self._grown[layer] = update_tail(tail, together, start, self.threads)

    def finish(self) -> tuple[dict[str, Tail], dict[str, TopImages]]:
        """All tails and top images; see `Gatherer`."""
        return dict(self._grown), dict(self._tops)
