"""Masks as lengths of runs, as COCO and what follows it store them.

The pixels of a mask are taken column by column. The first run is of pixels that are not in the mask, the
second of pixels that are, and so on; a run may have no pixel. As letters, each length takes one or more
characters from "0" (48) on, of five bits each, the lowest first, with a sixth bit where another follows; the
last one has the sign. From the fourth length on, what is stored is the difference to the length two before.
Source of the format: `maskApi.c` of the COCO API (github.com/cocodataset/cocoapi).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from unitscope.errors import SourceError

_MOST_LETTERS = 6
"""Enough for any picture of 2^29 pixels."""


def read_counts(
    counts: Sequence[Any] | np.ndarray | str | bytes, size: tuple[int, int]
) -> Int64[np.ndarray, "run"]:
    """The lengths of runs from a list of them or from letters; `size` is (height, width).

    Raises `SourceError` where they are no lengths, or do not fill the picture exactly.

    >>> read_counts("1210", (2, 3)), read_counts([1, 2, 3], (2, 3))
    (array([1, 2, 1, 2]), array([1, 2, 3]))
    """
    lengths = _read_letters(counts) if isinstance(counts, str | bytes) else _read_numbers(counts)
    pixels = size[0] * size[1]
    if lengths.size and lengths.min() < 0:
        raise SourceError(f"run lengths hold {lengths.min()}, which is less than nothing; mend them")
    # Checked one by one first: their sum might be too large for 64 bits.
    fits = not lengths.size or lengths.max() <= pixels
    filled = int(lengths.sum()) if fits else int(lengths.max())
    if filled != pixels:
        raise SourceError(f"run lengths for {filled} pixels, the picture has {pixels}; mend one of them")
    return lengths


def fill_runs(lengths: Int64[np.ndarray, "run"], size: tuple[int, int]) -> Bool[np.ndarray, "y x"]:
    """The mask of runs that fill a picture of `size` (height, width).

    >>> fill_runs(np.array([1, 2, 3]), (2, 3)).astype(int)
    array([[0, 1, 0],
           [1, 0, 0]])
    """
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(size[1], size[0]).T


def _read_numbers(counts: Sequence[Any] | np.ndarray) -> Int64[np.ndarray, "run"]:
    try:
        read = np.asarray(counts)
        if read.size and (read.dtype.kind not in "iu" or read.ndim != 1):
            raise ValueError
        return read.astype(np.int64).reshape(-1)
    except (ValueError, OverflowError):
        raise SourceError("run lengths that are no list of whole numbers; mend them") from None


def _read_letters(letters: str | bytes) -> Int64[np.ndarray, "run"]:
    coded = letters.encode("utf-8", "surrogatepass") if isinstance(letters, str) else letters
    bits = np.frombuffer(coded, np.uint8).astype(np.int64) - 48
    if not bits.size:
        return np.zeros(0, np.int64)
    if bits.min() < 0 or bits.max() > 63:
        wrong = int(bits[(bits < 0) | (bits > 63)][0]) + 48
        raise SourceError(f"run lengths with the character {wrong}, wanted 48 to 111; mend them")
    ends = np.flatnonzero(bits < 32)
    if not ends.size or ends[-1] != len(bits) - 1:
        raise SourceError("run lengths that end in the middle of a number; mend them")
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() >= _MOST_LETTERS:
        raise SourceError("run lengths with a number of too many letters; mend them")
    place = np.arange(len(bits)) - np.repeat(starts, ends - starts + 1)
    numbers = np.add.reduceat((bits & 31) << 5 * place, starts)
    negative = (bits[ends] & 16) != 0
    numbers[negative] -= np.int64(1) << 5 * (place[ends[negative]] + 1)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
