"""Units set to their level at one place of a picture: where, in what context, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64, UInt16
from torch import Tensor
from torch.nn import functional

from unitscope.interventions.edits import Edit
from unitscope.interventions.repainting import SURE, Repainted
from unitscope.statistics.intervals import Interval

Cell = tuple[int, int]


def choose_grid(cells: tuple[int, int], across: int | None = None) -> tuple[int, int]:
    """How places lie in a picture: the cells of the maps, or `across` by `across` where these are fewer.

    >>> choose_grid((16, 16)), choose_grid((16, 16), 8), choose_grid((4, 4), 8)
    ((16, 16), (8, 8), (4, 4))
    """
    return cells if across is None else (min(cells[0], across), min(cells[1], across))


def draw_cells(cells: tuple[int, int], count: int, number: int, seed: int) -> list[Cell]:
    """The places tried in image `number`: `count` different random cells of a grid, all where it has fewer.

    >>> draw_cells((2, 2), 9, number=0, seed=0)
    [(0, 0), (0, 1), (1, 0), (1, 1)]
    """
    total, rng = cells[0] * cells[1], np.random.default_rng((seed, number))
    chosen = range(total) if count >= total else sorted(rng.choice(total, count, replace=False).tolist())
    return [divmod(one, cells[1]) for one in chosen]


def cell_region(
    places: Float[Tensor, "image cell_y cell_x"], size: tuple[int, int]
) -> Float[Tensor, "image y x"]:
    """What holds for every cell, for every pixel of a picture of that size.

    >>> cell_region(torch.tensor([[[1.0, 0.0]]]), (2, 4)).tolist()
    [[[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]]
    """
    return functional.interpolate(places[:, None], size, mode="nearest-exact")[:, 0]


def find_pixels(cell: Cell, cells: tuple[int, int], size: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of the pixels of a cell, at least one of either.

    >>> find_pixels((0, 1), (2, 2), (8, 8))
    (slice(0, 4, None), slice(4, 8, None))
    """
    spans = []
    for place, count, length in zip(cell, cells, size, strict=True):
        start = place * length // count
        spans.append(slice(start, max((place + 1) * length // count, start + 1)))
    return spans[0], spans[1]


def find_context(planes: UInt16[np.ndarray, "plane y x"], cell: Cell, cells: tuple[int, int]) -> int:
    """What stood at a place: the concept that the first plane names at the center of the cell, 0 for none.

    >>> find_context(np.array([[[5, 6], [7, 8]]], np.uint16), (1, 0), (2, 2))
    7
    """
    rows, columns = find_pixels(cell, cells, planes.shape[1:])
    return int(planes[0, (rows.start + rows.stop) // 2, (columns.start + columns.stop) // 2])


def set_at(
    layer: str,
    strength: Float32[Tensor, "unit"],
    value: Float32[Tensor, "unit"],
    places: Sequence[Cell],
    grid: tuple[int, int],
    cells: tuple[int, int],
) -> Edit:
    """Versions of a picture, one a place, in which units are set there; `strength` 0 leaves a unit alone.

    `places` are cells of a grid that lies over the layer's own `cells`.
    """
    mask = torch.zeros(len(places), *grid)
    for row, (y, x) in enumerate(places):
        mask[row, y, x] = 1
    spread = cell_region(mask, cells)[:, None]
    return Edit(layer, strength[None, :, None, None] * spread, value[None, :, None, None], "patches")


@dataclass(frozen=True, eq=False)
class Trials:
    """Insertions of one concept by one set of units, each at one place of an image.

    By trial: the `image`, the `context` (what stood at the place), the concept's pixels in the whole picture
    after minus before (`change`), and the share of the place's own pixels that is the concept: `before`, with
    the units inserted, and with them removed at the place. `mean_pixels` is how many pixels of a picture are
    the concept, on average over the images.
    """

    mean_pixels: float
    image: Int64[np.ndarray, "trial"]
    context: Int64[np.ndarray, "trial"]
    change: Int64[np.ndarray, "trial"]
    before: Float64[np.ndarray, "trial"]
    inserted: Float64[np.ndarray, "trial"]
    removed: Float64[np.ndarray, "trial"]

    def __len__(self) -> int:
        return len(self.image)

    def keep(self, context: int) -> "Trials":
        """The trials in one context."""
        kept = self.context == context
        return Trials(self.mean_pixels, *(column[kept] for column in self.columns))

    @property
    def columns(self) -> list[np.ndarray]:
        """What is known by trial, in the order of the fields."""
        return [column for name, column in vars(self).items() if name != "mean_pixels"]

    @property
    def effect(self) -> Interval:
        """The mean change of the concept's pixels, as a share of its mean pixels a picture.

        What paper B plots in fig. 4d. The 99 % interval is normal over images: the trials of one image
        count as one draw.
        """
        return average_trials(self._changes, self.image)

    @property
    def deviation(self) -> float:
        """The standard deviation of that change over trials, the bars of paper B, fig. 4d."""
        return float(self._changes.std()) if len(self) else float("nan")

    @property
    def _changes(self) -> Float64[np.ndarray, "trial"]:
        return np.asarray(self.change / (self.mean_pixels or np.nan))

    @property
    def added(self) -> Interval:
        """How much more of the place's own pixels is the concept once the units are inserted, with 99 %."""
        return average_trials(self.inserted - self.before, self.image)

    @property
    def causal(self) -> Interval:
        """The average causal effect: mean s(x_i) - mean s(x_a) (GAN Dissection, eq. 4), from -1 to 1.

        s is the share of the place's pixels that is the concept, x_i the picture with the units inserted at
        the place, x_a that with them removed there. The interval is one of 99 %.
        """
        return average_trials(self.inserted - self.removed, self.image)


def read_trials(
    image: Repainted, concept: int, places: Sequence[Cell], cells: tuple[int, int], first: int
) -> list[tuple[int, int, int, float, float, float]]:
    """The rows of `Trials` of one image.

    Its versions from `first` on are the places with the units inserted, then the places with them removed.
    """
    rows = []
    for row, cell in enumerate(places, first):
        versions = np.stack([image.before, image.after[row], image.after[row + len(places)]])
        shown = (versions == concept).any(1)
        change = int(shown[1].sum()) - int(shown[0].sum())
        was, put, gone = shown[:, *find_pixels(cell, cells, shown.shape[1:])].mean((1, 2)).tolist()
        rows.append((image.number, find_context(image.before, cell, cells), change, was, put, gone))
    return rows


def average_trials(values: Float64[np.ndarray, "trial"], image: Int64[np.ndarray, "trial"]) -> Interval:
    """The mean over trials with a normal 99 % interval over images, whose trials hang together.

    >>> average_trials(np.array([1.0, 3.0]), np.array([4, 4]))
    Interval(value=2.0, low=nan, high=nan)
    """
    if not len(values):
        return Interval(float("nan"))
    mean = float(values.mean())
    _, place = np.unique(image, return_inverse=True)
    off = np.bincount(place, values - mean)
    if len(off) < 2:
        return Interval(mean)
    error = float(np.sqrt((off**2).sum() * len(off) / (len(off) - 1)) / len(values))
    return Interval(mean, mean - SURE * error, mean + SURE * error)
