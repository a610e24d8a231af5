"""Ranges of a unit's activation: what it shares with sets of labels where it is in each of them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unitscope.axes import Thresholds
from unitscope.progress import follow
from unitscope.statistics.exemplars import TopImages
from unitscope.statistics.label_sets import SetCounts, TablePlan
from unitscope.statistics.label_tables import LabelTable
from unitscope.statistics.quantiles import Tail
from unitscope.statistics.threads import Threads

_TOGETHER = 16
"""Units are measured so many at a time."""


def measure_ranges(
    tail: Tail, tops: TopImages, plan: TablePlan, fractions: Sequence[float], threads: Threads
) -> LabelTable | None:
    """The table of every unit in every range: its unit u * ranges + r is unit u of the layer in range r.

    Range r holds the pixels above the value that a fraction `fractions[r]` of the unit's values exceeds, and
    not above that of the next fraction; the last one has all from its own on. Fractions fall, and the tail
    keeps what is above the first. None where the table would be too large.
    """
    units = tail.plan.units

    def measure(start: int) -> SetCounts:
        part = tail.part(start, min(start + _TOGETHER, units))
        highest = np.maximum(
            tops.peaks[start : start + _TOGETHER, 0], 0 if tail.plan.grid.border else -np.inf
        )
        counts = []
        for fraction in fractions:
            found: Thresholds = replace(part, plan=replace(part.plan, quantile=fraction)).rank_values()
            masks = part.masks(np.where(highest > found, found, np.float32(np.inf)))
            counts.append(plan.count(masks))
        return _subtract(counts, plan)

    measured = []
    with follow(units, "ranges", "units") as work:
        for start, counts in enumerate(threads.pool.map(measure, range(0, units, _TOGETHER))):
            measured.append(counts)
            work.update(min(_TOGETHER, units - start * _TOGETHER))
    return plan.finish(measured)


def _subtract(nested: Sequence[SetCounts], plan: TablePlan) -> SetCounts:
    """From what lies above each fraction's value, range by range: it less the next; by unit, then range."""
    slots = {counts.lengths.shape[1] for counts in nested}
    nested = nested if len(slots) == 1 else [plan.drop_null(counts) for counts in nested]
    units, parts = nested[0].lengths.shape
    ranges, many = len(nested), len(plan.index.ranks)
    keys, pixels = [], []
    for place, counts in enumerate(nested):
        owner = np.repeat(np.arange(units * parts), counts.lengths.reshape(-1))
        unit, part = np.divmod(owner, parts)
        for where, sign in ((place, 1), (place - 1, -1)):
            if where >= 0:
                keys.append(((unit * ranges + where) * parts + part) * many + counts.rows)
                pixels.append(sign * counts.pixels.astype(np.int64))
    found, entry = np.unique(np.concatenate(keys), return_inverse=True)
    total = np.zeros(len(found), np.int64)
    np.add.at(total, entry, np.concatenate(pixels))
    found, total = found[total > 0], total[total > 0]
    lengths = np.bincount(found // many, minlength=units * ranges * parts)
    return SetCounts(lengths.reshape(-1, parts), (found % many).astype(np.uint32), total.astype(np.uint32))
