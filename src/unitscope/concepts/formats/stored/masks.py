"""Masks on disk: numbers and colors as they are stored, never scaled, turned or managed by color."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16, UInt32
from PIL import Image

from unitscope.concepts.formats.stored.bands import Tiff, look_into_tiff
from unitscope.concepts.formats.stored.bitmaps import read_bitmap
from unitscope.concepts.formats.stored.contents import Stored
from unitscope.concepts.formats.stored.decoding import as_numbers, find_orientation, turn_back
from unitscope.concepts.formats.stored.netpbm import read_netpbm
from unitscope.concepts.formats.stored.opening import PIXEL_LIMIT, check_area, find_kind, has_several, opened
from unitscope.errors import SourceError

MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp", ".gif", ".pgm", ".pbm", ".pnm"})

_MASK_FORMATS = ("PNG", "TIFF", "BMP", "GIF", "PPM")
_SCALES = {2: 85, 4: 17}
"""What Pillow multiplies gray of so few bits by."""


def read_mask(path: Path) -> UInt16[np.ndarray, "row column"]:
    """The numbers of a picture of one channel as they are stored: gray, or the indices of a palette.

    PNG, TIFF, BMP, GIF and PGM of any number of bits up to 32; never scaled, turned, or managed by color. In
    PBM and TIFF files whose 0 is white, 0 is 0. Signed and real numbers must be whole and from 0 to 65535.

    Raises `SourceError` as `opened` does, and where there are several channels or pages, or the format
    keeps no exact numbers.
    """
    return _read_ids(Stored(path))


def decode_mask(data: bytes, name: str) -> UInt16[np.ndarray, "row column"]:
    """The same of the contents of a file, which `name` stands for in messages."""
    return _read_ids(Stored(name, data))


def _read_ids(path: Stored) -> UInt16[np.ndarray, "row column"]:
    kind = find_kind(path)
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
    check_area(tiff.path, tiff.size)
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
    if has_several(picture, path):
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

    Raises `SourceError` as `opened` does.
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

    Raises `SourceError` as `opened` does, and where it is no RGB picture or was stored with losses.
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
    `SourceError` as `opened` does, and where it was stored with losses.
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


def read_palette(path: Path) -> list[tuple[int, int, int]]:
    """The colors of a picture's palette, R, G and B, by index; none where it has no palette.

    Raises `SourceError` as `opened` does.
    """
    with opened(path) as picture:
        bands = (picture.getpalette("RGB") or []) if picture.mode == "P" else []
    return list(zip(bands[::3], bands[1::3], bands[2::3], strict=False))


def _lossy(path: Stored, kind: str) -> SourceError:
    kept = "masks must keep exact numbers: PNG, TIFF, BMP, GIF or PGM"
    return SourceError(f"{path}: a mask that is {kind}; {kept}; store it anew from where it was exact")


def _several_channels(path: Stored, kind: str) -> SourceError:
    found = f"a mask has one channel of class ids, this one is {kind}"
    return SourceError(
        f"{path}: {found}; store ids as an 8- or 16-bit gray or palette PNG, "
        "or name the colors in a classes.json"
    )


def _several_frames(path: Stored) -> SourceError:
    return SourceError(f"{path}: a mask is one picture, this file holds several; store one of them alone")
