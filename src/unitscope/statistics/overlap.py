"""Where masks meet labels: exact counts for every unit and concept, and their draws under chance."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from tqdm import tqdm

from unitscope.axes import Areas, CategoryAreas, ConceptAreas, Counts, PerUnit, Thresholds
from unitscope.statistics import tallies
from unitscope.statistics.annotations import LabelIndex
from unitscope.statistics.exemplars import TopImages
from unitscope.statistics.quantiles import Tail
from unitscope.statistics.resampling import Resampling
from unitscope.statistics.threads import Threads

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
    bootstrap interval of the IoU of its best concept; `heldout` the IoU on one half of the images of
    the concept that is best on the other, averaged over both ways.
    """

    null: Float64[np.ndarray, "unit shift"]
    low: PerUnit
    high: PerUnit
    heldout: PerUnit


@dataclass(frozen=True, eq=False)
class _Measures:
    """What is measured on one unit."""

    threshold: float
    active: int
    active_in: np.ndarray
    counts: np.ndarray
    top_sizes: np.ndarray
    top_runs: np.ndarray
    null: np.ndarray | None
    interval: tuple[float, float]
    heldout: float


class _Masks(NamedTuple):
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


def measure_overlap(
    tail: Tail,
    tops: TopImages,
    index: LabelIndex,
    union: str,
    areas: ConceptAreas,
    resampling: Resampling | None,
    threads: Threads,
) -> tuple[Overlap, Evidence | None]:
    """Thresholds, masks and counts of every unit of a layer, and the evidence where it is asked for."""
    halves = areas
    if resampling is not None:
        halves = index.annotations.concept_pixels(len(areas), resampling.first_half >= 0)
    truth = _Truth(index, RULES[union], areas, halves, resampling)
    units = tail.plan.units
    measured = list(
        tqdm(
            threads.map(lambda unit: _measure_unit(tail, tops.images[unit], truth, unit), range(units)),
            total=units, desc="overlap", unit=" units", disable=None,
        )
    )  # fmt: skip
    overlap = Overlap(
        np.array([unit.threshold for unit in measured], np.float32),
        np.array([unit.active for unit in measured], np.int64),
        np.stack([unit.active_in for unit in measured]),
        np.stack([unit.counts for unit in measured]),
        np.stack([unit.top_sizes for unit in measured]),
        np.concatenate([unit.top_runs for unit in measured]),
    )
    if resampling is None:
        return overlap, None
    return overlap, Evidence(
        np.stack([unit.null for unit in measured if unit.null is not None]),
        np.array([unit.interval[0] for unit in measured]),
        np.array([unit.interval[1] for unit in measured]),
        np.array([unit.heldout for unit in measured]),
    )


def _measure_unit(tail: Tail, top_images: np.ndarray, truth: _Truth, unit: int) -> _Measures:
    threshold = tail.threshold(unit)
    image, size, runs = tail.masks(unit, threshold)
    masks = _Masks(image, size, runs, tallies.mask_pixels(size, runs))
    counts, active_in, active = _tally(masks, image.astype(np.int64), truth)
    top_sizes, top_runs = _pick_masks(masks, top_images)
    null, interval, heldout = None, (np.nan, np.nan), np.nan
    if truth.resampling is not None:
        draws = truth.resampling
        null = tallies.null_overlaps(
            *masks, draws.order, draws.place, draws.shifts,
            truth.index.arrays, truth.rule, truth.areas, len(active_in),
        )  # fmt: skip
        _, best = tallies.best_overlap(counts, active_in, truth.areas, truth.index.arrays[8])
        interval = _bootstrap(masks, best, truth) if best else (0.0, 0.0)
        heldout = _score_heldout(masks, counts, active_in, truth)
    return _Measures(threshold, active, active_in, counts, top_sizes, top_runs, null, interval, heldout)


def _tally(masks: _Masks, target: np.ndarray, truth: _Truth) -> tuple[np.ndarray, np.ndarray, int]:
    counts = np.zeros(len(truth.areas) + 1, np.int64)
    active_in = np.zeros(len(truth.index.vocabulary.categories), np.int64)
    active = tallies.tally_masks(*masks[1:], target, truth.index.arrays, truth.rule, counts, active_in)
    return counts[:-1], active_in, int(active)


def _score_heldout(masks: _Masks, counts: np.ndarray, active_in: np.ndarray, truth: _Truth) -> float:
    """Named on one half of the images, scored on the other, both ways, averaged."""
    assert truth.resampling is not None
    category_of = truth.index.arrays[8]
    half_counts, half_active, _ = _tally(masks, truth.resampling.first_half[masks.image], truth)
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


def _bootstrap(masks: _Masks, concept: int, truth: _Truth) -> tuple[float, float]:
    """The 95 % percentile interval of the IoU with one concept when images are drawn anew."""
    assert truth.resampling is not None
    weights = truth.resampling.weights
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
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


def _pick_masks(masks: _Masks, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The masks of some images out of all of a unit's: their numbers of runs, and the runs."""
    starts = np.concatenate([[0], np.cumsum(masks.size, dtype=np.int64)])
    hits = np.flatnonzero(np.isin(masks.image, images))
    places = dict(zip(masks.image[hits].tolist(), hits.tolist(), strict=True))
    picked = [places.get(int(image), -1) for image in images]
    sizes = np.array([masks.size[place] if place >= 0 else 0 for place in picked], np.int64)
    parts = [masks.runs[starts[place] : starts[place + 1]] for place in picked if place >= 0]
    return sizes, np.concatenate(parts) if parts else np.zeros((0, 3), np.uint16)
