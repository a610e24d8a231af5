"""What is done to a cell before the encoder, and undone after the decoder, as values."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32
from torch import Tensor

Cells = Float[Tensor, "cell unit"]


@dataclass(frozen=True)
class Unchanged:
    """Nothing."""

    def apply(self, cells: Cells) -> Cells:
        return cells

    def undo(self, decoded: Cells, cells: Cells | None) -> Cells:
        return decoded


@dataclass(frozen=True)
class LayerNorm:
    """(x - m) / (s + epsilon), m and s a cell's mean and unbiased standard deviation; undone as r s + m."""

    epsilon: float = 1e-5

    def apply(self, cells: Cells) -> Cells:
        return (cells - cells.mean(1, keepdim=True)) / (cells.std(1, keepdim=True) + self.epsilon)

    def undo(self, decoded: Cells, cells: Cells | None) -> Cells:
        cells = _want(cells)
        return decoded * cells.std(1, keepdim=True) + cells.mean(1, keepdim=True)


@dataclass(frozen=True)
class ConstantNorm:
    """x sqrt(d) / |x|, for d units; undone as r |x| / sqrt(d). A cell of zeros stays as it is.

    >>> ConstantNorm().apply(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.8485, 1.1314],
            [0.0000, 0.0000]])
    """

    def apply(self, cells: Cells) -> Cells:
        size: Tensor = cells.norm(dim=1, keepdim=True)
        return cells / torch.where(size == 0, 1, size) * math.sqrt(cells.shape[1])

    def undo(self, decoded: Cells, cells: Cells | None) -> Cells:
        size: Tensor = _want(cells).norm(dim=1, keepdim=True)
        return decoded / math.sqrt(decoded.shape[1]) * size


@dataclass(frozen=True, eq=False)
class Standardized:
    """(x - mean) / scale, with a mean and a scale that are given; undone as r scale + mean."""

    mean: Float32[Tensor, "unit"]
    scale: float

    def apply(self, cells: Cells) -> Cells:
        return (cells - self.mean) / self.scale

    def undo(self, decoded: Cells, cells: Cells | None) -> Cells:
        return decoded * self.scale + self.mean


Normalization = Unchanged | LayerNorm | ConstantNorm | Standardized

NORMALIZATIONS: dict[str, type[Normalization]] = {
    "none": Unchanged,
    "layer-norm": LayerNorm,
    "constant-norm": ConstantNorm,
    "standardized": Standardized,
}
"""All of them, by the words that files have for them."""

OF_CELLS = (LayerNorm, ConstantNorm)
"""Those that are undone by the cells that they were applied to."""


def _want(cells: Cells | None) -> Cells:
    if cells is None:
        raise TypeError("the cells are wanted whose norm is undone")
    return cells
