"""Addresses of layers: which module, what of it (output, an input, heads), where inside, which directions."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError, say_near
from unitscope.networks.attention import Heads, check_heads, find_heads, hook_heads
from unitscope.networks.network import Network, as_network
from unitscope.networks.structures import pick, walk

SCRIPTED = "is TorchScript, whose layers cannot be read"
CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)
"""Modules that hold others and never run themselves."""

_STEP = r"\.[^.@#\[\]+]+|\[(?:[^\]]|\]\])+\]"
_AFTER = re.compile(rf"(?:@(in(?:[1-9]\d*)?|heads))?((?:{_STEP})*)(?:#([1-9]\d*))?(?:\+(.+))?", re.DOTALL)
_PLAIN = re.compile(r"[^\W\d]\w*")
_FORMS = (
    "NAME, NAME@in, NAME@in1, NAME@heads, NAME.key, NAME[0], or NAME#1 for the first of several calls, and "
    "+SPEC behind any of these for directions, such as NAME+rotation:0"
)

Side = Literal["out", "in", "heads"]


@dataclass(frozen=True)
class Address:
    """Where to read or edit: NAME[@in | @in1 | @heads][.key | [0] ...][#2][+SPEC].

    `module` is the module's name as in `named_modules()`; `side` what of it: "out", what it gives, "in", its
    input `number`, counted from 0 as it is called, or "heads", the outputs of an attention's heads. `path`
    leads to a tensor inside of that, as it is written: `.hidden_states[4]`. `call` says which of several
    calls, counted from 1. `directions` are those in which units are read, as `open_directions` opens them:
    units are then latents.
    """

    module: str
    side: Side = "out"
    number: int = 0
    path: str = ""
    call: int | None = None
    directions: str = ""

    @classmethod
    def parse(
        cls, text: str, modules: Mapping[str, nn.Module] | Sequence[str], network: str = "the network"
    ) -> "Address":
        """The address that is spelled `text` in a network with such modules; `str` spells it so again.

        The longest name of a module that `text` begins with is the module, whatever signs it holds; so an
        exact name always wins. A key that is also the name of a part is written in brackets: `fpn[pool]`,
        with ] doubled. All behind the first + after module, side, path and call are directions. Raises
        `UsageError` where there is none, with near names.

        >>> Address.parse("encoder.hidden_states[4]#2", ["encoder"])
        Address(module='encoder', side='out', number=0, path='.hidden_states[4]', call=2, directions='')
        >>> Address.parse("a@in", ["a", "a@in"]).module
        'a@in'
        """
        begins = [end for end in range(len(text), 0, -1) if text[:end] in modules]
        for end in begins:
            said = _AFTER.fullmatch(text, end)
            name = text[:end]
            if said is None or (said[2] and isinstance(modules, Mapping) and _holds(modules[name])):
                continue
            side: Side = "heads" if said[1] == "heads" else "in" if said[1] else "out"
            number = int(said[1][2:] or 0) if side == "in" else 0
            return cls(name, side, number, said[2], int(said[3]) if said[3] else None, said[4] or "")
        name = re.split(r"[@#\[+]", text, maxsplit=1)[0]
        if name in modules and not (isinstance(modules, Mapping) and _holds(modules[name])):
            raise UsageError(f"layer {text!r} is not {_FORMS}")
        known = list(filter(None, modules))
        near = say_near(name, known) or say_near(name.rpartition(".")[0], known)
        near = near or "; `unitscope layers NETWORK` lists them"
        raise UsageError(f"{network} has no layer {name!r}{near}")

    def __str__(self) -> str:
        number = str(self.number or "") if self.side == "in" else ""
        side = "" if self.side == "out" else f"@{self.side}{number}"
        call = "" if self.call is None else f"#{self.call}"
        directions = f"+{self.directions}" if self.directions else ""
        return f"{self.module}{side}{self.path}{call}{directions}"

    @property
    def site(self) -> "Address":
        """The same without path, call and directions: where a hook goes."""
        return replace(self, path="", call=None, directions="")

    @property
    def plain(self) -> "Address":
        """The same without directions: the layer whose units they lie between."""
        return replace(self, directions="")

    @property
    def steps(self) -> tuple[str, ...]:
        """The path step by step.

        >>> Address("fpn", path=".maps[0][a.b]").steps
        ('maps', '0', 'a.b')
        """
        written = re.findall(_STEP, self.path)
        return tuple(
            step[1:] if step[0] == "." else step[1:-1].replace("]]", "]") for step in map(str, written)
        )

    def lead(self, keys: Sequence[object], modules: Mapping[str, nn.Module]) -> "Address":
        """The address of what these keys lead to in what stands here, spelled so that it is found again.

        >>> str(Address("fpn").lead(["maps", 0], {"fpn": nn.Identity()}))
        'fpn.maps[0]'
        """
        bare = [f"[{str(key).replace(']', ']]')}]" for key in keys]
        dotted = [
            f".{key}" if isinstance(key, str) and _PLAIN.fullmatch(key) else bracketed
            for key, bracketed in zip(keys, bare, strict=True)
        ]
        found = replace(self, path="".join(dotted))
        if Address.parse(str(found), modules) != found:  # a part has that name
            return replace(self, path="".join(bare))
        return found


See = Callable[[object], object]
"""Is shown what stands at an address; what it returns, if not None, takes its place."""


@dataclass(frozen=True)
class Site:
    """Where a hook goes: `part` is the module whose kind says where the channels are."""

    part: nn.Module
    address: Address
    heads: Heads | None = None

    def hook(self, see: See) -> Callable[[], None]:
        """Shows `see` what stands here at every call, until what comes back is called."""
        if self.heads is not None:
            return hook_heads(self.heads, see)
        if self.address.side == "in":
            return self.part.register_forward_pre_hook(self._enter(see), with_kwargs=True).remove
        return self.part.register_forward_hook(lambda _module, _args, output: see(output)).remove

    def check(self, value: Tensor) -> None:
        """Raises `NetworkError` where the heads cannot lie side by side in what stands here."""
        if self.heads is not None:
            check_heads(self.heads, value.shape[-1 if value.ndim == 3 else 1], str(self.address))

    def _enter(self, see: See) -> Callable[..., Any]:
        number = self.address.number

        def enter(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            given = [*args, *kwargs.values()]
            new = see(given[number] if number < len(given) else None)
            if new is None:
                return None
            given[number] = new
            return tuple(given[: len(args)]), dict(zip(kwargs, given[len(args) :], strict=True))

        return enter


def find_site(part: nn.Module, address: Address) -> Site:
    """Where the hook of an address of a module goes. Raises `NetworkError` for heads that are not known."""
    if address.side != "heads":
        return Site(part, address.site)
    heads = find_heads(part, address.module)
    return Site(heads.projection, address.site, heads)


@dataclass(frozen=True)
class Found:
    """Addresses found in a network: `asked` by what was asked for, `sites` where their hooks go."""

    module: nn.Module
    name: str
    parts: Mapping[str, nn.Module]
    asked: Mapping[str, Address]
    sites: Mapping[Address, Site]


def find_addresses(network: Network | nn.Module, layers: Sequence[str]) -> Found:
    """The addresses of layers in a network.

    Raises `UsageError` for an unknown layer, with near names, `NetworkError` for TorchScript and for heads
    that are not known.
    """
    network = as_network(network)
    check_kind(network.module, network.name)
    parts = dict(network.module.named_modules(remove_duplicate=False))
    asked = {text: Address.parse(text, parts, network.name) for text in dict.fromkeys(layers)}
    sites = {}
    for address in asked.values():
        check_kind(parts[address.module], f"layer {address.module} of {network.name}")
        sites[address.site] = find_site(parts[address.module], address)
    return Found(network.module, network.name, parts, asked, sites)


def name_modules(network: Network, layers: Sequence[str]) -> set[str]:
    """The names of the modules that some layers are of; nothing of layers that the network does not have.

    >>> name_modules(Network(nn.Sequential(nn.Linear(2, 2))), ["0@in", "1"])
    {'0'}
    """
    parts, names = dict(network.module.named_modules(remove_duplicate=False)), set()
    for layer in layers:
        with suppress(UsageError):
            names.add(Address.parse(layer, parts).module)
    return names


def hook_entrance(found: Found, address: Address, see: Callable[[object], None]) -> Callable[[], None]:
    """Shows `see` the first input of an address's module at every call, until what comes back is called.

    It sees a copy, for the module may write into its input.
    """
    site = Site(found.parts[address.module], Address(address.module, "in"))
    return site.hook(lambda first: see(first.clone() if isinstance(first, Tensor) else first))


def leave_directions(network: Network | nn.Module, layers: Sequence[str]) -> dict[str, str]:
    """By layer the address of the same without directions: where their places, and all before them, are told.

    >>> leave_directions(nn.Sequential(nn.ReLU()), ["0+rotation:0", "0@in"])
    {'0+rotation:0': '0', '0@in': '0@in'}
    """
    return {layer: str(address.plain) for layer, address in find_addresses(network, layers).asked.items()}


def count_heads(network: Network | nn.Module, layer: str) -> int:
    """How many heads the units of a layer belong to, one after the other; 0 where they are not of heads.

    Latents lie between the units of all heads, so that they are of none.

    >>> count_heads(nn.ModuleDict({"attn": nn.MultiheadAttention(8, 2)}), "attn@heads")
    2
    """
    found = find_addresses(network, [layer])
    [address], [site] = found.asked.values(), found.sites.values()
    return 0 if site.heads is None or address.directions else site.heads.count


def pick_at(whole: object, address: Address, text: str, found: Found) -> object:
    """What stands at an address in what its module gave. Raises `UsageError`, with near names."""
    try:
        return pick(whole, address.steps)
    except UsageError as error:
        inside = [str(replace(address, path="").lead(keys, found.parts)) for keys, _ in walk(whole)]
        near = say_near(text, [*filter(None, found.parts), *inside])
        where = replace(address.plain, path="", call=None)
        raise UsageError(f"{found.name} has no layer {text!r}: in {where} {error}{near}") from error


def check_kind(module: nn.Module, name: str) -> None:
    """Raises `NetworkError` for a TorchScript module, which shows nobody its layers."""
    if isinstance(module, torch.jit.ScriptModule):
        raise NetworkError(f"{name} {SCRIPTED}; give the module that it was made from")


def _holds(module: nn.Module) -> bool:
    return type(module) in CONTAINERS
