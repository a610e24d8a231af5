"""What is kept of many shards, in one file that has no name.

When bounds are raised, most of what older shards hold can no longer matter. What still can is written here,
so that those shards need not be read and pruned again. The file goes when the process that wrote it does,
whatever ends it: shards alone are what a run can go on from.
"""

import os
import weakref
from bisect import bisect, insort
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock

import numpy as np

from unitscope.axes import Thresholds
from unitscope.errors import RunError
from unitscope.statistics.cells import Cells, stack_cells

_KINDS = (np.int32, np.int32, np.uint32, np.float32)
"""Of images and sizes of records, and of places and values of cells."""


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some units in the file: the first of them, where they begin, where each one's records and cells do."""

    first: int
    begin: int
    records: np.ndarray
    cells: np.ndarray

    def __len__(self) -> int:
        return len(self.records) - 1

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Where the four arrays of some of its units begin, in bytes, and how many numbers each has."""
        begin = self.begin
        for starts in (self.records, self.records, self.cells, self.cells):
            yield begin + 4 * int(starts[start]), int(starts[stop] - starts[start])
            begin += 4 * int(starts[-1])


def _first_of(piece: _Piece) -> int:
    return piece.first


class Condensed:
    """Cells of the images before `end`, all units of some layers, above the `bounds` certified then.

    It is filled once, by several threads, some units at a time, and then read by several; `whole` says
    whether all could be written. Raises `OSError` where the folder takes no file.
    """

    def __init__(self, folder: Path, end: int) -> None:
        self.end, self.whole = end, True
        self.bounds: dict[str, Thresholds] = {}
        self._pieces: dict[str, list[_Piece]] = {}
        self._lock, self._size = Lock(), 0
        file = TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as this does
        self._file = file.fileno()
        self.close = weakref.finalize(self, file.close)

    def write(self, name: str, first: int, cells: Cells) -> None:
        """Adds the cells of some units, the first of them number `first`, where there is room."""
        arrays = [
            np.ascontiguousarray(part, kind) for part, kind in zip(cells.arrays[1:], _KINDS, strict=True)
        ]
        size = sum(part.nbytes for part in arrays)
        with self._lock:
            begin, self._size = self._size, self._size + size
        place = begin
        try:
            for part in arrays:
                left = part.view(np.uint8).data
                while left:
                    done = os.pwrite(self._file, left, place)
                    left, place = left[done:], place + done
        except OSError:  # such as on a full disk
            self.whole = False
        with self._lock:
            piece = _Piece(first, begin, cells.record_starts, cells.cell_starts)
            insort(self._pieces.setdefault(name, []), piece, key=_first_of)

    def count(self, name: str) -> int:
        """How many cells it has under that name."""
        return sum(int(piece.cells[-1]) for piece in self._pieces[name])

    def cells(self, name: str, start: int, stop: int) -> Cells:
        """The cells of some units. Raises `RunError` where they cannot be read."""
        pieces, found = self._pieces[name], []
        here, end = (bisect(pieces, unit, key=_first_of) for unit in (start, stop - 1))
        for piece in pieces[here - 1 : end]:
            first, last = max(start - piece.first, 0), min(stop - piece.first, len(piece))
            found.append(self._read(piece, first, last))
        return stack_cells(found)

    def _read(self, piece: _Piece, start: int, stop: int) -> Cells:
        arrays = []
        for kind, (begin, count) in zip(_KINDS, piece.spans(start, stop), strict=True):
            array = np.empty(count, kind)
            left = array.view(np.uint8).data
            while left:
                try:
                    done = os.preadv(self._file, [left], begin)
                except OSError as error:
                    raise _lost(error) from error
                if not done:
                    raise _lost("it ends too early")
                left, begin = left[done:], begin + done
            arrays.append(array)
        return Cells(np.diff(piece.records[start : stop + 1]), *arrays)


def _lost(why: object) -> RunError:
    return RunError(f"cannot read what was kept of shards: {why}; go on with --resume")
