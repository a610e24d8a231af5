"""Reading the layers of a network, which is left as it was found."""

import sys
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError, say_near
from unitscope.networks.addresses import (
    CONTAINERS,
    SCRIPTED,
    Address,
    Found,
    check_kind,
    find_addresses,
    hook_entrance,
    name_modules,
    pick_at,
)
from unitscope.networks.channel_order import input_size, turn_change, turn_channels
from unitscope.networks.directions.directions import Directions
from unitscope.networks.failures import tell_failure
from unitscope.networks.latents import Lenses, find_change, open_for, read_latents, write_latents
from unitscope.networks.listing import LayerShape, Listing
from unitscope.networks.memory import hold_memory
from unitscope.networks.network import Input, Network, as_network, split_images, spread
from unitscope.networks.randomness import is_random, note_randomness, set_modes, steadied, watch
from unitscope.networks.structures import describe, put, walk
from unitscope.networks.tokens import Layout, Size
from unitscope.networks.unit_maps import check_batch

Reader = Callable[[Input], dict[str, Tensor]]


class _Stop(BaseException):
    """Ends a forward pass whose rest is not read; no `Exception`, so that no network swallows it."""


@contextmanager
def tap(
    network: Network | nn.Module,
    layers: Sequence[str],
    stop: bool = True,
    checked: bool = False,
    steady: bool = True,
) -> Iterator[Reader]:
    """Gives `read(batch) -> {layer: raw output}` for the layers of a network.

    A layer is addressed by its module's name as in `named_modules()`: `name` is the module's output,
    `name@in` its first input, `name@in1` its second, `name@heads` what the heads of an attention give before
    its output projection, `name.key` or `name[0]` a part of an output that holds several, and `name#2` (or
    `name@in#2`) the second call where one forward pass calls it several times. `+SPEC` behind any of these
    reads the layer in directions (`open_directions`): latents take the place of units; where the directions
    are of the change that a block makes, they are read of that, its output less its first input.

    `read` runs in evaluation mode without gradients. With `stop` the forward pass ends right after the last
    layer asked for. What is returned is what the layer gave at that moment (4-D with the channels first):
    in-place operations after it do not show.

    The first `read` with `stop` sends one image through the whole network beforehand, to see what each
    layer gives and how often it runs; `checked` says that this has been done before; `steady`: `steadied`.

    Inside the block the modules are in evaluation mode; afterwards, also after an error, hooks are gone and
    every module's mode is as it was. Gradients, buffers and parameters are not touched.

    Raises `UsageError` for an unknown layer (with near names) or one that runs several times; from `read`,
    `NetworkError` where a layer never runs, gives no tensor or another batch than that of the images, or
    where the network fails on the input, and what `open_directions` raises.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
    >>> with tap(net, ["0", "1"]) as read:
    ...     maps = read(torch.zeros(2, 3, 8, 8))
    >>> maps["0"].shape, bool((maps["1"] >= 0).all())
    (torch.Size([2, 4, 6, 6]), True)
    """
    if not layers:
        raise UsageError("no layer was named; `unitscope layers NETWORK` lists what can be read")
    kept = network if steady and isinstance(network, Network) else None
    network = as_network(network)
    found = find_addresses(network, layers)
    lenses = Lenses(network.name)
    checked = checked or not stop

    def read(batch: Input) -> dict[str, Tensor]:
        nonlocal checked
        if len(spread(batch)[0]) > 1 and kept is not None and is_random(kept):
            parts = [read(one) for one in split_images(batch)]
            return {layer: torch.cat([part[layer] for part in parts]) for layer in parts[0]}
        if not checked:
            one = tuple(part[:1] for part in batch) if isinstance(batch, tuple) else batch[:1]
            first = _Pass(network.run, found, lenses, stop=False, tolerant=True).run(one)
            checked = True
            if len(spread(batch)[0]) == 1:
                return first
        return _Pass(network.run, found, lenses, stop=stop).run(batch)

    with evaluation(kept or found.module):
        yield read


@contextmanager
def hook_layer(
    network: Network | nn.Module, layer: str, change: Callable[[Tensor, Layout], Tensor]
) -> Iterator[None]:
    """Inside the block, `change` replaces what the layer gives (or takes, `name@in`) by what it returns.

    `change` gets and gives 4-D tensors with the channels first, whatever the layer does; it is also given how
    tokens lie in the picture. Of a layer in directions, `name+SPEC`, it gets and gives latents, and what it
    changes in them is added to what the layer gives (`write_latents`), also where they are read of the change
    that a block makes: cells with the same latents stay as they are.

    Afterwards, also after an error, the layer is as before. Raises `UsageError` for an unknown layer,
    `NetworkError` where it gives no tensor or another batch than that of the images, and at the end of the
    block where the network ran and the layer, or that call of it, never did: then nothing was changed.
    """
    network = as_network(network)
    found = find_addresses(network, [layer])
    lenses = Lenses(network.name)
    [address], [site] = found.asked.values(), found.sites.values()
    of_change = lenses.read_change(layer, address)
    calls = most = images = 0
    ran = changed = False
    size: Size | None = None
    taken: object = None

    def start(given: tuple[Any, ...]) -> None:
        nonlocal calls, images, ran, size
        calls, ran, size = 0, True, input_size(given)
        images = len(given[0]) if given and isinstance(given[0], Tensor) and given[0].ndim else 0

    def take(first: object) -> None:
        nonlocal taken
        taken = first

    def replace(whole: object) -> object:
        nonlocal calls, most, changed
        calls += 1
        most = max(most, calls)
        if address.call not in (None, calls):
            return None
        value = pick_at(whole, address, layer, found)
        if not isinstance(value, Tensor):
            raise NetworkError(
                f"layer {layer} of {found.name} has {describe(value)} there, not a tensor to edit"
            )
        if size is None:
            raise NetworkError(f"{found.name} was called, but it has a `forward`; call `network.run(batch)`")
        site.check(value)
        if images > 1:  # one may have been made many by an edit before
            check_batch(value, images, layer)
        changed = True
        layout = network.layout(size)

        def change_maps(maps: Tensor) -> Tensor:
            if not address.directions:
                return change(maps, layout)
            directions, cells = lenses.find(layer, address.directions, maps), maps
            if of_change:
                made = find_change(value, taken, layer)
                cells = turn_channels(made, site.part, found.module, size, layer)
            before = read_latents(directions, cells)
            return write_latents(directions, maps, before, change(before, layout), cells)

        new = turn_change(change_maps, value, site.part, found.module, size, layer)
        return put(whole, address.steps, new)

    with ExitStack() as hooks:
        hooks.enter_context(_run_uncompiled())
        hooks.enter_context(network.watch(start))
        if of_change:
            hooks.callback(hook_entrance(found, address, take))
        hooks.callback(site.hook(replace))
        yield
    if ran and not changed:
        effect = "so nothing was edited; edit another layer"
        raise NetworkError(f"layer {layer} of {found.name} {_say_calls(most)}, {effect}")


@dataclass
class _Pass:
    """One forward pass: what its hooks have seen."""

    call: Callable[[Input], object]
    found: Found
    lenses: Lenses
    stop: bool
    tolerant: bool = False
    seen: dict[str, object] = field(default_factory=dict)
    taken: dict[str, object] = field(default_factory=dict)
    """By layer the input of the call that is read, where latents are of the change that it makes."""
    calls: Counter[Address] = field(default_factory=Counter)
    tensors: list[str] = field(default_factory=list)

    def run(self, batch: Input) -> dict[str, Tensor]:
        asked = self.found.asked
        with ExitStack() as hooks, torch.no_grad():
            for text, address in asked.items():
                if self.lenses.read_change(text, address):
                    hooks.callback(hook_entrance(self.found, address, partial(self._take, text)))
            for address, site in self.found.sites.items():
                hooks.callback(site.hook(partial(self._see, address)))
            if not self.stop:
                self._hook_parts(hooks)
            try:
                self.call(batch)
            except _Stop:
                pass
            except Exception as error:
                # What comes after the last layer asked for may fail: it is not read.
                if not self.tolerant or len(self.seen) < len(asked):
                    raise tell_failure(self.found.name, batch, error) from error
        return {text: self._result(text, address, spread(batch)) for text, address in asked.items()}

    def _hook_parts(self, hooks: ExitStack) -> None:
        """Notes which parts of the layers give tensors, to have a suggestion where a layer gives none."""
        for outer in dict.fromkeys(address.module for address in self.found.sites):
            for inner, part in self.found.parts[outer].named_modules():
                if inner:
                    note = partial(self._note, f"{outer}.{inner}")
                    hooks.callback(part.register_forward_hook(note).remove)

    def _note(self, name: str, _module: nn.Module, _args: object, output: object) -> None:
        if isinstance(output, Tensor):
            self.tensors.append(name)

    def _take(self, text: str, first: object) -> None:
        address = self.found.asked[text]
        if (address.call or 1) == self.calls[address.site] + 1:
            self.taken[text] = first

    def _see(self, site: Address, whole: object) -> None:
        self.calls[site] += 1
        call = self.calls[site]
        for text, address in self.found.asked.items():
            if address.site == site and (address.call or 1) == call and text not in self.seen:
                try:
                    self.seen[text] = pick_at(whole, address, text, self.found)
                except UsageError as error:  # told after the pass, which may catch what is raised in it
                    self.seen[text] = error
        if self.stop and len(self.seen) == len(self.found.asked):
            raise _Stop
        for text, address in self.found.asked.items():
            if address.site == site and (address.call or 1) == call:
                value = self.seen[text]
                self.seen[text] = value.detach().clone() if isinstance(value, Tensor) else value

    def _result(self, text: str, address: Address, given: tuple[Tensor, ...]) -> Tensor:
        name, calls = self.found.name, self.calls[address.site]
        if text not in self.seen and not calls and address.path:  # more likely misspelled than a part
            near = say_near(text, filter(None, self.found.parts))
            raise UsageError(f"{name} has no layer {text!r}, and {address.module} never runs{near}")
        if text not in self.seen:
            raise NetworkError(f"layer {text} of {name} {_say_calls(calls)}; read another layer")
        if calls > 1 and address.call is None:
            which = f"say which: {replace(address, call=1)} to {replace(address, call=calls)}"
            raise UsageError(f"layer {text} of {name} runs {calls} times in a forward pass; {which}")
        value = self.seen[text]
        if isinstance(value, UsageError):
            raise value
        if not isinstance(value, Tensor):
            verb = "takes" if address.side == "in" else "returns"
            advice = self._suggest(address, value)
            raise NetworkError(f"layer {text} of {name} {verb} {describe(value)}, not a tensor{advice}")
        site = self.found.sites[address.site]
        site.check(value)
        check_batch(value, len(given[0]), text)
        raw = value.detach()
        if text in self.taken:
            raw = find_change(raw, self.taken[text], text)
        raw = turn_channels(raw, site.part, self.found.module, input_size(given), text)
        if not address.directions:
            return raw
        with torch.no_grad():
            return read_latents(self.lenses.find(text, address.directions, raw), raw)

    def _suggest(self, address: Address, value: object) -> str:
        """Parts of a layer that gives no tensor, to be read instead."""
        inside = [
            str(replace(address, path="").lead((*address.steps, *keys), self.found.parts))
            for keys, _ in walk(value)
        ]
        advice = f"; tensors in it: {', '.join(inside[:4])}" if inside else ""
        parts = sorted(dict.fromkeys(reversed(self.tensors)), key=lambda part: part.count("."))[:4]
        return advice + (f"; parts of it that return tensors: {', '.join(parts)}" if parts else "")


def list_layers(network: Network | nn.Module, size: tuple[int, int] | None = None) -> list[LayerShape]:
    """Every layer of the network with the shape of its units, in the order of `named_modules()`.

    One forward pass over a blank image of `size` (height, width), by default the size that the network's
    preprocessing states, else 224 x 224. Raises `NetworkError` where the network fails on it.

    >>> [(layer.name, layer.shape) for layer in list_layers(nn.Sequential(nn.Conv2d(3, 4, 3)), (8, 8))]
    [('0', (4, 6, 6))]
    """
    return _list_modules(as_network(network), size)


def _list_modules(
    network: Network, size: Size | None, only: Container[str] | None = None
) -> list[LayerShape]:
    """What `list_layers` tells, of some modules only if so wanted."""
    module, batch = network.module, network.blank(size)
    # Subclasses of containers may have a forward pass of their own.
    check_kind(module, network.name)
    names = {part: key for key, part in module.named_modules() if key and type(part) not in CONTAINERS}
    if only is not None:
        names = {part: key for part, key in names.items() if key in only}
    closed = {part for part in names if isinstance(part, torch.jit.ScriptModule)}
    listing = Listing(network, batch, dict(module.named_modules(remove_duplicate=False)))
    with evaluation(module), torch.no_grad(), ExitStack() as hooks:
        for part in names.keys() - closed:
            listing.watch(hooks, part, names[part])
        try:
            with watch(module) as drawn:
                network.run(batch)
        except Exception as error:
            raise tell_failure(network.name, batch, error) from error
    note_randomness(module, drawn[0])
    layers = []
    for part, key in names.items():
        if rows := listing.rows(key, type(part).__name__):
            layers += rows
        else:
            reason = SCRIPTED if part in closed else "never runs in a forward pass"
            layers.append(LayerShape(key, type(part).__name__, 0, None, "", reason))
    return layers


def find_shapes(network: Network, layers: Sequence[str]) -> dict[str, LayerShape]:
    """What `list_layers` tells of some layers, by their addresses; of one in directions, with its latents.

    Those that are not listed are not in it. Raises what `list_layers` and `open_directions` raise,
    `UsageError` for directions of an unknown layer.
    """
    listed = {row.name: row for row in _list_modules(network, None, name_modules(network, layers))}
    shapes = {layer: row for layer, row in listed.items() if layer in layers}
    for layer in layers:
        if layer in listed or "+" not in layer:
            continue
        address = find_addresses(network, [layer]).asked[layer]
        row = listed.get(str(address.plain))
        if row is None or not address.directions:
            continue
        if row.shape is not None:
            latents = open_for(network.name, layer, address.directions, row.shape[0]).latents
            row = replace(row, shape=(latents, *row.shape[1:]), heads=0)
        shapes[layer] = replace(row, name=layer)
    return shapes


def open_lenses(network: Network, layers: Sequence[str], size: Size | None = None) -> dict[str, Directions]:
    """The directions of those of some layers that are read in any, by address; nothing of the others.

    One forward pass over a blank image where there are any. Raises what `tap` raises.
    """
    asked = find_addresses(network, layers).asked
    spelled = {layer: address for layer, address in asked.items() if address.directions}
    if not spelled:
        return {}
    plain = {layer: str(address.plain) for layer, address in spelled.items()}
    with tap(network, list(dict.fromkeys(plain.values()))) as read:
        raw = read(network.blank(size))
    lenses = Lenses(network.name)
    return {layer: lenses.find(layer, one.directions, raw[plain[layer]]) for layer, one in spelled.items()}


@contextmanager
def evaluation(network: Network | nn.Module) -> Iterator[None]:
    """Evaluation mode for a while, and passes one after the other in the same memory.

    A `Network` gives the same for the same image meanwhile, also if it draws random numbers (`steadied`).
    """
    module = network.module if isinstance(network, Network) else network
    steady = steadied(network) if isinstance(network, Network) else nullcontext()
    with set_modes(module), hold_memory(), _run_uncompiled(), steady:
        yield


@contextmanager
def _run_uncompiled() -> Iterator[None]:
    """Without what `torch.compile` made: it does not see hooks that come later."""
    if "torch._dynamo" not in sys.modules:  # nothing was compiled, and importing it takes seconds
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def _say_calls(calls: int) -> str:
    return f"runs only {calls} times in a forward pass" if calls else "never runs in a forward pass"
