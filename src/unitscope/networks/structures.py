"""Tensors inside of what modules give: tuples, lists, dictionaries, model outputs, plain objects."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError

_DEEPEST = 4


def pick(value: object, steps: tuple[str, ...]) -> object:
    """What lies at the end of some steps: an index, a key or the name of an attribute each.

    A transformers output, which has both, takes its keys and its numbers. Raises `UsageError` for a step that
    does not exist.

    >>> pick({"maps": [1.0, 2.0]}, ("maps", "1"))
    2.0
    """
    for step in steps:
        value = _get(value, _find(value, step))
    return value


def put(value: object, steps: tuple[str, ...], new: object) -> object:
    """The same structure, of the same types, with another thing at the end of the steps; `value` stays.

    Raises `UsageError` as `pick` does, `NetworkError` for a structure that cannot be made anew.

    >>> put({"maps": (1.0, 2.0)}, ("maps", "1"), 3.0)
    {'maps': (1.0, 3.0)}
    """
    if not steps:
        return new
    key = _find(value, steps[0])
    inner = put(_get(value, key), steps[1:], new)
    try:
        if isinstance(value, tuple):
            parts: Any = [inner if place == key else part for place, part in enumerate(value)]
            make = getattr(value, "_make", type(value))  # of named tuples
            return make(parts)
        changed: Any = copy.copy(value)
        if isinstance(value, Mapping | list):
            changed[key] = inner
        else:
            object.__setattr__(changed, str(key), inner)
    except (TypeError, AttributeError) as error:
        kind = type(value).__name__
        raise NetworkError(f"a {kind} cannot be put together anew with an edited part: {error}") from error
    return changed


def walk(value: object, depth: int = 0) -> Iterator[tuple[tuple[object, ...], Tensor]]:
    """The tensors in a structure with the keys that lead to them; numbers are indices, or keys as they are.

    >>> import torch
    >>> [keys for keys, _ in walk({"maps": [torch.ones(1), torch.ones(1)], "loss": None})]
    [('maps', 0), ('maps', 1)]
    """
    if isinstance(value, Tensor):
        yield (), value
    elif depth < _DEEPEST:
        for key in _keys(value):
            for keys, tensor in walk(_get(value, key), depth + 1):
                yield (key, *keys), tensor


def describe(value: object) -> str:
    """What a layer gave, in a few words.

    >>> describe((1, 2))
    'a tuple of 2'
    """
    if isinstance(value, Tensor):
        return " x ".join(map(str, value.shape)) or "a single number"
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return f"a dict ({', '.join(map(str, list(value)[:4]))})"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def _keys(value: object) -> list[Any]:
    """What leads to the parts of a structure; nothing for what is none."""
    if isinstance(value, Mapping):
        return list(value)
    if isinstance(value, tuple | list):
        return list(range(len(value)))
    if isinstance(value, Tensor | nn.Module | type) or callable(value):
        return []
    slots = getattr(type(value), "__dataclass_fields__", ())
    names = dict.fromkeys([*slots, *getattr(value, "__dict__", ())])
    return [name for name in names if not name.startswith("_") and hasattr(value, name)]


def _find(value: object, step: str) -> Any:
    keys = _keys(value)
    found = [key for key in keys if str(key) == step]
    if len(found) > 1:
        raise UsageError(f"{describe(value)} has several keys that read {step!r}")
    if found:
        return found[0]
    if step in getattr(value, "_fields", ()):  # a named tuple's
        return value._fields.index(step)  # type: ignore[attr-defined]
    # The outputs of transformers are read by number as well.
    if step.isdecimal() and hasattr(value, "to_tuple") and int(step) < len(keys):
        return keys[int(step)]
    what = describe(value) if keys or value is None else "a tensor" if isinstance(value, Tensor) else "that"
    raise UsageError(f"{what} has no part {step!r}")


def _get(value: Any, key: Any) -> object:
    return value[key] if isinstance(value, Mapping | tuple | list) else getattr(value, key)
