"""A few threads that share the units of a layer; the compiled loops release the interpreter lock."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from threading import Event
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
    with ThreadPoolExecutor(number) as pool:
        yield Threads(number, pool)


def begin_early(items: Iterator[T]) -> Iterator[T]:
    """The same items, the first of which is made now; if that fails, it is told where the item is asked for.

    >>> list(begin_early(iter("ab")))
    ['a', 'b']
    """
    first: Future[list[T]] = Future()
    try:
        first.set_result(list(islice(items, 1)))
    except Exception as error:
        first.set_exception(error)

    def give() -> Iterator[T]:
        yield from first.result()
        yield from items

    return give()


def run_ahead(jobs: Iterable[Callable[[], T]], stopped: Event) -> Generator[T, None, None]:
    """What some jobs give, in their order, from one thread: it does the next one while the last is looked at.

    `stopped` is set once no more is wanted, also after an error, and the job that is running then is waited
    for: it should look at it.

    >>> list(run_ahead([lambda: 1, lambda: 2], Event()))
    [1, 2]
    """
    with ThreadPoolExecutor(1) as driver:
        begun: deque[Future[T]] = deque()
        try:
            for job in jobs:
                begun.append(driver.submit(job))
                if len(begun) > 1:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            stopped.set()
            for waiting in begun:
                waiting.cancel()
