"""Pictures that visitors of the paint page open: inverted one after the other, and kept for a while."""

import asyncio
import hmac
import json
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from unitscope.axes import Pixels
from unitscope.errors import UnitscopeError
from unitscope.interventions.inversion import INVERTING, Steps, invert_picture, name_inversion
from unitscope.interventions.inversion_result import Inversion
from unitscope.interventions.painting.easel import Easel
from unitscope.interventions.painting.photos import find_features
from unitscope.networks.weights import one_line
from unitscope.progress import Progress, on_progress
from unitscope.views.app.work_queue import BusyError, WorkQueue

MOST, MOST_BYTES = 32, 256_000_000
"""How many inversions are kept, and how many bytes of them."""
OPENING = 4
"""How many pictures may be on their way: arriving, waiting, or being inverted."""
PULSE = 0.1
"""Seconds between two lines that tell how far it is."""
LINES = "application/x-ndjson"


class StoppedError(Exception):
    """Nobody waits for the work any more."""


@dataclass(eq=False)
class Album:
    """The last inversions of visitors' pictures, by names that only who has the picture is told.

    A name is made of the inversion's key with a secret of this server's: the same picture has the same name
    for as long as the server runs, and who knows the picture but did not open it here cannot tell it. For one
    thread.
    """

    most: int = MOST
    most_bytes: int = MOST_BYTES
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    photos: OrderedDict[str, Inversion] = field(default_factory=OrderedDict, repr=False)

    def name(self, key: str) -> str:
        """What the inversion of that key is asked for by."""
        return hmac.new(self.secret, key.encode(), "sha256").hexdigest()[:32]

    def find(self, name: str) -> Inversion | None:
        """The inversion of that name, now the last to be forgotten; None where it is not there."""
        if name in self.photos:
            self.photos.move_to_end(name)
        return self.photos.get(name)

    def keep(self, inversion: Inversion) -> str:
        """Keeps an inversion and forgets the oldest where these are too many; its name."""
        name = self.name(inversion.key)
        self.photos[name] = inversion
        self.photos.move_to_end(name)
        while len(self.photos) > self.most or (len(self.photos) > 1 and self._weigh() > self.most_bytes):
            self.photos.popitem(last=False)
        return name

    def _weigh(self) -> int:
        return sum(weigh(inversion) for inversion in self.photos.values())


def weigh(inversion: Inversion) -> int:
    """How many bytes an inversion takes."""
    tensors = [inversion.latent, inversion.generated, inversion.fitted, inversion.residual]
    pictures = [inversion.picture, *(fit.picture for fit in inversion.fits)]
    held = sum(one.nbytes for one in [*tensors, *inversion.maps.values()])
    return held + sum(one.nbytes for one in pictures)


def invert(picture: Pixels, easel: Easel, album: Album, steps: Steps) -> tuple[str, Inversion]:
    """The name of a picture, and its inversion: the one that is kept, or a new one, which then is kept.

    Raises what `invert_picture` raises.
    """
    features = find_features(easel.segmenter)
    key = name_inversion(easel.generator, picture, None, features, easel.segmenter, steps)
    known = album.find(album.name(key)) or easel.photos.get(key)
    made = known or invert_picture(
        easel.generator, picture, features=features, segmenter=easel.segmenter, steps=steps
    )
    return album.keep(made), made


@dataclass(eq=False)
class Opening:
    """Lets a few pictures be opened at once, one of them worked on; for the loop of the server."""

    queue: WorkQueue
    most: int = OPENING
    busy: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def enter(self) -> None:
        """One more is on its way, until `leave`. Raises `BusyError` where these would be too many."""
        if self.busy >= self.most:
            raise BusyError
        self.busy += 1

    def leave(self) -> None:
        """One of them has been answered."""
        self.busy -= 1

    async def follow(
        self, work: Callable[[], dict[str, Any]], name_stage: Callable[[int], str]
    ) -> AsyncGenerator[str, None]:
        """Lines of JSON: how far the work is, again and again, then what came of it, or `error`.

        Whoever stops listening ends the work.
        """
        stopped, told = Event(), [{"stage": "waiting", "done": 0, "total": 1}]

        def tell(now: Progress) -> None:
            if stopped.is_set():
                raise StoppedError
            if now.what == INVERTING:
                told[0] = {"stage": name_stage(now.done), "done": now.done, "total": now.total}

        def do() -> dict[str, Any]:
            with on_progress(tell):
                return work()

        async def wait() -> dict[str, Any]:
            async with self.turn:  # strokes that came meanwhile are drawn before the next picture
                told[0] = {**told[0], "stage": "start"}
                return await self.queue.do(do)

        task = asyncio.ensure_future(wait())
        try:
            while not task.done():
                yield json.dumps(told[0]) + "\n"
                await asyncio.wait([task], timeout=PULSE)
            yield json.dumps(_answer(task)) + "\n"
        finally:
            stopped.set()
            task.cancel()


def _answer(task: asyncio.Task[dict[str, Any]]) -> dict[str, Any]:
    """What came of the work, as far as visitors are told."""
    try:
        return task.result()
    except BusyError:
        return {"error": "too much at once; open the picture again soon"}
    except UnitscopeError as error:
        return {"error": one_line(error)}


class OpeningResponse(StreamingResponse):
    """The lines of a picture that is opened; `leave` is called once they are sent, or nobody listens."""

    def __init__(self, lines: AsyncGenerator[str, None], leave: Callable[[], None]) -> None:
        super().__init__(lines, media_type=LINES)
        self.lines, self.leave = lines, leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the lines as they come."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.leave()
            await self.lines.aclose()
