"""Labels from a segmentation network instead of people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from threading import Lock
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import UInt8, UInt16

from unitscope.concepts.derived import DerivedSource, source_spec
from unitscope.concepts.frames import show_bands
from unitscope.concepts.vocabulary import Example, Vocabulary

BLOCK = 16

T = TypeVar("T")


class Blocks(Generic[T]):
    """Remembers the last blocks that were made.

    `make(start)` gives the things number start to start + size - 1. Several threads may ask at once; a
    block is made by one of them while the others wait.

    >>> blocks = Blocks(4, lambda start: [start + k for k in range(4)])
    >>> blocks[6]
    6
    """

    def __init__(self, size: int, make: Callable[[int], Sequence[T]], keep: int = 16) -> None:
        self.size, self._make, self._lock = size, lru_cache(keep)(make), Lock()

    def __getitem__(self, index: int) -> T:
        place = index % self.size
        with self._lock:
            return self._make(index - place)[place]


@runtime_checkable
class Segmenter(Protocol):
    """Names every pixel of images.

    Called with uint8 images [n, y, x, 3] it returns uint16 concept ids [n, plane, y, x], 0 where it names
    nothing. Its labels of an image must not depend on the others in the batch.
    """

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def vocabulary(self) -> Vocabulary: ...

    def __call__(self, images: UInt8[np.ndarray, "n y x 3"], /) -> UInt16[np.ndarray, "n plane y x"]: ...


@dataclass(frozen=True, eq=False)
class SegmentedSource(DerivedSource):
    """The images of a source with the labels of a segmenter; labels of the source are ignored.

    Images are segmented in blocks of 16. To segment each but once over several runs, give `dissect` a cache.
    `opened` is the text that opens the segmenter again, its name if empty.
    """

    segmenter: Segmenter
    opened: str = ""

    @property
    def mark(self) -> str:
        """The segmenter's digest."""
        return self.segmenter.digest

    @property
    def vocabulary(self) -> Vocabulary:
        """What the segmenter can name."""
        return self.segmenter.vocabulary

    @property
    def notes(self) -> tuple[str, ...]:
        """None: what the source says of its labels is ignored with them."""
        return ()

    @property
    def name(self) -> str:
        """A short name for people."""
        return f"{getattr(self.source, 'name', 'images')} seen by {self.segmenter.name}"

    @property
    def spec(self) -> str:
        """The text that opens this source again."""
        return f"segmenter:{self.opened or self.segmenter.name},images={source_spec(self.source)}"

    def __getitem__(self, index: int, /) -> Example:
        """The example with the segmenter's planes, without image-level labels and void."""
        return self._blocks[self.place(index)]

    def peek(self, index: int) -> tuple[str, tuple[int, ...]]:
        """The key of an example; no image has a label as a whole."""
        return super().peek(index)[0], ()

    @cached_property
    def _blocks(self) -> Blocks[Example]:
        return Blocks(BLOCK, self._segment)

    def _segment(self, start: int) -> Sequence[Example]:
        examples = [self.source[i] for i in range(start, min(start + BLOCK, len(self)))]
        seen = [show_bands(example.image) for example in examples]
        if len({image.shape for image in seen}) == 1:
            planes = list(self.segmenter(np.stack(seen)))
        else:
            planes = [self.segmenter(image[None])[0] for image in seen]
        pairs = zip(examples, planes, strict=True)
        return [replace(example, planes=found, ids=(), void=None) for example, found in pairs]
