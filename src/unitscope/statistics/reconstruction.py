"""How much of cells is lost where directions rebuild them: a mergeable statistic."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Sums over cells: their number, squared errors, the cells themselves and their squares."""

    cells: int
    error: float
    sums: Float64[np.ndarray, "unit"]
    squares: float

    def merge(self, other: "Reconstruction") -> "Reconstruction":
        """The sums over the cells of both, which rounding alone makes depend on their order."""
        return Reconstruction(
            self.cells + other.cells,
            self.error + other.error,
            self.sums + other.sums,
            self.squares + other.squares,
        )

    @property
    def nmse(self) -> float:
        """Squared error over squared distance to the mean of all cells; NaN where they are all the same."""
        spread = self.squares - float(self.sums @ self.sums) / max(self.cells, 1)
        return self.error / spread if spread > 0 else float("nan")


def measure_reconstruction(
    cells: Float[Tensor, "cell unit"], rebuilt: Float[Tensor, "cell unit"]
) -> Reconstruction:
    """The sums over some cells, in double precision.

    >>> import torch
    >>> cells = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    >>> measure_reconstruction(cells, torch.ones(2, 2)).nmse
    1.0
    """
    exact = cells.double()
    error = float(((exact - rebuilt.double()) ** 2).sum())
    return Reconstruction(len(cells), error, exact.sum(0).cpu().numpy(), float((exact**2).sum()))
