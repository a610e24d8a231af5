"""A network's module on another device for a while, and afterwards as it was: it belongs to who lent it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.network import Network


def settle_device(device: str) -> str:
    """The device with its number, where cuda alone says the current one: that is another in every thread.

    Raises `UsageError` where torch knows no such device, or none is there.

    >>> settle_device("cpu"), settle_device("cuda:1")
    ('cpu', 'cuda:1')
    """
    try:
        kind = torch.device(device)
        return f"cuda:{torch.cuda.current_device()}" if kind.type == "cuda" and kind.index is None else device
    except (RuntimeError, AssertionError) as error:  # which of them depends on how torch was built
        raise UsageError(f"torch cannot use a device {device!r} here; use the cpu") from error


@contextmanager
def placed(network: Network, device: str) -> Iterator[None]:
    """Inside the block the network's module is on a device; afterwards, also after an error, where it was.

    Its tensors are then the very ones that they were before, and nothing is copied back. A module that is
    there already, or that a library has spread over several devices, is left as it is. Raises `NetworkError`
    where it cannot be moved, and what `settle_device` raises.

    >>> network = Network(nn.Linear(2, 2))
    >>> with placed(network, "meta"):
    ...     network.device
    'meta'
    >>> network.device
    'cpu'
    """
    module, wanted = network.module, torch.device(settle_device(device))
    kept = _list_tensors(module)
    devices = {value.device for *_, value, _, _ in kept}
    if devices <= {wanted} or hasattr(module, "hf_device_map"):
        yield
        return
    try:
        try:
            module.to(wanted)
        except Exception as error:  # modules may have their own way of being moved
            said = " ".join(str(error).split())
            advice = "name the device where it is as the machine's"
            raise NetworkError(f"{network.name} cannot be moved to {device}: {said}; {advice}") from error
        yield
    finally:
        for place, name, value, data, slope in kept:
            value.data = data
            if slope is not None and value.grad is not None:
                value.grad.data = slope
            if place[name] is not value:
                place[name] = value
        network._digested.clear()  # with it what was hashed is kept, where that lies


_Kept = tuple[Any, str, Tensor, Tensor, Tensor | None]
"""Where a tensor stands, its name there, itself, its numbers, and those of its gradient."""


def _list_tensors(module: nn.Module) -> list[_Kept]:
    found: list[_Kept] = []
    for part in module.modules():
        for place in (part._parameters, part._buffers):
            for name, value in place.items():
                if isinstance(value, Tensor):
                    slope = None if value.grad is None else value.grad.data
                    found.append((place, name, value, value.data, slope))
    return found
