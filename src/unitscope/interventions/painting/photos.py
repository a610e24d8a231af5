"""Pictures from outside, opened to be painted on: read safely, brought to size, inverted, and kept."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from unitscope.axes import Pixels
from unitscope.concepts.formats.indexes import find_cache
from unitscope.concepts.formats.plain_files import check_plain
from unitscope.concepts.formats.stored.contents import Stored
from unitscope.concepts.formats.stored.decoding import UPRIGHT
from unitscope.concepts.formats.stored.opening import opened
from unitscope.concepts.formats.stored.pictures import decode_image
from unitscope.concepts.frames import Frame
from unitscope.concepts.segmented import Segmenter
from unitscope.errors import RunError, SourceError, UsageError
from unitscope.interventions.inversion import find_size, invert_picture, name_inversion
from unitscope.interventions.inversion_files import load_inversion, save_inversion
from unitscope.interventions.inversion_result import Inversion
from unitscope.interventions.picture_loss import Features, choose_features
from unitscope.networks.generators import Generator
from unitscope.networks.segmentation.network_segmenter import NetworkSegmenter

MOST_BYTES = 20_000_000
"""How many bytes a picture's file may have."""
MOST_PIXELS = 50_000_000
LEAST_SIDE = 16


def open_photo(
    photo: bytes | str | Path,
    generator: Generator,
    segmenter: Segmenter | None = None,
    *,
    layer: str | None = None,
    features: Features | None = None,
    kept: Path | None = None,
) -> Inversion:
    """A picture's file, or what it holds, inverted into a generator; not again where that was done before.

    `features` are by default the first layers of the segmenter's network. What was made is kept in the folder
    `kept`, by default `inversions` in unitscope's cache. Raises `UsageError` for what is no picture, or too
    large (`fit_photo`), and what `invert_picture` raises.
    """
    name = "the picture" if isinstance(photo, bytes) else Path(photo).name
    data = photo if isinstance(photo, bytes) else read_photo(Path(photo))
    picture, features = fit_photo(data, find_size(generator), name), features or find_features(segmenter)
    key, folder = name_inversion(generator, picture, layer, features, segmenter), kept or _find_folder()
    path = None if folder is None else folder / f"{key}.safetensors"
    if path is not None and path.is_file():
        with suppress(RunError, UsageError):  # where it is damaged it is made again
            return replace(load_inversion(path, generator), name=name)
    made = invert_picture(generator, picture, layer=layer, features=features, segmenter=segmenter)
    made = replace(made, name=name)
    if path is not None:
        with suppress(RunError):  # a full disk is no reason to lose what was made
            save_inversion(made, path)
    return made


def find_features(segmenter: Segmenter | None) -> Features | None:
    """The first layers of the segmenter's network, where it has one."""
    return choose_features(segmenter.network) if isinstance(segmenter, NetworkSegmenter) else None


def read_photo(path: Path) -> bytes:
    """What a picture's file holds. Raises `UsageError` where there is none, or it has more than 20 MB."""
    try:
        check_plain(path)
        _check_bytes(path.name, path.stat().st_size)
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}; name a picture") from None
    except (OSError, SourceError) as error:
        raise UsageError(f"{path} cannot be read ({error}); name a picture") from None


def _check_bytes(name: str, size: int) -> None:
    if size > MOST_BYTES:
        most = MOST_BYTES // 1_000_000
        raise UsageError(f"{name} has {size / 1e6:.0f} MB; wanted {most} at most: store it smaller")


def _find_folder() -> Path | None:
    cache = find_cache()
    return None if cache is None else cache / "inversions"


def fit_photo(data: bytes, size: tuple[int, int], name: str = "the picture") -> Pixels:
    """A picture's file as RGB of `size` (height, width).

    It is turned upright by its EXIF orientation and put on white where it is transparent; the middle is cut
    out so that it has the shape wanted, and resized with Pillow's antialiased bilinear filter (each new pixel
    is a weighted mean over all that it covers). Raises `UsageError`, in one line, for what is no picture, one
    of more than 20 MB or 50 megapixels, or with a side below 16 pixels.

    >>> fit_photo(b"no picture", (64, 64))
    Traceback (most recent call last):
    unitscope.errors.UsageError: the picture: cannot be read as a picture (cannot identify image); ...
    """
    _check_bytes(name, len(data))
    try:
        with opened(Stored(name, data)) as header:  # nothing is decoded yet
            pixels = header.width * header.height
        if pixels > MOST_PIXELS:
            seen, most = f"{pixels / 1e6:.0f} megapixels", MOST_PIXELS // 1_000_000
            raise UsageError(f"{name} has {seen}; wanted {most} at most: store it smaller")
        picture = decode_image(data, name, UPRIGHT)
    except SourceError as error:
        reason = str(error).replace("replace it or take it out of the set", "open another one")
        raise UsageError(reason) from None
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise UsageError(f"{name} has {picture.shape[2]} bands; wanted a picture in RGB")
    if min(picture.shape[:2]) < LEAST_SIDE:
        seen = f"{picture.shape[1]} x {picture.shape[0]} pixels"
        raise UsageError(f"{name} has {seen}; wanted {LEAST_SIDE} or more each way: open a larger one")
    return np.array(Frame(size, size, "crop").fit_image(picture))
