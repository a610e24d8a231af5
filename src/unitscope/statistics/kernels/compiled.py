"""How inner loops are compiled: once, kept on disk where that can be, and free of the interpreter lock."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled by numba at its first call.

    The test run wraps functions to check shapes; the compiler wants the one underneath. What another one
    passes as a bare 0 or False is a type of its own to numba, for which it compiles all again: pass
    np.int64(0) and np.bool_(False).
    """
    plain = inspect.unwrap(function)
    try:
        return njit(cache=True, nogil=True)(plain)  # type: ignore[no-any-return]
    except RuntimeError:  # neither the package nor the user's cache can be written to: nothing is kept
        return njit(nogil=True)(plain)  # type: ignore[no-any-return]


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, written out wherever a compiled one calls it.

    For what runs a million times: to pass arrays, or to slice one, takes longer than a short loop.
    """
    return njit(inline="always")(inspect.unwrap(function))  # type: ignore[no-any-return]


@inlined
def between(start, stop):  # type: ignore[no-untyped-def]
    """The range, in unsigned numbers: an index that may be negative is checked and never vectorized."""
    return range(np.uint64(start), np.uint64(stop))
