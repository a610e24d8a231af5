"""The indices of a Windows bitmap (.bmp); Pillow misreads those of some palettes."""

import struct
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from unitscope.concepts.formats.stored.contents import Stored
from unitscope.errors import SourceError

_HEAD_BYTES = 54


@dataclass(frozen=True, eq=False)
class Bitmap:
    """A bitmap of at most 256 colors: what every pixel holds, and the color (RGB) of every number."""

    indices: UInt8[np.ndarray, "y x"]
    colors: UInt8[np.ndarray, "number 3"]


def read_bitmap(path: Stored, limit: int) -> Bitmap | None:
    """A bitmap of 1, 4 or 8 bits a pixel that is not packed; None for any other file.

    Raises `SourceError` naming the file where it is damaged or has more than `limit` pixels.
    """
    try:
        with path.open() as file:
            head = file.read(_HEAD_BYTES)
            if len(head) < _HEAD_BYTES or head[:2] != b"BM":
                return None
            start, size, width, height = struct.unpack_from("<IIii", head, 10)
            bits, packed = struct.unpack_from("<HI", head, 28)
            count = struct.unpack_from("<I", head, 46)[0] or 1 << bits
            if size < 40 or bits not in (1, 4, 8) or packed:
                return None
            if not 0 < width * abs(height) <= limit or count > 256:
                wrong = f"{width}x{abs(height)} pixels, {count} colors"
                raise SourceError(f"{path}: a bitmap of {wrong}; store it smaller, or replace it")
            file.seek(14 + size)
            palette = file.read(4 * count)
            row = -(-width * bits // 32) * 4
            file.seek(start)
            data = file.read(row * abs(height))
    except OSError:
        return None
    if len(data) < row * abs(height) or len(palette) < 4 * count:
        raise SourceError(f"{path}: the bitmap is not whole; replace it or take it out of the set")
    rows = np.frombuffer(data, np.uint8).reshape(abs(height), row)
    if bits < 8:
        single = np.unpackbits(rows, axis=1).reshape(abs(height), -1, bits)
        rows = np.packbits(single, axis=2)[..., 0] >> (8 - bits)
    indices = rows[:, :width]
    colors = np.frombuffer(palette, np.uint8).reshape(count, 4)[:, 2::-1]
    return Bitmap(np.ascontiguousarray(indices[::-1] if height > 0 else indices), colors)
