"""How often units are above each of several levels, alone and where a concept is: a mergeable statistic."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt16
from torch import Tensor

from unitscope.axes import Planes
from unitscope.concepts.vocabulary import Example
from unitscope.statistics.annotations import Doubles
from unitscope.statistics.kernels import label_runs as loops
from unitscope.statistics.quantiles import tail_rank

_AT_ONCE = 4_000_000
"""Values that are placed on their ladders at a time, to bound what their places take."""


@dataclass(frozen=True, eq=False)
class Ladder:
    """Mask pixels of every unit by the number of levels they lie strictly above, summed over images.

    `levels` ascend. `by_concept[unit, k]` counts pixels with concept `concepts[k - 1]`, as doubles are
    counted in an intersection, and at k = 0 all others; `by_category[unit, category]` the valid pixels of
    images that enter the union with concepts of the category.
    """

    levels: Float32[np.ndarray, "unit level"]
    concepts: Int64[np.ndarray, "concept"]
    by_concept: Int64[np.ndarray, "unit concept_and_one level_and_one"]
    by_category: Int64[np.ndarray, "unit category level_and_one"]

    def merge(self, other: "Ladder") -> "Ladder":
        """The counts of both."""
        counts = (self.by_concept + other.by_concept, self.by_category + other.by_category)
        return Ladder(self.levels, self.concepts, *counts)

    @property
    def shared(self) -> Int64[np.ndarray, "unit concept level"]:
        """Pixels with each concept above each level: intersections."""
        return _above(self.by_concept[:, 1:])

    @property
    def active(self) -> Int64[np.ndarray, "unit category level"]:
        """Pixels above each level that enter the union with concepts of each category."""
        return _above(self.by_category)


def empty_ladder(
    levels: Float32[np.ndarray, "unit level"], concepts: Int64[np.ndarray, "concept"], categories: int
) -> Ladder:
    """A ladder that has seen nothing."""
    units, width = levels.shape[0], levels.shape[1] + 1
    kinds = (units, len(concepts) + 1, width)
    return Ladder(levels, concepts, np.zeros(kinds, np.int64), np.zeros((units, categories, width), np.int64))


def find_levels(
    values: Float32[Tensor, "unit value"], fractions: Sequence[float]
) -> Float32[np.ndarray, "unit level"]:
    """For each fraction f the (floor(f N) + 1)-th largest of a unit's N values, ascending.

    >>> find_levels(torch.arange(10.0)[None], [0.1, 0.5]).tolist()
    [[4.0, 8.0]]
    """
    count = values.shape[1]
    ranks = sorted((tail_rank(fraction, count) for fraction in fractions), reverse=True)
    ordered = values.sort(dim=1, descending=True).values
    found: np.ndarray = ordered[:, [rank - 1 for rank in ranks]].numpy()
    return found


def lay_labels(
    example: Example, mask_size: tuple[int, int], doubles: Doubles
) -> tuple[UInt16[np.ndarray, "plane row column"], Bool[np.ndarray, "row column"]]:
    """The labels of a framed example as they are counted in an intersection, and its valid pixels.

    Labels of the whole image become planes of their own; a concept stands once on a pixel, unless doubles
    count twice.
    """
    valid = np.ones(mask_size, bool) if example.void is None else ~example.void
    pixels: Planes = example.planes if len(example.planes) else np.zeros((0, *mask_size), np.uint16)
    planes = np.ascontiguousarray(np.where(valid, pixels, 0), np.uint16)
    twice = doubles == "twice"
    scalars = np.array(example.ids if twice else sorted(set(example.ids)), np.uint16)
    kept = planes if twice else loops.drop_doubles(planes, scalars)
    whole = np.where(valid, scalars[:, None, None], 0).astype(np.uint16)
    return np.concatenate([kept, whole]), valid


def climb(
    ladder: Ladder,
    maps: Float32[Tensor, "image unit row column"],
    labels: Sequence[UInt16[np.ndarray, "_ row column"]],
    valid: Bool[np.ndarray, "image row column"],
    entering: Bool[np.ndarray, "image category"],
) -> Ladder:
    """The ladder after some more images: their maps at mask size, labels, and valid pixels.

    `entering` says which categories' unions an image enters. The given ladder's arrays are reused; go on with
    the one that is returned.
    """
    images, units = maps.shape[:2]
    size, kinds, width = int(valid[0].size), len(ladder.concepts) + 1, ladder.levels.shape[1] + 1
    # The places of the labels among the concepts, from 1, plane by plane; 0 for others and none.
    columns = np.zeros(65_536, np.int64)
    columns[ladder.concepts] = np.arange(1, kinds)
    coded = np.zeros((max((len(planes) for planes in labels), default=0), len(labels), size), np.int64)
    for image, planes in enumerate(labels):
        coded[: len(planes), image] = columns[planes.reshape(len(planes), size)]
    codes = torch.from_numpy(coded.reshape(len(coded), len(labels) * size))
    known = torch.from_numpy(valid.reshape(-1))
    owner = torch.arange(images).repeat_interleave(size)
    many = max(1, _AT_ONCE // (images * size))
    for start in range(0, units, many):
        part = slice(start, min(start + many, units))
        values = maps[:, part].permute(1, 0, 2, 3).reshape(-1, images * size).contiguous()
        steps = torch.from_numpy(np.ascontiguousarray(ladder.levels[part]))
        # The number of levels that a value lies strictly above; a void pixel is above none.
        place = torch.searchsorted(steps, values) * known
        count, unit = len(values), torch.arange(len(values))[:, None]
        tally = _count((owner * count + unit) * width + place, (images, count, width))
        ladder.by_category[part] += np.einsum("nul,nk->ukl", tally, entering.astype(np.int64))
        for code in codes:
            ladder.by_concept[part] += _count((unit * kinds + code) * width + place, (count, kinds, width))
    return ladder


def _count(places: Int64[Tensor, "unit pixel"], shape: tuple[int, int, int]) -> np.ndarray:
    counts: np.ndarray = torch.bincount(places.reshape(-1), minlength=int(np.prod(shape))).numpy()
    return counts.reshape(shape)


def _above(counts: Int64[np.ndarray, "*kind level_and_one"]) -> Int64[np.ndarray, "*kind level"]:
    """From pixels by the number of levels below them to pixels above each level."""
    ahead: np.ndarray = counts[..., ::-1].cumsum(-1)[..., ::-1][..., 1:]
    return ahead
