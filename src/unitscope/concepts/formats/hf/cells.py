"""Pictures and masks in the cells of rows."""

import os
import re
import stat
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import Int64

from unitscope.axes import Picture
from unitscope.concepts.formats.annotated import Labels, check_size
from unitscope.concepts.formats.hf.row_blocks import ROW_BYTES, Rows
from unitscope.concepts.formats.mask_values import MaskValues
from unitscope.concepts.formats.stored.masks import decode_mask
from unitscope.concepts.formats.stored.pictures import decode_image
from unitscope.errors import SourceError


@dataclass(frozen=True, eq=False)
class RowKeys(Sequence[str]):
    """The keys of rows: the split and the number in it, as in `train/17`.

    `starts` are the names of splits with the number of the first row of each; `kept` the rows that are used.
    """

    starts: tuple[tuple[str, int], ...]
    kept: Int64[np.ndarray, "picture"]

    def __len__(self) -> int:
        return len(self.kept)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(map(self.spell, self.kept[index].tolist()))
        return self.spell(int(self.kept[index]))

    def spell(self, row: int) -> str:
        """The key of a row."""
        split, start = self.starts[bisect_right(self._firsts, row) - 1]
        return f"{split}/{row - start}"

    def find(self, key: str) -> int:
        """The row of a key."""
        split, _, number = key.rpartition("/")
        return dict(self.starts)[split] + int(number)

    @cached_property
    def _firsts(self) -> list[int]:
        return [start for _, start in self.starts]


@dataclass(frozen=True, eq=False)
class Cells:
    """A column of pictures; `root` is the folder that the files which cells name must lie in."""

    rows: Rows
    keys: RowKeys
    column: str
    root: Path

    def read(self, row: int) -> tuple[Any, str]:
        """What a cell holds, and a text that says where it is."""
        where = f"{self.rows.locate(row)}, {self.keys.spell(row)}, {self.column}"
        return self.rows.read(row, [self.column])[self.column], where

    def load(self, cell: Any, row: int, where: str) -> bytes:
        """The bytes of the picture in a cell: in it, or in the file that it names.

        Raises `SourceError`, which begins with `where`.
        """
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        path = cell.get("path") if isinstance(cell, dict) else None
        if data is None and path:
            return self._load_file(path, self.rows.locate(row).parent, where)
        if data is None:
            raise SourceError(f"{where}: there is no picture in it; leave the row out")
        if len(data) > ROW_BYTES:
            raise SourceError(f"{where}: {len(data)} bytes, larger than any picture; leave the row out")
        return bytes(data)

    def _load_file(self, name: str, folder: Path, where: str) -> bytes:
        outside = re.match(r"[A-Za-z]+:|[\\~]", name) or "\0" in name
        for place in () if outside else (folder, self.root):
            path = os.path.normpath(place / name)
            # By names alone: a clone from the Hub may consist of links to files elsewhere.
            if os.path.commonpath([path, os.path.normpath(self.root)]) != os.path.normpath(self.root):
                outside = True
            elif os.path.exists(path):
                return _read_file(path, where)
        lack = "lies outside the data set" if outside else "is missing"
        advice = (
            "save the set with its pictures in it"
            if outside
            else "fetch it, or save the set with its pictures"
        )
        raise SourceError(f"{where}: the picture is a file that {lack}, {name[:80]!r}; {advice}")


def _read_file(path: str, where: str) -> bytes:
    try:
        seen = os.stat(path)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > ROW_BYTES:
            raise SourceError(f"{where}: {path} is no file of a picture; replace it")
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise SourceError(f"{where}: {path} cannot be read ({error.strerror or error})") from None


@dataclass(frozen=True, eq=False)
class CellPictures:
    """The pictures in a column; each container file holds many."""

    cells: Cells

    @property
    def keys(self) -> RowKeys:
        """One key a row that is kept."""
        return self.cells.keys

    def read(self, index: int, size: tuple[int, int] | None) -> Picture:
        """The picture in its stored pixels. Raises `SourceError` naming file and row."""
        row = int(self.keys.kept[index])
        cell, where = self.cells.read(row)
        image = decode_image(self.cells.load(cell, row, where), where)
        check_size(where, image, size)
        return image

    def list_files(self) -> Iterator[Path]:
        """The files of rows."""
        return iter(self.cells.rows.files)


@dataclass(frozen=True, eq=False)
class CellMasks:
    """A column of masks of one channel; an empty cell says nothing of its picture."""

    cells: Cells
    values: MaskValues

    def read(self, key: str) -> Labels | None:
        """One plane. Raises `SourceError` naming file and row where the mask cannot be read."""
        row = self.cells.keys.find(key)
        cell, where = self.cells.read(row)
        if is_empty(cell):
            return None
        return Labels(*self.values.label(decode_mask(self.cells.load(cell, row, where), where), where))

    def list_files(self) -> Iterable[Path]:
        """None of its own: the pictures lie in the same files."""
        return ()


def is_empty(cell: Any) -> bool:
    """Whether a cell of a picture has neither bytes nor the name of a file."""
    return cell is None or (isinstance(cell, dict) and cell.get("bytes") is None and not cell.get("path"))
