"""The commands of the studies of units: what they follow, and how well one tells a concept."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from unitscope.cli.words import Flag, Json, Output
from unitscope.errors import UsageError

KEPT = Path("runs/study")


def shape(
    photographs: Annotated[tuple[str, ...], arg(metavar="SOURCE [SOURCE ...]")] = (),
    styles: Annotated[str | None, arg(metavar="SOURCE")] = None,
    count: int = 96,
    scenes: int = 400,
    seeds: int = 3,
    kept: Path = KEPT,
    quick: Flag = False,
    out: Annotated[Path | None, arg(metavar="DIR")] = None,
    json: Json = False,
) -> None:
    """See whether units follow shape or texture: are they active at the same places in restyled pictures?

    The zoo's scene classifier over drawn scenes whose surfaces are exchanged, shapes and masks kept. What was
    done is not done again: the same command goes on where it was stopped. Writes shape.csv, finding.md and
    figure.svg.

    Args:
        photographs: EfficientNet-Lite0 besides, over photographs of each of these sources, such as
            folder:msrc, restyled by adaptive instance normalization.
        styles: the pictures that photographs are restyled by, such as folder:dtd; by default the same
            photographs.
        count: how many photographs are restyled, other ones for every seed; about 4 s each.
        scenes: how many drawn scenes.
        seeds: how often everything is repeated, with other pictures and other styles.
        kept: folder where restyled photographs and what was measured are kept.
        quick: a small version for a first look: 100 scenes, 8 photographs, one seed.
        out: folder of the results; by default that of the study in --kept.
    """
    import unitscope as us
    from unitscope.lab.commands.directions import open_setting
    from unitscope.lab.commands.measurements import finish
    from unitscope.lab.studies.shape_finding import Styled, study_shape

    if count < 2:
        raise UsageError(f"--count is {count}; wanted 2 photographs or more")
    if styles is not None and not photographs:
        raise UsageError("--styles goes with --photographs; drawn scenes take each other's looks")
    setting = open_setting(kept, 100 if quick else scenes, seeds, quick, "netdissect")
    found = []
    for text in photographs:
        source = us.open_source(text)
        others = source if styles is None else us.open_source(styles)
        found.append(Styled(text, source, others, 8 if quick else count))
    finish(study_shape(setting, found), Output(out or kept / "shape", json))
