"""A job that writes its numbers into files, and dies, fails or waits as it is told; it needs no torch."""

import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

from unitscope.errors import SourceError


class OddError(Exception):
    def __init__(self, *, name):
        super().__init__(name)


@dataclass(frozen=True)
class Numbered:
    place: Path
    trouble: str = ""
    device: str = "cpu"
    threads: int = 1
    driver: int = 0
    advice: str = "go on with --resume"

    @property
    def folder(self):
        """Another one in every process but the driver, where a driver is named: no disk is shared."""
        return self.place / "elsewhere" if self.driver not in (0, os.getpid()) else self.place

    def path(self, number):
        return self.folder / f"{number:03d}.txt"

    def move(self, folder):
        return replace(self, place=folder, driver=0)

    def open(self, device):
        if self.trouble == "closed":
            raise SourceError("it is closed")

        def work(number, told):
            trouble, _, place = self.trouble.partition(" at ")
            if place == str(number):
                self.meet(trouble, number)
            self.path(number).write_text(f"{number} {told} {device} {os.getpid()}")

        return work

    def meet(self, trouble, number):
        if trouble == "waits":
            time.sleep(600)
        if trouble == "fails":
            raise SourceError(f"image {number} is torn")
        if trouble == "is odd":
            raise OddError(name="odd")
        if trouble == "dies" or (trouble == "dies once" and not (self.place / "died").exists()):
            (self.place / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)


def read_numbers(folder):
    """What stands in the files of a folder: number, what was told, device, process."""
    return [path.read_text().split() for path in sorted(folder.glob("*.txt"))]
