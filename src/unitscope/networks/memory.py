"""The memory of a forward pass, kept for the next one instead of being given back to the system.

The allocator of Linux (glibc) returns large blocks as soon as they are free, and the system clears every page
that it hands out again. A pass through a network frees and wants the same hundreds of megabytes for every
batch: a quarter of its time can go into that. See docs/decisions/0009.
"""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""The parameters of glibc's `mallopt`."""

_HELD = {_TRIM_THRESHOLD: 1 << 30, _MMAP_MAX: 0}
"""Up to a gigabyte of free memory is kept, and no block lies apart, where freeing would return it."""

_USUAL = {_TRIM_THRESHOLD: 64 << 20, _MMAP_THRESHOLD: 32 << 20, _MMAP_MAX: 65_536}
"""What glibc's own limits have grown to once blocks of 32 MB were freed; they cannot be read."""

_CHOSEN = ("MALLOC_", "GLIBC_TUNABLES")
"""Beginnings of environment variables that set these limits for the whole process."""

_lock = threading.Lock()
_holders = 0


@contextmanager
def hold_memory() -> Iterator[None]:
    """Inside the block, memory that is freed stays with the process, up to a gigabyte; values do not change.

    Blocks may lie in each other and in several threads; the last to end leaves the limits of the allocator as
    they were after any large allocation. Does nothing without glibc, or where a variable `MALLOC_...` or
    `GLIBC_TUNABLES` in the environment has set the limits.

    >>> with hold_memory():
    ...     ones = bytes(100)
    """
    _count_holders(1)
    try:
        yield
    finally:
        _count_holders(-1)


def release_memory() -> None:
    """Gives back to the system what has been freed and is still held; does nothing without glibc."""
    library = _allocator()
    if library is not None:
        library.malloc_trim(0)


def _count_holders(change: int) -> None:
    global _holders
    with _lock:
        before, _holders = _holders, _holders + change
        library = _allocator()
        if library is not None and 0 in (before, _holders):
            for parameter, value in (_HELD if _holders else _USUAL).items():
                library.mallopt(parameter, value)


@cache
def _allocator() -> ctypes.CDLL | None:
    """The C library, where it is glibc and its limits have not been set from outside."""
    if any(name.startswith(_CHOSEN) for name in os.environ):
        return None
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return library if hasattr(library, "gnu_get_libc_version") else None
