"""The command that leads through what unitscope does."""

from pathlib import Path

from unitscope.cli.interruption import offer
from unitscope.cli.words import Flag


def demo(out: Path = Path("runs/demo"), count: int = 400, resume: Flag = False) -> None:
    """Dissect a classifier, with true labels and with a segmenter, and a generator; remove and insert units.

    All of it offline, on what ships with the package; one page leads through it.

    Args:
        out: folder of the runs and of the page.
        count: how many scenes are drawn, and images generated.
        resume: go on with a demo that was interrupted.
    """
    from unitscope.lab.demo import run_demo

    offer(lambda words: words if resume or not out.exists() else [*words, "--resume"])
    print(f"page: {run_demo(out, count=count, resume=resume)}")
