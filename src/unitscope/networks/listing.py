"""What can be read of the modules of a network: what they give, further inputs, heads."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from unitscope.errors import NetworkError
from unitscope.networks.addresses import Address, Site, find_site
from unitscope.networks.channel_order import input_size, turn_channels
from unitscope.networks.network import Input, Network, spread
from unitscope.networks.structures import describe, walk
from unitscope.networks.unit_maps import check_batch, read_units

_SIDES = ("out", "in", "heads")


@dataclass(frozen=True)
class LayerShape:
    """One line of `unitscope layers`: an address that can be dissected, or why it cannot.

    `name` is the layer's address (`name#1`, `name#2` where the module runs several times in a forward
    pass, `calls` times in all), `kind` the module's class, `shape` (units, rows, columns) of its maps, None
    where it cannot be dissected: then `reason` says why. `raw` is what the layer gave, `place` where it
    answers to changes of the input, if that was asked for (`list_places`).

    Besides what a module gives as a `whole`, its row, there are rows for the tensors in it (`name[0]`,
    `name.key`), for further inputs that can be dissected (`name@in1`), and for an attention's `heads`, so
    many, one after the other (`name@heads`).
    """

    name: str
    kind: str
    calls: int
    shape: tuple[int, int, int] | None
    raw: str
    reason: str = ""
    place: str = ""
    whole: bool = True
    heads: int = 0


@dataclass
class Listing:
    """What stands at the addresses of a network in one forward pass over a batch."""

    network: Network
    batch: Input
    parts: Mapping[str, nn.Module]
    calls: Counter[Address] = field(default_factory=Counter)
    seen: dict[str, dict[Address, list[LayerShape]]] = field(default_factory=dict)

    def watch(self, hooks: ExitStack, part: nn.Module, name: str) -> None:
        """Notes what a module gives, takes and attends to, until the hooks are taken away."""
        self.seen[name] = {}
        hooks.callback(Site(part, Address(name)).hook(partial(self._see, Site(part, Address(name)))))
        hooks.callback(part.register_forward_pre_hook(partial(self._take, name), with_kwargs=True).remove)
        with suppress(NetworkError):
            site = find_site(part, Address(name, "heads"))
            hooks.callback(site.hook(partial(self._see, site)))

    def _take(self, name: str, part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.calls[Address(name, "in")] += 1
        for number, value in enumerate([*args, *kwargs.values()]):
            if number and isinstance(value, Tensor):
                self._see(Site(part, Address(name, "in", number)), value)

    def _see(self, site: Site, whole: object) -> None:
        if site.address.side != "in":
            self.calls[site.address] += 1
        found = [((), whole)] if isinstance(whole, Tensor) else [((), whole), *walk(whole)]
        for keys, value in found:
            address = site.address.lead(keys, self.parts) if keys else site.address
            row = self._measure(site, address, value)
            if row.shape or address.side == "out":
                self.seen[address.module].setdefault(address, []).append(row)

    def _measure(self, site: Site, address: Address, value: object) -> LayerShape:
        name, raw, heads = str(address), describe(value), site.heads
        call, shape, reason = self._count(address), None, ""
        try:
            if not isinstance(value, Tensor):
                raise NetworkError(f"returns {raw}, not a tensor")
            site.check(value)
            check_batch(value, 1, name)
            turned = turn_channels(
                value, site.part, self.network.module, input_size(spread(self.batch)), name
            )
            _, units, rows, columns = read_units(turned, self.network.layout(self.batch), name).shape
            shape = (units, rows, columns)
        except NetworkError as error:
            reason = str(error)
        whole = address == Address(address.module)
        return LayerShape(name, "", call, shape, raw, reason, whole=whole, heads=heads.count if heads else 0)

    def _count(self, address: Address) -> int:
        # A call that lacks the input is one all the same.
        return self.calls[replace(address.site, number=0)]

    def rows(self, name: str, kind: str) -> list[LayerShape]:
        """The rows of a module: as a whole, then its parts, inputs and heads, each call after call."""
        rows = []
        for address in sorted(self.seen.get(name, ()), key=lambda one: _SIDES.index(one.side)):
            calls = self._count(address)
            for row in self.seen[name][address]:
                spelled = address if calls == 1 else replace(address, call=row.calls)
                if row.whole or Address.parse(str(spelled), self.parts) == spelled:  # no module has that name
                    rows.append(replace(row, name=str(spelled), kind=kind, calls=calls))
        return rows
