"""What workers are asked for, and who makes them do it; neither knows what the work is.

The file is the result: what a worker has finished is whole, under a name that its number gives, and is there
for whoever goes on. Between worker and caller only numbers travel, and what the caller tells beforehand.
"""

import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from unitscope.errors import RunError

TRIES = 3
"""A number that so many workers have died over is given up."""

Work = Callable[[int, Any], None]
"""`work(number, told)` makes the file of that number."""


@runtime_checkable
class Job(Protocol):
    """Something to do, as a value that can be sent anywhere: of texts and plain numbers.

    `device` is "cpu", or what every worker takes one of; `threads` is how many each has.
    """

    @property
    def folder(self) -> Path:
        """Where the files are put."""

    @property
    def device(self) -> str:
        """What it runs on, such as cpu, cuda, or cuda:1."""

    @property
    def threads(self) -> int:
        """How many threads a worker takes."""

    def path(self, number: int) -> Path:
        """The file of a number."""

    def move(self, folder: Path) -> "Job":
        """The same job with its files in another folder."""

    def open(self, device: str) -> Work:
        """All that is needed is opened, in the worker; what makes one file after the other."""


@runtime_checkable
class Executor(Protocol):
    """Whoever has workers."""

    def run(self, job: Job, numbers: Sequence[int], told: Callable[[], object]) -> Generator[int, None, None]:
        """Yields the numbers, in any order, as their files are whole.

        `told` is asked, by the caller's thread, whenever a number is given out; the worker gets what it says.
        A worker that dies costs the file it was at, which another makes. Raises what the work raises, and
        `RunError` where three workers died over the same number. Workers end with the generator: close it.
        """


@dataclass(eq=False)
class Queue:
    """Numbers that wait for a worker; those whose worker died come first."""

    job: Job
    numbers: Sequence[int]
    waiting: deque[int] = field(init=False)
    deaths: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.waiting = deque(self.numbers)

    def lose(self, number: int, how: str) -> None:
        """Takes a number back whose worker died. Raises `RunError` at the third time."""
        if self.job.path(number).exists():  # it died afterwards
            return
        self.deaths[number] += 1
        if self.deaths[number] == TRIES:
            advice = "is there memory enough for so many workers? what is done is kept, go on with --resume"
            raise RunError(f"{TRIES} workers died over {self.job.path(number)} ({how}); {advice}")
        self.waiting.appendleft(number)


def name_device(device: str, place: int) -> str:
    """The device of the worker at a place: of several alike each takes its own.

    >>> name_device("cuda", 3), name_device("cuda:1", 3), name_device("cpu", 3)
    ('cuda:3', 'cuda:1', 'cpu')
    """
    return f"cuda:{place}" if device == "cuda" else device


def count_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # on Linux alone
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
