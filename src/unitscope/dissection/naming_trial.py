"""How long naming takes: a few units are named over a few images, which are repeated until they are many."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from unitscope.concepts.vocabulary import Vocabulary
from unitscope.dissection.conventions import Convention
from unitscope.statistics.annotations import Annotations, LabelIndex
from unitscope.statistics.cells import Cells, Chunk
from unitscope.statistics.evidence import find_truth
from unitscope.statistics.label_sets import MOST, index_sets
from unitscope.statistics.overlap import RULES, measure_block
from unitscope.statistics.quantiles import Tail
from unitscope.statistics.resampling import draw_resampling
from unitscope.statistics.scan import Scan, ScanPlan
from unitscope.statistics.threads import Threads

_NAMED, _MANY = 16, 2048
"""So many units are named, over so many images."""


@dataclass(frozen=True, eq=False)
class NamingTrial:
    """Some images, whose units are named for a trial.

    `confidence` has the numbers of `Confidences`; with `label_sets` there are `tables`, by layer their bytes.
    """

    scan: Scan
    words: Vocabulary
    rules: Convention
    confidence: Mapping[str, Any]
    label_sets: bool
    threads: Threads
    tables: dict[str, int] = field(default_factory=dict)

    def foretell(self, plan: ScanPlan) -> float:
        """Seconds for all units of all layers: how naming grows from half of many images to all of these."""
        total = 0.0
        for layer, tail in plan.tails.items():
            images, capped = tail.images, tail.images
            if self.confidence["null"] == "blocks":  # null draws are over no more than these
                capped = min(images, self.confidence["null_images"])
            most = min(images, _MANY)
            self.measure(layer, tail.units, 1)  # compiles
            half, more = (self.measure(layer, tail.units, count) for count in (most // 2, most))
            slope = max(more.sure - half.sure, 0) / max(most - most // 2, 1)
            each = more.sure + slope * (capped - most) + more.plain / most * (images - capped)
            total += more.shared / most * images + each * tail.units / min(_NAMED, tail.units)
        return total

    def measure(self, layer: str, units: int, count: int) -> "Spent":
        """What naming some of a layer's units takes over these images, repeated until they are `count`."""
        tail, index = self.repeat(layer, count)
        some, tops, rule, truth = tail.plan.units, self.scan.tops[layer], RULES[self.rules.union], None
        tops = replace(tops, images=tops.images[:some], peaks=tops.peaks[:some])
        started = time.perf_counter()
        areas = index.annotations.concept_pixels(self.words.size)
        order = np.random.default_rng(0).permutation(tail.seen)
        sets = index_sets(index, order, self.threads) if self.label_sets else None
        if self.confidence["shifts"] and tail.seen > 1:
            draws = draw_resampling(tail.seen, 0, **self.confidence)
            truth = find_truth(index, rule, areas, draws, None, tail.plan.raw_size, units)
        plans = [None if sets is None else sets.plan(units, known) for known in (truth is not None, False)]
        measure_block(tail, tops, index, rule, (truth, plans[0]), 0, 1)
        moments = [started, time.perf_counter()]
        for known in zip((truth, None), plans, strict=True):
            work = partial(measure_block, tail, tops, index, rule, known)
            found = self.threads.map_blocks(lambda block, work=work: work(*block), some)  # type: ignore[misc]
            moments.append(time.perf_counter())
            entries = sum(len(counts.rows) for _, _, counts in found if counts is not None)
            self.tables[layer] = max(self.tables.get(layer, 0), min(entries * units // some, MOST) * 8)
        return Spent(*np.diff(moments).tolist())

    def repeat(self, layer: str, count: int) -> tuple[Tail, LabelIndex]:
        """The tail of some of a layer's units, and labels, over these images again and again."""
        labels = self.scan.annotations
        seen, times = len(labels), max(1, count // len(labels))
        part = self.scan.tails[layer].part(0, min(_NAMED, self.scan.tails[layer].plan.units), True)
        tiled = {name: np.tile(array, times) for name, array in labels.arrays.items()}

        def again(chunks: tuple[Chunk, ...]) -> tuple[Cells, ...]:
            cells = [chunk.part(0, part.plan.units) for chunk in chunks]
            return tuple(
                Cells(one.counts, one.image + np.int32(seen * number), one.size, one.cells, one.values)
                for one in cells
                for number in range(times)
            )

        plan = replace(part.plan, images=seen * times)
        tail = Tail(plan, part.bound, again(part.chunks), again(part.raw), seen * times)
        return tail, LabelIndex(Annotations(labels.mask_size, ((0, tiled),)), self.words)


class Spent(NamedTuple):
    """Seconds for what all units share, for some of them with confidence, and for these without."""

    shared: float
    sure: float
    plain: float
