"""Labels from a segmentation network instead of people."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8, UInt16

from unitscope.concepts.blocks import Blocks
from unitscope.concepts.sources import source_digest, source_spec
from unitscope.concepts.vocabulary import ConceptSource, Example, Vocabulary

BLOCK = 16


@runtime_checkable
class Segmenter(Protocol):
    """Names every pixel of images.

    Called with uint8 images [n, y, x, 3] it returns uint16 concept ids [n, plane, y, x], 0 where it names
    nothing. What it says of an image must not depend on the others in the batch.
    """

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def vocabulary(self) -> Vocabulary: ...

    def __call__(self, images: UInt8[np.ndarray, "n y x 3"], /) -> UInt16[np.ndarray, "n plane y x"]: ...


@dataclass(frozen=True, eq=False)
class SegmentedSource:
    """The images of a source with the labels of a segmenter; the source's own labels are not looked at.

    Images are segmented in blocks of 16. To segment each but once over several runs, give `dissect` a cache.
    `opened` is the text that opens the segmenter again, its name if empty.
    """

    source: ConceptSource
    segmenter: Segmenter
    opened: str = ""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the segmenter can name."""
        return self.segmenter.vocabulary

    @property
    def name(self) -> str:
        """A short name for people."""
        return f"{getattr(self.source, 'name', 'images')} seen by {self.segmenter.name}"

    @property
    def spec(self) -> str:
        """The text that opens this source again."""
        return f"segmenter:{self.opened or self.segmenter.name},images={source_spec(self.source)}"

    @property
    def digest(self) -> str:
        """Changes with the images and with the segmenter."""
        text = f"{source_digest(self.source)} {self.segmenter.digest}"
        return hashlib.sha256(text.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int, /) -> Example:
        """The example with the segmenter's planes, without image-level labels and void."""
        return self._blocks[range(len(self.source))[index]]

    @cached_property
    def _blocks(self) -> Blocks[Example]:
        return Blocks(BLOCK, self._segment)

    def _segment(self, start: int) -> Sequence[Example]:
        examples = [self.source[i] for i in range(start, min(start + BLOCK, len(self.source)))]
        if len({example.image.shape for example in examples}) == 1:
            planes = list(self.segmenter(np.stack([example.image for example in examples])))
        else:
            planes = [self.segmenter(example.image[None])[0] for example in examples]
        return [
            replace(example, planes=found, ids=(), void=None)
            for example, found in zip(examples, planes, strict=True)
        ]
