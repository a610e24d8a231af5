"""Where the batches of rows lie in a file of Arrow's, found without decoding any.

A stream is a row of messages: four bytes of ones (old writers left them out), the length of a header, the
header, a body. Headers are FlatBuffers, of which three numbers are wanted: what the message is, how long its
body is, and how many rows it has (https://arrow.apache.org/docs/format/Columnar.html, section on IPC).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from unitscope.concepts.formats.plain_files import check_plain
from unitscope.errors import SourceError

_FILE_MARK, _CONTINUED = b"ARROW1\0\0", 0xFFFFFFFF
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_HEADER_LIMIT = 64_000_000
_KIND, _HEADER, _BODY_LENGTH = 1, 2, 3
_LENGTH, _COMPRESSION = 0, 3


@dataclass(frozen=True, slots=True)
class Batch:
    """Where the message of a batch begins in its file, and how many rows it has."""

    offset: int
    rows: int


def find_batches(path: Path) -> list[Batch]:
    """The batches of a file: a stream, as `save_to_disk` writes, or a file of Arrow's with an index.

    Raises `SourceError` naming the file where it is none, is cut short, or is compressed: rows of such files
    cannot be read one by one.
    """
    try:
        check_plain(path)
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(len(_FILE_MARK) if file.read(len(_FILE_MARK)) == _FILE_MARK else 0)
            return list(_walk(file, size, path))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from None
    except struct.error:
        raise _damaged(path, "a header in it makes no sense") from None


def _walk(file: BinaryIO, size: int, path: Path) -> Iterator[Batch]:
    seen_schema = False
    while True:
        offset = file.tell()
        length = _read_length(file)
        if length == 0 and seen_schema:
            return
        if not 0 < length <= min(_HEADER_LIMIT, size):
            raise _damaged(path, "cut short" if seen_schema else "it does not begin with a schema")
        message = file.read(length)
        kind, rows, compressed, body = _read_message(message)
        end = file.tell() + body
        if len(message) < length or body < 0 or end > size:
            raise _damaged(path, "cut short")
        if not seen_schema and kind != _SCHEMA:
            raise _damaged(path, "it does not begin with a schema")
        seen_schema = True
        if kind == _DICTIONARY:
            advice = "save it without dictionaries, or as parquet"
            raise SourceError(f"{path}: columns of dictionaries are not read here; {advice}")
        if kind == _BATCH:
            if compressed:
                advice = "save it uncompressed, or as parquet"
                raise SourceError(f"{path}: compressed Arrow files cannot be read row by row; {advice}")
            yield Batch(offset, rows)
        file.seek(end)


def _read_length(file: BinaryIO) -> int:
    """The length of the next header; 0 for the mark of the end, -1 where the file ends without."""
    word = file.read(4)
    if len(word) == 4 and struct.unpack("<I", word)[0] == _CONTINUED:
        word = file.read(4)
    length: int = struct.unpack("<i", word)[0] if len(word) == 4 else -1
    return length


def _read_message(data: bytes) -> tuple[int, int, bool, int]:
    """What a message is, the rows of a batch, whether these are compressed, the length of the body."""
    message: int = struct.unpack_from("<I", data)[0]
    kind = _number(data, "<B", _find(data, message, _KIND))
    body = _number(data, "<q", _find(data, message, _BODY_LENGTH))
    header = _find(data, message, _HEADER)
    if kind != _BATCH or header is None:
        return kind, 0, False, body
    batch = header + _number(data, "<I", header)
    rows = _number(data, "<q", _find(data, batch, _LENGTH))
    if rows < 0:
        raise struct.error("fewer than no rows")
    return kind, rows, _find(data, batch, _COMPRESSION) is not None, body


def _find(data: bytes, table: int, field: int) -> int | None:
    """Where a field of a table lies; None where it has its default."""
    names = table - _number(data, "<i", table)
    slot = 4 + 2 * field
    if names < 0:
        raise struct.error("a table outside the header")
    if slot >= _number(data, "<H", names):
        return None
    place = _number(data, "<H", names + slot)
    return table + place if place else None


def _number(data: bytes, kind: str, place: int | None) -> int:
    if place is None:
        return 0
    number: int = struct.unpack_from(kind, data, place)[0]
    return number


def _damaged(path: Path, what: str) -> SourceError:
    return SourceError(f"{path}: no whole Arrow file ({what}); fetch or save it again")
