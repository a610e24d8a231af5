"""From counted pixels to names: the best concept of every unit, detectors, unique detectors."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from unitscope.axes import ConceptAreas, Counts, PerUnit, UnitIds
from unitscope.concepts.vocabulary import Vocabulary
from unitscope.dissection.conventions import Convention, NameBy, UniqueRule
from unitscope.statistics.mask_scores import score_masks


@dataclass(frozen=True, eq=False)
class UnitLabels:
    """The labels of a layer's units.

    `best` and `runner_up` are concept ids, 0 where there is none (a dead unit, or no overlap at
    all); `best_in[u, k]` and `best_iou_in[u, k]` are the same within category k of the vocabulary.
    `detector` says which units pass the convention's cut-offs, `detector_in` the same by category. Best is
    what the convention names by, `score` how much of that the best concept has.
    """

    iou: Float64[np.ndarray, "unit concept"]
    best: UnitIds
    best_iou: PerUnit
    runner_up: UnitIds
    runner_up_iou: PerUnit
    detector: Bool[np.ndarray, "unit"]
    best_in: Int32[np.ndarray, "unit category"]
    best_iou_in: Float64[np.ndarray, "unit category"]
    detector_in: Bool[np.ndarray, "unit category"]
    score: PerUnit


def divide_overlap(
    intersections: Counts, active: Int64[np.ndarray, "unit concept"], concept_pixels: ConceptAreas
) -> Float64[np.ndarray, "unit concept"]:
    """IoU of every unit with every concept: intersection / (active + concept - intersection).

    Sums over the data set, in pixels, never a mean over images (paper A, eq. 1). 0 where the union
    is empty.
    """
    union = active + concept_pixels[None, :] - intersections
    ratio = np.zeros(intersections.shape, np.float64)
    np.divide(intersections, union, out=ratio, where=union > 0)
    return ratio


def name_pairs(
    intersections: Counts, active: Int64[np.ndarray, "unit concept"], concept_pixels: ConceptAreas
) -> UnitIds:
    """The concept with the largest IoU of every unit, ties to the lowest id; 0 where there is none."""
    return _argmax(divide_overlap(intersections, active, concept_pixels))[0]


def information_quality(
    intersections: Int64[np.ndarray, "*shape"],
    active: Int64[np.ndarray, "*shape"],
    truth: Int64[np.ndarray, "*shape"],
    total: Int64[np.ndarray, "*shape"],
) -> Float64[np.ndarray, "*shape"]:
    """Mutual information over joint entropy of "unit is active" and "concept is here", 0 to 1.

    From the 2x2 table of pixel counts, natural logarithms, 0 log 0 = 0 and 0 / 0 = 0 (GAN
    Dissection, its released code).
    """
    n = np.maximum(total, 1).astype(np.float64)
    idle, elsewhere = total - active, total - truth
    cells = [
        (intersections, active, truth),
        (active - intersections, active, elsewhere),
        (truth - intersections, idle, truth),
        (idle - truth + intersections, idle, elsewhere),
    ]
    mutual, entropy = np.zeros(n.shape), np.zeros(n.shape)
    for cell, left, right in cells:
        p = np.maximum(cell, 0) / n
        expected = (left / n) * (right / n)
        seen = (p > 0) & (expected > 0)
        log_p = np.log(np.where(seen, p, 1.0))
        mutual += np.where(seen, p * (log_p - np.log(np.where(seen, expected, 1.0))), 0.0)
        entropy -= np.where(seen, p * log_p, 0.0)
    result = np.zeros(n.shape)
    np.divide(mutual, entropy, out=result, where=entropy > 0)
    return np.clip(result, 0.0, 1.0)


def label_units(
    intersections: Counts,
    active: Int64[np.ndarray, "unit concept"],
    concept_pixels: ConceptAreas,
    pixels_in: Int64[np.ndarray, "category"],
    vocabulary: Vocabulary,
    convention: Convention,
) -> UnitLabels:
    """The best concept of every unit by IoU, or what the convention names by; ties to the lowest id.

    Paper A, section 2.2. `active` pixels are given by pair, as each may have a threshold of its own. A
    concept that a unit does not meet is not its name.
    """
    iou = divide_overlap(intersections, active, concept_pixels)
    category = vocabulary.category_index
    if convention.name_by == "iou":
        ranked = np.where(intersections > 0, iou, -np.inf)
    else:
        ranked = _rank_pairs(convention.name_by, intersections, active, concept_pixels, pixels_in[category])
    rows = np.arange(len(iou))
    best, score = _find_best(ranked)
    units, categories = len(iou), len(vocabulary.categories)
    best_in = np.zeros((units, categories), np.int32)
    for place in range(categories):
        best_in[:, place], _ = _find_best(np.where(category == place, ranked, -np.inf))
    ranked[rows, best] = -np.inf
    runner_up, _ = _find_best(ranked)
    best_iou, runner_up_iou = iou[rows, best], iou[rows, runner_up]
    best_iou_in = iou[rows[:, None], best_in]
    detector_in = best_iou_in > convention.iou_cutoff
    if convention.iqr_cutoff > 0:
        column = rows[:, None]
        quality = information_quality(
            intersections[column, best_in],
            active[column, best_in],
            concept_pixels[best_in],
            np.broadcast_to(pixels_in[None, :], best_in.shape),
        )
        detector_in &= quality > convention.iqr_cutoff
    places = np.maximum(category[best], 0)
    detector = (best > 0) & detector_in[np.arange(units), places] if categories else np.zeros(units, bool)
    return UnitLabels(
        iou, best, best_iou, runner_up, runner_up_iou, detector, best_in, best_iou_in, detector_in, score
    )


def _rank_pairs(
    name_by: NameBy,
    intersections: Counts,
    active: Int64[np.ndarray, "unit concept"],
    concept_pixels: ConceptAreas,
    pixels: Int64[np.ndarray, "concept"],
) -> Float64[np.ndarray, "unit concept"]:
    """The score of every unit's mask with every concept, over the pixels that enter its union.

    Minus infinity for pairs that never meet. A concept that counts twice on a pixel has no more pixels than
    there are, and shares no more than the unit has.
    """
    there = np.minimum(concept_pixels, pixels)[None, :]
    both = np.minimum(np.minimum(intersections, active), there)
    scores = score_masks(both, active, there, np.maximum(pixels, 1)[None, :])[name_by]
    found: Float64[np.ndarray, "unit concept"] = np.where(
        (intersections > 0) & ~np.isnan(scores), scores, -np.inf
    )
    return found


def _find_best(ranked: Float64[np.ndarray, "unit concept"]) -> tuple[UnitIds, PerUnit]:
    """Id and value of the largest entry of each row; id 0 and value 0 where all are minus infinity."""
    ids = ranked.argmax(1)
    values = ranked[np.arange(len(ranked)), ids]
    there = np.isfinite(values)
    return np.where(there, ids, 0).astype(np.int32), np.where(there, values, 0.0)


def _argmax(iou: Float64[np.ndarray, "unit concept"]) -> tuple[UnitIds, PerUnit]:
    """Id and value of the largest entry of each row, id 0 where nothing is above 0."""
    ids = iou.argmax(1).astype(np.int32)
    values = iou[np.arange(len(iou)), ids]
    return np.where(values > 0, ids, 0).astype(np.int32), values


def unique_detectors(
    labels: UnitLabels,
    vocabulary: Vocabulary,
    rule: UniqueRule,
    among: Bool[np.ndarray, "unit"] | None = None,
) -> dict[str, int]:
    """How many different concepts have a detector, by category, of all units or of those `among` them.

    Rule `label` (paper A's text): a unit counts for its one label. Rule `category` (its released
    plots): a unit counts for its best concept in every category.
    """
    counts = {}
    for place, category in enumerate(vocabulary.categories):
        passed = labels.detector_in[:, place]
        if rule == "label":
            passed = passed & labels.detector & (labels.best == labels.best_in[:, place])
        if among is not None:
            passed = passed & among
        counts[category] = len(set(labels.best_in[passed, place].tolist()))
    return counts
