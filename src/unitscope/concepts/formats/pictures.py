"""Pictures on disk: photographs as RGB, masks as numbers, and what can be wrong with them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16, UInt32
from PIL import Image

from unitscope.axes import Picture
from unitscope.concepts.formats.bands import ARRAY_SUFFIX, TIFF_SUFFIXES, read_array, read_bands
from unitscope.errors import SourceError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp"})

PIXEL_LIMIT = 100_000_000
"""The largest picture that is decoded, in pixels."""

_CLASSES, _CHANGES = 200, 0.2


def read_image(path: Path) -> Picture:
    """The picture as uint8[y, x, 3] RGB, in stored pixels.

    An EXIF orientation is *not* applied: masks are drawn over the stored pixels. Alpha is dropped,
    16-bit pictures keep their upper 8 bits. Arrays (`.npy`) and TIFF files of more than three bands are given
    with all of them, as `unitscope.concepts.formats.bands` reads them.

    Raises `SourceError` naming the file where it is missing, truncated, no picture, or above
    `PIXEL_LIMIT`.
    """
    if path.suffix.lower() == ARRAY_SUFFIX:
        return read_array(path)
    if path.suffix.lower() in TIFF_SUFFIXES and (bands := read_bands(path)) is not None:
        return bands
    with _opened(path) as picture:
        return turn_to_rgb(picture)


def turn_to_rgb(picture: Image.Image) -> UInt8[np.ndarray, "y x 3"]:
    """The pixels of an opened picture, as `read_image` gives them."""
    if picture.mode.startswith("I"):
        gray = (np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.stack([gray] * 3, axis=-1)
    clear = picture.mode == "P" and "transparency" in picture.info
    return np.asarray((picture.convert("RGBA") if clear else picture).convert("RGB"))


def decode_image(data: bytes, name: str) -> Picture:
    """The same of the contents of a file, which `name` stands for in messages; bands are not read."""
    with _opened(name, data) as picture:
        return turn_to_rgb(picture)


def read_mask(path: Path) -> UInt16[np.ndarray, "row column"]:
    """The numbers of a single-channel picture (8 or 16 bits, or the indices of a palette).

    Raises `SourceError` as `read_image` does, and where there are several channels.
    """
    return decode_mask(None, path)


def decode_mask(data: bytes | None, path: Path | str) -> UInt16[np.ndarray, "row column"]:
    """The same of the contents of a file, which `path` stands for in messages."""
    with _opened(path, data) as picture:
        if picture.mode not in ("1", "L", "P") and not picture.mode.startswith("I"):
            found = f"a mask has one channel of class ids, this one is {picture.mode}"
            raise SourceError(f"{path}: {found}; store ids as an 8- or 16-bit gray or palette PNG")
        numbers = np.asarray(picture)
        if picture.mode == "I" and (numbers.min() < 0 or numbers.max() > np.iinfo(np.uint16).max):
            raise SourceError(f"{path}: a mask holds ids from 0 to 65535, this one has {numbers.max()}")
        return numbers.astype(np.uint16)


def read_colors(path: Path) -> UInt8[np.ndarray, "row column 3"]:
    """The stored colors of a mask that codes by them.

    Raises `SourceError` as `read_image` does, and where it is no RGB picture or was stored with losses.
    """
    return decode_colors(None, path)


def decode_colors(data: bytes | None, path: Path | str) -> UInt8[np.ndarray, "row column 3"]:
    """The same of the contents of a file, which `path` stands for in messages."""
    with _opened(path, data) as picture:
        if picture.mode not in ("RGB", "RGBA") or picture.format == "JPEG":
            found = "JPEG, which keeps no exact colors" if picture.format == "JPEG" else picture.mode
            raise SourceError(
                f"{path}: wanted a mask in RGB colors, this one is {found}; store it as RGB PNG"
            )
        return np.asarray(picture)[..., :3]


def read_color_codes(path: Path, *, indexed: bool = False) -> UInt32[np.ndarray, "row column"] | None:
    """The color of every pixel as R 65536 + G 256 + B; alpha is dropped, a palette looked up.

    None where `indexed` and the picture is not of several channels: its numbers count, not its colors. Raises
    `SourceError` as `read_image` does, and where it was stored with losses.
    """
    with _opened(path) as picture:
        if indexed and picture.mode not in ("RGB", "RGBA"):
            return None
        if picture.format == "JPEG" or picture.mode not in ("1", "L", "P", "RGB", "RGBA"):
            found = f"colors of {picture.mode} in {picture.format} are not exact"
            raise SourceError(f"{path}: {found}; store the mask as an RGB or palette PNG of 8 bits")
        channels = np.asarray(picture.convert("RGB")).astype(np.uint32)
        colors: np.ndarray = (channels[..., 0] << 16) + (channels[..., 1] << 8) + channels[..., 2]
        return colors


def read_label(path: Path) -> UInt16[np.ndarray, "row column"]:
    """The numbers of a Broden label picture: R + 256 G.

    Raises `SourceError` as `read_image` does.
    """
    with _opened(path) as picture:
        if picture.mode == "L":
            return np.asarray(picture).astype(np.uint16)
        if picture.mode not in ("RGB", "RGBA", "P"):
            wanted = "RGB (label = R + 256 G)"
            raise SourceError(f"{path}: a Broden label picture is {wanted}, not {picture.mode}")
        channels = np.asarray(picture if picture.mode == "RGBA" else picture.convert("RGB"))
        red, green = np.moveaxis(channels[..., :2].astype(np.uint16), -1, 0)
        numbers: np.ndarray = red + green * 256
        return numbers


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) from the picture's header alone.

    Raises `SourceError` as `read_image` does.
    """
    with _opened(path) as picture:
        return picture.height, picture.width


def looks_like_mask(path: Path) -> bool:
    """Whether a picture holds numbers of classes: one channel, stored exactly, of a few values in patches.

    A picture that cannot be read does not look like one.
    """
    try:
        with _opened(path) as picture:
            if picture.format == "JPEG" or picture.mode not in ("1", "L", "P", "I", "I;16"):
                return False
            numbers = np.asarray(picture)
    except SourceError:
        return False
    if numbers.ndim != 2 or len(np.unique(numbers)) > _CLASSES or numbers.min() == numbers.max():
        return False
    # Classes lie in patches: hardly any pixel differs from the one before it.
    return bool((numbers[:, 1:] != numbers[:, :-1]).mean() < _CHANGES)


@contextmanager
def _opened(path: Path | str, data: bytes | None = None) -> Iterator[Image.Image]:
    """The picture at a path, or in bytes that `path` names."""
    try:
        with Image.open(path if data is None else BytesIO(data)) as picture:
            if picture.width * picture.height > PIXEL_LIMIT:
                raise _too_large(path)
            yield picture
    except SourceError:
        raise
    except FileNotFoundError:
        raise SourceError(f"{path}: the file is missing; restore it or take it out of the set") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(path) from None
    except Exception as error:  # Pillow's decoders let through whatever their parsers meet
        reason = " ".join(str(error).split()).replace(f" '{path}'", "") or type(error).__name__
        reason = re.sub(r" <_io\.BytesIO[^>]*>", "", reason)
        advice = "replace it or take it out of the set"
        raise SourceError(f"{path}: cannot be read as a picture ({reason}); {advice}") from None


def _too_large(path: Path | str) -> SourceError:
    return SourceError(f"{path}: larger than {PIXEL_LIMIT // 1_000_000} megapixels; store it smaller")
