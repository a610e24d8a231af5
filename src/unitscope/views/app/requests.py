"""What the servers of pages share: bodies that are read, files that are sent, errors in one line."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unitscope.errors import UnitscopeError, UsageError
from unitscope.networks.weights import one_line
from unitscope.views.app.guard import Guard

PATIENCE = 10.0
"""Seconds that a body may take to arrive."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}

Handler = Callable[[Request, Exception], Awaitable[Response]]


def show_page(page: Mapping[str, bytes]) -> list[Route]:
    """The routes of a page and its files, which were read when the server started."""

    async def show(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in page:
            raise HTTPException(404, "there is no such file")
        kind = next(kind for ending, kind in TYPES.items() if name.endswith(ending))
        return Response(page[name], media_type=kind)

    return [Route("/", show, methods=["GET"]), Route("/assets/{name:str}", show, methods=["GET"])]


def guard_routes(routes: Sequence[Route], host: str, handlers: Mapping[Any, Handler]) -> Guard:
    """The endpoints as an ASGI application that knows itself by `host`; every error becomes one line of JSON.

    `handlers` say what to answer to errors of other kinds.
    """
    every: dict[Any, Any] = {
        HTTPException: answer(500),
        UsageError: answer(400),
        UnitscopeError: answer(500),
        ClientDisconnect: answer(400),
        **handlers,
    }
    return Guard(_Plain(Starlette(routes=routes, exception_handlers=every)), host)


class _Plain:
    """Refuses what no endpoint reads: query strings and trailing slashes that redirect."""

    def __init__(self, app: Starlette) -> None:
        self.app = app
        app.router.redirect_slashes = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app: Any = self.app
        if scope["type"] == "http" and scope["query_string"] and scope["path"] != "/":
            app = JSONResponse({"error": "this address takes no query"}, 400)
        await app(scope, receive, send)


async def read_body(request: Request, most: int, patience: float = PATIENCE) -> bytes:
    """The JSON that was sent, unparsed, of `most` bytes.

    Raises `HTTPException` for what is no JSON, too large, or late.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "the body must be application/json")
    length = request.headers.get("content-length", "0")
    if not length.isascii() or not length.isdecimal() or len(length) > 12 or int(length) > most:
        raise HTTPException(413, f"the body may have {most} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(patience):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise HTTPException(413, f"the body may have {most} bytes")
    except TimeoutError:
        raise HTTPException(408, "the body took too long to arrive") from None
    return bytes(body)


def answer(status: int, text: str = "", **headers: str) -> Handler:
    """Answers to an error with that status and text, by default what the error says."""

    async def handle(_request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):  # which knows better
            return JSONResponse({"error": error.detail}, error.status_code, error.headers)
        return JSONResponse({"error": text or one_line(error)}, status, headers)

    return handle
