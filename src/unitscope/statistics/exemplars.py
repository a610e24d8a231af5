"""The images that excite each unit most: a mergeable top-k of peaks."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32

from unitscope.statistics.kernels.compiled import compiled


@dataclass(frozen=True, eq=False)
class TopImages:
    """Per unit the images with the largest peaks, best first; ties go to the earlier image.

    `images` is -1 and `peaks` is -inf where fewer images were seen. Merge is associative and
    commutative, as long as no image is seen twice.

    >>> a = empty_tops(units=1, ranks=2).add(np.array([[1.0], [3.0]], np.float32), first_image=0)
    >>> b = empty_tops(units=1, ranks=2).add(np.array([[2.0]], np.float32), first_image=2)
    >>> a.merge(b).images.tolist()
    [[1, 2]]
    """

    images: Int32[np.ndarray, "unit rank"]
    peaks: Float32[np.ndarray, "unit rank"]

    def add(self, peaks: Float32[np.ndarray, "image unit"], first_image: int) -> "TopImages":
        """The top images of these and of one more batch, whose images are numbered from `first_image`."""
        images, best = self.images.copy(), self.peaks.copy()
        _insert_peaks(peaks, first_image, images, best)
        return TopImages(images, best)

    def above(self, least: float) -> "TopImages":
        """The same without images whose peak is not above that: none stand there."""
        shown = self.peaks > least
        return TopImages(
            np.where(shown, self.images, np.int32(-1)), np.where(shown, self.peaks, np.float32(-np.inf))
        )

    def merge(self, other: "TopImages") -> "TopImages":
        """The top images of both."""
        images = np.concatenate([self.images, other.images], 1)
        peaks = np.concatenate([self.peaks, other.peaks], 1)
        # Ties go to the earlier image; what stands for none comes last.
        earlier = np.where(images < 0, np.iinfo(np.int32).max, images)
        order = np.lexsort((earlier, -peaks), axis=1)[:, : self.images.shape[1]]
        return TopImages(np.take_along_axis(images, order, 1), np.take_along_axis(peaks, order, 1))


def empty_tops(units: int, ranks: int) -> TopImages:
    """The top images where none has been seen."""
    return TopImages(np.full((units, ranks), -1, np.int32), np.full((units, ranks), -np.inf, np.float32))


@compiled
def _insert_peaks(peaks: np.ndarray, first_image: int, images: np.ndarray, best: np.ndarray) -> None:
    """Put every peak that is high enough in its place among the best of its unit, which make room."""
    ranks = images.shape[1]
    for i in range(len(peaks)):
        image = first_image + i
        for u in range(len(images)):
            peak, rank = peaks[i, u], ranks
            while rank > 0 and (
                peak > best[u, rank - 1]
                or (peak == best[u, rank - 1] and (images[u, rank - 1] < 0 or image < images[u, rank - 1]))
            ):
                rank -= 1
                if rank + 1 < ranks:
                    images[u, rank + 1], best[u, rank + 1] = images[u, rank], best[u, rank]
            if rank < ranks:
                images[u, rank], best[u, rank] = image, peak
