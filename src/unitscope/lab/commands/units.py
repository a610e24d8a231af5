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
        found.append(Styled(name_source(text), source, others, 8 if quick else count))
    finish(study_shape(setting, found), Output(out or kept / "shape", json))


def detectors(
    photographs: Annotated[tuple[str, ...], arg(metavar="SOURCE [SOURCE ...]")] = (),
    images: int = 1000,
    seeds: int = 3,
    kept: Path = KEPT,
    quick: Flag = False,
    out: Annotated[Path | None, arg(metavar="DIR")] = None,
    json: Json = False,
) -> None:
    """Take single units for detectors: does one tell images with a concept from images without?

    Units of the zoo's classifier, over drawn scenes, restyled ones, gray and dim ones, and of its generator,
    over its own images. Units are named on other images; thresholds come from one half. What was done is not
    done again: the same command goes on where it was stopped. Writes detectors.csv, finding.md and
    figure.svg.

    Args:
        photographs: sets of labeled photographs, such as folder:msrc: EfficientNet-Lite0 over halves of each,
            and over the others where labels are shared; and the zoo's classifier over all.
        images: how many drawn scenes, and generated images.
        seeds: how often everything is repeated, with other images and other halves.
        kept: folder where what was measured is kept.
        quick: a small version for a first look: 240 images, one seed.
        out: folder of the results; by default that of the study in --kept.
    """
    import unitscope as us
    from unitscope.lab.commands.directions import open_setting
    from unitscope.lab.commands.measurements import finish
    from unitscope.lab.studies.detectors_finding import Photographs, study_detectors

    if images < 100:
        raise UsageError(f"--images is {images}; wanted 100 or more, so that there are some with and without")
    setting = open_setting(kept, images, seeds, quick, "netdissect")
    found = []
    for text in photographs:
        source = us.open_source(text)
        found.append(Photographs(name_source(text), us.limit(source, 120) if quick else source))
    finish(study_detectors(setting, found), Output(out or kept / "detectors", json))


def name_source(text: str) -> str:
    """What a source is called in tables: the last part of its path, or what stands before its options.

    >>> name_source("folder:photos/msrc,limit=9"), name_source("drawn:count=3")
    ('msrc', 'drawn')
    """
    word, _, rest = text.partition(":")
    place = rest.partition(",")[0]
    return word if "=" in place or not place else Path(place).name
