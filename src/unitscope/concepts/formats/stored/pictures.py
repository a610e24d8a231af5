"""Pictures on disk: photographs as RGB."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt16
from PIL import Image

from unitscope.axes import Picture
from unitscope.concepts.formats.stored.bands import ARRAY_SUFFIX, look_into_tiff, read_array, read_bands
from unitscope.concepts.formats.stored.bitmaps import read_bitmap
from unitscope.concepts.formats.stored.contents import Stored
from unitscope.concepts.formats.stored.decoding import (
    FIRST,
    Decoding,
    Numbers,
    choose_turning,
    find_orientation,
    turn_back,
    turn_numbers,
    turn_picture,
    turn_upright,
)
from unitscope.concepts.formats.stored.netpbm import NETPBM_SUFFIXES, is_bitmap, read_netpbm
from unitscope.concepts.formats.stored.opening import (
    PIXEL_LIMIT,
    check_area,
    find_kind,
    has_several,
    naming,
    opened,
)

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", *NETPBM_SUFFIXES}
)


def read_image(path: Path, decoding: Decoding = Decoding()) -> Picture:  # noqa: B008 - frozen
    """The picture as uint8[y, x, 3] RGB; told by its content, not by its name.

    `decoding` says what becomes of an EXIF orientation, of transparent pixels, and of numbers whose range the
    file does not say. Arrays (`.npy`) and TIFF files of more than three bands are given with all of them, as
    `unitscope.concepts.formats.stored.bands` reads them. Of several frames the first is taken.

    Raises `SourceError` naming the file where it is missing, truncated, no picture, above `PIXEL_LIMIT`, or
    of unknown range.
    """
    return read_turned(path, decoding)[0]


def decode_image(data: bytes, name: str, decoding: Decoding = Decoding()) -> Picture:  # noqa: B008 - frozen
    """The same of the contents of a file, which `name` stands for in messages; bands are not read."""
    return _read(Stored(name, data), decoding, None)[0]


def read_turned(
    path: Path, decoding: Decoding, labels: tuple[int, int] | None = None
) -> tuple[Picture, tuple[str, ...]]:
    """The picture as `read_image` gives it, and what was done to it, in words of `decoding`.

    `labels` is (height, width) of its labels, which decide how it is turned where they can.
    """
    if path.suffix.lower() == ARRAY_SUFFIX:
        return read_array(path), ()
    return _read(Stored(path), decoding, labels)


def _read(
    path: Stored, decoding: Decoding, labels: tuple[int, int] | None
) -> tuple[Picture, tuple[str, ...]]:
    kind = find_kind(path)
    with naming(path):
        found = _decode_exactly(path, kind, decoding, labels)
        if found is None:
            with opened(path) as picture:
                other = str(picture.format)
                found = None if other == kind else _decode_exactly(path, other, decoding, labels)
                found = found or _decode(picture, path, decoding, labels)
        return found


def _decode_exactly(
    path: Stored, kind: str, decoding: Decoding, labels: tuple[int, int] | None
) -> tuple[Picture, tuple[str, ...]] | None:
    """What Pillow does not read exactly; None for all else."""
    if kind == "TIFF":
        bands = read_bands(Path(path.name)) if path.data is None else None
        return _decode_tiff(path, decoding, labels) if bands is None else (bands, ())
    if kind == "PPM" and (netpbm := read_netpbm(path, PIXEL_LIMIT)) is not None:
        return turn_numbers(_state_range(*netpbm, is_bitmap(path)), decoding)
    return None


def _decode(
    picture: Image.Image, path: Stored, decoding: Decoding, labels: tuple[int, int] | None
) -> tuple[Picture, tuple[str, ...]]:
    said = (FIRST,) if has_several(picture, path) else ()
    if picture.format == "BMP" and picture.mode == "1" and (bitmap := read_bitmap(path, PIXEL_LIMIT)):
        return bitmap.colors[bitmap.indices.clip(max=len(bitmap.colors) - 1)], said
    turned = picture.format == "TIFF"  # by Pillow
    orientation = find_orientation(picture) if turned else 1
    image, done = turn_picture(picture, decoding, path)
    if not turned and decoding.exif != "never":  # PNG files may tell it at the end
        orientation = find_orientation(picture)
    if orientation == 1:
        return image, (*said, *done)
    image = turn_back(image, orientation) if turned else image
    turn, why = choose_turning((image.shape[0], image.shape[1]), orientation, labels, decoding.exif)
    return turn_upright(image, orientation) if turn else image, (*said, *done, *why)


def _decode_tiff(
    path: Stored, decoding: Decoding, labels: tuple[int, int] | None
) -> tuple[Picture, tuple[str, ...]] | None:
    """A TIFF file of more than 8 bits, or of real numbers, which Pillow reads wrong; None for others."""
    tiff = look_into_tiff(path)
    if tiff is None or not tiff.plain or (tiff.bits in (1, 2, 4, 8) and tiff.kind == "u"):
        return None
    check_area(path, tiff.size)
    values = tiff.decode()
    if values is None:
        return None
    said = (FIRST,) if tiff.pages > 1 else ()
    numbers = Numbers(values, tiff.bits, tiff.kind == "u" and tiff.bits < 16, tiff.inverted)
    image, done = turn_numbers(numbers, decoding)
    turn, why = choose_turning(tiff.size, tiff.orientation, labels, decoding.exif)
    return turn_upright(image, tiff.orientation) if turn else image, (*said, *done, *why)


def _state_range(values: UInt16[np.ndarray, "y x band"], largest: int, bitmap: bool) -> Numbers:
    """Netpbm numbers, whose header states the largest; 65535 may stand there for any number of bits."""
    if largest in (255, 65535):
        return Numbers(values, 16 if largest > 255 else 8, known=largest == 255)
    spread = np.rint(values.astype(np.float64) * (255 / largest)).astype(np.uint8)
    return Numbers(spread, 8, known=True, inverted=bitmap)
