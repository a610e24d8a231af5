"""The commands that look for units of a generator that make artifacts."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

import unitscope as us
from unitscope.cli.words import Address, Draws, Network, Opening, Output, Source, publish
from unitscope.errors import UsageError


def artifacts(
    network: Network,
    layer: Annotated[str, arg(metavar="LAYER")],
    reference: Source,
    segmenter: Annotated[str, arg(metavar="NAME")],
    features: Annotated[str, arg(metavar="NETWORK@LAYER")],
    images: int = 1000,
    top: int = 50,
    counts: Annotated[tuple[int, ...], arg(metavar="N [N ...]")] = (5, 20),
    measured: int = 1000,
    units: int = 40,
    marks: Annotated[Path | None, arg(metavar="FILE")] = None,
    drawing: Draws = Draws(draws=5),
    opening: Opening = Opening(),
    output: Output = Output(Path("runs/artifacts")),
) -> None:
    """Look for units of a generator that make artifacts, and remove them.

    Units are ranked by the Fréchet distance between the pictures that excite them most and the reference,
    and by how often the segmenter knows nothing where they fire. Then the first of both orders are set to
    0, beside as many at random: do all pictures come closer to the reference? Writes artifacts.csv,
    removal.csv and a page with pictures; `unitscope mark` shows these to be marked by eye.

    Args:
        network: a generator.
        layer: the layer whose units are looked at.
        reference: pictures such as the generator should make; of a source that has its kinds of picture for
            concepts those pictures alone that are of one.
        segmenter: who looks at the pictures: zoo:segmenter, hf:FOLDER, FILE.onnx, or FILE.py:FACTORY.
        features: the layer of a classifier that pictures are compared by.
        images: how many pictures rank the units.
        top: how many of them, those that excite a unit most, are compared with the reference.
        counts: how many units are removed.
        measured: how many other pictures are made without them.
        units: how many units the page shows.
        marks: marks.csv, as `unitscope mark` writes it: the units marked as artifacts are removed, too.
    """
    from unitscope.experiments import study_artifacts
    from unitscope.experiments.artifacts import Sampling
    from unitscope.experiments.marks import find_marked
    from unitscope.networks.generators import Generator
    from unitscope.networks.network_sources import load_segmenter
    from unitscope.networks.picture_features import open_extractor

    output.check()
    marked = () if marks is None else find_marked(marks)
    sampling = Sampling(images=images, top=top, seed=drawing.seed)
    generator = opening.load(network)
    if not isinstance(generator, Generator):
        raise UsageError(f"{network} makes no images; name a generator, such as zoo:generator")
    study = study_artifacts(
        generator,
        layer,
        us.open_source(reference),
        load_segmenter(segmenter),
        open_extractor(features),
        sampling=sampling,
        counts=counts,
        images=measured,
        marked=marked,
        **vars(drawing),
    )
    publish(study, output, units=units)


def mark(
    folder: Annotated[Positional[Path], arg(help="what `unitscope artifacts` wrote", metavar="DIR")],
    address: Address = Address(port=8767),
) -> None:
    """Mark units as artifacts by eye, in the browser.

    Serves a local page with the pictures that excite each unit most: artifact, fine, or unsure? Keys: a, f,
    u. Every mark is kept at once, in DIR/marks.csv; `unitscope artifacts --marks` removes the units marked.
    Ctrl-C ends it.
    """
    from unitscope.views.serving import serve_marking

    serve_marking(folder, **vars(address))
