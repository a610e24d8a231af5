"""The server of the paint page. It keeps nothing of its visitors: every request says all it needs."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unitscope.errors import NetworkError, UnitscopeError, UsageError
from unitscope.interventions.easel import compare_planes
from unitscope.interventions.edit_lists import MOST_TEXT, parse_painting
from unitscope.interventions.strokes import Bitmap, Painting
from unitscope.networks.weights import one_line
from unitscope.views.app.desk import Desk, FloodError, Shelf
from unitscope.views.app.guard import Guard
from unitscope.views.app.project import BLOCK, Project, describe_concept

SHOWN_CHANGES = 24
PATIENCE = 10.0
"""Seconds that a body may take to arrive."""
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}


@dataclass(eq=False)
class Server:
    """The endpoints over one project."""

    project: Project
    desk: Desk = field(default_factory=Desk)
    patience: float = PATIENCE
    page: dict[str, bytes] = field(default_factory=lambda: read_page())
    strips: Shelf[bytes] = field(default_factory=lambda: Shelf(64))
    pictures: Shelf[np.ndarray] = field(default_factory=lambda: Shelf(16))
    originals: Shelf[np.ndarray] = field(default_factory=lambda: Shelf(16))

    def routes(self) -> list[Route]:
        """All that may be asked for."""
        return [
            Route("/", self.show_page, methods=["GET"]),
            Route("/assets/{name:str}", self.show_page, methods=["GET"]),
            Route("/api/project", self.show_project, methods=["GET"]),
            Route("/api/icons.png", self.show_icons, methods=["GET"]),
            Route("/api/samples/{block:int}.png", self.show_samples, methods=["GET"]),
            Route("/api/units/{paint:int}/{place:int}.png", self.show_units, methods=["GET"]),
            Route("/api/render", self.render, methods=["POST"]),
            Route("/api/changes", self.compare, methods=["POST"]),
        ]

    async def show_page(self, request: Request) -> Response:
        """The page and its two files, which were read when the server started."""
        name = request.path_params.get("name", "index.html")
        if name not in self.page:
            raise HTTPException(404, "there is no such file")
        kind = next(kind for ending, kind in _TYPES.items() if name.endswith(ending))
        return Response(self.page[name], media_type=kind)

    async def show_project(self, request: Request) -> Response:
        """The palette, the layers, the limits."""
        return JSONResponse(self.project.describe())

    async def show_icons(self, request: Request) -> Response:
        """An icon for every paint."""
        return await self._strip("icons", lambda: self.project.icons)

    async def show_samples(self, request: Request) -> Response:
        """A block of samples."""
        block = request.path_params["block"]
        if block * BLOCK >= self.project.samples:
            raise HTTPException(404, "there are no more samples")
        return await self._strip(("samples", block), lambda: self.project.draw_samples(block))

    async def show_units(self, request: Request) -> Response:
        """The units of a paint in one of its layers."""
        paint, place = request.path_params["paint"], request.path_params["place"]
        paints = self.project.paints
        if paint >= len(paints) or place >= len(paints[paint].units):
            raise HTTPException(404, "there is no such paint")
        return await self._strip(("units", paint, place), lambda: self.project.draw_units(paint, place))

    async def render(self, request: Request) -> Response:
        """The picture of an edit list, as PNG."""
        text = await read_body(request, self.patience)
        return Response(
            await self.desk.do(lambda: encode(self._show(self._parse(text)))), media_type="image/png"
        )

    async def compare(self, request: Request) -> Response:
        """What a segmenter sees change by an edit list."""
        text = await read_body(request, self.patience)
        return JSONResponse(await self.desk.do(lambda: self._compare(self._parse(text))))

    async def _strip(self, key: Any, draw: Callable[[], np.ndarray]) -> Response:
        found = await self.desk.do(lambda: self.strips.get(key, lambda: encode(draw())))
        return Response(found, media_type="image/png")

    def _parse(self, text: bytes) -> Painting:
        return parse_painting(text, self.project.easel)

    def _show(self, painting: Painting) -> np.ndarray:
        return self.pictures.get(painting, lambda: self.project.easel.show(painting))

    def _compare(self, painting: Painting) -> dict[str, Any]:
        easel = self.project.easel
        original = Painting(painting.image)
        before = self.originals.get(original, lambda: easel.name_pixels(easel.show(original)))
        after = easel.name_pixels(self._show(painting))
        changes = compare_planes(before, after, easel.segmenter.vocabulary)
        return {
            "size": before.shape[1:],
            "changes": [
                {
                    **describe_concept(change.concept),
                    "before": change.before,
                    "after": change.after,
                    "gained": int(change.gained.sum()),
                    "lost": int(change.lost.sum()),
                    "gained_runs": Bitmap.of(change.gained).runs,
                    "lost_runs": Bitmap.of(change.lost).runs,
                }
                for change in changes[:SHOWN_CHANGES]
            ],
        }


def make_app(project: Project, host: str = "127.0.0.1", **options: Any) -> Guard:
    """The server as an ASGI application that knows itself by `host`."""
    server = Server(project, **options)
    handlers: dict[Any, Any] = {
        HTTPException: _tell_status,
        UsageError: _tell(400),
        UnitscopeError: _tell(500),
        FloodError: _tell_flood,
        ClientDisconnect: _tell(400),
        NetworkError: _tell(500),
    }
    return Guard(_Plain(Starlette(routes=server.routes(), exception_handlers=handlers)), host)


class _Plain:
    """Refuses what no endpoint reads: query strings and trailing slashes that redirect."""

    def __init__(self, app: Starlette) -> None:
        self.app = app
        app.router.redirect_slashes = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["query_string"] and scope["path"] != "/":
            response = JSONResponse({"error": "this address takes no query"}, 400)
            return await response(scope, receive, send)
        return await self.app(scope, receive, send)


async def read_body(request: Request, patience: float = PATIENCE) -> bytes:
    """The JSON that was sent, unparsed. Raises `HTTPException` for other, large and late ones."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "the body must be application/json")
    length = request.headers.get("content-length", "0")
    if not length.isascii() or not length.isdecimal() or len(length) > 12 or int(length) > MOST_TEXT:
        raise HTTPException(413, f"the body may have {MOST_TEXT} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(patience):
            async for part in request.stream():
                body += part
                if len(body) > MOST_TEXT:
                    raise HTTPException(413, f"the body may have {MOST_TEXT} bytes")
    except TimeoutError:
        raise HTTPException(408, "the body took too long to arrive") from None
    return bytes(body)


def encode(image: np.ndarray) -> bytes:
    """The image as PNG, quickly."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def read_page() -> dict[str, bytes]:
    """The built page, by name: all that is ever served of the disk."""
    folder = files("unitscope.views.app") / "page"
    entries = [folder / "index.html", *(folder / "assets").iterdir()]
    return {entry.name: entry.read_bytes() for entry in entries if entry.name.endswith(tuple(_TYPES))}


def _tell(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def tell(_request: Request, error: Exception) -> Response:
        return JSONResponse({"error": one_line(error)}, status)

    return tell


async def _tell_status(_request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _tell_flood(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": "too much at once; ask again soon"}, 429, {"retry-after": "1"})
