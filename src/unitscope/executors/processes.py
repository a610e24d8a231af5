"""Workers as processes of this machine."""

import json
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from unitscope.executors.jobs import Job, Queue, name_device

_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from unitscope.executors.worker import serve
serve(int(sys.argv[1]))
"""


@dataclass(eq=False)
class _Worker:
    process: "subprocess.Popen[bytes]"
    connection: "Connection[object, Exception | None]"
    place: int
    number: int | None = None

    def ask(self, queue: Queue, told: Callable[[], object], early: bool = False) -> None:
        """Gives it a number, if any waits; where it is dead, `hear` will tell.

        `early`: only if there is something to tell already.
        """
        if not queue.waiting or (not (known := told()) and early):
            return
        self.number = queue.waiting.popleft()
        with suppress(OSError):
            self.connection.send((self.number, known))

    def hear(self) -> bool:
        """Whether the file is made, False where the worker has died. Raises what the work raised."""
        try:
            answer = self.connection.recv()
        except (EOFError, OSError):
            return False
        if answer is not None:
            raise answer
        return True

    def end(self) -> int:
        self.connection.close()
        self.process.kill()
        return self.process.wait()


@dataclass(frozen=True)
class Processes:
    """An `Executor` of so many processes of this machine.

    `device` is what they run on instead of what the job names: with "cuda" worker i takes the i-th one.
    """

    workers: int
    device: str | None = None

    def run(self, job: Job, numbers: Sequence[int], told: Callable[[], object]) -> Generator[int, None, None]:
        """Yields the numbers as their files are whole; see `Executor`."""
        queue, workers = Queue(job, numbers), []
        device = self.device or job.device
        try:
            for place in range(min(self.workers, len(numbers))):
                workers.append(_start(job, name_device(device, place), place))
                workers[place].ask(queue, told)
            while busy := {one.connection: one for one in workers if one.number is not None}:
                for connection in wait(list(busy)):
                    worker = busy[connection]  # type: ignore[index]
                    number, worker.number = worker.number, None
                    assert number is not None
                    if not (alive := worker.hear()):
                        queue.lose(number, f"exit status {worker.end()}")
                        place = worker.place
                        worker = workers[place] = _start(job, name_device(device, place), place)
                    # No worker waits while what it made is taken up.
                    worker.ask(queue, told, early=True)
                    if alive or job.path(number).exists():
                        yield number
                    if worker.number is None:
                        worker.ask(queue, told)
        finally:
            for worker in workers:
                worker.end()


def _start(job: Job, device: str, place: int) -> _Worker:
    here, there = Pipe()
    words = [sys.executable, "-c", _PROGRAM, str(there.fileno()), json.dumps(sys.path)]
    # In a session of its own, so that Ctrl-C reaches the caller alone, who ends it.
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, pass_fds=[there.fileno()], start_new_session=True
    )
    there.close()
    with suppress(OSError):  # it has died already, which is found out when it is asked
        here.send((job, device))
    return _Worker(process, here, place)
