"""The command that serves the paint page."""

import errno
import socket
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

import unitscope as us
from unitscope.cli.words import Network
from unitscope.errors import UsageError
from unitscope.parsing import Command

CONNECTIONS = 200
"""How many browsers' connections are served at once; more are told to come back."""


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
    try:
        import uvicorn

        from unitscope.views.app.project import open_project
        from unitscope.views.app.server import make_app
    except ImportError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise UsageError(
            f"{error.name} is not installed, which the paint page needs; pip install 'unitscope[app]'"
        ) from error
    from unitscope.networks.generators import Generator

    if not 0 <= port <= 65535:
        raise UsageError(f"--port is {port}; wanted 0 to 65535")
    if images < 64:
        raise UsageError(f"--images is {images}; wanted 64 or more")
    with _bind(host, port) as bound:
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
        told = f"[{host}]" if ":" in host else host
        print(f"paint at http://{told}:{bound.getsockname()[1]}/ (Ctrl-C ends it)", flush=True)
        quiet = uvicorn.Config(
            make_app(project, host),
            http="h11",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=2,
        )
        try:
            uvicorn.Server(quiet).run(sockets=[bound])
        except KeyboardInterrupt:  # uvicorn has closed what was open and raises it again
            print("closed")


def _bind(host: str, port: int) -> socket.socket:
    """The socket that will be listened at, taken before the work. Raises `UsageError` where it cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends without delay (TCP_NODELAY) only where the protocol is said: 40 ms a picture without it.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen()
    except OSError as error:
        bound.close()
        used = error.errno == errno.EADDRINUSE
        reason = "is in use; take another --port, or 0 for a free one" if used else f"cannot be had: {error}"
        raise UsageError(f"port {port} of {host} {reason}") from error
    return bound


PAINT: dict[str, Command] = {"paint": paint}
