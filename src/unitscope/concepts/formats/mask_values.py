"""What the numbers in masks mean."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt16

from unitscope.axes import Planes, Void
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError

COUNT = 65_536
"""How many numbers a mask may hold."""


@dataclass(frozen=True, eq=False)
class MaskValues:
    """The meaning of every number that a mask may hold: a concept or 0, whether void, whether known at all.

    Void pixels are of unknown truth and counted nowhere. `listed_in` is where a missing one belongs, `advice`
    what to do about it, for the message.
    """

    concept_ids: UInt16[np.ndarray, "65536"]
    void: Bool[np.ndarray, "65536"]
    known: Bool[np.ndarray, "65536"]
    listed_in: str = "the list of classes"
    advice: str = "add it there"

    def label(self, numbers: UInt16[np.ndarray, "y x"], path: Path | str) -> tuple[Planes, Void | None]:
        """One plane of the concepts of a mask's numbers, and its void pixels, if there are any.

        Raises `SourceError`, which names `path`, for a number that is not known.
        """
        unknown = numbers[~self.known[numbers]]
        if unknown.size:
            lack = f"which {self.listed_in} does not name; {self.advice}"
            raise SourceError(f"{path}: the mask holds id {unknown[0]}, {lack}")
        void = self.void[numbers]
        return self.concept_ids[numbers][None], void if void.any() else None


def name_values(
    classes: Mapping[int, tuple[str, str]],
    void: Iterable[int] = (),
    unlabelled: Iterable[int] = (),
    listed_in: str = "the list of classes",
    advice: str = "add it there",
) -> tuple[MaskValues, Vocabulary]:
    """Numbers with name and category, and the concepts that they are; equal ones are one concept.

    What is `void` or `unlabelled` is no concept, whatever its name.

    >>> values, words = name_values({0: ("sky", "object"), 7: ("road", "object")}, void=[255])
    >>> [(one.id, one.name) for one in words], values.concept_ids[7], bool(values.void[255])
    ([(1, 'sky'), (2, 'road')], np.uint16(2), True)
    """
    numbers = np.zeros(COUNT, np.uint16)
    is_void, known = np.zeros(COUNT, bool), np.zeros(COUNT, bool)
    is_void[list(void)] = True
    known[[*unlabelled, *classes]] = True
    silent = {*np.flatnonzero(is_void).tolist(), *unlabelled}
    ids: dict[tuple[str, str], int] = {}
    for value, named in classes.items():
        if value not in silent:
            numbers[value] = ids.setdefault(named, len(ids) + 1)
    concepts = tuple(Concept(number, *named) for named, number in ids.items())
    return MaskValues(numbers, is_void, known | is_void, listed_in, advice), Vocabulary(concepts)
