"""The server of the live microscope. What it keeps of its visitors is in memory, and bounded."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unitscope.errors import NetworkError, SourceError, UsageError
from unitscope.interventions.looking.comparison import ATTACKS
from unitscope.interventions.looking.sights import find_at
from unitscope.interventions.looking.slides import to_bytes
from unitscope.interventions.strict_json import read_choice, read_items, read_share, read_whole
from unitscope.tables import plain
from unitscope.views.app.requests import (
    PATIENCE,
    Guard,
    answer,
    guard_routes,
    read_body,
    read_bytes,
    show_page,
)
from unitscope.views.app.work_queue import BusyError, RecentValues, WorkQueue
from unitscope.views.look.answers import (
    describe_picture,
    describe_place,
    describe_turned,
    describe_units,
)
from unitscope.views.look.asked import (
    MOST_DRAWS,
    MOST_NAME,
    MOST_TEXT,
    read_class,
    read_layer,
    read_request,
    read_session,
    read_switches,
    read_target,
    read_unit,
)
from unitscope.views.look.attacks import Attacks, Job
from unitscope.views.look.kept import Kept
from unitscope.views.look.project import BLOCK, LookProject
from unitscope.views.look.sessions import (
    gather_session,
    read_page,
    spell_json,
    tell_comparison,
    tell_sight,
    write_page,
)
from unitscope.views.look.uploads import MOST_BYTES, decode_upload, encode_jpeg, encode_png
from unitscope.views.look.visitors import Visit, Visitors

MOST_UPLOADS = 3
"""So many files come in at once."""
KINDS = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "application/octet-stream")
Made = TypeVar("Made")
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(eq=False)
class Server:
    """The endpoints over one project."""

    project: LookProject
    queue: WorkQueue = field(default_factory=WorkQueue)
    patience: float = PATIENCE
    page: dict[str, bytes] = field(default_factory=lambda: read_page())
    visitors: Visitors = field(default_factory=Visitors)
    attacks: Attacks = field(default_factory=Attacks)
    strips: RecentValues[bytes] = field(default_factory=lambda: RecentValues(512))
    uploads: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def routes(self) -> list[Route]:
        """All that may be asked for."""
        posts: dict[str, Endpoint] = {
            "visit": self.begin_visit,
            "samples": self.take_sample,
            "pictures": self.take_picture,
            "see": self.see,
            "at": self.find_at,
            "unit": self.show_unit,
            "turn": self.turn,
            "compare": self.compare,
            "attacks": self.begin_attack,
            "session": self.save_session,
            "session.html": self.save_page,
        }
        return [
            *show_page(self.page),
            Route("/api/project", self.show_project, methods=["GET"]),
            Route("/api/layers/{place:int}", self.show_layer, methods=["GET"]),
            Route("/api/samples/{block:int}.jpg", self.show_samples, methods=["GET"]),
            Route("/api/tops/{place:int}/{unit:int}/{rank:int}.jpg", self.show_top, methods=["GET"]),
            Route("/api/pictures/{name:str}/{version:int}.jpg", self.show_picture, methods=["GET"]),
            Route("/api/pictures/{name:str}.png", self.show_fitted, methods=["GET"]),
            Route("/api/pictures/{name:str}", self.tell_picture, methods=["GET"]),
            Route("/api/pictures/{name:str}", self.take_picture, methods=["PUT"]),
            Route("/api/pictures/{name:str}", self.drop_picture, methods=["DELETE"]),
            Route("/api/attacks/{name:str}", self.tell_attack, methods=["GET"]),
            Route("/api/attacks/{name:str}", self.cancel_attack, methods=["DELETE"]),
            *(Route(f"/api/{name}", made, methods=["POST"]) for name, made in posts.items()),
        ]

    # What is there for everybody

    async def show_project(self, request: Request) -> Response:
        """The network, its classes, layers and concepts, the limits."""
        return reply(await self.queue.do(self.project.describe))

    async def show_layer(self, request: Request) -> Response:
        """The units of a layer by name."""
        layer = self._layer_at(request)
        told = await self.queue.do(lambda: describe_units(self.project.lens, layer))
        return reply({"layer": layer, "units": told})

    async def show_samples(self, request: Request) -> Response:
        """A block of samples."""
        block, project = request.path_params["block"], self.project
        if block * BLOCK >= project.count:
            raise HTTPException(404, "there are no more samples")
        return await self._strip(("samples", block), lambda: encode_jpeg(project.draw_samples(block)))

    async def show_top(self, request: Request) -> Response:
        """A top image of a unit."""
        layer = self._layer_at(request)
        unit, rank = request.path_params["unit"], request.path_params["rank"]
        if unit >= len(self.project.lens.run[layer]) or rank >= 1000:
            raise HTTPException(404, "there is no such picture")
        return await self._strip((layer, unit, rank), lambda: self.project.draw_top(layer, unit, rank))

    def _layer_at(self, request: Request) -> str:
        layers: tuple[str, ...] = self.project.lens.layers
        place: int = request.path_params["place"]
        if place >= len(layers):
            raise HTTPException(404, "there is no such layer")
        return layers[place]

    async def _strip(self, key: object, draw: Callable[[], bytes]) -> Response:
        found = await self.queue.do(lambda: self.strips.get(key, draw))
        return Response(found, media_type="image/jpeg")

    # Visitors and their pictures

    async def begin_visit(self, request: Request) -> Response:
        """A token for a new visitor."""
        read_request(await self._text(request))
        return reply({"visit": self.visitors.begin()})

    async def take_sample(self, request: Request) -> Response:
        """A sample, put under the lens."""
        token, visit = self._visit(request)
        sent = read_request(await self._text(request), "index")
        index = sent["index"]
        if type(index) is not int or not 0 <= index < self.project.count:
            raise UsageError(f"index must be the number of one of {self.project.count} samples")
        visit.bucket.take("pictures")
        kept = await self._do(visit, lambda: self.project.keep_sample(index))
        return self._tell(self.visitors.put(token, kept), kept)

    async def take_picture(self, request: Request) -> Response:
        """A picture that was sent, as a new one or in place of another."""
        token, visit = self._visit(request)
        name = request.path_params.get("name")
        before = None if name is None else self.visitors.pick(token, name)
        fitted = request.headers.get("x-fitted", "") == "1"
        title = unquote(request.headers.get("x-name", ""), errors="replace")[:MOST_NAME]
        visit.bucket.take("pictures")
        if self.uploads >= MOST_UPLOADS:
            raise BusyError
        self.uploads += 1
        try:
            data = await read_bytes(request, MOST_BYTES, KINDS, 3 * self.patience)
            kept = await self._do(
                visit, lambda: self.project.keep_picture(decode_upload(data), title, fitted)
            )
        finally:
            self.uploads -= 1
        kept = kept if before is None else replace(kept, version=before.version + 1)
        return self._tell(self.visitors.put(token, kept, name), kept)

    async def tell_picture(self, request: Request) -> Response:
        """What was said of a picture when it came."""
        token, _ = self._visit(request)
        name = request.path_params["name"]
        return self._tell(name, self.visitors.pick(token, name))

    async def drop_picture(self, request: Request) -> Response:
        """Forgets a picture."""
        token, _ = self._visit(request)
        self.visitors.drop(token, request.path_params["name"])
        return reply({})

    async def show_picture(self, request: Request) -> Response:
        """What people see of a picture."""
        return Response(self.visitors.show(request.path_params["name"]).jpeg, media_type="image/jpeg")

    async def show_fitted(self, request: Request) -> Response:
        """What the network reads of a picture."""
        kept = self.visitors.show(request.path_params["name"])
        shown = await self.queue.do(lambda: encode_png(to_bytes(kept.slide.fitted)))
        return Response(shown, media_type="image/png")

    # What is seen

    async def see(self, request: Request) -> Response:
        """A picture through a layer."""
        token, visit = self._visit(request)
        sent = read_request(await self._text(request), "picture", "layer", "class")
        lens, kept = self.project.lens, self.visitors.pick(token, sent["picture"])
        layer, target = read_layer(lens, sent["layer"]), read_target(lens, sent["class"])
        told = await self._do(visit, lambda: tell_sight(self.project, kept, layer, target))
        return reply({"picture": sent["picture"], **told})

    async def find_at(self, request: Request) -> Response:
        """The units that fire at a place."""
        token, visit = self._visit(request)
        sent = read_request(await self._text(request), "picture", "layer", "x", "y")
        kept, layer = self.visitors.pick(token, sent["picture"]), read_layer(self.project.lens, sent["layer"])
        x, y = (read_share(sent[axis], axis) for axis in ("x", "y"))

        def find() -> dict[str, Any]:
            return describe_place(*find_at(self.project.see(kept.slide, layer, None), x, y))

        return reply(await self._do(visit, find))

    async def show_unit(self, request: Request) -> Response:
        """The card of a unit."""
        _, visit = self._visit(request)
        sent = read_request(await self._text(request), "layer", "unit")
        layer = read_layer(self.project.lens, sent["layer"])
        unit = read_unit(self.project.lens, layer, sent["unit"])
        return reply(await self._do(visit, lambda: self.project.describe_unit(layer, unit)))

    # What is turned

    async def turn(self, request: Request) -> Response:
        """The classes with some units switched."""
        token, visit = self._visit(request)
        sent = read_request(await self._text(request), "picture", "edits", "draws")
        kept, draws = (
            self.visitors.pick(token, sent["picture"]),
            read_whole(sent["draws"], MOST_DRAWS, "draws"),
        )
        switches = read_switches(self.project.lens, sent["edits"])
        turned = await self._do(visit, lambda: self.project.turn(kept.slide, switches, draws))
        return reply(describe_turned(self.project.lens, turned))

    async def compare(self, request: Request) -> Response:
        """Two pictures unit by unit."""
        token, visit = self._visit(request)
        sent = read_request(await self._text(request), "pictures", "layer")
        names = read_items(sent["pictures"], 2, "pictures")
        if len(names) != 2:
            raise UsageError("pictures must be the ids of two")
        first, second = (self.visitors.pick(token, name) for name in names)
        layer = read_layer(self.project.lens, sent["layer"])
        return reply(await self._do(visit, lambda: tell_comparison(self.project, first, second, layer)))

    async def begin_attack(self, request: Request) -> Response:
        """Begins an attack; its token."""
        token, visit = self._visit(request)
        sent = read_request(await self._text(request), "picture", "class", "method")
        kept, lens = self.visitors.pick(token, sent["picture"]), self.project.lens
        target = read_class(lens, sent["class"])
        method: Any = read_choice(sent["method"], tuple(ATTACKS), "method")
        if target == kept.slide.predicted:
            raise UsageError(f"the picture passes for {lens.name_class(target)} already; take another class")
        apart = await self._do(visit, lambda: self.attacks.copy(lens))
        name, job = self.attacks.begin(token, kept.slide, target, method)
        task = asyncio.create_task(self.attacks.run(job, apart, kept.slide, method))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return reply({"attack": name})

    async def tell_attack(self, request: Request) -> Response:
        """How far an attack is; once it is done, its picture is one of the visitor's."""
        token, visit = self._visit(request)
        job = self.attacks.find(token, request.path_params["name"])
        picture = await self._take_attacked(token, visit, job)
        return reply({**job.describe(), "picture": picture})

    async def _take_attacked(self, token: str, visit: Visit, job: Job) -> dict[str, Any] | None:
        found = job.found
        if job.state != "done" or found is None:
            return None
        if job.picture is None:
            kept = await self._do(visit, lambda: self.project.keep_attacked(found))
            # Asked twice at once, the picture is kept once.
            job.picture = job.picture or self.visitors.put(token, kept)
        pictures = self.visitors.find(token).pictures
        return self._describe(job.picture, pictures[job.picture]) if job.picture in pictures else None

    async def cancel_attack(self, request: Request) -> Response:
        """Ends an attack."""
        token, _ = self._visit(request)
        self.attacks.find(token, request.path_params["name"]).cancelled = True
        return reply({})

    # What is taken home

    async def save_session(self, request: Request) -> Response:
        """Everything that was seen, as one document."""
        return reply(await self._gather(request))

    async def save_page(self, request: Request) -> Response:
        """The same as one HTML file."""
        session = await self._gather(request)
        page = await self.queue.do(lambda: write_page(self.page, spell_json(session)))
        headers = {"content-disposition": 'attachment; filename="look.html"'}
        return Response(page, media_type="text/html; charset=utf-8", headers=headers)

    async def _gather(self, request: Request) -> dict[str, Any]:
        token, visit = self._visit(request)
        asked = read_session(self.project.lens, await self._text(request))
        kept = [self.visitors.pick(token, name) for name in asked.pictures]
        return await gather_session(self.project, partial(self._do, visit), asked, kept)

    # What all share

    def _visit(self, request: Request) -> tuple[str, Visit]:
        token = request.headers.get("x-visit", "")
        return token, self.visitors.find(token)

    async def _text(self, request: Request) -> bytes:
        return await read_body(request, MOST_TEXT, self.patience)

    async def _do(self, visit: Visit, work: Callable[[], Made]) -> Made:
        with visit.asking():
            return await self.queue.do(work)

    def _describe(self, name: str, kept: Kept) -> dict[str, Any]:
        image = f"/api/pictures/{name}/{kept.version}.jpg"
        return describe_picture(self.project.lens, kept, name, image)

    def _tell(self, name: str, kept: Kept) -> Response:
        return reply(self._describe(name, kept))


def reply(value: object) -> Response:
    """An answer in JSON, in ASCII: what visitors send may hold what is no text."""
    return Response(spell_json(plain(value)), media_type="application/json")


def make_app(project: LookProject, host: str = "127.0.0.1", **options: Any) -> Guard:
    """The server as an ASGI application that knows itself by `host`."""
    handlers = {
        BusyError: answer(429, "too much at once; ask again soon", **{"retry-after": "1"}),
        SourceError: answer(400),
        NetworkError: answer(400),
    }
    routes = Server(project, **options).routes()
    return guard_routes(routes, host, handlers, {"permissions-policy": "camera=(self)"})
