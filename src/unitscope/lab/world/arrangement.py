"""How things stand in rooms: hung on the wall, lined up along it, set on tables."""

from unitscope.lab.world.canvas import Canvas
from unitscope.lab.world.furniture import books, cabinet, monitor
from unitscope.lab.world.light import Number
from unitscope.lab.world.nature import plant
from unitscope.lab.world.outfit import chair, lamp, table
from unitscope.lab.world.rooms import Room
from unitscope.lab.world.stage import Painter, Stage


def hang(c: Canvas, walls: Room, chances: dict[Painter, Number]) -> None:
    """Hangs some things on the wall, side by side."""
    r = c.chance
    chosen = [painter for painter, chance in chances.items() if r.maybe(chance)]
    left, right = max(walls.left, 2) + 4, min(walls.right, 98) - 4
    order = sorted(chosen, key=lambda _: r.between(0, 1))
    for k, painter in enumerate(order):
        x = left + (right - left) * (k + r.between(0.3, 0.7)) / len(order)
        painter(c, x, walls.foot - walls.m * r.between(1.45, 1.8), walls.m)


def line_up(c: Canvas, walls: Room, stage: Stage, chances: dict[Painter, Number]) -> None:
    """Stands some things along the wall, side by side."""
    r = c.chance
    chosen = [painter for painter, chance in chances.items() if r.maybe(chance)]
    left, right = max(walls.left, 0) + 4, min(walls.right, 100) - 4
    order = sorted(chosen, key=lambda _: r.between(0, 1))
    for k, painter in enumerate(order):
        x = left + (right - left) * (k + r.between(0.35, 0.65)) / len(order)
        stage.put(painter, x, walls.foot + r.between(0.5, 2))


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
