"""How inner loops are compiled: once, kept on disk, and free of the interpreter lock."""

import inspect
from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled by numba at its first call.

    The test run wraps functions to check shapes; the compiler wants the one underneath.
    """
    return njit(cache=True, nogil=True)(inspect.unwrap(function))  # type: ignore[no-any-return]
