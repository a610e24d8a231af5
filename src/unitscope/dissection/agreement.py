"""How far two dissections of the same units agree, whoever labelled their images."""

from dataclasses import dataclass

import numpy as np

from unitscope.dissection.result import LayerDissection
from unitscope.errors import UsageError


@dataclass(frozen=True)
class Agreement:
    """Two dissections of the same units, over the concepts that both know.

    `same` is the share of units whose best shared concept is the same, `same_detectors` that share among
    the units that are detectors in both by it; `chance` is what `same` would be if every unit were
    compared with one drawn by lot. `correlation` is Pearson's of the IoUs of all units and shared concepts,
    `best_correlation` that of the units' best IoUs; NaN where nothing varies.
    """

    units: int
    concepts: int
    both_detect: int
    same: float
    same_detectors: float
    chance: float
    correlation: float
    best_correlation: float


def measure_agreement(one: LayerDissection, other: LayerDissection) -> Agreement:
    """Compares two dissections of one layer, such as with true labels and with a segmenter's.

    Concepts are the same if name and category are. Raises `UsageError` where the numbers of units differ
    or no concept is shared.
    """
    if len(one) != len(other):
        raise UsageError(f"{len(one)} units cannot be compared with {len(other)}; give the same layer twice")
    ids = [
        {(concept.name, concept.category): concept.id for concept in layer.vocabulary}
        for layer in (one, other)
    ]
    # What never occurs in one of the two cannot be agreed on.
    shared = [
        identity
        for identity in ids[0]
        if identity in ids[1]
        and one.concept_pixels[ids[0][identity]]
        and other.concept_pixels[ids[1][identity]]
    ]
    if not shared:
        raise UsageError("the two dissections share no concept; compare sources that name the same things")
    first, second = (
        layer.iou[:, [known[identity] for identity in shared]]
        for layer, known in zip((one, other), ids, strict=True)
    )
    names = [np.where(iou.max(1) > 0, iou.argmax(1), -1) for iou in (first, second)]
    same = (names[0] == names[1]) & (names[0] >= 0)
    shares = [np.bincount(name[name >= 0], minlength=len(shared)) / len(one) for name in names]
    detect = (first.max(1) > one.convention.iou_cutoff) & (second.max(1) > other.convention.iou_cutoff)
    return Agreement(
        len(one),
        len(shared),
        int(detect.sum()),
        float(same.mean()),
        float(same[detect].mean()) if detect.any() else float("nan"),
        float(shares[0] @ shares[1]),
        _correlate(first.ravel(), second.ravel()),
        _correlate(first.max(1), second.max(1)),
    )


def _correlate(one: np.ndarray, other: np.ndarray) -> float:
    if one.std() == 0 or other.std() == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
