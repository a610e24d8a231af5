"""Pictures on disk: photographs as RGB, masks as numbers, and what can be wrong with them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16, UInt32
from PIL import Image

from unitscope.axes import Picture
from unitscope.concepts.formats.stored.bands import (
    ARRAY_SUFFIX,
    TIFF_SUFFIXES,
    Tiff,
    look_into_tiff,
    read_array,
    read_bands,
)
from unitscope.concepts.formats.stored.bitmaps import read_bitmap
from unitscope.concepts.formats.stored.contents import Stored
from unitscope.concepts.formats.stored.decoding import (
    FIRST,
    Decoding,
    Numbers,
    as_numbers,
    choose_turning,
    find_orientation,
    turn_back,
    turn_numbers,
    turn_picture,
    turn_upright,
)
from unitscope.concepts.formats.stored.netpbm import NETPBM_SUFFIXES, is_bitmap, read_netpbm
from unitscope.errors import SourceError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", *NETPBM_SUFFIXES}
)
MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp", ".gif", ".pgm", ".pbm", ".pnm"})

PIXEL_LIMIT = 100_000_000
"""The largest picture that is decoded, in pixels."""

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
_MASK_FORMATS = ("PNG", "TIFF", "BMP", "GIF", "PPM")
_ANIMATED = ("GIF", "PNG", "WEBP", "TIFF")
_SCALES = {2: 85, 4: 17}
"""What Pillow multiplies gray of so few bits by."""


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
    kind = _find_kind(path)
    with _naming(path):
        found = _decode_exactly(path, kind, decoding, labels)
        if found is None:
            with opened(path) as picture:
                other = str(picture.format)
                found = None if other == kind else _decode_exactly(path, other, decoding, labels)
                found = found or _decode(picture, path, decoding, labels)
        return found


def _find_kind(path: Stored) -> str:
    """One of `_KINDS` by a file's name, or by the first bytes of contents; nothing for all others."""
    if path.data is None:
        return _KINDS.get(path.suffix, "")
    return next((kind for kind, mark in _MARKS.items() if mark.match(path.data)), "")


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
    said = (FIRST,) if _has_several(picture, path) else ()
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


def _has_several(picture: Image.Image, path: Stored) -> bool:
    """Whether a file holds frames or pages besides the first."""
    if picture.format == "TIFF" and (tiff := look_into_tiff(path)) is not None:
        return tiff.pages > 1
    return picture.format in _ANIMATED and bool(getattr(picture, "is_animated", False))


def _decode_tiff(
    path: Stored, decoding: Decoding, labels: tuple[int, int] | None
) -> tuple[Picture, tuple[str, ...]] | None:
    """A TIFF file of more than 8 bits, or of real numbers, which Pillow reads wrong; None for others."""
    tiff = look_into_tiff(path)
    if tiff is None or not tiff.plain or (tiff.bits in (1, 2, 4, 8) and tiff.kind == "u"):
        return None
    _check_area(path, tiff.size)
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


def read_mask(path: Path) -> UInt16[np.ndarray, "row column"]:
    """The numbers of a picture of one channel as they are stored: gray, or the indices of a palette.

    PNG, TIFF, BMP, GIF and PGM of any number of bits up to 32; never scaled, turned, or managed by color. In
    PBM and TIFF files whose 0 is white, 0 is 0. Signed and real numbers must be whole and from 0 to 65535.

    Raises `SourceError` as `read_image` does, and where there are several channels or pages, or the format
    keeps no exact numbers.
    """
    return _read_ids(Stored(path))


def decode_mask(data: bytes, name: str) -> UInt16[np.ndarray, "row column"]:
    """The same of the contents of a file, which `name` stands for in messages."""
    return _read_ids(Stored(name, data))


def _read_ids(path: Stored) -> UInt16[np.ndarray, "row column"]:
    kind = _find_kind(path)
    numbers = _read_exactly(path, kind)
    if numbers is None:
        with opened(path) as picture:
            other = str(picture.format)
            numbers = None if other == kind else _read_exactly(path, other)
            numbers = _read_stored(picture, path) if numbers is None else numbers
    return _settle_ids(numbers, path)


def _read_exactly(path: Stored, kind: str) -> np.ndarray | None:
    """The numbers of a mask of a kind that Pillow scales, inverts or misreads; None for all else."""
    if kind == "TIFF" and (tiff := look_into_tiff(path)) is not None:
        return _read_tiff_mask(tiff)
    if kind == "PPM" and (netpbm := read_netpbm(path, PIXEL_LIMIT)) is not None:
        if netpbm[0].shape[2] > 1:
            raise _several_channels(path, "RGB")
        return netpbm[0][..., 0]
    if kind == "BMP" and (bitmap := read_bitmap(path, PIXEL_LIMIT)) is not None:
        return bitmap.indices
    return None


def _read_tiff_mask(tiff: Tiff) -> np.ndarray | None:
    """The numbers of a mask in a TIFF file; None where Pillow must unpack them."""
    _check_area(tiff.path, tiff.size)
    if tiff.lossy:
        raise _lossy(tiff.path, "packed as JPEG")
    if tiff.bands > 1:
        raise _several_channels(tiff.path, f"of {tiff.bands} bands")
    if tiff.pages > 1:
        raise _several_frames(tiff.path)
    values = tiff.decode()
    return None if values is None else values[..., 0]


def _read_stored(picture: Image.Image, path: Stored) -> np.ndarray:
    """What a mask holds, from an opened picture that is not loaded yet."""
    kind = str(picture.format)
    if kind not in _MASK_FORMATS:
        raise _lossy(path, kind)
    if _has_several(picture, path):
        raise _several_frames(path)
    if kind == "GIF" and picture.tile[0][1] != (0, 0, *picture.size):  # type: ignore[attr-defined]
        raise SourceError(f"{path}: the mask fills a part of its picture only; store it whole, as PNG")
    tags = getattr(picture, "tag_v2", {})
    if tags and tags.get(259) in (6, 7, 50001):
        raise _lossy(path, "packed as JPEG")
    if picture.mode not in ("1", "L", "P", "F") and not picture.mode.startswith("I"):
        raise _several_channels(path, picture.mode)
    orientation = find_orientation(picture)
    bits = tags.get(258, (8,))[0] if tags else _count_bits(picture)
    values = as_numbers(picture)
    if tags and tags.get(262) == 0 and picture.mode in ("1", "L"):
        values = ~values if picture.mode == "1" else 255 - values
    if picture.mode == "L" and bits in _SCALES:
        values = values // _SCALES[bits]
    if tags and picture.mode == "L" and tags.get(339, (1,))[0] == 2:
        values = values.astype(np.int8)
    return turn_back(values, orientation) if tags else values


def _count_bits(picture: Image.Image) -> int:
    """How many bits a pixel of gray has that Pillow has scaled to 8."""
    tile = picture.tile[0] if getattr(picture, "tile", None) else ("", (), 0, "")  # type: ignore[attr-defined]
    return {"L;2": 2, "L;4": 4}.get(str(tile[3]), 8)


def _settle_ids(values: np.ndarray, path: Stored) -> UInt16[np.ndarray, "row column"]:
    if values.dtype.kind == "f":
        values = values.astype(np.float64)
        odd = values[values != np.rint(values)]  # also what is not a number
        if odd.size:
            raise SourceError(f"{path}: a mask holds whole numbers, this one {odd[0]:g}; store class ids")
    if values.dtype.kind in "if" or values.dtype.itemsize > 2:
        beyond = values[(values < 0) | (values > np.iinfo(np.uint16).max)]
        if beyond.size:
            raise SourceError(
                f"{path}: a mask holds ids from 0 to 65535, this one {beyond[0].item():.10g}; store class ids"
            )
    return values.astype(np.uint16)


def read_label(path: Path) -> UInt16[np.ndarray, "row column"]:
    """The numbers of a Broden label picture: R + 256 G.

    Raises `SourceError` as `read_image` does.
    """
    with opened(path) as picture:
        if picture.mode == "L":
            return np.asarray(picture).astype(np.uint16)
        if picture.mode not in ("RGB", "RGBA", "P"):
            wanted = "RGB (label = R + 256 G)"
            raise SourceError(f"{path}: a Broden label picture is {wanted}, not {picture.mode}")
        channels = np.asarray(picture if picture.mode == "RGBA" else picture.convert("RGB"))
        red, green = np.moveaxis(channels[..., :2].astype(np.uint16), -1, 0)
        numbers: np.ndarray = red + green * 256
        return numbers


def read_colors(path: Path) -> UInt8[np.ndarray, "row column 3"]:
    """The stored colors of a mask that codes by them.

    Raises `SourceError` as `read_image` does, and where it is no RGB picture or was stored with losses.
    """
    return _read_colors(Stored(path))


def decode_colors(data: bytes, name: str) -> UInt8[np.ndarray, "row column 3"]:
    """The same of the contents of a file, which `name` stands for in messages."""
    return _read_colors(Stored(name, data))


def _read_colors(path: Stored) -> UInt8[np.ndarray, "row column 3"]:
    with opened(path) as picture:
        if picture.mode not in ("RGB", "RGBA") or picture.format not in _MASK_FORMATS:
            found = f"this one is {picture.mode} in {picture.format}"
            raise SourceError(f"{path}: wanted a mask in RGB colors, {found}; store it as RGB PNG")
        return np.asarray(picture)[..., :3]


def read_color_codes(path: Path, *, indexed: bool = False) -> UInt32[np.ndarray, "row column"] | None:
    """The color of every pixel as R 65536 + G 256 + B; alpha is dropped, a palette looked up.

    None where `indexed` and the picture is not of several channels: its numbers count, not its colors. Raises
    `SourceError` as `read_image` does, and where it was stored with losses.
    """
    with opened(path) as picture:
        if indexed and picture.mode not in ("RGB", "RGBA"):
            return None
        exact = picture.format in _MASK_FORMATS
        if not exact or picture.mode not in ("1", "L", "P", "RGB", "RGBA"):
            found = f"colors of {picture.mode} in {picture.format} are not exact"
            raise SourceError(f"{path}: {found}; store the mask as an RGB or palette PNG of 8 bits")
        channels = np.asarray(picture.convert("RGB")).astype(np.uint32)
        colors: np.ndarray = (channels[..., 0] << 16) + (channels[..., 1] << 8) + channels[..., 2]
        return colors


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) from the picture's header alone.

    Raises `SourceError` as `read_image` does.
    """
    with opened(path) as picture:
        return picture.height, picture.width


@contextmanager
def opened(path: Path | Stored) -> Iterator[Image.Image]:
    """A picture that Pillow reads, within the limit; what fails inside is a `SourceError` with the path."""
    stored = path if isinstance(path, Stored) else Stored(path)
    try:
        with stored.open() as file, Image.open(file) as picture:
            _check_area(stored, (picture.height, picture.width))
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
def _naming(path: Stored) -> Iterator[None]:
    """Puts the path before a `SourceError` that does not begin with it."""
    try:
        yield
    except SourceError as error:
        if str(error).startswith(str(path)):
            raise
        raise SourceError(f"{path}: {error}") from None


def _check_area(path: Stored, size: tuple[int, int]) -> None:
    if size[0] * size[1] > PIXEL_LIMIT:
        raise _too_large(path)
    if min(size) < 1:
        raise SourceError(f"{path}: it has no pixels; replace it or take it out of the set")


def _too_large(path: Stored) -> SourceError:
    return SourceError(f"{path}: larger than {PIXEL_LIMIT // 1_000_000} megapixels; store it smaller")


def _lossy(path: Stored, kind: str) -> SourceError:
    kept = "masks must keep exact numbers: PNG, TIFF, BMP, GIF or PGM"
    return SourceError(f"{path}: a mask that is {kind}; {kept}; store it anew from where it was exact")


def _several_channels(path: Stored, kind: str) -> SourceError:
    found = f"a mask has one channel of class ids, this one is {kind}"
    return SourceError(f"{path}: {found}; store ids as an 8- or 16-bit gray or palette PNG")


def _several_frames(path: Stored) -> SourceError:
    return SourceError(f"{path}: a mask is one picture, this file holds several; store one of them alone")
