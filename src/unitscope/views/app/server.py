"""The server of the paint page. It keeps nothing of its visitors: every request has all it needs."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unitscope.interventions.painting.easel import compare_planes
from unitscope.interventions.painting.edit_lists import MOST_TEXT, parse_painting
from unitscope.interventions.painting.strokes import Bitmap, Painting
from unitscope.views.app.project import BLOCK, SAMPLES, Project, describe_concept
from unitscope.views.app.requests import PATIENCE, TYPES, Guard, answer, guard_routes, read_body, show_page
from unitscope.views.app.work_queue import BusyError, RecentValues, WorkQueue

SHOWN_CHANGES = 24


@dataclass(eq=False)
class Server:
    """The endpoints over one project."""

    project: Project
    queue: WorkQueue = field(default_factory=WorkQueue)
    patience: float = PATIENCE
    page: dict[str, bytes] = field(default_factory=lambda: read_page())
    strips: RecentValues[bytes] = field(default_factory=lambda: RecentValues(64))
    pictures: RecentValues[np.ndarray] = field(default_factory=lambda: RecentValues(16))
    originals: RecentValues[np.ndarray] = field(default_factory=lambda: RecentValues(16))

    def routes(self) -> list[Route]:
        """All that may be asked for."""
        return [
            *show_page(self.page),
            Route("/api/project", self.show_project, methods=["GET"]),
            Route("/api/icons.png", self.show_icons, methods=["GET"]),
            Route("/api/samples/{block:int}.png", self.show_samples, methods=["GET"]),
            Route("/api/photos/{key:str}.png", self.show_photo, methods=["GET"]),
            Route("/api/units/{paint:int}/{place:int}.png", self.show_units, methods=["GET"]),
            Route("/api/render", self.render, methods=["POST"]),
            Route("/api/changes", self.compare, methods=["POST"]),
        ]

    async def show_project(self, request: Request) -> Response:
        """The palette, the layers, the limits."""
        return JSONResponse(self.project.describe())

    async def show_icons(self, request: Request) -> Response:
        """An icon for every paint."""
        return await self._strip("icons", lambda: self.project.icons)

    async def show_samples(self, request: Request) -> Response:
        """A block of samples."""
        block = request.path_params["block"]
        if block * BLOCK >= SAMPLES:
            raise HTTPException(404, "there are no more samples")
        return await self._strip(("samples", block), lambda: self.project.draw_samples(block))

    async def show_photo(self, request: Request) -> Response:
        """A picture from outside, small."""
        key = request.path_params["key"]
        if key not in self.project.easel.photos:
            raise HTTPException(404, "there is no such picture")
        return await self._strip(("photos", key), lambda: self.project.draw_photo(key))

    async def show_units(self, request: Request) -> Response:
        """The units of a paint in one of its layers."""
        paint, place = request.path_params["paint"], request.path_params["place"]
        paints = self.project.paints
        if paint >= len(paints) or place >= len(paints[paint].units):
            raise HTTPException(404, "there is no such paint")
        return await self._strip(("units", paint, place), lambda: self.project.draw_units(paint, place))

    async def render(self, request: Request) -> Response:
        """The picture of an edit list, as PNG."""
        text = await read_body(request, MOST_TEXT, self.patience)
        easel = self.project.easel
        drawn = await self.queue.do(lambda: encode(self._show(parse_painting(text, easel))))
        return Response(drawn, media_type="image/png")

    async def compare(self, request: Request) -> Response:
        """What a segmenter sees change by an edit list."""
        text = await read_body(request, MOST_TEXT, self.patience)
        return JSONResponse(await self.queue.do(lambda: self._compare(text)))

    async def _strip(self, key: Any, draw: Callable[[], np.ndarray]) -> Response:
        found = await self.queue.do(lambda: self.strips.get(key, lambda: encode(draw())))
        return Response(found, media_type="image/png")

    def _show(self, painting: Painting) -> np.ndarray:
        return self.pictures.get(painting, lambda: self.project.easel.show(painting))

    def _compare(self, text: bytes) -> dict[str, Any]:
        easel = self.project.easel
        painting = parse_painting(text, easel)
        original = Painting(painting.image)
        before = self.originals.get(original, lambda: easel.name_pixels(easel.show(original)))
        after = easel.name_pixels(self._show(painting))
        changes = [
            {
                **describe_concept(change.concept),
                "before": change.before,
                "after": change.after,
                "gained": int(change.gained.sum()),
                "lost": int(change.lost.sum()),
                "gained_runs": Bitmap.of(change.gained).runs,
                "lost_runs": Bitmap.of(change.lost).runs,
            }
            for change in compare_planes(before, after, easel.segmenter.vocabulary)[:SHOWN_CHANGES]
        ]
        return {"size": before.shape[1:], "changes": changes}


def make_app(project: Project, host: str = "127.0.0.1", **options: Any) -> Guard:
    """The server as an ASGI application that knows itself by `host`."""
    busy = answer(429, "too much at once; ask again soon", **{"retry-after": "1"})
    return guard_routes(Server(project, **options).routes(), host, {BusyError: busy})


def encode(image: np.ndarray) -> bytes:
    """The image as PNG, quickly."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def read_page() -> dict[str, bytes]:
    """The built page, by name: all that is ever served of the disk."""
    folder = files("unitscope.views.app") / "page"
    entries = [folder / "index.html", *(folder / "assets").iterdir()]
    return {entry.name: entry.read_bytes() for entry in entries if entry.name.endswith(tuple(TYPES))}
