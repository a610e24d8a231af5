"""Which unit of one generator stands for which of another? Units in pairs, by the same latents."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch.nn import functional

from unitscope.errors import missing_extra
from unitscope.networks.generators import Generator
from unitscope.networks.trace import tap
from unitscope.networks.unit_maps import read_units

SIDE = 16
"""Maps are read at so many cells a side at most, averaged: all layers alike but the first, which has 8."""
_BATCH = 20

Maps = Float32[np.ndarray, "image unit cell"]


@dataclass(frozen=True, eq=False)
class Pairing:
    """Units of one layer in pairs: `partner[u]` is the unit of the other network that stands for unit u.

    `correlation` is that of each pair over all cells of images that chose no pair; `other` the same with
    other images of the other network, of the same kind of scene. `by_lot` is the mean over all pairs that
    there could be.
    """

    partner: Int64[np.ndarray, "unit"]
    correlation: Float64[np.ndarray, "unit"]
    other: Float64[np.ndarray, "unit"]
    by_lot: float

    @property
    def itself(self) -> float:
        """The share of units whose partner has their own number."""
        return float((self.partner == np.arange(len(self.partner))).mean())


def read_maps(generator: Generator, layers: tuple[str, ...], count: int) -> dict[str, Maps]:
    """The maps of some layers for images 0 to `count` - 1. Raises what `tap` raises."""
    found: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    with tap(generator, layers) as read:
        for start in range(0, count, _BATCH):
            batch = generator.inputs(start, min(_BATCH, count - start))
            for layer, raw in read(batch).items():
                maps = read_units(raw, generator.layout(batch), layer).float()
                side = min(SIDE, maps.shape[-1])
                found[layer].append(functional.adaptive_avg_pool2d(maps, side).flatten(2).cpu().numpy())
    return {layer: np.concatenate(some) for layer, some in found.items()}


def correlate(one: Maps, other: Maps) -> Float64[np.ndarray, "unit other"]:
    """The correlation of every unit with every other over images and cells; 0 for a unit that never changes.

    >>> maps = np.array([[[0.0, 1.0], [1.0, 0.0]]], np.float32)
    >>> correlate(maps, maps).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    first, second = (_standardize(some) for some in (one, other))
    return np.asarray((torch.from_numpy(first) @ torch.from_numpy(second).T).numpy() / first.shape[1])


def _standardize(maps: Maps) -> Float64[np.ndarray, "unit value"]:
    rows = np.moveaxis(maps, 1, 0).reshape(maps.shape[1], -1).astype(np.float64)
    rows -= rows.mean(1, keepdims=True)
    size = rows.std(1, keepdims=True)
    return np.asarray(np.divide(rows, size, out=np.zeros_like(rows), where=size > 1e-12))


def pair_units(one: Maps, other: Maps, kinds: int) -> Pairing:
    """Pairs units one to one so that their correlations have the largest sum (`linear_sum_assignment`).

    Images of even numbers choose the pairs, those of odd numbers say how alike they are. Both networks read
    the same latents, and image i is of kind i modulo `kinds`, an odd number. Raises `UsageError` where scipy
    is missing.

    >>> maps = np.random.default_rng(0).normal(size=(20, 3, 4)).astype(np.float32)
    >>> pairing = pair_units(maps, maps[:, [2, 0, 1]], kinds=5)
    >>> pairing.partner.tolist(), pairing.correlation.round(6).tolist()
    ([1, 2, 0], [1.0, 1.0, 1.0])
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise missing_extra("scipy", "pairs units", "studies") from error
    _, partner = linear_sum_assignment(correlate(one[::2], other[::2]), maximize=True)
    held, rest = correlate(one[1::2], other[1::2]), other[1::2]
    # Every second image of an odd number of kinds goes through the kinds too, in another order.
    moved = correlate(one[1::2], np.roll(rest, kinds, axis=0))
    units = np.arange(len(partner))
    return Pairing(partner, held[units, partner], moved[units, partner], float(held.mean()))


def agree(one: list[str], other: list[str], pairing: Pairing) -> tuple[float, float]:
    """The share of named units whose partner has the same name, and that of partners by lot.

    A name is that of the concept that a unit detects; "" is none. NaN where no unit has a name.

    >>> pairing = Pairing(np.array([1, 0]), np.zeros(2), np.zeros(2), 0.0)
    >>> agree(["tree", "sky"], ["sky", "car"], pairing)
    (0.5, 0.25)
    """
    named = [unit for unit, name in enumerate(one) if name]
    if not named:
        return float("nan"), float("nan")
    same = [one[unit] == other[pairing.partner[unit]] for unit in named]
    lot = [other.count(one[unit]) / len(other) for unit in named]
    return float(np.mean(same)), float(np.mean(lot))
