"""The drawn world as a source of concepts."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unitscope.concepts.union.colors import name_colors
from unitscope.concepts.vocabulary import Example, Vocabulary
from unitscope.errors import UsageError
from unitscope.lab.world.names import FIRST_ID, SCENE_IDS, drawn_vocabulary
from unitscope.lab.world.scenes import paint, pick_scene
from unitscope.lab.world.shading import read_labels, render
from unitscope.options import read_number

EDITION = 2
"""Goes up whenever the same seed gives another picture, so that saved runs can tell."""

SMALLEST = 32
LARGEST = 1024


@dataclass(frozen=True)
class DrawnSource:
    """Pictures painted by code, each pixel with its object, part, material, texture and color.

    Picture i depends on `seed` and i alone, and shows the same scene at every `size`. Make one with
    `open_drawn`.
    """

    count: int
    seed: int
    size: int

    @property
    def name(self) -> str:
        """A short name for people."""
        return "drawn world"

    @property
    def spec(self) -> str:
        """The text that opens this source again."""
        return f"drawn:count={self.count},seed={self.seed},size={self.size}"

    @property
    def digest(self) -> str:
        """Changes with the pictures: with count, seed, size, and the edition of the painting code."""
        return hashlib.sha256(f"{self.spec},edition={EDITION}".encode()).hexdigest()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Concepts of all six categories."""
        return drawn_vocabulary()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        """Picture `index`: uint8[size, size, 3] with five planes (object, part, material, texture, color).

        Raises `IndexError` past the end, as sequences do.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"the drawn world has pictures 0 to {self.count - 1}, not {index}")
        scene, canvas = paint(self.seed, index, self.size)
        image = render(canvas)
        colors = name_colors(image) + np.uint16(FIRST_ID["color"] - 1)
        planes = np.concatenate([read_labels(canvas), colors[None]])
        return Example(self._key(index), image, planes, (SCENE_IDS[scene],))

    def peek(self, index: int) -> tuple[str, tuple[int, ...]]:
        """The key and the scene of picture `index`, which is not painted for it."""
        return self._key(index), (SCENE_IDS[pick_scene(self.seed, index)],)

    def _key(self, index: int) -> str:
        return f"{self.seed}-{index:06d}"


def open_drawn(count: int = 500, seed: int = 0, size: int = 224) -> DrawnSource:
    """`count` pictures of the drawn world, `size` pixels wide and high.

    Nothing is read from disk; a picture is painted when it is asked for, always the same for the
    same seed and index. Use different seeds for data that must not meet.

    Raises `UsageError` for a count below 1 or a size outside 32 to 1024.

    >>> world = open_drawn(count=3, size=64)
    >>> example = world[2]
    >>> example.image.shape, example.planes.shape
    ((64, 64, 3), (5, 64, 64))
    >>> world.spec
    'drawn:count=3,seed=0,size=64'
    """
    if count < 1:
        raise UsageError(f"the drawn world was asked for {count} pictures; ask for at least 1")
    if not SMALLEST <= size <= LARGEST:
        raise UsageError(
            f"the drawn world was asked for pictures of {size} pixels; sizes go from {SMALLEST} to {LARGEST}"
        )
    return DrawnSource(count, seed, size)


def open_named(place: str, options: Mapping[str, str]) -> DrawnSource:
    """What `drawn[:count=N,seed=N,size=N]` names: 200 pictures of 224 pixels where nothing else is said.

    Raises `UsageError` for a place, which it has none, and what `open_drawn` raises.
    """
    if place:
        raise UsageError(f"drawn: {place!r} is no option; wanted key=value, such as count=200")
    numbers = {"count": 200} | {key: read_number(key, value) for key, value in options.items()}
    return open_drawn(**numbers)
