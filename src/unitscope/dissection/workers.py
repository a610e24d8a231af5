"""A scan shared by workers: what each of them opens, checks and makes."""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from unitscope.concepts.packed import pack_source
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.recipe import Recipe
from unitscope.errors import NetworkError, RunError, UsageError
from unitscope.executors.cluster import Cluster
from unitscope.executors.jobs import Executor, count_cores
from unitscope.executors.processes import Processes
from unitscope.networks.borrowing import settle_device
from unitscope.networks.generators import pair_generator
from unitscope.networks.network import Network
from unitscope.networks.specifications import (
    NetworkSpecification,
    SourceSpecification,
    say_here,
    specify_network,
    specify_source,
)
from unitscope.progress import follow
from unitscope.statistics.gathering import ENOUGH
from unitscope.statistics.scan import Bounds, Machine, scan_shards
from unitscope.statistics.shards import Origin, shard_path, write_shard
from unitscope.statistics.store import Store
from unitscope.statistics.threads import open_threads

if TYPE_CHECKING:
    from unitscope.dissection.dissect import Options
else:
    Options = object  # it is made where this module is used

_EACH = 8
"""Shards a worker at least, so that none waits long for the last one."""

_CLUSTER = 16
"""Workers that a cluster is taken to have where none says how many."""


@dataclass(frozen=True)
class ScanJob:
    """The shards of one scan, as a `Job`: all that a worker opens, as texts and numbers.

    `recipe` is that of the run as JSON, which `digest` is of; what the worker opens must give the same.
    `home` is the folder that relative paths start from.
    """

    recipe: str
    digest: str
    network: NetworkSpecification
    images: SourceSpecification
    options: Options
    home: str
    folder: Path
    hint: str

    @property
    def device(self) -> str:
        """What the network runs on."""
        return str(self.options.machine.device)

    @property
    def threads(self) -> int:
        """How many threads a worker takes."""
        return find_scan_threads(self.options.machine)

    @property
    def advice(self) -> str:
        """What to do once workers have died."""
        return "what is done is kept, go on with --resume"

    def path(self, number: int) -> Path:
        """The file of a shard."""
        return shard_path(self.folder, number)

    def move(self, folder: Path) -> "ScanJob":
        """The same job with its shards in another folder."""
        return replace(self, folder=folder)

    def open(self, device: str) -> Callable[[int, Bounds], None]:
        """Opens network and images; what writes one shard from bounds that are certified already.

        Raises `NetworkError`, `SourceError` or `RunError` where they are not those of the run.
        """
        from unitscope.dissection.dissect import prepare  # which imports this module

        threads = self.threads
        torch.set_num_threads(threads)
        with suppress(OSError):
            os.chdir(self.home)
        wanted = Recipe.parse(json.loads(self.recipe))
        network = self.network.open()
        network, source = pair_generator(network, self.images.open(network))
        network.module.to(device)
        memory, last = self.options.machine.memory, bool(wanted.channels_last)
        machine = Machine(device, bool(wanted.mixed_precision), threads, memory, channels_last=last)
        options = replace(self.options, machine=machine)
        outline, recipe = prepare(network, source, wanted.layers, wanted.convention, options, wanted.quality)
        if recipe.directions != wanted.directions:
            layers = ", ".join(wanted.directions or ())
            raise NetworkError(f"{layers}: other directions {say_here()} than where the run was begun")
        _compare(replace(recipe, shard_size=wanted.shard_size), wanted, self.digest)
        if recipe.machine != wanted.machine and not options.mix_machines:
            here, there = recipe.machine, wanted.machine
            raise RunError(
                f"a worker {say_here()} has {here}, where the run was begun it is {there}: "
                "activations may differ in their last digits; take machines of one kind, or --mix-machines"
            )
        plan = replace(outline.plan, shard_size=wanted.shard_size or outline.plan.shard_size)
        framed = source
        if options.cache is not None:
            framed = pack_source(source, plan.frame, Path(options.cache), limit=options.cache_limit)
        origin = Origin(self.digest, recipe.machine)

        def work(number: int, bounds: Bounds) -> None:
            for _, shard in scan_shards(network, framed, plan, machine, [number], lambda: bounds):
                write_shard(self.folder, number, shard, origin, self.hint)

        return work


def scan_missing(
    network: Network,
    source: ConceptSource,
    recipe: Recipe,
    store: Store,
    options: Options,
    part: Sequence[int] | None = None,
) -> None:
    """Scans all shards that are not in the store yet, or those of a part: here or, as asked, by workers.

    Raises what `dissect` raises once work has begun.
    """
    plan, machine = store.plan, options.machine
    framed = source
    if options.cache is not None:  # by one process, before any worker wants it
        framed = pack_source(source, plan.frame, Path(options.cache), limit=options.cache_limit)
    with open_threads(find_naming_threads(machine)) as threads:
        store.find(threads, part)
        numbers = [number for number in store.missing if part is None or number in part]
        executor = find_executor(machine)
        if executor is None:
            for number, shard in scan_shards(network, framed, plan, machine, numbers, lambda: store.bounds):
                store.write(number, shard)
                store.add(number, threads)
            return
        job, done = _make_job(network, source, recipe, options, store), len(source)
        done -= sum(len(plan.span(number)) for number in numbers)
        with (
            follow(len(source), "scan", done=done) as work,
            closing(executor.run(job, numbers, lambda: store.bounds)) as finished,
        ):
            for number in finished:
                store.add(number, threads)
                work.update(len(plan.span(number)))


def _make_job(
    network: Network, source: ConceptSource, recipe: Recipe, options: Options, store: Store
) -> ScanJob:
    thresholds = {layer: np.array(row, np.float32) for layer, row in (recipe.thresholds or {}).items()}
    batch = recipe.batch_size or options.batch_size
    options = replace(options, thresholds=thresholds or None, batch_size=batch, out=None, resume=False)
    spelled = json.dumps(recipe.record())
    opened = specify_network(network), specify_source(source)
    return ScanJob(spelled, recipe.digest, *opened, options, os.getcwd(), store.folder.resolve(), store.hint)


def check_workers(network: Network, source: ConceptSource, machine: Machine) -> None:
    """Raises `UsageError`, which says how else, where workers could not open network or images themselves.

    Nothing is asked where this process does it all.
    """
    if find_executor(machine) is not None:
        specify_network(network)
        specify_source(source)


def find_executor(machine: Machine) -> Executor | None:
    """Who shares the images; None where this process does it all."""
    if machine.ray is not None:
        return Cluster(machine.ray, machine.workers)
    if (machine.workers or 1) == 1:
        return None
    if machine.device == "cuda" and (machine.workers or 1) > torch.cuda.device_count():
        seen = f"{machine.workers} workers are asked for, and there are {torch.cuda.device_count()} devices"
        raise UsageError(f"{seen}; give as many workers as devices, or name one with device cuda:0")
    return Processes(machine.workers or 1, machine.device)


def count_sharers(machine: Machine) -> int:
    """How many workers are expected to share the images, 1 for this process alone."""
    return machine.workers or (_CLUSTER if machine.ray is not None else 1)


def share_shards(images: int, sharers: int, batch_size: int) -> int:
    """The most images of a shard with which so many workers end at about the same time.

    Of whole batches those with which the worker that gets most gets least.

    >>> share_shards(2000, 2, 8), share_shards(2000, 100, 8), share_shards(2000, 1, 8)
    (112, 32, 2000)
    """
    if sharers == 1:
        return images
    wanted = max(ENOUGH, -(-images // (_EACH * sharers)))
    most = -(-wanted // batch_size) * batch_size
    sizes = range(most, min(most, max(ENOUGH, wanted // 2)) - 1, -batch_size)
    return min(sizes, key=lambda size: -(-images // (size * sharers)) * size)


def find_scan_threads(machine: Machine) -> int:
    """How many threads of torch the network runs with."""
    if machine.ray is not None:
        return machine.threads or 1
    if (machine.workers or 1) > 1:
        return machine.threads or max(1, count_cores() // (machine.workers or 1))
    return machine.threads or torch.get_num_threads()


def find_naming_threads(machine: Machine) -> int | None:
    """How many threads this process takes for all else, None for as many as torch has."""
    if machine.ray is not None:
        return count_cores()
    if (machine.workers or 1) > 1:
        return min(count_cores(), find_scan_threads(machine) * (machine.workers or 1))
    return machine.threads


def find_naming_device(machine: Machine) -> str | None:
    """Where masks meet labels, None for compiled loops on the CPU."""
    return None if machine.compiled else settle_device(machine.device)


def _compare(found: Recipe, wanted: Recipe, digest: str) -> None:
    if found.digest == digest:
        return
    here, there = found.record(), wanted.record()
    differing = [name for name in sorted({*here, *there}) if here.get(name) != there.get(name)]
    raise RunError(f"a worker {say_here()} finds another {', '.join(differing)}; is the same version there?")
