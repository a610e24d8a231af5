"""How stored pictures become RGB, where a file leaves a choice: direction, transparency, range of numbers."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageColor

from unitscope.axes import Pixels
from unitscope.concepts.formats.stored.contents import Stored
from unitscope.errors import SourceError, UsageError

Turning = Literal["never", "stored", "upright"]
"""Whether pictures are turned as their EXIF says: by no means, where labels have that size, or else too."""

TURNED_BY_LABELS = "turned upright by their EXIF orientation, since their labels have that size"
KEPT_BY_LABELS = "left as stored against their EXIF orientation, since their labels have that size"
TURNED = "turned upright by their EXIF orientation (exif=stored leaves them)"
KEPT = "left as stored against their EXIF orientation (exif=upright turns them)"
PUT = "put on {}, being transparent in parts (background= names another color)"
SCALED = "scaled to 8 bits from {}"
DARK = "taken to be of 16 bits, though no number is above 16383 (range=0-16383 if they are of 14)"
FIRST = "of several frames, of which the first is taken"

_TWELVE_BITS, _FOURTEEN_BITS = 4096, 16384
_WHERE = "an option of folder:; elsewhere store 8 bits"
_NUMBER = r"-?\d+(?:\.\d*)?(?:e[+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})-({_NUMBER})", re.IGNORECASE)
_COLORS, _ORIENTATION = 262, 274  # tags of TIFF; the second of EXIF too
_DEEP = re.compile(r"(RGB|RGBA|RGBX|RGBa|LA);16[BLN]")


@dataclass(frozen=True)
class Decoding:
    """The choices, for all pictures of a source.

    `exif` turns pictures. Transparent pixels show `background`, RGB. `values` is the pair of numbers that are
    black and white in pictures whose file does not say, those of real, 32-bit or 16-bit numbers; "full" takes
    the whole range of 16 bits, or 0 to 1. Without it such pictures are refused, but for 16-bit ones with
    numbers above 4095, which use the range of 16 bits.
    """

    exif: Turning = "never"
    background: tuple[int, int, int] = (255, 255, 255)
    values: Literal["full"] | tuple[float, float] | None = None


UPRIGHT = Decoding(exif="upright")
"""As people see them: for pictures that nothing is known of."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """Gray or RGB as numbers [y, x, band] of `bits` bits, 0 where real ones have no range of their own.

    `known` says that the file states its range; `inverted` that 0 is white.
    """

    values: np.ndarray
    bits: int
    known: bool = False
    inverted: bool = False


def read_decoding(options: Mapping[str, str]) -> Decoding:
    """The decoding that the options `exif`, `background` and `range` state, with "upright" and white if not.

    Raises `UsageError` for a value that does not fit.

    >>> read_decoding({"background": "336699", "range": "0-4095"})
    Decoding(exif='upright', background=(51, 102, 153), values=(0.0, 4095.0))
    """
    turning, background = options.get("exif", "upright"), options.get("background", "white")
    if turning not in ("upright", "stored"):
        raise UsageError(f"exif={turning!r}: wanted upright or stored")
    exif: Turning = "upright" if turning == "upright" else "stored"
    color = {"white": "ffffff", "black": "000000"}.get(background, background)
    if not re.fullmatch(r"[0-9a-fA-F]{6}", color):
        raise UsageError(f"background={background!r}: wanted white, black or a color such as 336699")
    red, green, blue = ImageColor.getrgb(f"#{color}")[:3]
    text = options.get("range")
    if text is None or text == "full":
        return Decoding(exif, (red, green, blue), text)  # type: ignore[arg-type]
    found = _RANGE.fullmatch(text)
    low, high = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if not low < high < float("inf"):
        raise UsageError(f"range={text!r}: wanted the numbers of black and white, such as 0-4095, or full")
    return Decoding(exif, (red, green, blue), (low, high))


def turn_numbers(numbers: Numbers, decoding: Decoding) -> tuple[Pixels, tuple[str, ...]]:
    """RGB from gray or RGB in numbers that may be of unknown range, and what was done.

    Raises `SourceError` where the range is unknown, or does not hold a number.
    """
    values = numbers.values
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise SourceError("it has values that are not finite numbers; fill them before")
    least, largest = float(values.min()), float(values.max())
    low, high = _settle_range(numbers, decoding, least, largest)
    done: tuple[str, ...] = ()
    if (low, high) in ((0.0, 255.0), (0.0, 65535.0)) and values.dtype.kind == "u" and largest <= high:
        scaled = (values >> (8 if high > 255 else 0)).astype(np.uint8)
        dark = high > 255 and decoding.values is None and 0 < largest < _FOURTEEN_BITS
        done = (DARK,) if dark and not numbers.known else ()
    else:
        if least < low or largest > high:
            beyond = least if least < low else largest
            raise SourceError(f"it holds {beyond:g}, outside of {low:g} to {high:g}; widen range=")
        scaled = np.rint((values.astype(np.float64) - low) * (255 / (high - low))).astype(np.uint8)
        done = () if numbers.known else (SCALED.format(f"{low:g} to {high:g}"),)
    scaled = 255 - scaled if numbers.inverted else scaled
    return np.repeat(scaled, 3, 2) if scaled.shape[2] == 1 else scaled, done


def _settle_range(numbers: Numbers, decoding: Decoding, least: float, largest: float) -> tuple[float, float]:
    real = numbers.values.dtype.kind == "f"
    own = (0.0, 1.0) if real else (0.0, float(2**numbers.bits - 1))
    if numbers.known:
        return own
    if isinstance(decoding.values, tuple):
        return decoding.values
    sixteen = numbers.values.dtype.kind == "u" and numbers.bits == 16
    if decoding.values == "full" and (real or sixteen):
        return own
    if sixteen and not 0 < largest < _TWELVE_BITS:
        return own
    found = f"whose values go from {least:g} to {largest:g}"
    if sixteen:
        lack = f"it has 16 bits, {found}, so it may be of fewer bits; say range=0-4095 or the like"
        raise SourceError(f"{lack}, or range=full where 65535 is white ({_WHERE})")
    kind = "real numbers" if real else f"{numbers.bits}-bit numbers"
    raise SourceError(
        f"it has {kind}, {found}, and does not say which is white; say range=LOW-HIGH ({_WHERE})"
    )


def turn_picture(
    picture: Image.Image,
    decoding: Decoding = Decoding(),
    stored: Stored | None = None,
) -> tuple[Pixels, tuple[str, ...]]:
    """RGB from an opened picture, in the direction that Pillow gives it, and what was done.

    From `stored` it was opened, if it was. Raises `SourceError` as `turn_numbers` does.
    """
    mode, (_, raw) = picture.mode, _find_codec(picture)
    deep = raw if _DEEP.fullmatch(raw) else ""
    if mode == "RGB" and not deep and "transparency" not in picture.info:
        return np.asarray(picture), ()
    if mode == "F" or mode.startswith("I"):
        sixteen = mode.startswith("I;16") or (mode == "I" and picture.format == "PNG")
        values = as_numbers(picture)[..., None]
        values = values.astype(np.uint16) if sixteen else values
        tags: Any = getattr(picture, "tag_v2", {})
        numbers = Numbers(values, 16 if sixteen else 32, inverted=tags.get(_COLORS) == 0)
        return turn_numbers(numbers, decoding)
    if deep:
        return _turn_deep(picture, deep, decoding, stored)
    if mode == "La":
        raise SourceError("it is gray premultiplied by alpha, which is not read; store it as plain gray")
    clear = mode in ("RGBA", "RGBa", "LA", "PA") or "transparency" in picture.info
    if clear and mode in ("RGBA", "RGBa", "LA", "PA", "P", "L", "RGB", "1"):
        return put_on(np.asarray(picture.convert("RGBA")), decoding)
    return np.asarray(picture.convert("RGB")), ()


def put_on(pixels: UInt8[np.ndarray, "y x 4"], decoding: Decoding) -> tuple[Pixels, tuple[str, ...]]:
    """A picture with alpha on the background: of every channel (a c + (255 - a) b) / 255, rounded."""
    colors, alpha = pixels[..., :3], pixels[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(colors), ()
    wide, behind = alpha.astype(np.uint16), np.array(decoding.background, np.uint16)
    mixed = (colors * wide + behind * (255 - wide) + 127) // 255
    return mixed.astype(np.uint8), (PUT.format(name_color(decoding.background)),)


def name_color(color: tuple[int, int, int]) -> str:
    """A color as the option has it.

    >>> name_color((255, 255, 255)), name_color((51, 102, 153))
    ('white', '336699')
    """
    spelled = "".join(f"{one:02x}" for one in color)
    return {"ffffff": "white", "000000": "black"}.get(spelled, spelled)


def as_numbers(picture: Image.Image) -> np.ndarray:
    """The pixels of one channel as Pillow has them, in the order of bytes that the file means.

    In packed TIFF files whose highest byte comes first Pillow mixes that order up.
    """
    codec, raw = _find_codec(picture)
    values = np.asarray(picture)
    if codec != "libtiff" or raw not in ("I;16BS", "I;32BS", "F;32BF"):
        return values
    swapped: np.ndarray = (values.astype(np.int16) if raw == "I;16BS" else values).byteswap()
    return swapped


def _find_codec(picture: Image.Image) -> tuple[str, str]:
    """What an opened picture will be decoded by, and from which layout of numbers; before it is loaded."""
    tiles: Any = getattr(picture, "tile", None)
    if not tiles:
        return "", ""
    codec, args = tiles[0][0], tiles[0][3]
    return codec, str(args[0] if isinstance(args, tuple) and args else args)


def _turn_deep(
    picture: Image.Image, raw: str, decoding: Decoding, stored: Stored | None
) -> tuple[Pixels, tuple[str, ...]]:
    """RGB, with or without alpha, of which Pillow keeps the higher byte of 16 bits."""
    high = np.asarray(picture)
    colors, done = high[..., :3], tuple[str, ...]()
    if isinstance(decoding.values, tuple) or (decoding.values is None and colors.max() < _TWELVE_BITS >> 8):
        low = None if stored is None or raw.startswith("LA") else _read_low(stored, raw)
        if low is None and isinstance(decoding.values, tuple):
            raise SourceError("its 16 bits beside alpha cannot be scaled; store it without alpha")
        values = colors.astype(np.uint16) << 8
        colors, done = turn_numbers(Numbers(values if low is None else values | low[..., :3], 16), decoding)
    elif decoding.values is None and colors.max() < _FOURTEEN_BITS >> 8:
        done = (DARK,)
    if high.shape[2] == 3:
        return np.ascontiguousarray(colors), done
    mixed, put = put_on(np.concatenate([colors, high[..., 3:]], 2), decoding)
    return mixed, (*done, *put)


def _read_low(stored: Stored, raw: str) -> np.ndarray:
    """The lower bytes of 16 bits, read as if they were the higher ones in the other order."""
    native = "L" if sys.byteorder == "little" else "B"
    other = raw[:-1] + {"L": "B", "B": "L"}[raw[-1].replace("N", native)]
    with stored.open() as file, Image.open(file) as again:
        tiles: Any = again.tile
        tuples = isinstance(tiles[0][3], tuple)
        again.tile = [tile._replace(args=(other, *tile.args[1:]) if tuples else other) for tile in tiles]
        return np.asarray(again)


def find_orientation(picture: Image.Image) -> int:
    """How a picture lies by its EXIF: 1 if upright, else 2 to 8."""
    tags: Any = getattr(picture, "tag_v2", None)
    info = picture.info
    if tags is not None:
        found = tags.get(_ORIENTATION, 1)
    elif "exif" in info or "xmp" in info or "Raw profile type exif" in info:
        try:
            found = picture.getexif().get(_ORIENTATION, 1)
        except Exception:  # damaged, which is no reason to lose the picture
            return 1
    else:
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def turn_upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels [y, x, ...] as people see them.

    >>> turn_upright(np.array([[1, 2], [3, 4]]), 6).tolist()
    [[3, 1], [4, 2]]
    """
    image = image.swapaxes(0, 1) if orientation >= 5 else image
    image = image[::-1] if orientation in (3, 4, 7, 8) else image
    image = image[:, ::-1] if orientation in (2, 3, 6, 7) else image
    return np.ascontiguousarray(image)


def turn_back(image: np.ndarray, orientation: int) -> np.ndarray:
    """The inverse of `turn_upright`."""
    return turn_upright(image, {6: 8, 8: 6}.get(orientation, orientation))


def choose_turning(
    stored: tuple[int, int], orientation: int, labels: tuple[int, int] | None, exif: Turning
) -> tuple[bool, tuple[str, ...]]:
    """Whether to turn a picture, and what to say of it; sizes, also of its labels, are (height, width)."""
    if orientation == 1 or exif == "never":
        return False, ()
    upright = stored[::-1] if orientation >= 5 else stored
    if labels is not None and stored != upright and labels in (stored, upright):
        return labels == upright, (TURNED_BY_LABELS if labels == upright else KEPT_BY_LABELS,)
    return exif == "upright", (TURNED if exif == "upright" else KEPT,)
