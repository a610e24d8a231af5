"""How far long work is: a bar on a terminal, a line now and then elsewhere, and whoever asked is told.

Every loop that may take more than some seconds is followed here, and nowhere else. Lines go to the logger
`unitscope`, which nobody listens to unless the program that uses unitscope says so; the command line does.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

LOGGER = logging.getLogger("unitscope")
LOGGER.addHandler(logging.NullHandler())

LINES, CALLS, BARS = 30.0, 0.1, 1.0
"""Seconds between two lines, between two calls, and before a bar appears."""

BYTES = "bytes"

_clock = time.monotonic


@dataclass(frozen=True)
class Progress:
    """How far some work is, as `on_progress` tells it and a line of the log spells it.

    `done` of `total` images, or whatever `unit` names, None where nobody knows how many; `seconds` have gone
    since it began, `rate` were done a second of those; it `ends` then, by the clock of this place, None while
    that cannot be told.

    >>> print(Progress("scan", 3200, 16_000, "images", 80.0, 40.0, datetime(2026, 3, 1, 14, 32)))
    scan: 3,200 of 16,000 images, 40 a second, until Mar 1 14:32
    >>> print(Progress("fetch", 5_000_000, None, "bytes", 10.0, 500_000.0, None))
    fetch: 5.0 MB, 500 kB a second
    >>> print(Progress("scan", 16_000, 16_000, "images", 400.0, 40.0, None))
    scan: 16,000 images, 40 a second, in 6:40
    """

    what: str
    done: int
    total: int | None
    unit: str
    seconds: float
    rate: float
    ends: datetime | None

    def __str__(self) -> str:
        whole = self.total is None or self.done >= self.total
        amount = spell_amount(self.done, self.unit)
        if not whole:
            amount = f"{amount if self.unit == BYTES else f'{self.done:,}'} of "
            amount += spell_amount(self.total or 0, self.unit)
        pace = spell_amount(self.rate, BYTES) if self.unit == BYTES else f"{self.rate:,.3g}"
        if self.rate >= 1000 and self.unit != BYTES:
            pace = f"{self.rate:,.0f}"
        told = f"{self.what}: {amount}, {pace} a second"
        if self.ends is not None:
            return f"{told}, until {spell_time(self.ends)}"
        return f"{told}, in {spell_seconds(self.seconds)}" if self.done == self.total else told


def spell_amount(amount: int | float, unit: str) -> str:
    """So many of something; bytes in the largest unit that leaves a number of 1 or more.

    >>> spell_amount(12_000, "images"), spell_amount(12_345_678, "bytes"), spell_amount(1e12, "bytes")
    ('12,000 images', '12 MB', '1.0 TB')
    """
    if unit != BYTES:
        return f"{amount:,.0f} {unit}"
    power = next((power for power in (4, 3, 2, 1) if amount >= 1000**power), 0)
    scaled, name = amount / 1000**power, ("bytes", "kB", "MB", "GB", "TB")[power]
    return f"{scaled:.1f} {name}" if power and scaled < 10 else f"{scaled:.0f} {name}"


def spell_seconds(seconds: int | float) -> str:
    """A time that something takes.

    >>> spell_seconds(8.4), spell_seconds(400), spell_seconds(11_000)
    ('8 s', '6:40', '3:03:20')
    """
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}" if minutes else f"{rest} s"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def spell_time(moment: datetime) -> str:
    """A moment by the clock, with its day where that is not today."""
    day = "" if moment.date() == datetime.now().date() else f"{moment:%b} {moment.day} "
    return f"{day}{moment:%H:%M}"


_tell: ContextVar[Callable[[Progress], object] | None] = ContextVar("tell", default=None)
_silent: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def on_progress(tell: Callable[[Progress], object]) -> Iterator[None]:
    """Calls a function with a `Progress` while long work goes on inside of the block, whatever work that is.

    It is called in the thread that asked for the work, at most ten times a second for each loop, and always
    when one has ended; an error that it raises ends the work, as any error would. Of two blocks, one in the
    other, the inner one is told.

    >>> with on_progress(print):
    ...     with follow(2, "count", "sheep") as work:
    ...         work.update(2)  # doctest: +ELLIPSIS
    count: 2 sheep, ... a second, in 0 s
    """
    before = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(before)


@contextmanager
def silence() -> Iterator[None]:
    """Nothing is told of work inside of the block, such as a trial."""
    before = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(before)


class Follower:
    """Counts what is done, and tells it. `note` is shown behind, such as a loss."""

    def __init__(self, total: int | None, what: str, unit: str, done: int) -> None:
        self.total, self.what, self.unit, self.done, self.note = total, what, unit, done, ""
        silent = _silent.get()
        self._bar = None if silent else _open_bar(total, what, unit, done)
        self._lines = self._bar is None and not silent
        self._call = None if silent else _tell.get()
        self._first, self._begun = done, _clock()
        self._called, self._told, self._logged = self._begun - CALLS, -1, self._begun

    def update(self, count: int = 1) -> None:
        """So many more are done. Raises what `on_progress`'s function raises."""
        self.done += count
        now = _clock()
        if self._bar is not None:
            if self.note:
                self._bar.set_postfix_str(self.note, refresh=False)
            self._bar.update(count)
        elif self._lines and now - self._logged >= LINES and self.done != self.total:
            self._log(now)
        if now - self._called >= CALLS:
            self._tell(now)

    def look(self, now: float | None = None) -> Progress:
        """How far it is now."""
        seconds = max((_clock() if now is None else now) - self._begun, 1e-9)
        rate, ends = (self.done - self._first) / seconds, None
        if self.total is not None and rate > 0 and self.done < self.total:
            ends = datetime.now() + timedelta(seconds=min((self.total - self.done) / rate, 1e9))
        return Progress(self.what, self.done, self.total, self.unit, seconds, rate, ends)

    def finish(self) -> None:
        """All is done: told once more, where that was not told, or the work was long."""
        now = _clock()
        if self._lines and now - self._begun >= LINES:
            self._log(now)
        if self._told != self.done:
            self._tell(now)

    def close(self) -> None:
        """Leaves the bar as it is."""
        if self._bar is not None:
            self._bar.close()

    def _tell(self, now: float) -> None:
        if self._call is not None:
            self._called, self._told = now, self.done
            self._call(self.look(now))

    def _log(self, now: float) -> None:
        self._logged = now
        LOGGER.info("%s%s", self.look(now), f" ({self.note})" if self.note else "")


@contextmanager
def follow(total: int | None, what: str, unit: str = "images", done: int = 0) -> Iterator[Follower]:
    """Tells how far work in the block is, by `update` of what it gives: so many more are done.

    `total` is how many there are in all, None where nobody knows; `done` of them were done before. `unit` is
    a word for several: images, units, bytes.

    >>> with follow(8, "scan", done=4) as work:
    ...     work.update(2)
    ...     work.look().done
    6
    """
    work = Follower(total, what, unit, done)
    try:
        yield work
        work.finish()
    finally:
        work.close()


def follow_each(items: Iterable[T], what: str, unit: str = "images", total: int | None = None) -> Iterator[T]:
    """The items, one after the other, while it is told how far that is; `total` for items without a length.

    >>> sum(follow_each([1, 2, 3], "adding", "numbers"))
    6
    """
    with follow(len(items) if total is None and isinstance(items, Sized) else total, what, unit) as work:
        for item in items:
            yield item
            work.update()


def _open_bar(total: int | None, what: str, unit: str, done: int) -> Any:
    """A bar, where somebody can see it."""
    try:
        seen = sys.stderr.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed
        seen = False
    if not seen:
        return None
    from tqdm import tqdm

    scaled: dict[str, Any] = {"unit": "B", "unit_scale": True} if unit == BYTES else {"unit": f" {unit}"}
    if not _count_columns():  # as where one was opened without a size: tqdm would draw nothing
        scaled |= {"ncols": 80, "nrows": 24}
    return tqdm(total=total, desc=what, initial=done, delay=BARS, **scaled)


def _count_columns() -> int:
    """The width of the terminal, 0 where that is not known."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (AttributeError, OSError, ValueError):
        return 0
