"""How commands serve a page on this machine."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from unitscope.errors import UsageError

if TYPE_CHECKING:
    from unitscope.views.app.guard import Guard

CONNECTIONS = 200
"""How many browsers' connections are served at once; more are told to come back."""


@contextmanager
def needing_servers(page: str) -> Iterator[None]:
    """Imports in the block may fail for want of the extra `app`: raises `UsageError` that names it."""
    try:
        import uvicorn  # noqa: F401

        yield
    except ImportError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise UsageError(
            f"{error.name} is not installed, which the {page} page needs; pip install 'unitscope[app]'"
        ) from error


def bind(host: str, port: int) -> socket.socket:
    """The socket that will be listened at, taken before the work. Raises `UsageError` where it cannot be."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port is {port}; wanted 0 to 65535")
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


def serve(app: "Guard", bound: socket.socket, host: str, doing: str) -> None:
    """Serves until Ctrl-C; prints what is done there and the address."""
    import uvicorn

    told = f"[{host}]" if ":" in host else host
    print(f"{doing} at http://{told}:{bound.getsockname()[1]}/ (Ctrl-C ends it)", flush=True)
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
