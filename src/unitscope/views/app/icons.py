"""Small pictures: a concept where it is large, a unit by the image that excites it most."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from tqdm import tqdm

from unitscope.concepts.segmented import Segmenter
from unitscope.concepts.vocabulary import Concept
from unitscope.dissection.result import Dissection
from unitscope.networks.generators import BLOCK, Generator
from unitscope.views.drawing import SILENT, draw_mask

_MARGIN = 1.25
_MOST_SHARE = 0.6
"""An icon shows a part of the picture, also of a concept that is everywhere."""


def cut_icons(
    generator: Generator, segmenter: Segmenter, concepts: Sequence[Concept], images: int, side: int
) -> UInt8[np.ndarray, "y x 3"]:
    """A square for every concept, side by side: out of the image, of the first ones, that shows most of it.

    A concept that none shows gets a gray square.
    """
    best = dict.fromkeys((concept.id for concept in concepts), 0)
    icons = {number: np.full((side, side, 3), 128, np.uint8) for number in best}
    for first in tqdm(range(0, images, BLOCK), desc="icons", unit="block", disable=None):
        pictures = generator.generate(first, min(BLOCK, images - first))
        for picture, planes in zip(pictures, segmenter(pictures), strict=True):
            counts = np.bincount(planes.reshape(-1), minlength=max(best, default=0) + 1)
            for number in best:
                if counts[number] > best[number]:
                    best[number] = int(counts[number])
                    icons[number] = cut_icon(picture, (planes == number).any(0), side)
    return np.concatenate(list(icons.values()), 1)


def cut_icon(picture: np.ndarray, mask: np.ndarray, side: int) -> UInt8[np.ndarray, "y x 3"]:
    """A square of the picture around where the mask is, as large as most of it, resized to `side`."""
    rows, columns = np.nonzero(mask)
    boxes = [np.quantile(axis, (0.04, 0.96)) for axis in (rows, columns)]
    height, width = picture.shape[:2]
    wanted = _MARGIN * max(float(high - low) + 1 for low, high in boxes)
    length = min(max(wanted, min(height, width) / 5), _MOST_SHARE * min(height, width))
    top, left = (
        int(np.clip((low + high + 1) / 2 - length / 2, 0, edge - length))
        for (low, high), edge in zip(boxes, (height, width), strict=True)
    )
    cut = picture[top : top + round(length), left : left + round(length)]
    return np.asarray(Image.fromarray(cut).resize((side, side), Image.Resampling.BICUBIC))


def draw_unit(
    run: Dissection, generator: Generator, layer: str, unit: int, side: int
) -> UInt8[np.ndarray, "y x 3"]:
    """The image that excites the unit most, dark where the unit is silent."""
    found = run[layer]
    index = int(found.exemplars.images[unit, 0]) if found.exemplars.images.shape[1] else -1
    if index < 0:
        return np.full((side, side, 3), 128, np.uint8)
    picture = Image.fromarray(run.frame.fit_image(generator.generate(index, 1)[0]))
    lit = Image.fromarray(draw_mask(found.exemplars.mask_runs(unit, 0), found.mask_size) * np.uint8(255))
    large = picture.resize((side, side), Image.Resampling.BICUBIC)
    dark = Image.fromarray((np.asarray(large) * SILENT).astype(np.uint8))
    return np.asarray(Image.composite(large, dark, lit.resize((side, side), Image.Resampling.BILINEAR)))
