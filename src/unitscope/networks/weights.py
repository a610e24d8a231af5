"""Weights from a file into a module, without running a line of anybody's code."""

import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError, say_near
from unitscope.networks.checkpoints import list_tensors, read_checkpoint
from unitscope.networks.foreign import name_damage, name_format
from unitscope.networks.matching import find_fit, say_faults
from unitscope.networks.network import check_weights

_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
_PREFIX_TOKENS = {"cls_token", "class_token", "class_embedding", "dist_token", "distillation_token"}
_SHOWN = 3

ADVICE = "give --weights FILE, allow the --download, or ask for random weights (--random-weights SEED)"
"""What to do about weights that are not on this machine, for messages."""


@contextmanager
def random_weights(seed: int) -> Iterator[None]:
    """Modules made inside draw their weights from the seed; the generator outside goes on as if nothing was.

    >>> with random_weights(3):
    ...     first = nn.Linear(2, 2)
    >>> with random_weights(3):
    ...     second = nn.Linear(2, 2)
    >>> torch.equal(first.weight, second.weight)
    True
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name, on the CPU, wherever in it they lie.

    Reads safetensors and what `torch.save` wrote. Nothing in the file is executed: what is neither plain data
    nor a tensor is passed over (`read_checkpoint`). Names are those of `list_tensors`, such as
    `state_dict/features.0.weight`; of `FILE#PLACE` only those at that place, as they are called there.

    Raises `UsageError` where there is no such file or place, `NetworkError` where it is damaged, of another
    system, or holds no tensors.
    """
    path = Path(path)
    place = ""
    if not path.exists() and "#" in str(path):
        file, _, place = str(path).rpartition("#")
        path = Path(file)
    if foreign := name_format(path):
        advice = "save its weights as safetensors or with torch.save(module.state_dict(), FILE)"
        raise NetworkError(f"{path} is {foreign}, not weights of a PyTorch module; {advice}")
    if not path.is_file():
        raise UsageError(f"there is no weights file {path}; give a .safetensors file or a saved state dict")
    if damage := name_damage(path):
        raise NetworkError(f"{path} {damage}")
    try:
        found, code = read_checkpoint(path)
        state = list_tensors(found)
    except Exception as error:  # readers of damaged files raise whatever they meet
        kind = "safetensors" if path.suffix == ".safetensors" else "weights"
        why = one_line(error)
        if not isinstance(error, pickle.UnpicklingError | SafetensorError | MemoryError):
            why = f"it is damaged, or of another system ({type(error).__name__}: {why})"
        raise NetworkError(f"{path} is not a readable {kind} file: {why}") from error
    if not state or "" in state:
        seen = f"holds a {type(found).__name__} that is not a state dict (names to tensors)"
        if code:
            seen = f"holds no tensors, but carries code ({', '.join(code[:_SHOWN])}), and was not loaded"
        raise NetworkError(f"{path} {seen}; save one with torch.save(module.state_dict(), FILE)")
    state = {_OLD_DENSENET.sub(r"\1\2", name): value for name, value in state.items()}
    return _take_place(path, place, state) if place else state


def _take_place(path: Path, place: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    plain = place.replace("/", ".") + "."
    taken = {
        name[len(plain) :]: value for name, value in state.items() if name.replace("/", ".").startswith(plain)
    }
    if not taken:
        parts = [re.split("[./]", name)[:-1] for name in state]
        places = {".".join(part[:depth]): None for part in parts for depth in range(1, len(part) + 1)}
        first = sorted(places, key=lambda name: name.count("."))[:5]
        near = say_near(place, places) or f"; it has {', '.join(first) or 'no places'}"
        raise UsageError(f"{path} has no weights at {place!r}{near}")
    return taken


def put_weights(module: nn.Module, state: Mapping[str, Tensor] | Path, origin: str = "") -> None:
    """Put the tensors, or those of a file, into the module: those of the place where all of them are found.

    Warns where that is a moving average of the weights, taken because nothing else fits.

    Raises what `read_weights`, `find_fit` and `check_weights` raise, and `NetworkError` naming the first few
    that are missing, unexpected or of another shape. `origin` is where they came from, for messages.
    """
    if isinstance(state, Path):
        state, origin = read_weights(state), str(state)
    check_weights(module, "the network")
    wanted = _shapes(module)
    fit = find_fit(wanted, state, origin)
    if faults := say_faults(wanted, state, fit):
        at = f" at {fit.place}" if fit.place else ""
        raise NetworkError(f"the weights in {origin}{at} are not those of this network: {faults}")
    if fit.averaged:
        warnings.warn(
            f"{origin} has only a moving average of this network's weights: those at {fit.place} are taken",
            stacklevel=2,
        )
    module.load_state_dict({name: state[place] for name, place in fit.names.items()}, strict=False)


def count_classes(module: nn.Module, state: Mapping[str, Tensor], origin: str = "") -> int | None:
    """How many outputs the weights' classifier has, where that is all in which they differ from the module.

    None where the shapes agree, or differ in more than the first axis of one weight and its bias.
    Raises what `find_fit` raises.
    """
    wanted = _shapes(module)
    fit = find_fit(wanted, state, origin)
    pairs = [(wanted[name], tuple(state[place].shape)) for name, place in fit.names.items()]
    differing = [(ours, theirs) for ours, theirs in pairs if ours != theirs]
    sizes = {(ours[:1], theirs[:1]) for ours, theirs in differing}
    if len(sizes) != 1 or any(ours[1:] != theirs[1:] for ours, theirs in differing):
        return None
    return int(differing[0][1][0]) if differing[0][1] else None


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(v.shape) for name, v in module.state_dict().items() if isinstance(v, Tensor)}


def count_class_tokens(module: nn.Module) -> int:
    """How many class and distillation tokens the module has parameters for.

    >>> count_class_tokens(nn.Linear(2, 2))
    0
    """
    return sum(name.rpartition(".")[2] in _PREFIX_TOKENS for name, _ in module.named_parameters())


def one_line(error: BaseException, limit: int = 200) -> str:
    """What an exception says, in one line.

    >>> one_line(ValueError("first\\n  second"))
    'first second'
    """
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."
