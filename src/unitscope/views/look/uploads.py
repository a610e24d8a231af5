"""Pictures that visitors send: opened with care, since anybody may send anything."""

import io

import numpy as np
from PIL import Image

from unitscope.axes import Picture
from unitscope.concepts.formats.stored.contents import Stored
from unitscope.concepts.formats.stored.decoding import UPRIGHT
from unitscope.concepts.formats.stored.opening import opened
from unitscope.concepts.formats.stored.pictures import decode_image
from unitscope.errors import SourceError, UsageError

MOST_BYTES = 32 << 20
"""The largest file that is taken."""
MOST_PIXELS = 50_000_000
MOST_DEEP = 16_000_000
"""So many pixels may a picture have, and one of other numbers than bytes or with transparent parts."""
PLAIN = ("1", "L", "P", "RGB", "CMYK", "YCbCr")
QUALITY = 92
_MARKS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM")
"""How the files begin that are opened; of all others Pillow would ask more parsers than are needed here."""


def decode_upload(data: bytes) -> Picture:
    """The picture of a file's bytes, RGB, turned upright; of several frames the first.

    Raises `UsageError`, in one line, for what is no whole picture in PNG, JPEG, WebP, GIF or BMP, or is too
    large.
    """
    if not (data.startswith(_MARKS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")):
        raise UsageError("this is no PNG, JPEG, WebP, GIF or BMP; save the picture as one of these")
    stored = Stored("the picture", data)
    try:
        with opened(stored) as picture:
            pixels, plain = picture.width * picture.height, picture.mode in PLAIN
            clear = not plain or "transparency" in picture.info
        most = MOST_DEEP if clear else MOST_PIXELS
        if pixels > most:
            why = " with transparent parts or deep colors" if clear else ""
            raise UsageError(
                f"the picture has {pixels / 1e6:.0f} megapixels; wanted {most // 1_000_000} at most{why}"
            )
        return decode_image(data, "the picture", UPRIGHT)
    except SourceError as error:
        reason = str(error).partition("; replace it")[0]
        raise UsageError(f"{reason}; send another one") from None
    except (MemoryError, OverflowError) as error:
        raise UsageError("the picture cannot be held in memory; send a smaller one") from error


def encode_jpeg(image: np.ndarray) -> bytes:
    """The image as JPEG."""
    return _encode(image, "JPEG", quality=QUALITY, subsampling=0)  # colors of small pictures would blur


def encode_png(image: np.ndarray) -> bytes:
    """The image as PNG, pixel by pixel what it is."""
    return _encode(image, "PNG", compress_level=1)


def _encode(image: np.ndarray, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()
