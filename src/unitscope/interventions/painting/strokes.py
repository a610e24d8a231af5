"""Paintings: strokes of a brush that set units of a generator, and the edits they come to."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from torch.nn import functional

from unitscope.concepts.vocabulary import Concept
from unitscope.errors import UsageError
from unitscope.interventions.edits import Edit
from unitscope.interventions.unit_values import Levels, Rule

Mode = Literal["draw", "erase"]
Shape = tuple[int, int, int]
"""Units, rows and columns of a layer's maps."""


@dataclass(frozen=True)
class Bitmap:
    """Where a brush went, in few pixels.

    `runs` are lengths, row by row, of what it left out and what it covered, in turn: (5, 3) in a bitmap
    of 2 by 4 covers the last three pixels.

    >>> Bitmap(2, 4, (5, 3)).pixels.tolist()
    [[False, False, False, False], [False, True, True, True]]
    """

    rows: int
    columns: int
    runs: tuple[int, ...]

    def __post_init__(self) -> None:
        if min(self.rows, self.columns, *self.runs, 1) < 0 or sum(self.runs) != self.rows * self.columns:
            raise UsageError(
                f"the runs of a bitmap of {self.rows} by {self.columns} come to {sum(self.runs)} pixels; "
                f"wanted {self.rows * self.columns}"
            )

    @classmethod
    def of(cls, pixels: Bool[np.ndarray, "row column"]) -> "Bitmap":
        """The bitmap of an array.

        >>> Bitmap.of(np.array([[True, False]])).runs
        (0, 1, 1)
        """
        flat = np.concatenate([[False], pixels.reshape(-1)])
        turns = [0, *(np.flatnonzero(flat[1:] != flat[:-1])).tolist(), pixels.size]
        rows, columns = pixels.shape
        return cls(rows, columns, tuple(after - before for before, after in pairwise(turns)))

    @cached_property
    def pixels(self) -> Bool[np.ndarray, "row column"]:
        """What the brush covered."""
        covered = np.repeat(np.arange(len(self.runs)) % 2 == 1, self.runs)
        return covered.reshape(self.rows, self.columns)

    def pool(self, cells: tuple[int, int]) -> Float32[Tensor, "cell_y cell_x"]:
        """1 in every cell that the brush touched: the adaptive maximum (GAN Dissection's tool)."""
        return functional.adaptive_max_pool2d(torch.from_numpy(self.pixels).float()[None], cells)[0]


@dataclass(frozen=True)
class Stroke:
    """One stroke of the brush: under `mask`, `units` of a layer go towards a value.

    To `draw` is to set them to how high they are where `concept` is (`rule` "mean") or to their .99
    quantile; to `erase` is to set them to 0. `strength` is how far they go, from 0 to 1.
    """

    layer: str
    units: tuple[int, ...]
    mask: Bitmap
    mode: Mode = "draw"
    concept: Concept | None = None
    rule: Rule = "mean"
    strength: float = 1.0

    def values(self, levels: Levels, units: list[int]) -> Float[Tensor, "chosen"]:
        """What the stroke sets some of its units to. Raises `UsageError` where no value is known."""
        if self.mode == "erase":
            return torch.zeros(len(units))
        if self.rule == "mean" and self.concept is None:
            raise UsageError("a stroke without a concept has no mean to draw; take the rule 'quantile'")
        return levels.value(self.concept.id if self.concept else 0, units, self.rule)


@dataclass(frozen=True)
class Painting:
    """A picture of a generator with strokes on it, in their order; `off` are units that no stroke moves.

    `image` is the number of a picture that the generator makes, or the key of one from outside.
    """

    image: int | str
    strokes: tuple[Stroke, ...] = ()
    off: frozenset[tuple[str, int]] = frozenset()


def merge_strokes(
    strokes: Iterable[Stroke],
    levels: Mapping[str, Levels],
    shapes: Mapping[str, Shape],
    off: Collection[tuple[str, int]] = (),
) -> list[Edit]:
    """One edit a layer that does what the strokes do one after the other.

    The compositing of `Edit.then`, a = 1 - (1 - a1)(1 - a2), v = (v1 a1 (1 - a2) + v2 a2) / a (GAN
    Dissection's tool), done only for the units and cells that a stroke touches. Layers that no stroke
    moves have no edit. Raises `UsageError` for a layer that has no levels or a unit that it does not have.
    """
    layers: dict[str, tuple[Tensor, Tensor]] = {}
    for stroke in strokes:
        if stroke.layer not in shapes or stroke.layer not in levels:
            raise UsageError(f"layer {stroke.layer!r} cannot be painted; it is one of {', '.join(shapes)}")
        count, *cells = shapes[stroke.layer]
        if wrong := [unit for unit in stroke.units if not 0 <= unit < count]:
            raise UsageError(f"layer {stroke.layer} has units 0 to {count - 1}, not {wrong[0]}")
        units = [unit for unit in dict.fromkeys(stroke.units) if (stroke.layer, unit) not in off]
        place = stroke.mask.pool((cells[0], cells[1])) * stroke.strength
        rows, columns = place.amax(1).nonzero()[:, 0], place.amax(0).nonzero()[:, 0]
        if not units or not len(rows):
            continue
        if stroke.layer not in layers:
            layers[stroke.layer] = torch.zeros(1, count, *cells), torch.zeros(1, count, *cells)
        strength, paint = layers[stroke.layer]
        window = (
            torch.tensor(units),
            slice(int(rows[0]), int(rows[-1]) + 1),
            slice(int(columns[0]), int(columns[-1]) + 1),
        )
        added = place[window[1:]]
        value = stroke.values(levels[stroke.layer], units)[:, None, None]
        strength[0][window] = strength[0][window] * (1 - added) + added
        paint[0][window] = paint[0][window] * (1 - added) + value * added
    return [
        Edit(
            layer,
            strength.clamp(0, 1),
            torch.where(strength > 0, paint / strength.clamp_min(1e-12), paint),
            "patches",
        )
        for layer, (strength, paint) in layers.items()
    ]


def cover_pixels(
    strokes: Iterable[Stroke],
    shapes: Mapping[str, Shape],
    size: tuple[int, int],
    off: Collection[tuple[str, int]] = (),
) -> tuple[Float32[Tensor, "y x"], Float32[Tensor, "y x"]]:
    """How strongly strokes cover the pixels of a picture, and how strongly the cells that they touch do.

    Of several strokes the strongest counts; those that move no unit do not.

    >>> stroke = Stroke("layer", (0,), Bitmap(4, 4, (5, 1, 10)))
    >>> [int(part.sum()) for part in cover_pixels([stroke], {"layer": (1, 2, 2)}, (4, 4))]
    [1, 4]
    """
    drawn, touched = torch.zeros(2, *size)
    for stroke in strokes:
        if all((stroke.layer, unit) in off for unit in stroke.units):
            continue
        _, *cells = shapes[stroke.layer]
        pooled = functional.interpolate(stroke.mask.pool((cells[0], cells[1]))[None, None], size)[0, 0]
        drawn = torch.maximum(drawn, stroke.mask.pool(size) * stroke.strength)
        touched = torch.maximum(touched, pooled * stroke.strength)
    return drawn, touched
