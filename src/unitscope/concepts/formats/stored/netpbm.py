"""Netpbm files (.pbm, .pgm, .ppm, .pnm) with their numbers as they are stored; Pillow scales them."""

import re

import numpy as np
from jaxtyping import UInt16

from unitscope.concepts.formats.stored.contents import Stored
from unitscope.errors import SourceError

NETPBM_SUFFIXES = frozenset({".pbm", ".pgm", ".ppm", ".pnm"})

_HEAD = re.compile(rb"P([1-6])" + rb"(?:\s|#[^\n\r]*[\n\r])+(\d{1,9})" * 2)
_LARGEST = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])+(\d{1,9})")
_COMMENT = re.compile(rb"#[^\n\r]*")
_PLAIN = re.compile(rb"[\d\s]*")
_HEAD_BYTES = 4096


def read_netpbm(path: Stored, limit: int) -> tuple[UInt16[np.ndarray, "y x band"], int] | None:
    """The numbers of a picture of one or three bands, and which of them is the largest that it may hold.

    In a bitmap (.pbm) 1 is black. None where the file is no Netpbm file of these kinds. Raises `SourceError`
    naming the file where it is damaged or has more than `limit` pixels.
    """
    try:
        start, size = path.read(_HEAD_BYTES), path.size
    except OSError:
        return None
    head = _HEAD.match(start)
    if head is None:
        return None
    kind, width, height = int(head[1]), int(head[2]), int(head[3])
    largest, end = 1, head.end()
    if kind not in (1, 4):
        found = _LARGEST.match(start, end)
        largest, end = (int(found[1]), found.end()) if found else (0, end)
    bands = 3 if kind in (3, 6) else 1
    if width * height > limit:
        raise SourceError(f"{path}: larger than {limit // 1_000_000} megapixels; store it smaller")
    if not 0 < largest < 65_536 or not width * height:
        raise SourceError(f"{path}: its header is wrong ({width}x{height}, largest {largest}); store it anew")
    # Five digits a number and what parts them; more than that is something else.
    fits = size <= _HEAD_BYTES + 8 * width * height * bands
    numbers = _decode(kind, path.read(), end, (height, width, bands), largest) if fits else None
    if numbers is None:
        wanted = f"{width * height * bands} numbers of at most {largest}"
        raise SourceError(f"{path}: it does not hold {wanted}; replace it or take it out of the set")
    return numbers, largest


def is_bitmap(path: Stored) -> bool:
    """Whether a Netpbm file is a bitmap, where 1 is black and not white."""
    return path.read(2) in (b"P1", b"P4")


def _decode(
    kind: int, data: bytes, end: int, shape: tuple[int, int, int], largest: int
) -> UInt16[np.ndarray, "y x band"] | None:
    height, width, bands = shape
    if kind == 4:
        row = -(-width // 8)
        packed = np.frombuffer(data, np.uint8, offset=end + 1)[: height * row]
        if packed.size < height * row:
            return None
        return np.unpackbits(packed.reshape(height, row), axis=1)[:, :width, None].astype(np.uint16)
    count = height * width * bands
    if kind in (5, 6):
        wide = np.dtype("u1" if largest < 256 else ">u2")
        stored = data[end + 1 : end + 1 + count * wide.itemsize]
        numbers = np.frombuffer(stored, wide, len(stored) // wide.itemsize)
    else:
        plain = _COMMENT.sub(b"", data[end:])
        if _PLAIN.fullmatch(plain) is None:
            return None
        if kind == 1:
            numbers = np.frombuffer(b"".join(plain.split()), np.uint8) - np.uint8(ord("0"))
        else:
            numbers = np.fromstring(plain, np.int64, sep=" ")
    numbers = numbers[:count]
    if numbers.size < count or numbers.max() > largest or numbers.min() < 0:
        return None
    return numbers.astype(np.uint16).reshape(shape)
