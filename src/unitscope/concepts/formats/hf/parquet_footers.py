"""What the end of a parquet file says of its row groups: how many rows, how large, how many without a value.

pyarrow tells that too, but ends the whole process where a footer contradicts itself. A footer is a struct of
Thrift's compact protocol (https://github.com/apache/thrift, doc/specs/thrift-compact-protocol.md), whose
fields parquet.thrift of github.com/apache/parquet-format numbers.
"""

import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from unitscope.errors import SourceError

_MARK = b"PAR1"
_LIMIT = 256_000_000
_DEPTH = 40
_DICTIONARIES = {2, 8}
_GROUPS, _COLUMNS, _ROWS = 4, 1, 3
_META, _ENCODINGS, _PATH, _UNPACKED, _PACKED, _DATA, _DICTIONARY, _STATISTICS, _NULLS = (
    3,
    2,
    3,
    6,
    7,
    9,
    11,
    12,
    3,
)
_VALUES = 5
_PAGE_UNPACKED, _PAGE_PACKED = 2, 3
_PAGE_HEADER = 1 << 12


@dataclass(frozen=True, slots=True)
class Chunk:
    """A column of a row group: its path, its bytes as stored and when unpacked, whether values may repeat.

    `nulls` are the rows or list entries without a value, where the file says how many. Its pages begin at
    `offset` in the file.
    """

    path: str
    offset: int
    packed: int
    unpacked: int
    repeated: bool
    nulls: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """A row group."""

    rows: int
    chunks: tuple[Chunk, ...]


def read_footer(path: Path) -> tuple[Group, ...]:
    """The row groups of a file. Raises `SourceError` naming it where its footer cannot be read."""
    try:
        seen = path.stat()
        return _read(path, seen.st_size, seen.st_mtime_ns)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from None


def check_footer(path: Path, file: BinaryIO) -> int:
    """The length of the footer of an opened file. Raises `SourceError` naming it where there can be none."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    end = file.read(8)
    length: int = struct.unpack("<I", end[:4])[0] if len(end) == 8 and end[4:] == _MARK else 0
    if not 0 < length <= min(size - 8, _LIMIT):
        raise SourceError(f"{path}: no whole parquet file (it has no footer); fetch it again")
    return length


@lru_cache(maxsize=2048)
def _read(path: Path, size: int, changed: int) -> tuple[Group, ...]:
    with path.open("rb") as file:
        length = check_footer(path, file)
        file.seek(size - 8 - length)
        footer = file.read(length)
    try:
        groups = _Reader(footer).read_struct()[_GROUPS]
        return tuple(_condense_group(group) for group in groups)
    except (LookupError, TypeError, ValueError, AttributeError, struct.error):
        raise SourceError(f"{path}: no whole parquet file (its footer is damaged); fetch it again") from None


def _condense_group(group: dict[int, Any]) -> Group:
    rows, metas = _whole(group[_ROWS]), [chunk[_META] for chunk in group[_COLUMNS]]
    if any(_whole(meta[_VALUES]) < rows for meta in metas):
        raise ValueError("fewer values than rows")
    return Group(rows, tuple(map(_condense, metas)))


def find_largest_page(path: Path, chunk: Chunk) -> int:
    """The bytes of the largest page of a chunk, as stored or unpacked, as the headers of its pages say.

    A footer may say less. What cannot be read ends the search, since old writers are wrong about where a
    chunk ends. Raises `SourceError` naming the file where it cannot be opened.
    """
    largest, place, end = 0, chunk.offset, chunk.offset + chunk.packed
    try:
        with path.open("rb") as file, suppress(LookupError, TypeError, ValueError, struct.error):
            while place < end:
                page, length = _read_page(file, place, end - place)
                packed = _whole(page[_PAGE_PACKED])
                largest = max(largest, packed, _whole(page[_PAGE_UNPACKED]))
                place += length + packed
    except (OSError, OverflowError) as error:
        raise SourceError(f"{path}: the pages of {chunk.path!r} cannot be read ({error})") from None
    return largest


def _read_page(file: BinaryIO, place: int, most: int) -> tuple[dict[int, Any], int]:
    """The header of a page and its length; what is known of the values in a page may make it long."""
    for size in (_PAGE_HEADER, _LIMIT):
        file.seek(place)
        reader = _Reader(file.read(min(size, most)))
        with suppress(LookupError, ValueError):
            return reader.read_struct(), reader.place
    raise ValueError("no header of a page")


def _condense(meta: dict[int, Any]) -> Chunk:
    nulls = meta.get(_STATISTICS, {}).get(_NULLS)
    return Chunk(
        b".".join(meta[_PATH]).decode(),
        min(_whole(meta[_DATA]), _whole(meta.get(_DICTIONARY)) if meta.get(_DICTIONARY) else 1 << 62),
        _whole(meta[_PACKED]),
        _whole(meta[_UNPACKED]),
        bool(_DICTIONARIES & {*meta[_ENCODINGS]}),
        None if nulls is None else _whole(nulls),
    )


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


class _Reader:
    """Reads a struct as its fields by number: numbers, bytes, lists, and other structs."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def read_struct(self, depth: int = 0) -> dict[int, Any]:
        found: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) & 15:
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            found[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _DEPTH:
            raise ValueError("nested too deep")
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 8:
            return self._bytes(self._unsigned())
        if kind in (9, 10):
            return self._list(depth)
        if kind == 12:
            return self.read_struct(depth + 1)
        if kind == 7:
            return struct.unpack("<d", self._bytes(8))[0]
        if kind in (1, 2, 3):
            return self._byte()
        raise ValueError(f"a value of kind {kind}")  # a map: parquet has none

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count = self._unsigned() if head >> 4 == 15 else head >> 4
        if count > len(self.data) - self.place:  # each takes a byte or more
            raise ValueError("longer than the footer")
        return [self._value(head & 15, depth + 1) for _ in range(count)]

    def _byte(self) -> int:
        self.place += 1
        return self.data[self.place - 1]

    def _bytes(self, count: int) -> bytes:
        begin, self.place = self.place, self.place + count
        if self.place > len(self.data):
            raise ValueError("longer than the footer")
        return self.data[begin : self.place]

    def _unsigned(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ValueError("a number of too many bytes")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
