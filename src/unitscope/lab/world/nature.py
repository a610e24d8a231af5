"""Land, sky and what grows: one short function an object.

A thing that stands somewhere is painted by `thing(c, x, y, m)`: its foot is at (x, y) and one meter is
`m` long there. A ground or a sky takes the rows it fills.
"""

import math

from unitscope.lab.world import materials as of
from unitscope.lab.world.canvas import Canvas, Point, points_from
from unitscope.lab.world.light import Color, Number, mix, shade


def sky(c: Canvas, bottom: Number) -> None:
    """The sky down to a row, with the sun or the moon and clouds as the hour has them."""
    light, r = c.light, c.chance
    ink = c.ink("sky", color=light.zenith, below=light.horizon, form="even", shine=1, grain=0.6)
    c.box(ink, 0, 0, 100, bottom + 1)
    if light.hour in ("golden", "dusk") or (light.hour == "day" and r.maybe(0.35)):
        sun(c, bottom)
    if light.hour == "night" and r.maybe(0.75):
        moon(c, bottom)
    most = {"overcast": 6, "night": 2}.get(light.hour, 4)
    for _ in range(r.count(0, most)):
        cloud(c, r.between(0, 100), r.between(0.08, 0.75) * bottom, r.between(7, 17))


def sun(c: Canvas, bottom: Number) -> None:
    low = c.light.hour != "day"
    x, radius = 50 + c.light.side * c.chance.between(10, 42), c.chance.between(3.0, 5.0)
    y = bottom * c.chance.between(*((0.55, 0.95) if low else (0.12, 0.4)))
    color = (255.0, 214.0, 150.0) if low else (255.0, 246.0, 206.0)
    c.glow(x, y, radius * 5, color, 0.3)
    c.oval(c.ink("sun", color=color, form="even", shine=1), x, y, radius)


def moon(c: Canvas, bottom: Number) -> None:
    x, y, radius = c.chance.between(8, 92), bottom * c.chance.between(0.12, 0.5), c.chance.between(3.0, 4.5)
    c.glow(x, y, radius * 4, (150.0, 165.0, 210.0), 0.28)
    c.oval(c.ink("moon", color=(240.0, 236.0, 214.0), form="even", shine=1, grain=4), x, y, radius)


def cloud(c: Canvas, x: Number, y: Number, width: Number) -> None:
    """A heap of puffs on a flat foot, lit as the sky is."""
    r, light = c.chance, c.light
    white = mix((255.0, 255.0, 255.0), light.horizon, 0.3 if light.hour == "day" else 0.72)
    dim = mix(white, light.zenith, 0.32)
    ink = c.ink("cloud", color=white, below=dim, form="even", shine=1)
    c.oval(ink, x, y, width, width * 0.16)
    for place in (-0.55, -0.15, 0.3, 0.62):
        size = width * r.between(0.2, 0.34) * (1.25 - abs(place) * 0.6)
        c.dome(ink, x + place * width, y + width * 0.06, size * 1.25, size)


def mountains(c: Canvas, foot: Number, height: Number, *, snow: bool) -> None:
    """A ridge across the picture, its peaks lit from one side."""
    r = c.chance
    color = r.tone(((104, 112, 126), (122, 116, 110), (92, 112, 104), (118, 104, 122)))
    peaks = [(place + r.between(-9, 9), foot - height * r.between(0.55, 1)) for place in (4, 30, 56, 82, 104)]
    for top in sorted(peaks, key=lambda peak: peak[1]):
        _peak(c, top, foot, color, snow and top[1] < foot - height * 0.62)


def _peak(c: Canvas, top: Point, foot: Number, color: Color, snow: bool) -> None:
    r = c.chance
    rise = foot - top[1]
    reach = rise * r.between(1.0, 1.5)
    left = [(top[0] - reach * k + r.between(-1, 1), top[1] + rise * k) for k in (0.3, 0.62, 1)]
    right = [(top[0] + reach * k + r.between(-1, 1), top[1] + rise * k) for k in (0.34, 0.6, 1)]
    spine = [(top[0] + r.between(-0.16, 0.16) * rise, top[1] + rise * k) for k in (0.3, 0.6, 1)]
    bright, dim = (left, right) if c.light.side < 0 else (right, left)
    for edge, factor in ((dim, 0.72), (bright, 1.06)):
        ink = c.ink("mountain", "slope", "stone", shade(color, factor), form="even", grain=0.45)
        c.polygon(ink, top, *edge, *reversed(spine))
    if snow:
        low = [_between(top, edge[1], 0.62) for edge in (left, right)]
        middle = [_between(low[0], low[1], k) for k in (0.25, 0.5, 0.75)]
        teeth = [(x, y + rise * d) for (x, y), d in zip(middle, (0.1, -0.06, 0.09), strict=True)]
        white = c.ink("mountain", "snow cap", "snow", (238, 242, 250), below=(206, 216, 234), form="ball")
        c.polygon(white, top, left[0], low[0], *teeth, low[1], right[0])


def _between(a: Point, b: Point, share: Number) -> Point:
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)


def _rolling(c: Canvas, y: Number, swell: Number) -> list[Point]:
    """The upper edge of a land that is not quite level."""
    phase, length = c.chance.between(0, 6.3), c.chance.between(18, 34)
    return [(x, y + swell * math.sin(x / length + phase)) for x in range(-2, 106, 6)]


def grass(c: Canvas, y: Number, *, swell: Number = 0.0, color: Color | None = None) -> None:
    """Grass from row y to the lower edge."""
    base = color or c.chance.tone(of.LAWN)
    far, near = mix(base, (196, 202, 150), 0.18), shade(base, 0.8)
    ink = c.ink("grass", material="foliage", color=far, below=near, grain=0.6, ground=True)
    c.polygon(ink, *_rolling(c, y, swell), (106, 101), (-2, 101))


def sand(c: Canvas, y: Number, *, swell: Number = 0.0) -> None:
    base = c.chance.tone(of.SAND, 0.05)
    ink = c.ink("sand", material="sand", color=base, below=0.93, ground=True)
    c.polygon(ink, *_rolling(c, y, swell), (106, 101), (-2, 101))


def water(c: Canvas, y: Number, bottom: Number = 100) -> None:
    """Water from row y down, mirroring the sky in the distance."""
    base = c.chance.tone(of.WATER)
    far = mix(base, c.light.horizon, 0.45)
    ink = c.ink("water", material="water", color=far, below=base, form="even", grain=1.2, ground=True)
    c.box(ink, 0, y, 100, bottom + 1)
    if c.light.hour in ("golden", "dusk"):
        c.glow(50 + c.light.side * 25, y + (bottom - y) * 0.3, 26, c.light.horizon, 0.35)


def surf(c: Canvas, y: Number) -> None:
    """The foam where the water meets the sand."""
    ink = c.ink("water", material="water", color=(236, 244, 246), form="even")
    edge = _rolling(c, y, 1.0)
    c.polygon(ink, *((x, y - 0.9) for x, y in edge), *reversed(edge))


def tree(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A broad-leaved tree or a conifer."""
    if c.chance.maybe(0.32):
        conifer(c, x, y, m)
    else:
        broad_tree(c, x, y, m)


def broad_tree(c: Canvas, x: Number, y: Number, m: Number) -> None:
    r = c.chance
    height, leaf = m * r.between(3.8, 6.5), r.tone(of.AUTUMN if r.maybe(0.16) else of.FOLIAGE)
    _trunk(c, x, y, height * 0.6, height * r.between(0.045, 0.07))
    radius = height * r.between(0.24, 0.32)
    middle = y - height + radius
    puffs = {200: 0.72, 340: 0.76, 90: 0.74, 150: 0.86, 30: 0.9, 0: 1, 240: 1.06, 300: 1.04}
    for angle, tone in puffs.items():
        reach = radius * (0.0 if angle == 0 else r.between(0.5, 0.75))
        turn, size = math.radians(angle + r.between(-14, 14)), radius * r.between(0.52, 0.66)
        ink = c.ink("tree", "crown", "foliage", shade(leaf, tone), form="ball")
        right, down = math.cos(turn) * reach * 1.1, math.sin(turn) * reach * 0.85
        c.oval(ink, x + right, middle + down, size * 1.1, size)


def conifer(c: Canvas, x: Number, y: Number, m: Number) -> None:
    height, leaf = m * c.chance.between(4.5, 8), c.chance.tone(of.FOLIAGE[2:5])
    _trunk(c, x, y, height * 0.3, height * 0.035)
    half = height * c.chance.between(0.19, 0.26)
    for k in range(5):
        low, width = y - height * (0.12 + 0.165 * k), half * (1 - 0.17 * k)
        tip = min(low - height * 0.3, y - height * (0.42 + 0.145 * k))
        ink = c.ink("tree", "crown", "foliage", shade(leaf, 1.12), below=shade(leaf, 0.72), form="pillar")
        at = points_from(x, low, width, height)
        c.polygon(ink, *at((-1, 0), (-0.4, 0.025), (0, -0.02), (0.45, 0.02), (1, 0)), (x, tip))


def palm(c: Canvas, x: Number, y: Number, m: Number) -> None:
    r = c.chance
    height, lean = m * r.between(4.5, 7), m * r.between(-1.2, 1.2)
    top = (x + lean, y - height)
    c.shadow(x, y, m * 1.2, m * 0.3)
    bark = c.ink("tree", "trunk", "wood", r.tone(((150, 122, 92), (128, 102, 78))), form="pillar", grain=0.5)
    c.line(bark, [(x, y), (x + lean * 0.25, y - height * 0.5), top], m * 0.22)
    leaf = r.tone(of.FOLIAGE)
    for k, angle in enumerate((-172, -8, 160, 20, -140, -40, -90)):
        turn, long = math.radians(angle + r.between(-9, 9)), m * r.between(1.5, 2.0)
        tip = (top[0] + math.cos(turn) * long, top[1] + math.sin(turn) * long * 0.7 + m * 0.5)
        bend = (top[0] + math.cos(turn) * long * 0.55, top[1] + math.sin(turn) * long * 0.6 - m * 0.25)
        ink = c.ink("tree", "crown", "foliage", shade(leaf, 0.76 + 0.05 * k), form="lifted")
        c.polygon(ink, top, (bend[0], bend[1] - m * 0.12), tip, (bend[0], bend[1] + m * 0.3))


def _trunk(c: Canvas, x: Number, y: Number, height: Number, half: Number) -> None:
    c.shadow(x, y, half * 9, half * 2.2)
    color = c.chance.tone(((104, 78, 58), (128, 104, 84), (84, 68, 58)))
    ink, at = c.ink("tree", "trunk", "wood", color, form="pillar", grain=0.4), points_from(x, y, half, height)
    c.polygon(ink, *at((-1.5, 0), (-0.8, 0.3), (-0.6, 1), (0.6, 1), (0.8, 0.3), (1.5, 0)))


def bush(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A low plant, sometimes in blossom."""
    r, size = c.chance, m * c.chance.between(0.45, 0.8)
    leaf = r.tone(of.FOLIAGE)
    c.shadow(x, y, size * 1.4, size * 0.3)
    for place, tone in ((-0.6, 0.8), (0.6, 0.84), (0.0, 1.0)):
        ink = c.ink("plant", "leaves", "foliage", shade(leaf, tone), form="ball")
        c.dome(ink, x + place * size, y, size * 0.75, size * (1.15 - abs(place) * 0.4))
    if r.maybe(0.5):
        _blossoms(c, x, y - size * 0.55, size * 0.8, size * 0.14)


def _blossoms(c: Canvas, x: Number, y: Number, spread: Number, size: Number) -> None:
    ink = c.ink("plant", "blossom", "foliage", c.chance.tone(of.VIVID), form="lifted", grain=0.3)
    for _ in range(7):
        c.oval(ink, x + c.chance.between(-1, 1) * spread, y + c.chance.between(-0.6, 0.6) * spread, size)


def plant(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A plant in a pot."""
    r = c.chance
    height, leaf = m * r.between(0.7, 1.2), r.tone(of.FOLIAGE)
    pot, top = height * 0.17, y - height * 0.3
    c.shadow(x, y, pot * 2.2, pot * 0.5)
    clay = r.tone((*of.BRICK, (230, 226, 220), (88, 108, 124)))
    c.taper(c.ink("plant", "pot", "ceramic", clay, form="pillar", grain=0.3), x, (top, pot), (y, pot * 0.7))
    for angle in (-165, -15, -140, -40, -115, -65, -90):
        turn, long = math.radians(angle + r.between(-10, 10)), height * r.between(0.42, 0.68)
        tip = (x + math.cos(turn) * long * 0.75, top + math.sin(turn) * long)
        side = (-math.sin(turn) * long * 0.16, math.cos(turn) * long * 0.16)
        middle = ((x + tip[0]) / 2, (top + tip[1]) / 2 - long * 0.06)
        ink = c.ink("plant", "leaves", "foliage", shade(leaf, r.between(0.8, 1.15)), form="lifted", grain=0.6)
        edges = [(middle[0] + way * side[0], middle[1] + way * side[1]) for way in (1, -1)]
        c.polygon(ink, (x, top), edges[0], tip, edges[1])
    if r.maybe(0.3):
        _blossoms(c, x, y - height * 0.7, height * 0.25, height * 0.055)


def rock(c: Canvas, x: Number, y: Number, m: Number) -> None:
    r, width = c.chance, m * c.chance.between(0.5, 1.3)
    color, turns = r.tone(of.STONE), [math.pi * k / 6 for k in range(7)]
    c.shadow(x, y, width * 1.2, width * 0.22)
    rim = [
        (x - math.cos(t) * width * r.between(0.85, 1.05), y - math.sin(t) * width * r.between(0.55, 0.75))
        for t in turns
    ]
    stone = c.ink("rock", material="stone", color=shade(color, 1.1), below=shade(color, 0.72), form="ball")
    c.polygon(stone, *rim)
    lit = [
        (x + (px - x) * 0.5 + c.light.side * width * 0.25, y - width * 0.18 + (py - y) * 0.66)
        for px, py in rim[1:6]
    ]
    c.polygon(c.ink("rock", material="stone", color=shade(color, 1.22), form="lifted"), *lit)
