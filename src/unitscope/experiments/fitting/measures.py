"""How well directions fit: variance explained, latents that fire in a cell, latents that never do."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from unitscope.networks.directions.activations import Linear
from unitscope.networks.directions.directions import Directions

MEASURED = 65_536
"""So many cells are measured at most, by lot."""
_BLOCK = 2**22


@dataclass(frozen=True, eq=False)
class Fitted:
    """Directions, the cells at hand that they were fitted to, and what is known about the fit."""

    directions: Directions
    rows: Float32[Tensor, "cell unit"]
    about: dict[str, str]


def measure_fit(fitted: Fitted, seed: int, device: str) -> dict[str, str]:
    """What is measured on the cells that were fitted to, as texts by name.

    `explained` is 1 - sum |x - x^|^2 / sum |x - mean|^2 over at most `MEASURED` cells; where latents can be
    off, `l0` is how many of a cell are not 0, on average, and `dead` how many are above 0 in none.
    """
    made, rows = fitted.directions.to(device), fitted.rows
    chosen = torch.from_numpy(np.sort(np.random.default_rng([seed, 3]).permutation(len(rows))[:MEASURED]))
    mean = measure_mean(rows[chosen])[0].to(device)
    missed = whole = on = 0.0
    fired = torch.zeros(made.latents, dtype=torch.bool, device=device)
    for part in torch.split(chosen, max(1, _BLOCK // made.latents)):
        x = rows[part].to(device)
        z = made.encode(x)
        missed += float((x - made.decode(z, x)).double().square().sum())
        whole += float((x - mean).double().square().sum())
        on += float((z != 0).sum())
        fired |= (z > 0).any(0)
    found = {"explained": f"{1 - missed / whole:.4f}"} if whole else {}
    if not isinstance(made.activation, Linear):
        found |= {"l0": f"{on / len(chosen):.3f}", "dead": str(int((~fired).sum()))}
    return found | {"measured_on": f"{len(chosen)} of the cells"}


def measure_mean(rows: Float32[Tensor, "cell unit"]) -> tuple[Float32[Tensor, "unit"], float]:
    """The mean of every unit, and the root of the mean square of what is left, summed in double precision.

    >>> measure_mean(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    (tensor([2., 5.]), 0.7071067811865476)
    """
    total = torch.zeros(rows.shape[1], dtype=torch.float64)
    for part in torch.split(rows, MEASURED):
        total += part.double().sum(0)
    mean = total / len(rows)
    squares = 0.0
    for part in torch.split(rows, MEASURED):
        squares += float((part.double() - mean).square().sum())
    return mean.float(), (squares / rows.numel()) ** 0.5


def find_signs(scores: Float32[Tensor, "cell latent"]) -> Float32[Tensor, "latent"]:
    """1, or -1 where the lower tail of scores is the heavier one: the sign of their third moment."""
    signs: Tensor = (scores - scores.mean(0)).double().pow(3).mean(0).sign()
    return torch.where(signs == 0, 1.0, signs).float()
