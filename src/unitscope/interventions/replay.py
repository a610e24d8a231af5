"""Runs the rest of a network, from a layer on, for many versions of the layer's maps of one image.

What ran before the layer is not run again: the outermost modules that had finished when the layer
was reached answer with what they gave the first time. What the network does between modules (adding
a shortcut, say) is done again, on those answers. Where the layer is one of several calls of its module, its
calls before that answer in the same way, and those after it run. Maps of a layer in directions are latents,
and what changes in them is added to the layer.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.addresses import Address
from unitscope.networks.channel_order import has_channels_last, input_size
from unitscope.networks.directions.directions import Directions
from unitscope.networks.latents import Lenses, find_change, read_latents, write_latents
from unitscope.networks.network import Input, Network, number_images, numbers_of, spread
from unitscope.networks.randomness import is_random
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import evaluation
from unitscope.networks.unit_maps import read_others, read_units, write_units

Maps = Float32[Tensor, "version unit cell_y cell_x"]
Others = Float32[Tensor, "#version unit token 1"]
_CLOSE = 1e-4


@dataclass
class Replay:
    """The network split at a layer; made by `replay`."""

    network: Network
    layer: str
    address: Address
    outer: dict[str, nn.Module]
    """The outermost modules that do not hold the layer."""
    lenses: Lenses
    given: dict[str, list[Any]] = field(default_factory=dict)
    before: list[Any] = field(default_factory=list)
    """What earlier calls of the layer's module gave."""
    reached: bool = False
    raw: Tensor | None = None
    taken: object = None
    """What the layer took, where its latents are of the change that it makes."""
    cells: Tensor | None = None
    """What latents are read from: `raw`, or the change that the layer makes."""
    latents: Tensor | None = None
    """What `cells` are in the layer's directions, where it has any."""
    last: bool = False
    """Whether the layer has its channels last; `raw` has them first all the same."""
    batch: Input = ()
    copies: bool = False
    random: bool = False
    """Whether the network draws random numbers: then all of it runs again, one version at a time."""

    @property
    def maps(self) -> Maps:
        """The layer's maps in the image: [1, unit, cell_y, cell_x]."""
        return read_units(self._read(), self.layout, self.layer)

    @property
    def others(self) -> Others:
        """What the units are in the class and register tokens of the image: [1, unit, token, 1]."""
        return read_others(self._read(), self.layout, self.layer)

    @property
    def layout(self) -> Layout:
        """How the tokens of the image lie."""
        return self.network.layout(self.batch)

    def start(self, image: Input) -> tuple[Maps, Tensor]:
        """Runs the whole network on a batch of one image: the layer's maps [1, ...], its output [1, ...].

        Raises `NetworkError` where the layer is not reached or the rest cannot be run by itself.
        """
        self.batch, count = image, len(spread(image)[0])
        if count != 1:
            raise UsageError(f"a replay starts from one image, not from {count}")
        self.given, self.reached, self.raw = {name: [] for name in self.outer}, False, None
        self.before = []
        with ExitStack() as patches:
            for name, module in self.outer.items():
                patches.enter_context(_patched(module, partial(self._record, name, module.forward)))
            patches.enter_context(_patched(self._target, partial(self._reach, self._target.forward)))
            output = self._call(self.batch)
        raw = self._reached_maps()
        cells = find_change(raw, self.taken, self.layer) if self._is_of_change else raw
        size = input_size(spread(self.batch))
        self.last = has_channels_last(raw, self._target, self.network.module, size, self.layer)
        if self.last:
            raw, cells = raw.movedim(-1, 1), cells.movedim(-1, 1)
        self.raw, self.cells = raw, cells
        self.latents = read_latents(self._find_directions(), cells) if self.address.directions else None
        maps = read_units(self._read(), self.layout, self.layer)
        again = self.finish(maps)
        if not torch.allclose(again, output, rtol=_CLOSE, atol=_CLOSE, equal_nan=True):
            far = float((again - output).abs().max())
            raise NetworkError(
                f"the rest of {self.network.name} after {self.layer} gives another output by itself "
                f"(by {far:.2g}); use the plain loop"
            )
        return maps, output

    def finish(self, maps: Maps, others: Others | None = None) -> Tensor:
        """The network's outputs, one a version of the layer's maps, and of its other tokens where given."""
        edited = write_units(self._read(), maps, self.layout, self.layer, others)
        if self.latents is not None:
            raw = self._reached_maps()
            edited = write_latents(self._find_directions(), raw, self.latents, edited, self.cells)
            if edited.data_ptr() == raw.data_ptr():  # what did not change; the network may write into it
                edited = edited.clone()
        edited = edited.movedim(1, -1) if self.last else edited
        if self.random:
            # What is drawn for each value depends on how they lie in memory.
            raw = self._reached_maps()
            like = torch.empty_like(raw.movedim(1, -1) if self.last else raw)
            return torch.cat([self._rest(like.copy_(one[None]).clone()) for one in edited])
        try:
            return self._rest(edited)
        except RuntimeError as error:
            # Answers are views that share one image; a network that overwrites them needs copies.
            if self.copies or "single memory location" not in str(error):
                raise
            self.copies = True
            return self._rest(edited)

    def _reached_maps(self) -> Tensor:
        if self.raw is None:
            raise NetworkError(f"layer {self.layer} of {self.network.name} never ran; take another layer")
        return self.raw

    def _find_directions(self) -> Directions:
        return self.lenses.find(self.layer, self.address.directions, self._reached_maps())

    @property
    def _is_of_change(self) -> bool:
        return self.lenses.read_change(self.layer, self.address)

    def _read(self) -> Tensor:
        """What units are read from."""
        return self._reached_maps() if self.latents is None else self.latents

    @property
    def _target(self) -> nn.Module:
        return self.network.module.get_submodule(self.address.module)

    def _rest(self, edited: Tensor) -> Tensor:
        count, calls = len(edited), Counter[str]()

        def many(value: Any) -> Any:
            if not (isinstance(value, Tensor) and value.ndim and len(value) == 1):
                return value
            wide = value.expand(count, *value.shape[1:])
            return wide.clone() if self.copies else wide

        def answer(name: str, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            place, calls[name] = calls[name], calls[name] + 1
            if place < len(self.given[name]):
                return tree_map(many, self.given[name][place])
            return original(*args, **kwargs)

        with ExitStack() as patches:
            for name, module in self.outer.items():
                if self.given[name]:
                    patches.enter_context(_patched(module, partial(answer, name, module.forward)))
            original = self._target.forward

            def exchange(*args: Any, **kwargs: Any) -> Any:
                call, calls[self.layer] = calls[self.layer], calls[self.layer] + 1
                if call > len(self.before):
                    return original(*args, **kwargs)
                if self.random:
                    drawn = original(*args, **kwargs)  # draws what it drew before
                    return drawn if call < len(self.before) else edited
                return tree_map(many, self.before[call]) if call < len(self.before) else edited

            patches.enter_context(_patched(self._target, exchange))
            batch = tree_map(many, self.batch)
            output = self._call(number_images(batch, numbers_of(self.batch) * count))
        if len(output) != count:
            raise NetworkError(
                f"{self.network.name} gives {len(output)} outputs for {count} images from {self.layer} on; "
                "where images go through it one by one, have its `forward` pass a batch at once"
            )
        return output

    def _record(self, name: str, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        output = original(*args, **kwargs)
        if not self.reached:
            self.given[name].append(tree_map(_kept, output))
        return output

    def _reach(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        first = _kept(next(iter((*args, *kwargs.values())), None)) if self._is_of_change else None
        output = original(*args, **kwargs)
        if self.address.call is not None and (self.reached or len(self.before) + 1 < self.address.call):
            if not self.reached:
                self.before.append(tree_map(_kept, output))
            return output
        if self.reached:
            first, second = (replace(self.address, call=call) for call in (1, 2))
            which = f"say which: {first}, {second}, ..."
            raise UsageError(f"layer {self.layer} of {self.network.name} runs several times; {which}")
        if not isinstance(output, Tensor):
            raise NetworkError(f"layer {self.layer} of {self.network.name} gives no tensor to edit")
        self.reached, self.raw, self.taken = True, output.detach().clone(), first
        return output

    def _call(self, batch: Input) -> Tensor:
        output = self.network.run(batch)
        output = getattr(output, "logits", output)
        if not isinstance(output, Tensor):
            raise NetworkError(
                f"{self.network.name} gives {type(output).__name__}, not one tensor of outputs"
            )
        return output


def can_replay(network: Network, layer: str) -> bool:
    """Whether a layer is what a module gives as a whole: not an input of it, a part of it, or its heads.

    >>> can_replay(Network(nn.Sequential(nn.ReLU())), "0@in")
    False
    """
    return _find_call(network, layer) is not None


def _find_call(network: Network, layer: str) -> Address | None:
    modules = dict(network.module.named_modules())
    try:
        address = Address.parse(layer, modules, network.name)
    except UsageError:
        return None
    return address if address.plain == Address(address.module, call=address.call) else None


@contextmanager
def replay(network: Network, layer: str) -> Iterator[Replay]:
    """Gives a `Replay` of the network from a layer on: `start(image)`, then `finish(maps)` many times.

    Inside the block the network is in evaluation mode and no gradients are kept; afterwards it is as before,
    also after an error. Raises `UsageError` for a layer that does not exist.

    >>> net = Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2)))
    >>> with replay(net, "0") as rest:
    ...     maps, output = rest.start(torch.zeros(1, 3, 5, 5))
    ...     without = rest.finish(torch.zeros(7, 4, 3, 3))
    >>> maps.shape, without.shape
    (torch.Size([1, 4, 3, 3]), torch.Size([7, 2]))
    """
    address = _find_call(network, layer)
    if address is None:
        raise UsageError(
            f"{network.name} has no layer {layer!r} that is what a module gives as a whole, as a "
            "replay needs; see `unitscope layers`"
        )
    named = dict(network.module.named_modules())
    path = address.module
    holders = {path[:end] for end, sign in enumerate(path) if sign == "."} | {"", path}
    outer = {
        name: module
        for name, module in named.items()
        if name not in holders and name.rpartition(".")[0] in holders - {path}
    }
    # Modules that only hold others never run themselves; those inside them do.
    frontier, running = list(outer.items()), {}
    while frontier:
        name, module = frontier.pop(0)
        if isinstance(module, nn.ModuleList | nn.ModuleDict):
            frontier += [(f"{name}.{inner}", part) for inner, part in module.named_children()]
        else:
            running[name] = module
    with evaluation(network), torch.no_grad():
        random = is_random(network)
        outer = {} if random else running
        yield Replay(network, layer, address, outer, Lenses(network.name), random=random)


def _kept(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


@contextmanager
def _patched(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    before = module.__dict__.get("forward")
    object.__setattr__(module, "forward", forward)
    try:
        yield
    finally:
        if before is None:
            del module.__dict__["forward"]
        else:
            object.__setattr__(module, "forward", before)
