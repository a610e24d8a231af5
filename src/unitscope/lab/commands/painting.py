"""The command of the study of painting on given pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from unitscope.cli.words import Flag, Json, Output
from unitscope.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitscope.lab.studies.painting_subjects import Subject

KEPT = Path("runs/study")


def painting(
    network: str | None = None,
    photographs: Annotated[tuple[str, ...], arg(metavar="SOURCE [SOURCE ...]")] = (),
    segmenter: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = (),
    concepts: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = (),
    features: str | None = None,
    quantile: float | None = None,
    seeds: int | None = None,
    kept: Path = KEPT,
    quick: Flag = False,
    out: Annotated[Path | None, arg(metavar="DIR")] = None,
    json: Json = False,
) -> None:
    """Paint on given pictures with a generator's units, beside its own pictures.

    Drawn scenes of no seed that anything was taught with are inverted into zoo:generator; trees, water and
    grass are drawn and erased on them and on its own pictures, beside random units, strokes that set nothing,
    and units that are set in what was fitted. With --network the same is done with another generator,
    pictures, segmenter and concepts. What was done is not done again: the same command goes on where it was
    stopped. Writes painting.csv, stages.csv, finding.md and figure.svg.

    Args:
        network: a generator of your own.
        photographs: pictures that are given to it, a folder or a SOURCE; their middle is cut out and resized.
        segmenter: who names its pixels: zoo:segmenter, hf:FOLDER, FILE.onnx, FILE.py:FACTORY, or a FILE that
            zoo train segmenter --images wrote. With several of these everything is repeated with each, such
            as one a seed of training, on photographs of its own, or on the same.
        concepts: what is painted, such as three of the segmenter's concepts.
        features: a network in whose first layers pictures are compared where they are inverted, such as
            zoo:scene-classifier; by default the segmenter's.
        quantile: the fraction of a unit's values above its threshold where units are named, such as 0.2 for
            concepts that cover a fifth of the pictures; by default that of the convention pnas.
        seeds: how often everything is repeated, with other scenes; by default 3.
        kept: folder whose part painting has the inverted pictures and the results.
        quick: a small version for a first look: 5 pictures, one seed.
        out: folder of the results; by default that of the study in --kept.
    """
    from unitscope.lab.commands.directions import open_setting
    from unitscope.lab.commands.measurements import finish
    from unitscope.lab.studies.painting_finding import SEEDS, study_painting

    if network is not None and seeds is not None:
        raise UsageError("--seeds are of drawn scenes; with --network every --segmenter is a repetition")
    if seeds is not None and seeds > len(SEEDS):
        raise UsageError(f"--seeds is {seeds}; wanted {len(SEEDS)} at most")
    setting = open_setting(kept, 1, 3 if seeds is None else seeds, quick, "pnas")
    subjects = _open_subjects(network, photographs, segmenter, concepts, features, quantile)
    finish(study_painting(setting, None, subjects), Output(out or kept / "painting", json))


def _open_subjects(
    network: str | None,
    photographs: "Sequence[str]",
    segmenters: "Sequence[str]",
    concepts: "Sequence[str]",
    features: str | None,
    quantile: float | None,
) -> "list[Subject]":
    """What a generator of one's own is measured with, one a segmenter; none without a generator.

    Raises `UsageError` for options that do not go together.
    """
    import unitscope as us
    from unitscope.interventions.picture_loss import choose_features
    from unitscope.lab.studies.painting_subjects import open_subject
    from unitscope.networks.generators import as_generator
    from unitscope.networks.network_sources import load_segmenter

    if network is None:
        if photographs or segmenters or concepts or features is not None or quantile is not None:
            wanted = "--photographs, --segmenter, --concepts, --features and --quantile go with --network"
            raise UsageError(f"{wanted}; zoo:generator has its own")
        return []
    if not (photographs and segmenters and concepts):
        missing = (
            f"say on which --photographs, with which --segmenter and which --concepts {network} is tried"
        )
        raise UsageError(f"{missing}, as in --photographs DIR --segmenter FILE --concepts hair")
    if len(photographs) not in (1, len(segmenters)):
        seen = f"--photographs names {len(photographs)} sources and --segmenter {len(segmenters)} segmenters"
        raise UsageError(f"{seen}; wanted one source, or one a segmenter")
    if quantile is not None and not 0 < quantile < 1:
        raise UsageError(f"--quantile is {quantile:g}; wanted a fraction between 0 and 1")
    opened = as_generator(us.load_network(network))
    compared = None if features is None else choose_features(us.load_network(features))
    sources = photographs if len(photographs) > 1 else [*photographs] * len(segmenters)
    return [
        open_subject(
            opened,
            load_segmenter(name),
            concepts,
            us.open_source(text if ":" in text or not Path(text).is_dir() else f"folder:{text}"),
            features=compared,
            quantile=quantile,
        )
        for name, text in zip(segmenters, sources, strict=True)
    ]
