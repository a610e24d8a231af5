"""Types are checked at run time where tests run: arrays by jaxtyping, all else by beartype alone.

jaxtyping's wrapper costs every call of a function some 30 microseconds, and painting makes calls by the
million. Where a signature names no array it adds nothing to what beartype checks.
"""

import inspect
import typing
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import beartype
from beartype.roar import BeartypeException

jaxtyped = jaxtyping.jaxtyped


def check_lightly() -> None:
    """From here on, modules whose types are checked as they are imported are checked so."""
    jaxtyping.jaxtyped = decorate


def decorate(*given: Any, typechecker: Any = None) -> Any:
    """In place of `jaxtyping.jaxtyped`."""
    if given or typechecker is None:
        return jaxtyped(*given, typechecker=typechecker)
    with_arrays = jaxtyped(typechecker=typechecker)

    def check(it: Any) -> Any:
        if not inspect.isfunction(it) or names_arrays(it):
            return with_arrays(it)
        try:
            return beartype(it)
        except BeartypeException:
            return with_arrays(it)

    return check


def names_arrays(function: Callable[..., Any]) -> bool:
    """Whether an array with its shape is named in the signature, or may be."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception:  # a name that is known later, or to type checkers only
        return True
    return any(map(holds_array, hints.values()))


def holds_array(hint: Any) -> bool:
    """Whether a type is, or has in it, an array with its shape."""
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    parts = hint if isinstance(hint, list | tuple) else typing.get_args(hint)
    return any(map(holds_array, parts))
