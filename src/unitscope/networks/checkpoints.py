"""Tensors from a file as people have them: state dicts at any depth, beside whatever a trainer left there."""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from unitscope.networks.inert_pickles import Inert, check_packed, make_array, read_inert

_DEEPEST, _MOST = 100, 200_000
_OF_MODULES = ("_parameters", "_buffers", "_modules")


def read_checkpoint(path: Path) -> tuple[object, tuple[str, ...]]:
    """What a file of weights holds, and the names of the code for which there are only stand-ins (`Inert`).

    Reads safetensors, and by `read_inert`, which runs nothing, what `torch.save` writes. Torch's own reader
    that runs no code is not asked: a key of endlessly nested tuples, which it hashes, ends Python.

    Raises `pickle.UnpicklingError` or whatever the readers raise where the file is damaged.
    """
    if _is_safetensors(path):
        return load_file(path), ()
    check_packed(path)
    return read_inert(path)


def list_tensors(found: object) -> dict[str, Tensor]:
    """The tensors in what was read, by name: `/` between dictionaries, and what the last of them calls it.

    Arrays of NumPy count as tensors. Modules that were saved whole are stand-ins; what lies in them has the
    name that it has in its module.

    Raises `pickle.UnpicklingError` for more than 200,000 things.

    >>> list(list_tensors({"epoch": 3, "net": {"0.bias": torch.zeros(2)}}))
    ['net/0.bias']
    """
    named: dict[str, Tensor] = {}
    waiting: list[tuple[str, str, int, object]] = [("", "/", 0, found)]
    for _ in range(_MOST):
        if not waiting:
            return named
        name, joint, depth, value = waiting.pop()
        if isinstance(value, Inert) and (array := make_array(value)) is not None:
            value = array
        if isinstance(value, Tensor):
            if value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized:
                named[name] = value
        elif depth < _DEEPEST:
            joint = "." if isinstance(value, Inert) else joint
            parts = list(_list_parts(value))
            for key, part in reversed(parts):  # so that names come in the order of the file
                waiting.append((f"{name}{joint}{key}" if name else key, joint, depth + 1, part))
    raise pickle.UnpicklingError(f"holds more than {_MOST} things")


def _list_parts(value: object) -> Iterator[tuple[str, Any]]:
    """The parts that may hold tensors, by their keys."""
    items: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, Mapping):
        items = iter(_keep_weights(value).items())
    elif isinstance(value, list | tuple):
        items = ((number, part) for number, part in enumerate(value))
    elif isinstance(value, Inert):
        states = value.state if isinstance(value.state, tuple) else (value.state,)
        for part in (*states, value.items):
            yield from _list_parts(part) if isinstance(part, Mapping) else ()
    for key, part in items:
        if isinstance(part, Tensor | Mapping | list | tuple | Inert):
            yield (str(key) if isinstance(key, str | int) else type(key).__name__), part


def _keep_weights(found: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Of what a module holds, its weights and parts, without buffers that it does not save; all of others."""
    parts = {key: found[key] for key in _OF_MODULES if isinstance(found.get(key), Mapping)}
    if len(parts) < len(_OF_MODULES):
        return found
    passing = found.get("_non_persistent_buffers_set")
    passing = passing if isinstance(passing, list | set) else ()
    return parts | {"_buffers": {key: part for key, part in parts["_buffers"].items() if key not in passing}}


def _is_safetensors(path: Path) -> bool:
    """By its start, the length of a header in JSON; by its name where it starts as nothing that is known."""
    with path.open("rb") as file:
        start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if start[8:] == b"{" and length <= path.stat().st_size:
        return True
    return path.suffix == ".safetensors" and not start.startswith((b"PK", b"\x80"))
