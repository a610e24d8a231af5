"""The exceptions of unitscope, a small tree under one root.

::

    UnitscopeError
    ├── UsageError         what was asked for cannot be: an unknown name, a value out of range
    ├── SourceError        images or labels that cannot be read, or contradict each other
    ├── NetworkError       a network that cannot be loaded, run or tapped
    │   ├── ActivationError    its activations are not finite
    │   └── MissingWeightsError  its pretrained weights are not on this machine
    ├── RunError           a folder of results that cannot be written, read or resumed
    └── DownloadError      a file that cannot be fetched, verified or unpacked

A message says what was seen, what was wanted, and what to do next, in one line.
The command line exits with 2 for a `UsageError` and with 1 for every other.
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class UnitscopeError(Exception):
    """The root of all errors that unitscope raises on purpose."""


class UsageError(UnitscopeError):
    """What was asked for cannot be: an unknown name, a value out of range."""


class SourceError(UnitscopeError):
    """Images or labels that cannot be read, or that contradict each other."""


class NetworkError(UnitscopeError):
    """A network that cannot be loaded, run on its input, or tapped at a layer."""


class ActivationError(NetworkError):
    """Activations that are not finite numbers; names the layer and the image."""


class MissingWeightsError(NetworkError):
    """Pretrained weights that are not on this machine, or that nobody published."""


class RunError(UnitscopeError):
    """A folder of results that cannot be written, read or resumed."""


class DownloadError(UnitscopeError):
    """A file that cannot be fetched, verified or unpacked safely."""


@contextmanager
def writing(what: str | Path, hint: str = "name another folder") -> Iterator[None]:
    """Tells a file or folder that cannot be written as a `RunError`: which, why, and what to do.

    >>> with writing("runs/sky", "free some space"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    unitscope.errors.RunError: cannot write runs/sky: No space left on device; free some space
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {what}: {error.strerror or error}; {hint}") from error


def say_near(name: str, known: Iterable[str], most: int = 4) -> str:
    """The names near one that is unknown, as the end of a message; nothing where none is near.

    >>> say_near("resnet19", ["resnet18", "vgg16"])
    '; near names: resnet18'
    """
    near = difflib.get_close_matches(name, list(dict.fromkeys(known)), n=most, cutoff=0.5)
    return f"; near names: {', '.join(near)}" if near else ""


def missing_extra(package: str, what: str, extra: str) -> UsageError:
    """The error for a package that is not installed: what it does, and how to get it.

    >>> print(missing_extra("matplotlib", "draws figures", "figures"))
    matplotlib, which draws figures, is not installed; pip install 'unitscope[figures]'
    """
    return UsageError(f"{package}, which {what}, is not installed; pip install 'unitscope[{extra}]'")


def check_seed(seed: int) -> None:
    """Raises `UsageError` for a seed that no generator of random numbers takes."""
    if seed < 0:
        raise UsageError(f"the seed is {seed}; it must be 0 or more")
