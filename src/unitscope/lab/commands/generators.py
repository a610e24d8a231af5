"""The commands of the studies of the zoo's generator."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from unitscope.cli.words import Flag, Json, Output

KEPT = Path("runs/study")


def artifacts(
    seeds: int = 3,
    kept: Path = KEPT,
    quick: Flag = False,
    out: Annotated[Path | None, arg(metavar="DIR")] = None,
    json: Json = False,
) -> None:
    """Look for artifact units of the zoo's generator, and see whether its pictures are better without them.

    Units of two layers are ranked by two signs, then removed, beside random ones and the least suspect. What
    was done is not done again: the same command goes on where it was stopped. Writes artifacts.csv,
    finding.md and figure.svg.

    Args:
        seeds: how often everything is repeated, with other latents.
        kept: folder where painted pictures and what was measured are kept.
        quick: a small version for a first look: few pictures, one seed.
        out: folder of the results; by default that of the study in --kept.
    """
    from unitscope.lab.commands.directions import open_setting
    from unitscope.lab.commands.measurements import finish
    from unitscope.lab.studies.artifact_units import study_artifact_units

    setting = open_setting(kept, 1, seeds, quick, "pnas")
    finish(study_artifact_units(setting), Output(out or kept / "artifacts", json))


def spread(
    seeds: int = 3,
    kept: Path = KEPT,
    quick: Flag = False,
    out: Annotated[Path | None, arg(metavar="DIR")] = None,
    json: Json = False,
) -> None:
    """Follow insertions through the later layers of the zoo's generator, and compare levels to set units to.

    By what stood at the place, where the concept appeared and where not, beside random units; then the same
    insertions with three levels. What was done is not done again: the same command goes on where it was
    stopped. Writes spread.csv, finding.md and figure.svg.

    Args:
        seeds: how often everything is repeated, with other latents.
        kept: folder where what was measured is kept.
        quick: a small version for a first look: few pictures, one seed.
        out: folder of the results; by default that of the study in --kept.
    """
    from unitscope.lab.commands.directions import open_setting
    from unitscope.lab.commands.measurements import finish
    from unitscope.lab.studies.insertion_spread import study_insertion_spread

    setting = open_setting(kept, 1, seeds, quick, "pnas")
    finish(study_insertion_spread(setting), Output(out or kept / "spread", json))


def generators(
    seeds: int = 3,
    checkpoints: tuple[str, ...] = (),
    trained: Flag = False,
    kept: Path = KEPT,
    quick: Flag = False,
    out: Annotated[Path | None, arg(metavar="DIR")] = None,
    json: Json = False,
) -> None:
    """Compare the zoo's generator with and without minibatch statistics, and with another normalization.

    Each variant is trained for 600 steps (about 5 minutes on one core), then its units are named and its
    pictures compared with painted ones, by layer and by step; units of two networks are put in pairs. What
    was done is not done again: the same command goes on where it was stopped. Writes generators.csv,
    pictures.csv, pairs.csv, units.csv, finding.md and figure.svg.

    Args:
        seeds: how many networks of each variant are trained.
        checkpoints: weights of a longer training of zoo:generator, one file a step, such as
            'runs/zoo/generator-0/step-*.safetensors'; the last number in a name is its step.
        trained: train nothing, and compare what has been trained so far.
        kept: folder where networks, painted pictures and what was measured are kept.
        quick: a small version for a first look: two steps of training, few pictures, one seed.
        out: folder of the results; by default that of the study in --kept.
    """
    from unitscope.lab.commands.directions import open_setting
    from unitscope.lab.commands.measurements import finish
    from unitscope.lab.commands.studies import expand
    from unitscope.lab.studies.generators_finding import study_generators
    from unitscope.lab.studies.training import order_checkpoints

    setting = open_setting(kept, 1, seeds, quick, "pnas")
    found = study_generators(setting, order_checkpoints(expand(checkpoints)), train_missing=not trained)
    finish(found, Output(out or kept / "generators", json))
