"""Where a published data set begins: archives add folders above it, and people name one below it."""

import os
from collections.abc import Callable
from pathlib import Path

from unitscope.errors import SourceError, UsageError

_DEEP, _FOLDERS = 3, 400


def find_root(place: str, holds: Callable[[Path], bool], wanted: str, above: int = 1) -> Path:
    """The folder that holds a set, as `holds` tells: `place`, the only such one below it, or the next above.

    Three folders below are looked into, and `above` so many.

    Raises `UsageError` where `place` is no folder or several sets lie in it, `SourceError`, which says what
    was `wanted`, where there is none.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> (place / "VOCdevkit" / "VOC2012" / "JPEGImages").mkdir(parents=True)
    >>> find_root(str(place), lambda path: (path / "JPEGImages").is_dir(), "JPEGImages/").name
    'VOC2012'
    """
    root = Path(place)
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder; wanted one with {wanted}")
    level, seen = [root], 1
    for _ in range(_DEEP + 1):
        found = [folder for folder in level if holds(folder)]
        if len(found) > 1:
            raise UsageError(f"{root} holds several sets, {found[0]} and {found[1]}; name one of them")
        if found:
            return found[0]
        level = [below for folder in level for below in _list_folders(folder)][: _FOLDERS - seen]
        seen += len(level)
    higher = next(filter(holds, root.resolve().parents[:above]), None)
    if higher is not None:
        return higher
    raise SourceError(f"{root} has no {wanted}; name the folder that holds them")


def note_root(place: str, root: Path) -> tuple[str, ...]:
    """A line where the set lies above the folder that was named."""
    inside = root.resolve().is_relative_to(Path(place).resolve())
    return () if inside else (f"the whole set is read, from {root}",)


def _list_folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return []
    return [folder / name for name in names if not name.startswith(".")]
