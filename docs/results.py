"""Puts what `unitscope study all` found into the pages: docs/_results/NAME.md and its figures.

Run: .venv/bin/python docs/results.py runs/study
"""

import shutil
import sys
from pathlib import Path

from unitscope.lab.studies.catalog import STUDIES

HOME = Path(__file__).parent
REAL = ("axis-msrc", "axis-union", "axis-zoo", "formulas-msrc", "formulas-union", "painting-faces")
"""Studies of one network of its own, run into such folders; see axis.md, formulas.md and
painting-photographs.md. Their figures are not shown."""

DIRECTIONS = (
    *("directions", "edits", "words", "scores", "formulas", "shape", "detectors", "painting"),
    *("artifacts", "spread", "generators"),
)
"""Studies that `unitscope study all` leaves out; see the pages of these names in docs/findings."""


def put_results(kept: Path) -> None:
    """Copies the finding and the figure of every study, and the summary of all."""
    (HOME / "_results").mkdir(exist_ok=True)
    for name in (*STUDIES, *DIRECTIONS, *REAL):
        text = (kept / name / "finding.md").read_text("utf-8")
        if text.startswith("*A quick look"):
            raise SystemExit(f"{kept / name} holds a quick look; run: unitscope study {name}")
        (HOME / "_results" / f"{name}.md").write_text(text, "utf-8")
        if name not in REAL:
            shutil.copy(kept / name / "figure.svg", HOME / "_static" / f"findings-{name}.svg")
    shutil.copy(kept / "summary.md", HOME / "_results" / "summary.md")


if __name__ == "__main__":
    put_results(Path(sys.argv[1]))
