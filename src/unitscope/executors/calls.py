"""A job for anything that gives arrays by number: a function of the package, called in every worker.

How work is cut into numbers is the caller's, and never depends on who makes them; what they give is handed
back in their order. So whatever is merged from it is the same, bit for bit, whoever made what.
"""

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from unitscope.errors import RunError, writing
from unitscope.executors.jobs import Executor
from unitscope.files import create_arrays
from unitscope.plugins import find_function

Arrays = Mapping[str, np.ndarray]
Work = Callable[[int], Arrays]
"""`work(number)` gives the arrays of that number."""

_HINT = "free some space, or name another folder for temporary files with TMPDIR"


@dataclass(frozen=True, eq=False)
class Call:
    """A `Job` that calls a function, `"module:function"`, with a device and these arguments.

    The function opens what is needed and returns a `Work`; the arguments are texts, numbers, arrays of
    numbers, which may be read-only in the worker, and frozen dataclasses of such. `home` is the folder that
    relative paths start from.
    """

    function: str
    arguments: Mapping[str, Any]
    device: str
    threads: int
    home: str
    folder: Path

    @property
    def advice(self) -> str:
        """What to do once workers have died."""
        return "try again with fewer workers"

    def path(self, number: int) -> Path:
        """The file of a number."""
        return self.folder / f"{number:06d}.safetensors"

    def move(self, folder: Path) -> "Call":
        """The same job with its files in another folder."""
        return replace(self, folder=folder)

    def open(self, device: str) -> Callable[[int, object], None]:
        """Calls the function; what writes the file of a number. Raises what the function raises."""
        import torch

        torch.set_num_threads(self.threads)
        with suppress(OSError):
            os.chdir(self.home)
        work: Work = find_function(self.function)(device, **self.arguments)
        return lambda number, _told: create_arrays(self.path(number), work(number), _HINT)


def call_workers(
    executor: Executor, function: str, arguments: Mapping[str, Any], count: int, device: str, threads: int
) -> Generator[Arrays, None, None]:
    """The arrays of the numbers 0 to `count` - 1 in their order, from workers, through a folder of their own.

    Raises what the function raises, and `RunError` as `Executor.run` does.
    """
    with ExitStack() as stack:
        with writing("temporary files", _HINT):
            folder = TemporaryDirectory(prefix="unitscope-", ignore_cleanup_errors=True)
        place = Path(stack.enter_context(folder))
        call = Call(function, arguments, device, threads, os.getcwd(), place)
        made: set[int] = set()
        following = 0
        for number in stack.enter_context(closing(executor.run(call, range(count), lambda: None))):
            made.add(number)
            while following in made:
                path = call.path(following)
                yield read_arrays(path)
                path.unlink()
                following += 1


def read_arrays(path: Path) -> Arrays:
    """The arrays of a file that `create_arrays` wrote. Raises `RunError` where they cannot be read."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found: Arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"cannot read {path}, which a worker wrote: {error}; try again") from error
    return found
