"""A worker process: opens its job, then makes the files of the numbers that it is sent.

It is started by `processes`, as a program of its own and not as a copy of the caller's, so that scripts need
no `if __name__ == "__main__"`, and notebooks work.
"""

import io
import os
import pickle
import select
import sys
import threading
import traceback
import warnings
from multiprocessing.connection import Connection

from unitscope.executors.jobs import Job, Work


class _Plain(io.TextIOWrapper):
    """Where a worker complains: no place for bars, also on a terminal."""

    def isatty(self) -> bool:
        return False


def serve(handle: int) -> None:
    """Works for the process at the other end of a connection, until that ends."""
    os.dup2(2, 1)  # what networks and sources print is not the command's output
    sys.stderr = _Plain(io.FileIO(2, "w", closefd=False), line_buffering=True)
    warnings.simplefilter("ignore")  # the caller opens the same, and warns
    connection: Connection[object, tuple[int, object]] = Connection(handle)
    threading.Thread(target=_end_with, args=(handle,), daemon=True).start()
    job: Job
    job, device = connection.recv()  # type: ignore[assignment]
    work: Work | None = None
    while True:
        try:
            number, told = connection.recv()
        except (EOFError, OSError):  # the caller has ended
            return
        try:
            work = work or job.open(device)  # type: ignore[arg-type]
            work(number, told)
        except Exception as error:
            connection.send(portable(error))
        else:
            connection.send(None)


def portable(error: Exception) -> Exception:
    """The error with where it came from; one that cannot be sent becomes a `RuntimeError` that tells it."""
    told = "in a worker:\n" + "".join(traceback.format_exception(error))
    error.add_note(told)
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its own methods raise
        return RuntimeError(told)
    return error


def _end_with(handle: int) -> None:
    """Ends this process in whatever it does, once the other end of its connection is closed."""
    poll = select.poll()
    poll.register(handle, 0)  # a hang-up is told always
    poll.poll()
    os._exit(1)
