"""The command that serves the paint page."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

import unitscope as us
from unitscope.cli.words import Address, Network, Opening


def paint(
    network: Network,
    run: Annotated[Path, arg(metavar="RUN")],
    layers: Annotated[tuple[str, ...], arg(metavar="LAYER [LAYER ...]")] = (),
    seed: int | None = None,
    images: int = 256,
    address: Address = Address(port=8765),
    opening: Opening = Opening(),
) -> None:
    """Paint with the units of a generator, in the browser.

    Serves a local page: choose a picture, a concept and a brush; under a stroke the concept's units are set
    to the level they have where the concept is, or to 0. A segmenter says what changed. Ctrl-C ends it.

    Args:
        network: a generator.
        run: its dissection with a segmenter; the same segmenter looks at what was painted.
        layers: only the units of these layers; by default every concept gets the layer that draws most of it.
        seed: the seed of the pictures to choose from; by default that of the run.
        images: how many pictures show how high units go.
    """
    from unitscope.interventions import open_studio
    from unitscope.views.serving import serve_painting

    studio = open_studio(opening.load(network), us.load(run))
    serve_painting(studio, layers=layers, seed=seed, images=images, **vars(address))
