"""A run that many processes or jobs share: the options that say so."""

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import unitscope as us
from unitscope.cli.words import Running
from unitscope.errors import UsageError

if TYPE_CHECKING:
    from unitscope.dissection import Part
    from unitscope.executors.jobs import Executor


@dataclass(frozen=True)
class Crew:
    """Who shares the work; docs/how-to/many-machines.md.

    Args:
        workers: processes that share the work, each with --threads of its own, and in dissect --memory.
        ray: a Ray cluster that does: auto for the one that this machine belongs to, local to start one here,
            or an address.
    """

    workers: int | None = None
    ray: str | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers is {self.workers}; it must be at least 1")


@dataclass(frozen=True)
class Workers(Crew):
    """Who shares the work; docs/how-to/many-machines.md.

    Args:
        threads: threads of each worker; by default the cores divided by the workers, on a cluster one.
    """

    threads: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"--threads is {self.threads}; it must be at least 1")

    def start(self, device: str) -> "Executor | None":
        """Sets the number of threads; who has the workers, None where this process does it all.

        Raises `UsageError` for more workers than devices, and where there is no such cluster.
        """
        import torch

        from unitscope.dissection.workers import find_executor, find_scan_threads
        from unitscope.statistics.scan import Machine

        machine = Machine(device, threads=self.threads, workers=self.workers, ray=self.ray)
        executor = find_executor(machine)
        # Workers take as many as this process has.
        threads = self.threads if executor is None else find_scan_threads(machine)
        if threads is not None:
            torch.set_num_threads(threads)
        return executor


@dataclass(frozen=True)
class Sharing(Crew):
    """Who shares the work; docs/how-to/many-machines.md.

    Args:
        shards: scan one part of the run only, such as 3/16, and stop; auto: as torchrun or a Slurm array
            says. When all parts are there: unitscope merge RUN.
    """

    shards: str | None = None

    def start(self, running: Running) -> "us.Machine":
        """The machine that `unitscope.dissect` takes. Raises as `Running.start`."""
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
