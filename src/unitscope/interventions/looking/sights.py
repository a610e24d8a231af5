"""What is seen in a picture: the units of a layer that fire, where, and what each adds to a class."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from unitscope.dissection.masks import find_fired
from unitscope.errors import UsageError
from unitscope.interventions.edits import edited
from unitscope.interventions.explanation import Explanation, explain_image
from unitscope.interventions.linear_head import read_numbers, remove_units
from unitscope.interventions.looking.lens import Lens
from unitscope.interventions.looking.slides import Slide
from unitscope.interventions.painting.strokes import Bitmap
from unitscope.networks.trace import evaluation
from unitscope.statistics.grids import Grid

_PART = 256
"""So many units are brought to mask size at once."""


@dataclass(frozen=True, eq=False)
class Firing:
    """A unit above its threshold: its largest activation in the picture, its share of it, and where."""

    unit: int
    peak: float
    area: float
    outline: Bitmap


@dataclass(frozen=True, eq=False)
class Sight:
    """A picture through one layer; made by `see`.

    `explanation` is the prediction as a sum over the layer's units, `firings` are the units above their
    thresholds, by number. `lost` says what the logit explained loses where all units are removed from the
    class tokens, or from the patches; empty where the layer has no other tokens than patches.
    """

    layer: str
    explanation: Explanation
    firings: tuple[Firing, ...]
    lost: dict[Literal["class", "patches"], float]
    grid: Grid
    thresholds: Float32[np.ndarray, "unit"]
    dead: Bool[np.ndarray, "unit"]

    @cached_property
    def peaks(self) -> Float64[np.ndarray, "unit"]:
        """The largest activation of every unit."""
        return np.asarray(self.explanation.maps.max((1, 2)), np.float64)

    @cached_property
    def areas(self) -> Float64[np.ndarray, "unit"]:
        """The share of the picture where each unit is above its threshold."""
        found = np.zeros(len(self.thresholds))
        for one in self.firings:
            found[one.unit] = one.area
        return found

    @property
    def ranked(self) -> list[Firing]:
        """The firings, the largest contribution to the class first, whatever its sign; ties by number."""
        weights = np.abs(self.explanation.contributions)
        return sorted(self.firings, key=lambda one: (-weights[one.unit], one.unit))


@dataclass(frozen=True)
class PlaceUnit:
    """A unit above its threshold at one place, and its activation there."""

    unit: int
    activation: float


def see(lens: Lens, slide: Slide, layer: str, *, target: int | None = None) -> Sight:
    """A picture through a layer: which units fire and where, and the logit of a class as a sum over units.

    A unit fires where its map, brought to mask size as its run did, is above its threshold: the masks that
    `LayerDissection.masks` gives. `target` is the class explained (`explain_image`), by default the predicted
    one. Raises `UsageError` for an unknown layer or class, `NetworkError` where the layer cannot explain.
    """
    found, grid = lens.find(layer), lens.grids[layer]
    explanation = explain_image(lens.network, layer, slide.fitted, target=target, number=slide.number)
    thresholds, dead = found.thresholds.astype(np.float32), found.active == 0
    maps = torch.from_numpy(explanation.maps)
    firings = tuple(_list_firings(grid, maps, torch.from_numpy(thresholds), torch.from_numpy(dead)))
    lost = {} if lens.tokens[layer] is None else _weigh_tokens(lens, slide, layer, explanation)
    return Sight(layer, explanation, firings, lost, grid, thresholds, dead)


def _list_firings(
    grid: Grid,
    maps: Float32[Tensor, "unit cell_y cell_x"],
    thresholds: Float32[Tensor, "unit"],
    dead: Bool[Tensor, "unit"],
) -> Iterator[Firing]:
    # Between cells nothing is higher than the highest of them, as they are stored.
    highest = grid.surround(maps[None])[0].amax((1, 2))
    slack = 1e-6 * highest.abs()
    likely = torch.nonzero(highest + slack > thresholds)[:, 0]
    for part in torch.split(likely, _PART):
        masks = find_fired(grid, maps[part], thresholds[part], dead[part]).numpy()
        for unit, mask in zip(part.tolist(), masks, strict=True):
            if mask.any():
                yield Firing(unit, float(maps[unit].max()), float(mask.mean()), Bitmap.of(mask))


def _weigh_tokens(
    lens: Lens, slide: Slide, layer: str, explanation: Explanation
) -> dict[Literal["class", "patches"], float]:
    network, found = lens.network, dict[Literal["class", "patches"], float]()
    every = np.ones(len(explanation.contributions), bool)
    with evaluation(network), torch.no_grad():
        kinds: list[Literal["class", "patches"]] = ["patches"]
        if (lens.tokens[layer] or (0, 0))[0]:
            kinds.insert(0, "class")
        for kind in kinds:
            with edited(network, remove_units(layer, every, kind)):
                logits = read_numbers(network.run(slide.batch))[0]
            found[kind] = explanation.logit - float(logits[explanation.target])
    return found


def find_at(sight: Sight, x: int | float, y: int | float) -> tuple[tuple[int, int], list[PlaceUnit]]:
    """The mask pixel (row, column) at fractions of a picture's width and height, and what fires there.

    Those furthest above their threshold first, as a share of their peak; ties by number. Raises `UsageError`
    for a place outside of the picture.
    """
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise UsageError(f"the place ({x:g}, {y:g}) lies outside; give fractions from 0 to 1")
    rows, columns = sight.grid.mask_size
    row, column = min(int(y * rows), rows - 1), min(int(x * columns), columns - 1)
    flat = row * columns + column
    fired = [one.unit for one in sight.firings if _covers(one.outline, flat)]
    values = _read_place(sight, fired, row, column)
    over = {
        unit: (value - float(sight.thresholds[unit])) / max(abs(float(sight.peaks[unit])), 1e-12)
        for unit, value in zip(fired, values, strict=True)
    }
    found = [PlaceUnit(unit, value) for unit, value in zip(fired, values, strict=True)]
    return (row, column), sorted(found, key=lambda one: (-over[one.unit], one.unit))


def _covers(outline: Bitmap, flat: int) -> bool:
    ends = np.cumsum(outline.runs)
    return bool(np.searchsorted(ends, flat, side="right") % 2 == 1)


def _read_place(sight: Sight, units: list[int], row: int, column: int) -> list[float]:
    if not units:
        return []
    grid = sight.grid
    stored = grid.surround(torch.from_numpy(sight.explanation.maps[units])[None])[0].numpy()
    (y0, y1), (x0, x1) = (
        (int(axis.low[place]), int(axis.high[place]))
        for axis, place in ((grid.rows, row), (grid.columns, column))
    )
    h1, w1 = np.float32(grid.rows.weight[row]), np.float32(grid.columns.weight[column])
    h0, w0 = np.float32(1) - h1, np.float32(1) - w1
    top = stored[:, y0, x0] * w0 + stored[:, y0, x1] * w1
    bottom = stored[:, y1, x0] * w0 + stored[:, y1, x1] * w1
    return [float(value) for value in top * h0 + bottom * h1]
