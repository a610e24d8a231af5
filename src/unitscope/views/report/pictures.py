"""The pictures of a report: each once, what the network saw of it, in the proportions of the file."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from unitscope.concepts.frames import Frame, show_bands
from unitscope.concepts.vocabulary import ConceptSource, Example
from unitscope.dissection.result import Dissection
from unitscope.errors import SourceError
from unitscope.progress import follow_each

LONGER_SIDE = 192
QUALITY = 85


class Picture(NamedTuple):
    """One saved picture: file name in the pictures' folder, key in the source, size in pixels."""

    file: str
    key: str
    width: int
    height: int


def save_pictures(
    dissection: Dissection, source: ConceptSource, frame: Frame, ranks: int | None, folder: Path
) -> dict[int, Picture]:
    """Save every exemplar's picture as a JPEG of at most 192 pixels a side; by index in the source.

    Raises `SourceError` where the source no longer holds the images of the dissection.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = [layer.exemplars.images[:, :ranks].ravel() for layer in dissection.layers.values()]
    indices = np.unique(np.concatenate(shown)) if shown else np.zeros(0, np.int32)
    pictures = {}
    for index in follow_each([int(i) for i in indices if i >= 0], "pictures"):
        example = find_example(source, index, dissection.keys.get(index))
        picture, name = shrink(example.image, frame), f"{index}.jpg"
        picture.save(folder / name, quality=QUALITY)
        pictures[index] = Picture(name, dissection.keys.get(index, example.key), *picture.size)
    return pictures


def find_example(source: ConceptSource, index: int, key: str | None) -> Example:
    """Example `index`. Raises `SourceError` where it is not the one that had that key, None for any."""
    example = source[index] if index < len(source) else None
    if example is None or key not in (None, example.key):
        found = "nothing" if example is None else example.key
        raise SourceError(
            f"image {index} was {key}, now it is {found}: the source has changed; "
            "put it back, or dissect again"
        )
    return example


def shrink(image: np.ndarray, frame: Frame) -> Image.Image:
    """The part of an image that a frame sees, in the picture's proportions, 192 pixels at most."""
    left, top, right, bottom = frame.box(*image.shape[:2])
    scale = min(1.0, LONGER_SIDE / max(right - left, bottom - top))
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    return Image.fromarray(show_bands(image)).resize(
        size, Image.Resampling.LANCZOS, (left, top, right, bottom)
    )


def tile_aspect(pictures: dict[int, Picture]) -> float:
    """Width over height of the tiles that suit most pictures, between 1:1 and 5:4."""
    aspects = [picture.width / picture.height for picture in pictures.values()]
    return float(np.clip(np.median(aspects or [1.0]), 1.0, 1.25))
