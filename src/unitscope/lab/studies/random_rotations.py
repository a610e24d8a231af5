"""Rotations of a layer's units: the bases that are compared, rotations in part, layers rotated and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from torch import Tensor, nn
from torch.nn import functional

from unitscope.errors import UsageError, missing_extra
from unitscope.networks.directions.drawn import draw_rotations, use_basis
from unitscope.networks.latents import read_latents
from unitscope.networks.network import Input, Network
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import hook_layer

Basis = Float64[np.ndarray, "unit unit"]


def draw_bases(units: int, rotations: int, seed: int) -> Float64[np.ndarray, "basis unit unit"]:
    """The basis of the units, then rotations of it."""
    return np.stack([np.eye(units), *draw_rotations(units, rotations, seed)])


def take_part(rotation: Basis, part: float) -> Basis:
    """The rotation Q^a, the part `a` of the shortest way from no rotation to Q (paper A, fig. 4).

    By the real Schur form Q = Z T Z', where T rotates planes by angles in (-pi, pi]: every angle is
    multiplied by a. Axes that Q mirrors are taken in pairs, as planes rotated by half a circle.

    Raises `UsageError` where `rotation` is none, or scipy is missing.

    >>> quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> np.allclose(take_part(quarter, 2.0), -np.eye(2)), np.allclose(take_part(quarter, 0.0), np.eye(2))
    (True, True)
    """
    n = len(rotation)
    if not np.allclose(rotation @ rotation.T, np.eye(n), atol=1e-8) or np.linalg.det(rotation) < 0:
        raise UsageError(
            "only a rotation can be taken in part: wanted orthogonal rows and a determinant of 1"
        )
    try:
        from scipy.linalg import schur
    except ImportError as error:
        raise missing_extra("scipy", "takes rotations in part", "studies") from error
    form, axes = schur(rotation, output="real")
    taken, mirrored, place = np.eye(n), [], 0
    while place < n:
        if place + 1 < n and abs(form[place + 1, place]) > 1e-12:
            angle = np.arctan2(form[place + 1, place], form[place, place])
            taken[place : place + 2, place : place + 2] = _rotate_plane(part * angle)
            place += 2
        else:
            if form[place, place] < 0:
                mirrored.append(place)
            place += 1
    for first, second in zip(mirrored[::2], mirrored[1::2], strict=True):
        taken[np.ix_([first, second], [first, second])] = _rotate_plane(part * np.pi)
    return np.asarray(axes @ taken @ axes.T)


def order_greedily(basis: Basis) -> Int64[np.ndarray, "unit"]:
    """For every unit the row of a basis that stands for it: the pair most alike first, then of what is left.

    Rows are unit vectors, so that their entries are cosines; of equal ones the first row, then the first
    unit. Network Dissection's code puts rotated units back in order so.

    >>> order_greedily(np.array([[0.0, 1.0], [-1.0, 0.0]])).tolist()
    [1, 0]
    """
    units = len(basis)
    found, taken = np.full(units, -1), np.zeros(units, bool)
    for place in np.argsort(-basis, axis=None, kind="stable").tolist():
        row, unit = divmod(place, units)
        if found[unit] < 0 and not taken[row]:
            found[unit], taken[row] = row, True
    return found


def _rotate_plane(angle: float) -> Float64[np.ndarray, "2 2"]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def pool_layer(network: Network, layer: str, side: int) -> Network:
    """The network with one layer more, `pooled`: another one averaged over `side` by `side` cells, beside it.

    Nothing downstream of that changes.
    """
    # No module averages: its cells would be followed to receptive fields, which the layer itself may lack.

    def run(both: nn.Module, batch: Input) -> Any:
        inner = replace(network, module=both.get_submodule("network"))

        def average(maps: Tensor, _layout: Layout) -> Tensor:
            both.get_submodule("pooled")(functional.avg_pool2d(maps, side))
            return maps

        with hook_layer(inner, layer, average):
            return inner.run(batch)

    both = nn.ModuleDict({"network": network.module, "pooled": nn.Identity()})
    return replace(network, module=both, forward=run)


@contextmanager
def rotated_and_back(network: Network, layer: str, rotation: Basis) -> Iterator[None]:
    """Within it, what leaves the layer has been rotated and rotated back: only rounding is left of it.

    The network is as it was afterwards, also after an error. Raises what `hook_layer` raises.
    """
    there, back = use_basis(rotation), use_basis(rotation.T)

    def rotate(maps: Tensor, _layout: Layout) -> Tensor:
        return read_latents(back, read_latents(there, maps))

    with hook_layer(network, layer, rotate):
        yield
