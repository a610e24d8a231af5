"""Pictures of several bands on disk: arrays of NumPy, and TIFF files that Pillow has no mode for.

A picture is [y, x, band]. Bytes and 16-bit whole numbers stay what they are; other numbers become float32.
"""

import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import TiffImagePlugin

from unitscope.axes import Picture
from unitscope.errors import SourceError

ARRAY_SUFFIX = ".npy"
TIFF_SUFFIXES = frozenset({".tif", ".tiff"})

VALUE_LIMIT = 1_000_000_000
"""The largest picture of bands that is read, in values."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLORS, _SAMPLES = 256, 257, 258, 259, 262, 277
_STRIPS, _STRIP_ROWS, _STRIP_BYTES, _PLANES, _PREDICTOR = 273, 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _EXTRA, _FORMAT = 322, 323, 324, 325, 338, 339
_PLAIN, _DEFLATE = 1, (8, 32946)
_KINDS = {1: "u", 2: "i", 3: "f"}
_GRAY, _RGB = 1, 2
_ALPHA = (1, 2)


def read_array(path: Path) -> Picture:
    """The bands of a `.npy` file of [y, x, band]; nothing in it is executed.

    Raises `SourceError` naming the file where it is no such array.
    """
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise SourceError(f"{path}: the file is missing; restore it or take it out of the set") from None
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"{path}: cannot be read as an array ({reason}); save it by numpy.save") from None
    if not isinstance(stored, np.ndarray) or stored.ndim != 3 or not stored.size:
        shape = getattr(stored, "shape", type(stored).__name__)
        raise SourceError(f"{path}: an array of shape {shape}; wanted (y, x, band)")
    return _settle(stored, path)


def read_bands(path: Path) -> Picture | None:
    """The bands of a TIFF file with more of them than a photograph has; None for any other.

    Bands side by side or one after the other, in strips or tiles, plain or deflated, as GDAL writes them.
    Raises `SourceError` naming the file where it is damaged, or stored in another way.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
            if head[:2] not in (b"II", b"MM"):
                return None
            head += file.read(8) if 43 in head[2:4] else b""  # of files that may have more than 4 GB
            tags: Any = TiffImagePlugin.ImageFileDirectory_v2(head)
            file.seek(tags.next)
            tags.load(file)
            # Alpha that is stated to be so is no band.
            alpha = sum(kind in _ALPHA for kind in tags.get(_EXTRA, ()))
            few = tags.get(_SAMPLES, 1) - alpha <= 3
            if few or tags.get(_COLORS) not in (_GRAY, _RGB):
                return None
            return _settle(_decode(file, tags, path), path)
    except FileNotFoundError:
        return None
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"{path}: its bands cannot be read ({reason}); save them by numpy.save") from None


def _settle(stored: np.ndarray, path: Path) -> Picture:
    if stored.dtype.kind not in "uif":
        raise SourceError(f"{path}: bands of {stored.dtype}; wanted whole or real numbers")
    if stored.size > VALUE_LIMIT:
        raise SourceError(f"{path}: larger than {VALUE_LIMIT // 1_000_000} million values; store it smaller")
    kept = stored.dtype.newbyteorder("=") in (np.dtype(np.uint8), np.dtype(np.uint16))
    found: Picture = np.array(stored, stored.dtype.newbyteorder("=") if kept else np.float32, order="C")
    if not kept and not np.isfinite(found).all():
        raise SourceError(f"{path}: it has values that are not finite numbers; fill them before")
    return found


def _decode(file: BinaryIO, tags: Any, path: Path) -> np.ndarray:
    height, width, samples = tags[_HEIGHT], tags[_WIDTH], tags[_SAMPLES]
    bits, formats = set(tags[_BITS]), set(tags.get(_FORMAT, (1,)))
    if height * width * samples > VALUE_LIMIT:
        raise SourceError(f"{path}: larger than {VALUE_LIMIT // 1_000_000} million values; store it smaller")
    way, predictor = tags.get(_COMPRESSION, _PLAIN), tags.get(_PREDICTOR, 1)
    (size,), (form,) = bits, formats  # other bands of other kinds fail here
    if way not in (_PLAIN, *_DEFLATE) or predictor not in (1, 2) or form not in _KINDS or size % 8:
        raise ValueError(f"compression {way}, predictor {predictor}, {size} bits")
    kind = np.dtype(f"{tags.prefix.decode().replace('II', '<').replace('MM', '>')}{_KINDS[form]}{size // 8}")
    apart = tags.get(_PLANES, 1) == 2
    found = np.zeros((height, width, samples), kind)
    for place, shape, data in _blocks(file, tags, apart):
        wanted = prod(shape) * kind.itemsize
        plain = data if way == _PLAIN else zlib.decompressobj().decompress(data, wanted)
        block = np.frombuffer(plain, kind, prod(shape)).reshape(shape)
        if predictor == 2:
            block = block.cumsum(1, dtype=kind.newbyteorder("="))
        top, left, band = place
        room = found[top : top + shape[0], left : left + shape[1], band : band + shape[2]]
        room[...] = block[: room.shape[0], : room.shape[1]]
    return found


def _blocks(
    file: BinaryIO, tags: Any, apart: bool
) -> Iterator[tuple[tuple[int, int, int], tuple[int, int, int], bytes]]:
    """Of every strip or tile: where it begins (y, x, band), its shape, and its bytes."""
    height, width, samples = tags[_HEIGHT], tags[_WIDTH], tags[_SAMPLES]
    tiled = _TILES in tags
    high, wide = min(tags.get(_STRIP_ROWS, height), height), width
    if tiled:
        high, wide = tags[_TILE_HEIGHT], tags[_TILE_WIDTH]
    starts = [(y, x) for y in range(0, height, high) for x in range(0, width, wide)]
    places = [(y, x, band) for band in (range(samples) if apart else (0,)) for y, x in starts]
    offsets, lengths = (tags[one] for one in ((_TILES, _TILE_BYTES) if tiled else (_STRIPS, _STRIP_BYTES)))
    for place, offset, length in zip(places, offsets, lengths, strict=True):
        file.seek(offset)
        rows = high if tiled else min(high, height - place[0])
        yield place, (rows, wide, 1 if apart else samples), file.read(length)
