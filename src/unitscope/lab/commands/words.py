"""The command of the study of words."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from unitscope.cli.words import Flag, Json, Output

KEPT = Path("runs/study")


def words(
    scenes: int = 600,
    seeds: int = 3,
    kept: Path = KEPT,
    quick: Flag = False,
    out: Annotated[Path | None, arg(metavar="DIR")] = None,
    json: Json = False,
) -> None:
    """Name units whose meaning is known by words, with zoo:captioned, beside the names of labels by IoU.

    Output units of the zoo's scene classifier, its layer5, and units planted from exact masks; by five
    methods, beside images with the responses to others. Writes names.csv, finding.md and figure.svg.

    Args:
        scenes: how many drawn scenes.
        seeds: how often everything is repeated, over other scenes.
        kept: folder whose part words has the results.
        quick: a small version for a first look: 120 scenes, one seed.
        out: folder of the results; by default that of the study in --kept.
    """
    from unitscope.lab.commands.directions import open_setting
    from unitscope.lab.commands.measurements import finish
    from unitscope.lab.studies.words_finding import study_words

    setting = open_setting(kept, scenes, seeds, quick, "netdissect")
    finish(study_words(setting), Output(out or kept / "words", json))
