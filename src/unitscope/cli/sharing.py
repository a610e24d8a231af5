"""A run that many processes or jobs share: the options that say so, and the command that ends it."""

import os
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

import unitscope as us
from unitscope.cli.interruption import Words, offer
from unitscope.cli.words import Again, Flag, Running
from unitscope.errors import UsageError

if TYPE_CHECKING:
    from unitscope.dissection import Part

Begun = Annotated[Positional[Path], arg(help="the folder of the run", metavar="RUN")]


@dataclass(frozen=True)
class Sharing:
    """Who shares the work; docs/how-to/many-machines.md.

    Args:
        workers: processes that share the images, each with --threads and --memory of its own.
        ray: a Ray cluster that does: auto for the one that this machine belongs to, local to start one here,
            or an address.
        shards: scan one part of the run only, such as 3/16, and stop; auto: as torchrun or a Slurm array
            says. When all parts are there: unitscope merge RUN.
    """

    workers: int | None = None
    ray: str | None = None
    shards: str | None = None

    def start(self, running: Running) -> "us.Machine":
        """The machine that `unitscope.dissect` takes. Raises as `Running.start`."""
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers is {self.workers}; it must be at least 1")
        local = os.environ.get("LOCAL_RANK", "")
        if self.is_told and running.device == "cuda" and local.isdecimal():
            running = replace(running, device=f"cuda:{local}")
        return replace(running.start(), workers=self.workers, ray=self.ray)

    @property
    def is_told(self) -> bool:
        """Whether torchrun says which part this process has."""
        from unitscope.dissection.parts import find_rank

        return self.shards in (None, "auto") and find_rank() is not None

    def find_part(self) -> "Part | None":
        """The part of the run that is asked for, None for all. Raises as `read_part`."""
        from unitscope.dissection.parts import find_rank, read_part

        if self.shards is not None:
            return read_part(self.shards)
        part = find_rank()
        if part is not None:
            print(f"unitscope: part {part} of the run, by RANK and WORLD_SIZE", file=sys.stderr)
        return part

    def finish(
        self, part: "Part", shards: tuple[int, ...], out: Path, machine: "us.Machine", mix_machines: bool
    ) -> "us.Dissection | None":
        """What follows once a part is scanned: the first process of torchrun waits and names the units."""
        from unitscope.dissection import merge_run

        if self.is_told and part.number == 1:
            return merge_run(out, machine=machine, mix_machines=mix_machines, wait=True)
        print(f"part {part}: {len(shards)} shards are in {out}; when all parts are: unitscope merge {out}")
        return None


def merge(
    run: Begun,
    mix_machines: Flag = False,
    report: bool = True,
    concepts: Again = None,
    memory: float = 4.0,
    threads: int | None = None,
) -> None:
    """Name the units of a run whose parts have been scanned, without its network.

    Args:
        run: the folder that every `unitscope dissect ... --shards` was given as --out.
        mix_machines: also where parts were scanned with other numbers of threads, processors or devices.
        report: write the report as well.
        memory: gigabytes to hold at most, besides libraries and labels.
        threads: threads to use, all cores by default.
    """
    from unitscope.dissection import merge_run, reopen_source

    machine = Running(memory=memory, threads=threads).start()
    offer(partial(_go_on, run, report, concepts))
    found = merge_run(run, machine=machine, mix_machines=mix_machines)
    print(found.text(limit=10))
    print(f"run: {run}")
    if report:
        print(f"report: {us.write_report(found, reopen_source(found, concepts), run / 'report')}")


def _go_on(run: Path, report: bool, concepts: str | None, words: Words) -> Words | None:
    """What goes on with a merge that was interrupted: itself, or, where units are named, the report."""
    if not (run / "run.json").exists():
        return words
    again = [] if concepts is None else ["--concepts", concepts]
    return ["report", str(run), *again] if report else None
