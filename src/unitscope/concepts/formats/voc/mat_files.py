"""Variables of MATLAB files of versions 5 to 7: numbers, texts and structures.

Read here, as "MAT-File Format" of MathWorks describes them, since SciPy's reader ends the process on some
damaged files. Nothing in a file is executed, and no more is unpacked than `LIMIT`.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unitscope.concepts.formats.plain_files import read_plain
from unitscope.errors import SourceError

MAT_SUFFIX = ".mat"
LIMIT = 256_000_000
"""The largest file that is read, in bytes of what is packed in it."""

_HEAD, _DEEP = 128, 16
_MATRIX, _PACKED = 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""How numbers are stored, by the kind of an element."""
_CODES = {1: "utf-8", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_STRUCTURE, _TEXT, _NUMBERS = 2, 4, range(6, 16)


class _DamagedError(ValueError):
    """What is wrong with a file, in a few words."""


def read_variable(path: Path, name: str) -> Any:
    """A variable of a MATLAB file: an array, a text, or a list with a dictionary for each structure.

    Raises `SourceError` naming the file where it cannot be read, or has no such variable.
    """
    try:
        data = read_plain(path, LIMIT, "file of labels")
        if data[:10] == b"MATLAB 7.3":
            raise SourceError(f"{path}: of MATLAB 7.3, which is another format; save it with -v7")
        if data[126:128] not in (b"IM", b"MI"):
            raise _DamagedError("it has no header of MATLAB 5 to 7")
        found = dict(_read_all(path, data))
    except FileNotFoundError:
        raise SourceError(f"{path}: the file is missing; restore it or take it out of the set") from None
    except (_DamagedError, OSError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"{path}: cannot be read as a MATLAB file ({reason}); replace it") from None
    if name not in found:
        listed = ", ".join(map(repr, sorted(found))) or "none"
        raise SourceError(f"{path}: has no variable {name}, only {listed[:200]}; replace the file")
    return found[name]


def _too_large(path: Path) -> SourceError:
    return SourceError(f"{path}: larger than {LIMIT // 1_000_000} MB; wanted the labels of one picture")


def _read_all(path: Path, data: bytes) -> Iterator[tuple[str, Any]]:
    reader, left = _Reader("little" if data[126:128] == b"IM" else "big"), LIMIT
    for kind, content in reader.split(memoryview(data)[_HEAD:]):
        if kind == _PACKED:
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(content, left + 1)
            left -= len(unpacked)
            if left < 0:
                raise _too_large(path)
            if not unpacker.eof:
                raise _DamagedError("it is cut off")
            kind, content = next(reader.split(memoryview(unpacked)), (0, content))
        if kind == _MATRIX:
            yield reader.read(content)


@dataclass(frozen=True)
class _Reader:
    """Reads elements of one order of bytes."""

    order: Literal["little", "big"]

    def split(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Kind and content of the elements that follow each other."""
        place = 0
        while place + 8 <= len(data):
            kind, size = (int.from_bytes(data[at : at + 4], self.order) for at in (place, place + 4))
            start, end = place + 8, len(data)
            if kind >> 16:  # a short element, within eight bytes
                size, kind, start, end = kind >> 16, kind & 0xFFFF, place + 4, place + 8
            if start + size > end:
                raise _DamagedError("an element is longer than what it lies in")
            yield kind, data[start : start + size]
            place = start + size
            if kind != _PACKED:
                place += -place % 8
        if place < len(data):
            raise _DamagedError("it is cut off")

    def read(self, data: memoryview, depth: int = 0) -> tuple[str, Any]:
        """Name and value of a variable or field; None is the value of what is not read, such as cells."""
        if not len(data):
            return "", np.zeros((0, 0))
        if depth > _DEEP:
            raise _DamagedError("structures lie in each other without end")
        parts = self.split(data)
        flags, sizes, name = (self._take(parts, kinds) for kinds in ((6,), (5,), (1, 2)))
        if len(flags) < 4:
            raise _DamagedError("a variable does not say of what kind it is")
        kind = int.from_bytes(flags[:4], self.order) & 0xFF
        shape = self._numbers(5, sizes).tolist()
        if len(shape) < 2 or min(shape) < 0:
            raise _DamagedError("a variable has no size")
        named = bytes(name).decode("latin-1")
        if kind in _NUMBERS:
            return named, self._read_numbers(parts, shape)
        if kind == _TEXT:
            return named, self._read_text(parts)
        return named, self._read_structures(parts, prod(shape), depth) if kind == _STRUCTURE else None

    def _take(self, parts: Iterator[tuple[int, memoryview]], kinds: tuple[int, ...]) -> memoryview:
        kind, content = next(parts, (0, memoryview(b"")))
        if kind not in kinds:
            raise _DamagedError(f"an element of kind {kind} where {kinds[0]} belongs")
        return content

    def _numbers(self, kind: int, content: memoryview) -> np.ndarray:
        stored = np.dtype(_STORED[kind]).newbyteorder(self.order)
        if len(content) % stored.itemsize:
            raise _DamagedError("numbers are cut off")
        return np.frombuffer(content, stored)

    def _read_numbers(self, parts: Iterator[tuple[int, memoryview]], shape: list[int]) -> np.ndarray:
        kind, content = next(parts, (0, memoryview(b"")))
        if kind not in _STORED:
            raise _DamagedError(f"numbers of kind {kind}")
        numbers = self._numbers(kind, content)
        if len(numbers) != prod(shape) or next(parts, None) is not None:
            raise _DamagedError(f"{len(numbers)} numbers for an array of {'x'.join(map(str, shape))}")
        return numbers.reshape(shape, order="F")

    def _read_text(self, parts: Iterator[tuple[int, memoryview]]) -> str:
        kind, content = next(parts, (0, memoryview(b"")))
        code = _CODES.get(kind)
        if code is None:
            raise _DamagedError(f"a text of kind {kind}")
        little = self.order == "little"
        return bytes(content).decode(
            code if code == "utf-8" else f"{code}-{'le' if little else 'be'}", "replace"
        )

    def _read_structures(
        self, parts: Iterator[tuple[int, memoryview]], count: int, depth: int
    ) -> list[dict[str, Any]]:
        lengths, names = self._numbers(5, self._take(parts, (5,))), bytes(self._take(parts, (1, 2)))
        length = int(lengths[0]) if len(lengths) == 1 else 0
        if length <= 0 or len(names) % length:
            raise _DamagedError("a structure has no names of fields")
        fields = [
            names[at : at + length].split(b"\0")[0].decode("latin-1") for at in range(0, len(names), length)
        ]
        found: list[dict[str, Any]] = []
        for _ in range(count if fields else 0):
            values = [self.read(self._take(parts, (_MATRIX,)), depth + 1)[1] for _ in fields]
            found.append(dict(zip(fields, values, strict=True)))
        return found
