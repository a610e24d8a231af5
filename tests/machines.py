"""Who makes the files of a job in tests: a Ray cluster of two machines here, or this process alone."""

import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def two_machines(cpus: int = 1) -> Iterator[Any]:
    from ray.cluster_utils import Cluster as Machines

    machines, before = Machines(), signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # what is imported here is installed there
        try:
            for _ in range(2):
                machines.add_node(num_cpus=cpus, object_store_memory=80 << 20, include_dashboard=False)
            yield machines
        finally:
            machines.shutdown()
            signal.signal(signal.SIGTERM, before)


class SentAway:
    """An executor that opens the job from what could be sent, in this process, and begins at the end."""

    def __init__(self, *given: object) -> None:
        self.numbers: list[int] = []

    def run(self, job: Any, numbers: Sequence[int], told: Callable[[], object]) -> Iterator[int]:
        job = pickle.loads(pickle.dumps(job))
        work = job.open(job.device)
        for number in reversed(numbers):
            work(number, told())
            self.numbers.append(number)
            yield number
