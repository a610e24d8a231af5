"""How many images at once fit into the memory of a device, and what is said where they do not."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from unitscope.errors import NetworkError

MOST = 256
"""Images that a device is given at once at most: more hardly make it quicker."""

_SPARE = 0.1
"""The share of a device's memory that is left free: what a device needs varies, and others may use it too."""


def fit_batch(attempt: Callable[[int], object], device: str, most: int = MOST) -> int:
    """The largest power of two of images, up to `most`, with which `attempt` has memory enough.

    A tenth of the device's memory is kept free meanwhile. Raises `NetworkError` where a single image is too
    much, and whatever else `attempt` raises.

    >>> def attempt(images):
    ...     if images > 40:
    ...         raise torch.OutOfMemoryError
    >>> fit_batch(attempt, "cpu")
    32
    """
    size = 1 << (most.bit_length() - 1)
    while True:
        try:
            _try_size(attempt, size, device)
            return size
        except (torch.OutOfMemoryError, NetworkError) as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                advice = "give it smaller ones (--size), name fewer layers, or another device"
                raise NetworkError(f"one image is too much for the memory of {device}; {advice}") from error
            size //= 2
        # Outside of the clause, whose error holds all that was made.
        _give_back(device)


def _try_size(attempt: Callable[[int], object], size: int, device: str) -> None:
    kept = _reserve(device)
    attempt(size)
    del kept


def _reserve(device: str) -> Tensor | None:
    """Memory that nothing else may take, where it is known how much the device has."""
    if torch.device(device).type != "cuda":
        return None
    free, whole = torch.cuda.mem_get_info(torch.device(device))
    return torch.empty(min(free // 2, int(_SPARE * whole)), dtype=torch.uint8, device=device)


def _give_back(device: str) -> None:
    if torch.device(device).type == "cuda":
        gc.collect()
        with torch.cuda.device(torch.device(device)):
            torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device has no memory left, or was caused by one that does."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, torch.OutOfMemoryError):
        found = found.__cause__
    return found is not None


@contextmanager
def telling_memory(name: str, batch: int) -> Iterator[None]:
    """Inside the block, a device without memory left is a `NetworkError` that says what batch to give.

    >>> with telling_memory("net", 64):
    ...     raise torch.OutOfMemoryError("CUDA out of memory")
    Traceback (most recent call last):
    unitscope.errors.NetworkError: the device has no memory left for net with batches of 64; begin again ...
    """
    try:
        yield
    except (torch.OutOfMemoryError, NetworkError) as error:
        if not is_out_of_memory(error):
            raise
        advice = f"begin again with --batch-size {batch // 2}"
        if batch == 1:
            advice = "give it smaller images (--size) or name fewer layers"
        seen = f"the device has no memory left for {name} with batches of {batch}"
        raise NetworkError(f"{seen}; {advice}") from error
