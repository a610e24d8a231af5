"""Where the cells of an activation map lie in the label mask, and bilinear upsampling between them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Int32
from torch import Tensor

Upsampling = Literal["receptive-field", "half-pixel", "zero-border"]


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of a grid: mask pixel d lies between cells `low[d]` and `high[d]`, at `weight[d]` of the way.

    Mask pixels `starts[c] : starts[c + 1]` have `low == c`.
    """

    low: Int32[np.ndarray, "pixel"]
    high: Int32[np.ndarray, "pixel"]
    weight: Float32[np.ndarray, "pixel"]
    starts: Int32[np.ndarray, "cell_and_one"]

    @property
    def cells(self) -> int:
        """The number of cells along the axis."""
        return len(self.starts) - 1


@dataclass(frozen=True, eq=False)
class Grid:
    """How a map becomes a mask-sized map, both axes alike.

    The value at a mask pixel is, in float32 and in this order of operations,
    ``(a00 * w0 + a01 * w1) * h0 + (a10 * w0 + a11 * w1) * h1``, with ``w1``, ``h1`` the weights of
    the column and row axis, ``w0 = 1 - w1`` and ``h0 = 1 - h1``. This is the definition; a library's
    rounding may differ in the last bit.

    `border` says that the map is stored with a ring of zeros around it. Where the mask is coarser
    than the map (`sampled`), only the sampled values can matter and they are stored instead of
    cells. `inner` is the range of cells, on each axis, whose four corners are real.
    """

    rows: Axis
    columns: Axis
    border: bool = False

    @property
    def map_size(self) -> tuple[int, int]:
        """Height and width of the stored map, the ring of zeros included."""
        return (self.rows.cells, self.columns.cells)

    @property
    def mask_size(self) -> tuple[int, int]:
        """Height and width of the mask."""
        return (len(self.rows.low), len(self.columns.low))

    @cached_property
    def sampled(self) -> bool:
        """Whether some inner cell holds no mask pixel: the mask is coarser than the map."""
        return self._fewest((1, 1)) == 0

    @cached_property
    def quartered(self) -> bool:
        """Whether inner cells are cut into quarters: where each holds several pixels."""
        return self._fewest((2, 2)) >= 9

    @cached_property
    def pixels_per_part(self) -> int:
        """The fewest mask pixels that an inner cell, or where they are quartered, a quarter holds."""
        return self._fewest((2, 2) if self.quartered else (1, 1))

    def _fewest(self, parts: tuple[int, int]) -> int:
        """The fewest mask pixels in any part of an inner cell that is cut into so many by axis."""
        counts = []
        for axis, (first, last), many in zip((self.rows, self.columns), self.inner, parts, strict=True):
            part = np.minimum((axis.weight * many).astype(np.int64), many - 1)
            held = np.bincount(axis.low * many + part, minlength=axis.cells * many)
            counts.append(int(held[first * many : last * many].min()))
        return counts[0] * counts[1]

    @cached_property
    def inner(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First and last-and-one inner cell of rows and columns."""
        first = 1 if self.border else 0
        rows, columns = (max(axis.cells - 1 - first, first + 1) for axis in (self.rows, self.columns))
        return (first, rows), (first, columns)

    def surround(self, maps: Float32[Tensor, "image unit y x"]) -> Float32[Tensor, "image unit y2 x2"]:
        """The maps as they are stored, with the ring of zeros where there is one."""
        return torch.nn.functional.pad(maps, (1, 1, 1, 1)) if self.border else maps

    def upsample(self, maps: Float32[Tensor, "image unit y x"]) -> Float32[Tensor, "image unit row column"]:
        """The stored maps at mask size, densely, by the definition."""
        device = maps.device
        y0, y1, x0, x1 = (
            torch.from_numpy(part.astype(np.int64)).to(device)
            for part in (self.rows.low, self.rows.high, self.columns.low, self.columns.high)
        )
        h1 = torch.from_numpy(self.rows.weight).to(device)[:, None]
        w1 = torch.from_numpy(self.columns.weight).to(device)
        h0, w0 = 1 - h1, 1 - w1
        upper, lower = maps[:, :, y0], maps[:, :, y1]
        top = upper[..., x0] * w0 + upper[..., x1] * w1
        bottom = lower[..., x0] * w0 + lower[..., x1] * w1
        return top * h0 + bottom * h1


def make_grid(
    map_size: tuple[int, int],
    mask_size: tuple[int, int],
    upsampling: Upsampling,
    *,
    centers: tuple[float, float] = (0.0, 0.0),
    steps: tuple[float, float] = (1.0, 1.0),
    input_size: tuple[int, int] = (1, 1),
) -> Grid:
    """The grid of one convention.

    Mask pixel d of D reads the map of C cells at

    - ``half-pixel``: (d + 1/2) C / D - 1/2, clamped to the map (bilinear without aligned corners);
    - ``zero-border``: the same, but the map is surrounded by zeros instead of clamped;
    - ``receptive-field``: (d I / D - center) / step, clamped, where I is the input size and cell i
      lies at center + i step in the input (paper A, section 2.2).

    >>> make_grid((2, 2), (4, 4), "half-pixel").rows.weight.tolist()
    [0.0, 0.25, 0.75, 0.0]
    """
    axes = []
    for cells, pixels, center, step, extent in zip(
        map_size, mask_size, centers, steps, input_size, strict=True
    ):
        places = np.arange(pixels, dtype=np.float64)
        source: np.ndarray
        if upsampling == "receptive-field":
            source, stored = (places * (extent / pixels) - center) / step, cells
        elif upsampling == "zero-border":
            source, stored = (places + 0.5) * cells / pixels + 0.5, cells + 2
        else:
            source, stored = (places + 0.5) * cells / pixels - 0.5, cells
        place = np.clip(source, 0.0, stored - 1.0)
        low = np.floor(place).astype(np.int32)
        high = np.minimum(low + 1, stored - 1).astype(np.int32)
        starts = np.searchsorted(low, np.arange(stored + 1)).astype(np.int32)
        axes.append(Axis(low, high, (place - low).astype(np.float32), starts))
    return Grid(axes[0], axes[1], border=upsampling == "zero-border")
