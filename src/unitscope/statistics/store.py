"""The shards of a scan as files: which are done, what they certify, and all of them as one scan.

Nothing packed stays in memory: units are read in blocks, straight from the files, pruned, used and dropped.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np

from unitscope.axes import Thresholds
from unitscope.errors import RunError, writing
from unitscope.progress import follow_each
from unitscope.statistics.annotations import map_annotations
from unitscope.statistics.cells import Cells, join_cells, stack_cells
from unitscope.statistics.condensed import Condensed
from unitscope.statistics.exemplars import TopImages
from unitscope.statistics.quantiles import Tail, TailPlan
from unitscope.statistics.scan import Scan, ScanPlan
from unitscope.statistics.shards import Origin, ShardFile, open_shard, shard_path, write_shard
from unitscope.statistics.threads import Threads

_GROWTH = 2
"""Bounds are raised to exact ranks whenever so many times the images have been seen."""

_SHARE = 64
"""A block of units may take a part in this many of the memory, before it is pruned."""

_KEPT = 3
"""Blocks that are held: one that ends, one in use, and one that is read ahead."""

_MOST = 64
"""Units in a block; with more, those that wait for the first block wait long."""


@dataclass(eq=False)
class StoredCells:
    """Cells of a layer in the files of shards, all units of some images: a chunk of a tail.

    `files` stand with whether they still hold what `bound` rules out: that is pruned, by `reach` and `size`,
    as it is read, `block` units at a time, one block ahead of those that are asked for.
    """

    files: Sequence[tuple[ShardFile | Condensed, bool]]
    name: str
    bound: Thresholds
    reach: int
    size: tuple[int, int]
    block: int
    _blocks: dict[int, Future[Cells]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _reader: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def part(self, start: int, stop: int) -> Cells:
        """The cells of some units. Raises `RunError` where they cannot be read."""
        parts = []
        for number in range(start // self.block, -(-stop // self.block)):
            cells, first = self._find_block(number).result(), number * self.block
            parts.append(cells.part(max(start - first, 0), min(stop - first, len(cells.counts))))
        if stop == len(self.bound):  # the last units: no more will be read
            with self._lock:
                self._blocks.clear()
        return stack_cells(parts)

    def _find_block(self, number: int) -> Future[Cells]:
        """A block of units, and the one behind it on its way: it is read while this one is used."""
        with self._lock:
            for wanted in (number, number + 1):
                if wanted * self.block < len(self.bound) and wanted not in self._blocks:
                    self._blocks[wanted] = self._reader.submit(self._read_block, wanted * self.block)
            found = self._blocks[number]
            for old in sorted(self._blocks)[:-_KEPT]:
                del self._blocks[old]
        return found

    def _read_block(self, start: int) -> Cells:
        bound = self.bound[start : start + self.block]
        units = (start, start + len(bound))
        read = ((file.cells(self.name, *units), more) for file, more in self.files)
        return join_cells(
            [cells.prune(bound, self.reach, self.size) if more else cells for cells, more in read]
        )


def _condense(condensed: Condensed, place: int, first: int, tail: Tail) -> None:
    """Keeps the cells of some units of a layer, the first of them number `first`."""
    for name, chunks in (("cells", tail.chunks), ("raw", tail.raw)):
        for chunk in chunks:
            condensed.write(f"{place}/{name}", first, chunk.part(0, tail.plan.units).before(condensed.end))


def foresee_bounds(plan: TailPlan, shard_size: int) -> Iterator[tuple[int, float]]:
    """By shard its images, and which fraction of a unit's values exceeds the bound that it is computed with.

    The fraction is 1 where no bound is known yet.
    """
    fraction, certified, seen = 1.0, 0, 0
    for start in range(0, plan.images, shard_size):
        images = min(shard_size, plan.images - start)
        if not seen and plan.reaches(images):
            fraction = plan.rank / (images * plan.count_each)
        yield images, fraction
        seen += images
        if seen >= _GROWTH * (certified or shard_size) and plan.reaches(seen):
            certified, fraction = seen, plan.rank / (seen * plan.count_each)


@dataclass(eq=False)
class Store:
    """Shards of one scan in a folder.

    `origin` is what a shard that is written here comes from, `mixed` whether others may come from other
    machines; `hint` says what to do where there is no room, and `memory` bounds the blocks of units.
    """

    folder: Path
    plan: ScanPlan
    origin: Origin
    hint: str
    memory: int
    mixed: bool = False
    files: dict[int, ShardFile] = field(default_factory=dict)
    bounds: dict[str, Thresholds] = field(default_factory=dict)
    tops: dict[str, TopImages] = field(default_factory=dict)
    _certified: int = 0
    _condensed: Condensed | None = None

    @property
    def missing(self) -> tuple[int, ...]:
        """The numbers of shards that are not there yet."""
        return tuple(number for number in self.plan.shards if number not in self.files)

    @property
    def waiting(self) -> int:
        """How many images have no file yet."""
        numbers = (number for number in self.plan.shards if not shard_path(self.folder, number).exists())
        return sum(len(self.plan.span(number)) for number in numbers)

    @property
    def seen(self) -> int:
        """How many images have been seen."""
        return sum(file.images for file in self.files.values())

    @property
    def machines(self) -> tuple[str, ...]:
        """What computed the shards."""
        return tuple(sorted({file.origin.machine for file in self.files.values()}))

    def write(self, number: int, shard: Scan) -> None:
        """Writes a shard. Raises `RunError` where it cannot be written."""
        kept = f"{len(self.files)} shards are kept: " if self.files else ""
        write_shard(self.folder, number, shard, self.origin, kept + self.hint)

    def find(self, threads: Threads, numbers: Sequence[int] | None = None) -> None:
        """Takes up all shards that lie in the folder, or some, once they are found whole. Raises as `add`."""
        wanted = self.missing if numbers is None else numbers
        for number in follow_each(wanted, "looking for shards", "shards"):
            if self._take(number):
                self.files[number].check()
        self._certify(threads)

    def add(self, number: int, threads: Threads) -> None:
        """Takes up a shard that has been written, and raises the bounds now and then.

        Raises `RunError` where it cannot be read, or is not of this scan or, unless that is allowed, machine.
        """
        if not self._take(number):
            raise RunError(f"shard {number} is not in {self.folder}; go on with --resume")
        self._certify(threads)

    def _take(self, number: int) -> bool:
        file = open_shard(self.folder, number)
        if file is None:
            return False
        if file.origin.digest != self.origin.digest or file.images != len(self.plan.span(number)):
            raise RunError(f"{file.path} belongs to another run; delete it and go on with --resume")
        if file.origin.machine != self.origin.machine and not self.mixed:
            raise RunError(
                f"{file.path} was computed with {file.origin.machine}, here it is {self.origin.machine}; "
                "activations may differ in their last digits: go on as before, or give --mix-machines"
            )
        self.files[number] = file
        for place, layer in enumerate(self.plan.tails):
            bound, tops = file.read(f"{place}/bound"), file.tops(place)
            known = layer in self.bounds
            self.bounds[layer] = np.maximum(self.bounds[layer], bound) if known else bound
            self.tops[layer] = self.tops[layer].merge(tops) if known else tops
        return True

    def _certify(self, threads: Threads) -> None:
        """Raises the bounds to ranks of all that was seen, where that is enough since the last time."""
        # The first shard has been through this already, where it was computed.
        enough = self.seen >= _GROWTH * (self._certified or self.plan.shard_size)
        if self.missing and enough and all(tail.reaches(self.seen) for tail in self.plan.tails.values()):
            self._certified = self.seen
            condensed = self._open_condensed()
            with ExitStack() as unfinished:
                if condensed is not None:
                    unfinished.callback(condensed.close)  # its room is wanted where it cannot be filled
                for place, (layer, plan) in enumerate(self.plan.tails.items()):
                    # Of latents little is dropped: what fires is kept.
                    kept = condensed if plan.sparse is None else None
                    keep = None if kept is None else partial(_condense, kept, place)
                    self.bounds[layer] = self.tail(layer).certify(threads, keep)
                    if kept is not None:
                        kept.bounds[layer] = self.bounds[layer]
                if condensed is not None and condensed.whole:
                    self.close()
                    self._condensed = condensed
                    unfinished.pop_all()

    def close(self) -> None:
        """Gives back the room that is taken beside the shards; what was collected cannot be read any more."""
        if self._condensed is not None:
            self._condensed.close()
            self._condensed = None

    def _open_condensed(self) -> Condensed | None:
        """A file for what is kept of the shards before the first that is missing; None without room."""
        try:
            return Condensed(self.folder, self.plan.span(self.missing[0]).start)
        except OSError:
            return None

    def tail(self, layer: str) -> Tail:
        """The tail of a layer over the shards that are there."""
        plan, place = self.plan.tails[layer], list(self.plan.tails).index(layer)
        bound, files = self.bounds[layer], list[tuple[ShardFile | Condensed, bool]]()
        end = 0
        if self._condensed is not None and layer in self._condensed.bounds:
            files.append((self._condensed, not np.array_equal(self._condensed.bounds[layer], bound)))
            end = self._condensed.end
        for file in (self.files[number] for number in sorted(self.files)):
            if file.first >= end:
                files.append((file, not np.array_equal(file.read(f"{place}/bound"), bound)))

        def store(name: str, reach: int, size: tuple[int, int]) -> StoredCells:
            held = sum(file.count(f"{place}/{name}") for file, _ in files)
            block = int(self.memory // _SHARE // max(1, 8 * held // plan.units))
            return StoredCells(files, f"{place}/{name}", bound, reach, size, min(max(block, 1), _MOST))

        raw = (store("raw", 0, plan.raw_size),) if plan.apart else ()
        chunks = (store("cells", plan.reach, plan.stored_grid.map_size),)
        return Tail(plan, bound, chunks, raw, self.seen)

    def collect(self) -> Scan:
        """All shards as one scan, whose labels lie in files beside them.

        Raises `RunError` where something cannot be read or written, or a shard is missing.
        """
        if self.missing:
            raise RunError(f"shard {self.missing[0]} is not in {self.folder}; go on with --resume")
        files = [self.files[number] for number in sorted(self.files)]
        size, folder = self.plan.frame.mask_size, self.folder / "labels"
        shutil.rmtree(folder, ignore_errors=True)
        with writing(folder, self.hint):
            told = follow_each(files, "collecting labels", "shards")
            labels = map_annotations(size, (file.annotations(size) for file in told), folder)
        keys: Mapping[int, str] = {image: key for file in files for image, key in file.keys().items()}
        return Scan(keys, labels, {layer: self.tail(layer) for layer in self.plan.tails}, self.tops)
