"""The colors of ADE20K's label pictures."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16

from unitscope.concepts.formats.stored.masks import decode_colors, read_colors


def decode_codes(data: bytes, where: str) -> UInt16[np.ndarray, "row column"]:
    """The number of a class at every pixel of the bytes of a `_seg` or `_parts` PNG: R // 10 * 256 + G.

    By the authors' `utils_ade20k.py` (github.com/CSAILVision/ADE20K). Raises `SourceError`, which begins with
    `where`, for anything but such a picture.

    >>> from io import BytesIO
    >>> from PIL import Image
    >>> stored = BytesIO()
    >>> Image.new("RGB", (1, 1), (20, 7, 3)).save(stored, "PNG")
    >>> decode_codes(stored.getvalue(), "a_seg.png")
    array([[519]], dtype=uint16)
    """
    return _split_colors(decode_colors(data, where))[0]


def read_codes(path: Path) -> tuple[UInt16[np.ndarray, "row column"], UInt8[np.ndarray, "row column"]]:
    """Class and instance of every pixel of such a file; the instance is B.

    Raises `SourceError` naming the file for anything else.
    """
    return _split_colors(read_colors(path))


def _split_colors(
    colors: UInt8[np.ndarray, "row column 3"],
) -> tuple[UInt16[np.ndarray, "row column"], UInt8[np.ndarray, "row column"]]:
    red, green, blue = np.moveaxis(colors, -1, 0)
    codes: np.ndarray = red.astype(np.uint16) // 10 * 256 + green
    return codes, np.ascontiguousarray(blue)
