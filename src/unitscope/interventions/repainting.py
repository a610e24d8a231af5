"""A generator's pictures painted again with edited units, and the areas a segmenter sees in them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8, UInt16
from torch import Tensor

from unitscope.concepts.segmented import Segmenter
from unitscope.interventions.edits import Edit, Maps, Others
from unitscope.interventions.replay import replay
from unitscope.networks.generators import Generator, to_pixels
from unitscope.networks.tokens import Layout
from unitscope.progress import follow
from unitscope.statistics.intervals import Interval

BATCH = 16
"""So many versions of a picture are painted at once: more do not go faster on a processor."""

SURE = 2.5758293035489004
"""Half the width of a normal 99 % interval, in standard errors."""

_SHAPE = ("versions", "size")

Planes = UInt16[np.ndarray, "version plane y x"]
Plan = Callable[[int, Float32[Tensor, "1 unit cell_y cell_x"]], Edit]
"""Gives the versions of an image, by its number and its maps: one edit with an entry of axis 0 a version."""


@dataclass(frozen=True, eq=False)
class Repainted:
    """What a segmenter sees in a picture: concept ids before the edits, and after every one of them."""

    number: int
    before: UInt16[np.ndarray, "plane y x"]
    after: Planes


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
        follow(len(numbers), title or f"painting without {layer}") as work,
    ):
        for number in numbers:
            maps, _ = rest.start(generator.inputs(number))
            edit = plan(number, maps)
            painted = [
                rest.finish(part, others)
                for part, others in _versions(maps, edit, batch, rest.others, rest.layout)
            ]
            yield number, np.concatenate([to_pixels(one, generator.low, generator.high) for one in painted])
            work.update()


def _versions(
    maps: Maps, edit: Edit, batch: int, others: Others, layout: Layout
) -> Iterator[tuple[Maps, Others]]:
    """The maps as they are, then edited, in batches; the edit's versions are its entries of axis 0.

    With each the class and register tokens, as the edit leaves them.
    """
    count = max(len(edit.strength), len(edit.value))
    first = min(batch - 1, count)
    spans = [(0, first), *((start, min(start + batch, count)) for start in range(first, count, batch))]
    for place, (start, stop) in enumerate(spans):
        parts, rest = ([maps], [others]) if place == 0 else ([], [])
        if stop > start:
            part = edit.take(start, stop)
            parts.append(part.apply(maps.expand(stop - start, -1, -1, -1)))
            rest.append(part.apply_others(others.expand(stop - start, -1, -1, -1), layout.classes))
        yield torch.cat(parts), torch.cat(rest)


def stack_edits(edits: Sequence[Edit]) -> Edit:
    """Edits of one layer as versions of one another: entry k of axis 0 is edit k.

    >>> from unitscope.interventions.edits import set_units
    >>> stack_edits([set_units("layer", [0], 3), set_units("layer", [2], 3)]).strength[:, :, 0, 0].tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    joined = []
    for parts in ([edit.at_patches for edit in edits], [edit.value for edit in edits]):
        shape = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
        joined.append(torch.cat([part.expand(-1, *shape) for part in parts]))
    layer, (strength, value) = edits[0].layer, joined
    steps, first = [], 0
    for edit in edits:
        last = first + len(edit.strength)
        for step in edit.steps or (edit,):
            if step.tokens != "patches":
                parts = [torch.zeros(len(strength), *part.shape[1:]) for part in (step.strength, step.value)]
                parts[0][first:last], parts[1][first:last] = step.strength, step.value
                steps.append(Edit(layer, parts[0], parts[1], step.tokens))
        first = last
    return Edit(layer, strength, value, "patches", tuple(steps))


def count_areas(planes: Planes, size: int) -> Int64[np.ndarray, "version {size}"]:
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


class Areas:
    """Sums over images of the pixels of every concept, before and after each of some edits.

    `before[concept]` and `after[version, concept]` count pixels; `squares`, `after_squares` and `products`
    are sums of before^2, after^2 and before x after over images. `changed[version]` counts the pixels that
    the first plane names otherwise than before, `changed_in[version, concept]` those of them that were
    the concept before. All are whole numbers, so the order of images does not matter.
    """

    def __init__(self, versions: int, size: int) -> None:
        self.versions, self.size, self.images, self.pixels = versions, size, 0, 0
        self.before, self.squares = np.zeros((2, size), np.int64)
        tables = np.zeros((4, versions, size), np.int64)
        self.after, self.after_squares, self.products, self.changed_in = tables
        self.changed = np.zeros(versions, np.int64)

    def add(self, image: Repainted) -> None:
        """Counts one image in."""
        before = count_areas(image.before[None], self.size)[0]
        after = count_areas(image.after, self.size)
        self.images += 1
        self.pixels += image.before[0].size
        self.before += before
        self.squares += before**2
        self.after += after
        self.after_squares += after**2
        self.products += after * before
        differs = image.after[:, 0] != image.before[0]
        self.changed += differs.sum((1, 2))
        for version, mask in enumerate(differs):
            self.changed_in[version] += count_areas(image.before[None][:, :, mask][:, :, None], self.size)[0]

    def removed(self, version: int, concept: int) -> Interval:
        """-(mean change of the concept's pixels) / (its mean pixels before): 1 where all are gone.

        Negative where there are more than before, NaN where there were none. The interval is one of 99 %,
        normal over images, as in paper B (fig. 4a), of a ratio of two means by the delta method: the
        variance of 1 - A / B is the mean square of a - (A / B) b over images, divided by (n - 1) and by the
        squared mean of b. A single image has no interval.
        """
        total = int(self.before[concept])
        if total == 0:
            return Interval(float("nan"))
        ratio = int(self.after[version, concept]) / total
        if self.images < 2:
            return Interval(1 - ratio)
        residual = (
            int(self.after_squares[version, concept])
            - 2 * ratio * int(self.products[version, concept])
            + ratio**2 * int(self.squares[concept])
        )
        error = (max(residual, 0.0) * self.images / (self.images - 1)) ** 0.5 / total
        return Interval(1 - ratio, 1 - ratio - SURE * error, 1 - ratio + SURE * error)

    def aside(self, version: int, concept: int) -> float:
        """Of the pixels that were not the concept, the share that the first plane now names otherwise."""
        others = self.pixels - int(self.before[concept])
        touched = int(self.changed[version]) - int(self.changed_in[version, concept])
        return touched / others if others else float("nan")

    def cover(self, concept: int) -> float:
        """The share of all pixels that were the concept."""
        return int(self.before[concept]) / self.pixels if self.pixels else float("nan")

    def merge(self, other: "Areas") -> "Areas":
        """The sums over the images of both, for the same number of versions."""
        merged = Areas(self.versions, self.size)
        for name in vars(self).keys() - {*_SHAPE}:
            setattr(merged, name, getattr(self, name) + getattr(other, name))
        return merged

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All sums by name, as `read_areas` takes them."""
        return {name: np.atleast_1d(one) for name, one in vars(self).items() if name not in _SHAPE}

    def growth(self, version: int) -> Float64[np.ndarray, "concept"]:
        """The change of every concept's pixels as a share of all pixels."""
        return np.asarray((self.after[version] - self.before) / max(self.pixels, 1))


def read_areas(arrays: Mapping[str, np.ndarray]) -> Areas:
    """The areas whose sums these are (`Areas.arrays`)."""
    areas = Areas(*arrays["after"].shape)
    for name, array in arrays.items():
        setattr(areas, name, array.item() if name in ("images", "pixels") else array)
    return areas
