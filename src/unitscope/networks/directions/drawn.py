"""Directions that nothing was learned for: rotations, an untrained autoencoder, the units themselves."""

import numpy as np
import torch
from jaxtyping import Float64
from torch.nn.functional import normalize

from unitscope.errors import UsageError, check_seed
from unitscope.networks.directions.activations import TopK
from unitscope.networks.directions.directions import Directions, make_directions


def draw_rotations(units: int, count: int, seed: int) -> Float64[np.ndarray, "basis unit unit"]:
    """Rotations drawn uniformly from SO(units), as in paper A, section 3.4.

    >>> one = draw_rotations(5, 1, seed=0)[0]
    >>> bool(np.allclose(one @ one.T, np.eye(5))), round(float(np.linalg.det(one)), 6)
    (True, 1.0)
    """
    rng = np.random.default_rng(seed)
    bases = []
    for _ in range(count):
        # The QR decomposition of normal numbers is uniform on O(n) once the signs of R's diagonal are fixed
        # (Mezzadri, Notices of the AMS 54, 2007); one mirrored axis then makes it a rotation.
        q, r = np.linalg.qr(rng.standard_normal((units, units)))
        q *= np.sign(np.diagonal(r))
        q[:, 0] *= np.sign(np.linalg.det(q))
        bases.append(q)
    return np.stack(bases)


def draw_rotation(units: int, seed: int) -> Directions:
    """As many directions at right angles as there are units: the first of `draw_rotations`.

    Raises `UsageError` for a seed below 0.

    >>> draw_rotation(4, seed=0)
    rotation: 4 latents of 4 units
    """
    check_seed(seed)
    return use_basis(draw_rotations(units, 1, seed)[0], "rotation", {"seed": str(seed)})


def use_basis(
    basis: Float64[np.ndarray, "unit unit"], kind: str = "rotation", about: dict[str, str] | None = None
) -> Directions:
    """The directions that the rows of an orthogonal basis are: z = basis x.

    >>> use_basis(np.array([[0.0, 1.0], [-1.0, 0.0]])).encode(torch.tensor([[3.0, 5.0]]))
    tensor([[ 5., -3.]])
    """
    rows = torch.from_numpy(basis.astype(np.float32))
    return make_directions(rows.T, rows, kind=kind, about=about)


def keep_units(units: int) -> Directions:
    """The units themselves, as directions.

    >>> keep_units(2).encode(torch.tensor([[0.25, -1.0]]))
    tensor([[ 0.2500, -1.0000]])
    """
    return make_directions(torch.eye(units), kind="identity")


def draw_sae(units: int, latents: int, k: int, seed: int) -> Directions:
    """An autoencoder that was never trained: unit directions drawn uniformly, the k largest kept in a cell.

    The control that a trained one needs: as many latents, as sparse, of nothing. Encoder and decoder are the
    same directions, and latents are never negative.

    Raises `UsageError` for a k that is none of 1 to `latents`, or a seed below 0.

    >>> draw_sae(4, latents=16, k=2, seed=0)
    random-sae: 16 latents of 4 units
    """
    check_seed(seed)
    if latents < 1:
        raise UsageError(f"{latents} latents are asked for; wanted 1 or more")
    drawn = np.random.default_rng(seed).standard_normal((latents, units))
    rows = normalize(torch.from_numpy(drawn), dim=1)
    about = {"seed": str(seed)}
    return make_directions(rows.T, rows, activation=TopK(k, relu=True), kind="random-sae", about=about)
