"""Components of cells as directions: principal, independent, non-negative."""

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from unitscope.errors import UsageError, missing_extra
from unitscope.experiments.fitting.asked import Asked
from unitscope.experiments.fitting.cells import Cells
from unitscope.experiments.fitting.measures import Fitted, find_signs
from unitscope.experiments.fitting.unfinished import Unfinished
from unitscope.networks.directions.activations import NonNegative
from unitscope.networks.directions.directions import make_directions
from unitscope.progress import LOGGER

NMF_STEPS = 30
"""Multiplicative updates by which a cell is encoded in non-negative components."""
_MOST_ROUNDS = 500
_PART = 65_536


def fit_pca(cells: Cells, asked: Asked, begun: Unfinished) -> Fitted:
    """The principal components of all cells: orthonormal, that of the largest variance first.

    They are eigenvectors of the covariance, which is summed over the turns in double precision, so that
    memory does not grow with the cells. z = (x - mean) components', x^ = z components + mean; of both signs
    of a component the one whose upper tail is heavier (`find_signs`). Raises what `Cells.load` raises.
    """
    kept, done = begun.load()
    sums = kept or {
        "near": torch.zeros(cells.units),
        "total": torch.zeros(cells.units, dtype=torch.float64),
        "products": torch.zeros(cells.units, cells.units, dtype=torch.float64),
    }
    rows = None
    for turn in range(min(done, cells.rounds - 1), cells.rounds):
        rows = None  # its memory is that of the next
        rows = cells.load(turn)
        if turn < done:  # summed before; its cells are wanted for their signs
            continue
        if turn == 0:  # products of what is near 0 lose no digits
            sums["near"] = rows[:_PART].mean(0)
        for part in torch.split(rows, _PART):
            centered = part.double() - sums["near"]
            sums["total"] += centered.sum(0)
            sums["products"] += centered.T @ centered
        begun.save(sums, turn + 1)
    assert rows is not None
    shift = sums["total"] / len(cells)
    _, vectors = torch.linalg.eigh(sums["products"] / len(cells) - torch.outer(shift, shift))
    components = vectors.T.flip(0)[: asked.latents].float()
    mean = (sums["near"] + shift).float()
    components *= find_signs((rows[:_PART] - mean) @ components.T)[:, None]
    made = make_directions(components.T, components, subtracted=mean, offset=mean, kind="pca")
    return Fitted(made, rows, {})


def fit_ica(cells: Cells, asked: Asked, begun: Unfinished) -> Fitted:
    """Independent components by FastICA of scikit-learn, each of variance 1.

    z = (x - mean) W', x^ = z A + mean, with W the unmixing matrix and A the mixing one; of both signs of a
    component the one whose upper tail is heavier (`find_signs`). Raises `UsageError` where scikit-learn is
    missing, and what `Cells.load` raises.
    """
    decomposition, rows = import_decomposition(), cells.load(0)
    model = decomposition.FastICA(
        asked.latents, whiten="unit-variance", random_state=asked.seed, max_iter=_MOST_ROUNDS
    )
    converged = _fit(model.fit, rows.numpy(), asked)
    unmixing, mixing, mean = (_take(one) for one in (model.components_, model.mixing_.T, model.mean_))
    if not (unmixing.isfinite().all() and mixing.isfinite().all()):
        raise UsageError(
            f"the cells of {cells.layer} vary in fewer than {asked.latents} directions; ask for fewer latents"
        )
    signs = find_signs((rows[:_PART] - mean) @ unmixing.T)[:, None]
    made = make_directions((unmixing * signs).T, mixing * signs, subtracted=mean, offset=mean, kind="ica")
    return Fitted(made, rows, {"converged": converged})


def fit_nmf(cells: Cells, asked: Asked, begun: Unfinished) -> Fitted:
    """A non-negative matrix factorization by scikit-learn: cells near z H with z, H >= 0.

    Rows of H have length 1. A cell is encoded by a small solve of its own: 30 multiplicative updates of z
    from a fixed start, max(x H', 0) (`NonNegative`). x^ = z H.

    Raises `UsageError` where scikit-learn is missing or cells have values below 0, and what `Cells.load`
    raises.
    """
    decomposition = import_decomposition()
    check_signs(cells)
    rows = cells.load(0)
    _refuse_below(rows, cells.layer)
    if not rows.any():
        raise UsageError(f"all values of {cells.layer} are 0; there is nothing to factorize")
    model = decomposition.NMF(asked.latents, init="nndsvda", random_state=asked.seed, max_iter=_MOST_ROUNDS)
    converged = _fit(model.fit, rows.numpy(), asked)
    parts = torch.nn.functional.normalize(_take(model.components_), dim=1)
    activation = NonNegative(parts @ parts.T, NMF_STEPS)
    made = make_directions(parts.T, parts, activation=activation, kind="nmf")
    return Fitted(made, rows, {"converged": converged, "updates": str(NMF_STEPS)})


def check_signs(cells: Cells) -> None:
    """Raises `UsageError` where cells of the first images have values below 0, before all are read."""
    first = next(iter(cells.found))[cells.layer]
    _refuse_below(torch.from_numpy(first), cells.layer)


def _refuse_below(values: Tensor, layer: str) -> None:
    below = float((values < 0).float().mean())
    if below:
        raise UsageError(
            f"{100 * below:.3g} % of the values of {layer} are below 0, and nmf wants none; take a layer "
            "after a ReLU, or pca or ica"
        )


def _fit(fit: Callable[[Any], object], rows: Float32[np.ndarray, "cell unit"], asked: Asked) -> str:
    """Fits; yes or no: whether it came to an end. What scikit-learn warns of besides is warned of."""
    LOGGER.info("%s: %s of %s cells", asked.kind, f"{asked.latents:,} components", f"{len(rows):,}")
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fit(rows)
    converged = "yes"
    for one in told:
        if issubclass(one.category, ConvergenceWarning):
            converged = "no"
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if converged == "no":
        LOGGER.info("%s had not converged after %d rounds", asked.kind, _MOST_ROUNDS)
    return converged


def _take(array: Float32[np.ndarray, "*axes"] | Float64[np.ndarray, "*axes"]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def import_decomposition() -> ModuleType:
    """What finds components. Raises `UsageError` where scikit-learn is missing."""
    try:
        from sklearn import decomposition
    except ImportError as error:
        raise missing_extra("scikit-learn", "finds components", "directions") from error
    module: ModuleType = decomposition
    return module
