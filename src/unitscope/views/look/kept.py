"""What the microscope keeps in memory between one question and the next."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import UInt8

from unitscope.axes import Picture
from unitscope.interventions.looking.slides import SHOWN_SIDE, Slide
from unitscope.views.look.uploads import encode_jpeg

MOST_PICTURES = 12
"""So many pictures of a visitor are kept."""
Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Kept:
    """A picture of a visitor: its slide, what people see of it as JPEG, and what is to be said of it.

    `version` counts the pictures that had this id.
    """

    slide: Slide
    jpeg: bytes
    size: tuple[int, int]
    note: str | None = None
    version: int = 0

    @property
    def weight(self) -> int:
        """Bytes that it takes, about: pixels, the same in single precision for the network, the JPEG."""
        pixels = self.slide.fitted
        return pixels.nbytes + 4 * pixels.size + len(self.jpeg)


def keep_slide(slide: Slide, picture: Picture, shown: UInt8[np.ndarray, "v u 3"]) -> Kept:
    """A slide of a picture, of which people see that."""
    high, wide = picture.shape[:2]
    note = f"shrunk from {high} x {wide} pixels" if max(high, wide) > SHOWN_SIDE else None
    return Kept(slide, encode_jpeg(shown), (shown.shape[0], shown.shape[1]), note)


class HeavyValues(Generic[Value]):
    """The last values by key, as many as so many bytes hold, and always the last one; for one thread."""

    def __init__(self, most: int, weigh: Callable[[Value], int]) -> None:
        self.most, self.weigh, self.bytes = most, weigh, 0
        self._values: OrderedDict[object, tuple[Value, int]] = OrderedDict()

    def get(self, key: object, make: Callable[[], Value]) -> Value:
        """The value of a key, made where it is not there."""
        if key not in self._values:
            value = make()
            self._values[key] = value, self.weigh(value)
            self.bytes += self._values[key][1]
            while self.bytes > self.most and len(self._values) > 1:
                self.bytes -= self._values.popitem(last=False)[1][1]
        self._values.move_to_end(key)
        return self._values[key][0]

    def __len__(self) -> int:
        return len(self._values)
