"""Attacks that visitors asked for: one after the other, beside everything else, told by how far they are."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.exceptions import HTTPException

from unitscope.errors import UnitscopeError
from unitscope.interventions.looking.comparison import (
    ATTACKS,
    AttackedSlide,
    AttackName,
    attack_slide,
    copy_lens,
    count_passes,
)
from unitscope.interventions.looking.lens import Lens
from unitscope.interventions.looking.slides import Slide
from unitscope.views.app.work_queue import BusyError, WorkQueue

MOST_JOBS = 64
State = Literal["waiting", "running", "done", "cancelled", "failed"]


class CancelledError(Exception):
    """The visitor wants no more of it."""


@dataclass(eq=False)
class Job:
    """An attack under way. `picture` is the id of what came out, once the visitor has it."""

    owner: str
    source: int
    target: int
    steps: int
    state: State = "waiting"
    done: int = 0
    error: str | None = None
    cancelled: bool = False
    picture: str | None = None
    found: AttackedSlide | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self.state in ("done", "cancelled", "failed")

    def tell(self, done: int, steps: int) -> None:
        """Notes how far it is. Raises `CancelledError` where it is to end."""
        self.done, self.steps = done, steps
        if self.cancelled:
            raise CancelledError

    def describe(self) -> dict[str, Any]:
        """How far it is, and what came out, but for the picture."""
        found = self.found
        return {
            "state": self.state,
            "done": self.done,
            "steps": self.steps,
            "error": self.error,
            "success": None if found is None else found.success,
            "source": self.source,
            "target": self.target,
            "l2": None if found is None else found.l2,
            "linf": None if found is None else found.linf,
        }


@dataclass(eq=False)
class Attacks:
    """The attacks of all visitors, on a copy of the network, in a thread of their own."""

    queue: WorkQueue = field(default_factory=lambda: WorkQueue(4))
    jobs: OrderedDict[str, Job] = field(default_factory=OrderedDict)
    lens: Lens | None = None

    def begin(self, owner: str, slide: Slide, target: int, method: AttackName) -> tuple[str, Job]:
        """A new job, which `run` runs. Raises `HTTPException` 429 where the visitor has one under way.

        Raises `BusyError` where too many others wait."""
        if any(job.owner == owner and not job.ended for job in self.jobs.values()):
            raise HTTPException(429, "one attack at a time; cancel the other one", {"retry-after": "1"})
        if self.queue.busy >= self.queue.most:
            raise BusyError
        name = secrets.token_urlsafe(16)
        job = Job(owner, slide.predicted, target, count_passes(ATTACKS[method]))
        self.jobs[name] = job
        while len(self.jobs) > MOST_JOBS:
            oldest = next((one for one, its in self.jobs.items() if its.ended and one != name), None)
            if oldest is None:
                break
            del self.jobs[oldest]
        return name, job

    def find(self, owner: str, name: str) -> Job:
        """A job of a visitor. Raises `HTTPException` 404 for another one's, or none."""
        job = self.jobs.get(name)
        if job is None or job.owner != owner:
            raise HTTPException(404, "there is no such attack")
        return job

    def copy(self, lens: Lens) -> Lens:
        """The lens over a copy of the network, made once. Asked by the thread that the network runs in."""
        if self.lens is None:
            self.lens = copy_lens(lens)
        return self.lens

    async def run(self, job: Job, lens: Lens, slide: Slide, method: AttackName) -> None:
        """Runs a job to its end; nothing is raised, the job says what went wrong. `lens` is a copy."""
        try:
            job.found = await self.queue.do(lambda: self._attack(job, lens, slide, method))
            job.state = "done"
        except CancelledError:
            job.state = "cancelled"
        except UnitscopeError as error:
            job.state, job.error = "failed", str(error)
        except Exception as error:  # told to the visitor who waits, since nobody else does
            job.state, job.error = "failed", f"{type(error).__name__}: the attack failed; try another one"

    def _attack(self, job: Job, lens: Lens, slide: Slide, method: AttackName) -> AttackedSlide:
        if job.cancelled:
            raise CancelledError
        job.state = "running"
        return attack_slide(lens, slide, job.target, method, tell=job.tell)
