"""The scenes under a roof: what stands together, one short function a scene."""

from functools import partial

from unitscope.concepts.drawn import materials as of
from unitscope.concepts.drawn.canvas import Canvas
from unitscope.concepts.drawn.furniture import bed, books, cabinet, drawers, monitor, shelf, sink, stove
from unitscope.concepts.drawn.light import Color, Number, shade
from unitscope.concepts.drawn.nature import plant
from unitscope.concepts.drawn.outfit import chair, lamp, person, table
from unitscope.concepts.drawn.rooms import Room, clock, painting, room, room_window, rug
from unitscope.concepts.drawn.stage import Painter, Stage
from unitscope.concepts.drawn.town import door


def _on_wall(c: Canvas, walls: Room, chances: dict[Painter, Number]) -> None:
    """Hangs some things on the wall, side by side."""
    r = c.chance
    chosen = [painter for painter, chance in chances.items() if r.maybe(chance)]
    left, right = max(walls.left, 2) + 4, min(walls.right, 98) - 4
    order = sorted(chosen, key=lambda _: r.between(0, 1))
    for k, painter in enumerate(order):
        x = left + (right - left) * (k + r.between(0.3, 0.7)) / len(order)
        painter(c, x, walls.foot - walls.m * r.between(1.45, 1.8), walls.m)


def _along_wall(c: Canvas, walls: Room, stage: Stage, chances: dict[Painter, Number]) -> None:
    """Stands some things along the wall, side by side."""
    r = c.chance
    chosen = [painter for painter, chance in chances.items() if r.maybe(chance)]
    left, right = max(walls.left, 0) + 4, min(walls.right, 100) - 4
    order = sorted(chosen, key=lambda _: r.between(0, 1))
    for k, painter in enumerate(order):
        x = left + (right - left) * (k + r.between(0.35, 0.65)) / len(order)
        stage.put(painter, x, walls.foot + r.between(0.5, 2))


def _floor_lamp(c: Canvas, x: Number, y: Number, m: Number) -> None:
    c.shadow(x, y, m * 0.3, m * 0.08)
    lamp(c, x, y, m, tall=1.55)


def _desk(c: Canvas, x: Number, y: Number, m: Number, *, screens: Number = 0.9) -> None:
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


def _bedside(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A small cabinet with a lamp, a book or a plant on it."""
    r = c.chance
    top = cabinet(c, x, y, m, half=m * r.between(0.22, 0.32), tall=m * r.between(0.5, 0.62))
    if r.maybe(0.7):
        lamp(c, x, top, m, tall=0.48)
    elif r.maybe(0.5):
        books(c, (x - m * 0.18, x + m * 0.1), top, m)
    else:
        plant(c, x, top, m * 0.4)


def _dining(c: Canvas, x: Number, y: Number, m: Number) -> None:
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


def bedroom(c: Canvas) -> None:
    """A room with a bed and what goes with it."""
    r, walls = c.chance, room(c)
    _on_wall(c, walls, {room_window: 0.6, painting: 0.55, clock: 0.12})
    stage = Stage(c)
    along: dict[Painter, Number] = {
        cabinet: 0.35,
        door: 0.3,
        shelf: 0.25,
        plant: 0.2,
        _floor_lamp: 0.2,
        chair: 0.2,
    }
    _along_wall(c, walls, stage, {**along, partial(_desk, screens=0.4): 0.15})
    if r.maybe(0.4):
        stage.put(rug, r.between(25, 75), r.between(86, 99))
    x = r.between(26, 74)
    foot = r.between(max(walls.foot + 14, 82), 97)
    if r.maybe(0.97):
        stage.put(bed, x, foot)
        side = 1 if x < 50 else -1
        if r.maybe(0.75):
            stage.put(_bedside, x + side * walls.m * r.between(1.25, 1.5), walls.foot + 3)
    stage.maybe(0.18, person, (walls.foot + 5, 98))
    stage.paint()


def kitchen(c: Canvas) -> None:
    """A room with a counter, and a table to eat at."""
    r, walls = c.chance, room(c)
    _on_wall(c, walls, {room_window: 0.6, clock: 0.35, painting: 0.2})
    wood, m = r.tone((*of.WOOD, *of.PAINTED)), walls.m
    if r.maybe(0.65):
        _wall_cabinets(c, walls, wood)
    stage = Stage(c)
    left, right = max(walls.left, 0), min(walls.right, 100)
    _counter(c, (left + r.between(0, 14), right - r.between(0, 20)), walls.foot + 1.5, m, wood)
    stage.maybe(0.25, door, (walls.foot + 0.5, walls.foot + 1))
    if r.maybe(0.3):
        stage.put(rug, r.between(25, 75), r.between(84, 97))
    if r.maybe(0.65):
        stage.put(_dining, r.between(20, 80), r.between(86, 98))
    stage.maybe(0.25, person, (walls.foot + 6, 98))
    stage.maybe(0.15, plant, (walls.foot + 5, 96))
    stage.maybe(0.12, _floor_lamp, (walls.foot + 3, 80))
    stage.paint()


def _wall_cabinets(c: Canvas, walls: Room, wood: Color) -> None:
    r, m = c.chance, walls.m
    low, high = walls.foot - m * 1.45, walls.foot - m * 2.15
    start = r.pick((max(walls.left, 0), r.between(40, 65)))
    box = (start, high, start + m * r.between(1.0, 2.2), low)
    c.box(c.ink("cabinet", material="wood", color=shade(wood, 0.95)), *box)
    drawers(c, box, m, wood)
    c.shadow((box[0] + box[2]) / 2, low + m * 0.1, (box[2] - box[0]) * 0.6, m * 0.2, 0.8)


def _counter(c: Canvas, span: tuple[Number, Number], y: Number, m: Number, wood: Color) -> None:
    """A row of cabinets with a slab on top, a stove in it and a sink."""
    r, (left, right), tall = c.chance, span, m * 0.88
    top = cabinet(c, (left + right) / 2, y, m, half=(right - left) / 2, tall=tall, color=wood)
    slab = r.tone(((222, 220, 214), (92, 92, 98), *of.WOOD[:4]))
    texture = r.pick(("", "marbled"))
    ink = c.ink("table", "tabletop", "stone", shade(slab, 0.86), texture=texture, accent=shade(slab, 0.6))
    face = c.ink("table", "tabletop", "stone", slab, texture=texture, accent=shade(slab, 0.7))
    c.block(ink, face, (left - 0.5, y - tall - m * 0.05, right + 0.5, y - tall + m * 0.03), m, 0.6)
    if right - left < m * 1.6:
        return
    place = r.between(0.15, 0.4) if r.maybe(0.5) else r.between(0.6, 0.85)
    if r.maybe(0.85):
        stove(c, left + (right - left) * place, y + 0.3, m)
    if r.maybe(0.8):
        sink(c, left + (right - left) * (1 - place), top - m * 0.04, m)
    if r.maybe(0.3):
        plant(c, left + (right - left) * r.between(0.46, 0.54), top - m * 0.05, m * 0.4)
    if r.maybe(0.2):
        books(c, (right - m * 0.4, right - m * 0.1), top - m * 0.05, m)


def office(c: Canvas) -> None:
    """A room to work in."""
    r, walls = c.chance, room(c)
    _on_wall(c, walls, {room_window: 0.6, painting: 0.35, clock: 0.4})
    stage = Stage(c)
    along: dict[Painter, Number] = {shelf: 0.6, cabinet: 0.35, door: 0.35, plant: 0.35, _floor_lamp: 0.15}
    _along_wall(c, walls, stage, along)
    if r.maybe(0.25):
        stage.put(rug, r.between(25, 75), r.between(86, 98))
    for k in range(r.pick((1, 1, 2))):
        x, y = r.between(22, 78) if k == 0 else r.between(10, 90), r.between(walls.foot + 9, 92)
        stage.put(_desk, x, y)
        if r.maybe(0.75):
            stage.put(chair, x + r.between(-7, 7), y + r.between(2, 6))
    stage.maybe(0.3, person, (walls.foot + 5, 97))
    stage.paint()
