"""Halves of things as parts: top, bottom, left and right of every piece of an object (paper B, methods)."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Int64, UInt16

from unitscope.concepts.derived import DerivedSource
from unitscope.concepts.vocabulary import MAX_ID, Concept, ConceptSource, Example, Vocabulary
from unitscope.errors import UsageError, missing_extra

SIDES = ("t", "b", "l", "r")
"""Top, bottom, left, right: what a part's name ends in, as `tree-t`."""


def split_halves(plane: UInt16[np.ndarray, "row column"]) -> Int64[np.ndarray, "2 row column"]:
    """The half of its piece that every labelled pixel lies in: 1 top or left, 2 bottom or right, else 0.

    A piece hangs together (by edges) and has one label; the halves are those of its bounding box,
    the middle line of an odd one belongs to the bottom or the right. The first plane is top and bottom.

    Raises `UsageError` where scipy, which finds pieces, is missing.

    >>> split_halves(np.array([[7, 7, 0, 7]], np.uint16))[1].tolist()
    [[1, 2, 0, 2]]
    """
    try:
        from scipy.ndimage import find_objects, label
    except ImportError as error:
        raise missing_extra("scipy", "finds the pieces of objects", "studies") from error
    halves = np.zeros((2, *plane.shape), np.int64)
    for number in np.unique(plane[plane > 0]):
        pieces, _ = label(plane == number)
        for place, (rows, columns) in enumerate(find_objects(pieces), 1):
            piece = pieces[rows, columns] == place
            height, width = piece.shape
            low, right = np.arange(height) >= height // 2, np.arange(width) >= width // 2
            halves[0, rows, columns] += piece * (1 + low[:, None])
            halves[1, rows, columns] += piece * (1 + right)
    return halves


def split_quadrants(source: ConceptSource, category: str = "object") -> ConceptSource:
    """The source with four more parts for every concept of a category, such as `tree-t` to `tree-r`.

    Raises `UsageError` where the source has no such category, or no room for so many concepts.
    """
    made = _Split(source, category)
    count = len(made.chosen)
    if not count:
        known = ", ".join(source.vocabulary.categories)
        raise UsageError(f"the source has no category {category!r} to split; it has {known}")
    last = source.vocabulary.size - 1 + len(SIDES) * count
    if last > MAX_ID:
        raise UsageError(f"{count} concepts in four parts need ids up to {last}; ids go to {MAX_ID}")
    return made


@dataclass(frozen=True, eq=False)
class _Split(DerivedSource):
    category: str

    @property
    def option(self) -> str:
        return f"quadrants={self.category}"

    @cached_property
    def chosen(self) -> tuple[Concept, ...]:
        return tuple(concept for concept in self.source.vocabulary if concept.category == self.category)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        words = self.source.vocabulary
        parts = (f"{concept.name}-{side}" for concept in self.chosen for side in SIDES)
        added = (Concept(number, name, "part") for number, name in enumerate(parts, words.size))
        return Vocabulary((*words.concepts, *added))

    @cached_property
    def _starts(self) -> Int64[np.ndarray, "concept"]:
        """By concept id the id of its top half, 0 for concepts that are not split."""
        size = self.source.vocabulary.size
        starts = np.zeros(size, np.int64)
        starts[[concept.id for concept in self.chosen]] = size + len(SIDES) * np.arange(len(self.chosen))
        return starts

    def __getitem__(self, index: int, /) -> Example:
        example = super().__getitem__(index)
        planes = [example.planes]
        for plane in example.planes:
            starts = self._starts[plane]
            if starts.any():
                halves = split_halves(np.where(starts > 0, plane, 0).astype(np.uint16))
                offsets = np.array([0, len(SIDES) // 2])[:, None, None]
                parts = np.where(halves > 0, starts[None] + offsets + halves - 1, 0)
                planes.append(parts.astype(np.uint16))
        return replace(example, planes=np.concatenate(planes))
