"""Weights from a file into a module, without running a line of anybody's code."""

import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError

_NESTED = ("state_dict", "model_state_dict", "model")
_WRAPPED = ("module.", "_orig_mod.")
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
    """The tensors of a weights file by name, on the CPU.

    Reads safetensors, and state dicts saved by `torch.save`, with the restricted unpickler that runs no
    code. A state dict may lie under `state_dict`, `model_state_dict` or `model`; the prefix that
    `DataParallel` or `torch.compile` puts before every name is dropped.

    Raises `UsageError` where there is no such file, `NetworkError` where it is damaged, carries code, or
    holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"there is no weights file {path}; give a .safetensors file or a saved state dict")
    state = _load(path)
    for key in _NESTED:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise NetworkError(
            f"{path} holds a {type(state).__name__} that is not a state dict (names to tensors); "
            "save one with torch.save(module.state_dict(), FILE)"
        )
    for prefix in _WRAPPED:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return {_OLD_DENSENET.sub(r"\1\2", key): value for key, value in state.items()}


def _load(path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():  # about pickle protocols
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        code = re.search(r"(?:GLOBAL|[Cc]lass) ([\w.]+)", str(error))
        seen = f"carries code ({code[1]})" if code else "is damaged or carries code"
        raise NetworkError(
            f"{path} {seen} and was not loaded; "
            "save its weights alone, as safetensors or with torch.save(module.state_dict(), FILE)"
        ) from error
    except Exception as error:  # torch.load raises whatever its readers raise
        kind = "safetensors" if path.suffix == ".safetensors" else "weights"
        raise NetworkError(f"{path} is not a readable {kind} file: {one_line(error)}") from error


def put_weights(module: nn.Module, state: Mapping[str, Tensor] | Path, origin: str = "") -> None:
    """Put the tensors, or those of a file, into the module, all of them, each where its name says.

    Raises what `read_weights` raises, and `NetworkError` naming the first few that are missing, unexpected
    or of another shape. `origin` is where they came from, for the message.
    """
    if isinstance(state, Path):
        state, origin = read_weights(state), str(state)
    wanted = module.state_dict()
    missing = [k for k in wanted if k not in state and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in state if k not in wanted]
    misshapen = [
        f"{key} is {tuple(state[key].shape)} for {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in state and state[key].shape != value.shape
    ]
    faults = []
    for kind, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen)):
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        faults += [f"{kind}: {', '.join(names[:_SHOWN])}{more}"] if names else []
    if faults:
        raise NetworkError(f"the weights in {origin} are not those of this network: {'; '.join(faults)}")
    module.load_state_dict(state, strict=False)


def count_classes(module: nn.Module, state: Mapping[str, Tensor]) -> int | None:
    """How many outputs the weights' classifier has, where that is all in which they differ from the module.

    None where the shapes agree, or differ in more than the first axis of one weight and its bias.
    """
    pairs = [(tuple(v.shape), tuple(state[k].shape)) for k, v in module.state_dict().items() if k in state]
    differing = [(ours, theirs) for ours, theirs in pairs if ours != theirs]
    sizes = {(ours[:1], theirs[:1]) for ours, theirs in differing}
    if len(sizes) != 1 or any(ours[1:] != theirs[1:] for ours, theirs in differing):
        return None
    return int(differing[0][1][0]) if differing[0][1] else None


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
