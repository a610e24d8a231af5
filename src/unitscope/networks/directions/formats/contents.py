"""What a file of weights holds, and what stands beside it, without running a line of anybody's code."""

import gzip
import json
import pickle
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.foreign import name_damage, name_format
from unitscope.networks.inert_pickles import Inert, bound_unpacked, check_packed, make_array, read_inert
from unitscope.networks.weights import one_line

_NAMES = ("sae.pt", "sae_weights.safetensors", "ae.pt", "weights.pt", "model.pth", "state_dict.pth")
_ENDINGS = (".pt", ".pth", ".safetensors", ".pkl", ".pkl.gz")
_CONFIGS = ("cfg.json", "config.json")
_LARGEST_CONFIG = 2**24
_DEEPEST = 20
_SPREAD = 2**24  # numbers of a tensor that repeats itself in memory


@dataclass(frozen=True)
class Contents:
    """A file of weights: `held` is what it holds, `header` a line of JSON before that, `config` one beside.

    `config_name` is that file's name, such as `cfg.json`.
    """

    path: Path
    held: object
    header: Mapping[str, Any] | None
    config: Mapping[str, Any]
    config_name: str

    @cached_property
    def state(self) -> Mapping[str, Tensor]:
        """The tensors by name, as a module's state dict has them."""
        held = self.held
        if isinstance(held, Mapping) and isinstance(held.get("state_dict"), Mapping):
            held = held["state_dict"]
        found = dict(_list_tensors(held, "", 0))
        for name, tensor in found.items():
            known = tensor.untyped_storage().nbytes() // tensor.element_size()
            if tensor.numel() > max(known, _SPREAD):
                raise NetworkError(f"{self.path}: {name} says that it is larger than its data")
        return found

    def take(self, *names: str) -> list[Tensor]:
        """The tensors of these names. Raises `NetworkError` for one that is missing."""
        missing = [name for name in names if name not in self.state]
        if missing:
            seen = ", ".join(list(self.state)[:6]) or "no tensors"
            raise NetworkError(f"{self.path} has no {missing[0]}; it has {seen[:200]}")
        return [self.state[name] for name in names]


def read_contents(path: Path) -> Contents:
    """What a file holds, or the one file of weights in a folder.

    Raises `UsageError` where there is none, or several; `NetworkError` where it is damaged.
    """
    path = _find_file(path)
    if foreign := name_format(path):
        raise NetworkError(f"{path} is {foreign}, not directions; wanted {', '.join(_ENDINGS)}")
    with path.open("rb") as file:
        start = file.read(9)
    try:
        header = None
        if start.startswith(b"{"):
            header, held = _read_after_header(path)
        elif start[8:] == b"{" and int.from_bytes(start[:8], "little") <= path.stat().st_size:
            held = load_file(path)
        elif start.startswith(b"\x1f\x8b"):
            held = read_saved(_unpack(path))
        elif damage := name_damage(path):
            raise NetworkError(f"{path} {damage}")
        else:
            held = read_saved(path)
    except NetworkError:
        raise
    except Exception as error:  # readers of damaged files raise whatever they meet
        why = one_line(error)
        if not isinstance(error, pickle.UnpicklingError | SafetensorError | MemoryError):
            why = f"it is damaged, or of another system ({type(error).__name__}: {why})"
        raise NetworkError(f"{path} is not a readable file of weights: {why}") from error
    name = next((name for name in _CONFIGS if path.with_name(name).is_file()), "")
    return Contents(path, held, header, read_json(path.with_name(name)) if name else {}, name)


def read_saved(source: Path | bytes) -> object:
    """What `torch.save` or `pickle.dump` wrote, with stand-ins for everything but data."""
    check_packed(source)
    return read_inert(source)[0]


def read_json(path: Path) -> Mapping[str, Any]:
    """A JSON object. Raises `NetworkError` where the file holds none."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_LARGEST_CONFIG))
    except (OSError, ValueError, RecursionError) as error:
        raise NetworkError(f"{path} is not readable JSON: {one_line(error)}") from error
    if not isinstance(found, dict):
        raise NetworkError(
            f"{path} holds a {type(found).__name__}; wanted an object with the autoencoder's settings"
        )
    return found


def _find_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in _NAMES:
        if (path / name).is_file():
            return path / name
    found = sorted(one.name for one in path.iterdir() if one.is_file() and one.name.endswith(_ENDINGS))
    if len(found) == 1:
        return path / found[0]
    if not found:
        raise UsageError(
            f"{path} has no file of weights ({', '.join(_ENDINGS)}); give the file, or its folder"
        )
    raise UsageError(f"{path} has {len(found)} files of weights: give one, such as {path / found[-1]}")


def _read_after_header(path: Path) -> tuple[Mapping[str, Any], object]:
    """A line of JSON, then what `torch.save` wrote."""
    with path.open("rb") as file:
        line = file.readline(_LARGEST_CONFIG)
        rest = file.read() if line.endswith(b"\n") else b""
    header = json.loads(line)
    if not rest:
        raise pickle.UnpicklingError("it is JSON text, and no weights follow its first line")
    return header, read_saved(rest)


def _unpack(path: Path) -> bytes:
    """What gzip packed. Raises `pickle.UnpicklingError` where that is many times as large."""
    most = bound_unpacked(path.stat().st_size)
    try:
        with gzip.open(path, "rb") as file:
            data = file.read(most + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise pickle.UnpicklingError(f"its packing is damaged ({one_line(error)})") from error
    if len(data) > most:
        raise pickle.UnpicklingError(f"would unpack to more than {most} bytes, of {path.stat().st_size}")
    return data


def _list_tensors(held: object, place: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a state dict, or of a module that was saved whole."""
    if isinstance(held, Mapping):
        for key, value in held.items():
            array = make_array(value) if isinstance(value, Inert) else value
            if isinstance(array, Tensor):
                yield f"{place}{_name(key)}", array
    elif isinstance(held, Inert) and isinstance(held.state, Mapping) and depth < _DEEPEST:
        for kind in ("_parameters", "_buffers"):
            yield from _list_tensors(held.state.get(kind), place, depth)
        parts = held.state.get("_modules")
        for key, part in parts.items() if isinstance(parts, Mapping) else ():
            yield from _list_tensors(
                part if isinstance(part, Inert) else None, f"{place}{_name(key)}.", depth + 1
            )


def _name(key: object) -> str:
    return key[:100] if isinstance(key, str) else type(key).__name__
