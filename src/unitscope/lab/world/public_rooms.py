"""Rooms where people meet: what stands together, one short function a scene."""

from functools import partial

from unitscope.lab.world import materials as of
from unitscope.lab.world.arrangement import Painter, Stage, floor_lamp, hang, line_up
from unitscope.lab.world.canvas import Canvas
from unitscope.lab.world.fixtures import crate
from unitscope.lab.world.furnishings import blackboard, mirror, refrigerator, sculpture, sofa, stairs
from unitscope.lab.world.furniture import books, cabinet, monitor, shelf, sink
from unitscope.lab.world.light import Number
from unitscope.lab.world.nature import plant
from unitscope.lab.world.outfit import bench, chair, lamp, person, table
from unitscope.lab.world.rooms import clock, painting, room, room_window, rug
from unitscope.lab.world.town import door


def classroom(c: Canvas) -> None:
    """A blackboard, and rows of small tables and chairs that face it."""
    r, walls = c.chance, room(c)
    wide = r.between(1.0, 1.4)
    reach = walls.m * wide
    x = r.between(max(walls.left, 0) + reach, min(walls.right, 100) - reach)
    blackboard(c, x, walls.foot - walls.m * r.between(1.25, 1.6), walls.m, wide)
    stage = Stage(c)
    along: dict[Painter, Number] = {door: 0.25, cabinet: 0.2, shelf: 0.2, plant: 0.25, sink_cabinet: 0.2}
    line_up(c, walls, stage, along)
    if r.maybe(0.5):
        stage.put(person, x + r.between(-20, 20), walls.foot + 2.5)
    for row in (walls.foot + 8, walls.foot + 20):
        shift, count = r.between(-8, 8), r.count(2, 3)
        for k in range(count):
            at = 50 + shift + (k - (count - 1) / 2) * r.between(30, 36)
            stage.put(_models_desk, at, min(row + r.between(-1.5, 1.5), 97))
    stage.paint()
    if r.maybe(0.35):
        clock(c, r.pick((12.0, 88.0)), walls.top + walls.m * 0.4, walls.m)


def sink_cabinet(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A basin to wash the sponge in."""
    sink(c, x, cabinet(c, x, y, m, half=m * 0.36, tall=m * 0.8), m)


def _models_desk(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A small table, a chair in front of it, perhaps books or a screen on it."""
    r = c.chance
    top = table(c, x, y, m * 0.9, m * r.between(0.36, 0.44))
    if r.maybe(0.35):
        books(c, (x - m * 0.12, x + m * 0.2), top, m * 0.8)
    elif r.maybe(0.2):
        monitor(c, x, top, m * 0.7)
    chair(c, x + m * r.between(-0.12, 0.12), y + m * 0.3, m * 0.9)


def library(c: Canvas) -> None:
    """Walls of books, and somewhere to read."""
    r, walls = c.chance, room(c)
    stage, x = Stage(c), max(walls.left, 0) + r.between(4, 10)
    between: tuple[Painter, ...] = (stairs, door, floor_lamp, sculpture, plant)
    gap, k = r.count(1, 3), 0
    while x < min(walls.right, 100) - 2:
        if k == gap and r.maybe(0.7):
            stage.put(r.pick(between), x, walls.foot + 1)
        else:
            stage.put(shelf, x, walls.foot + r.between(0.5, 1.5))
        x, k = x + walls.m * r.between(1.05, 1.35), k + 1
    stage.drop(0.5, rug, (30, 70), (86, 98))
    for _ in range(r.count(1, 2)):
        stage.put(_reading_table, r.between(20, 80), r.between(walls.foot + 10, 94))
    stage.maybe(0.3, sofa, (walls.foot + 8, 92))
    stage.maybe(0.2, sculpture, (walls.foot + 6, 92))
    stage.maybe(0.4, person, (walls.foot + 5, 97))
    stage.paint()
    if r.maybe(0.2):
        clock(c, r.between(25, 75), walls.top + walls.m * 0.25, walls.m)


def _reading_table(c: Canvas, x: Number, y: Number, m: Number) -> None:
    r, half = c.chance, m * c.chance.between(0.55, 0.85)
    top = table(c, x, y, m, half)
    books(c, (x + half * 0.1, x + half * 0.6), top, m)
    if r.maybe(0.6):
        lamp(c, x - half * 0.5, top, m, tall=0.5)
    if r.maybe(0.7):
        chair(c, x + r.between(-0.4, 0.4) * half, y + m * 0.3, m)


def cafe(c: Canvas) -> None:
    """A counter with a menu above it, and small tables."""
    r, walls = c.chance, room(c)
    side = r.pick((-1, 1))
    left, right = (0.0, r.between(48, 60)) if side < 0 else (r.between(40, 52), 100.0)
    middle = (left + right) / 2
    hang(c, walls, {room_window: 0.35, painting: 0.3, clock: 0.25, mirror: 0.15})
    blackboard(c, middle + r.between(-8, 8), walls.foot - walls.m * 1.75, walls.m, r.between(0.7, 0.95))
    stage = Stage(c)
    if r.maybe(0.6):
        stage.put(refrigerator, (left + 8) if side < 0 else (right - 8), walls.foot + 0.5)
    if r.maybe(0.5):
        stage.put(person, middle + r.between(-10, 10), walls.foot + 1)
    stage.put(partial(_bar, left=left, right=right), middle, walls.foot + 4)
    if r.maybe(0.2):
        stage.put(stairs, 50 + side * -28, walls.foot + 1)
    for k in range(r.count(2, 4)):
        at = 12 + 76 * (k + r.between(0.2, 0.8)) / 4
        stage.put(_bistro, at, r.between(walls.foot + 13, 97))
    stage.maybe(0.3, person, (walls.foot + 12, 98))
    stage.maybe(0.2, sofa, (walls.foot + 10, 92))
    stage.maybe(0.25, crate, (walls.foot + 8, 96))
    stage.maybe(0.3, plant, (walls.foot + 6, 96))
    stage.paint()


def _bar(c: Canvas, x: Number, y: Number, m: Number, *, left: Number, right: Number) -> None:
    """A long counter; `x` is its middle."""
    r, tall = c.chance, m * 1.05
    wood = r.tone((*of.WOOD, *of.PAINTED, *of.BRICK))
    cabinet(c, x, y, m, half=(right - left) / 2, tall=tall, color=wood)
    slab = r.tone((*of.STONE, *of.WOOD, (230, 228, 222)))
    ink = c.ink("table", "tabletop", "stone", slab, texture=r.pick(("", "marbled", "speckled")), accent=0.6)
    c.box(ink, left - 1, y - tall - m * 0.08, right + 1, y - tall + m * 0.05)
    if r.maybe(0.6):
        monitor(c, x + (right - left) * r.between(-0.3, 0.3), y - tall - m * 0.05, m * 0.8)
    if r.maybe(0.5):
        lamp(c, x + (right - left) * r.between(-0.4, 0.4), y - tall - m * 0.05, m, tall=0.45)


def _bistro(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A small table for two."""
    r, half = c.chance, m * c.chance.between(0.28, 0.36)
    for side in (-1, 1):
        if r.maybe(0.85):
            chair(c, x + side * (half + m * 0.26), y, m * 0.95)
    top = table(c, x, y, m, half)
    if r.maybe(0.4):
        plant(c, x, top, m * 0.3)


def gallery(c: Canvas) -> None:
    """Large paintings side by side, sculptures, and a bench to look at them from."""
    r, walls = c.chance, room(c)
    count = r.count(3, 4)
    left, right = max(walls.left, 2) + 2, min(walls.right, 98) - 2
    for k in range(count):
        x = left + (right - left) * (k + r.between(0.4, 0.6)) / count
        painting(c, x, walls.foot - walls.m * r.between(1.4, 1.7), walls.m * r.between(1.3, 1.6))
    stage = Stage(c)
    if r.maybe(0.3):
        line_up(c, walls, stage, {stairs: 0.5, door: 0.5, plant: 0.4})
    stage.scatter(sculpture, r.count(1, 3), (walls.foot + 3, 92), (8, 92))
    stage.maybe(0.75, bench, (walls.foot + 10, 96))
    stage.maybe(0.15, sofa, (walls.foot + 8, 92))
    stage.scatter(person, r.count(0, 2), (walls.foot + 3, 98))
    stage.paint()
