"""The one pass: images -> activations -> statistics, in shards."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from threading import Event

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from unitscope.axes import Pictures, Thresholds
from unitscope.concepts.frames import Frame
from unitscope.concepts.packed import PackedSource
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.borrowing import placed, settle_device
from unitscope.networks.failures import tell_not_finite
from unitscope.networks.feeding import check_native, stack_images
from unitscope.networks.fitting import telling_memory
from unitscope.networks.network import Input, Network, number_images, numbers_of, split_images, spread
from unitscope.networks.randomness import seeded
from unitscope.networks.readings import Reading, open_reading
from unitscope.networks.trace import Reader
from unitscope.networks.unit_maps import read_units
from unitscope.progress import Follower, follow
from unitscope.statistics.annotations import Annotations, Doubles, annotate, merge_annotations
from unitscope.statistics.devices import DeviceTails
from unitscope.statistics.exemplars import TopImages
from unitscope.statistics.gathering import ENOUGH, CompiledTails, Gatherer
from unitscope.statistics.lanes import Mark, mark_place, open_lane, take_over
from unitscope.statistics.pipelines import begin_early, run_ahead
from unitscope.statistics.quantiles import Tail, TailPlan, empty_tail
from unitscope.statistics.threads import Threads, hold_threads, open_pool, open_threads

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

    `workers` are processes that share the images of a dissection; or `ray` names a cluster that does: "auto"
    for the one that this machine belongs to, "local" for one that is started here, or an address; of that,
    `workers` are at most so many. `threads` and `memory` are then those of each: by default the cores divided
    by the workers, on a cluster one thread. With the device "cuda" each worker takes a device of its own.
    """

    device: str = "cpu"
    mixed_precision: bool = False
    threads: int | None = None
    memory: int = 4 << 30
    workers: int | None = None
    ray: str | None = None
    channels_last: bool | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers is {self.workers}; it must be at least 1")

    @property
    def compiled(self) -> bool:
        """Whether maps are gathered by compiled loops, as on the CPU, or by torch on the device."""
        return torch.device(self.device).type == "cpu"


def settle_machine(machine: Machine) -> Machine:
    """The machine with the number of its device, which other threads could take for another one."""
    return replace(machine, device=settle_device(machine.device))


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
    machine = settle_machine(machine)
    done = len(source) - sum(len(plan.span(number)) for number in numbers)
    # What is packed is loaded in no time; threads that do so beside a network on the CPU only slow it down,
    # and in its pauses they wait for each other.
    ahead = 0 if find_packed(source, plan) and machine.compiled else 2 * plan.batch_size
    stopped = Event()
    with (
        placed(network, machine.device),
        hold_threads(machine.threads),
        open_reading(network, tuple(plan.tails)) as reading,
        open_threads(machine.threads) as threads,
        open_pool(threads.count) as loaders,
        follow(len(source), "scan", done=done) as work,
        telling_memory(network.name, plan.batch_size),
    ):

        def begin(number: int) -> Callable[[], _Seen]:
            batches, certified = load_batches(source, plan, plan.span(number), loaders, ahead), dict(bounds())
            if not machine.compiled:  # the first of them are decoded while the shard before is scanned
                batches = takewhile(lambda _: not stopped.is_set(), begin_early(batches))

            def scan() -> _Seen:
                return number, _scan_span(network, batches, plan, machine, threads, reading, certified, work)

            return scan

        jobs = map(begin, numbers)
        seen = (job() for job in jobs) if machine.compiled else run_ahead(jobs, stopped)
        with closing(seen):
            for number, part in seen:
                finished = [part.finish(threads)]
                del part  # it holds what was ruled out, and rooms on the device
                yield number, finished.pop()


@dataclass(frozen=True, eq=False)
class _Span:
    """Images that have passed the network: `known` are the layers that started from a bound."""

    keys: Mapping[int, str]
    labels: Sequence[Annotations]
    gatherer: Gatherer
    known: Collection[str]

    def finish(self, threads: Threads) -> Scan:
        """Their statistics, without what their bounds rule out."""
        tails, tops = self.gatherer.finish()
        for layer, tail in tails.items():
            # What started without a bound holds much that its own images show to be too low.
            bound = tail.bound if layer in self.known else tail.certify(threads)
            tight = tail.plan.sparse is not None and np.array_equal(bound, tail.bound)
            tails[layer] = tail.join() if tight else replace(tail, bound=bound).prune(threads)
        return Scan(self.keys, merge_annotations(self.labels).join(), tails, tops)


_Seen = tuple[int, _Span]
"""The number of a shard, and its images."""


def _scan_span(
    network: Network,
    batches: Iterator[Batch],
    plan: ScanPlan,
    machine: Machine,
    threads: Threads,
    reading: Reading,
    certified: Bounds,
    work: Follower,
) -> _Span:
    """Passes the images of one shard, whose tails start from bounds certified elsewhere."""
    known, size = {**certified, **plan.thresholds}, plan.shard_size
    tails = {layer: empty_tail(tail, known.get(layer), size) for layer, tail in plan.tails.items()}
    gatherer: Gatherer = (
        CompiledTails(tails, plan.ranks, threads)
        if machine.compiled
        else DeviceTails(tails, plan.ranks, machine.device)
    )
    keys: dict[int, str] = {}
    labels: list[Annotations] = []
    for batch, fed in feed_ahead(network, batches, plan, machine):
        keys.update(zip(range(batch.first, batch.first + len(batch.keys)), batch.keys, strict=True))
        labels.append(batch.annotations)
        for layer, start, maps in read_parts(network, reading, plan, batch, fed, machine):
            last = batch.last and start + len(maps) == len(batch.keys)
            gatherer.add(layer, maps, batch.first + start, batch.keys[start : start + len(maps)], last)
        work.update(len(batch.keys))
    return _Span(keys, labels, gatherer, known.keys())


def feed_ahead(
    network: Network, batches: Iterator[Batch], plan: ScanPlan, machine: Machine
) -> Iterator[tuple[Batch, Input]]:
    """Every batch with what the network is called with for it; on a device the next one is there already."""
    if machine.compiled:
        for batch in batches:
            yield batch, feed_batch(network, plan, batch, machine)
        return
    lane = open_lane(machine.device)
    waiting: deque[tuple[Batch, Input, Mark]] = deque()

    def hand_over() -> tuple[Batch, Input]:
        batch, fed, mark = waiting.popleft()
        for part in spread(fed):
            take_over(part, mark)
        return batch, fed

    for batch in batches:
        with lane.after():
            fed = feed_batch(network, plan, batch, machine)
            waiting.append((batch, fed, mark_place(machine.device)))
        if len(waiting) > 1:
            yield hand_over()
    while waiting:
        yield hand_over()


def feed_batch(network: Network, plan: ScanPlan, batch: Batch, machine: Machine) -> Input:
    """What the network is called with for a batch, on the machine's device.

    A batch with fewer images than planned is filled up with its last one: libraries round otherwise in
    batches of another size, and what an image gives must not depend on how many are read with it.
    """
    images = batch.images
    if len(images) < plan.batch_size and not plan.random:
        images = np.concatenate([images, np.repeat(images[-1:], plan.batch_size - len(images), 0)])
    return feed_pictures(network, images, batch.first, machine.device, plan.channels_last)


def read_fed(
    network: Network, read: Reader, plan: ScanPlan, batch: Batch, fed: Input, machine: Machine
) -> Iterator[tuple[str, Float32[Tensor, "image unit cell_y cell_x"]]]:
    """The maps of every layer on what was fed of a batch, in the precision of the machine; not looked at.

    A random network is passed image by image, with the random numbers of each. Raises `NetworkError` for maps
    of another shape than planned.
    """
    for layer, output in pass_fed(network, read, plan, fed, machine).items():
        yield layer, _read_units(network, plan, batch, fed, layer, output)


def read_parts(
    network: Network, reading: Reading, plan: ScanPlan, batch: Batch, fed: Input, machine: Machine
) -> Iterator[tuple[str, int, Float32[Tensor, "image unit cell_y cell_x"]]]:
    """The same with the place of the first image in the batch: sparse latents come a few images at a time,
    but on a device."""
    outputs = pass_fed(network, reading.read, plan, fed, machine)
    for layer in plan.tails:
        for start, output in reading.split(layer, outputs, whole=not machine.compiled):
            if start < len(batch.images):  # behind them is what fills the batch up
                yield layer, start, _read_units(network, plan, batch, fed, layer, output, start)


def pass_fed(
    network: Network, read: Reader, plan: ScanPlan, fed: Input, machine: Machine
) -> dict[str, Tensor]:
    kind = torch.device(machine.device).type
    precision: torch.autocast | nullcontext[None]
    precision = torch.autocast(kind) if machine.mixed_precision else nullcontext()
    with precision:
        return _read_singly(network, read, fed) if plan.random else read(fed)


def _read_units(
    network: Network, plan: ScanPlan, batch: Batch, fed: Input, layer: str, output: Tensor, start: int = 0
) -> Float32[Tensor, "image unit cell_y cell_x"]:
    """The maps of the images of a batch from place `start` on, without those that fill it up."""
    maps, tail = read_units(output, network.layout(fed), layer), plan.tails[layer]
    shape, planned = tuple(maps.shape[1:]), (tail.units, *tail.raw_size)
    if shape != planned:
        raise NetworkError(
            f"layer {layer} gave maps of shape {shape} at image {batch.keys[0]}, {planned} before; "
            "unitscope needs one shape for all images"
        )
    return maps[: len(batch.images) - start]


def read_maps(
    network: Network, read: Reader, plan: ScanPlan, batch: Batch, machine: Machine
) -> Iterator[tuple[str, Float32[Tensor, "image unit cell_y cell_x"]]]:
    """The maps of every layer on a batch, one layer after the other.

    Raises what `read_fed` raises, and `ActivationError` for values that are not finite.
    """
    fed = feed_batch(network, plan, batch, machine)
    for layer, maps in read_fed(network, read, plan, batch, fed, machine):
        if not torch.isfinite(maps.sum()) and not torch.isfinite(maps).all():
            raise tell_not_finite(maps, layer, batch.keys)
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
