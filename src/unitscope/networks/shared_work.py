"""Work that is cut into numbers, by this process or by workers that open networks and images themselves."""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from typing import Any, Protocol, runtime_checkable

import torch

from unitscope.errors import RunError, UsageError
from unitscope.executors.calls import Arrays, Work, call_workers
from unitscope.executors.jobs import Executor
from unitscope.networks.network import Network
from unitscope.networks.processors import record_processor
from unitscope.networks.specifications import say_here
from unitscope.plugins import find_function
from unitscope.version import __version__

_ALIKE = "numbers may differ in their last digits; take machines of one kind, with the same versions"


@runtime_checkable
class Specification(Protocol):
    """What opens something again in a worker, such as a `NetworkSpecification`."""

    def open(self) -> Any: ...


def share(
    prepare: Callable[..., Work],
    given: Mapping[str, Any],
    count: int,
    executor: Executor | None,
    specify: Callable[[], Mapping[str, Specification]],
) -> Generator[Arrays, None, None]:
    """What `prepare(**given)` gives for the numbers 0 to `count` - 1, in their order.

    Without an executor this process does it all. With one each worker calls `prepare`, a function of a
    module, with the same, but that what `specify` names is opened there; networks are put on the worker's
    device, and torch takes as many threads there as here. All else must be texts, numbers, arrays of
    numbers, or frozen dataclasses of such. Raises what `prepare` and `specify` raise, and what
    `Executor.run` raises.
    """
    if executor is None:
        work = prepare(**given)
        for number in range(count):
            yield work(number)
        return
    specified = dict(specify())
    device = _find_device(given[name] for name in specified)
    arguments = {
        "machine": record_machine(device),
        "prepare": f"{prepare.__module__}:{prepare.__qualname__}",
        "specified": specified,
        "given": {name: value for name, value in given.items() if name not in specified},
    }
    function = f"{__name__}:{open_work.__qualname__}"
    made = call_workers(executor, function, arguments, count, device, torch.get_num_threads())
    with closing(made):
        yield from made


def open_work(
    device: str,
    machine: str,
    prepare: str,
    specified: Mapping[str, Specification],
    given: Mapping[str, Any],
) -> Work:
    """What a worker does first: opens what is specified, and prepares its work.

    Raises `UsageError` where there is no such device, `RunError` where it is of another kind than the
    `machine` that the work was cut on.
    """
    _check_device(device)
    if (here := record_machine(device)) != machine:
        raise RunError(f"a worker {say_here()} has {here}, where the run was begun it is {machine}; {_ALIKE}")
    opened = {name: one.open() for name, one in specified.items()}
    for one in opened.values():
        if (network := _find_network(one)) is not None:
            network.module.to(device)
    work: Work = find_function(prepare)(**opened, **given)
    return work


def _check_device(device: str) -> None:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # which of them depends on how torch was built
        advice = "take no more workers than there are devices"
        raise UsageError(f"torch cannot use a device {device!r} {say_here()}; {advice}") from error


def record_machine(device: str) -> str:
    """What numbers may differ by between workers, in words: what a network runs on, and versions."""
    return f"{record_processor(device)}, unitscope {__version__}, torch {torch.__version__}"


def _find_network(value: object) -> Network | None:
    """What is given, where that is a network, or the one in it, such as that of a segmenter."""
    found = value if isinstance(value, Network) else getattr(value, "network", None)
    return found if isinstance(found, Network) else None


def _find_device(values: Iterable[object]) -> str:
    networks = [network for network in map(_find_network, values) if network is not None]
    devices = {network.device: network.name for network in networks}
    if len(devices) > 1:
        told = " and ".join(f"{name} on {device}" for device, name in devices.items())
        raise UsageError(f"workers have one device each, and {told}; put them on one")
    return next(iter(devices), "cpu")
