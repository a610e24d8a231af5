"""A job that notes when each worker was ready; a module of its own, for workers must find it."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Timed:
    """Another job; into `notes` its workers write when they had opened it, and their CPU time since."""

    job: Any
    notes: str

    @property
    def folder(self) -> Path:
        return self.job.folder

    @property
    def device(self) -> str:
        return self.job.device

    @property
    def threads(self) -> int:
        return self.job.threads

    def path(self, number: int) -> Path:
        return self.job.path(number)

    def move(self, folder: Path) -> "Timed":
        return Timed(self.job.move(folder), self.notes)

    def open(self, device: str) -> Callable[[int, Any], None]:
        work = self.job.open(device)
        ready, spent = time.time(), time.process_time()

        def note(number: int, told: Any) -> None:
            work(number, told)
            found = f"{ready} {time.process_time() - spent}"
            (Path(self.notes) / f"{os.getpid()}").write_text(found)

        return note
