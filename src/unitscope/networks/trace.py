"""Reading the layers of a network, which is left as it was found."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError, say_near
from unitscope.networks.channel_order import input_size, put_channels_first, turn_channels
from unitscope.networks.memory import hold_memory
from unitscope.networks.network import Input, Network, as_network, split_images, spread
from unitscope.networks.randomness import is_random, note_randomness, set_modes, steadied, watch
from unitscope.networks.tokens import Layout, Size
from unitscope.networks.unit_maps import check_batch, read_units
from unitscope.networks.weights import one_line

Reader = Callable[[Input], dict[str, Tensor]]

_LACKS = re.compile(r"missing \d+ required .*argument")
_OF_CHANNELS = re.compile(r"(?<!per )channel")
_OF_SIZE = re.compile(r"\b(size|shape|height|width|dimension|resolution|divisible)", re.IGNORECASE)
_SCRIPTED = "is TorchScript, whose layers cannot be read"
_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


class _Stop(BaseException):
    """Ends a forward pass whose rest is not read; no `Exception`, so that no network swallows it."""


@dataclass(frozen=True)
class _Address:
    """Where to read: `module`, `module@in` (its first input), `module#2` (its second call)."""

    text: str
    module: str
    input: bool
    call: int | None

    @classmethod
    def parse(cls, text: str) -> "_Address":
        rest, _, call = text.partition("#")
        name, at, side = rest.partition("@")
        if (at and side != "in") or ("#" in text and not (call.isdecimal() and int(call) > 0)):
            raise UsageError(f"layer {text!r} is not NAME, NAME@in, or NAME#1 for the first of several calls")
        return cls(text, name, bool(at), int(call) if call else None)


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
    `name@in` its first input, `name#2` (or `name@in#2`) its second call where one forward pass calls it
    several times. `read` runs in evaluation mode without gradients. With `stop` the forward pass ends
    right after the last layer asked for. What is returned is what the layer gave at that moment (4-D with
    the channels first): in-place operations after it do not show.

    The first `read` with `stop` sends one image through the whole network beforehand, to see what each
    layer gives and how often it runs; `checked` says that this has been done before; `steady`: `steadied`.

    Inside the block the modules are in evaluation mode; afterwards, also after an error, hooks are gone and
    every module's mode is as it was. Gradients, buffers and parameters are not touched.

    Raises `UsageError` for an unknown layer (with near names) or one that runs several times; from `read`,
    `NetworkError` where a layer never runs, gives no tensor or another batch than that of the images, or
    where the network fails on the input.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
    >>> with tap(net, ["0", "1"]) as read:
    ...     maps = read(torch.zeros(2, 3, 8, 8))
    >>> maps["0"].shape, bool((maps["1"] >= 0).all())
    (torch.Size([2, 4, 6, 6]), True)
    """
    if not layers:
        raise UsageError("no layer was named; `unitscope layers NETWORK` lists what can be read")
    found = _find_addresses(network, layers)
    checked = checked or not stop

    def read(batch: Input) -> dict[str, Tensor]:
        nonlocal checked
        if len(spread(batch)[0]) > 1 and kept is not None and is_random(kept):
            parts = [read(one) for one in split_images(batch)]
            return {layer: torch.cat([part[layer] for part in parts]) for layer in parts[0]}
        if not checked:
            one = tuple(part[:1] for part in batch) if isinstance(batch, tuple) else batch[:1]
            first = _Pass(*found, stop=False, tolerant=True).run(one)
            checked = True
            if len(spread(batch)[0]) == 1:
                return first
        return _Pass(*found, stop=stop).run(batch)

    kept = network if steady and isinstance(network, Network) else None
    with evaluation(kept or found[0]):
        yield read


@contextmanager
def hook_layer(
    network: Network | nn.Module, layer: str, change: Callable[[Tensor, Layout], Tensor]
) -> Iterator[None]:
    """Inside the block, `change` replaces what the layer gives (or takes, `name@in`) by what it returns.

    `change` gets and gives 4-D tensors with the channels first, whatever the layer does; it is also given how
    tokens lie in the picture.
    Afterwards, also after an error, the layer is as before. Raises `UsageError` for an unknown layer,
    `NetworkError` where it gives no tensor, and at the end of the block where the network ran and the layer,
    or that call of it, never did: then nothing was changed.
    """
    network = as_network(network)
    module, name, modules, [address] = _find_addresses(network, [layer])
    target = modules[address.module]
    calls = most = 0
    ran = changed = False

    def place(value: Tensor, size: Size) -> Tensor:
        return change(value, network.layout(size))

    def start(_module: nn.Module, _args: object) -> None:
        nonlocal calls, ran
        calls, ran = 0, True

    def replace(value: object) -> Tensor | None:
        nonlocal calls, most, changed
        calls += 1
        most = max(most, calls)
        if address.call not in (None, calls):
            return None
        if not isinstance(value, Tensor):
            raise NetworkError(f"layer {layer} of {name} has {_describe(value)} there, not a tensor to edit")
        changed = True
        return turned(value)

    def enter(
        _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        new = replace(_first(args, kwargs))
        if new is None:
            return None
        if args:
            return (new, *args[1:]), kwargs
        return args, {**kwargs, next(iter(kwargs)): new}

    with ExitStack() as hooks:
        hooks.enter_context(_run_uncompiled())
        turned = hooks.enter_context(put_channels_first(place, target, module, layer))
        hooks.callback(module.register_forward_pre_hook(start).remove)
        if address.input:
            hooks.callback(target.register_forward_pre_hook(enter, with_kwargs=True).remove)
        else:
            hooks.callback(target.register_forward_hook(lambda _m, _a, output: replace(output)).remove)
        yield
    if ran and not changed:
        effect = "so nothing was edited; edit another layer"
        raise NetworkError(f"layer {layer} of {name} {_say_calls(most)}, {effect}")


@dataclass
class _Pass:
    """One forward pass: what its hooks have seen."""

    module: nn.Module
    name: str
    modules: dict[str, nn.Module]
    addresses: Sequence[_Address]
    stop: bool
    tolerant: bool = False
    seen: dict[str, object] = field(default_factory=dict)
    calls: Counter[tuple[str, bool]] = field(default_factory=Counter)
    tensors: list[str] = field(default_factory=list)

    def run(self, batch: Input) -> dict[str, Tensor]:
        with ExitStack() as hooks, torch.no_grad():
            for name, on_input in dict.fromkeys((a.module, a.input) for a in self.addresses):
                self._hook(hooks, name, on_input)
            if not self.stop:
                self._hook_parts(hooks)
            try:
                self.module(*spread(batch))
            except _Stop:
                pass
            except Exception as error:
                # What comes after the last layer asked for may fail: it is not read.
                if not self.tolerant or len(self.seen) < len(self.addresses):
                    raise _failure(self.name, batch, error) from error
        return {address.text: self._result(address, spread(batch)) for address in self.addresses}

    def _hook(self, hooks: ExitStack, name: str, on_input: bool) -> None:
        def see(_module: nn.Module, args: tuple[Any, ...], given: Any) -> None:
            self._see(name, on_input, _first(args, given) if on_input else given)

        part = self.modules[name]
        pre, post = partial(part.register_forward_pre_hook, with_kwargs=True), part.register_forward_hook
        hooks.callback((pre(see) if on_input else post(see)).remove)

    def _hook_parts(self, hooks: ExitStack) -> None:
        """Notes which parts of the layers give tensors, to have a suggestion where a layer gives none."""
        for outer in dict.fromkeys(a.module for a in self.addresses):
            for inner, part in self.modules[outer].named_modules():
                if inner:
                    note = partial(self._note, f"{outer}.{inner}")
                    hooks.callback(part.register_forward_hook(note).remove)

    def _note(self, name: str, _module: nn.Module, _args: object, output: object) -> None:
        if isinstance(output, Tensor):
            self.tensors.append(name)

    def _see(self, name: str, on_input: bool, value: object) -> None:
        self.calls[name, on_input] += 1
        now = name, on_input, self.calls[name, on_input]
        called = (a.text for a in self.addresses if (a.module, a.input, a.call or 1) == now)
        caught = [text for text in called if text not in self.seen]
        self.seen |= dict.fromkeys(caught, value)
        if self.stop and len(self.seen) == len(self.addresses):
            raise _Stop
        if isinstance(value, Tensor):
            self.seen |= {text: value.detach().clone() for text in caught}

    def _result(self, address: _Address, given: tuple[Tensor, ...]) -> Tensor:
        text, calls = address.text, self.calls[address.module, address.input]
        if text not in self.seen:
            raise NetworkError(f"layer {text} of {self.name} {_say_calls(calls)}; read another layer")
        if calls > 1 and address.call is None:
            which = f"say which: {text}#1 to {text}#{calls}"
            raise UsageError(f"layer {text} of {self.name} runs {calls} times in a forward pass; {which}")
        value = self.seen[text]
        if not isinstance(value, Tensor):
            parts = dict.fromkeys(reversed(self.tensors))
            shallow = sorted(parts, key=lambda part: part.count("."))[:4]
            advice = f"; parts of it that return tensors: {', '.join(shallow)}" if shallow else ""
            verb = "takes" if address.input else "returns"
            raise NetworkError(f"layer {text} of {self.name} {verb} {_describe(value)}, not a tensor{advice}")
        check_batch(value, len(given[0]), text)
        part = self.modules[address.module]
        return turn_channels(value.detach(), part, self.module, input_size(given), text)


@dataclass(frozen=True)
class LayerShape:
    """One line of `unitscope layers`: an address that can be dissected, or why it cannot.

    `name` is the layer's address (`name#1`, `name#2` where the module runs several times in a forward
    pass, `calls` times in all), `kind` the module's class, `shape` (units, rows, columns) of its maps, None
    where it cannot be dissected: then `reason` says why. `raw` is what the layer gave, `place` where it
    answers to changes of the input, if that was asked for (`list_places`).
    """

    name: str
    kind: str
    calls: int
    shape: tuple[int, int, int] | None
    raw: str
    reason: str = ""
    place: str = ""


def list_layers(network: Network | nn.Module, size: tuple[int, int] | None = None) -> list[LayerShape]:
    """Every layer of the network with the shape of its units, in the order of `named_modules()`.

    One forward pass over a blank image of `size` (height, width), by default the size that the network's
    preprocessing states, else 224 x 224. Raises `NetworkError` where the network fails on it.

    >>> [(layer.name, layer.shape) for layer in list_layers(nn.Sequential(nn.Conv2d(3, 4, 3)), (8, 8))]
    [('0', (4, 6, 6))]
    """
    network = as_network(network)
    module, batch = network.module, network.blank(size)
    # Subclasses of containers may have a forward pass of their own.
    _check_kind(module, network.name)
    names = {part: key for key, part in module.named_modules() if key and type(part) not in _CONTAINERS}
    closed = {part for part in names if isinstance(part, torch.jit.ScriptModule)}
    seen: dict[nn.Module, list[tuple[tuple[int, int, int] | None, str, str]]] = {part: [] for part in names}

    def measure(part: nn.Module, _args: object, output: object) -> None:
        shape, raw, reason = None, _describe(output), ""
        try:
            if not isinstance(output, Tensor):
                raise NetworkError(f"returns {raw}, not a tensor")
            check_batch(output, 1, names[part])
            turned = turn_channels(output, part, module, input_size(spread(batch)), names[part])
            _, units, rows, columns = read_units(turned, network.layout(batch), names[part]).shape
            shape = (units, rows, columns)
        except NetworkError as error:
            reason = str(error)
        seen[part].append((shape, raw, reason))

    with evaluation(module), torch.no_grad(), ExitStack() as hooks:
        for part in names.keys() - closed:
            hooks.callback(part.register_forward_hook(measure).remove)
        parts = spread(batch)
        try:
            with watch(module) as drawn:
                module(*parts)
        except Exception as error:
            raise _failure(network.name, batch, error) from error
    note_randomness(module, drawn[0])
    layers = []
    for part, key in names.items():
        kind, calls = type(part).__name__, len(seen[part])
        for number, found in enumerate(seen[part], 1):
            layers.append(LayerShape(key if calls == 1 else f"{key}#{number}", kind, calls, *found))
        if not calls:
            reason = _SCRIPTED if part in closed else "never runs in a forward pass"
            layers.append(LayerShape(key, kind, 0, None, "", reason))
    return layers


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


def _failure(name: str, batch: Input, error: Exception) -> NetworkError:
    if isinstance(batch, tuple):
        shapes = " and ".join(_describe(part) for part in batch)
        return NetworkError(f"{name} failed on an input of {shapes}: {one_line(error)}")
    size = " x ".join(map(str, batch.shape[-2:]))
    said = f"{name} failed on an input of {size} pixels: {one_line(error)}"
    return NetworkError(f"{said}{_advise(str(error), batch.shape[1])}")


def _advise(said: str, channels: int) -> str:
    """What to do about an error of a forward pass, as far as its words tell."""
    if _LACKS.search(said):
        return "; it takes more than an image: wrap it in a module whose forward pass supplies the rest"
    if _OF_CHANNELS.search(said):
        return f"; it was given {channels} channels: wrap it in a module that makes what it wants of them"
    return "; try another size" if _OF_SIZE.search(said) else ""


def _say_calls(calls: int) -> str:
    return f"runs only {calls} times in a forward pass" if calls else "never runs in a forward pass"


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    return args[0] if args else next(iter(kwargs.values()), None)


def _describe(value: object) -> str:
    """What a layer gave, in a few words."""
    if isinstance(value, Tensor):
        return " x ".join(map(str, value.shape)) or "a single number"
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return f"a dict ({', '.join(map(str, list(value)[:4]))})"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def _find_addresses(
    network: Network | nn.Module, layers: Sequence[str]
) -> tuple[nn.Module, str, dict[str, nn.Module], list[_Address]]:
    """The module, its name for messages, its parts by name, and the addresses of the layers in it."""
    network = as_network(network)
    _check_kind(network.module, network.name)
    parts = dict(network.module.named_modules(remove_duplicate=False))
    addresses = [_Address.parse(text) for text in dict.fromkeys(layers)]
    for address in addresses:
        if address.module not in parts or not address.module:
            near = say_near(address.module, filter(None, parts)) or "; `unitscope layers NETWORK` lists them"
            raise UsageError(f"{network.name} has no layer {address.module!r}{near}")
        _check_kind(parts[address.module], f"layer {address.module} of {network.name}")
    return network.module, network.name, parts, addresses


def _check_kind(module: nn.Module, name: str) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        raise NetworkError(f"{name} {_SCRIPTED}; give the module that it was made from")
