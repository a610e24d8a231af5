"""A folder of packed caches: how large it may be, and what goes when it is full."""

import contextlib
import os
import shutil
import time
from pathlib import Path

from unitscope.errors import RunError, UsageError

LIMIT = 100e9
"""How many bytes a folder of packed caches may hold, unless said otherwise."""

_STALE_SECONDS = 600.0


def note_use(cache: Path) -> None:
    """Remembers that a cache was used now."""
    with contextlib.suppress(OSError):  # it may belong to somebody else
        os.utime(cache / "index.json")


def make_room(folder: Path, needed: int, limit: float) -> None:
    """Deletes the caches in a folder that were not used for the longest time, until `needed` bytes fit.

    One that was used within ten minutes stays: a process may be about to open it.

    Raises `UsageError` where `needed` is more than `limit`, `RunError` where caches in use leave no room, or
    the disk has none.
    """
    if needed > limit:
        raise UsageError(
            f"packing takes about {_spell(needed)}, and the cache may hold {_spell(limit)}; allow more, "
            "or do without a cache"
        )
    for partial in folder.glob(".*.partial"):
        remove_partial(partial, _STALE_SECONDS)
    caches = sorted(_list_caches(folder))
    total = sum(size for _, size, _ in caches)
    while caches and (total + needed > limit or needed > shutil.disk_usage(folder).free):
        used, size, cache = caches.pop(0)
        if time.time() - used < _STALE_SECONDS:
            break
        shutil.rmtree(cache, ignore_errors=True)
        total -= size
    if total + needed > limit:
        raise RunError(
            f"the packed caches in {folder} were used within ten minutes and leave no room for "
            f"{_spell(needed)} more; allow more, or name another folder"
        )
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise RunError(
            f"packing takes about {_spell(needed)}, and the disk of {folder} has {_spell(free)}; "
            "make room, or name another folder"
        )


def remove_partial(partial: Path, seconds: float = 0.0) -> None:
    """Clears what a killed packing left, if nothing was written there for so many seconds."""
    with contextlib.suppress(OSError):
        newest = max(path.stat().st_mtime for path in (partial, *partial.iterdir()))
        if time.time() - newest >= seconds:
            shutil.rmtree(partial)


def _spell(count: int | float) -> str:
    """Bytes, for people.

    >>> _spell(2_100_000), _spell(15e9)
    ('2.1 MB', '15 GB')
    """
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"


def _list_caches(folder: Path) -> list[tuple[float, int, Path]]:
    """When each cache was used last, its bytes, and where it is."""
    found = []
    for index in folder.glob("*/index.json"):
        with contextlib.suppress(OSError):
            size = sum(path.stat().st_size for path in index.parent.iterdir())
            found.append((index.stat().st_mtime, size, index.parent))
    return found
