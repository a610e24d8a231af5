"""The rooms of a home and of work: what stands together, one short function a scene."""

from functools import partial

from unitscope.lab.world import materials as of
from unitscope.lab.world.arrangement import Painter, Stage, bedside, desk, dining, floor_lamp, hang, line_up
from unitscope.lab.world.canvas import Canvas
from unitscope.lab.world.fixtures import crate, dog
from unitscope.lab.world.furnishings import (
    bathtub,
    blackboard,
    fireplace,
    mirror,
    refrigerator,
    sculpture,
    sofa,
    stairs,
    toilet,
    towel,
)
from unitscope.lab.world.furniture import bed, books, cabinet, drawers, monitor, shelf, sink, stove
from unitscope.lab.world.light import Color, Number, Span, shade
from unitscope.lab.world.nature import plant
from unitscope.lab.world.outfit import chair, person, table
from unitscope.lab.world.rooms import Room, clock, painting, room, room_window, rug
from unitscope.lab.world.town import door


def bedroom(c: Canvas) -> None:
    """A room with a bed and what goes with it."""
    r, walls = c.chance, room(c)
    hang(c, walls, {room_window: 0.6, painting: 0.5, clock: 0.12, mirror: 0.3})
    stage = Stage(c)
    along: dict[Painter, Number] = {
        cabinet: 0.35,
        door: 0.3,
        shelf: 0.25,
        plant: 0.2,
        floor_lamp: 0.2,
        chair: 0.2,
        fireplace: 0.1,
    }
    line_up(c, walls, stage, {**along, partial(desk, screens=0.4): 0.15})
    stage.drop(0.4, rug, (25, 75), (86, 99))
    x = r.between(26, 74)
    foot = r.between(max(walls.foot + 14, 82), 97)
    if r.maybe(0.97):
        stage.put(bed, x, foot)
        side = 1 if x < 50 else -1
        if r.maybe(0.75):
            stage.put(bedside, x + side * walls.m * r.between(1.25, 1.5), walls.foot + 3)
    stage.maybe(0.18, person, (walls.foot + 5, 98))
    stage.maybe(0.1, dog, (walls.foot + 8, 98))
    stage.paint()


def kitchen(c: Canvas) -> None:
    """A room with a counter, and a table to eat at."""
    r, walls = c.chance, room(c)
    hang(c, walls, {room_window: 0.6, clock: 0.35, painting: 0.15, towel: 0.35})
    wood, m = r.tone((*of.WOOD, *of.PAINTED)), walls.m
    if r.maybe(0.65):
        _wall_cabinets(c, walls, wood)
    stage = Stage(c)
    left, right = max(walls.left, 0), min(walls.right, 100)
    _counter(c, (left + r.between(0, 14), right - r.between(0, 20)), walls.foot + 1.5, m, wood)
    stage.maybe(0.2, door, (walls.foot + 0.5, walls.foot + 1))
    if r.maybe(0.6):
        stage.put(refrigerator, r.pick((left + 6, right - 6)), walls.foot + 2.5)
    stage.maybe(0.15, crate, (walls.foot + 8, 97))
    stage.drop(0.3, rug, (25, 75), (84, 97))
    stage.drop(0.65, dining, (20, 80), (86, 98))
    stage.maybe(0.25, person, (walls.foot + 6, 98))
    stage.maybe(0.15, plant, (walls.foot + 5, 96))
    stage.maybe(0.12, floor_lamp, (walls.foot + 3, 80))
    stage.paint()


def _wall_cabinets(c: Canvas, walls: Room, wood: Color) -> None:
    r, m = c.chance, walls.m
    low, high = walls.foot - m * 1.45, walls.foot - m * 2.15
    start = r.pick((max(walls.left, 0), r.between(40, 65)))
    box = (start, high, start + m * r.between(1.0, 2.2), low)
    c.box(c.ink("cabinet", material="wood", color=shade(wood, 0.95)), *box)
    drawers(c, box, m, wood)
    c.shadow((box[0] + box[2]) / 2, low + m * 0.1, (box[2] - box[0]) * 0.6, m * 0.2, 0.8)


def _counter(c: Canvas, span: Span, y: Number, m: Number, wood: Color) -> None:
    """A row of cabinets with a slab on top, a stove in it and a sink."""
    r, (left, right), tall = c.chance, span, m * 0.88
    top = cabinet(c, (left + right) / 2, y, m, half=(right - left) / 2, tall=tall, color=wood)
    slab = r.tone(((222, 220, 214), (92, 92, 98), *of.WOOD[:4]))
    texture = r.pick(("", "marbled"))
    ink = c.ink("table", "tabletop", "stone", shade(slab, 0.86), texture=texture, accent=shade(slab, 0.6))
    face = c.ink("table", "tabletop", "stone", slab, texture=texture, accent=0.7)
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
    hang(c, walls, {room_window: 0.6, painting: 0.35, clock: 0.4, partial(blackboard, wide=0.6): 0.3})
    stage = Stage(c)
    along: dict[Painter, Number] = {
        shelf: 0.5,
        cabinet: 0.35,
        door: 0.35,
        plant: 0.35,
        floor_lamp: 0.15,
        refrigerator: 0.12,
        sofa: 0.15,
    }
    line_up(c, walls, stage, along)
    stage.drop(0.25, rug, (25, 75), (86, 98))
    for k in range(r.pick((1, 1, 2))):
        x, y = r.between(22, 78) if k == 0 else r.between(10, 90), r.between(walls.foot + 9, 92)
        stage.put(desk, x, y)
        if r.maybe(0.75):
            stage.put(chair, x + r.between(-7, 7), y + r.between(2, 6))
    stage.maybe(0.1, crate, (walls.foot + 8, 97))
    stage.maybe(0.3, person, (walls.foot + 5, 97))
    stage.paint()


def living_room(c: Canvas) -> None:
    """A room with a sofa, and something to sit around."""
    r, walls = c.chance, room(c)
    hang(c, walls, {room_window: 0.55, painting: 0.6, clock: 0.15, mirror: 0.15})
    stage = Stage(c)
    along: dict[Painter, Number] = {
        shelf: 0.3,
        floor_lamp: 0.35,
        plant: 0.35,
        door: 0.25,
        stairs: 0.2,
        sculpture: 0.12,
    }
    corner = r.pick((fireplace, television, television))
    line_up(c, walls, stage, {**along, corner: 0.95})
    stage.drop(0.5, rug, (30, 70), (88, 99))
    x, y = r.between(28, 72), r.between(walls.foot + 9, 90)
    stage.put(sofa, x, y)
    if r.maybe(0.6):
        stage.put(low_table, x + r.between(-12, 12), y + r.between(5, 8))
    stage.maybe(0.25, person, (walls.foot + 5, 98))
    stage.maybe(0.3, dog, (walls.foot + 10, 98))
    stage.paint()


def television(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A television on a low cabinet."""
    top = cabinet(c, x, y, m, half=m * c.chance.between(0.5, 0.75), tall=m * c.chance.between(0.45, 0.6))
    monitor(c, x, top, m * c.chance.between(1.2, 1.5))


def low_table(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A table for the knees."""
    r = c.chance
    top = table(c, x, y, m * 0.62, m * r.between(0.4, 0.6))
    if r.maybe(0.4):
        plant(c, x, top, m * 0.35)
    elif r.maybe(0.5):
        books(c, (x - m * 0.15, x + m * 0.15), top, m)


def dining_room(c: Canvas) -> None:
    """A room for meals: one large table with chairs all around it, and a cabinet for the plates."""
    r, walls = c.chance, room(c)
    hang(c, walls, {room_window: 0.6, painting: 0.6, mirror: 0.25, clock: 0.2})
    stage = Stage(c)
    along: dict[Painter, Number] = {
        cabinet: 0.9,
        fireplace: 0.25,
        door: 0.3,
        plant: 0.35,
        floor_lamp: 0.25,
        sculpture: 0.15,
        refrigerator: 0.12,
    }
    line_up(c, walls, stage, along)
    x, y = r.between(38, 62), r.between(87, 93)
    if r.maybe(0.4):
        stage.put(rug, x, y + 6)
    stage.put(banquet, x, y)
    stage.maybe(0.25, person, (walls.foot + 3, walls.foot + 6))
    stage.maybe(0.15, dog, (94, 99))
    stage.paint()


def banquet(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A long table with chairs behind it and at its ends."""
    r = c.chance
    half = m * r.between(0.95, 1.2)
    for share in (-0.66, 0.0, 0.66):
        back = c.behind(x + share * half, y, m, 1.0)
        chair(c, back[0], back[1], c.meter(back[1]))
    top = table(c, x, y, m, half)
    for share in (-0.55, 0.0, 0.55):
        if r.maybe(0.35):
            plant(c, x + share * half, top + m * 0.04, m * 0.34)
    for side in (-1, 1):
        chair(c, x + side * (half + m * 0.32), y, m)


def bathroom(c: Canvas) -> None:
    """A room to wash in."""
    r, walls = c.chance, room(c)
    hang(c, walls, {room_window: 0.35, mirror: 0.75, towel: 0.8, painting: 0.1, clock: 0.05})
    stage = Stage(c)
    chances: dict[Painter, Number] = {toilet: 0.8, washstand: 0.85, cabinet: 0.2, plant: 0.25, door: 0.2}
    bath = r.maybe(0.75)
    line_up(c, walls, stage, {**chances, (bathtub if bath else toilet): 1.0})
    stage.drop(0.4, rug, (25, 75), (86, 98))
    stage.maybe(0.15, person, (walls.foot + 6, 97))
    stage.maybe(0.12, chair, (walls.foot + 6, 90))
    stage.paint()


def washstand(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A small cabinet with a basin."""
    top = cabinet(c, x, y, m, half=m * c.chance.between(0.36, 0.5), tall=m * 0.8)
    sink(c, x, top, m)
