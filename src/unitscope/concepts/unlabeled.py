"""Pictures that nobody has labeled, as a source: arrays, PIL images, files."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from unitscope.axes import LARGEST, Picture
from unitscope.concepts.formats.stored.decoding import UPRIGHT, turn_picture
from unitscope.concepts.formats.stored.pictures import read_image
from unitscope.concepts.vocabulary import ConceptSource, Example, Vocabulary
from unitscope.errors import SourceError, UsageError


@dataclass(frozen=True, eq=False)
class Unlabeled:
    """Pictures as a source without concepts; each is an array, a PIL image, or the path of a file.

    Arrays are uint8[y, x, 3], or of more bands: uint8, uint16 or float32[y, x, band]. Files are turned as
    their EXIF orientation says.
    """

    pictures: tuple[object, ...]

    vocabulary: ClassVar[Vocabulary] = Vocabulary(())

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int, /) -> Example:
        """Picture number `index`; its key is the path, or its number.

        Raises `SourceError` for what is no picture.
        """
        place = range(len(self))[index]
        picture = self.pictures[place]
        key = str(picture) if isinstance(picture, str | Path) else f"picture {place}"
        return Example(key, _read(picture, key))


def gather_pictures(images: object) -> ConceptSource:
    """A source as it is, pictures as one without concepts.

    Raises `UsageError` for anything else.

    >>> gather_pictures([np.zeros((8, 8, 3), np.uint8)])[0].key
    'picture 0'
    """
    if isinstance(images, ConceptSource):
        return images
    if isinstance(images, str | Path | Image.Image):
        raise UsageError(f"the images are a {type(images).__name__}; give a list of pictures, or a source")
    if not isinstance(images, Iterable):
        raise UsageError(f"the images are a {type(images).__name__}; wanted a source, or a list of pictures")
    return Unlabeled(tuple(images))


def _read(picture: object, key: str) -> Picture:
    if isinstance(picture, str | Path):
        return read_image(Path(picture), UPRIGHT)
    if isinstance(picture, Image.Image):
        try:
            return turn_picture(picture)[0]
        except SourceError as error:
            raise SourceError(f"{key}: {error}") from None
    found = type(picture).__name__
    if isinstance(picture, np.ndarray):
        if picture.dtype == np.uint8 and picture.shape[2:] == (3,) and picture.size:
            return picture
        if picture.dtype.name in LARGEST and picture.ndim == 3 and picture.shape[2] > 3 and picture.size:
            return picture
        found = f"{picture.dtype} of shape {picture.shape}"
    raise SourceError(f"{key} is {found}; wanted uint8[y, x, 3] in RGB, a PIL image, or the path of a file")
