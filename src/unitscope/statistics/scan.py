"""The one pass: images -> activations -> statistics, in shards."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import NoReturn

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from tqdm import tqdm

from unitscope.axes import Pictures, Thresholds
from unitscope.concepts.frames import Frame
from unitscope.concepts.packed import PackedSource
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import ActivationError, NetworkError
from unitscope.networks.feeding import check_native, stack_images
from unitscope.networks.network import Input, Network, number_images, numbers_of, split_images
from unitscope.networks.randomness import seeded
from unitscope.networks.trace import Reader, tap
from unitscope.networks.unit_maps import read_units
from unitscope.statistics.annotations import Annotations, Doubles, annotate, merge_annotations
from unitscope.statistics.devices import update_on_device
from unitscope.statistics.exemplars import TopImages, empty_tops
from unitscope.statistics.quantiles import Tail, TailPlan, empty_tail, update_tail
from unitscope.statistics.threads import Threads, open_threads

ENOUGH = 32
"""Maps of this many images are packed at once, however small the batches, and packed images read together."""

Bounds = Mapping[str, Thresholds]
"""By layer a bound of every unit's threshold, certified by images of the same scan."""


@dataclass(frozen=True, eq=False)
class ScanPlan:
    """All that decides the result of a scan, but the images and the network.

    `thresholds` are given per layer or found; `batch_size` and `shard_size` are in images;
    `native` says that images must have the frame's size as they are stored, `random` that the network draws
    random numbers, so that it is passed image by image, `channels_last` that pictures lie so in memory.
    """

    frame: Frame
    tails: Mapping[str, TailPlan]
    doubles: Doubles
    thresholds: Mapping[str, np.ndarray]
    ranks: int = 10
    batch_size: int = 8
    shard_size: int = 128
    native: bool = False
    random: bool = False
    channels_last: bool = False

    def span(self, number: int) -> range:
        """The images of a shard."""
        images = next(iter(self.tails.values())).images
        return range(number * self.shard_size, min((number + 1) * self.shard_size, images))

    @property
    def shards(self) -> range:
        """The numbers of all shards."""
        return range(-(-next(iter(self.tails.values())).images // self.shard_size))


@dataclass(frozen=True)
class Machine:
    """Where and how a scan runs.

    Nothing is counted otherwise for it, but activations may differ in their last bits. `memory` is the
    budget in bytes for what is held besides the network and the labels. `channels_last` says whether pictures
    lie with their channels last in memory; if it is not given, they do where that is found to be as well.
    """

    device: str = "cpu"
    mixed_precision: bool = False
    threads: int | None = None
    memory: int = 4 << 30
    channels_last: bool | None = None


@dataclass(frozen=True, eq=False)
class Scan:
    """Statistics of some images of a source, of a shard or of all."""

    keys: Mapping[int, str]
    annotations: Annotations
    tails: Mapping[str, Tail]
    tops: Mapping[str, TopImages]


@dataclass(frozen=True, eq=False)
class Batch:
    """Consecutive images ready for the network, with their labels; `last` of their shard or not."""

    first: int
    keys: tuple[str, ...]
    images: np.ndarray
    annotations: Annotations
    last: bool


@dataclass
class _Pile:
    """Maps of a layer that wait until there are enough."""

    room: Tensor | None = None
    fill: int = 0

    def add(self, maps: Tensor, last: bool) -> Tensor | None:
        """All that have waited, and these, once they are enough or the last; valid until more are added."""
        before, self.fill = self.fill, self.fill + len(maps)
        enough = last or self.fill >= ENOUGH
        if before or not enough:
            # A copy: some networks (captured graphs) write every pass into the same memory.
            if self.room is None:
                self.room = maps.new_empty((ENOUGH + len(maps), *maps.shape[1:]))
            self.room[before : self.fill] = maps
            maps = self.room[: self.fill]
        if not enough:
            return None
        self.fill = 0
        return maps


def scan_shards(
    network: Network,
    source: ConceptSource,
    plan: ScanPlan,
    machine: Machine,
    numbers: Sequence[int],
    bounds: Callable[[], Bounds],
) -> Iterator[tuple[int, Scan]]:
    """Scan some shards of a source: their numbers and statistics, one after the other.

    `bounds` is asked before each what is certified by then. Raises `SourceError`, `NetworkError`,
    `ActivationError`.
    """
    if not numbers:
        return
    done = len(source) - sum(len(plan.span(number)) for number in numbers)
    # What is packed is loaded in no time; threads that do so beside a network on the CPU only slow it down,
    # and in its pauses they wait for each other.
    ahead = 0 if find_packed(source, plan) and machine.device == "cpu" else 2 * plan.batch_size
    with (
        tap(network, tuple(plan.tails), checked=True) as read,
        open_threads(machine.threads) as threads,
        ThreadPoolExecutor(threads.count) as loaders,
        tqdm(total=len(source), initial=done, desc="scan", unit=" images", disable=None) as bar,
    ):
        for number in numbers:
            batches = load_batches(source, plan, plan.span(number), loaders, ahead)
            yield number, _scan_span(network, batches, plan, machine, threads, read, bounds(), bar)


def _scan_span(
    network: Network,
    batches: Iterator[Batch],
    plan: ScanPlan,
    machine: Machine,
    threads: Threads,
    read: Reader,
    certified: Bounds,
    bar: "tqdm[NoReturn]",
) -> Scan:
    """The statistics of one shard, whose tails start from bounds certified elsewhere."""
    known, size = {**certified, **plan.thresholds}, plan.shard_size
    tails = {layer: empty_tail(tail, known.get(layer), size) for layer, tail in plan.tails.items()}
    tops: dict[str, TopImages] = {}
    keys: dict[int, str] = {}
    labels: list[Annotations] = []
    piles = {layer: _Pile() for layer in plan.tails}
    for batch in batches:
        keys.update(zip(range(batch.first, batch.first + len(batch.keys)), batch.keys, strict=True))
        labels.append(batch.annotations)
        for layer, maps in read_maps(network, read, plan, batch, machine):
            # Sums and peaks at once, while the maps are still near: to fetch them takes longer than to add.
            before = tops[layer] if layer in tops else empty_tops(maps.shape[1], plan.ranks)
            tops[layer] = before.add(maps.amax((2, 3)).cpu().numpy(), batch.first)
            together = piles[layer].add(maps, batch.last)
            if together is not None:
                first = batch.first + len(batch.keys) - len(together)
                if together.device.type == "cpu":
                    tails[layer] = update_tail(tails[layer], together, first, threads)
                else:
                    tails[layer] = update_on_device(tails[layer], together, first)
        bar.update(len(batch.keys))
    for layer, tail in tails.items():
        # What started without a bound holds much that its own images show to be too low.
        bound = tail.bound if layer in known else tail.certify(threads)
        tails[layer] = replace(tail, bound=bound).prune(threads)
    return Scan(keys, merge_annotations(labels).join(), tails, tops)


def read_maps(
    network: Network, read: Reader, plan: ScanPlan, batch: Batch, machine: Machine
) -> Iterator[tuple[str, Float32[Tensor, "image unit cell_y cell_x"]]]:
    """The maps of every layer on a batch, one layer after the other, in the precision of the machine.

    A batch with fewer images than planned is filled up with its last one: libraries round otherwise in
    batches of another size, and what an image gives must not depend on how many are read with it. A random
    network is passed image by image, with the random numbers of each.

    Raises `NetworkError` for maps of another shape than planned, `ActivationError` for values that are not
    finite.
    """
    kind, images = torch.device(machine.device).type, batch.images
    if len(images) < plan.batch_size and not plan.random:
        images = np.concatenate([images, np.repeat(images[-1:], plan.batch_size - len(images), 0)])
    precision: torch.autocast | nullcontext[None]
    precision = torch.autocast(kind) if machine.mixed_precision else nullcontext()
    fed = feed_pictures(network, images, batch.first, machine.device, plan.channels_last)
    with precision:
        outputs = _read_singly(network, read, fed) if plan.random else read(fed)
    for layer, output in outputs.items():
        maps = read_units(output, network.layout(fed), layer)[: len(batch.images)]
        _check_maps(maps, plan.tails[layer], layer, batch)
        yield layer, maps


def feed_pictures(network: Network, images: Pictures, first: int, device: str, channels_last: bool) -> Input:
    """What the network is called with for images, the first of them number `first`, laid so in memory."""
    if not channels_last:
        return network.feed(images, first, device)
    batch = network.preprocessing.tensor(images, device, channels_last=True).to(network.dtype)
    return number_images(batch, range(first, first + len(images)))


def _read_singly(network: Network, read: Reader, fed: Input) -> dict[str, Tensor]:
    parts = []
    for image in split_images(fed):
        with seeded(network.module, numbers_of(image)[0]):
            parts.append(read(image))
    try:
        return {layer: torch.cat([part[layer] for part in parts]) for layer in parts[0]}
    except RuntimeError as error:
        raise NetworkError(
            f"{network.name} draws random numbers, and its layers gave maps of several shapes; "
            "unitscope needs one shape for all images"
        ) from error


def load_batches(
    source: ConceptSource, plan: ScanPlan, span: range, loaders: ThreadPoolExecutor, ahead: int = 0
) -> Iterator[Batch]:
    """The images of a span, decoded, framed and annotated.

    The loaders do so, `ahead` of them in advance; with 0 this thread does, `ENOUGH` at a time.
    """
    vocabulary = source.vocabulary
    packed = find_packed(source, plan)

    def load(number: int) -> tuple[str, np.ndarray, Annotations]:
        example = source[number]
        if plan.native:
            check_native(example.image, example.key, plan.frame)
        example = example if packed else plan.frame.fit(example)
        labels = annotate(example, plan.frame.mask_size, plan.doubles, vocabulary, number)
        return example.key, example.image, labels

    def load_in_turn() -> Iterator[tuple[str, np.ndarray, Annotations]]:
        if not ahead:
            for start in range(0, len(span), ENOUGH):
                yield from [load(number) for number in span[start : start + ENOUGH]]
        upcoming = iter(span if ahead else ())
        waiting = deque(loaders.submit(load, number) for number in islice(upcoming, ahead))
        while waiting:
            found = waiting.popleft().result()
            waiting.extend(loaders.submit(load, number) for number in islice(upcoming, 1))
            yield found

    loaded = load_in_turn()
    for start in range(span.start, span.stop, plan.batch_size):
        count = min(plan.batch_size, span.stop - start)
        keys, images, labels = zip(*islice(loaded, count), strict=True)
        stop = start + count
        batch = packed.images[start:stop] if packed else stack_images(images, keys)
        yield Batch(start, keys, batch, merge_annotations(labels), stop == span.stop)


def find_packed(source: ConceptSource, plan: ScanPlan) -> PackedSource | None:
    """The source where its examples have the plan's frame already."""
    return source if isinstance(source, PackedSource) and source.frame == plan.frame else None


def _check_maps(maps: Tensor, plan: TailPlan, layer: str, batch: Batch) -> None:
    shape, planned = tuple(maps.shape[1:]), (plan.units, *plan.raw_size)
    if shape != planned:
        raise NetworkError(
            f"layer {layer} gave maps of shape {shape} at image {batch.keys[0]}, {planned} before; "
            "unitscope needs one shape for all images"
        )
    if not torch.isfinite(maps.sum()) and not torch.isfinite(maps).all():
        image, unit = (int(i) for i in (~torch.isfinite(maps)).flatten(2).any(2).nonzero()[0])
        bad = maps[image, unit][~torch.isfinite(maps[image, unit])][0].item()
        raise ActivationError(
            f"unit {unit} of layer {layer} gave {bad} on image {batch.keys[image]}; "
            "check the weights and the preprocessing of the network"
        )
