"""Where masks meet labels: exact counts for every unit and concept, and what chance would give."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Int32, Int64
from tqdm import tqdm

from unitscope.axes import Areas, CategoryAreas, ConceptAreas, Counts, Thresholds, UnitIds
from unitscope.statistics.annotations import LabelIndex
from unitscope.statistics.device_tallies import DeviceLabels
from unitscope.statistics.evidence import Evidence, Tally, Truth, find_truth, measure_evidence
from unitscope.statistics.exemplars import TopImages
from unitscope.statistics.kernels import tallies
from unitscope.statistics.quantiles import Masks, Tail
from unitscope.statistics.resampling import Resampling
from unitscope.statistics.threads import Threads

T = TypeVar("T", "Overlap", "Evidence")

_BLOCK = 8192
"""Units are measured in blocks of this many maps, to bound what their masks take."""


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
    on_device: DeviceLabels | None = None,
) -> tuple[Overlap, Evidence | None]:
    """Thresholds, masks and counts of every unit of a layer, and the evidence where it is asked for.

    `names` are the concepts that units are named by where it is not simply the best; p-values are taken on
    cells as large as those of a map of `map_size`. Masks meet labels `on_device` where these lie there too.
    """
    units = len(tops.images)
    truth = None
    if resampling is not None:
        truth = find_truth(index, RULES[union], areas, resampling, names, map_size, units)
    tally_masks = partial(_tally_masks, index=index, rule=RULES[union], on_device=on_device)
    many = max(1, min(16, _BLOCK // len(index.annotations)))
    blocks = [(start, min(start + many, units)) for start in range(0, units, many)]
    measured = []

    def measure(block: tuple[int, int]) -> tuple[Overlap, Evidence | None]:
        part, shown = tail.part(*block), tops.images[slice(*block)]
        return _measure_block(part, shown, index, tally_masks, truth, block[0])

    with tqdm(total=units, desc="overlap", unit=" units", disable=None) as bar:
        for part in threads.pool.map(measure, blocks):
            measured.append(part)
            bar.update(len(part[0].thresholds))
    evidence = [found for _, found in measured if found is not None]
    return _join([overlap for overlap, _ in measured]), _join(evidence) if evidence else None


def _join(blocks: Sequence[T]) -> T:
    """What was found for blocks of units, as one."""
    names = [field.name for field in fields(blocks[0])]
    return type(blocks[0])(*(np.concatenate([getattr(block, name) for block in blocks]) for name in names))


def _tally_masks(
    masks: Masks, half: np.ndarray, index: LabelIndex, rule: int, on_device: DeviceLabels | None
) -> Tally:
    """The counts of some units' masks, by the device where it has the labels, and memory for it."""
    if on_device is not None:
        with suppress(torch.OutOfMemoryError):
            return on_device.tally(masks, half, rule)
    pixels = tallies.mask_pixels(masks.size, masks.runs)
    size, kinds = index.vocabulary.size, len(index.vocabulary.categories)
    return Tally(
        *tallies.tally_units(
            masks.counts, masks.size, masks.runs, pixels, masks.image, half, index.arrays, rule, size, kinds
        )
    )


def _measure_block(
    part: Tail,
    tops: Int32[np.ndarray, "unit rank"],
    index: LabelIndex,
    tally_masks: Callable[[Masks, np.ndarray], Tally],
    truth: Truth | None,
    start: int,
) -> tuple[Overlap, Evidence | None]:
    thresholds = part.thresholds()
    masks = part.masks(thresholds)
    half = np.zeros(len(index.annotations), np.int8) if truth is None else truth.resampling.half
    tally = tally_masks(masks, half)
    edges = np.concatenate([[0], np.cumsum(tally.valid)])[np.concatenate([[0], np.cumsum(masks.counts)])]
    top_sizes, top_runs = tallies.pick_masks(*masks, tops)
    overlap = Overlap(
        thresholds, np.diff(edges), tally.active.sum(1), tally.counts.sum(1)[:, :-1], top_sizes, top_runs
    )
    if truth is None:
        return overlap, None
    pixels = tallies.mask_pixels(masks.size, masks.runs)
    return overlap, measure_evidence(masks, pixels, tally, truth, start)
