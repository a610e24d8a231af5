"""The command of the study of names by formulas."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from unitscope.cli.words import Convention, Flag, Json, Output
from unitscope.errors import UsageError

KEPT = Path("runs/study")


def formulas(
    photographs: Annotated[tuple[str, ...], arg(metavar="SOURCE [SOURCE ...]")] = (),
    scenes: int = 2000,
    seeds: int = 3,
    convention: Convention = "netdissect",
    kept: Path = KEPT,
    quick: Flag = False,
    out: Annotated[Path | None, arg(metavar="DIR")] = None,
    json: Json = False,
) -> None:
    """Name units by formulas, and see what is left of their IoU on other images and under shuffled labels.

    The last layer of the zoo's classifier is studied over drawn scenes. What was done is not done again: the
    same command goes on where it was stopped. Writes formulas.csv, finding.md and figure.svg.

    Args:
        photographs: two layers of EfficientNet-Lite0 besides, over each of these sources, such as
            folder:msrc.
        scenes: how many drawn scenes.
        seeds: how often everything is repeated, with other halves, draws and shuffles.
        kept: folder where pictures and what was measured are kept.
        quick: a small version for a first look: 100 scenes, few draws, one seed.
        out: folder of the results; by default that of the study in --kept.
    """
    import unitscope as us
    from unitscope.lab.commands.measurements import finish
    from unitscope.lab.studies.formula_study import PHOTOGRAPHS, Photographs, study_formulas
    from unitscope.lab.studies.trained_groups import Setting
    from unitscope.views.figures import load_matplotlib

    for option, value in (("scenes", scenes), ("seeds", seeds)):
        if value < 1:
            raise UsageError(f"--{option} is {value}; wanted 1 or more")
    load_matplotlib()  # where it is missing, that is reported before the work, not after it
    setting = Setting(kept, scenes, seeds, quick=quick, convention=convention)
    name, layers = PHOTOGRAPHS
    subjects = []
    for text in photographs:
        source = us.open_source(text)
        source = us.limit(source, 100) if quick else source
        subjects.append(Photographs(text, us.load_network(name), layers, source))
    finish(study_formulas(setting, subjects), Output(out or kept / "formulas", json))
