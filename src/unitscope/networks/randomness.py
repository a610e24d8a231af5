"""Networks that draw random numbers in evaluation: found out, and given the same ones for the same image.

Masked autoencoders, dropout that forgets its mode and the noise of style-based generators do so. Such a
network is passed image by image, and before each image every source of random numbers is seeded by the
image's number alone. What an image gives then depends on no batch, shard, thread or order.
"""

import logging
import pickle
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from unitscope.errors import NetworkError
from unitscope.networks.network import Input, Network, numbers_of, split_images, spread

DRAWS = (
    "the network draws random numbers in evaluation: images are passed one by one, and each always sees "
    "those of its number, so that the same run gives the same; other numbers would give other results"
)
"""What a run says of such a network."""

_KINDS = (torch.Generator, random.Random, np.random.Generator, np.random.RandomState)
_LIBRARIES = ("torch", "torchvision", "timm", "transformers", "diffusers")
_SEED = 0x5EED
_DRAWS = 8
_ROUNDING = 1e-4
_ROUNDING_OF_HALF = 2e-2

_lock = threading.RLock()  # what is seeded belongs to the whole process
_found: "WeakKeyDictionary[nn.Module, bool]" = WeakKeyDictionary()
_told: "WeakSet[nn.Module]" = WeakSet()
_row: ContextVar[int | None] = ContextVar("row", default=None)


@dataclass(frozen=True)
class _Source:
    """Something that random numbers are drawn from."""

    read: Callable[[], Any]
    write: Callable[[Any], object]
    seed: Callable[[int], object]
    shared: bool = False
    """Whether code beside the network may draw from it too, as whatever checks types by samples."""

    def stamp(self) -> bytes:
        """Differs once something was drawn."""
        state = self.read()
        return state.numpy().tobytes() if isinstance(state, Tensor) else pickle.dumps(state)


def _list_sources(module: nn.Module) -> list[_Source]:
    """Those of torch, NumPy and Python, and those that a module's parts keep for themselves.

    Not the machine's own randomness, which has no state that could be set.
    """
    generators = [torch.default_generator]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        generators += torch.cuda.default_generators
    sources = [
        _Source(np.random.get_state, np.random.set_state, lambda seed: np.random.seed(seed % 2**32)),
        _Source(random.getstate, random.setstate, random.seed, shared=True),
    ]
    for value in {id(value): value for value in _find_kept(module)}.values():
        if isinstance(value, torch.Generator):
            generators.append(value)
        elif isinstance(value, random.Random):
            if not isinstance(value, random.SystemRandom):
                sources.append(_Source(value.getstate, value.setstate, value.seed))
        elif isinstance(value, np.random.Generator):
            sources.append(_wrap(value.bit_generator))
        else:
            sources.append(_Source(value.get_state, value.set_state, partial(_seed_legacy, value)))
    return [_Source(one.get_state, one.set_state, one.manual_seed) for one in generators] + sources


def _find_kept(module: nn.Module) -> Iterator[Any]:
    """What the parts of a module keep of those kinds. A type is looked at once: there are many values."""
    known: dict[type, bool] = {}
    for part in module.modules():
        for value in vars(part).values():
            kind = type(value)
            if kind not in known:
                known[kind] = issubclass(kind, _KINDS)
            if known[kind]:
                yield value


def _seed_legacy(state: np.random.RandomState, seed: int) -> None:
    state.seed(seed % 2**32)


def _wrap(bits: Any) -> _Source:
    def write(state: object) -> None:
        bits.state = state

    return _Source(lambda: bits.state, write, lambda seed: write(type(bits)(seed).state))


@contextmanager
def _borrowed(module: nn.Module) -> Iterator[list[_Source]]:
    """The sources of random numbers, which are afterwards as they were."""
    with _lock:
        sources = _list_sources(module)
        states = [source.read() for source in sources]
        try:
            yield sources
        finally:
            for source, state in zip(sources, states, strict=True):
                source.write(state)


@contextmanager
def seeded(module: nn.Module, number: int) -> Iterator[None]:
    """Inside the block the module draws what image `number` always sees; afterwards, all is as it was.

    Sources are those of torch, NumPy and Python, and generators that are attributes of the module's parts.
    One thread at a time.

    >>> with seeded(nn.Dropout(), 3):
    ...     one = torch.rand(2)
    >>> with seeded(nn.Dropout(), 3):
    ...     bool((torch.rand(2) == one).all())
    True
    """
    seed = int(np.random.SeedSequence((_SEED, number)).generate_state(1, np.uint64)[0] >> 1)
    with _borrowed(module) as sources:
        for source in sources:
            source.seed(seed)
        yield


@contextmanager
def watch(module: nn.Module) -> Iterator[list[bool | None]]:
    """Inside the block it is noticed whether anything was drawn, which the list says in the end.

    None says that something was drawn from what other code uses too. Sources are afterwards as they were.
    """
    drawn: list[bool | None] = []
    with _borrowed(module) as sources:
        before = [source.stamp() for source in sources]
        yield drawn
        moved = [one for one, old in zip(sources, before, strict=True) if one.stamp() != old]
        drawn.append(None if moved and all(one.shared for one in moved) else bool(moved))


def note_randomness(module: nn.Module, drawn: bool | None) -> None:
    """Keeps for later whether a whole pass of a module draws random numbers, if that is known."""
    if drawn is not None:
        _found[module] = drawn


def is_random(network: Network) -> bool:
    """Whether a pass of the network draws random numbers: one blank image tells, once for a module.

    >>> is_random(Network(nn.Flatten()))
    False
    """
    module = network.module
    if module not in _found and not isinstance(module, torch.jit.ScriptModule):
        # A network that fails on a blank image says so when it is used.
        with suppress(Exception), set_modes(module), torch.no_grad():
            blank = network.blank()
            with watch(module) as drawn:
                output = network.pass_once(blank)
            if drawn[0] is None:
                with seeded(module, 1):
                    drawn[0] = not _are_same(output, network.pass_once(blank))
            note_randomness(module, drawn[0])
    return _found.get(module, False)


def _are_same(one: Any, other: Any) -> bool:
    leaves, others = tree_flatten(one)[0], tree_flatten(other)[0]
    pairs = [(a, b) for a, b in zip(leaves, others, strict=True) if isinstance(a, Tensor)]
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


def is_known(network: Network) -> bool:
    """Whether all that runs in a network is of libraries that draw from the generators of torch alone.

    Others may draw from whatever they like, or keep something from one pass to the next.

    >>> is_known(Network(nn.Sequential(nn.Linear(2, 2), nn.Dropout())))
    True
    """
    return network.forward is None and all(
        type(part).__module__.partition(".")[0] in _LIBRARIES
        and not (part._forward_hooks or part._forward_pre_hooks or "forward" in vars(part))
        for part in network.module.modules()
    )


def limit_batch(network: Network, size: int) -> int:
    """How many images are passed at once, where `size` may be: one, where the network is random."""
    return 1 if is_random(network) else size


@contextmanager
def set_modes(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while. Flags are set one by one: an overridden `train()` may do more."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def steadied(network: Network) -> Iterator[None]:
    """Inside the block a random network gives the same for the same image; other networks are left alone.

    Batches are passed image by image, each with the random numbers of its number (`number_images`; images
    without one count as number 0). It is logged once that the network is random.
    """
    module = network.module
    if not is_random(network):
        yield
        return
    with _lock:
        if module not in _told:
            _told.add(module)
            logging.getLogger("unitscope").warning("%s: %s", network.name, DRAWS)
    with network.go(partial(_pass_singly, network)):
        yield


def run_steadily(network: Network, batch: Input) -> Any:
    """What a network gives for a batch, as `steadied` has it, in whatever mode its module is.

    Whether it is random is found out on the way, without another pass; so it is for networks without hooks.
    """
    module = network.module
    if module not in _found and not isinstance(module, torch.jit.ScriptModule):
        with watch(module) as drawn:
            output = network.run(batch)
        note_randomness(module, drawn[0])
        if drawn[0] is False:
            return output
    with steadied(network):
        return network.run(batch)


def current_row() -> int | None:
    """Which image of a batch is passed just now, where a batch is passed image by image."""
    return _row.get()


def _pass_singly(network: Network, batch: Input) -> Any:
    if len(spread(batch)[0]) == 1:
        with seeded(network.module, numbers_of(batch)[0]):
            return network.pass_once(batch)
    outputs = []
    for row, image in enumerate(split_images(batch)):
        token = _row.set(row)
        try:
            outputs.append(_pass_singly(network, image))
        finally:
            _row.reset(token)
    return _join(outputs)


def _join(outputs: Sequence[Any]) -> Any:
    """What images gave one by one, as a batch would."""
    leaves, spec = tree_flatten(outputs[0])
    columns = zip(*(tree_flatten(output)[0] for output in outputs), strict=True)
    joined = [
        torch.cat(column) if isinstance(leaf, Tensor) and leaf.ndim and len(leaf) == 1 else leaf
        for leaf, column in zip(leaves, columns, strict=True)
    ]
    return tree_unflatten(joined, spec)


def draw_maps(
    network: Network, read: Callable[[Input], dict[str, Tensor]], batch: Input
) -> dict[str, list[Tensor]]:
    """What layers give for a batch, several times, each with other random numbers, the same for all images.

    Raises `NetworkError` where two passes with the same ones differ, or give maps of other shapes.
    """
    found: dict[str, list[Tensor]] = {}
    images = split_images(batch)
    for number in range(_DRAWS):
        rows = []
        for image in [*images, images[0]] if number == 0 else images:
            with seeded(network.module, number):
                rows.append(read(image))
        if number == 0:
            check_steady(network.name, rows[0], rows.pop())
        for layer, maps in rows[0].items():
            if maps.shape != found.get(layer, [maps])[0][:1].shape:
                raise NetworkError(
                    f"layer {layer} of {network.name} gives maps of another shape with other random numbers; "
                    "give a module that does not mask or crop at random, or name a layer before that"
                )
            found.setdefault(layer, []).append(torch.cat([row[layer] for row in rows]))
    return found


def differ(first: Mapping[str, Tensor], again: Mapping[str, Tensor]) -> bool:
    """Whether two passes of the same images gave a layer other maps."""
    return any(
        maps.shape != again[layer].shape or not torch.equal(maps.nan_to_num(), again[layer].nan_to_num())
        for layer, maps in first.items()
    )


def find_unsteady(first: Mapping[str, Tensor], again: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The layers whose maps differ by more than rounding in a pass that began with the same images."""
    found = []
    for layer, one in first.items():
        other = again[layer][: len(one)]
        allowed = _ROUNDING if one.dtype in (torch.float32, torch.float64) else _ROUNDING_OF_HALF
        scale = float(one.nan_to_num().abs().max()) if one.numel() else 0.0
        if one.shape != other.shape or float((one - other).nan_to_num().abs().max()) > allowed * scale:
            found.append(layer)
    return tuple(found)


def check_steady(name: str, first: Mapping[str, Tensor], again: Mapping[str, Tensor]) -> None:
    """Raises `NetworkError` where two passes differ by more than rounding, though nothing was drawn anew."""
    if layers := find_unsteady(first, again):
        raise NetworkError(
            f"layer {layers[0]} of {name} gives other maps for the same image each time, and not by random "
            "numbers of torch, NumPy or Python, whose seeds could be set; let the forward pass keep nothing "
            "from one call to the next, and draw from torch's own generator"
        )
