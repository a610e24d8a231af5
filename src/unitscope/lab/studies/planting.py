"""Units whose meaning is known: planted from exact masks, then degraded in one way at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import nn

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.networks.network import Input, Network, Preprocessing
from unitscope.progress import follow_each

LAYER = "planted"
JITTER = 0.02
"""Noise of every planted unit, in units of its signal: real activations have no ties."""

Maps = Float32[np.ndarray, "image unit y x"]


@dataclass(frozen=True)
class Degradation:
    """A way to make a planted unit worse, and how much.

    `strength` is the standard deviation of white noise in units of the signal, the standard deviation of a
    Gaussian blur in cells, the number of cells a side (resolution), the fraction of the images with the
    concept in which the unit fires (coverage), or the weight of the other concept (mixture).
    """

    kind: str
    strength: float


DEGRADATIONS: dict[str, tuple[float, ...]] = {
    "noise": (0.0, 0.1, 0.25, 0.5, 1.0),
    "blur": (0.0, 0.5, 1.0, 2.0, 4.0),
    "resolution": (32.0, 16.0, 8.0, 4.0, 2.0),
    "coverage": (1.0, 0.5, 0.25, 0.1, 0.05),
    "mixture": (0.0, 0.2, 0.4, 0.6, 0.8),
}
"""The strengths that are tried; the first of each is as good as none, but resolution: see `CELLS`."""

CELLS = 16
"""Cells a side of all planted units but those that are degraded in resolution."""


class PlantedNetwork(Network):
    """A network whose layer `planted` gives stored maps, whatever the image."""

    def __init__(self, maps: Maps, size: tuple[int, int]) -> None:
        module = nn.Sequential()
        module.add_module(LAYER, nn.Identity())
        super().__init__(module, Preprocessing(size), (), "planted units")
        object.__setattr__(self, "maps", torch.from_numpy(maps))

    maps: torch.Tensor

    def feed(self, images: UInt8[np.ndarray, "n y x 3"], first: int, device: str = "cpu") -> Input:
        """The maps of the images number `first` and on."""
        return (self.maps[first : first + len(images)].to(device),)

    def blank(self, size: tuple[int, int] | None = None) -> Input:
        """The maps of the first image."""
        return (self.maps[:1],)


@dataclass(frozen=True, eq=False)
class Truth:
    """Where every concept is: the fraction of each of 32 by 32 cells that it covers, by image.

    `cover[c, i]` belongs to concept `ids[c]`; `present[c, i]` says whether image i holds it at all.
    """

    ids: Int64[np.ndarray, "concept"]
    cover: Float32[np.ndarray, "concept image 32 32"]

    @property
    def present(self) -> np.ndarray:
        """bool[concept, image]."""
        return np.asarray(self.cover.any((2, 3)))


def read_truth(source: ConceptSource, *, least: float = 0.002, most: float = 0.2, images: int = 8) -> Truth:
    """The concepts that cover between `least` and `most` of all pixels, and are in `images` or more.

    The sides of the images must be divisible by 32.
    """
    planes = [source[i].planes for i in follow_each(range(len(source)), "reading labels")]
    counts = np.zeros(source.vocabulary.size, np.int64)
    holding = np.zeros(source.vocabulary.size, np.int64)
    for some in planes:
        found = np.bincount(some.reshape(-1), minlength=source.vocabulary.size)
        counts += found
        holding += found > 0
    share = counts / (len(planes) * planes[0][0].size)
    fitting = (share >= least) & (share <= most) & (holding >= images)
    ids = np.flatnonzero(fitting & (np.arange(source.vocabulary.size) > 0))
    cover = np.zeros((len(ids), len(planes), 32, 32), np.float32)
    for image, some in enumerate(planes):
        for place, concept in enumerate(ids):
            if np.any(here := np.any(some == concept, axis=0)):
                cover[place, image] = _shrink(here.astype(np.float32), 32)
    return Truth(ids, cover)


def plant(truth: Truth, how: Degradation, seed: int) -> Maps:
    """One unit a concept, degraded: float32[image, unit, y, x].

    An undegraded unit is the fraction of each cell that its concept covers, plus a little noise.
    """
    rng = np.random.default_rng(seed)
    cells = int(how.strength) if how.kind == "resolution" else CELLS
    signal = truth.cover
    if how.kind == "coverage":
        # At least one image is left to every unit.
        keep = (rng.random(truth.present.shape) < how.strength) & truth.present
        first = truth.present.argmax(1)
        keep[np.arange(len(keep)), first] |= ~keep.any(1)
        signal = signal * keep[:, :, None, None]
    if how.kind == "mixture":
        other = signal[partners(truth, seed)]
        signal = (1 - how.strength) * signal + how.strength * other
    maps = _shrink(signal, cells).transpose(1, 0, 2, 3)
    if how.kind == "blur" and how.strength > 0:
        maps = _blur(maps, how.strength)
    scale = maps.max((0, 2, 3), keepdims=True)
    noise = JITTER + (how.strength if how.kind == "noise" else 0.0)
    grain = rng.standard_normal(maps.shape, np.float32)
    return np.asarray(maps + noise * np.maximum(scale, 1e-6) * grain, np.float32)


def partners(truth: Truth, seed: int) -> Int64[np.ndarray, "concept"]:
    """For every concept another one, to be mixed with it."""
    order = np.random.default_rng(seed + 1).permutation(len(truth.ids))
    result = np.empty_like(order)
    result[order] = np.roll(order, 1)
    return result


def plant_nothing(images: int, units: int, seed: int) -> Maps:
    """Units that know nothing of any concept: smooth noise, stronger in some images than in others."""
    rng = np.random.default_rng(seed)
    maps = _blur(rng.standard_normal((images, units, CELLS, CELLS), np.float32), 1.5)
    return np.asarray(maps * rng.gamma(1.0, size=(images, units, 1, 1)), np.float32)


def list_degradations() -> Iterator[Degradation]:
    """Every way at every strength."""
    for kind, strengths in DEGRADATIONS.items():
        for strength in strengths:
            yield Degradation(kind, strength)


def _shrink(maps: np.ndarray, cells: int) -> np.ndarray:
    """The mean over blocks, `cells` a side."""
    *front, height, width = maps.shape
    blocks = maps.reshape(*front, cells, height // cells, cells, width // cells)
    mean: np.ndarray = blocks.mean((-3, -1))
    return mean


def _blur(maps: np.ndarray, deviation: float) -> np.ndarray:
    """A Gaussian blur along both axes, edges repeated."""
    reach = max(1, round(3 * deviation))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (-2, -1):
        edge = [(0, 0)] * maps.ndim
        edge[axis] = (reach, reach)
        wide = np.pad(maps, edge, mode="edge")
        size = maps.shape[axis]
        parts = (
            weight * np.take(wide, range(k, k + size), axis) for k, weight in enumerate(weights.tolist())
        )
        maps = np.asarray(sum(parts), np.float32)
    return maps
