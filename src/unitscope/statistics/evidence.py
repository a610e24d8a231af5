"""What chance would give each unit, and how its IoU varies with the images."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from unitscope.axes import ConceptAreas, PerUnit, UnitIds
from unitscope.statistics.annotations import LabelIndex
from unitscope.statistics.intervals import MIDDLE
from unitscope.statistics.kernels import tallies
from unitscope.statistics.quantiles import Masks
from unitscope.statistics.resampling import Resampling
from unitscope.statistics.rings import (
    JUDGED,
    WHOLE,
    CoarseLabels,
    PlacedMasks,
    RingPlan,
    Room,
    pair_slot,
    rank_units,
)

SAMPLED = 128
"""About so many units of a layer have a slot measured in pixels too."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What chance would give each unit, and how its IoU varies with the images.

    `null[unit, draw]` is the best IoU over concepts with shifted labels, NaN beyond a unit's last: of whole
    orders, or where blocks were shifted of the same slot in all of them. Then `p[unit, value]` has the
    counted p-values: first of the truth, then of whole slots that are taken for it; else it has no columns.
    `low`, `high` are the bootstrap interval of the IoU of its best concept, or of the one it was named by;
    `heldout` the IoU on one half of the images of the concept that is best on the other, averaged over both
    ways. Blocks are measured on cells; `fine` has for some units what null[:, 0] is in pixels, and else NaN.
    """

    null: Float64[np.ndarray, "unit draw"]
    fine: PerUnit
    p: Float64[np.ndarray, "unit value"]
    low: PerUnit
    high: PerUnit
    heldout: PerUnit


class UnitMasks(NamedTuple):
    """A unit's masks: by mask its image, number of runs and pixels; all runs."""

    image: np.ndarray
    size: np.ndarray
    runs: np.ndarray
    pixels: np.ndarray


class Tally(NamedTuple):
    """What `tallies.tally_units` gives for the masks of some units."""

    counts: Int64[np.ndarray, "unit half id"]
    active: Int64[np.ndarray, "unit half category"]
    valid: Int64[np.ndarray, "mask"]
    bits: np.ndarray


@dataclass(frozen=True, eq=False)
class Truth:
    """What all units of a layer are measured against.

    `half_areas` are those of either half of the images; one unit of `every` so many has a slot measured in
    pixels.
    """

    index: LabelIndex
    rule: int
    areas: ConceptAreas
    half_areas: tuple[ConceptAreas, ConceptAreas]
    resampling: Resampling
    coarse: CoarseLabels | None
    names: UnitIds | None
    every: int
    room: Room = field(default_factory=Room)

    @property
    def widest(self) -> int:
        """The columns of `Evidence.null`."""
        return len(self.resampling.shifts) if self.coarse is None else WHOLE


def find_truth(
    index: LabelIndex, rule: int, areas: ConceptAreas, draws: Resampling, names: UnitIds | None,
    map_size: tuple[int, int], units: int,
) -> Truth:  # fmt: skip
    """What the `units` of a layer are measured against, whose maps have that size."""
    first = index.annotations.concept_pixels(len(areas), draws.half == 0)
    coarse = None if draws.rings is None else draws.rings.coarsen(index, map_size)
    every = max(1, units // SAMPLED)
    return Truth(index, rule, areas, (first, areas - first), draws, coarse, names, every)


def measure_evidence(masks: Masks, pixels: np.ndarray, tally: Tally, truth: Truth, start: int) -> Evidence:
    """The evidence for the units of a block, whose first is unit `start`."""
    places = np.concatenate([[0], np.cumsum(masks.counts)])
    owned = _part_masks(masks, pixels, places)
    null, fine, p = _draw_nulls(owned, truth, start)
    low, high, heldout = (np.zeros(len(owned)) for _ in range(3))
    for unit, taken in enumerate(owned):
        mine = slice(places[unit], places[unit + 1])
        counts, active = tally.counts[unit, :, :-1], tally.active[unit]
        best = _find_best(counts.sum(0), active.sum(0), truth.areas, truth)
        best = best if truth.names is None else int(truth.names[start + unit])
        if best:
            low[unit], high[unit] = _bootstrap(taken, tally.valid[mine], tally.bits[mine], best, truth)
        heldout[unit] = _score_heldout(counts, active, truth)
    return Evidence(null, fine, p, low, high, heldout)


def _part_masks(masks: Masks, pixels: np.ndarray, places: np.ndarray) -> list[UnitMasks]:
    starts = np.concatenate([[0], np.cumsum(masks.size, dtype=np.int64)])
    return [
        UnitMasks(masks.image[m:n], masks.size[m:n], masks.runs[starts[m] : starts[n]], pixels[m:n])
        for m, n in itertools.pairwise(places)
    ]


def _draw_nulls(
    owned: Sequence[UnitMasks], truth: Truth, start: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`null`, `fine` and `p` of the evidence of some units, whose first is unit `start`."""
    units, coarse = len(owned), truth.coarse
    null, fine = np.full((units, truth.widest), np.nan), np.full(units, np.nan)
    p = np.ones((units, 0 if coarse is None else JUDGED + 1))
    if coarse is None:
        for unit, masks in enumerate(owned):
            null[unit] = _shift_orders(masks, truth)
        return null, fine, p
    placed = [_place_masks(masks, truth, coarse) for masks in owned]
    ranks = rank_units(placed, coarse, truth.rule, truth.resampling.count, truth.room)
    for unit, found in enumerate(ranks):
        p[unit, : len(found.p)], null[unit, : len(found.best) - 1] = found.p, found.best[1:]
        if (start + unit) % truth.every == 0:
            fine[unit] = _measure_slot(owned[unit], placed[unit].plan, truth, coarse)
    return null, fine, p


def _shift_orders(masks: UnitMasks, truth: Truth) -> np.ndarray:
    draws = truth.resampling
    found: np.ndarray = tallies.null_overlaps(
        *masks, draws.order, draws.place, draws.shifts,
        truth.index.arrays, truth.rule, truth.areas, len(truth.index.vocabulary.categories),
    )  # fmt: skip
    return found


def _place_masks(masks: UnitMasks, truth: Truth, coarse: CoarseLabels) -> PlacedMasks:
    rings = truth.resampling.rings
    assert rings is not None
    places = truth.resampling.place[masks.image]
    plan = rings.plan(int((places < rings.images).sum()), len(coarse.areas))
    starts = np.concatenate([[0], np.cumsum(masks.size, dtype=np.int64)])
    return PlacedMasks(plan, places, starts, masks.runs, masks.pixels)


def _measure_slot(masks: UnitMasks, plan: RingPlan, truth: Truth, coarse: CoarseLabels) -> float:
    """The best IoU of the first whole slot after the truth, in pixels."""
    draws, table = truth.resampling, truth.index.arrays
    target = pair_slot(plan, 1, draws.place[masks.image], draws.order)
    counts = np.zeros(len(truth.areas) + 1, np.int64)
    active = np.zeros(len(truth.index.vocabulary.categories), np.int64)
    tallies.tally_masks(*masks[1:], target, table, truth.rule, counts, active)
    return float(tallies.best_overlap(counts[:-1], active, coarse.pixels, table[8])[0])


def _find_best(counts: np.ndarray, active: np.ndarray, areas: np.ndarray, truth: Truth) -> int:
    return int(tallies.best_overlap(counts, active, areas, truth.index.arrays[8])[1])


def _score_heldout(
    counts: Int64[np.ndarray, "half concept"], active: Int64[np.ndarray, "half category"], truth: Truth
) -> float:
    """Named on one half of the images, scored on the other, both ways, averaged."""
    scores = []
    for naming, scored in ((0, 1), (1, 0)):
        best = _find_best(counts[naming], active[naming], truth.half_areas[naming], truth)
        place = truth.index.arrays[8][best]  # type: ignore[index]
        shared = counts[scored, best]
        union = active[scored, place] + truth.half_areas[scored][best] - shared if best else 0
        scores.append(shared / union if union > 0 else 0.0)
    return float(np.mean(scores))


def _bootstrap(
    masks: UnitMasks, valid: np.ndarray, bits: np.ndarray, concept: int, truth: Truth
) -> tuple[float, float]:
    """The 95 % percentile interval of the IoU with one concept when bins of images are drawn anew."""
    draws = truth.resampling
    starts, images, pixels = truth.index.annotations.by_concept
    owned = slice(starts[concept], starts[concept + 1])
    has = np.zeros(len(draws.order), np.bool_)
    has[images[owned]] = True
    bins = np.zeros((3, len(draws.weights)), np.int64)
    np.add.at(bins[2], draws.bin[images[owned]], pixels[owned])
    tallies.bin_concept(*masks[:3], valid, bits, truth.index.arrays, concept, has, draws.bin, bins[:2])
    shared, entering, area = (tallies.weigh_bins(draws.weights, values) for values in bins)
    union = entering + area - shared
    ratios = np.zeros(len(union))
    np.divide(shared, union, out=ratios, where=union > 0)
    # As np.quantile, in a tenth of the time.
    low, high = np.interp(np.multiply(MIDDLE, len(ratios) - 1), np.arange(len(ratios)), np.sort(ratios))
    return float(low), float(high)
