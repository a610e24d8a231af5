"""The server of the paint page. Every request has all it needs; of visitors it keeps the pictures they open.

These are kept in memory, few of them, by names that others cannot guess (`album`).
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unitscope.axes import Pixels
from unitscope.interventions.inversion import Steps
from unitscope.interventions.painting.easel import Easel, compare_planes
from unitscope.interventions.painting.edit_lists import MOST_TEXT, parse_painting
from unitscope.interventions.painting.photos import MOST_BYTES, fit_photo
from unitscope.interventions.painting.strokes import Bitmap, Painting
from unitscope.views.app.album import Album, Opening, OpeningResponse, invert
from unitscope.views.app.project import BLOCK, SAMPLES, Project, describe_concept, describe_photo, shrink
from unitscope.views.app.requests import (
    PATIENCE,
    TYPES,
    Guard,
    answer,
    guard_routes,
    read_body,
    read_bytes,
    show_page,
)
from unitscope.views.app.work_queue import BusyError, RecentValues, WorkQueue

SHOWN_CHANGES = 24
PHOTO = "application/octet-stream"
"""What the body that holds a picture's file must be called."""


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
    album: Album = field(default_factory=Album)
    steps: Steps = field(default_factory=Steps)

    def __post_init__(self) -> None:
        self.opening = Opening(self.queue)

    def routes(self) -> list[Route]:
        """All that may be asked for."""
        return [
            *show_page(self.page),
            Route("/api/project", self.show_project, methods=["GET"]),
            Route("/api/icons.png", self.show_icons, methods=["GET"]),
            Route("/api/samples/{block:int}.png", self.show_samples, methods=["GET"]),
            Route("/api/photos", self.open_photo, methods=["POST"]),
            Route("/api/photos/{name:str}.png", self.show_photo, methods=["GET"]),
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

    async def open_photo(self, request: Request) -> Response:
        """A visitor's picture, brought into the generator: lines that tell how far that is, then its name."""
        self.opening.enter()  # before anything is read: many files at once would fill the memory
        try:
            data = await read_bytes(request, MOST_BYTES, (PHOTO,), self.patience)
            picture = await self.queue.do(lambda: fit_photo(data, self.project.size))
        except BaseException:
            self.opening.leave()
            raise
        lines = self.opening.follow(lambda: self._invert(picture), self.steps.name_stage)
        return OpeningResponse(lines, self.opening.leave)

    async def show_photo(self, request: Request) -> Response:
        """A picture from outside, as small as a sample."""
        name = request.path_params["name"]
        return await self._strip(("photos", name), lambda: self._shrink_photo(name))

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
        drawn = await self.queue.do(lambda: self._draw(text))
        return Response(drawn, media_type="image/png")

    async def compare(self, request: Request) -> Response:
        """What a segmenter sees change by an edit list."""
        text = await read_body(request, MOST_TEXT, self.patience)
        return JSONResponse(await self.queue.do(lambda: self._compare(text)))

    async def _strip(self, key: Any, draw: Callable[[], np.ndarray]) -> Response:
        found = await self.queue.do(lambda: self.strips.get(key, lambda: encode(draw())))
        return Response(found, media_type="image/png")

    def _invert(self, picture: Pixels) -> dict[str, Any]:
        name, made = invert(picture, self.project.easel, self.album, self.steps)
        return {"photo": describe_photo(made, name)}

    def _shrink_photo(self, name: str) -> Pixels:
        photos = self._open_easel().photos
        if name not in photos:
            raise HTTPException(404, "there is no such picture")
        return shrink(photos[name].picture, self.project.tile)

    def _open_easel(self) -> Easel:
        """The project's easel with all pictures that are open."""
        easel = self.project.easel
        return replace(easel, photos={**self.album.photos, **easel.photos})

    def _draw(self, text: bytes) -> bytes:
        easel = self._open_easel()
        return encode(self._show(easel, parse_painting(text, easel)))

    def _show(self, easel: Easel, painting: Painting) -> np.ndarray:
        if isinstance(painting.image, str):
            self.album.find(painting.image)  # what is painted on is not forgotten
        return self.pictures.get(painting, lambda: easel.show(painting))

    def _compare(self, text: bytes) -> dict[str, Any]:
        easel = self._open_easel()
        painting = parse_painting(text, easel)
        original = Painting(painting.image)
        before = self.originals.get(original, lambda: easel.name_pixels(easel.show(original)))
        after = easel.name_pixels(self._show(easel, painting))
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
