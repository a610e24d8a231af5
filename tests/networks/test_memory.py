"""Memory of passes: kept inside a block, given back after it, and only where glibc's limits are its own."""

import ctypes
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import nn

from unitscope.networks import memory
from unitscope.networks.memory import hold_memory, release_memory
from unitscope.networks.trace import evaluation

PAGES = (40 << 20) // resource.getpagesize()
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is left to the system")


def count_faults(blocks: int = 1, times: int = 4) -> int:
    """How many pages the system hands out while so many blocks of 40 MB are taken and freed some times."""
    size = blocks * PAGES * resource.getpagesize()
    torch.ones(size, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(size, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def keeps() -> bool:
    """Whether large blocks are used again, once the first few have found their place."""
    return min(count_faults() for _ in range(3)) <= PAGES


def gives_back() -> bool:
    """Whether large blocks are the system's again once they are free; larger than what was free before."""
    # Twice is enough: of so large a block every page is new each time, and pages take their time.
    return count_faults(4, times=2) > 1.5 * 4 * PAGES


def freed_memory_is_kept_inside_the_block_and_given_back_after_it():
    assert gives_back()
    with hold_memory():
        assert keeps()
    assert gives_back()


def the_last_of_several_blocks_ends_it_also_after_an_error():
    with hold_memory(), ThreadPoolExecutor(4) as pool:
        with suppress(KeyError), hold_memory():
            raise KeyError
        blocks = [hold_memory() for _ in range(8)]
        list(pool.map(lambda block: block.__enter__(), blocks))
        assert memory._holders == 9
    for block in blocks:
        assert keeps()
        block.__exit__(None, None, None)
    assert memory._holders == 0
    assert gives_back()


def passes_hold_memory():
    with evaluation(nn.Identity()):
        assert keeps()
    assert gives_back()


def what_is_held_is_given_back_on_request():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    with hold_memory():
        blocks = [torch.ones(40 << 20, dtype=torch.uint8) for _ in range(4)]
        del blocks
        before = resident()
        release_memory()
        assert resident() < before - 3 * PAGES


CHECKS = (
    freed_memory_is_kept_inside_the_block_and_given_back_after_it,
    the_last_of_several_blocks_ends_it_also_after_an_error,
    passes_hold_memory,
    what_is_held_is_given_back_on_request,
)


@pytest.fixture(scope="module")
def told() -> str:
    """What is said of every check in a process of its own."""
    # What other tests have left free decides where a block lies, and whether it is new.
    done = subprocess.run(
        [sys.executable, __file__], stdout=-1, stderr=subprocess.STDOUT, text=True, check=True
    )
    return done.stdout


@on_linux
@pytest.mark.parametrize("check", CHECKS)
def test_in_a_process_of_its_own(check, told):
    assert f"{check.__name__} ended with 0" in told, told


@pytest.fixture
def _asked_again():
    memory._allocator.cache_clear()
    yield
    memory._allocator.cache_clear()


@pytest.mark.usefixtures("_asked_again")
@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_limits_that_somebody_chose_stay(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    with hold_memory():
        assert memory._allocator() is None


@pytest.mark.usefixtures("_asked_again")
@pytest.mark.parametrize("found", [TypeError, OSError, object()])
def test_other_allocators_are_left_alone(monkeypatch, found):
    def load(_name):
        if isinstance(found, type):
            raise found
        return found

    monkeypatch.setattr(ctypes, "CDLL", load)
    with hold_memory():
        assert memory._allocator() is None


if __name__ == "__main__":
    for check in CHECKS:
        if not (child := os.fork()):
            check()
            sys.exit()
        print(check.__name__, "ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
