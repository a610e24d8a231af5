"""Where masks meet labels: exact counts for every unit and concept, and what chance would give."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Int64

from unitscope.axes import Areas, CategoryAreas, ConceptAreas, Counts, Thresholds, UnitIds
from unitscope.progress import follow
from unitscope.statistics.annotations import LabelIndex
from unitscope.statistics.device_tallies import DeviceLabels
from unitscope.statistics.evidence import Evidence, Tally, Truth, find_truth, measure_evidence
from unitscope.statistics.exemplars import TopImages
from unitscope.statistics.kernels import tallies
from unitscope.statistics.label_sets import SetCounts, TablePlan
from unitscope.statistics.label_tables import LabelTable
from unitscope.statistics.quantiles import Masks, Tail
from unitscope.statistics.resampling import Resampling
from unitscope.statistics.threads import Threads

T = TypeVar("T", "Overlap", "Evidence")

_BLOCK, _LEAST, _MOST = 1 << 20, 4, 64
"""Units are measured in blocks of this many maps, to bound what their masks take, but of so many units."""

_BLOCKS = 8
"""At least so many blocks, for the threads to share; the larger they are, the nearer are the labels."""


RULES = {"all": tallies.ALL, "category": tallies.CATEGORY, "touched": tallies.TOUCHED}


@dataclass(frozen=True, eq=False)
class Overlap:
    """The counts of a layer's units against all concepts, in mask pixels summed over images.

    `active` leaves out void pixels; `active_in` is what enters the union with concepts of a
    category. `top_sizes` and `top_runs` are the masks of the top images, in order.
    """

    thresholds: Thresholds
    active: Areas
    active_in: CategoryAreas
    intersections: Counts
    top_sizes: Int64[np.ndarray, "unit rank"]
    top_runs: np.ndarray


_Asked = tuple[Truth | None, TablePlan | None]
"""What evidence is measured against, and how a table is made; None where that is not asked for."""

_Measured = tuple[Overlap, Evidence | None, SetCounts | None]


def measure_overlap(
    tail: Tail,
    tops: TopImages,
    index: LabelIndex,
    union: str,
    areas: ConceptAreas,
    resampling: Resampling | None,
    threads: Threads,
    names: UnitIds | None = None,
    map_size: tuple[int, int] = (7, 7),
    sets: TablePlan | None = None,
) -> tuple[Overlap, Evidence | None, LabelTable | None]:
    """Thresholds, masks and counts of every unit of a layer, and what is asked for: evidence, the table.

    `names` are the concepts that units are named by where it is not simply the best; p-values are taken on
    cells as large as those of a map of `map_size`; `sets` says how the table of sets of labels is made.
    """
    units = len(tops.images)
    truth = None
    if resampling is not None:
        truth = find_truth(index, RULES[union], areas, resampling, names, map_size, units)
    many = max(_LEAST, min(_MOST, _BLOCK // len(index.annotations), -(-units // _BLOCKS)))
    blocks = [(start, min(start + many, units)) for start in range(0, units, many)]
    measured = []

    def measure(block: tuple[int, int]) -> _Measured:
        return measure_block(tail, tops, index, RULES[union], (truth, sets), *block)

    with follow(units, "naming", "units") as work:
        for part in threads.pool.map(measure, blocks):
            measured.append(part)
            work.update(len(part[0].thresholds))
    evidence = [found for _, found, _ in measured if found is not None]
    counts = [found for _, _, found in measured if found is not None]
    return (
        _join([overlap for overlap, _, _ in measured]),
        _join(evidence) if evidence else None,
        None if sets is None else sets.finish(counts),
    )


def _join(blocks: Sequence[T]) -> T:
    """What was found for blocks of units, as one."""
    names = [field.name for field in fields(blocks[0])]
    return type(blocks[0])(*(np.concatenate([getattr(block, name) for block in blocks]) for name in names))


def measure_block(
    tail: Tail, tops: TopImages, index: LabelIndex, rule: int, asked: _Asked, start: int, stop: int
) -> _Measured:
    """The counts of some units against all concepts, and what is asked for besides."""
    truth, sets = asked
    part = tail.part(start, stop)
    thresholds = part.thresholds()
    # No pixel is above all cells but by rounding: where no cell passes the threshold the unit is dead.
    highest = np.maximum(tops.peaks[start:stop, 0], 0 if tail.plan.grid.border else -np.inf)
    masks = part.masks(np.where(highest > thresholds, thresholds, np.float32(np.inf)))
    pixels = tallies.mask_pixels(masks.size, masks.runs)
    half = np.zeros(len(index.annotations), np.int8) if truth is None else truth.resampling.half
    tally = _tally_masks(masks, pixels, half, index, rule)
    edges = np.concatenate([[0], np.cumsum(tally.valid)])[np.concatenate([[0], np.cumsum(masks.counts)])]
    top_sizes, top_runs = tallies.pick_masks(*masks, tops.images[start:stop])
    overlap = Overlap(
        thresholds, np.diff(edges), tally.active.sum(1), tally.counts.sum(1)[:, :-1], top_sizes, top_runs
    )
    return (
        overlap,
        None if truth is None else measure_evidence(masks, pixels, tally, truth, start),
        None if sets is None else sets.count(masks),
    )


def _tally_masks(masks: Masks, pixels: np.ndarray, half: np.ndarray, index: LabelIndex, rule: int) -> Tally:
    """The counts of some units' masks, by the device where it has the labels, and memory for it."""
    if isinstance(index, DeviceLabels):
        with suppress(torch.OutOfMemoryError):
            return index.tally(masks, half, rule)
    words = index.vocabulary
    return Tally(
        *tallies.tally_units(
            masks.counts, masks.size, masks.runs, pixels, masks.image, half,
            index.arrays, rule, words.size, len(words.categories),
        )
    )  # fmt: skip
