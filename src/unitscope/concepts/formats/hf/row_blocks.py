"""Rows of parquet and Arrow files, read some at a time when they are asked for."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from unitscope.concepts.formats.hf.arrow_streams import find_batches
from unitscope.concepts.formats.hf.parquet_footers import Group, check_footer, find_largest_page, read_footer
from unitscope.concepts.formats.shard_names import POINTER
from unitscope.concepts.segmented import Blocks
from unitscope.errors import SourceError, UnitscopeError, missing_extra

BLOCK_BYTES = 128_000_000
"""About so much is read at once of a parquet file, and the last `_KEPT` of these are remembered."""
ROW_BYTES = 256_000_000
"""The largest row that is read."""
RATIO = 100
"""How many bytes may come out of one, where there are more than `ROW_BYTES`: pictures hardly shrink."""
ROW_LIMIT = 20_000_000
"""So many rows all files together may claim to have."""

_KEPT = 2
_BUFFER = 1 << 20
_LISTS = frozenset({"list", "element", "item", "array", "bag", "array_element"})
"""What parquet puts between a column and the fields of what its lists hold."""
_PARQUET_MARK = b"PAR1"

BlockTable = Int64[np.ndarray, "block 4"]
"""Of every block of rows: the number of its file, its row group or where its message begins, the number of
its first row there, how many rows it has."""


def load_arrow() -> Any:
    """pyarrow, with its reader of parquet. Raises `UsageError` where it is not installed."""
    try:
        import_module("pyarrow.parquet")
    except ImportError:
        raise missing_extra("pyarrow", "reads parquet and Arrow files", "hf") from None
    return import_module("pyarrow")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong inside is told as a `SourceError` that names the file."""
    try:
        yield
    except UnitscopeError:
        raise
    except MemoryError:
        raise SourceError(f"{path}: its rows do not fit into memory; save it in smaller row groups") from None
    except Exception as error:  # Arrow lets through whatever its parsers meet
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SourceError(f"{path}: cannot be read ({reason}); fetch or save it again") from None


def is_parquet(path: Path) -> bool:
    """Whether a file begins as one of parquet does.

    Raises `SourceError` where it cannot be opened, is empty, or stands for a file that was not fetched.
    """
    with reading(path), path.open("rb") as file:
        head = file.read(len(POINTER))
    if head == POINTER:
        raise SourceError(f"{path}: a pointer of Git LFS, not the rows that it stands for; call git lfs pull")
    if not head:
        raise SourceError(f"{path}: empty; fetch or save it again")
    return head.startswith(_PARQUET_MARK)


def read_schema(path: Path) -> Any:
    """The names and types of the columns of a file. Raises `SourceError` naming it."""
    pa = load_arrow()
    if is_parquet(path):
        with reading(path), path.open("rb") as file:
            check_footer(path, file)
            return pa.parquet.read_schema(path)
    find_batches(path)
    with reading(path):
        return _map_schema(pa.memory_map(str(path)))


def _map_schema(mapped: Any) -> Any:
    pa = load_arrow()
    mapped.seek(0)
    mapped.seek(8 if mapped.read(6) == b"ARROW1" else 0)
    return pa.ipc.read_schema(pa.ipc.read_message(mapped))


def find_blocks(files: Sequence[Path], columns: Sequence[str]) -> BlockTable:
    """The blocks in which the rows of some files are read, for those columns.

    Raises `SourceError` naming a file that cannot be read.
    """
    found: list[tuple[int, int, int, int]] = []
    for number, path in enumerate(files):
        if is_parquet(path):
            with reading(path):
                found += [(number, *block) for block in _find_groups(path, columns)]
        else:
            found += [(number, batch.offset, 0, batch.rows) for batch in find_batches(path)]
    table = np.array(found, np.int64).reshape(-1, 4)
    claimed = np.bincount(table[:, 0], table[:, 3], len(files)) if len(table) else np.zeros(1)
    if claimed.sum() > ROW_LIMIT:
        number = int(claimed.argmax())
        raise SourceError(f"{files[number]}: claims to have {claimed[number]:.0f} rows; open fewer files")
    return table[table[:, 3] > 0]


def _find_groups(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    for number, group in enumerate(read_footer(path)):
        if group.rows > ROW_LIMIT:
            raise SourceError(f"{path}: claims to have {group.rows} rows; save it again")
        rows, _ = _measure(group, columns, path)
        for first in range(0, group.rows, rows):
            yield number, first, min(rows, group.rows - first)


def _measure(group: Group, columns: Sequence[str], path: Path) -> tuple[int, int]:
    """How many rows of a row group make a block, and how many of them are decoded at a time.

    Values that stand in a dictionary may be repeated, so that few bytes stand for many: one value may be as
    long as all that is stored. Raises `SourceError` for what unpacks to too much.
    """
    chunks = [chunk for chunk in group.chunks if _is_of(chunk.path, columns)]
    stored = max(1, sum(chunk.unpacked for chunk in chunks))
    repeated = max((chunk.unpacked for chunk in chunks if chunk.repeated), default=1)
    for chunk in chunks:
        if chunk.unpacked > ROW_BYTES and chunk.unpacked > min(RATIO * chunk.packed, ROW_BYTES * group.rows):
            found = f"{chunk.path!r} unpacks from {chunk.packed} bytes to {chunk.unpacked / 1e9:.1f} GB"
            raise SourceError(f"{path}: a row group of {found}, which no pictures do; leave the file out")
    rows = max(1, min(group.rows, BLOCK_BYTES * group.rows // stored))
    batch = max(1, min(rows, BLOCK_BYTES // max(1, repeated)))
    return rows // batch * batch, batch


def _is_of(path: str, columns: Iterable[str]) -> bool:
    """Whether a column as it is stored is part of one of some columns, or of `column.field` of one.

    >>> _is_of("objects.list.element.name", ["objects.name"]), _is_of("objects.id", ["objects.name"])
    (True, False)
    """
    parts = path.split(".")
    plain = ".".join([parts[0], *(part for part in parts[1:] if part not in _LISTS)])
    return any(f"{plain}.".startswith(f"{column}.") for column in columns)


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of files, one after the other, with those columns; `blocks` are those of `find_blocks`.

    Several threads may read at once.
    """

    files: tuple[Path, ...]
    columns: tuple[str, ...]
    blocks: BlockTable

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self.blocks) else 0

    def locate(self, row: int) -> Path:
        """The file that a row lies in."""
        return self.files[int(self.blocks[bisect_right(self._ends, row), 0])]

    def read(self, row: int, columns: Iterable[str] | None = None) -> dict[str, Any]:
        """The cells of a row by column, as plain Python.

        Raises `SourceError` naming the file where they cannot be read.
        """
        number = bisect_right(self._ends, row)
        table = self._blocks[number]
        place = row - int(self._ends[number] - self.blocks[number, 3])
        with reading(self.files[int(self.blocks[number, 0])]):
            return {name: table.column(name)[place].as_py() for name in columns or self.columns}

    def scan(self, columns: Sequence[str]) -> Iterator[Any]:
        """Tables of all rows, in order, of some columns or fields of them; none is remembered."""
        reader = _Reader(self.files, tuple(columns))
        for block in find_blocks(self.files, columns):
            yield reader.read(*map(int, block))

    def list_cells(self, column: str, follow: Callable[[int], object]) -> Iterator[Any]:
        """The cells of all rows as plain Python, in order; `follow` is told the number of those read."""
        reader = _Reader(self.files, (column,))
        for block in find_blocks(self.files, [column]):
            table = reader.read(*map(int, block))
            with reading(self.files[int(block[0])]):
                cells = table.column(column).to_pylist()
            yield from cells
            follow(len(cells))

    def list_named(self, column: str) -> Iterator[tuple[int, str]]:
        """The files that cells of a column name instead of holding a picture: number of the file and name."""
        reader = _Reader(self.files, (column,))
        for block in find_blocks(self.files, [column]):
            if reader.is_full(int(block[0]), int(block[1]), f"{column}.bytes"):
                continue
            table = reader.read(*map(int, block))
            with reading(self.files[int(block[0])]):
                names = [name for part in _split_chunks(table, column) for name in _list_named(part)]
            yield from ((int(block[0]), name) for name in names)

    def find_present(self, column: str) -> Bool[np.ndarray, "row"]:
        """Which rows have something in a column of pictures.

        Parquet files tell how many have nothing: only row groups that have some such rows are read for it.
        """
        reader = _Reader(self.files, (column,))
        found = [np.zeros(0, bool)]
        for block in find_blocks(self.files, [column]):
            whole = reader.is_full(int(block[0]), int(block[1]))
            if whole:
                found.append(np.ones(block[3], bool))
                continue
            table = reader.read(*map(int, block))
            with reading(self.files[int(block[0])]):
                found.append(_present(table, column))
        return np.concatenate(found)

    def __getstate__(self) -> dict[str, Any]:
        # Open files and what was read stay behind; another process opens them anew.
        return {name: getattr(self, name) for name in ("files", "columns", "blocks")}

    @cached_property
    def _ends(self) -> Int64[np.ndarray, "block"]:
        return np.cumsum(self.blocks[:, 3])

    @cached_property
    def _blocks(self) -> Blocks[Any]:
        reader = _Reader(self.files, self.columns)
        return Blocks(1, lambda number: [reader.read(*map(int, self.blocks[number]))], _KEPT)


class _Reader:
    """Reads blocks of rows; the next one of the same row group goes on where the last ended.

    One thread at a time.
    """

    def __init__(self, files: tuple[Path, ...], columns: tuple[str, ...]) -> None:
        self.files, self.columns = files, columns
        self.opened: tuple[int, Any] = (-1, None)
        self.cursor: _Cursor | None = None

    def read(self, number: int, place: int, first: int, rows: int) -> Any:
        """The rows of a block as a table of Arrow's."""
        path = self.files[number]
        with reading(path):
            file = self._open(number)
            if file is None:
                return self._map(path, place)
            cursor, self.cursor = self.cursor, None  # where it fails midway it is of no more use
            if cursor is None or cursor.place != (number, place) or cursor.next > first:
                cursor = _Cursor(path, file, self.columns, (number, place))
            batches = list(cursor.take(first, rows))
            # At the end of a row group what it holds of the file's pages is given back.
            self.cursor = cursor if cursor.next < cursor.rows else None
            if sum(batch.num_rows for batch in batches) != rows:
                raise SourceError(f"{path}: a row group has other rows than it says; fetch or save it again")
            return _check(load_arrow().Table.from_batches(batches), self.columns, path)

    def is_full(self, number: int, place: int, part: str = "") -> bool:
        """Whether a row group says that the column, or a part of it, has something in all rows.

        Or does not say.
        """
        path = self.files[number]
        if not is_parquet(path):
            return False
        chunks = read_footer(path)[place].chunks
        told = [chunk.nulls for chunk in chunks if _is_of(chunk.path, [part] if part else self.columns)]
        return None in told or 0 in told

    def _open(self, number: int) -> Any:
        """The reader of a parquet file; None for any other."""
        if self.opened[0] != number:
            path = self.files[number]
            # Without these two the compressed bytes of all rows would lie in memory at once.
            bounds = {"buffer_size": _BUFFER, "pre_buffer": False}
            file = load_arrow().parquet.ParquetFile(path, **bounds) if is_parquet(path) else None
            self.opened = number, file
        return self.opened[1]

    def _map(self, path: Path, offset: int) -> Any:
        """A batch of an Arrow file, whose rows stay on the disk."""
        pa = load_arrow()
        mapped = pa.memory_map(str(path))
        schema = _map_schema(mapped)
        mapped.seek(offset)
        names = dict.fromkeys(column.partition(".")[0] for column in self.columns)
        batch = pa.ipc.read_record_batch(pa.ipc.read_message(mapped), schema).select([*names])
        batch.validate(full=True)
        return _check(batch, self.columns, path)


class _Cursor:
    """Goes through the rows of a row group of a parquet file, from the first on.

    `place` is the number of the file and that of the row group.
    """

    def __init__(self, path: Path, file: Any, columns: tuple[str, ...], place: tuple[int, int]) -> None:
        self.path, self.place, self.next = path, place, 0
        group = read_footer(path)[place[1]]
        self.rows = group.rows
        _, batch = _measure(group, columns, path)
        chunks = [chunk for chunk in group.chunks if _is_of(chunk.path, columns)]
        largest = max((find_largest_page(path, chunk) for chunk in chunks), default=0)
        if largest > BLOCK_BYTES + ROW_BYTES:
            advice = "store smaller pictures, or fetch it again"
            raise SourceError(f"{path}: a page of it unpacks to {largest / 1e6:.0f} MB; {advice}")
        wanted = [chunk.path for chunk in chunks]
        self.batches = file.iter_batches(batch, [place[1]], wanted, use_threads=False)

    def take(self, first: int, rows: int) -> Iterator[Any]:
        """The batches of some rows; those before them are passed over."""
        size = 0
        while self.next < first + rows:
            batch = next(self.batches, None)
            if batch is None:
                return
            begins, self.next = self.next, self.next + batch.num_rows
            if begins >= first:
                size += batch.nbytes
                if size > BLOCK_BYTES + ROW_BYTES:
                    which = f"rows {first} to {self.next} of row group {self.place[1]}"
                    advice = "store smaller pictures, or in smaller row groups"
                    raise SourceError(f"{self.path}: {which} unpack to {size / 1e6:.0f} MB; {advice}")
                yield batch


def _check(table: Any, columns: Sequence[str], path: Path) -> Any:
    """The table, once all columns are in it."""
    lost = {column.partition(".")[0] for column in columns} - {*table.column_names}
    if lost:
        raise SourceError(f"{path}: has no rows of the column {min(lost)!r}; fetch or save it again")
    return table


def _present(table: Any, column: str) -> Bool[np.ndarray, "row"]:
    return np.concatenate([np.zeros(0, bool), *map(_valid, _split_chunks(table, column))])


def _split_chunks(table: Any, column: str) -> list[Any]:
    cells = table.column(column)
    return list(cells.chunks) if hasattr(cells, "chunks") else [cells]


def _list_named(cells: Any) -> list[str]:
    """The names of files in cells that have no bytes."""
    pa = load_arrow()
    if not pa.types.is_struct(cells.type) or cells.type.get_field_index("path") < 0:
        return []
    empty = cells.field("bytes").is_null()
    return [name for name in cells.field("path").filter(empty).to_pylist() if isinstance(name, str) and name]


def _valid(cells: Any) -> Bool[np.ndarray, "row"]:
    pa = load_arrow()
    arrays = [cells]
    if pa.types.is_struct(cells.type):
        names = [cells.type.field(number).name for number in range(cells.type.num_fields)]
        arrays = [
            part for name, part in zip(names, cells.flatten(), strict=True) if name in ("bytes", "path")
        ]
    found: np.ndarray = np.logical_or.reduce(
        [one.is_valid().to_numpy(zero_copy_only=False) for one in arrays]
    )
    return found
