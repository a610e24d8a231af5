"""Work that is begun before the result of what comes before it has been looked at."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from threading import Event
from typing import TypeVar

T = TypeVar("T")


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
