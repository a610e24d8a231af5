"""Which class a code in the masks of the full ADE20K of 2016 is, learned from all of its pictures.

Names stand in lines numbered by the rank of the instance's blue. A line of an instance without a pixel, or an
instance without a line, shifts all ranks behind it; so these count only where there are as many lines as
blues. One code is one class in the whole set, which tells what is in the other pictures.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
from jaxtyping import UInt8, UInt16

from unitscope.concepts.formats.ade20k.codes import read_codes
from unitscope.concepts.formats.stored.opening import opened
from unitscope.errors import SourceError
from unitscope.progress import follow

_THREADS, _BLOCK = 8, 1 << 22
_LARGE = 1 << 24
"""In pixels: of larger masks one is read at a time, for the sake of memory."""

_ALONE = Lock()

Level = Mapping[int, int]
"""The class of every line of a level, by number."""
Pair = tuple[int, int]


@dataclass(frozen=True)
class ClassCodes:
    """How many masks say that a code is a class, by (code, class), and the names of classes."""

    votes: Mapping[Pair, int]
    called: Sequence[str]

    @cached_property
    def by_code(self) -> dict[int, dict[int, int]]:
        """The classes of every code, with the number of masks that say so."""
        found: dict[int, dict[int, int]] = {}
        for (code, kind), count in self.votes.items():
            found.setdefault(code, {})[kind] = count
        return found

    @cached_property
    def by_class(self) -> dict[int, dict[int, int]]:
        """The codes of every class, with the number of masks that say so."""
        found: dict[int, dict[int, int]] = {}
        for (code, kind), count in self.votes.items():
            found.setdefault(kind, {})[code] = count
        return found

    def find(self, code: int) -> int:
        """The one class of a code. Raises `SourceError`, which says why there is none."""
        kinds = self.by_code.get(code, {})
        if not kinds:
            raise SourceError(f"no other picture tells what its code {code} is")
        if len(kinds) > 1:
            names = " and ".join(sorted(repr(self.called[kind]) for kind in kinds))
            raise SourceError(f"other pictures call its code {code} {names}")
        return next(iter(kinds))

    def doubt(self, code: int, kind: int) -> str:
        """What speaks against that class of a code: that no fewer masks have another one; or nothing."""
        name = repr(self.called[kind])
        if (other := _find_rival(self.by_code.get(code, {}), kind)) is not None:
            return f"code {code} is {name} by its _atr.txt and {self.called[other]!r} in other pictures"
        if (other := _find_rival(self.by_class.get(kind, {}), code)) is not None:
            return f"{name} has code {code} by its _atr.txt and {other} in other pictures"
        return ""


def _find_rival(counts: Mapping[int, int], own: int) -> int | None:
    rivals = [other for other, count in counts.items() if other != own and count >= counts.get(own, 0)]
    return min(rivals, default=None)


def list_instances(
    codes: UInt16[np.ndarray, "row column"], blues: UInt8[np.ndarray, "row column"]
) -> list[Pair]:
    """The pairs of code and blue in a mask, sorted, without that of 0 and 0.

    >>> list_instances(np.uint16([[0, 9, 9, 0]]), np.uint8([[0, 4, 2, 0]]))
    [(9, 2), (9, 4)]
    """
    found, rows = set[int](), max(_BLOCK // max(codes.shape[1], 1), 1)
    for start in range(0, codes.shape[0], rows):
        block = slice(start, start + rows)
        pixels = (codes[block].astype(np.uint32) * 256 + blues[block]).ravel()
        changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1  # a few of the millions
        found.update(np.unique(pixels[np.r_[0, changes]]).tolist())
    return [(pair >> 8, pair & 255) for pair in sorted(found) if pair]


def rank_instances(pairs: Iterable[Pair], lines: Level) -> dict[int, int] | None:
    """The class of every blue by its rank; None where the lines are not numbered from 1 to as many blues.

    >>> rank_instances([(9, 30), (7, 4)], {1: 70, 2: 90}), rank_instances([(9, 30)], {1: 70, 2: 90})
    ({4: 70, 30: 90}, None)
    """
    blues = sorted({blue for _, blue in pairs})
    if 0 in blues or sorted(lines) != [*range(1, len(blues) + 1)]:
        return None
    return {blue: lines[rank] for rank, blue in enumerate(blues, start=1)}


def learn_codes(masks: Sequence[tuple[Path, Level]]) -> tuple[Counter[Pair], list[int]]:
    """How many masks say that a code is a class, and the places of those whose ranks say nothing.

    Masks that cannot be read, or contradict themselves, are told when they are used.
    """
    votes, uneven = Counter[Pair](), []
    pool = ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1))
    try:
        with follow(len(masks), "indexing ADE20K's masks", "masks") as work:
            for place, found in enumerate(pool.map(_read_pairs, masks)):
                if found is None:
                    uneven.append(place)
                else:
                    votes.update(found)
                work.update()
    finally:
        pool.shutdown(cancel_futures=True)
    return votes, uneven


def _read_pairs(mask: tuple[Path, Level]) -> set[Pair] | None:
    """The pairs of code and class in a mask; None where ranks say nothing."""
    path, lines = mask
    try:
        with opened(path) as picture:
            large = picture.width * picture.height > _LARGE
        with _ALONE if large else nullcontext():
            pairs = list_instances(*read_codes(path))
    except SourceError:
        return set()
    ranked = rank_instances(pairs, lines)
    if ranked is None:
        return None
    found = {(code, ranked[blue]) for code, blue in pairs}
    codes, kinds = {code for code, _ in found}, {kind for _, kind in found}
    return found if len(codes) == len(kinds) == len(found) else set()
