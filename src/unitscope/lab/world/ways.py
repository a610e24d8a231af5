"""Roads and water ways, what moves on them and what bounds them: one short function an object."""

from collections.abc import Sequence
from functools import partial

from unitscope.lab.world import materials as of
from unitscope.lab.world.canvas import FOCAL, Canvas, Point, points_from
from unitscope.lab.world.light import Number, mix, shade

Quad = tuple[Point, Point, Point, Point]


def road(c: Canvas, edges: Sequence[Point], dashes: Sequence[Sequence[Point]]) -> None:
    """A road inside the given edges, with its lane marking."""
    color = c.chance.tone(of.ASPHALT)
    far = shade(color, 1.12)
    asphalt = c.ink("road", material="asphalt", color=far, below=shade(color, 0.92), ground=True)
    c.polygon(asphalt, *edges)
    white = c.ink("road", "lane marking", "asphalt", (226, 224, 212), grain=0.4)
    for dash in dashes:
        c.polygon(white, *dash)


def level_road(c: Canvas, top: Number, bottom: Number) -> None:
    """A road that crosses the picture."""
    middle, thick = top + (bottom - top) * 0.45, (bottom - top) * 0.035
    start = c.chance.between(-14, 0)
    dashes: list[Quad] = []
    while start < 100:
        low = middle + thick
        dashes.append(((start + 1, middle), (start + 10, middle), (start + 9, low), (start, low)))
        start += 18
    road(c, ((-1, top), (101, top), (101, bottom), (-1, bottom)), dashes)


def long_road(c: Canvas, half: Number, far: Number = 400) -> None:
    """A road that runs away from us."""
    near = c.eye * FOCAL / (110 - c.horizon)

    def on_ground(*points: Point) -> list[Point]:
        return [c.project(right, 0, distance) for right, distance in points]

    dashes = []
    for k in range(12):
        a, b = near + k * 6, near + k * 6 + 2.4
        dashes.append(on_ground((-0.12, a), (0.12, a), (0.12, b), (-0.12, b)))
    road(c, on_ground((-half, near), (-half, far), (half, far), (half, near)), dashes)


def sidewalk(c: Canvas, *edges: Point) -> None:
    texture = c.chance.pick(("", "grid"))
    color = c.chance.tone(of.PAVING, 0.06)
    paving = partial(c.ink, "sidewalk", material="stone", grain=0.5, ground=True)
    c.polygon(paving(color=color, texture=texture, accent=0.84), *edges)


def car(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A car from the side."""
    r = c.chance
    color, way = r.tone(of.CARS), r.pick((-1, 1))
    long, high = m * r.between(3.8, 4.5), m * r.between(1.35, 1.6)
    at = points_from(x, y, way * long, high)
    c.shadow(x, y, long * 0.6, high * 0.24, 1.5)
    steel = partial(c.ink, "car", "car body", "metal", form="roll", grain=0.5)
    back = at((-0.5, 0.2), (-0.5, 0.56), (-0.42, 0.64), (-0.3, 0.96), (-0.22, 1))
    front = at((0.1, 1), (0.16, 0.96), (0.3, 0.64), (0.46, 0.56), (0.5, 0.44), (0.5, 0.2))
    c.polygon(steel(shade(color, 1.1), below=shade(color, 0.72)), *back, *front)
    glass = c.ink("car", "window pane", "glass", mix((70, 88, 104), c.light.horizon, 0.4), below=(62, 76, 90))
    c.polygon(glass, *at((-0.36, 0.63), (-0.27, 0.91), (-0.08, 0.92), (-0.08, 0.63)))
    c.polygon(glass, *at((-0.05, 0.63), (-0.05, 0.92), (0.09, 0.91), (0.24, 0.63)))
    lamp = c.ink("car", "headlight", "glass", of.LAMPLIGHT, shine=0.7)
    c.box(lamp, *at((0.44, 0.5))[0], *at((0.5, 0.38))[0])
    tire = c.ink("car", "wheel", "rubber", (36, 36, 40), form="ball")
    hub = c.ink("car", "wheel", "metal", (176, 180, 186), form="ball")
    for place in (-0.3, 0.31):
        wheel = (x + way * place * long, y - high * 0.2)
        c.oval(tire, *wheel, high * 0.24)
        c.oval(hub, *wheel, high * 0.11)


def boat(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A boat on the water, with sails or without."""
    r = c.chance
    half, deep, color = m * r.between(1.8, 3.2), m * r.between(0.7, 1.1), r.tone((*of.CARS, *of.WOOD))
    c.shadow(x, y, half * 1.1, deep * 0.5, 1.2)
    if r.maybe(0.7):
        _rigging(c, x, y - deep, half)
    hull = c.ink("boat", "hull", "wood", shade(color, 1.12), below=shade(color, 0.7), form="roll", grain=0.6)
    at = points_from(x, y, half, deep)
    c.polygon(hull, *at((-1, 1), (1.1, 1.15), (0.75, 0), (-0.75, 0)))
    rim = c.ink("boat", "hull", "wood", mix(color, (255, 255, 255), 0.6))
    c.polygon(rim, *at((-1, 1), (1.1, 1.15), (1.02, 0.9), (-0.96, 0.78)))


def _rigging(c: Canvas, x: Number, y: Number, half: Number) -> None:
    tall, r = half * c.chance.between(1.5, 2.2), c.chance
    c.line(c.ink("boat", "mast", "wood", (120, 92, 66)), [(x, y), (x, y - tall)], half * 0.06)
    texture = r.pick(("", "", "banded", "striped"))
    color, accent = r.pick(((246, 242, 232), (236, 226, 204), r.tone(of.VIVID))), r.tone(of.VIVID)
    sail = c.ink("boat", "sail", "fabric", color, below=0.86, texture=texture, accent=accent, form="pillar")
    at = points_from(x, y, half, tall)
    c.polygon(sail, *at((0.06, 0.97), (0.95, 0.1), (0.06, 0.1)))
    if r.maybe(0.7):
        c.polygon(sail, *at((-0.06, 0.85), (-0.8, 0.08), (-0.06, 0.12)))


def pier(c: Canvas, x: Number, near: Number, far: Number) -> None:
    """A wooden pier from the row `near` out to the row `far`."""
    m0, m1 = c.meter(near), c.meter(far)
    tip = c.center + (x - c.center) * m1 / m0
    wood = c.chance.tone(of.WOOD)
    post = c.ink("pier", "post", "wood", shade(wood, 0.6), form="pillar")
    for share in (0.1, 0.4, 0.7, 1.0):
        y, m = far + (near - far) * share, m1 + (m0 - m1) * share
        middle = tip + (x - tip) * share
        for side in (-1.1, 1.1):
            c.bar(post, middle + side * m, m * 0.1, y - m * 0.9, y + m * 0.35)
    deck = c.ink("pier", "deck", "wood", shade(wood, 1.15), below=wood, ground=True, grain=1.3)
    front, back = near - m0 * 0.4, far - m1 * 0.4
    c.polygon(deck, (x - m0, front), (tip - m1, back), (tip + m1, back), (x + m0, front))


def fence(c: Canvas, left: Number, right: Number, y: Number, m: Number) -> None:
    """A fence along a row, of wood or metal."""
    r = c.chance
    iron = r.maybe(0.25)
    material, color = (
        "metal" if iron else "wood",
        r.tone(of.METAL if iron else (*of.WOOD[:4], (238, 236, 230))),
    )
    rail = c.ink("fence", "rail", material, shade(color, 0.9))
    post = c.ink("fence", "post", material, color, form="pillar")
    tall, step = m * r.between(0.9, 1.2), m * (0.45 if iron else r.between(0.8, 1.6))
    for share in (0.4, 0.8):
        c.box(rail, left, y - tall * share - tall * 0.06, right, y - tall * share + tall * 0.06)
    width = tall * (0.04 if iron else 0.08)
    x = left
    while x < right:
        c.bar(post, x, width, y - tall, y)
        x += max(step, 1.5)
