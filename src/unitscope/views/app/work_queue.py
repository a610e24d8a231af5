"""What a server works on: one piece after the other, in a thread of its own, and few may wait."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, TypeVar

Made = TypeVar("Made")
Value = TypeVar("Value")


class BusyError(Exception):
    """More work is waiting than a queue takes."""


class WorkQueue:
    """Does pieces of work in one thread; at most `most` of them are under way or waiting."""

    def __init__(self, most: int = 12) -> None:
        self.most, self.busy = most, 0
        self._thread = ThreadPoolExecutor(1, "paint")

    async def do(self, work: Callable[[], Made]) -> Made:
        """What the work returns or raises. Raises `BusyError` at once where too much is waiting."""
        if self.busy >= self.most:
            raise BusyError
        self.busy += 1
        loop, future = asyncio.get_running_loop(), self._thread.submit(work)

        def finish(_done: object) -> None:
            with suppress(RuntimeError):  # the loop has ended meanwhile, and nobody counts any more
                loop.call_soon_threadsafe(self._finish)

        future.add_done_callback(finish)
        return await asyncio.wrap_future(future)

    def _finish(self) -> None:
        self.busy -= 1

    def close(self) -> None:
        """Drops what waits and lets the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class RecentValues(Generic[Value]):
    """The last few values by key; for one thread."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._values: OrderedDict[Hashable, Value] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made where it is not there."""
        if key not in self._values:
            self._values[key] = make()
            if len(self._values) > self.most:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return self._values[key]

    def __len__(self) -> int:
        return len(self._values)
