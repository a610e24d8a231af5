"""Latents by hand, cell by cell in float64, against what is read from files of autoencoders."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unitscope.networks.directions.directions import Directions
from unitscope.networks.directions.open_directions import open_directions

UNITS, LATENTS, CELLS = 6, 20, 30

Vector = np.ndarray


@contextmanager
def library(home: str, *things: Any) -> Iterator[None]:
    """Inside the block there is a module `home` that has these classes and functions; nowhere else."""
    names = [".".join(home.split(".")[: depth + 1]) for depth in range(home.count(".") + 1)]
    for name in names:
        sys.modules[name] = ModuleType(name)
    for thing in things:
        thing.__module__ = home
        setattr(sys.modules[home], thing.__name__, thing)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def draw(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


CELLS_DRAWN = draw(99, CELLS, UNITS) * 2 + 0.5


def weights(**more: Tensor) -> dict[str, Tensor]:
    """As most libraries call them."""
    return {
        "W_enc": draw(1, UNITS, LATENTS),
        "b_enc": draw(2, LATENTS),
        "W_dec": draw(3, LATENTS, UNITS),
        "b_dec": draw(4, UNITS),
        **more,
    }


def relu(h: Vector) -> Vector:
    return np.maximum(h, 0)


def above(h: Vector, threshold: Vector | float) -> Vector:
    return np.where(h > threshold, h, 0)


def largest(h: Vector, k: int) -> Vector:
    kept = np.zeros_like(h)
    places = np.argsort(-h, kind="stable")[:k]
    kept[places] = h[places]
    return kept


def numbers(state: dict[str, Tensor]) -> dict[str, Vector]:
    return {key: value.double().numpy() for key, value in state.items()}


def check(
    place: Path | str,
    encode: Callable[[Vector], Vector],
    decode: Callable[[Vector, Vector], Vector],
    kind: str,
    **given: Any,
) -> Directions:
    """The latents of the file are those of `encode(x)`, the same ones 0; they stand for `decode(z, x)`."""
    made = open_directions(str(place), units=UNITS, **given)
    assert made.kind == kind
    latents = made.encode(CELLS_DRAWN)
    rebuilt = made.decode(latents, CELLS_DRAWN)
    for cell, found, back in zip(CELLS_DRAWN.double().numpy(), latents.numpy(), rebuilt.numpy(), strict=True):
        z = encode(cell)
        assert np.abs(found - z).max() < 1e-5
        assert ((found != 0) == (z != 0)).all()
        assert np.allclose(back, decode(z, cell), atol=1e-4)
    assert 0.05 < float((latents != 0).float().mean()) < 0.95
    return made
