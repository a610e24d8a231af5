"""What rolls on rails, roads and paths, and the bridges under it: one short function an object."""

from functools import partial

from unitscope.lab.world import materials as of
from unitscope.lab.world.canvas import Canvas, points_from
from unitscope.lab.world.light import Color, Number, mix, shade


def _wheel(c: Canvas, name: str, x: Number, y: Number, radius: Number) -> None:
    c.oval(c.ink(name, "wheel", "rubber", (36, 36, 40), form="ball"), x, y, radius)
    c.oval(c.ink(name, "wheel", "metal", (176, 180, 186), form="ball"), x, y, radius * 0.5)


def _glass(c: Canvas) -> Color:
    return c.chance.tone((of.LAMPLIGHT,)) if c.light.dark else mix((70, 88, 104), c.light.horizon, 0.4)


def train(c: Canvas, x: Number, y: Number, m: Number, cars: int = 3, way: int = 1) -> None:
    """An engine, x at its nose, with cars behind it; `way` is where it goes: 1 right, -1 left."""
    r = c.chance
    color, second = r.tone(of.CARS), r.tone((*of.CARS, (240, 236, 220)))
    long, high, gap = m * r.between(6.5, 8.5), m * r.between(2.7, 3.2), m * 0.35
    c.shadow(x - way * long, y, long * 1.6, m * 0.4, 1.3)
    lit, front = c.light.dark, points_from(x, y, -way * m, high)
    for k in range(cars):
        nose = x - way * k * (long + gap)
        left, right = sorted((nose, nose - way * long))
        body = c.ink("train", "car body", "metal", color, below=0.75, grain=0.4)
        if k == 0:
            bow, tail = front((0, 0.12), (0.2, 0.45), (1.4, 1)), nose - way * long
            c.polygon(body, *bow, (tail, y - high), (tail, y - high * 0.12))
        else:
            c.box(body, left, y - high, right, y - high * 0.12)
        band = c.ink("train", "car body", "metal", second, grain=0.4)
        c.box(band, left + (m * 0.3), y - high * 0.38, right - m * 0.3, y - high * 0.28)
        pane = c.ink("train", "window pane", "glass", _glass(c), shine=0.9 if lit else 0.0)
        count = 5 if k else 4
        cabin = sorted((nose - way * m * 1.7, nose - way * long))
        start, end = (left + m * 0.4, right - m * 0.4) if k else cabin
        wide = (end - start) / count
        for place in range(count):
            at = start + wide * (place + 0.15)
            c.box(pane, at, y - high * 0.84, at + wide * 0.7, y - high * 0.5)
        for share in (0.16, 0.36, 0.64, 0.84):
            _wheel(c, "train", left + (right - left) * share, y - m * 0.24, m * 0.26)
    screen = c.ink("train", "window pane", "glass", _glass(c), shine=0.9 if lit else 0.0)
    c.polygon(screen, *front((0.45, 0.55), (1.15, 0.88), (1.55, 0.88), (1.55, 0.55)))
    lamp = c.ink("train", "headlight", "glass", of.LAMPLIGHT, shine=0.8)
    c.oval(lamp, x - way * m * 0.2, y - high * 0.32, m * 0.16)


def truck(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A truck with a high box behind its cab, from the side."""
    r, way = c.chance, c.chance.pick((-1, 1))
    color, load = r.tone(of.CARS), r.tone((*of.CARS, *of.CLOTH[8:11]))
    half, high = m * r.between(2.7, 3.3), m * r.between(2.4, 2.8)
    c.shadow(x, y, half * 1.15, m * 0.35, 1.4)
    material, texture = r.pick(("metal", "fabric", "wood")), r.pick(("", "", "striped", "banded"))
    box = c.ink("truck", "car body", material, load, below=0.82, texture=texture, accent=0.8)
    ends = sorted((x - way * half, x + way * half * 0.35))
    c.box(box, ends[0], y - high, ends[1], y - m * 0.55)
    cab = c.ink("truck", "car body", "metal", color, below=0.74, form="roll")
    at, low = points_from(x, y, way * half, high), y - m * 0.5
    hood = at((0.4, 0.86), (0.75, 0.86), (0.96, 0.5))
    c.polygon(cab, (x + way * half * 0.4, low), *hood, (x + way * half, low))
    pane = c.ink("truck", "window pane", "glass", _glass(c), below=(62, 76, 90))
    c.polygon(pane, *at((0.5, 0.52), (0.5, 0.79), (0.73, 0.79), (0.87, 0.52)))
    frame = c.ink("truck", "car body", "metal", (52, 54, 60))
    c.bar(frame, x, half, y - m * 0.6, y - m * 0.42)
    lamp = c.ink("truck", "headlight", "glass", of.LAMPLIGHT, shine=0.7)
    c.oval(lamp, x + way * half * 0.95, y - m * 0.75, m * 0.14)
    for place in (-0.68, -0.36, 0.66):
        _wheel(c, "truck", x + way * half * place, y - m * 0.4, m * 0.42)


def bicycle(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A bicycle that leans on its stand."""
    r, way = c.chance, c.chance.pick((-1, 1))
    size, color = m * r.between(1.0, 1.2), r.tone(of.CARS)
    rim, wide = size * 0.36, max(size * 0.075, 0.5)
    c.shadow(x, y, size * 0.9, size * 0.1)
    for side in (-0.55, 0.55):
        tire = c.ink("bicycle", "wheel", "rubber", (40, 40, 44))
        turn = points_from(x + way * side * size, y - rim, rim, -rim)
        c.line(tire, turn(*_CIRCLE), wide)
        spoke = c.ink("bicycle", "wheel", "metal", (168, 172, 178))
        for dx, dy in _CIRCLE[:4]:
            c.line(spoke, turn((-dx, -dy), (dx, dy)), size * 0.02)
    frame, at = c.ink("bicycle", "bicycle frame", "metal", color), points_from(x, y, way * size, size)
    c.line(frame, at((-0.55, 0.36), (-0.18, 0.8), (0.36, 0.78), (-0.06, 0.32), (-0.55, 0.36)), wide)
    c.line(frame, at((-0.2, 0.86), (-0.06, 0.32)), wide)
    c.line(frame, at((0.55, 0.36), (0.34, 0.98), (0.5, 1.0)), wide)
    c.line(c.ink("bicycle", "seat", "rubber", (54, 42, 38)), at((-0.36, 0.9), (-0.08, 0.9)), wide * 1.6)


_CIRCLE = (
    *((1.0, 0.0), (0.866, 0.5), (0.5, 0.866), (0.0, 1.0), (-0.5, 0.866), (-0.866, 0.5), (-1.0, 0.0)),
    *((-0.866, -0.5), (-0.5, -0.866), (0.0, -1.0), (0.5, -0.866), (0.866, -0.5), (1.0, 0.0)),
)


def rails(c: Canvas, y: Number, m: Number) -> None:
    """A bed of stones with sleepers and rails along row y; it belongs to the ground."""
    gravel = partial(c.ink, "road", material="stone", grain=2.0, texture="speckled", accent=(70, 66, 64))
    bed = gravel(color=c.chance.tone(of.STONE))
    c.box(bed, -1, y - m * 0.5, 101, y + m * 0.7)
    steel = c.ink("road", material="metal", color=(96, 88, 86))
    for row in (y - m * 0.1, y + m * 0.45):
        c.box(steel, -1, row, 101, row + max(m * 0.1, 0.8))


_ARCH = ((0.97, 0.3), (0.8, 0.66), (0.45, 0.92), (0, 1.0), (-0.45, 0.92), (-0.8, 0.66), (-0.97, 0.3))


def bridge(c: Canvas, left: Number, right: Number, y: Number, m: Number) -> None:
    """A bridge from `left` to `right` whose deck is at row y, on arches or beams."""
    r = c.chance
    stone = r.maybe(0.6)
    material = "stone" if stone else r.pick(("wood", "metal"))
    color = r.tone({"stone": (*of.STONE, *of.BRICK[:2]), "wood": of.WOOD, "metal": of.CARS[:5]}[material])
    texture = r.pick(("", "cracked", "scaly")) if stone else ""
    deep, arches = m * r.between(1.7, 2.4), r.count(1, 3)
    c.shadow((left + right) / 2, y + deep, (right - left) * 0.5, m * 0.5, 1.2)
    arch = c.ink("bridge", "arch", material, color, below=0.72, texture=texture, accent=0.7)
    span = (right - left) / arches
    pier, thick = span * 0.09, m * 0.35
    for k in range(arches):
        x0, x1 = left + k * span, left + (k + 1) * span
        middle, reach = (x0 + x1) / 2, span / 2 - pier
        outer = [(x0, y + deep), (x0, y), (x1, y), (x1, y + deep), (middle + reach, y + deep)]
        inner = points_from(middle, y + deep, reach, deep - thick)(*_ARCH)
        c.polygon(arch, *outer, *inner, (middle - reach, y + deep))
    deck = c.ink("bridge", "deck", material, shade(color, 1.15))
    c.box(deck, left - m * 0.2, y - m * 0.18, right + m * 0.2, y + m * 0.16)
    rail = c.ink("bridge", "rail", r.pick((material, "metal")), shade(color, 0.8))
    for share in (0.95, 0.55):
        c.box(rail, left, y - m * share, right, y - m * (share - 0.12))
    step = max(m * 0.9, 1.6)
    x = left
    while x < right:
        c.box(rail, x, y - m, x + max(m * 0.12, 0.5), y)
        x += step
