"""The colors of ADE20K's label pictures."""

from io import BytesIO

import numpy as np
from jaxtyping import UInt16
from PIL import Image

from unitscope.concepts.formats.pictures import PIXEL_LIMIT
from unitscope.errors import SourceError


def decode_codes(data: bytes, where: str) -> UInt16[np.ndarray, "row column"]:
    """The number of a class at every pixel of the bytes of a `_seg` or `_parts` PNG: R // 10 * 256 + G.

    By the authors' `utils_ade20k.py` (github.com/CSAILVision/ADE20K). Raises `SourceError`, which begins with
    `where`, for anything but such a picture.

    >>> stored = BytesIO()
    >>> Image.new("RGB", (1, 1), (20, 7, 3)).save(stored, "PNG")
    >>> decode_codes(stored.getvalue(), "a_seg.png")
    array([[519]], dtype=uint16)
    """
    try:
        with Image.open(BytesIO(data), formats=("PNG",)) as picture:
            if picture.width * picture.height > PIXEL_LIMIT:
                raise SourceError(f"{where}: larger than {PIXEL_LIMIT // 1_000_000} megapixels; leave it out")
            if picture.mode not in ("RGB", "RGBA"):
                raise SourceError(f"{where}: classes are coded in colors, this one is {picture.mode}; leave it out")
            colors = np.asarray(picture).astype(np.uint16)
    except SourceError:
        raise
    except Exception as error:  # Pillow's decoders let through whatever their parsers meet
        reason = " ".join(str(error).split()).partition(" <")[0] or type(error).__name__
        raise SourceError(f"{where}: cannot be read as a PNG ({reason}); leave it out") from None
    codes: np.ndarray = colors[..., 0] // 10 * 256 + colors[..., 1]
    return codes
