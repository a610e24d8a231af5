"""What a dissection will take: measured on a few of its images, through the path that all of them go.

A trial scans some images without a bound of the thresholds, which shows how many cells are kept at any bound,
and again with one, which is timed. Units are named over these images repeated until they are many. From both
follows what all images take, by how bounds rise from shard to shard and how naming grows with the images.
"""

import logging
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from unitscope.concepts.packed import PackedSource, cache_name, open_packed, pack_source
from unitscope.concepts.vocabulary import ConceptSource, Example, Vocabulary
from unitscope.dissection.conventions import Convention
from unitscope.dissection.device_batches import PACKED
from unitscope.dissection.naming_trial import NamingTrial
from unitscope.errors import SourceError
from unitscope.networks.network import Network
from unitscope.progress import BYTES, LINES, LOGGER, silence, spell_amount, spell_seconds
from unitscope.statistics.quantiles import Tail, TailPlan
from unitscope.statistics.scan import Bounds, Machine, Scan, ScanPlan, scan_shards
from unitscope.statistics.shards import Origin, measure_cells, open_shard, shard_path, write_shard
from unitscope.statistics.store import foresee_bounds
from unitscope.statistics.threads import Threads, open_threads

_IMAGES, _UNITS = 64, 64
"""Images of a trial, and units whose cells are counted."""

_LONG = 1000
"""What the scan of so many images takes is told before."""


@dataclass(frozen=True)
class Asked:
    """What a trial needs to know besides the plan of the scan.

    `confidence` has the numbers of `Confidences`, `images` are those that are not scanned yet, and the
    network may run for about so many `seconds`; `label_sets` are kept or not.
    """

    confidence: Mapping[str, Any]
    cache: str | Path | None
    images: int
    label_sets: bool
    seconds: float = 3.0


@dataclass(frozen=True)
class Estimate:
    """What a dissection will take, about; printed, it is a small table.

    `images` are to be scanned, `done` were before; `units` by layer. `packing`, `scanning` and `naming` are
    seconds. In bytes: `memory` is the peak of the process, with libraries and the network; `shards` and `run`
    are what lies in the folder of the run, at most and in the end, and `cache` what is packed.

    >>> print(Estimate(16_000, 0, {"layer4": 512}, 0.0, 400.0, 8.0, 2 * 10**9, 10**9, 10**8, 0))
    images   16,000
    units    512 of layer4
    time     6:48: scan 6:40, naming 8 s
    memory   2.0 GB
    disk     1.0 GB while it works, 100 MB in the end
    """

    images: int
    done: int
    units: Mapping[str, int]
    packing: float
    scanning: float
    naming: float
    memory: int
    shards: int
    run: int
    cache: int

    @property
    def seconds(self) -> float:
        """All of the time."""
        return self.packing + self.scanning + self.naming

    @property
    def disk(self) -> int:
        """The most bytes on disk, with the cache where it is not there yet."""
        return max(self.shards, self.run) + self.cache

    @property
    def line(self) -> str:
        """The same in a line."""
        units, layers = sum(self.units.values()), len(self.units)
        return (
            f"{self.images:,} images, {units:,} units of {layers} {'layer' if layers == 1 else 'layers'}: "
            f"about {spell_seconds(self.seconds)}, {spell_amount(self.memory, BYTES)} of memory, "
            f"{spell_amount(self.disk, BYTES)} on disk"
        )

    def __str__(self) -> str:
        parts = {"packing": self.packing, "scan": self.scanning, "naming": self.naming}
        times = ", ".join(f"{name} {spell_seconds(part)}" for name, part in parts.items() if part)
        most, end = (spell_amount(size, BYTES) for size in (max(self.shards, self.run), self.run))
        cache = f", {spell_amount(self.cache, BYTES)} of cache" if self.cache else ""
        done = f", {self.done:,} more are done" if self.done else ""
        units = ", ".join(f"{count:,} of {layer}" for layer, count in self.units.items())
        rows = {
            "images": f"{self.images:,}{done}",
            "units": units,
            "time": f"{spell_seconds(self.seconds)}: {times}",
            "memory": spell_amount(self.memory, BYTES),
            "disk": f"{most} while it works, {end} in the end{cache}",
        }
        return "\n".join(f"{name:<8} {text}" for name, text in rows.items())


@dataclass(frozen=True, eq=False)
class _Sample:
    """Some images of a source, evenly spread."""

    source: ConceptSource
    places: np.ndarray

    @property
    def vocabulary(self) -> Vocabulary:
        return self.source.vocabulary

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int, /) -> Example:
        return self.source[int(self.places[index])]


@dataclass(frozen=True, eq=False)
class _Opened:
    """Images for a trial as the scan will have them, and what packing them takes each: seconds and bytes."""

    source: ConceptSource
    seconds: float = 0.0
    bytes: float = 0.0


def foretell(
    network: Network, source: ConceptSource, plan: ScanPlan, rules: Convention, machine: Machine, asked: Asked
) -> Estimate:
    """What a planned dissection will take.

    Nothing is written but to a temporary folder. Raises what a scan of these images raises.
    """
    every, images = len(source), asked.images
    with (
        silence(),
        open_threads(machine.threads) as threads,
        _open_sample(source, plan, asked.cache) as opened,
    ):
        few = _plan_few(plan, min(len(opened.source), plan.batch_size))
        spent = _time_batch(network, opened.source, few, machine)
        count = _fit(asked.seconds / 2 / spent, plan.batch_size, min(len(opened.source), plan.shard_size))
        some = _plan_few(plan, count)
        none = {layer: np.full(tail.units, -np.inf, np.float32) for layer, tail in plan.tails.items()}
        whole, longest = _run(network, opened.source, some, machine, none)
        bounds = {layer: tail.certify(threads) for layer, tail in whole.tails.items()}
        tails = {layer: replace(tail, bound=bounds[layer]) for layer, tail in whole.tails.items()}
        _, spent = _run(network, opened.source, some, machine, bounds)
        writing, reading = _time_files(replace(whole, tails=tails))
        ranking = [_time_ranking(tail, threads) / count for tail in tails.values()]
        scan = replace(whole, tails=tails)
        trial = NamingTrial(scan, source.vocabulary, rules, asked.confidence, asked.label_sets, threads)
        naming = trial.foretell(plan)
    labels = sum(array.nbytes for array in whole.annotations.arrays.values()) / count
    each = [_foresee_cells(whole.tails[n], tail, plan.shard_size) for n, tail in plan.tails.items()]
    cells = _Cells(*np.sum(each, 0).tolist())
    loose = (cells.written - cells.least) / max(cells.most - cells.least, 1)
    scanning = every / count * (spent + max(longest - spent, 0) * loose)
    scanning += (cells.written + labels * every) * writing + cells.read * reading
    scanning += sum(one.ranked * spent for one, spent in zip(each, ranking, strict=True))
    units = {layer: tail.units for layer, tail in plan.tails.items()}
    run = sum(units.values()) * (8 * len(source.vocabulary) + 250 * plan.ranks + 200)
    run += sum(trial.tables.values())
    return Estimate(
        images,
        every - images,
        units,
        opened.seconds * every,
        scanning * images / every / _count_sharers(machine),
        naming + cells.held * reading,
        _measure_process() + min(machine.memory, _fill_memory(plan)),
        int(cells.disk + 2 * labels * every),
        run,
        int(opened.bytes * every),
    )


def announce(
    network: Network, source: ConceptSource, plan: ScanPlan, rules: Convention, machine: Machine, asked: Asked
) -> None:
    """Tells what a long dissection will take, where somebody listens; of such a one the trial is little."""
    if not LOGGER.isEnabledFor(logging.INFO) or asked.images < _LONG:
        return
    with silence():
        few = _plan_few(plan, min(len(source), plan.batch_size))
        spent = _time_batch(network, source, few, machine)
    if spent / plan.batch_size * asked.images >= LINES:
        LOGGER.info(foretell(network, source, plan, rules, machine, asked).line)


@contextmanager
def _open_sample(source: ConceptSource, plan: ScanPlan, folder: str | Path | None) -> Iterator[_Opened]:
    """Images for a trial: of the cache where it is there, packed for it where it will be."""
    places = np.unique(np.linspace(0, len(source) - 1, min(_IMAGES, len(source))).astype(np.int64))
    sample = _Sample(source, places)
    if folder is None or isinstance(source, PackedSource):
        yield _Opened(source if isinstance(source, PackedSource) else sample)
        return
    there = None
    with suppress(SourceError):
        there = open_packed(Path(folder) / cache_name(source, plan.frame))
    if there is not None:
        yield _Opened(there)
        return
    with TemporaryDirectory(ignore_cleanup_errors=True) as place:
        started = time.perf_counter()
        packed = pack_source(sample, plan.frame, place)
        seconds = time.perf_counter() - started
        size = packed.images.nbytes + packed.labels.nbytes
        yield _Opened(packed, seconds / len(places), size / len(places))


def _plan_few(plan: ScanPlan, images: int) -> ScanPlan:
    """The plan for so many images in one shard."""
    tails = {layer: replace(tail, images=images) for layer, tail in plan.tails.items()}
    return replace(plan, tails=tails, shard_size=images, ranks=min(plan.ranks, images))


def _time_batch(network: Network, source: ConceptSource, few: ScanPlan, machine: Machine) -> float:
    """Seconds for the only batch of a plan, once what is compiled is compiled, and memory is found."""
    _run(network, source, few, machine, {})
    return _run(network, source, few, machine, {})[1]


def _run(
    network: Network, source: ConceptSource, plan: ScanPlan, machine: Machine, bounds: Bounds
) -> tuple[Scan, float]:
    """The scan of a plan with one shard, and the seconds that it took."""
    started = time.perf_counter()
    ((_, scan),) = scan_shards(network, source, plan, machine, [0], lambda: bounds)
    return scan, time.perf_counter() - started


def _fit(batches: float, size: int, most: int) -> int:
    """Images in about so many batches, whole ones where that can be."""
    wanted = max(1, int(min(batches, _IMAGES))) * size
    return min(wanted, max(_IMAGES, size), max(most // size * size, min(most, size)))


def _time_files(scan: Scan) -> tuple[float, float]:
    """Seconds a byte for cells that are written as a shard, and for those that are read and pruned."""
    seconds, size = 0.0, 1
    with TemporaryDirectory(ignore_cleanup_errors=True) as place:
        started = time.perf_counter()
        write_shard(Path(place), 0, scan, Origin("", ""), "free some space")
        writing = (time.perf_counter() - started) / shard_path(Path(place), 0).stat().st_size
        file = open_shard(Path(place), 0)
        assert file is not None  # it has just been written
        for number, tail in enumerate(scan.tails.values()):
            units, grid = min(_UNITS, tail.plan.units), tail.plan.stored_grid
            for _ in range(2):  # the first time it is compiled
                started = time.perf_counter()
                cells = file.cells(f"{number}/cells", 0, units)
                cells.prune(tail.bound[:units], tail.plan.reach, grid.map_size)
                spent = time.perf_counter() - started
            seconds += spent
            size += measure_cells(cells, tail.plan)
    return writing, seconds / size


def _time_ranking(tail: Tail, threads: Threads) -> float:
    """Seconds to raise a bound when twice the images have been seen."""
    looser = replace(tail, plan=replace(tail.plan, quantile=min(2 * tail.plan.quantile, 1.0)))
    held = replace(tail, bound=looser.certify(threads)).prune(threads)
    started = time.perf_counter()
    held.certify(threads)
    return time.perf_counter() - started


class _Cells(NamedTuple):
    """Bytes of cells: in all shards, read again to raise bounds, with the tightest bound, and without any.

    `ranked` images are among those, counted as often. `disk` is the most that lies there, with what is
    condensed of shards, and `held` what is read to name units: that, and later shards.
    """

    written: float
    read: float
    ranked: float
    disk: float
    held: float
    least: float
    most: float


def _foresee_cells(tail: Tail, plan: TailPlan, shard_size: int) -> _Cells:
    """The cells of a layer: a shard has those above the bound that was certified when it was computed."""
    units, count = min(_UNITS, plan.units), tail.seen
    known: dict[float, float] = {}

    def keep(fraction: float) -> float:
        """Bytes an image, above a bound that this fraction of values exceeds."""
        if fraction not in known:
            part = replace(tail, plan=replace(tail.plan, quantile=fraction)).part(0, units)
            part = replace(part, bound=part.rank_values()).part(0, units, True)
            chunks = [chunk.part(0, units) for chunk in (*part.chunks, *part.raw)]
            known[fraction] = sum(measure_cells(chunk, plan) for chunk in chunks) * plan.units / units / count
        return known[fraction]

    # Of latents only what fires is kept, also where no bound is known.
    everything = plan.cells * 6.0 if plan.sparse is None else keep(1.0)
    if plan.population == "given":
        found = keep(1.0) * plan.images
        return _Cells(found, 0.0, 0.0, found, found, found, everything * plan.images)
    written, read, ranked, seen, before = 0.0, 0.0, 0, 0, 1.0
    held = disk = condensed = 0.0
    for images, fraction in foresee_bounds(plan, shard_size):
        if fraction != before:
            read, ranked = read + held, ranked + seen
            if plan.sparse is None:  # the next file is written before the last one goes
                held = keep(fraction) * seen
                disk, condensed = max(disk, written + condensed + held), held
        seen += images
        more = images * (keep(fraction) if fraction < 1 else everything)
        written, held, before = written + more, held + more, fraction
    tightest = keep(plan.quantile) * plan.images
    disk = max(disk, written + condensed)
    return _Cells(written, read, ranked, disk, held, tightest, everything * plan.images)


def _count_sharers(machine: Machine) -> int:
    """How many times as fast as the trial workers are together; of a cluster nobody knows, so 1."""
    cores_are_split = machine.threads is None and machine.compiled
    return 1 if machine.workers is None or cores_are_split else machine.workers


def _fill_memory(plan: ScanPlan) -> int:
    """Bytes of a shard's cells where all are kept, with what is pruned and what is left."""
    cells = sum(tail.cells for tail in plan.tails.values())
    return PACKED * cells * plan.shard_size


def _measure_process() -> int:
    """Bytes that this process holds now, or held at most where only that is known."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmRSS")).split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
