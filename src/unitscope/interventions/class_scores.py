"""How well a network names classes: counts that merge, one row for every set of removed units."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64

from unitscope.errors import UsageError


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Counts over some images; those of other images are merged by addition.

    `images[c]` are the images of class c; of these `right[r, c]` are named c with the units of removal r
    gone, and `called[r, c]` images of any class are named c. The margin of c in an image is the logit of c
    minus the highest other logit; `margin[r, c]` sums it over the images of class c, `outside[r, c]` over
    those of all other classes.
    """

    images: Int64[np.ndarray, "classes"]
    right: Int64[np.ndarray, "removal classes"]
    called: Int64[np.ndarray, "removal classes"]
    margin: Float64[np.ndarray, "removal classes"]
    outside: Float64[np.ndarray, "removal classes"]

    def merge(self, other: "ClassScores") -> "ClassScores":
        """The scores over both sets of images."""
        return ClassScores(
            self.images + other.images,
            self.right + other.right,
            self.called + other.called,
            self.margin + other.margin,
            self.outside + other.outside,
        )

    @property
    def recall(self) -> Float64[np.ndarray, "removal classes"]:
        """The fraction of a class's images that are named so."""
        return np.asarray(self.right / np.maximum(self.images, 1))

    @property
    def balanced_accuracy(self) -> Float64[np.ndarray, "removal classes"]:
        """(recall + true negative rate) / 2 of "is it class c?" (paper B, Methods); chance is 0.5."""
        return np.asarray((self.recall + 1 - (self.called - self.right) / self._others) / 2)

    @property
    def _others(self) -> Int64[np.ndarray, "classes"]:
        return np.asarray(np.maximum(self.images.sum() - self.images, 1))

    @property
    def accuracy(self) -> Float64[np.ndarray, "removal"]:
        """The fraction of all images that are named right."""
        return np.asarray(self.right.sum(1) / max(int(self.images.sum()), 1))

    @property
    def mean_margin(self) -> Float64[np.ndarray, "removal classes"]:
        """The mean margin of a class's images, in logits."""
        return np.asarray(self.margin / np.maximum(self.images, 1))

    @property
    def contrast(self) -> Float64[np.ndarray, "removal classes"]:
        """The mean margin of a class's images minus that class's mean margin in all others, in logits.

        What balanced accuracy counts, before it is counted: recall goes with the first, true negatives with
        the second.
        """
        return np.asarray(self.mean_margin - self.outside / self._others)


def empty_scores(removals: int, classes: int) -> ClassScores:
    """The scores of no images."""
    table = np.zeros((removals, classes), np.int64)
    sums = np.zeros((removals, classes))
    return ClassScores(np.zeros(classes, np.int64), table, table.copy(), sums, sums.copy())


def add_logits(scores: ClassScores, logits: Float[np.ndarray, "removal classes"], target: int) -> None:
    """Counts one more image of class `target` into scores, in place: merging would copy the tables each time.

    Raises `UsageError` for a class that the network does not have.
    """
    removals, classes = logits.shape
    if not 0 <= target < classes:
        raise UsageError(f"there is no class {target}; the network has {classes}")
    rows, named = np.arange(removals), logits.argmax(1)
    scores.images[target] += 1
    scores.called[rows, named] += 1
    scores.right[:, target] += named == target
    highest = logits[rows, named]
    margins = logits - highest[:, None]
    margins[rows, named] = -np.inf
    margins[rows, named] = -margins.max(1) if classes > 1 else highest
    scores.margin[:, target] += margins[:, target]
    margins[:, target] = 0
    scores.outside[...] += margins
