"""Units as detectors of one concept: thresholds, what they are worth, and how far luck goes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from unitscope.concepts.vocabulary import Concept
from unitscope.errors import UsageError
from unitscope.statistics.intervals import MIDDLE

Peaks = Float32[np.ndarray, "image unit"]
Thresholds = tuple[Float64[np.ndarray, "unit"], Float64[np.ndarray, "unit"]]


@dataclass(frozen=True, eq=False)
class Sample:
    """As many images with a concept as without; `images` are numbers in the source, ascending.

    `present` says which have it, `fitting` in which the threshold is sought: half of either kind. All the
    others measure what it is worth. Several concepts count as one that is any of them.
    """

    concepts: tuple[Concept, ...]
    images: Int64[np.ndarray, "image"]
    present: Bool[np.ndarray, "image"]
    fitting: Bool[np.ndarray, "image"]

    @property
    def name(self) -> str:
        """The concepts for people."""
        return " or ".join(concept.label for concept in self.concepts)

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class Detectors:
    """Every unit of a layer as a detector of one concept: present where its peak is above the threshold.

    `fitted` is the balanced accuracy on the half that the threshold comes from; `balanced`, with its 95 %
    bootstrap interval `low` to `high`, and `auroc`, the area under the receiver operating characteristic,
    are measured on the other half. Chance is 0.5 in all of them.
    """

    threshold: Float64[np.ndarray, "unit"]
    fitted: Float64[np.ndarray, "unit"]
    balanced: Float64[np.ndarray, "unit"]
    low: Float64[np.ndarray, "unit"]
    high: Float64[np.ndarray, "unit"]
    auroc: Float64[np.ndarray, "unit"]

    def __len__(self) -> int:
        return len(self.threshold)

    @property
    def order(self) -> Int64[np.ndarray, "unit"]:
        """The units, the best first by `fitted`, so that none is favored where it is measured."""
        return np.argsort(-self.fitted, kind="stable")


def score_units(peaks: Peaks, sample: Sample, *, replicates: int = 1000, seed: int = 0) -> Detectors:
    """Every unit as a detector: its threshold from one half of the sample, its worth on the other half.

    The threshold maximizes the balanced accuracy (true positive rate + true negative rate) / 2, midway
    between two peaks; of several the one where misses and false alarms balance best (as paper B chooses it),
    then the lowest. The interval resamples the images measured, those with the concept and those without by
    themselves: as each of them is right or wrong, that is a binomial draw for either.
    """
    fit, rest = sample.fitting, ~sample.fitting
    thresholds, fitted = find_thresholds(peaks[fit], sample.present[fit])
    above, truth = peaks[rest] > thresholds, sample.present[rest]
    count_with, count_without = int(truth.sum()), int((~truth).sum())
    hits, rejections = above[truth].mean(0), 1 - above[~truth].mean(0)
    rng = np.random.default_rng(seed)
    size = (replicates, len(thresholds))
    drawn = (
        rng.binomial(count_with, hits, size) / count_with
        + rng.binomial(count_without, rejections, size) / count_without
    ) / 2
    low, high = np.quantile(drawn, MIDDLE, axis=0)
    auroc = measure_auroc(peaks[rest], truth)
    return Detectors(thresholds, fitted, (hits + rejections) / 2, low, high, auroc)


def find_thresholds(peaks: Peaks, present: Bool[np.ndarray, "image"]) -> Thresholds:
    """The threshold of every unit with the best balanced accuracy, and that accuracy; see `score_units`.

    A unit whose peaks are all the same gets that value, above which nothing lies. Raises `UsageError` where
    all images, or none, have the concept.

    >>> peaks = np.array([[0.0, 5.0], [1.0, 5.0], [3.0, 5.0], [4.0, 5.0]], np.float32)
    >>> find_thresholds(peaks, np.array([False, False, True, True]))
    (array([2., 5.]), array([1. , 0.5]))
    """
    if present.all() or not present.any():
        raise UsageError("a threshold needs images with the concept and images without; all are of one kind")
    return _sort_peaks(peaks)(present)


def _sort_peaks(peaks: Peaks) -> Callable[[Bool[np.ndarray, "image"]], Thresholds]:
    """What finds the best thresholds for some labels: the peaks are sorted once, labels may change."""
    order = np.argsort(peaks, axis=0, kind="stable")
    values = np.take_along_axis(peaks, order, 0).astype(np.float64)
    allowed = np.ones(values.shape, bool)
    allowed[:-1] = values[1:] > values[:-1]

    def search(present: Bool[np.ndarray, "image"]) -> Thresholds:
        having, lacking = int(present.sum()), int((~present).sum())
        missed = np.cumsum(present[order], 0)
        rejected = np.arange(1, len(present) + 1)[:, None] - missed
        # Whole numbers, so that ties are ties: 2 * having * lacking times balanced accuracy, and skew.
        right = (having - missed) * lacking + rejected * having
        best = np.where(allowed, right, -1).max(0)
        skew = np.abs(missed * lacking - (lacking - rejected) * having)
        place = np.where(allowed & (right == best), skew, 2 * having * lacking).argmin(0)
        units = np.arange(len(place))
        above = np.minimum(place + 1, len(values) - 1)  # past the last peak nothing is above
        return (values[place, units] + values[above, units]) / 2, best / (2 * having * lacking)

    return search


def measure_auroc(peaks: Peaks, present: Bool[np.ndarray, "image"]) -> Float64[np.ndarray, "unit"]:
    """The chance that a random image with the concept has a higher peak than one without; ties count half.

    >>> measure_auroc(np.array([[1.0], [2.0], [2.0]], np.float32), np.array([False, False, True]))
    array([0.75])
    """
    having, lacking = peaks[present], np.sort(peaks[~present], axis=0)
    areas = []
    for values, others in zip(having.T, lacking.T, strict=True):
        lower = np.searchsorted(others, values, "left") + np.searchsorted(others, values, "right")
        areas.append(lower.mean() / (2 * len(others)))
    return np.array(areas, np.float64)


@dataclass(frozen=True, eq=False)
class Answers:
    """How one unit answers to the images that it is measured on: numbers of images in the source.

    `hits` have the concept and a peak above the threshold, the highest first; `silent` have it and no such
    peak, the lowest first (paper B, fig. 3g); `alarms` lack it and have such a peak, the highest first;
    `quiet` lack it and have none, the lowest first.
    """

    unit: int
    hits: Int64[np.ndarray, "hit"]
    silent: Int64[np.ndarray, "miss"]
    alarms: Int64[np.ndarray, "alarm"]
    quiet: Int64[np.ndarray, "rejection"]


def sort_answers(peaks: Peaks, sample: Sample, detectors: Detectors, unit: int) -> Answers:
    """The images of the half that no threshold was sought in, by how a unit answers to them.

    >>> sample = Sample((), np.arange(4), np.array([True, True, False, False]), np.zeros(4, bool))
    >>> peaks = np.array([[3.0], [1.0], [4.0], [0.0]], np.float32)
    >>> half = np.array([2.0])
    >>> found = sort_answers(peaks, sample, Detectors(half, half, half, half, half, half), 0)
    >>> found.hits.tolist(), found.silent.tolist(), found.alarms.tolist(), found.quiet.tolist()
    ([0], [1], [2], [3])
    """
    rest = ~sample.fitting
    images, values, present = sample.images[rest], peaks[rest, unit], sample.present[rest]
    above = values > detectors.threshold[unit]
    rising = np.argsort(values, kind="stable")
    falling = np.argsort(-values, kind="stable")
    kinds = [(falling, present & above), (rising, present & ~above)]
    kinds += [(falling, ~present & above), (rising, ~present & ~above)]
    return Answers(unit, *(images[order[chosen[order]]] for order, chosen in kinds))


def shuffle_control(
    peaks: Peaks, sample: Sample, *, draws: int = 100, seed: int = 0
) -> Float64[np.ndarray, "draw"]:
    """The balanced accuracy of the best unit where labels mean nothing: all steps with labels shuffled.

    In every draw the labels of either half are shuffled among its images, thresholds sought, the best unit
    taken, and measured on the other half: what is above 0.5 there is luck.
    """
    rng = np.random.default_rng(seed)
    rest = ~sample.fitting
    search, measured = _sort_peaks(peaks[sample.fitting]), peaks[rest]
    found = []
    for _ in range(draws):
        thresholds, fitted = search(rng.permutation(sample.present[sample.fitting]))
        unit = int(fitted.argmax())
        above, truth = measured[:, unit] > thresholds[unit], rng.permutation(sample.present[rest])
        found.append((above[truth].mean() + 1 - above[~truth].mean()) / 2)
    return np.array(found, np.float64)
