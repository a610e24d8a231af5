"""How things stand in a picture: on its ground, on the walls of a room and along them, on tables."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from unitscope.lab.world.canvas import Canvas
from unitscope.lab.world.furniture import books, cabinet, monitor
from unitscope.lab.world.light import Number, Span
from unitscope.lab.world.nature import plant
from unitscope.lab.world.outfit import chair, lamp, table
from unitscope.lab.world.rooms import Room

Painter = Callable[[Canvas, Number, Number, Number], object]
"""Paints a thing whose foot is at (x, y), where a meter is `m` long: `tree(canvas, x, y, m)`."""


@dataclass
class Stage:
    """Things that wait to be painted."""

    canvas: Canvas
    waiting: list[tuple[Number, Number, Painter]] = field(default_factory=list)

    def put(self, painter: Painter, x: Number, y: Number) -> None:
        """One thing at a place."""
        self.waiting.append((y, x, painter))

    def maybe(self, probability: Number, painter: Painter, rows: Span) -> None:
        """One thing somewhere between two rows, or none."""
        if self.canvas.chance.maybe(probability):
            self.scatter(painter, 1, rows)

    def drop(self, probability: Number, painter: Painter, columns: Span, rows: Span) -> None:
        """One thing evenly between two columns and two rows, or none."""
        r = self.canvas.chance
        if r.maybe(probability):
            self.put(painter, r.between(*columns), r.between(*rows))

    def scatter(self, painter: Painter, count: int, rows: Span, columns: Span = (3, 97)) -> None:
        """`count` of a thing between two rows and two columns, apart from one another."""
        r = self.canvas.chance
        for k in range(count):
            width = (columns[1] - columns[0]) / count
            x = columns[0] + width * (k + r.between(0.1, 0.9))
            # as many things far away as near: rows crowd toward the horizon
            y = rows[0] + (rows[1] - rows[0]) * r.between(0, 1) ** 1.4
            self.put(painter, x, y)

    def paint(self) -> None:
        """Paints all that wait, the farthest first."""
        for y, x, painter in sorted(self.waiting, key=lambda thing: thing[0]):
            painter(self.canvas, x, y, self.canvas.meter(y))
        self.waiting.clear()


def hang(c: Canvas, walls: Room, chances: dict[Painter, Number]) -> None:
    """Hangs some things on the wall, side by side."""
    for painter, x in _spread(c, (max(walls.left, 2) + 4, min(walls.right, 98) - 4), chances, 0.2):
        painter(c, x, walls.foot - walls.m * c.chance.between(1.45, 1.8), walls.m)


def line_up(c: Canvas, walls: Room, stage: Stage, chances: dict[Painter, Number]) -> None:
    """Stands some things along the wall, side by side."""
    for painter, x in _spread(c, (max(walls.left, 0) + 4, min(walls.right, 100) - 4), chances, 0.15):
        stage.put(painter, x, walls.foot + c.chance.between(0.5, 2))


def _spread(
    c: Canvas, columns: Span, chances: dict[Painter, Number], sway: Number
) -> Iterator[tuple[Painter, Number]]:
    """Some things, each with its probability, in any order; the column of each, chosen as it is taken."""
    r, (left, right) = c.chance, columns
    chosen = [painter for painter, chance in chances.items() if r.maybe(chance)]
    order = sorted(chosen, key=lambda _: r.between(0, 1))
    for k, painter in enumerate(order):
        yield painter, left + (right - left) * (k + r.between(0.5 - sway, 0.5 + sway)) / len(order)


def floor_lamp(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A lamp that stands on the floor."""
    c.shadow(x, y, m * 0.3, m * 0.08)
    lamp(c, x, y, m, tall=1.55)


def desk(c: Canvas, x: Number, y: Number, m: Number, *, screens: Number = 0.9) -> None:
    """A table with what people work with."""
    r = c.chance
    half = m * r.between(0.65, 0.9)
    top = table(c, x, y, m, half)
    side = r.pick((-1, 1))
    if r.maybe(screens):
        monitor(c, x + side * half * 0.2, top, m)
    if r.maybe(0.45):
        lamp(c, x - side * half * 0.7, top, m, tall=0.5)
    if r.maybe(0.5):
        start = x + side * half * 0.75
        books(c, (start - m * 0.16, start + m * 0.16), top, m)
    if r.maybe(0.2):
        plant(c, x - side * half * 0.35, top + m * 0.05, m * 0.4)


def bedside(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A small cabinet with a lamp, a book or a plant on it."""
    r = c.chance
    top = cabinet(c, x, y, m, half=m * r.between(0.22, 0.32), tall=m * r.between(0.5, 0.62))
    if r.maybe(0.7):
        lamp(c, x, top, m, tall=0.48)
    elif r.maybe(0.5):
        books(c, (x - m * 0.18, x + m * 0.1), top, m)
    else:
        plant(c, x, top, m * 0.4)


def dining(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A table with chairs behind it and beside it."""
    r = c.chance
    half = m * r.between(0.55, 0.8)
    for side in (-1, 1):
        if r.maybe(0.6):
            back = c.behind(x + side * half * 0.5, y, m, 0.95)
            chair(c, back[0], back[1], c.meter(back[1]))
    top = table(c, x, y, m, half)
    if r.maybe(0.4):
        plant(c, x + half * r.between(-0.5, 0.5), top, m * 0.38)
    for side in (-1, 1):
        if r.maybe(0.5):
            chair(c, x + side * (half + m * 0.3), y, m)
