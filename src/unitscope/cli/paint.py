"""The command that serves the paint page."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

import unitscope as us
from unitscope.cli.parsing import Command
from unitscope.cli.serving import bind, needing_servers, serve
from unitscope.cli.words import Network
from unitscope.errors import UsageError


def paint(
    network: Network,
    run: Annotated[Path, arg(metavar="RUN")],
    layers: Annotated[tuple[str, ...], arg(metavar="LAYER [LAYER ...]")] = (),
    seed: int | None = None,
    images: int = 256,
    host: str = "127.0.0.1",
    port: int = 8765,
    weights: Path | None = None,
) -> None:
    """Paint with the units of a generator, in the browser.

    Serves a local page: choose a picture, a concept and a brush; under a stroke the concept's units are set
    to the level they have where the concept is, or to 0. A segmenter tells what changed. Ctrl-C ends it.

    Args:
        network: a generator.
        run: its dissection with a segmenter; the same segmenter looks at what was painted.
        layers: only the units of these layers; by default every concept gets the layer that draws most of it.
        seed: the seed of the pictures to choose from; by default that of the run.
        images: how many pictures show how high units go.
        host: the address to serve at; others than 127.0.0.1 let other machines in, and nobody is asked who
            they are.
        port: the port to serve at; 0 takes a free one.
        weights: a safetensors file or a state dict; nothing in it is executed.
    """
    with needing_servers("paint"):
        from unitscope.views.app.project import open_project
        from unitscope.views.app.server import make_app
    from unitscope.networks.generators import Generator

    if images < 64:
        raise UsageError(f"--images is {images}; wanted 64 or more")
    with bind(host, port) as bound:
        loaded = us.load_network(network, weights=weights)
        if not isinstance(loaded, Generator):
            raise UsageError(f"{loaded.name} makes no images; name a generator, such as zoo:generator")
        found = us.load(run)
        project = open_project(
            loaded,
            found,
            us.open_source(found.source, loaded),
            layers=layers or None,
            seed=seed,
            images=images,
        )
        serve(make_app(project, host), bound, host, "paint")


PAINT: dict[str, Command] = {"paint": paint}
