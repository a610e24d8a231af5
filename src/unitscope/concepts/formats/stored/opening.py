"""Picture files on their way in: what kind they are, and what can be wrong with them before they are read."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from unitscope.concepts.formats.plain_files import check_plain
from unitscope.concepts.formats.stored.bands import ARRAY_SUFFIX, TIFF_SUFFIXES, look_into_tiff
from unitscope.concepts.formats.stored.contents import Stored
from unitscope.concepts.formats.stored.netpbm import NETPBM_SUFFIXES
from unitscope.errors import SourceError

PIXEL_LIMIT = 100_000_000
"""The largest picture that is decoded, in pixels."""

_FILE_LIMIT = 1 << 30
_KINDS = {
    ARRAY_SUFFIX: "array",
    ".bmp": "BMP",
    **dict.fromkeys(TIFF_SUFFIXES, "TIFF"),
    **dict.fromkeys(NETPBM_SUFFIXES, "PPM"),
}
"""The formats, in Pillow's names, that are not left to Pillow alone."""
_MARKS = {
    "TIFF": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "PPM": re.compile(rb"P[1-6]\s"),
    "BMP": re.compile(b"BM"),
}
_ANIMATED = ("GIF", "PNG", "WEBP", "TIFF")


@contextmanager
def opened(path: Path | Stored) -> Iterator[Image.Image]:
    """A picture that Pillow reads, while it is open.

    Raises `SourceError` naming the file where it is missing, truncated, no picture, or above `PIXEL_LIMIT`;
    what else fails inside is one, too.
    """
    stored = path if isinstance(path, Stored) else Stored(path)
    try:
        if stored.data is None:
            check_plain(Path(stored.name))
        if stored.size > _FILE_LIMIT:
            raise SourceError(f"{path}: {stored.size / 1e9:.3g} GB, which no picture is; replace it")
        with stored.open() as file, Image.open(file) as picture:
            check_area(stored, (picture.height, picture.width))
            yield picture
    except SourceError:
        raise
    except FileNotFoundError:
        raise SourceError(f"{path}: the file is missing; restore it or take it out of the set") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(stored) from None
    except Exception as error:  # Pillow's decoders let through whatever their parsers meet
        reason = re.sub(r" (file )?<_io\.[^>]*>", "", " ".join(str(error).split())) or type(error).__name__
        advice = "replace it or take it out of the set"
        raise SourceError(f"{path}: cannot be read as a picture ({reason}); {advice}") from None


@contextmanager
def naming(path: Stored) -> Iterator[None]:
    """Puts the path before a `SourceError` that does not begin with it."""
    try:
        yield
    except SourceError as error:
        if str(error).startswith(str(path)):
            raise
        raise SourceError(f"{path}: {error}") from None


def find_kind(path: Stored) -> str:
    """TIFF, PPM, BMP or array, by a file's name or the first bytes of contents; nothing for all others."""
    if path.data is None:
        return _KINDS.get(path.suffix, "")
    return next((kind for kind, mark in _MARKS.items() if mark.match(path.data)), "")


def has_several(picture: Image.Image, path: Stored) -> bool:
    """Whether a file holds frames or pages besides the first."""
    if picture.format == "TIFF" and (tiff := look_into_tiff(path)) is not None:
        return tiff.pages > 1
    return picture.format in _ANIMATED and bool(getattr(picture, "is_animated", False))


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) from the picture's header alone.

    Raises `SourceError` as `opened` does.
    """
    with opened(path) as picture:
        return picture.height, picture.width


def check_area(path: Stored, size: tuple[int, int]) -> None:
    """Raises `SourceError` where a picture of that size (height, width) is above the limit, or empty."""
    if size[0] * size[1] > PIXEL_LIMIT:
        raise _too_large(path)
    if min(size) < 1:
        raise SourceError(f"{path}: it has no pixels; replace it or take it out of the set")


def _too_large(path: Stored) -> SourceError:
    return SourceError(f"{path}: larger than {PIXEL_LIMIT // 1_000_000} megapixels; store it smaller")
