"""Sources whose images are made once and held, and images changed as other light would."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from unitscope.axes import Pixels
from unitscope.concepts.derived import DerivedSource
from unitscope.concepts.vocabulary import Example
from unitscope.progress import follow_each


@dataclass(frozen=True, eq=False)
class Held(DerivedSource):
    """A source whose examples are made once and held in memory."""

    @property
    def option(self) -> str:
        return "held"

    @cached_property
    def examples(self) -> list[Example]:
        """All examples."""
        return [self.source[index] for index in follow_each(range(len(self.source)), "pictures")]

    def __getitem__(self, index: int, /) -> Example:
        return self.examples[self.place(index)]


@dataclass(frozen=True, eq=False)
class Changed(DerivedSource):
    """The examples of a source with every image changed by a function, `name` says how; labels stay."""

    change: Callable[[Pixels], Pixels]
    name: str

    @property
    def option(self) -> str:
        return f"changed={self.name}"

    def __getitem__(self, index: int, /) -> Example:
        example = self.source[self.place(index)]
        return replace(example, image=self.change(example.image))


def turn_gray(image: Pixels) -> Pixels:
    """The image without color: the mean of its channels in each.

    >>> turn_gray(np.array([[[0, 30, 60]]], np.uint8)).tolist()
    [[[30, 30, 30]]]
    """
    gray = image.mean(2, keepdims=True).astype(np.uint8)
    return np.ascontiguousarray(gray.repeat(3, 2))


def dim(image: Pixels) -> Pixels:
    """The image in half the light.

    >>> dim(np.array([[[0, 30, 61]]], np.uint8)).tolist()
    [[[0, 15, 30]]]
    """
    half: Pixels = image // 2
    return half
