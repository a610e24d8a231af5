"""What units answer to whole images: their maps, or tokens, as one number an image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from unitscope.axes import Picture
from unitscope.concepts.derived import DerivedSource
from unitscope.concepts.frames import show_bands
from unitscope.concepts.vocabulary import ConceptSource, Example, Vocabulary
from unitscope.dissection.arguments import Fit
from unitscope.dissection.batches import settle_passes
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.planning import plan_scan
from unitscope.errors import UsageError
from unitscope.networks.borrowing import placed
from unitscope.networks.failures import tell_not_finite
from unitscope.networks.generators import check_source
from unitscope.networks.network import Network
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import tap
from unitscope.networks.unit_maps import read_others, read_units
from unitscope.progress import follow
from unitscope.statistics.scan import (
    Machine,
    ScanPlan,
    feed_batch,
    load_batches,
    pass_fed,
)
from unitscope.statistics.threads import open_pool, open_threads

Pool = Literal["mean", "max", "class"]
Responses = Float32[np.ndarray, "image unit"]
Look = Callable[[Sequence[UInt8[np.ndarray, "y x 3"]]], None]

_SPOKEN = {"mean": "mean", "max": "maximum"}


@dataclass(frozen=True)
class Pooled:
    """What the units of some layers answer to images, and by layer in words what was pooled."""

    responses: Mapping[str, Responses]
    ways: Mapping[str, str]


def check_pool(pool: str) -> None:
    """Raises `UsageError` for a way to pool that is not known."""
    if pool not in get_args(Pool):
        raise UsageError(f"pool is {pool!r}; it is one of {', '.join(get_args(Pool))}")


def read_pooled(
    network: Network,
    source: ConceptSource,
    layers: Sequence[str],
    pool: Pool = "mean",
    *,
    fit: Fit = "stretch",
    batch_size: int | None = None,
    machine: Machine = Machine(),  # noqa: B008 - frozen
    look: Look | None = None,
) -> Pooled:
    """One number an image and unit, float32, from one pass: the mean of the unit's map, its maximum, or
    what it is in the class token.

    Maps of tokens are those of the patches, without class tokens and registers. Flat features are taken as
    they are. `look` is given the pictures too, as 8-bit RGB of their own size, in their order: another
    network may see them while they are there.

    Raises `UsageError` for `pool="class"` of a layer without a class token, and what
    `unitscope.read_activations` raises.

    >>> from torch import nn
    >>> from unitscope.concepts.unlabeled import gather_pictures
    >>> grays = gather_pictures([np.full((8, 8, 3), gray, np.uint8) for gray in (0, 255)])
    >>> found = read_pooled(Network(nn.Sequential(nn.AvgPool2d(4))), grays, ["0"])
    >>> found.responses["0"].tolist(), found.ways
    ([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], {'0': 'mean of the map'})
    """
    check_pool(pool)
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}; it must be 1 or more")
    check_source(network, source)
    seen = _Seen(source)
    # Masks are not drawn: any convention will do, and one without receptive fields is quick.
    with placed(network, machine.device):
        plan, _, _ = plan_scan(network, seen, layers, CONVENTIONS["pnas"], {}, None, fit)
        ways = _find_ways(network, plan, pool)
    plan = settle_passes(network, plan, machine, batch_size)
    found = {layer: np.empty((len(source), tail.units), np.float32) for layer, tail in plan.tails.items()}
    with (
        placed(network, machine.device),
        tap(network, tuple(plan.tails), checked=True) as read,
        open_threads(machine.threads) as threads,
        open_pool(threads.count) as loaders,
        follow(len(source), "read") as work,
    ):
        for batch in load_batches(seen, plan, range(len(source)), loaders, 2 * plan.batch_size):
            fed, count = feed_batch(network, plan, batch, machine), len(batch.keys)
            for layer, raw in pass_fed(network, read, plan, fed, machine).items():
                units = _pool(raw[:count], network.layout(fed), layer, pool)
                if not torch.isfinite(units).all():
                    raise tell_not_finite(units[..., None, None], layer, batch.keys)
                found[layer][batch.first : batch.first + count] = units.cpu().numpy()
            pictures = seen.take(batch.first, count)
            if look is not None:
                look([show_bands(picture) for picture in pictures])
            work.update(count)
    return Pooled(found, ways)


def _find_ways(network: Network, plan: ScanPlan, pool: Pool) -> dict[str, str]:
    """What is pooled of every layer, in words; found out with a blank image."""
    ways, fed = dict[str, str](), network.blank(plan.frame.size)
    layout = network.layout(fed)
    with tap(network, tuple(plan.tails)) as read:
        for layer, raw in read(fed).items():
            kind = "patches" if raw.ndim == 3 else "map"
            if raw.ndim == 2:
                ways[layer] = "as it is"
            elif pool != "class":
                ways[layer] = f"{_SPOKEN[pool]} of the {kind}"
            elif raw.ndim == 4 or not layout.classes or not read_others(raw, layout, layer).shape[2]:
                raise UsageError(
                    f"layer {layer} of {network.name} has no class token; pool its {kind}: mean, max"
                )
            else:
                ways[layer] = "class token"
    return ways


def _pool(raw: Tensor, layout: Layout, layer: str, pool: Pool) -> Float32[Tensor, "image unit"]:
    if pool == "class" and raw.ndim == 3:
        return read_others(raw, layout, layer)[:, :, 0, 0]
    maps = read_units(raw, layout, layer)
    if pool == "max":
        return maps.amax((2, 3))
    return maps.double().mean((2, 3)).float()  # the same in whatever order it is summed


class _Seen(DerivedSource):
    """The images of a source without their labels; those read last can be taken as they are stored."""

    vocabulary: ClassVar[Vocabulary] = Vocabulary(())

    def __init__(self, source: ConceptSource) -> None:
        super().__init__(source)
        object.__setattr__(self, "_kept", {})
        object.__setattr__(self, "_lock", Lock())

    _kept: dict[int, Picture]
    _lock: Lock

    def __getitem__(self, index: int, /) -> Example:
        example = self.source[index]
        with self._lock:
            self._kept[index] = example.image
        return Example(example.key, example.image)

    def take(self, first: int, count: int) -> list[Picture]:
        """The pictures of a batch, which are not kept any longer."""
        with self._lock:
            return [self._kept.pop(number) for number in range(first, first + count)]

    @property
    def option(self) -> str:
        return "pictures"
