"""Inner loops are compiled once, where that has not been done, and not by every process that calls them."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from filelock import FileLock

LOCK = "compiling.lock"


def begin_compiling(home: Path) -> None:
    """One process compiles, beside those that are started later; a lock is held until it has ended."""
    lock = FileLock(home / LOCK, thread_local=False)
    lock.acquire()

    def compile_all() -> None:
        try:
            subprocess.run([sys.executable, "-m", "unitscope.dissection.rehearsal"], check=True)
        finally:
            lock.release()

    threading.Thread(target=compile_all).start()


def wait_before_compiling(home: Path) -> None:
    """The first loop that this process would compile waits until all are: then it is read from disk."""
    from numba.core.dispatcher import Dispatcher

    plain = Dispatcher.compile

    def compile_later(self: Any, signature: Any) -> Any:
        with FileLock(home / LOCK):
            Dispatcher.compile = plain
        return plain(self, signature)

    Dispatcher.compile = compile_later
