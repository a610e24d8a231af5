"""Instances that overlap, as planes of labels: each pixel keeps all of its concepts, each of them once."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64

from unitscope.concepts.formats.annotated import Labels
from unitscope.errors import SourceError

_MOST_LABELS = 200_000_000
"""Of all planes of a picture."""
_MOST_WORK = 4_000_000_000
"""Pixels looked at, where one that is painted counts for as many as take its time."""
_PAINTED = 10
_BLOCK = 1 << 20


class Overlaps:
    """Labels of one picture of `size` (height, width), painted one instance after the other.

    Instances come as lengths of runs (`unitscope.concepts.formats.coco.run_lengths`) that fill the picture.
    The planes are as many as the most concepts of a pixel.

    >>> overlaps = Overlaps((1, 4))
    >>> overlaps.paint(np.array([0, 2, 2]), [5])
    >>> overlaps.paint(np.array([1, 2, 1]), [7])
    >>> overlaps.veil(np.array([2, 2]))
    >>> labels = overlaps.finish()
    >>> labels.planes.tolist(), labels.void.tolist()
    ([[[5, 5, 7, 0]], [[0, 7, 0, 0]]], [[False, False, False, True]])
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        pixels = size[0] * size[1]
        # Column by column, as the runs are.
        self.planes = np.zeros((1, pixels), np.uint16)
        self.depth = np.zeros(pixels, np.uint8)
        self.veiled: np.ndarray | None = None
        self.concepts: set[int] = set()
        self.work = 0

    def paint(self, lengths: Int64[np.ndarray, "run"], concepts: Sequence[int]) -> None:
        """Gives the pixels of an instance its concepts.

        Raises `SourceError` where that needs more planes, or more time, than any picture does.
        """
        for where in self._find_pixels(lengths):
            self.work += _PAINTED * len(where) * len(concepts) * len(self.planes)
            for concept in concepts:
                fresh = where
                if concept in self.concepts:
                    fresh = where[~(self.planes[:, where] == concept).any(axis=0)]
                self._put(fresh, concept)
        self.concepts.update(concepts)

    def veil(self, lengths: Int64[np.ndarray, "run"]) -> None:
        """Makes the pixels void on which no instance lies in the end."""
        if self.veiled is None:
            self.veiled = np.zeros(len(self.depth), bool)
        for where in self._find_pixels(lengths):
            self.veiled[where] = True

    def finish(self) -> Labels:
        """The planes, and what is void of them."""
        height, width = self.size
        planes = self.planes.reshape(-1, width, height).transpose(0, 2, 1)
        void = None
        if self.veiled is not None:
            void = (self.veiled & (self.depth == 0)).reshape(width, height).T
            void = np.ascontiguousarray(void) if void.any() else None
        return Labels(np.ascontiguousarray(planes), void)

    def _find_pixels(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        """The numbers of the pixels of an instance, some at a time."""
        if len(lengths) < 2:
            return
        start, inner = int(lengths[0]), lengths[1 : len(lengths) // 2 * 2]
        inside = np.repeat(np.arange(len(inner)) % 2 == 0, inner)
        self.work += len(inside)
        for first in range(0, len(inside), _BLOCK):
            if self.work > _MOST_WORK:
                raise SourceError("instances that cover the picture too many times; take some out")
            yield np.flatnonzero(inside[first : first + _BLOCK]) + (start + first)

    def _put(self, where: np.ndarray, concept: int) -> None:
        if not where.size:
            return
        level = self.depth[where]
        most = int(level.max())
        if most == len(self.planes):
            if (most + 1) * len(self.depth) > max(_MOST_LABELS, len(self.depth)) or most == 255:
                raise SourceError(f"a pixel has more than {most} concepts, too many to keep; take some out")
            self.planes = np.concatenate([self.planes, np.zeros((1, len(self.depth)), np.uint16)])
        self.planes.reshape(-1)[where + len(self.depth) * level.astype(np.int64) if most else where] = concept
        self.depth[where] = level + 1
