"""Rotations of a layer's units: drawn uniformly, taken in part, and read beside the units in one pass."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn import functional

from unitscope.errors import UsageError, missing_extra
from unitscope.networks.directions.drawn import draw_rotations

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


def _rotate_plane(angle: float) -> Float64[np.ndarray, "2 2"]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


class Bases(nn.Module):
    """A module whose layer can be read in other bases: `bases.K` gives its maps rotated by basis number K.

    With `pool` above 1 the maps are first averaged over so many by so many cells. The layer itself is left as
    it is: nothing downstream of it changes, and the module is hooked only while it runs.
    """

    def __init__(
        self, module: nn.Module, layer: str, bases: Float64[np.ndarray, "basis unit unit"], pool: int = 1
    ) -> None:
        super().__init__()
        self.module, self.layer, self.pool = module, layer, pool
        self.bases = nn.ModuleList(_Basis(basis) for basis in bases)

    def forward(self, *inputs: Any) -> Any:
        """What the module gives."""
        with self.reading():
            return self.module(*inputs)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Inside the block, what the layer gives enters the bases."""

        def read(output: Tensor) -> None:
            maps = functional.avg_pool2d(output, self.pool) if self.pool > 1 else output
            for basis in self.bases:
                basis(maps)

        with _hooked(self.module, self.layer, read):
            yield


class _Basis(nn.Module):
    def __init__(self, basis: Basis) -> None:
        super().__init__()
        self.plain = bool(np.array_equal(basis, np.eye(len(basis))))
        self.register_buffer("basis", torch.from_numpy(basis.astype(np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        # The units themselves are read as they are, to the bit.
        return x.clone() if self.plain else _rotate_maps(self.get_buffer("basis"), x)


def _rotate_maps(
    basis: Float[Tensor, "unit unit"], maps: Float[Tensor, "n unit y x"]
) -> Float[Tensor, "n unit y x"]:
    return functional.conv2d(maps, basis[:, :, None, None]).contiguous()


@contextmanager
def rotated_and_back(module: nn.Module, layer: str, rotation: Basis) -> Iterator[None]:
    """Within it, what leaves the layer has been rotated and rotated back: only rounding is left of it.

    The module is as it was afterwards, also after an error.
    """
    basis = torch.from_numpy(rotation.astype(np.float32))

    def rotate(output: Tensor) -> Tensor:
        return _rotate_maps(basis.T.contiguous(), _rotate_maps(basis, output))

    with _hooked(module, layer, rotate):
        yield


@contextmanager
def _hooked(module: nn.Module, layer: str, change: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """Within it, `change` gets what leaves the layer, `NAME#2` the second time that NAME is called."""
    name, _, number = layer.partition("#")
    wanted, calls = int(number or 1), 0

    def hook(_module: nn.Module, _args: object, output: Tensor) -> Tensor | None:
        nonlocal calls
        calls += 1
        return change(output) if calls == wanted or not number else None

    handle = module.get_submodule(name).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
