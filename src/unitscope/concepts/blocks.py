"""Things that are made several at a time and asked for one by one."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

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
        self.size, self.make, self.keep = size, make, keep
        self._made: OrderedDict[int, Sequence[T]] = OrderedDict()
        self._lock = Lock()

    def __getitem__(self, index: int) -> T:
        start = index - index % self.size
        with self._lock:
            if start not in self._made:
                self._made[start] = self.make(start)
                if len(self._made) > self.keep:
                    self._made.popitem(last=False)
            self._made.move_to_end(start)
            return self._made[start][index - start]
