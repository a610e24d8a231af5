"""Visitors of the microscope: what each has put under it, in memory alone, and how fast they may ask."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException

from unitscope.views.look.kept import MOST_PICTURES, Kept

MOST_VISITS = 64
MOST_KEPT = 256 << 20
"""Bytes of the pictures of all visitors together."""
MOST_UNDER_WAY = 6
"""So many questions of a visitor are answered or waiting at once."""
IDLE = 60.0
"""Seconds after which a visitor may be forgotten, where others come."""
PICTURES_A_SECOND, PICTURES_AT_ONCE = 1.5, 8
VISITS_A_SECOND, VISITS_AT_ONCE = 4.0, 32
Clock = Callable[[], float]


@dataclass
class Bucket:
    """Lets through so many at once, and then so many a second."""

    rate: int | float
    most: int | float
    clock: Clock = time.monotonic
    level: int | float = field(init=False)
    filled: float = field(init=False)

    def __post_init__(self) -> None:
        self.level, self.filled = self.most, self.clock()

    def take(self, what: str) -> None:
        """Takes one out. Raises `HTTPException` 429 where there is none, saying when there will be."""
        now = self.clock()
        self.level = min(self.most, self.level + (now - self.filled) * self.rate)
        self.filled = now
        if self.level < 1:
            raise _refuse(f"{what} come too fast; wait a moment", (1 - self.level) / self.rate)
        self.level -= 1


@dataclass(eq=False)
class Visit:
    """One visitor."""

    pictures: OrderedDict[str, Kept] = field(default_factory=OrderedDict)
    bucket: Bucket = field(default_factory=lambda: Bucket(PICTURES_A_SECOND, PICTURES_AT_ONCE))
    attacks: list[str] = field(default_factory=list)
    used: float = 0.0
    busy: int = 0

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Counts a question while it is answered. Raises `HTTPException` 429 where there are too many."""
        if self.busy >= MOST_UNDER_WAY:
            raise _refuse("too much at once; ask again when answers have come", 1)
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1


@dataclass(eq=False)
class Visitors:
    """All visitors, by a token that each alone knows; their pictures by ids that are as secret."""

    clock: Clock = time.monotonic
    visits: OrderedDict[str, Visit] = field(default_factory=OrderedDict)
    owners: dict[str, str] = field(default_factory=dict)
    bucket: Bucket = field(default_factory=lambda: Bucket(VISITS_A_SECOND, VISITS_AT_ONCE))
    kept: int = 0

    def begin(self) -> str:
        """A new visitor's token. Raises `HTTPException` 429 where there are too many."""
        self.bucket.take("visitors")
        if len(self.visits) >= MOST_VISITS:
            token, oldest = next(iter(self.visits.items()))
            if self.clock() - oldest.used < IDLE or oldest.busy:
                raise _refuse("too many visitors; come back in a minute", IDLE)
            for name in list(oldest.pictures):
                self._drop(token, name)
            del self.visits[token]
        token = secrets.token_urlsafe(16)
        self.visits[token] = Visit(used=self.clock())
        return token

    def find(self, token: str) -> Visit:
        """The visitor of a token. Raises `HTTPException` 403 for none."""
        if token not in self.visits:
            raise HTTPException(403, "this visit is not known; begin a new one")
        self.visits.move_to_end(token)
        visit = self.visits[token]
        visit.used = self.clock()
        return visit

    def put(self, token: str, kept: Kept, name: str | None = None) -> str:
        """Keeps a picture, in place of another one or as a new one; its id.

        What is unused for longest is forgotten where the visitor has too many, or all have too much. Raises
        `HTTPException` 404 where the other one is not there.
        """
        visit = self.find(token)
        if name is None:
            name = secrets.token_urlsafe(16)
            self.owners[name] = token
        else:
            self.pick(token, name)
            self.kept -= visit.pictures[name].weight
        visit.pictures[name] = kept
        visit.pictures.move_to_end(name)
        self.kept += kept.weight
        while len(visit.pictures) > MOST_PICTURES:
            self._drop(token, next(iter(visit.pictures)))
        while self.kept > MOST_KEPT and len(self.owners) > 1:
            owner = next(one for one, its in self.visits.items() if set(its.pictures) - {name})
            self._drop(owner, next(other for other in self.visits[owner].pictures if other != name))
        return name

    def pick(self, token: str, name: object) -> Kept:
        """A picture of that visitor. Raises `HTTPException` 404 for one that is not theirs, or forgotten."""
        visit = self.find(token)
        if not isinstance(name, str) or name not in visit.pictures:
            raise HTTPException(404, "there is no such picture any more; send it again")
        visit.pictures.move_to_end(name)
        return visit.pictures[name]

    def show(self, name: str) -> Kept:
        """A picture by its id alone, as the browser asks for images. Raises `HTTPException` 404."""
        if name not in self.owners:
            raise HTTPException(404, "there is no such picture any more; send it again")
        return self.visits[self.owners[name]].pictures[name]

    def drop(self, token: str, name: str) -> None:
        """Forgets a picture; raises what `pick` raises."""
        self.pick(token, name)
        self._drop(token, name)

    def _drop(self, token: str, name: str) -> None:
        self.kept -= self.visits[token].pictures.pop(name).weight
        del self.owners[name]


def _refuse(why: str, seconds: int | float) -> HTTPException:
    return HTTPException(429, why, {"retry-after": str(max(1, round(seconds)))})
