"""The server of the rating page. What it knows of its visitors is in one file that only grows."""

import json
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unitscope.errors import UsageError
from unitscope.experiments.ratings import parse_name
from unitscope.views.app.requests import PATIENCE, Guard, answer, guard_routes, read_body, show_page
from unitscope.views.rating.rating_session import ConflictError, RatingSession

MOST_TEXT = 4_000
"""Bytes of a request; an answer has about a hundred."""
_SHARED = ("look.css", "masks.js")
"""Files of the report that the page uses too."""


@dataclass(eq=False)
class Server:
    """The endpoints over one session. Everything is in the body of a request, nothing in its address."""

    session: RatingSession
    patience: float = PATIENCE
    page: dict[str, bytes] = field(default_factory=lambda: read_page())

    def routes(self) -> list[Route]:
        """All that may be asked for."""
        return [
            *show_page(self.page),
            Route("/api/pictures/{number:int}.jpg", self.show_picture, methods=["GET"]),
            Route("/api/begin", self.begin, methods=["POST"]),
            Route("/api/answer", self.answer, methods=["POST"]),
            Route("/api/undo", self.undo, methods=["POST"]),
        ]

    async def show_picture(self, request: Request) -> Response:
        """A picture that some question shows."""
        picture = self.session.pictures.get(request.path_params["number"])
        if picture is None:
            raise HTTPException(404, "there is no such picture")
        return Response(picture, media_type="image/jpeg")

    async def begin(self, request: Request) -> Response:
        """How far the rater of that name is; nothing is written for it."""
        sent = await self._read(request, "name")
        return JSONResponse(self.session.describe(sent["name"]))

    async def answer(self, request: Request) -> Response:
        """Keeps an answer, and sends the next question."""
        sent = await self._read(request, "name", "place", "answer")
        if sent["answer"] not in ("yes", "no"):
            raise UsageError('answer must be "yes" or "no"')
        self.session.answer(sent["name"], sent["place"], sent["answer"] == "yes")
        return JSONResponse(self.session.describe(sent["name"]))

    async def undo(self, request: Request) -> Response:
        """Takes the last answer back, and sends its question again."""
        sent = await self._read(request, "name", "place")
        self.session.take_back(sent["name"], sent["place"])
        return JSONResponse(self.session.describe(sent["name"]))

    async def _read(self, request: Request, *keys: str) -> dict[str, Any]:
        try:
            sent = json.loads(await read_body(request, MOST_TEXT, self.patience))
        except (ValueError, RecursionError) as error:
            raise UsageError("the body is not JSON") from error
        if not isinstance(sent, dict) or set(sent) != set(keys):
            raise UsageError(f"the body must be an object with {', '.join(keys)} and nothing else")
        sent["name"] = parse_name(sent["name"])
        place = sent.get("place", 0)
        if type(place) is not int or not 0 <= place <= len(self.session.questionnaire):
            raise UsageError("place must be the number of a question")
        return sent


def make_app(session: RatingSession, host: str = "127.0.0.1", **options: Any) -> Guard:
    """The server as an ASGI application that knows itself by `host`."""
    return guard_routes(Server(session, **options).routes(), host, {ConflictError: answer(409)})


def read_page() -> dict[str, bytes]:
    """The files of the page by name: all that is ever served of the disk."""
    page, shared = files("unitscope.views.rating") / "page", files("unitscope.views.report")
    found = {entry.name: entry.read_bytes() for entry in page.iterdir()}
    return {**found, **{name: (shared / name).read_bytes() for name in _SHARED}}
