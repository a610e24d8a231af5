"""A network from a name: library, folder, file or plug-in."""

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import ref

from torch import nn

from unitscope.errors import MissingWeightsError, NetworkError, UsageError
from unitscope.factories import call_function
from unitscope.networks import KINDS
from unitscope.networks.foreign import name_format
from unitscope.networks.network import Network
from unitscope.networks.opened import Opened, describe_structure
from unitscope.networks.weights import ADVICE, one_line, put_weights, random_weights
from unitscope.plugins import NETWORKS, find_kind, say_kinds

Size = int | tuple[int, int]

_WEIGHTS = {".pt", ".pth", ".ckpt", ".tar", ".bin", ".safetensors"}
_UNTRAINED = {"pretrained": False, "weights": None}
_OPTIONS = {"weights": "weights file", "random": "random weights"}


def load_network(
    spec: str,
    *,
    weights: str | Path | None = None,
    random: int | None = None,
    download: bool = False,
    size: Size | None = None,
) -> Network:
    """The network that a specification names, with its library's own preprocessing and class names.

    `torchvision:NAME`, `timm:NAME`, `hf:FOLDER_OR_REPO` (transformers), `efficientnet-lite0`;
    `diffusers:FOLDER[,steps=N]` (`unitscope.networks.diffusion.load_diffusion`);
    `FILE.py:FACTORY`, a function without arguments that returns a `Network`, or an `nn.Module`, which is then
    fed RGB in [0, 1] at the size of the stored image; or what packages bring (`unitscope.plugins.NETWORKS`),
    such as `zoo:NAME` and `head:FILE`. A named file's code is run, because it was named.

    The weights are those of the file `weights` (see `read_weights`), or drawn at random from the seed
    `random`, or the pretrained ones: from the library's cache on this machine, or fetched if `download` says
    so. Nothing else touches the network. `size`, a side or (height, width), replaces the input size; networks
    of timm and transformers that are built for one are built for it.

    Raises `UsageError` for an unknown name (with near names), a missing package, or weights given to a
    network that takes none; `NetworkError` where weights are missing or do not fit.

    >>> load_network("resnet18")
    Traceback (most recent call last):
    unitscope.errors.UsageError: unknown network 'resnet18'; did you mean torchvision:resnet18 or ...
    """
    if weights is not None and random is not None:
        raise UsageError("both a weights file and random weights were asked for; choose one")
    if random is not None and not 0 <= random < 2**63:
        raise UsageError(f"the seed of random weights is {random}; give one from 0 to {2**63 - 1}")
    file = None if weights is None else Path(weights)
    pair = (size, size) if isinstance(size, int) else size
    if pair is not None and min(pair) < 1:
        raise UsageError(f"the input size is {pair}; give a number of pixels above 0")
    asked = {"weights": file, "random": random, "download": download or None, "size": pair}
    network = _open(spec, {option: value for option, value in asked.items() if value is not None})
    network = replace(network, module=_ready(network.module, spec), name=spec)
    if pair is not None:
        network = replace(network, preprocessing=replace(network.preprocessing, size=pair))
    told = None if weights is None else str(weights), random, download, pair
    made = describe_structure(network.module), ref(network.module), network.forward
    return replace(network, opened=Opened(spec, *told, *made))


def _open(spec: str, options: dict[str, Any]) -> Network:
    name, _, place = spec.partition(":")
    kind = find_kind(NETWORKS, KINDS, *([".py"] if ".py:" in spec else [name]))
    if kind is None:
        if said := _say_file(spec):
            raise UsageError(said)
        plain = re.fullmatch(r"[\w.]+", spec)  # such as a name of a library
        guess = f"; did you mean torchvision:{spec} or timm:{spec}?" if plain else ""
        raise UsageError(f"unknown network {spec!r}{guess or say_kinds(NETWORKS, KINDS, name)}")
    if kind is KINDS[".py"]:
        place = spec
    if not place and kind.grammar.startswith(f"{name}:"):
        raise UsageError(f"{spec!r} does not say which network; wanted {kind.grammar}")
    for option in options:
        if option in _OPTIONS and option not in kind.options:
            raise UsageError(f"{spec} takes no {_OPTIONS[option]}; open it without")
    given = {option: value for option, value in options.items() if option in kind.options}
    with random_weights(options.get("random") or 0):  # also for a plug-in that draws its own weights
        made = kind(place, **given)
    if isinstance(made, nn.Module):
        made = Network(made)
    if not isinstance(made, Network):
        raise NetworkError(f"{spec} returned {type(made).__name__}; wanted a Network or an nn.Module")
    return made


def _ready(module: nn.Module, spec: str) -> nn.Module:
    """The module in evaluation mode. Raises `NetworkError` where it has no modes."""
    try:
        return module.eval()
    except NotImplementedError as error:  # what `torch.export` made
        raise NetworkError(
            f"{spec} is an exported program, whose layers cannot be read; give the module it was made from"
        ) from error


def _say_file(spec: str) -> str:
    """What a file or folder is that was given in place of a network; nothing where it is unknown."""
    advice = "wanted a PyTorch module: write a function that returns one and give FILE.py:FACTORY"
    if foreign := name_format(Path(spec)):
        return f"{spec} is {foreign}; {advice}"
    if Path(spec).suffix == ".py":
        return f"{spec} does not say which function returns the network; wanted FILE.py:FACTORY"
    if Path(spec).suffix in _WEIGHTS:
        return f"{spec} is a file of weights; name the network that they are for and give --weights {spec}"
    return ""


def load_file(spec: str, weights: Path | None = None, random: int | None = None) -> object:
    """What the user's own function returns: `FILE.py:FACTORY`. Its code runs, with a fixed seed.

    It is called without weights of its own (`call_factory`) for random ones, and where it finds none but
    `weights` are given. Raises what `call_factory` and `put_weights` raise.
    """
    try:
        made = call_factory(spec, random or 0, trained=random is None)
    except MissingWeightsError:
        if weights is None:
            raise
        made = call_factory(spec, trained=False)
    module = made.module if isinstance(made, Network) else made
    if weights is not None and isinstance(module, nn.Module):
        put_weights(module, weights)
    return made


def call_factory(spec: str, seed: int = 0, trained: bool = True) -> object:
    """What the function of a Python file returns, `FILE.py:FACTORY`; it is called without arguments.

    If `trained` is false, it is called without weights, where it has an argument `pretrained` (which is then
    False) or `weights` (None).

    The file's code runs, because it was named; what it draws from torch's random numbers comes from `seed`,
    and the numbers outside go on as if nothing was. What it imports may lie beside it.

    Raises `UsageError` where there is no such file or function (with near names), `NetworkError` where the
    code fails, `MissingWeightsError` where it misses a file or a connection, and has such an argument; errors
    of unitscope pass as they are.
    """
    with random_weights(seed):
        return call_function(
            spec, "a segmenter or a network", lambda make: _call(make, spec, trained), NetworkError
        )


def _call(make: Callable[..., object], spec: str, trained: bool) -> object:
    known = getattr(inspect.unwrap(make), "__code__", None)
    names = known.co_varnames[: known.co_argcount + known.co_kwonlyargcount] if known else ()
    without = {name: value for name, value in _UNTRAINED.items() if name in names}
    try:
        return make(**({} if trained else without))
    except OSError as error:  # no file, or no connection
        if not trained or not without:
            raise
        raise MissingWeightsError(f"{spec} finds no weights: {one_line(error)}; {ADVICE}") from error
