"""Processes that share work which the interpreter's lock would put in line."""

import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context


@contextmanager
def open_processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes, which leave Ctrl-C to this one.

    Where an error ends the block, also Ctrl-C, what has not begun is not begun.
    """
    ignoring = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(count, get_context("spawn"), signal.signal, ignoring) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
