"""A generator's pictures painted again with edited units, and what a segmenter sees in them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8, UInt16
from torch import Tensor
from tqdm import tqdm

from unitscope.concepts.segmented import Segmenter
from unitscope.interventions.edits import Edit
from unitscope.interventions.replay import replay
from unitscope.networks.generators import Generator, to_pixels

BATCH = 16
"""So many versions of a picture are painted at once: more do not go faster on a processor."""

Plan = Callable[[int, Float32[Tensor, "1 unit cell_y cell_x"]], Edit]
"""Gives the versions of an image, by its number and its maps: one edit with an entry of axis 0 a version."""


@dataclass(frozen=True, eq=False)
class Repainted:
    """What a segmenter sees in a picture: concept ids before the edits, and after every one of them."""

    number: int
    before: UInt16[np.ndarray, "plane y x"]
    after: UInt16[np.ndarray, "version plane y x"]


def repaint(
    generator: Generator,
    layer: str,
    segmenter: Segmenter,
    plan: Plan,
    numbers: Sequence[int],
    *,
    batch: int = BATCH,
    title: str = "",
) -> Iterator[Repainted]:
    """Every image of these numbers as it is, and with the edits of its plan.

    The generator up to the layer runs once an image; the rest of it, and the segmenter, once a version,
    `batch` versions at a time. Raises `UsageError` for a layer that does not exist, `NetworkError` for a
    generator whose rest cannot be run by itself.
    """
    pictures = repaint_pixels(generator, layer, plan, numbers, batch=batch, title=title)
    for number, versions in pictures:
        planes = np.concatenate(
            [segmenter(versions[start : start + batch]) for start in range(0, len(versions), batch)]
        )
        yield Repainted(number, planes[0], planes[1:])


def repaint_pixels(
    generator: Generator,
    layer: str,
    plan: Plan,
    numbers: Sequence[int],
    *,
    batch: int = BATCH,
    title: str = "",
) -> Iterator[tuple[int, UInt8[np.ndarray, "version y x 3"]]]:
    """The pictures that `repaint` looks at: of every image the unedited one, then one an edit."""
    with (
        replay(generator, layer) as rest,
        tqdm(
            total=len(numbers), desc=title or f"painting without {layer}", unit="image", disable=None
        ) as bar,
    ):
        for number in numbers:
            maps, _ = rest.start(generator.inputs(number))
            edit = plan(number, maps)
            painted = [rest.finish(part) for part in _versions(maps, edit, batch)]
            yield number, np.concatenate([to_pixels(one, generator.low, generator.high) for one in painted])
            bar.update()


def _versions(
    maps: Float32[Tensor, "1 unit cell_y cell_x"], edit: Edit, batch: int
) -> Iterator[Float32[Tensor, "version unit cell_y cell_x"]]:
    """The maps as they are, then edited, in batches; the edit's versions are its entries of axis 0."""
    count = max(len(edit.strength), len(edit.value))
    strength = edit.strength.expand(count, -1, -1, -1)
    value = edit.value.expand(count, -1, -1, -1)
    first = min(batch - 1, count)
    spans = [(0, first), *((start, min(start + batch, count)) for start in range(first, count, batch))]
    for place, (start, stop) in enumerate(spans):
        parts = [maps] if place == 0 else []
        if stop > start:
            part = Edit(edit.layer, strength[start:stop], value[start:stop])
            parts.append(part.apply(maps.expand(stop - start, -1, -1, -1)))
        yield torch.cat(parts)


def stack_edits(edits: Sequence[Edit]) -> Edit:
    """Edits of one layer as versions of one another: entry k of axis 0 is edit k.

    >>> from unitscope.interventions.edits import set_units
    >>> stack_edits([set_units("layer", [0], 3), set_units("layer", [2], 3)]).strength[:, :, 0, 0].tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    shape = [max(sizes) for sizes in zip(*(edit.strength.shape[1:] for edit in edits), strict=True)]
    wide = [max(sizes) for sizes in zip(*(edit.value.shape[1:] for edit in edits), strict=True)]
    return Edit(
        edits[0].layer,
        torch.cat([edit.strength.expand(-1, *shape) for edit in edits]),
        torch.cat([edit.value.expand(-1, *wide) for edit in edits]),
    )


def count_areas(
    planes: UInt16[np.ndarray, "version plane y x"], size: int
) -> Int64[np.ndarray, "version {size}"]:
    """The pixels of every concept id below `size`; a pixel that several planes name alike counts once.

    Pixels without a name count for nothing: id 0 has none.

    >>> count_areas(np.array([[[[1, 1, 2]], [[1, 3, 0]]]], np.uint16), 4).tolist()
    [[0, 2, 1, 1]]
    """
    versions = len(planes)
    counts = np.zeros((versions, size), np.int64)
    offsets = (np.arange(versions) * size)[:, None, None]
    for place in range(planes.shape[1]):
        plane = planes[:, place]
        for earlier in range(place):
            plane = np.where(plane == planes[:, earlier], np.uint16(0), plane)
        found = np.bincount((plane + offsets).ravel(), minlength=versions * size)
        counts += found.reshape(versions, size)
    counts[:, 0] = 0
    return counts
