"""The colors of ADE20K's label pictures."""

import numpy as np
from jaxtyping import UInt16

from unitscope.concepts.formats.pictures import decode_colors


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
    red, green, _ = np.moveaxis(decode_colors(data, where), -1, 0)
    codes: np.ndarray = red.astype(np.uint16) // 10 * 256 + green
    return codes
