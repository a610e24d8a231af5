"""Whether the cells of a layer's map look where they are drawn: found out by changing places of an input.

Three images are passed: one of random blocks, and two in each of which three other places have new content.
With R the change of a cell, each unit in its own scale, averaged over units and divided by its mean over
cells, d = (R1 - R2) / 2 is compared with the places that were changed, +1 in the one image and -1 in the
other. What both images move alike is left out by that, so that mixing does not hide a place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8
from torch import Tensor

from unitscope.networks.tokens import Size

Where = Literal["in place", "mixed", "elsewhere", "whole", "silent"]

PARTS = 7
"""The input is cut into 7 x 7 parts, some of which are changed."""
CHANGED = (((0, 2), (4, 5), (6, 0)), ((1, 0), (5, 2), (2, 4)))
"""The parts that change in the first image, and in the second: other ones when turned or mirrored."""

AGREES = 0.35
"""The agreement from which a layer is taken to be in place."""
_AGREES_WITH_MISSES = 0.45
_SHARP = 0.9
_AGREES_WHERE_SHARP = 0.68
DIFFERS = 0.25
_ALIKE = 0.01
_ALIKE_WHERE_FEW = 0.1
_NEGLIGIBLE = 0.03
_APART = 0.2
_NEARLY_NONE = 0.15
_FEW_CELLS = 36
_DIFFERS_WHERE_FEW = 0.75
_TOO_FEW_CELLS = 16
_SURE_WHERE_FEW = 0.65
_SURE_WHERE_TOO_FEW = 0.7
_BLURS = (0.07, 0.14, 0.25)
_SILENT = 1e-5
_KEPT = 0.47


@dataclass(frozen=True)
class Place:
    """Where a layer answers to changes at a few places of the input.

    `where` is "in place"; "mixed", where it answers everywhere alike; "elsewhere", where it answers at places
    that are not those changed; "whole" for maps of one cell; "silent" where it does not answer. `agreement`
    is the correlation of the answers with the places changed, `away` the share of the answers that lies more
    than a cell away from them.
    """

    where: Where
    agreement: float = 0.0
    away: float = 0.0

    @classmethod
    def parse(cls, record: Mapping[str, Any] | None) -> "Place | None":
        """What `run.json` holds of a layer, if it does. Raises `LookupError`, `TypeError` or `ValueError`."""
        if record is None:
            return None
        if record["where"] not in get_args(Where):
            raise ValueError(f"a layer cannot be {record['where']!r}")
        return cls(record["where"], float(record["agreement"]), float(record["away"]))


def draw_changes(size: Size, bands: int = 3) -> UInt8[np.ndarray, "three y x {bands}"]:
    """One image of random blocks, and two that differ from it in the parts `CHANGED`; always the same.

    >>> images = draw_changes((70, 140))
    >>> [round(float((image != images[0]).any(-1).mean()), 2) for image in images]
    [0.0, 0.06, 0.06]
    """
    height, width = size
    random = np.random.default_rng(0)

    def draw() -> np.ndarray:
        blocks = random.integers(0, 256, (PARTS, PARTS, bands))
        rows, columns = np.arange(height) * PARTS // height, np.arange(width) * PARTS // width
        noise = random.integers(0, 256, (height, width, bands))
        return np.asarray((3 * blocks[rows][:, columns] + noise) // 4, np.uint8)

    base, other = draw(), draw()
    images = np.stack([base, base, base])
    for image, parts in zip(images[1:], CHANGED, strict=True):
        for part in parts:
            rows, columns = (_span(number, side) for number, side in zip(part, size, strict=True))
            image[rows, columns] = other[rows, columns]
    return images


def _span(number: int, side: int) -> slice:
    start = number * side // PARTS
    return slice(start, max((number + 1) * side // PARTS, start + 1))


def locate(maps: Float32[Tensor, "three unit cell_y cell_x"], fitting: bool = True) -> Place:
    """Where a layer's maps of `draw_changes` answer. `fitting` says that their grid may be the input's.

    >>> images = torch.from_numpy(draw_changes((70, 140))).permute(0, 3, 1, 2).float()
    >>> locate(torch.nn.functional.avg_pool2d(images, 10)).where
    'in place'
    >>> locate(torch.nn.functional.avg_pool2d(images, 10).transpose(2, 3).reshape(3, 3, 7, 14)).where
    'elsewhere'
    """
    rows, columns = maps.shape[2:]
    if rows * columns == 1:
        return Place("whole")
    answers = _measure(maps)
    if answers is None:
        return Place("silent")
    difference = (answers[0] - answers[1]) / 2
    agreement, hits = _compare(difference)
    near = _near(rows, columns)
    away = float(
        np.mean([(one * ~close).sum() / one.sum() for one, close in zip(answers, near, strict=True)])
    )
    figures = round(agreement, 3), round(away, 3)
    strength, few = float(np.abs(difference).mean()), rows * columns < _FEW_CELLS
    apart = float(np.mean([~close for close in near]))
    if apart >= _APART and away <= _NEARLY_NONE * apart and agreement > 0:
        return Place("in place", *figures)
    # Where the two images are answered by different cells, nothing is mixed that could blur the places.
    wanted = _AGREES_WHERE_SHARP if (strength > _SHARP and not few) or not fitting else AGREES
    if agreement >= wanted and strength > (_ALIKE_WHERE_FEW if few else _ALIKE):
        sure = hits >= 5 or (hits == 4 and agreement >= _AGREES_WITH_MISSES)
        if few:  # where kernels are as large as the map, the weights of one network may look like a place
            sure = agreement >= (_SURE_WHERE_TOO_FEW if rows * columns < _TOO_FEW_CELLS else _SURE_WHERE_FEW)
        sure = sure and (fitting or hits == 2 * len(CHANGED[0]))
        return Place("in place" if sure else "mixed" if fitting else "elsewhere", *figures)
    # A map of very few cells can be the chance of one network's weights.
    telling = rows * columns >= _TOO_FEW_CELLS and strength > (_DIFFERS_WHERE_FEW if few else DIFFERS)
    if telling or not fitting:
        return Place("elsewhere", *figures)
    return Place("mixed", *figures)


def _measure(
    maps: Float32[Tensor, "three unit cell_y cell_x"],
) -> Float64[np.ndarray, "two cell_y cell_x"] | None:
    """How strongly each cell answers to the two changes, on the average 1; None where one is not answered."""
    changes = (maps[1:] - maps[:1]).abs()
    largest = float(maps[0].abs().max())
    if not (0 < float(changes.max()) < float("inf")) or float(changes.max()) <= _SILENT * largest:
        return None
    scales = changes.mean((0, 2, 3))
    weights = torch.where(scales > 1e-3 * scales.max(), 1 / scales.clamp_min(1e-30), torch.zeros_like(scales))
    answers: Any = torch.einsum("iuyx,u->iyx", changes, weights).double().cpu().numpy()
    means = answers.mean((1, 2), keepdims=True)
    if means.min() <= 0:
        return None  # one of the images changes nothing
    found: Float64[np.ndarray, "two cell_y cell_x"] = answers / means
    return found


def _compare(difference: Float64[np.ndarray, "cell_y cell_x"]) -> tuple[float, int]:
    """The largest correlation with the changed places at several widths; how many have the right sign."""
    rows, columns = difference.shape
    weights, blurred = _templates(rows, columns)
    signs = (1, -1)
    sums = [
        sign * float((one * difference).sum())
        for sign, group in zip(signs, weights, strict=True)
        for one in group
    ]
    # A place that nothing answers to, as behind a ReLU, tells nothing.
    hits = sum(one > -_NEGLIGIBLE * max(map(abs, sums)) for one in sums)
    centered = difference - difference.mean()
    length = float(np.sqrt((centered**2).sum()))
    if length <= 1e-9:
        return 0.0, hits
    return max(float((centered * one).sum()) / length for one in blurred), hits


@cache
def _templates(rows: int, columns: int) -> tuple[tuple[tuple[Any, ...], tuple[Any, ...]], tuple[Any, ...]]:
    """Of each changed part what share of each cell it takes; and all parts, blurred, of length 1."""
    first, second = (
        tuple(np.outer(_cover(rows, y), _cover(columns, x)) for y, x in group) for group in CHANGED
    )
    blurred = [sum(first) - sum(second)]
    for width in _BLURS:
        sides = [np.hypot(width, 0.5 / count) for count in (rows, columns)]
        places = [(np.arange(count) + 0.5) / count for count in (rows, columns)]
        total = np.zeros((rows, columns))
        for sign, group in zip((1, -1), CHANGED, strict=True):
            for part in group:
                hills = [
                    np.exp(-0.5 * ((place - (number + 0.5) / PARTS) / side) ** 2)
                    for place, number, side in zip(places, part, sides, strict=True)
                ]
                total += sign * np.outer(*hills)
        blurred.append(total)
    centered = [np.asarray(one - np.mean(one)) for one in blurred]
    return (first, second), tuple(one / max(float(np.sqrt((one**2).sum())), 1e-12) for one in centered)


def _cover(cells: int, number: int) -> Float64[np.ndarray, "cell"]:
    """Which share of each cell of an axis lies in a part."""
    edges = np.arange(cells + 1) / cells
    low, high = number / PARTS, (number + 1) / PARTS
    share: Float64[np.ndarray, "cell"] = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
    return share.clip(0) * cells


@cache
def _near(rows: int, columns: int) -> tuple[Any, Any]:
    """The cells that the changes of either image reach, or that stand next to such."""
    found = []
    for group in CHANGED:
        near = np.zeros((rows, columns), bool)
        for part in group:
            reached = [
                np.convolve(_cover(count, number) > 0, [1, 1, 1])[1:-1] > 0
                for count, number in zip((rows, columns), part, strict=True)
            ]
            near |= np.outer(*reached)
        found.append(near)
    return found[0], found[1]


def follow_changes(maps: Sequence[Float32[Tensor, "three unit cell_y cell_x"]]) -> tuple[float, float]:
    """How strongly a layer tells two changes apart, and what is kept of that on the average of all draws."""
    found = [one for one in map(_measure, maps) if one is not None]
    both = _measure(torch.cat(list(maps), 1))
    if both is None or len(found) < 2 or both[0].size == 1:
        return 0.0, 1.0
    apart = [(one[0] - one[1]) / 2 for one in found]
    strength = float(np.mean([np.abs(one).mean() for one in apart]))
    length = float(np.mean([np.linalg.norm(one) for one in apart]))
    return strength, float(np.linalg.norm(np.mean(apart, 0))) / max(length, 1e-30)


def are_moving(maps: Sequence[Float32[Tensor, "three unit cell_y cell_x"]]) -> bool:
    """Whether a layer answers to the same changes at other places with other random numbers."""
    strength, kept = follow_changes(maps)
    # Of n vectors at random the mean has 1 / sqrt(n) of their length, of equal ones all of it.
    return strength > DIFFERS and kept < _KEPT
