"""Files that are parts of one table or set: which are missing by their names, and which are there twice.

Names are as in `train-00000-of-00002` or `train-000000`.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from unitscope.errors import SourceError

PART_LIMIT = 100_000
"""So many parts one table may have."""

POINTER = b"version https://git-lfs"
"""What stands at the beginning of a file that Git LFS has not fetched."""

_PART = re.compile(r"(?P<name>.*?)(?P<place>\d+)-of-(?P<count>\d+)(?P<rest>.*)")
_COUNTED = re.compile(r"(?P<name>.*?)(?P<place>\d+)")
_SHOWN = 3
_ENDS = 16_384


def find_absent(paths: Iterable[Path], is_wanted: Callable[[Path], bool]) -> list[tuple[str, str]]:
    """Which parts are missing by what the others say, as pairs of a file and a remark, one for every table.

    Passed over are those whose names `is_wanted` denies. Raises `SourceError` where files are parts of one
    table saved twice: as `-of-00001` and `-of-00002`, under one number, or whole and in parts.

    >>> find_absent([Path("train-00000-of-00002.parquet")], lambda path: True)
    [('train-00000-of-00002.parquet', 'train-00001-of-00002.parquet is missing; fetch it')]
    """
    tables: dict[tuple[Path, str], dict[int, Path]] = {}
    counts: dict[tuple[Path, str], tuple[int, Path]] = {}
    for path in paths:
        stem = path.name.rpartition(".")[0] or path.name
        part = _PART.fullmatch(stem)
        table = path.parent, part["name"].rstrip("-_.") if part else stem
        place, count = (int(part["place"][:12]), int(part["count"][:12])) if part else (-1, 0)
        if count > PART_LIMIT:
            raise SourceError(f"{path}: is one of {count} parts by its name; rename it")
        first, other = counts.setdefault(table, (count, path))
        other = tables.setdefault(table, {}).setdefault(place, other if first != count else path)
        if first != count or other != path:
            advice = "remove the one that is older, or open one alone"
            raise SourceError(
                f"{path}: holds the same rows as {other.name}, saved twice by its name; {advice}"
            )
    found = []
    for table, parts in tables.items():
        names = _list_absent(parts, counts[table][0], is_wanted)
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            verb, which = ("is", "it") if len(names) == 1 else ("are", "them")
            remark = f"{', '.join(names[:_SHOWN])}{more} {verb} missing; fetch {which}"
            found.append((min(parts.values()).name, remark))
    return found


def _list_absent(parts: dict[int, Path], count: int, is_wanted: Callable[[Path], bool]) -> list[str]:
    """The names of the other parts, which are counted from 0 or from 1 on."""
    some = min(parts.values())
    part = _PART.fullmatch(some.name)
    if part is None or not count:
        return []
    first = 1 if count in parts and 0 not in parts else 0
    names = [
        f"{part['name']}{place:0{len(part['place'])}}-of-{part['count']}"
        for place in range(first, first + count)
        if place not in parts
    ]
    # Behind the numbers may stand a digest, which is another one for every part.
    ending = re.sub(r"^-[0-9a-f]+", "-*", part["rest"])
    return [name + ending for name in names if is_wanted(some.with_name(name + part["rest"]))]


def find_gaps(paths: Sequence[Path]) -> list[str]:
    """Lines about numbers that names pass over where others are counted through: they may be missing.

    >>> find_gaps([Path("train-000000.tar"), Path("train-000003.tar")])
    ['between train-000000.tar and train-000003.tar 2 numbers are passed over']
    """
    found: dict[tuple[Path, str, int], list[tuple[int, Path]]] = {}
    for path in paths:
        match = _COUNTED.fullmatch(path.name.partition(".")[0])
        if match and len(match["place"]) < 13:
            key = path.parent, match["name"], len(match["place"])
            found.setdefault(key, []).append((int(match["place"]), path))
    return [
        f"between {one.name} and {other.name} {_tell_count(lack)} passed over"
        for parts in found.values()
        for (place, one), (after, other) in pairwise(sorted(parts))
        if (lack := after - place - 1) > 0
    ]


def _tell_count(count: int) -> str:
    return f"{count} number is" if count == 1 else f"{count} numbers are"


def find_copies(paths: Iterable[Path]) -> list[tuple[str, str]]:
    """Which files are as long as an earlier one, and begin and end with the same bytes: pairs as above."""
    sizes: dict[int, list[Path]] = {}
    found: list[tuple[str, str]] = []
    for path in paths:
        sizes.setdefault(path.stat().st_size if path.exists() else -1, []).append(path)
    for size, alike in sizes.items():
        seen: dict[bytes, Path] = {}
        for path in alike if len(alike) > 1 and size > 0 else ():
            first = seen.setdefault(_read_ends(path, size), path)
            if first != path:
                found.append(
                    (path.name, f"holds the same as {first.name}, which counts twice; remove one of them")
                )
    return found


def _read_ends(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            begin = file.read(_ENDS)
            file.seek(max(0, size - _ENDS))
            return begin + file.read(_ENDS)
    except OSError:  # told where it is read
        return os.fsencode(path)
