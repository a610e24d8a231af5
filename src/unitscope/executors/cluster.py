"""Workers as actors of a Ray cluster (extra `ray`): many machines, or the devices of one.

Ray's own pitfalls are met here: it replaces the handler of SIGTERM, takes a third of the memory for objects,
tells its makers about its use, and its arrays are read-only, so that compiled loops are compiled again. An
actor is asked for work only once it lives: one that waits for a machine that has gone waits for ever.
"""

import os
import pickle
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from unitscope.errors import RunError, UsageError, missing_extra, writing
from unitscope.executors.jobs import Job, Queue, Work
from unitscope.executors.worker import portable
from unitscope.files import name_unfinished, put_first

_OBJECTS = 100 << 20
"""Bytes for objects, of a cluster that is started here; files of workers without the folder pass there."""

_PATIENCE = 60.0
"""Seconds until a file that was made elsewhere must be seen here: shared disks tell late."""

_FAILURES = 10
"""So many workers in a row that could not be started are no accident, such as a machine that has gone."""

_ANSWER = 5.0
"""Seconds in which the address of a cluster must answer."""

_ADVICE = "start one with ray start --head, or give local"

_LEAVING = 5.0
"""Seconds that workers have to remove what they keep."""


@dataclass(frozen=True)
class Cluster:
    """An `Executor` of actors, each with as many CPUs as the job has threads, and with a GPU for "cuda".

    `address` is "auto" for the cluster that this machine belongs to, "local" for one that is started and
    ended here, or that of a cluster; `most` bounds the number of actors. Raises `UsageError` where Ray is not
    installed, or nothing answers at the address.
    """

    address: str
    most: int | None = None

    def __post_init__(self) -> None:
        if find_spec("ray") is None:
            raise missing_extra("ray", "spreads work over machines", "ray")
        _check_address(self.address)

    def run(self, job: Job, numbers: Sequence[int], told: Callable[[], object]) -> Generator[int, None, None]:
        """Yields the numbers as their files are whole; see `Executor`."""
        if not numbers:
            return
        with _connected(self.address) as ray, _marked(job.folder) as mark:
            needs = {"CPU": job.threads, **({"GPU": 1} if job.device.startswith("cuda") else {})}
            crew = _Crew(ray, job, mark, needs)
            queue = Queue(job, numbers)
            most = min(self.most or len(numbers), len(numbers))
            try:
                while queue.waiting or crew.busy:
                    crew.fit(min(most, len(queue.waiting) + len(crew.busy)))
                    crew.ask(queue, told)
                    for number in crew.hear(queue):
                        # No actor waits while what it made is taken up.
                        crew.ask(queue, told, early=True)
                        yield number
                        crew.ask(queue, told)
            finally:
                crew.end()


class Actor:
    """What lives on the cluster: one worker. A file that the caller would not see is sent."""

    def __init__(self, job: Job, mark: str) -> None:
        self.job = job
        self.work: Work | None = None
        self.room: str | None = None
        if not (job.folder / mark).exists():
            self.room = mkdtemp()
            self.job = job.move(Path(self.room))

    def greet(self) -> None:
        """Answers once it lives."""

    def leave(self) -> None:
        """Leaves nothing behind."""
        if self.room is not None:
            shutil.rmtree(self.room, ignore_errors=True)

    def make(self, number: int, told: bytes) -> bytes | Exception | None:
        """Makes a file; its content where the caller does not see it, or what went wrong."""
        try:
            # Ray shows each actor its own device alone, which is then the first.
            device = "cuda:0" if self.job.device.startswith("cuda") else self.job.device
            self.work = self.work or self.job.open(device)
            self.work(number, pickle.loads(told))
            if self.room is None:
                return None
            path = self.job.path(number)
            content = path.read_bytes()
            path.unlink()
        except Exception as error:
            return portable(error)
        return content


@dataclass(eq=False)
class _Crew:
    """The actors of a run: those that are being placed, those that wait for work, and those at work."""

    ray: Any
    job: Job
    mark: str
    needs: dict[str, int]
    placed: dict[Any, Any] = field(default_factory=dict)
    idle: list[Any] = field(default_factory=list)
    busy: dict[Any, tuple[Any, int]] = field(default_factory=dict)
    failures: int = 0

    def fit(self, wanted: int) -> None:
        """Has as many actors as there is room for in the cluster, but no more than are wanted.

        Raises `UsageError` where no machine of the cluster is large enough for one.
        """
        room = sum(self._count(node["Resources"]) for node in self.ray.nodes() if node["Alive"])
        here = len(self.placed) + len(self.idle) + len(self.busy)
        if not room and not here:
            some = " and ".join(f"{count} {name}" for name, count in self.needs.items())
            advice = "no machine of the cluster has that now; give fewer --threads"
            raise UsageError(f"a worker needs {some}, and {advice}")
        needs = {"num_cpus": self.needs["CPU"], "num_gpus": self.needs.get("GPU", 0)}
        for _ in range(min(room, wanted) - here):
            actor = self.ray.remote(**needs)(Actor).remote(self.job, self.mark)
            self.placed[actor.greet.remote()] = actor
        for greeting in list(self.placed)[: max(0, here - room)]:  # there is no room any more
            self.ray.kill(self.placed.pop(greeting))

    def _count(self, resources: Mapping[str, float]) -> int:
        """How many actors a machine has room for."""
        return int(min(resources.get(name, 0) // need for name, need in self.needs.items()))

    def ask(self, queue: Queue, told: Callable[[], object], early: bool = False) -> None:
        """Gives a number to every actor that waits, as long as there are any.

        `early`: only if there is something to tell already.
        """
        while self.idle and queue.waiting and ((known := told()) or not early):
            actor, number = self.idle.pop(), queue.waiting.popleft()
            self.busy[actor.make.remote(number, pickle.dumps(known))] = actor, number

    def hear(self, queue: Queue) -> Iterator[int]:
        """The numbers that are done, once something has happened or a second has passed."""
        waiting = [*self.placed, *self.busy]
        if not waiting:  # the machines have just gone
            time.sleep(1.0)
            return
        ready, _ = self.ray.wait(waiting, timeout=1.0)
        for answer in ready:
            if answer in self.placed:
                actor = self.placed.pop(answer)
                alive, how = self._hear(answer)
                self.idle += [actor] if alive else []
                self._note(alive, how)
                continue
            actor, number = self.busy.pop(answer)
            alive, content = self._hear(answer)
            if not alive:
                queue.lose(number, str(content))
                if queue.job.path(number).exists():
                    yield number
                continue
            self.idle.append(actor)
            if isinstance(content, Exception):
                raise content
            _take(self.job.path(number), content)
            yield number

    def _note(self, alive: bool, how: object) -> None:
        self.failures = 0 if alive else self.failures + 1
        if self.failures == _FAILURES:
            raise RunError(f"workers cannot be started on the cluster: {how}; is unitscope installed on all?")

    def _hear(self, answer: Any) -> tuple[bool, Any]:
        """Whether the actor lives, and what it says; or how it died."""
        try:
            return True, self.ray.get(answer)
        except self.ray.exceptions.RayTaskError:
            raise
        except self.ray.exceptions.RayError as error:
            return False, _last_line(error)

    def end(self) -> None:
        """Ends all actors; those at work at once."""
        leaving = [actor.leave.remote() for actor in self.idle]
        if leaving:
            self.ray.wait(leaving, num_returns=len(leaving), timeout=_LEAVING)
        for actor in [*self.placed.values(), *self.idle, *(actor for actor, _ in self.busy.values())]:
            self.ray.kill(actor)


def _check_address(address: str) -> None:
    """Raises `UsageError` where nothing answers at an address: Ray itself would wait for it without end."""
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"{address!r} is no address of a Ray cluster; give HOST:PORT, auto or local")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise UsageError(f"no Ray cluster answers at {address}: {error}; {_ADVICE}") from error


def _last_line(error: Exception) -> str:
    """What an error of Ray says at its end, where the cause stands, without colors."""
    lines = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", str(error)).splitlines()]
    return next((line for line in reversed(lines) if line), type(error).__name__)[:200]


def _take(path: Path, content: bytes | None) -> None:
    """Puts a file that was sent, or waits until one that was made elsewhere is seen here."""
    if content is not None:
        unfinished = name_unfinished(path)
        with writing(path, "free some space"):
            try:
                unfinished.write_bytes(content)
                put_first(unfinished, path)
            finally:
                unfinished.unlink(missing_ok=True)
    until = time.monotonic() + _PATIENCE
    while not path.exists():
        if time.monotonic() > until:
            raise RunError(f"{path} was made by another machine and is not seen here; is it one shared disk?")
        time.sleep(0.1)


@contextmanager
def _marked(folder: Path) -> Iterator[str]:
    """The name of a file that is in the folder as long as the block lasts: who sees it sees the folder."""
    mark = name_unfinished(folder / "seen")
    with writing(mark, "free some space"):
        mark.touch()
    try:
        yield mark.name
    finally:
        mark.unlink(missing_ok=True)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Ray, connected for as long as the block lasts, or as long as it was before.

    Raises `UsageError` where no cluster is found.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        yield ray
        return
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    asked: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "error"}
    if address == "local":
        asked |= {"include_dashboard": False, "object_store_memory": _OBJECTS}
    try:
        ray.init(**asked)
    except (ConnectionError, ValueError, RuntimeError) as error:
        seen = _last_line(error).partition(". ")[0]
        raise UsageError(f"no Ray cluster at {address}: {seen}; {_ADVICE}") from error
    try:
        if main and before is not None:
            signal.signal(signal.SIGTERM, before)
        yield ray
    finally:
        ray.shutdown()
