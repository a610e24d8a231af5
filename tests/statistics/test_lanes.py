"""The calls to a GPU's streams, by stand-ins that write down what they are asked for, without a GPU."""

from contextlib import contextmanager

import pytest
import torch

from unitscope.networks.borrowing import settle_device
from unitscope.statistics.lanes import cross, mark_place, open_lane, take_over


@pytest.fixture
def log(monkeypatch):
    """What was asked of streams, in order."""
    asked = []

    class Stream:
        def __init__(self, device):
            self.name = f"own of {device}"

        def wait_event(self, event):
            asked.append(f"{self.name} waits for {event}")

        def synchronize(self):
            asked.append(f"host waits for {self.name}")

    class Event(torch.cuda.Event):
        def record(self, stream):
            asked.append(f"marked {stream}")

        def __str__(self):
            return "mark"

    @contextmanager
    def put(stream):
        asked.append(f"work on {stream.name}")
        yield
        asked.append("work as before")

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "stream", put)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"current of {device}")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    return asked


def test_work_waits_for_its_mark_on_a_lane_of_its_own_device(log, monkeypatch):
    monkeypatch.setattr("unitscope.statistics.lanes.Lane.__init__", set_stream)
    lane = open_lane("cuda:1")
    mark = mark_place("cuda:1")
    with lane.after(mark):
        log.append("kernels")
    with lane.after():
        log.append("more")
    lane.finish()
    assert log == [
        "marked current of cuda:1", "own of cuda:1 waits for mark", "work on own of cuda:1", "kernels",
        "work as before", "work on own of cuda:1", "more", "work as before", "host waits for own of cuda:1",
    ]  # fmt: skip


def set_stream(lane, stream):
    object.__setattr__(lane, "stream", stream)


def test_on_other_devices_there_are_no_streams_and_work_is_done_at_once(log):
    lane, mark = open_lane("cpu"), mark_place("cpu")
    assert (lane.stream, mark) == (None, None)
    ones = torch.ones(3)
    with lane.after(mark):
        take_over(ones, mark)
        assert cross(ones) is ones
    lane.finish()
    assert log == []


def test_the_current_device_is_named_by_its_number(log):
    settled = {name: settle_device(name) for name in ("cpu", "cuda", "cuda:1", "meta")}
    assert settled == {"cpu": "cpu", "cuda": "cuda:3", "cuda:1": "cuda:1", "meta": "meta"}
