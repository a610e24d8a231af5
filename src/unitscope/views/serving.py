"""Pages with a server behind them, on this machine: painting with units, and rating them."""

import errno
import socket
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.result import Dissection
from unitscope.errors import UsageError, missing_extra
from unitscope.experiments.questionnaire import Questionnaire
from unitscope.interventions.generator_run import Studio
from unitscope.interventions.painting.photos import open_photo

if TYPE_CHECKING:
    from unitscope.views.app.requests import Guard

CONNECTIONS = 200
"""How many browsers' connections are served at once; more are told to come back."""


def serve_painting(
    studio: Studio,
    *,
    layers: Sequence[str] = (),
    seed: int | None = None,
    images: int = 256,
    photo: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8765,
) -> None:
    """Serves a page to paint with the units of a generator, until Ctrl-C; prints the address.

    Only with units of these `layers`, all of the studio's run if empty. `seed` is that of the pictures to
    choose from, by default the run's; `images` pictures show how high units go. `photo` is the file of a
    picture that comes before these (`open_photo`). A `host` other than 127.0.0.1 lets other machines in, and
    nobody is asked who they are; `port` 0 takes a free one.

    Raises `UsageError` where starlette and uvicorn are missing, the port cannot be had, the run finds
    nothing to paint with, or the file is no picture.
    """
    _check_servers("painting")
    from unitscope.views.app.project import open_project
    from unitscope.views.app.server import make_app

    if images < 64:
        raise UsageError(f"images is {images}; wanted 64 or more")
    with bind(host, port) as bound:
        opened = None if photo is None else open_photo(photo, studio.generator, studio.segmenter)
        project = open_project(studio, layers=layers or None, seed=seed, images=images)
        project = project if opened is None else project.place(opened)
        serve(make_app(project, host), bound, host, "paint")


def serve_rating(
    run: Dissection,
    source: ConceptSource,
    questionnaire: Questionnaire,
    folder: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8766,
) -> None:
    """Serves a page that asks people about units, until Ctrl-C; prints where answers are, and the address.

    `questionnaire` is what `draw_questions` makes of the run, `source` holds its images; every answer is kept
    in `folder` at once, and those that it has count. `host` and `port` are as in `serve_painting`.

    Raises `UsageError` where starlette and uvicorn are missing or the port cannot be had, `SourceError` where
    the source no longer holds the images, `RunError` where the folder has answers to other questions.
    """
    _check_servers("rating")
    from unitscope.views.rating.rating_session import open_session
    from unitscope.views.rating.server import make_app

    with bind(host, port) as bound:
        session = open_session(run, source, questionnaire, folder)
        print(f"{len(questionnaire)} questions, answers in {folder}")
        serve(make_app(session, host), bound, host, "rate")


def _check_servers(what: str) -> None:
    """Raises `UsageError` where the extra `app` is not installed."""
    for name in ("starlette", "uvicorn"):
        if find_spec(name) is None:
            raise missing_extra(name, f"serves the page for {what}", "app")


def bind(host: str, port: int) -> socket.socket:
    """The socket that will be listened at, taken before the work. Raises `UsageError` where it cannot be."""
    if not 0 <= port <= 65535:
        raise UsageError(f"the port is {port}; wanted 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends without delay (TCP_NODELAY) only where the protocol is given: 40 ms a picture without it.
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


def serve(app: "Guard", bound: socket.socket, host: str, doing: str) -> None:
    """Serves until Ctrl-C; prints what is done there and the address."""
    import uvicorn

    name = f"[{host}]" if ":" in host else host
    print(f"{doing} at http://{name}:{bound.getsockname()[1]}/ (Ctrl-C ends it)", flush=True)
    quiet = uvicorn.Config(
        app,
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
