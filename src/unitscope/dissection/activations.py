"""What layers give for pictures, exactly as a dissection sees it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from unitscope.concepts.unlabeled import gather_pictures
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.arguments import Fit, check_asked
from unitscope.dissection.batches import settle_passes
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.planning import plan_scan
from unitscope.errors import UsageError
from unitscope.networks.borrowing import placed
from unitscope.networks.generators import check_source
from unitscope.networks.network import Network
from unitscope.networks.trace import tap
from unitscope.networks.verdicts import check_places
from unitscope.progress import follow
from unitscope.statistics.scan import Batch, Machine, ScanPlan, load_batches, read_maps
from unitscope.statistics.threads import open_pool, open_threads


@dataclass(frozen=True, eq=False)
class Activations:
    """The activations of some layers on pictures, which are read as they are asked for.

    Iterated, it gives the pictures in batches: the arrays of each by layer. `arrays()` gives all at once.
    `len()` is the number of pictures, `shapes` what `arrays()` will have.
    """

    network: Network
    source: ConceptSource
    plan: ScanPlan
    machine: Machine

    @property
    def shapes(self) -> dict[str, tuple[int, int, int, int]]:
        """By layer (images, units, rows, columns)."""
        return {layer: (len(self), tail.units, *tail.raw_size) for layer, tail in self.plan.tails.items()}

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[dict[str, Float32[np.ndarray, "image unit cell_y cell_x"]]]:
        for _, maps in read_batches(self.network, self.source, self.plan, self.machine):
            # Copies: some networks write every pass into the same memory.
            yield {layer: np.array(one.cpu().numpy()) for layer, one in maps.items()}

    def arrays(self) -> dict[str, Float32[np.ndarray, "image unit cell_y cell_x"]]:
        """All activations by layer, float32[image, unit, row, column].

        Raises `UsageError` where they take more than `machine.memory`.
        """
        size = sum(4 * int(np.prod(shape)) for shape in self.shapes.values())
        if size > self.machine.memory:
            raise UsageError(
                f"the activations of {len(self)} images take {size / 2**30:.1f} GB; iterate over them, read "
                "fewer layers or images, or allow more memory: Machine(memory=...)"
            )
        found = {layer: np.empty(shape, np.float32) for layer, shape in self.shapes.items()}
        start = 0
        for part in self:
            stop = start + len(next(iter(part.values())))
            for layer, maps in part.items():
                found[layer][start:stop] = maps
            start = stop
        return found


def read_activations(
    network: Network,
    images: object,
    layers: Sequence[str],
    *,
    size: int | tuple[int, int] | None = None,
    fit: Fit = "stretch",
    batch_size: int | None = None,
    machine: Machine = Machine(),  # noqa: B008 - frozen
    trust_layout: bool = False,
) -> Activations:
    """The activations of layers on pictures, float32[image, unit, row, column], as `dissect` sees them.

    `images` is a source, also one without concepts, or a list of pictures: uint8[y, x, 3], PIL images, or
    paths of files. `layers`, `size`, `fit`, `batch_size`, `machine` and `trust_layout` are those of
    `dissect`; rows and columns are the cells of a layer's map, 1 x 1 for flat features. Nothing is kept in
    memory while you iterate; `arrays()` gives all at once.

    Raises `UsageError`, `SourceError` or `NetworkError` at once where that can be known, while reading
    `SourceError` for a picture that cannot be read, `ActivationError` for activations that are not finite.

    >>> from torch import nn
    >>> network = Network(nn.Sequential(nn.AvgPool2d(4)))
    >>> found = read_activations(network, [np.full((8, 8, 3), 255, np.uint8)], ["0"])
    >>> found.shapes
    {'0': (1, 3, 2, 2)}
    >>> [part["0"].max().item() for part in found], found.arrays()["0"].dtype
    ([1.0], dtype('float32'))
    """
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}; it must be 1 or more")
    source = gather_pictures(images)
    check_source(network, source)
    check_asked(network, source, layers, fit)
    # Masks are not drawn: any convention will do, and one without receptive fields is quick.
    with placed(network, machine.device):
        plan, _, places = plan_scan(network, source, layers, CONVENTIONS["pnas"], {}, size, fit)
    check_places(network.name, places, trust_layout)
    return Activations(network, source, settle_passes(network, plan, machine, batch_size), machine)


def read_batches(
    network: Network, source: ConceptSource, plan: ScanPlan, machine: Machine
) -> Iterator[tuple[Batch, dict[str, Tensor]]]:
    """The batches of a scan, in the same order and of the same size, with the maps of every layer."""
    images = len(source)
    with (
        placed(network, machine.device),
        tap(network, tuple(plan.tails), checked=True) as read,
        open_threads(machine.threads) as threads,
        open_pool(threads.count) as loaders,
        follow(images, "read") as work,
    ):
        for start in range(0, images, plan.shard_size):
            span = range(start, min(start + plan.shard_size, images))
            for batch in load_batches(source, plan, span, loaders, 2 * plan.batch_size):
                yield batch, dict(read_maps(network, read, plan, batch, machine))
                work.update(len(batch.keys))
