"""Do units see in a picture's twin what they see in the picture? (paper B, supplement: shape and texture)

A twin shows the same things at the same places in another way: restyled, in other light, compressed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from jaxtyping import Float32, Float64, Int64

from unitscope.axes import Thresholds
from unitscope.concepts.unlabeled import gather_pictures
from unitscope.dissection.activations import Activations, read_activations
from unitscope.errors import UsageError, check_seed
from unitscope.networks.network import Network
from unitscope.results import Result
from unitscope.statistics.scan import Machine
from unitscope.statistics.twin_counts import (
    LargestCells,
    Packed,
    TwinCounts,
    count_twins,
    pack_masks,
)
from unitscope.tables import Table

CUTOFF = 0.1
"""The score by which paper B's code parts the units that keep their region from the others."""
COLUMNS = ("layer", "unit", "score", "iou", "crossed", "crossed_iou", "active", "twin_active")


@dataclass(frozen=True, eq=False)
class LayerTwins:
    """The units of one layer over pairs of a picture and its twin.

    `paired` counts the masks of pictures and of their own twins, `crossed`, the control, those of pictures
    and of others' twins. Each population has thresholds of its own, above which at most `quantile` of its
    cells lie: `thresholds` of the pictures, `twin_thresholds` of the twins.
    """

    layer: str
    map_size: tuple[int, int]
    quantile: float
    thresholds: Thresholds
    twin_thresholds: Thresholds
    paired: TwinCounts
    crossed: TwinCounts

    def __len__(self) -> int:
        return len(self.thresholds)

    @property
    def score(self) -> Float64[np.ndarray, "unit"]:
        """Of every unit i / (2 q - i), i the share of cells active in picture and twin, q the quantile."""
        return self.paired.score(self.quantile)

    @property
    def crossed_score(self) -> Float64[np.ndarray, "unit"]:
        """The same for pictures and the twins of other pictures: what a place in the picture alone gives."""
        return self.crossed.score(self.quantile)

    def figures(self) -> dict[str, Float64[np.ndarray, "unit"]]:
        """The columns of the table that have a number a unit."""
        pairs, others = self.paired, self.crossed
        found = (self.score, pairs.iou, self.crossed_score, others.iou)
        active = (pairs.first / pairs.cells, pairs.second / pairs.cells)
        return dict(zip(COLUMNS[2:], (*found, *active), strict=True))


@dataclass(frozen=True, eq=False)
class TwinAgreement(Result):
    """How far units are active at the same places in pictures and in their twins; made by `measure_twins`.

    The table has a row a unit: its `score` and the `iou` of its masks, both also for pictures and the twins
    of others (`crossed`), and the shares of cells where it is active.
    """

    layers: Mapping[str, LayerTwins]
    pictures: int
    quantile: float

    def __getitem__(self, layer: str) -> LayerTwins:
        return self.layers[layer]

    def tables(self) -> dict[str, Table]:
        """twins.csv: all units."""
        rows = [
            (name, unit, *map(float, values))
            for name, layer in self.layers.items()
            for unit, values in enumerate(zip(*layer.figures().values(), strict=True))
        ]
        return {"twins.csv": Table(COLUMNS, tuple(rows))}

    def text(self) -> str:
        """A row a layer: its median unit, and how many units have a score above `CUTOFF`."""
        rows = []
        for name, layer in self.layers.items():
            own, other = layer.score, layer.crossed_score
            shares = (f"{np.mean(one > CUTOFF):.0%}" for one in (own, other))
            middles = (f"{np.median(one):.3f}" for one in (own, other))
            rows.append((name, len(layer), *middles, *shares, int((layer.paired.first == 0).sum())))
        columns = (
            "layer",
            "units",
            "median",
            "with others' twins",
            f"above {CUTOFF}",
            "with others'",
            "dead",
        )
        return (
            f"{self.pictures} pictures and their twins, cells above the {1 - self.quantile:g} quantile\n\n"
            f"{Table(columns, tuple(rows)).text()}"
        )


def measure_twins(
    network: Network,
    pictures: object,
    twins: object,
    layers: Sequence[str],
    *,
    quantile: float = 0.01,
    draws: int = 4,
    seed: int = 0,
    machine: Machine = Machine(),  # noqa: B008 - frozen
) -> TwinAgreement:
    """Whether units are active at the same places in pictures and in their twins.

    Picture i and twin i are a pair; both are sources, or lists of pictures, as `read_activations` takes
    them. A unit's mask is where its map is above a threshold, cell by cell, without upsampling; thresholds
    are those of the `quantile` of all cells of the pictures, and of those of the twins: each population has
    its own, as in the code of paper B (supplement, shape and texture). The unit's score is i / (2 q - i),
    with i the share of cells active in both and q the quantile: the IoU of masks of exactly that size.
    As a control every picture is held against the twins of `draws` others, drawn by `seed`.

    What does not fit into an eighth of `machine.memory` is read twice, first for the thresholds. Raises
    `UsageError` for numbers out of range, for fewer than two pictures, for another number of twins, and where
    masks take more than `machine.memory`; else what `read_activations` raises.

    >>> from torch import nn
    >>> network = Network(nn.Sequential(nn.AvgPool2d(2)))
    >>> noise = np.random.default_rng(0).integers(0, 255, (3, 20, 20, 3), np.uint8)
    >>> found = measure_twins(network, list(noise), list(noise), ["0"])
    >>> found["0"].score.tolist(), bool(found["0"].crossed_score.max() < 0.5)
    ([1.0, 1.0, 1.0], True)
    """
    check_seed(seed)
    if not 0 < quantile < 1:
        raise UsageError(f"the quantile is {quantile:g}; wanted a share of the cells between 0 and 1")
    if draws < 1:
        raise UsageError(f"{draws} twins of others are no control; wanted 1 or more")
    sides = [gather_pictures(side) for side in (pictures, twins)]
    count, other = map(len, sides)
    if count != other or count < 2:
        raise UsageError(f"{count} pictures and {other} twins; wanted a twin each, and two pictures or more")
    read = [read_activations(network, side, layers, machine=machine) for side in sides]
    shapes = read[0].shapes
    size = 2 * sum(n * units * -(-y * x // 8) for n, units, y, x in shapes.values())
    if size > machine.memory:
        raise UsageError(
            f"the masks of {count} pairs take {size / 2**30:.1f} GB; give fewer pictures or layers, or allow "
            "more memory: Machine(memory=...)"
        )
    sides_read = [_read_side(one, quantile, machine.memory) for one in read]
    bounds, masks = ([side[part] for side in sides_read] for part in (0, 1))
    partners = draw_partners(count, draws, seed)
    found = {}
    for layer, (_, _, *cells) in shapes.items():
        first, second = (one[layer] for one in masks)
        counts = [count_twins(first, second[order], cells[0] * cells[1]) for order in partners]
        crossed = reduce(TwinCounts.merge, counts[1:])
        own, other_bounds = (given[layer] for given in bounds)
        size_of_map = (cells[0], cells[1])
        found[layer] = LayerTwins(layer, size_of_map, quantile, own, other_bounds, counts[0], crossed)
    return TwinAgreement(found, count, quantile)


def draw_partners(count: int, draws: int, seed: int) -> Int64[np.ndarray, "draw_and_one picture"]:
    """Whose twin each picture is held against: its own, then in every draw that of another.

    >>> bool((draw_partners(5, 3, 0)[1:] == np.arange(5)).any())
    False
    """
    rng = np.random.default_rng(seed)
    orders = [np.arange(count)]
    for _ in range(draws):
        circle = rng.permutation(count)
        order = np.empty(count, np.int64)
        order[circle] = np.roll(circle, 1)  # one circle through all: nobody is its own neighbor
        orders.append(order)
    return np.stack(orders)


Parts = Iterable[Mapping[str, Float32[np.ndarray, "image unit cell_y cell_x"]]]
"""Maps of all layers, some images after the other, as often as they are asked for."""


def _read_side(
    read: Activations, quantile: float, memory: int
) -> tuple[dict[str, Thresholds], dict[str, Packed]]:
    """Thresholds and masks of all layers over one side of the pairs."""
    size = sum(4 * int(np.prod(shape)) for shape in read.shapes.values())
    parts: Parts = [read.arrays()] if size <= memory // 8 else read
    thresholds = _find_thresholds(parts, read.shapes, quantile)
    return thresholds, _draw_masks(parts, thresholds)


def _find_thresholds(
    parts: Parts, shapes: Mapping[str, tuple[int, int, int, int]], quantile: float
) -> dict[str, Thresholds]:
    """The thresholds of all layers, in one pass."""
    found = {
        layer: LargestCells.start(units, images * y * x, quantile)
        for layer, (images, units, y, x) in shapes.items()
    }
    for part in parts:
        found = {layer: largest.add(part[layer]) for layer, largest in found.items()}
    return {layer: largest.threshold for layer, largest in found.items()}


def _draw_masks(parts: Parts, thresholds: Mapping[str, Thresholds]) -> dict[str, Packed]:
    """The masks of all layers, packed, in one pass."""
    found: dict[str, list[Packed]] = {layer: [] for layer in thresholds}
    for part in parts:
        for layer, maps in part.items():
            found[layer].append(pack_masks(maps, thresholds[layer]))
    return {layer: np.concatenate(masks) for layer, masks in found.items()}
