"""The command of the study of painting on given pictures."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from unitscope.cli.words import Flag, Json, Output

KEPT = Path("runs/study")


def painting(
    seeds: int = 3,
    kept: Path = KEPT,
    quick: Flag = False,
    out: Annotated[Path | None, arg(metavar="DIR")] = None,
    json: Json = False,
) -> None:
    """Paint on given pictures with a generator's units, beside its own pictures.

    Drawn scenes of no seed that anything was taught with are inverted into zoo:generator; trees, water and
    grass are drawn and erased on them and on its own pictures, beside random units, strokes that set nothing,
    and units that are set in what was fitted. What was done is not done again: the same command goes on where
    it was stopped. Writes painting.csv, stages.csv, finding.md and figure.svg.

    Args:
        seeds: how often everything is repeated, with other scenes.
        kept: folder whose part painting has the inverted pictures and the results.
        quick: a small version for a first look: 5 scenes, one seed.
        out: folder of the results; by default that of the study in --kept.
    """
    from unitscope.errors import UsageError
    from unitscope.lab.commands.directions import open_setting
    from unitscope.lab.commands.measurements import finish
    from unitscope.lab.studies.painting_finding import SEEDS, study_painting

    if seeds > len(SEEDS):
        raise UsageError(f"--seeds is {seeds}; wanted {len(SEEDS)} at most")
    setting = open_setting(kept, 1, seeds, quick, "pnas")
    finish(study_painting(setting), Output(out or kept / "painting", json))
