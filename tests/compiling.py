"""Inner loops are compiled once, where that has not been done, and not by every process that calls them."""

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from filelock import FileLock

LOCK = "UNITSCOPE_TEST_COMPILING"


def begin_compiling() -> None:
    """One process compiles, beside those that are started later; a lock is held until it has done."""
    os.environ[LOCK] = str(Path(tempfile.mkdtemp()) / "compiling.lock")
    lock = FileLock(os.environ[LOCK], thread_local=False)
    lock.acquire()

    def compile_all() -> None:
        with lock:
            subprocess.run([sys.executable, "-m", "unitscope.dissection.rehearsal"], check=True)
        lock.release()

    threading.Thread(target=compile_all).start()


def wait_before_compiling() -> None:
    """The first loop that this process would compile waits until all are: then it is read from disk."""
    from numba.core.dispatcher import Dispatcher

    plain = Dispatcher.compile

    def compile_later(self: Any, signature: Any) -> Any:
        with FileLock(os.environ[LOCK]):
            Dispatcher.compile = plain
        return plain(self, signature)

    Dispatcher.compile = compile_later
