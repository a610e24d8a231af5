"""Streams of a GPU, on which work lies in order beside that of others; elsewhere all work is done at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

Mark = torch.cuda.Event | None
"""A place in the order of a stream's work; None where there are no streams."""


@dataclass(frozen=True, eq=False)
class Lane:
    """A stream of its own on a GPU, and none on other devices, where the same code does its work at once.

    >>> lane = open_lane("cpu")
    >>> with lane.after(mark_place("cpu")):
    ...     cross(torch.ones(2)).tolist()
    [1.0, 1.0]
    >>> lane.finish()
    """

    stream: torch.cuda.Stream | None

    @contextmanager
    def after(self, mark: Mark = None) -> Iterator[None]:
        """Work in the block is put on this lane, and begins once what was before the mark has been done."""
        if self.stream is None:
            yield
            return
        if mark is not None:
            self.stream.wait_event(mark)
        with torch.cuda.stream(self.stream):
            yield

    def finish(self) -> None:
        """Waits for all work on this lane, and for nothing else."""
        if self.stream is not None:
            self.stream.synchronize()


def open_lane(device: str) -> Lane:
    """A new lane of a device."""
    kind = torch.device(device)
    return Lane(torch.cuda.Stream(kind) if kind.type == "cuda" else None)  # type: ignore[no-untyped-call]


def mark_place(device: str) -> Mark:
    """A mark behind what has been put on the stream in which the device's work is put now."""
    if torch.device(device).type != "cuda":
        return None
    mark = torch.cuda.Event()  # type: ignore[no-untyped-call]
    mark.record(torch.cuda.current_stream(torch.device(device)))
    return mark


def take_over(tensor: Tensor, mark: Mark) -> None:
    """The current stream waits for the mark; the tensor's memory is kept until that stream has used it."""
    if mark is not None and tensor.is_cuda:
        stream = torch.cuda.current_stream(tensor.device)
        stream.wait_event(mark)
        tensor.record_stream(stream)


def cross(tensor: Tensor) -> Tensor:
    """The tensor on its way to the CPU, into pinned memory: whole once its lane is finished."""
    return tensor.to("cpu", non_blocking=tensor.is_cuda)
