"""A few threads that share the units of a layer; the compiled loops release the interpreter lock."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import torch

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Threads:
    """A pool of `count` threads; results always come in order, whatever their number."""

    count: int
    pool: ThreadPoolExecutor

    def map_blocks(self, work: Callable[[tuple[int, int]], T], units: int) -> list[T]:
        """`work` on consecutive blocks of units that cover all of them."""
        edges = [units * part // self.count for part in range(self.count + 1)]
        blocks = [(a, b) for a, b in pairwise(edges) if a < b]
        return list(self.pool.map(work, blocks))


@contextmanager
def open_threads(count: int | None = None) -> Iterator[Threads]:
    """Threads for the length of a `with`, as many as torch uses by default."""
    number = max(1, count or torch.get_num_threads())
    with open_pool(number) as pool:
        yield Threads(number, pool)


@contextmanager
def hold_threads(count: int | None) -> Iterator[None]:
    """Torch computes with so many threads for the length of a `with`; None leaves their number as it is."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def open_pool(count: int) -> Iterator[ThreadPoolExecutor]:
    """So many threads; where an error ends the block, also Ctrl-C, what has not begun is not begun."""
    with ThreadPoolExecutor(count) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
