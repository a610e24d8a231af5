"""Pictures of several bands on disk: arrays of NumPy, and TIFF files that Pillow has no mode for.

A picture is [y, x, band]. Bytes and 16-bit whole numbers stay what they are; other numbers become float32.
The numbers of a TIFF file of few bands are read here too, where they must be exact: masks, and pictures of
more than 8 bits.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from PIL import TiffImagePlugin

from unitscope.axes import Picture
from unitscope.concepts.formats.stored.contents import Contents, Stored
from unitscope.errors import SourceError

ARRAY_SUFFIX = ".npy"
TIFF_SUFFIXES = frozenset({".tif", ".tiff"})

VALUE_LIMIT = 1_000_000_000
"""The largest picture of bands that is read, in values."""

_SUBFILE, _FILL, _ORIENTATION = 254, 266, 274
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLORS, _SAMPLES = 256, 257, 258, 259, 262, 277
_STRIPS, _STRIP_ROWS, _STRIP_BYTES, _PLANES, _PREDICTOR = 273, 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _EXTRA, _FORMAT = 322, 323, 324, 325, 338, 339
_PLAIN, _DEFLATE = 1, (8, 32946)
_KINDS = {1: "u", 2: "i", 3: "f"}
_INVERTED, _GRAY, _RGB = 0, 1, 2
_ALPHA = (1, 2)
_LOSSY = frozenset({6, 7, 33003, 33004, 33005, 34712, 34892, 50001, 50002})
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_PAGES = 64
_AT_ONCE = 1_000_000
_LARGEST_TILE = 1 << 26
_SPARE = 1 << 20


@dataclass(frozen=True, eq=False)
class Tiff:
    """A TIFF file of one or three bands without alpha: what its first page holds, by its header.

    `size` is (height, width) as stored, `orientation` as of EXIF. `bits` are those of a number, of a `kind`
    "u", "i" or "f" as of NumPy's dtypes. `pages` counts those that are no smaller copies or outlines.
    """

    path: Stored
    tags: Any
    pages: int
    size: tuple[int, int]
    bands: int
    bits: int
    kind: str
    colors: int
    orientation: int

    @property
    def inverted(self) -> bool:
        """Whether 0 is white."""
        return self.colors == _INVERTED

    @property
    def plain(self) -> bool:
        """Whether its numbers are shades of gray, or of red, green and blue."""
        return self.colors in ((_INVERTED, _GRAY) if self.bands == 1 else (_RGB,))

    @property
    def lossy(self) -> bool:
        """Whether it is packed with losses."""
        return self.tags.get(_COMPRESSION, _PLAIN) in _LOSSY

    def decode(self) -> np.ndarray | None:
        """The numbers [y, x, band] to the bit; None where they are packed in a way that is not read here.

        Raises `SourceError` naming the file where it is damaged.
        """
        ways = self.tags.get(_COMPRESSION, _PLAIN), self.tags.get(_PREDICTOR, 1)
        known = ways[0] in (_PLAIN, *_DEFLATE) and ways[1] in ((1, 2) if self.bits % 8 == 0 else (1,))
        if not known or self.kind == "?" or (self.bits % 8 == 0 and self.bits not in (8, 16, 32, 64)):
            return None
        try:
            with self.path.open() as file:
                return _decode(file, self.tags, self.path)
        except _DAMAGES as error:
            raise _damaged(self.path, error) from None


_DAMAGES = (
    OSError,
    SyntaxError,
    ValueError,
    MemoryError,
    KeyError,
    TypeError,
    OverflowError,
    UserWarning,
    struct.error,
    zlib.error,
)


def _damaged(path: Path | Stored, error: Exception) -> SourceError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return SourceError(f"{path}: its bands cannot be read ({reason}); save them by numpy.save")


def look_into_tiff(path: Stored) -> Tiff | None:
    """The header of a TIFF file of one or three bands without alpha; None for any other."""
    try:
        with path.open() as file:
            first, *others = _read_pages(file)
        if first.get(_SAMPLES, 1) not in (1, 3) or first.get(_EXTRA):
            return None
        lies = int(first.get(_ORIENTATION, 1))
        return Tiff(
            path,
            first,
            1 + sum(not page.get(_SUBFILE, 0) & 5 for page in others),
            (int(first[_HEIGHT]), int(first[_WIDTH])),
            int(first.get(_SAMPLES, 1)),
            int(max(first.get(_BITS, (1,)))),
            _KINDS.get(first.get(_FORMAT, (1,))[0], "?"),
            int(first.get(_COLORS, -1)),
            lies if 1 <= lies <= 8 else 1,
        )
    except _DAMAGES:
        return None


def _read_pages(file: Contents) -> Iterator[Any]:
    """The tags of every page, at most some."""
    head = file.read(8)
    if head[:2] not in (b"II", b"MM"):
        return
    head += file.read(8) if 43 in head[2:4] else b""  # of files that may have more than 4 GB
    place, seen = TiffImagePlugin.ImageFileDirectory_v2(head).next, set[int]()
    while place and place not in seen and len(seen) < _PAGES:
        seen.add(place)
        tags: Any = TiffImagePlugin.ImageFileDirectory_v2(head)
        file.seek(place)
        tags.load(file)
        place = tags.next
        yield tags


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
            tags = next(_read_pages(file), None)
            if tags is None:
                return None
            # Alpha that is stated to be so is no band.
            alpha = sum(kind in _ALPHA for kind in tags.get(_EXTRA, ()))
            few = tags.get(_SAMPLES, 1) - alpha <= 3
            if few or tags.get(_COLORS) not in (_GRAY, _RGB):
                return None
            return _settle(_decode(file, tags, path), path)
    except FileNotFoundError:
        return None
    except _DAMAGES as error:
        raise _damaged(path, error) from None


def _settle(stored: np.ndarray, path: Path) -> Picture:
    if stored.dtype.kind not in "uif":
        raise SourceError(f"{path}: bands of {stored.dtype}; wanted whole or real numbers")
    if stored.size > VALUE_LIMIT:
        raise SourceError(f"{path}: larger than {VALUE_LIMIT // 1_000_000} million values; store it smaller")
    kept = stored.dtype.newbyteorder("=") in (np.dtype(np.uint8), np.dtype(np.uint16))
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large is told below
        found: Picture = np.array(stored, stored.dtype.newbyteorder("=") if kept else np.float32, order="C")
    if not kept and not np.isfinite(found).all():
        raise SourceError(f"{path}: it has values that are not finite numbers; fill them before")
    return found


def _decode(file: Contents, tags: Any, path: Path | Stored) -> np.ndarray:
    height, width, samples = tags[_HEIGHT], tags[_WIDTH], tags.get(_SAMPLES, 1)
    bits, formats = set(tags.get(_BITS, (1,))), set(tags.get(_FORMAT, (1,)))
    if height * width * samples > VALUE_LIMIT:
        raise SourceError(f"{path}: larger than {VALUE_LIMIT // 1_000_000} million values; store it smaller")
    way, predictor = tags.get(_COMPRESSION, _PLAIN), tags.get(_PREDICTOR, 1)
    (size,), (form,) = bits, formats  # other bands of other kinds fail here
    packed = size % 8 > 0 and size < 16 and form == 1
    if way not in (_PLAIN, *_DEFLATE) or predictor not in (1, 2) or form not in _KINDS:
        raise ValueError(f"compression {way}, predictor {predictor}")
    if size % 8 and not packed:
        raise ValueError(f"{size} bits")
    order = tags.prefix.decode().replace("II", "<").replace("MM", ">")
    kind = np.dtype("=u2" if packed else f"{order}{_KINDS[form]}{size // 8}")
    apart = tags.get(_PLANES, 1) == 2
    found = np.zeros((height, width, samples), kind)
    for place, shape, data in _blocks(file, tags, apart):
        data = data.translate(_REVERSED) if tags.get(_FILL, 1) == 2 else data
        row = -(-shape[1] * shape[2] * size // 8)  # begins with a byte of its own
        wanted = shape[0] * row if packed else prod(shape) * kind.itemsize
        plain = data if way == _PLAIN else zlib.decompressobj().decompress(data, wanted)
        if packed:
            block = _unpack(np.frombuffer(plain, np.uint8, wanted).reshape(shape[0], row), shape, size)
        else:
            block = np.frombuffer(plain, kind, prod(shape)).reshape(shape)
        if predictor == 2:
            block = block.cumsum(1, dtype=kind.newbyteorder("="))
        top, left, band = place
        room = found[top : top + shape[0], left : left + shape[1], band : band + shape[2]]
        room[...] = block[: room.shape[0], : room.shape[1]]
    return found


def _unpack(rows: np.ndarray, shape: tuple[int, int, int], bits: int) -> np.ndarray:
    """Numbers of a few bits, the highest first, from the bytes of every row."""
    count, found = shape[1] * shape[2], np.zeros(shape, np.uint16)
    some = max(1, _AT_ONCE // max(count, 1))
    for top in range(0, shape[0], some):
        single = np.unpackbits(rows[top : top + some], axis=1)
        for bit in range(bits):
            high = single[:, bit : count * bits : bits].reshape(-1, *shape[1:])
            found[top : top + some] |= high.astype(np.uint16) << (bits - 1 - bit)
    return found


def _blocks(
    file: Contents, tags: Any, apart: bool
) -> Iterator[tuple[tuple[int, int, int], tuple[int, int, int], bytes]]:
    """Of every strip or tile: where it begins (y, x, band), its shape, and its bytes."""
    height, width, samples = tags[_HEIGHT], tags[_WIDTH], tags.get(_SAMPLES, 1)
    tiled = _TILES in tags
    high, wide = min(tags.get(_STRIP_ROWS, height), height), width
    if tiled:
        high, wide = tags[_TILE_HEIGHT], tags[_TILE_WIDTH]
        if high * wide > _LARGEST_TILE:
            raise ValueError(f"tiles of {wide}x{high}")
    starts = [(y, x) for y in range(0, height, high) for x in range(0, width, wide)]
    places = [(y, x, band) for band in (range(samples) if apart else (0,)) for y, x in starts]
    offsets, lengths = (tags[one] for one in ((_TILES, _TILE_BYTES) if tiled else (_STRIPS, _STRIP_BYTES)))
    for place, offset, length in zip(places, offsets, lengths, strict=True):
        file.seek(offset)
        rows = high if tiled else min(high, height - place[0])
        bands = 1 if apart else samples
        whole = -(-rows * wide * bands * max(tags.get(_BITS, (1,))) // 8)
        if length > 2 * whole + _SPARE:  # which no packing takes
            raise ValueError(f"a strip of {length} bytes for {whole}")
        yield place, (rows, wide, bands), file.read(length)
