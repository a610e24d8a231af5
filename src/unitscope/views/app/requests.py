"""What servers of pages share: what every request must pass, bodies that are read, files that are sent."""

import asyncio
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unitscope.errors import UnitscopeError, UsageError
from unitscope.networks.weights import one_line

PATIENCE = 10.0
"""Seconds that a body may take to arrive."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}

Handler = Callable[[Request, Exception], Awaitable[Response]]
LOOPBACK = ("localhost", "127.0.0.1", "::1")
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Guard:
    """Lets through what the page itself asks for.

    A request must name this server as its host: a name that an attacker's DNS turns to this machine is
    none of its names, while an address in numbers cannot be turned (DNS rebinding). What another site
    makes a browser send is refused by its `Origin` and `Sec-Fetch-Site`; only the page may be visited from
    elsewhere. All answers forbid inline code, frames and sniffing.
    """

    def __init__(self, app: ASGIApp, host: str = LOOPBACK[1]) -> None:
        self.app, self.open = app, host not in LOOPBACK
        self.names = {*LOOPBACK, host.lower(), *([socket.gethostname().lower()] if self.open else [])}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 421 for another host and 403 for another site's request; hands on the others."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        status, reason = self._judge(scope)
        if status:
            refusal = Response(json.dumps({"error": reason}), status, media_type="application/json")
            return await refusal(scope, receive, answer)
        return await self.app(scope, receive, answer)

    def _judge(self, scope: Scope) -> tuple[int, str]:
        sent: Iterable[tuple[bytes, bytes]] = scope["headers"]
        headers: dict[str, list[str]] = {}
        for name, value in sent:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._knows(hosts[0]):
            return 421, "this server does not go by that name; open the address that it printed"
        visiting = scope["method"] == "GET" and scope["path"] == "/"
        origins, sites = headers.get("origin", []), headers.get("sec-fetch-site", [])
        foreign = [o for o in origins if urlsplit(o).netloc.lower() != hosts[0].lower() or "://" not in o]
        if not visiting and (foreign or any(site not in ("same-origin", "none") for site in sites)):
            return 403, "another site may not ask this server for anything"
        return 0, ""

    def _knows(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
            return name in self.names or (self.open and bool(ipaddress.ip_address(name)))
        except ValueError:
            return False


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
    return await read_bytes(request, most, ("application/json",), patience)


async def read_bytes(request: Request, most: int, kinds: Sequence[str], patience: float = PATIENCE) -> bytes:
    """What was sent, of one of some media types and of `most` bytes.

    Raises `HTTPException` for what is of another type, too large, or late.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in kinds:
        raise HTTPException(415, f"the body must be {' or '.join(kinds)}")
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
