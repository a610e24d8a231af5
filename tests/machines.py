"""A Ray cluster of two machines, both of them here."""

import os
import signal
import sys
from collections.abc import Iterator
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
