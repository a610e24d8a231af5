"""Where masks meet labels: exact counts for every unit and concept, and what chance would give."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float64, Int32, Int64, UInt8
from tqdm import tqdm

from unitscope.axes import Areas, CategoryAreas, ConceptAreas, Counts, PerUnit, Thresholds, UnitIds
from unitscope.statistics.annotations import LabelIndex
from unitscope.statistics.exemplars import TopImages
from unitscope.statistics.intervals import MIDDLE
from unitscope.statistics.kernels import tallies
from unitscope.statistics.quantiles import Tail
from unitscope.statistics.threads import Threads

T = TypeVar("T", "Overlap", "Evidence")

_BLOCK = 8192
"""Units are measured in blocks of this many maps, to bound what their masks take."""


@dataclass(frozen=True, eq=False)
class Resampling:
    """How the images of a scan are shuffled, halved and redrawn.

    `order` is a random order of the images. Null draw s pairs the masks of image order[k] with the
    labels of image order[k + shifts[s]], around the end; the shifts are distinct and never 0, so
    together with the true pairing they are draws from a group, and a rank among them is an exact
    p-value. `weights[image, b]` says how often bootstrap replicate b draws an image.
    """

    order: Int64[np.ndarray, "image"]
    shifts: Int64[np.ndarray, "shift"]
    weights: UInt8[np.ndarray, "image replicate"]

    @cached_property
    def place(self) -> Int64[np.ndarray, "image"]:
        """Where in the order every image stands."""
        place = np.empty_like(self.order)
        place[self.order] = np.arange(len(self.order))
        return place

    @cached_property
    def first_half(self) -> Int32[np.ndarray, "image"]:
        """Every image's number where it is in the first half of the order, else -1."""
        here = self.place < len(self.order) // 2
        return np.where(here, np.arange(len(self.order)), -1).astype(np.int32)


def draw_resampling(images: int, seed: int, shifts: int, replicates: int) -> Resampling:
    """A resampling of that many images; at most images - 1 shifts are possible.

    >>> draw_resampling(3, seed=0, shifts=100, replicates=5).shifts.tolist()
    [1, 2]
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(images)
    possible = rng.permutation(np.arange(1, max(images, 1)))
    drawn = np.sort(possible[:shifts])
    weights = np.empty((images, replicates), np.uint8)
    for replicate in range(replicates):
        picks = rng.integers(0, images, images)
        weights[:, replicate] = np.minimum(np.bincount(picks, minlength=images), 255)
    return Resampling(order, drawn, weights)


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


@dataclass(frozen=True, eq=False)
class Evidence:
    """What chance would give each unit, and how its IoU varies with the images.

    `null[unit, shift]` is the best IoU over concepts with shifted labels; `low`, `high` the
    bootstrap interval of the IoU of its best concept, or of the one it was named by; `heldout` the IoU
    on one half of the images of the concept that is best on the other, averaged over both ways.
    """

    null: Float64[np.ndarray, "unit shift"]
    low: PerUnit
    high: PerUnit
    heldout: PerUnit


class _UnitMasks(NamedTuple):
    """A unit's masks: by mask its image, number of runs and pixels; all runs."""

    image: np.ndarray
    size: np.ndarray
    runs: np.ndarray
    pixels: np.ndarray


@dataclass(frozen=True, eq=False)
class _Truth:
    """What all units of a layer are measured against."""

    index: LabelIndex
    rule: int
    areas: ConceptAreas
    half_areas: ConceptAreas
    resampling: Resampling | None
    names: UnitIds | None


def measure_overlap(
    tail: Tail,
    tops: TopImages,
    index: LabelIndex,
    union: str,
    areas: ConceptAreas,
    resampling: Resampling | None,
    threads: Threads,
    names: UnitIds | None = None,
) -> tuple[Overlap, Evidence | None]:
    """Thresholds, masks and counts of every unit of a layer, and the evidence where it is asked for.

    `names` are the concepts that units are named by where it is not simply the best.
    """
    halves = areas
    if resampling is not None:
        halves = index.annotations.concept_pixels(len(areas), resampling.first_half >= 0)
    truth = _Truth(index, RULES[union], areas, halves, resampling, names)
    units = tail.plan.units
    many = max(1, min(16, _BLOCK // tail.plan.images))
    blocks = [(start, min(start + many, units)) for start in range(0, units, many)]
    measured = []
    with tqdm(total=units, desc="overlap", unit=" units", disable=None) as bar:
        for part in threads.pool.map(lambda block: _measure_block(tail, tops, truth, *block), blocks):
            measured.append(part)
            bar.update(len(part[0].thresholds))
    evidence = [found for _, found in measured if found is not None]
    return _join([overlap for overlap, _ in measured]), _join(evidence) if evidence else None


def _join(blocks: Sequence[T]) -> T:
    """What was found for blocks of units, as one."""
    names = [field.name for field in fields(blocks[0])]
    return type(blocks[0])(*(np.concatenate([getattr(block, name) for block in blocks]) for name in names))


def _measure_block(
    tail: Tail, tops: TopImages, truth: _Truth, start: int, stop: int
) -> tuple[Overlap, Evidence | None]:
    part = tail.part(start, stop)
    thresholds = part.thresholds()
    masks = part.masks(thresholds)
    pixels = tallies.mask_pixels(masks.size, masks.runs)
    counts, active_in, active = tallies.tally_units(
        masks.counts, masks.size, masks.runs, pixels, masks.image,
        truth.index.arrays, truth.rule, len(truth.areas), len(truth.index.vocabulary.categories),
    )  # fmt: skip
    top_sizes, top_runs = tallies.pick_masks(*masks, tops.images[start:stop])
    overlap = Overlap(thresholds, active, active_in, counts[:, :-1], top_sizes, top_runs)
    draws = truth.resampling
    if draws is None:
        return overlap, None
    places = np.concatenate([[0], np.cumsum(masks.counts)])
    starts = np.concatenate([[0], np.cumsum(masks.size, dtype=np.int64)])
    found = []
    for unit in range(stop - start):
        m, n = places[unit], places[unit + 1]
        runs = masks.runs[starts[m] : starts[n]]
        taken = _UnitMasks(masks.image[m:n], masks.size[m:n], runs, pixels[m:n])
        shared, entering = counts[unit, :-1], active_in[unit]
        null = tallies.null_overlaps(
            *taken, draws.order, draws.place, draws.shifts,
            truth.index.arrays, truth.rule, truth.areas, len(entering),
        )  # fmt: skip
        _, best = tallies.best_overlap(shared, entering, truth.areas, truth.index.arrays[8])
        best = best if truth.names is None else int(truth.names[start + unit])
        low, high = _bootstrap(taken, best, truth, draws) if best else (0.0, 0.0)
        found.append((null, low, high, _score_heldout(taken, shared, entering, truth, draws)))
    return overlap, Evidence(*(np.array(column) for column in zip(*found, strict=True)))


def _score_heldout(
    masks: _UnitMasks, counts: np.ndarray, active_in: np.ndarray, truth: _Truth, draws: Resampling
) -> float:
    """Named on one half of the images, scored on the other, both ways, averaged."""
    category_of = truth.index.arrays[8]
    half_counts = np.zeros(len(truth.areas) + 1, np.int64)
    half_active = np.zeros(len(active_in), np.int64)
    tallies.tally_masks(
        *masks[1:], draws.first_half[masks.image], truth.index.arrays, truth.rule, half_counts, half_active
    )
    half_counts = half_counts[:-1]
    halves = [
        (half_counts, half_active, truth.half_areas),
        (counts - half_counts, active_in - half_active, truth.areas - truth.half_areas),
    ]
    scores = []
    for naming, (scored, entering, areas) in zip(halves, reversed(halves), strict=True):
        _, best = tallies.best_overlap(*naming, category_of)
        union = entering[category_of[best]] + areas[best] - scored[best] if best else 0  # type: ignore[index]
        scores.append(scored[best] / union if union > 0 else 0.0)
    return float(np.mean(scores))


def _bootstrap(masks: _UnitMasks, concept: int, truth: _Truth, draws: Resampling) -> tuple[float, float]:
    """The 95 % percentile interval of the IoU with one concept when images are drawn anew."""
    weights = draws.weights
    shared, entering = tallies.concept_by_image(*masks, truth.index.arrays, truth.rule, concept)
    starts, images, pixels = truth.index.annotations.by_concept
    owned = slice(starts[concept], starts[concept + 1])
    sums = np.zeros((3, weights.shape[1]), np.int64)
    tallies.weigh_images(weights, masks.image, shared, sums[0])
    tallies.weigh_images(weights, masks.image, entering, sums[1])
    tallies.weigh_images(weights, images[owned], pixels[owned], sums[2])
    union = sums[1] + sums[2] - sums[0]
    ratios = np.zeros(len(union))
    np.divide(sums[0], union, out=ratios, where=union > 0)
    low, high = np.quantile(ratios, MIDDLE)
    return float(low), float(high)
