"""Rooms, and what hangs on their walls and lies on their floors: one short function an object.

What hangs on the wall is painted around its middle (x, y), where one meter is `m` long.
"""

from dataclasses import dataclass
from functools import partial

from unitscope.lab.world import materials as of
from unitscope.lab.world.canvas import Canvas
from unitscope.lab.world.light import Number, mix, shade


@dataclass(frozen=True, slots=True)
class Room:
    """The back wall: from `left` to `right`, from `top` to `foot`; `m` is the length of a meter there."""

    left: Number
    right: Number
    top: Number
    foot: Number
    m: Number


def room(c: Canvas) -> Room:
    """Walls, floor and ceiling as they are seen from a random place."""
    r = c.chance
    c.horizon, c.eye, c.center = r.between(34, 46), r.between(1.25, 1.55), r.between(34, 66)
    foot = r.between(65, 75)
    m = c.meter(foot)
    top = foot - m * r.between(2.5, 2.9)
    left = r.between(6, 16) if r.maybe(0.4) else -1.0
    right = r.between(84, 94) if r.maybe(0.4) else 101.0
    _floor(c, foot)
    color = r.tone((*of.PLASTER, *of.WALLS), 0.18)
    material = r.pick(("plaster", "plaster", "plaster", "plaster", "brick", "wood"))
    texture = r.pick(("", "", "", "striped", "polka-dotted")) if material == "plaster" else ""
    paint = partial(c.ink, "wall", material=material, texture=texture)
    wall = paint(color=color, below=shade(color, 0.92), accent=shade(color, 0.87), form="even")
    side = paint(color=shade(color, 0.84), accent=shade(color, 0.73))
    white = mix(color, (250, 250, 246), 0.7)
    ceiling = c.ink("ceiling", material="plaster", color=white, below=0.94, grain=0.3)
    c.box(ceiling, 0, 0, 100, top)
    c.box(wall, left, top, right, foot)
    for edge, end in ((left, -30.0), (right, 130.0)):
        if 0 < edge < 100:
            ratio = (end - c.center) / (edge - c.center)
            rise = [(end, c.horizon + (row - c.horizon) * ratio) for row in (top, foot)]
            c.polygon(side, (edge, top), rise[0], rise[1], (edge, foot))
    board = c.ink("wall", material="wood", color=r.pick(((238, 234, 226), shade(color, 0.6))))
    c.box(board, left, foot - m * 0.1, right, foot)
    c.shadow((left + right) / 2, foot + 1, 70, 3.5, 0.6)
    return Room(left, right, top, foot, m)


def _floor(c: Canvas, foot: Number) -> None:
    r = c.chance
    material = r.pick(("wood", "wood", "ceramic", "fabric", "stone"))
    palettes = {"wood": of.WOOD, "ceramic": of.PLASTER, "fabric": of.CLOTH, "stone": of.STONE}
    color = r.tone(palettes[material], 0.2)
    texture = r.pick(("", "chequered")) if material in ("ceramic", "stone") else ""
    lay = partial(c.ink, "floor", material=material, texture=texture, grain=0.6, ground=True)
    ink = lay(color=shade(color, 1.05), below=shade(color, 0.86), accent=shade(color, 0.7))
    c.box(ink, 0, foot - 1, 100, 101)


def room_window(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A window in the wall, with the hour outside and sometimes curtains."""
    r, light = c.chance, c.light
    half, tall = m * r.between(0.45, 0.85), m * r.between(0.5, 0.7)
    frame = c.ink("window", "window frame", "wood", r.tone(((242, 240, 234), *of.WOOD[:3]), 0.04), grain=0.4)
    c.bar(frame, x, half, y - tall, y + tall)
    edge = m * 0.08
    glass = partial(c.ink, "window", "window pane", "glass", shine=1)
    pane = glass(light.zenith, below=light.horizon, form="even", grain=0.5)
    c.box(pane, x - half + edge, y - tall + edge, x + half - edge, y + tall - edge)
    if r.maybe(0.6):
        green = shade(r.tone(of.FOLIAGE), 0.35 if light.hour == "night" else 1.0)
        trees = glass(mix(green, light.horizon, 0.3))
        for place in (-0.55, 0.1, 0.6):
            c.dome(trees, x + place * half * 0.75, y + tall - edge, half * 0.24, tall * r.between(0.3, 0.8))
    c.bar(frame, x, edge * 0.3, y - tall, y + tall)
    c.bar(frame, x, half, y - edge * 0.3, y + edge * 0.3)
    c.bar(frame, x, half * 1.1, y + tall, y + tall + edge)
    if r.maybe(0.5):
        curtains(c, x, y, half, tall)


def curtains(c: Canvas, x: Number, y: Number, half: Number, tall: Number) -> None:
    r, color = c.chance, c.chance.tone(of.CLOTH)
    texture, accent = r.pick(("", "", "banded", "polka-dotted", "zigzagged")), r.tone(of.CLOTH)
    cloth = partial(c.ink, "curtain", material="fabric", form="pillar")
    ink = cloth(color=color, below=0.9, texture=texture, accent=accent)
    low, fold = y + tall * r.between(1.2, 1.6), half * 0.24
    for side in (-1, 1):
        for k in range(3):
            edge = x + side * half * 1.2
            left = edge - k * fold if side > 0 else edge + (k - 1) * fold - fold
            c.box(ink, left, y - tall * 1.15, left + fold * 1.05, low)
    rod = c.ink("curtain", material="metal", color=(110, 96, 80))
    c.box(rod, x - half * 1.4, y - tall * 1.22, x + half * 1.5, y - tall * 1.14)


def painting(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A painting of a landscape, or of nothing."""
    r = c.chance
    half, tall = m * r.between(0.25, 0.5), m * r.between(0.22, 0.4)
    c.shadow(x, y + tall * 0.4, half * 1.2, tall * 1.1, 0.7)
    frame = c.ink("painting", "picture frame", "wood", r.tone((*of.WOOD, (206, 170, 90), (40, 40, 44))))
    c.bar(frame, x, half, y - tall, y + tall)
    paint = partial(c.ink, "painting", "picture", "paper")
    edge = m * 0.06
    x0, x1, y0, y1 = x - half + edge, x + half - edge, y - tall + edge, y + tall - edge
    c.box(paint(r.tone(((176, 208, 226), (244, 226, 190), *of.VIVID))), x0, y0, x1, y1)
    if r.maybe(0.75):
        hill = paint(r.tone((*of.FOLIAGE, *of.AUTUMN, (88, 104, 140))))
        ridge = y0 + (y1 - y0) * r.between(0.4, 0.6)
        top, dip = (x0 + (x1 - x0) * 0.3, ridge - tall * 0.2), (x, ridge + tall * 0.2)
        c.polygon(hill, (x0, y1), (x0, ridge), top, dip, (x1, ridge), (x1, y1))
        c.oval(paint((250, 214, 110)), x + half * 0.35, y0 + tall * 0.35, tall * 0.16)


def clock(c: Canvas, x: Number, y: Number, m: Number) -> None:
    r, radius = c.chance, m * c.chance.between(0.16, 0.24)
    c.shadow(x, y + radius * 0.4, radius * 1.2, radius * 1.2, 0.7)
    c.oval(c.ink("clock", material="metal", color=r.tone((*of.METAL, *of.VIVID))), x, y, radius)
    c.oval(c.ink("clock", "dial", "paper", (246, 244, 236)), x, y, radius * 0.82)
    hand = c.ink("clock", "hand", "metal", (40, 40, 44))
    c.line(hand, [(x, y), (x + radius * r.between(-0.45, 0.45), y - radius * 0.4)], radius * 0.14)
    c.line(hand, [(x, y), (x + radius * 0.62, y + radius * r.between(-0.4, 0.4))], radius * 0.12)


def rug(c: Canvas, x: Number, y: Number, m: Number) -> None:
    r, half, depth = c.chance, m * c.chance.between(0.8, 1.3), c.chance.between(0.9, 1.5)
    color = r.tone(of.CLOTH)
    texture = r.pick(("striped", "banded", "zigzagged", "woven", "grid", "chequered", ""))
    cloth = partial(c.ink, "rug", material="fabric", grain=0.6)
    border = cloth(color=shade(color, 0.72))
    field = cloth(color=color, texture=texture, accent=r.tone(of.CLOTH), ground=True)
    for ink, inset in ((border, 0.0), (field, m * 0.09)):
        left, right, low = x - half + inset, x + half - inset, y - inset * 0.5
        far = depth - inset / m * 2.5
        c.polygon(ink, (left, low), (right, low), c.behind(right, low, m, far), c.behind(left, low, m, far))
