"""The images that excite each unit most: a mergeable top-k of peaks."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32


@dataclass(frozen=True, eq=False)
class TopImages:
    """Per unit the images with the largest peaks, best first; ties go to the earlier image.

    `images` is -1 and `peaks` is -inf where fewer images were seen. Merge is associative and
    commutative, as long as no image is seen twice.

    >>> a = rank_images(np.array([[1.0], [3.0]], np.float32), first_image=0, ranks=2)
    >>> b = rank_images(np.array([[2.0]], np.float32), first_image=2, ranks=2)
    >>> a.merge(b).images.tolist()
    [[1, 2]]
    """

    images: Int32[np.ndarray, "unit rank"]
    peaks: Float32[np.ndarray, "unit rank"]

    def merge(self, other: "TopImages") -> "TopImages":
        """The top images of both."""
        images = np.concatenate([self.images, other.images], 1)
        peaks = np.concatenate([self.peaks, other.peaks], 1)
        return _best(images, peaks, self.images.shape[1])


def rank_images(peaks: Float32[np.ndarray, "image unit"], first_image: int, ranks: int) -> TopImages:
    """The top images of one batch, whose images are numbered from `first_image`."""
    count, units = peaks.shape
    images = np.broadcast_to(np.arange(first_image, first_image + count, dtype=np.int32), (units, count))
    values = np.ascontiguousarray(peaks.T)
    if count < ranks:
        missing = ((0, 0), (0, ranks - count))
        images = np.pad(images, missing, constant_values=-1)
        values = np.pad(values, missing, constant_values=-np.inf)
    return _best(images, values, ranks)


def _best(
    images: Int32[np.ndarray, "unit candidate"], peaks: Float32[np.ndarray, "unit candidate"], ranks: int
) -> TopImages:
    order = np.lexsort((np.where(images < 0, np.iinfo(np.int32).max, images), -peaks), axis=1)[:, :ranks]
    return TopImages(
        np.take_along_axis(images, order, 1).astype(np.int32),
        np.take_along_axis(peaks, order, 1).astype(np.float32),
    )
