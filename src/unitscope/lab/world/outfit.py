"""Things that people put into a landscape or a room alike, and those who use them."""

from functools import partial

from unitscope.lab.world import materials as of
from unitscope.lab.world.canvas import Canvas, points_from
from unitscope.lab.world.light import Color, Number, shade


def person(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """Someone who stands there, grown up or a child."""
    r = c.chance
    tall = m * (r.between(1.05, 1.35) if r.maybe(0.2) else r.between(1.58, 1.88))
    skin, w = r.tone(of.SKIN, 0.04), tall * 0.135
    c.shadow(x, y, tall * 0.22, tall * 0.045, 1.3)
    _legs(c, x, y, tall, w)
    _torso(c, x, y, tall, w, skin)
    head = c.ink("person", "head", "skin", skin, form="ball")
    hair = c.ink("person", "hair", "fur", r.tone(of.HAIR), form="ball")
    if r.maybe(0.45):
        c.bar(hair, x, w * 0.56, y - tall * 0.93, y - tall * 0.8)
    c.bar(head, x, w * 0.3, y - tall * 0.88, y - tall * 0.81)
    c.oval(hair, x, y - tall * 0.935, w * 0.56, tall * 0.075)
    turn = x + r.between(-0.12, 0.12) * w
    c.oval(head, turn, y - tall * 0.915, w * 0.47, tall * 0.065)
    if w * c.scale > 12:
        eye = c.ink("person", "head", "skin", (44, 36, 34), form="even")
        for side in (-0.2, 0.2):
            c.oval(eye, turn + side * w, y - tall * 0.922, w * 0.055, w * 0.07)


def _legs(c: Canvas, x: Number, y: Number, tall: Number, w: Number) -> None:
    r, color = c.chance, c.chance.tone(of.CLOTH)
    leg = c.ink("person", "leg", "fabric", color, below=0.84, form="pillar")
    shoe = c.ink("person", "leg", "rubber", r.tone(((58, 50, 46), (232, 230, 226), (40, 42, 50))))
    stride = w * r.between(0.05, 0.45)
    for side in (-1, 1):
        hip, foot = y - tall * 0.5, (x + side * (stride + w * 0.42), y)
        c.polygon(leg, (x + side * w * 0.7, hip), (x, hip), (x + side * stride, y), foot)
        c.oval(shoe, x + side * (stride + w * 0.28), y, w * 0.3, tall * 0.018)
    if r.maybe(0.25):
        c.taper(leg, x, (y - tall * 0.52, w * 0.7), (y - tall * 0.26, w))


def _torso(c: Canvas, x: Number, y: Number, tall: Number, w: Number, skin: Color) -> None:
    r, color = c.chance, c.chance.tone(of.CLOTH)
    texture = r.pick(("", "", "", "banded", "chequered", "polka-dotted"))
    shirt = c.ink("person", "torso", "fabric", color, texture=texture, accent=r.tone(of.CLOTH), form="pillar")
    at = points_from(x, y, w, tall)
    c.polygon(shirt, *at((-1, 0.8), (-0.5, 0.83), (0.5, 0.83), (1, 0.8), (0.72, 0.47), (-0.72, 0.47)))
    sleeve = ("skin", skin) if r.maybe(0.5) else ("fabric", shade(color, 0.88))
    arm = c.ink("person", "arm", *sleeve, form="pillar")
    for side in (-1, 1):
        out = w * r.between(1.1, 1.5)
        hand = (x + side * out * 1.05, y - tall * (0.46 if r.maybe(0.85) else 0.72))
        c.line(arm, [*at((side * 0.88, 0.79)), (x + side * out, y - tall * 0.63), hand], w * 0.36)


def cow(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A cow from the side."""
    r, way = c.chance, c.chance.pick((-1, 1))
    color, long, tall = r.tone(of.FUR, 0.06), m * 1.9, m * 1.35
    c.shadow(x, y, long * 0.6, tall * 0.1, 1.3)
    at = points_from(x, y, way * long, tall)
    leg = c.ink("cow", "leg", "fur", shade(color, 0.82), form="pillar")
    for place in (-0.4, -0.28, 0.22, 0.34):
        c.box(leg, *at((place - 0.035, 0.5))[0], *at((place + 0.035, 0))[0])
    coat = c.ink("cow", "torso", "fur", shade(color, 1.05), below=shade(color, 0.76), form="roll")
    spine = at((-0.47, 0.62), (-0.44, 0.9), (-0.3, 0.96), (0.2, 0.93), (0.4, 1.0))
    c.polygon(coat, *spine, *at((0.46, 0.7), (0.34, 0.44), (0, 0.36), (-0.36, 0.42)))
    if r.maybe(0.6):
        patch = c.ink("cow", "torso", "fur", r.pick(((50, 44, 44), (240, 236, 228))), form="ball")
        for place, size in ((-0.34, 0.09), (-0.26, 0.11), (-0.02, 0.08), (0.06, 0.12), (0.3, 0.08)):
            c.oval(patch, *at((place, r.between(0.62, 0.82)))[0], long * size, tall * r.between(0.09, 0.15))
    horn = c.ink("cow", "horn", "stone", (226, 216, 190))
    c.line(horn, at((0.46, 1.22), (0.5, 1.12), (0.58, 1.22)), m * 0.07)
    face = c.ink("cow", "head", "fur", color, below=0.8, form="roll")
    jaw = at((0.62, 0.76), (0.52, 0.82), (0.42, 0.78))
    c.polygon(face, *at((0.38, 1.02), (0.44, 1.16), (0.56, 1.12), (0.68, 0.86)), *jaw)


def bird(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A bird in flight."""
    r, span = c.chance, m * c.chance.between(0.7, 1.0)
    color = r.pick(((244, 244, 242), (74, 76, 86), (196, 200, 206)))
    lift = span * r.between(0.25, 0.55)
    wing = c.ink("bird", "wing", "fur", shade(color, 0.9))
    for side in (-1, 1):
        feathers = points_from(x, y, side * span, lift)((0.5, 1), (1, 0.55), (0.45, 0.55))
        c.polygon(wing, (x - span * 0.1, y), *feathers, (x + span * 0.1, y + span * 0.06))
    c.oval(c.ink("bird", "torso", "fur", color, form="ball"), x, y, span * 0.26, span * 0.13)


def bench(c: Canvas, x: Number, y: Number, m: Number) -> None:
    r, half = c.chance, m * c.chance.between(0.7, 1.0)
    wood = r.tone(of.WOOD)
    c.shadow(x, y, half * 1.2, m * 0.16, 1.2)
    leg = c.ink("bench", "leg", "metal", r.tone(of.METAL), form="pillar")
    for side in (-0.8, 0.8):
        c.bar(leg, x + side * half, m * 0.05, y - m * 0.9, y)
    back = c.ink("bench", "backrest", "wood", wood)
    for share in (0.88, 0.68):
        c.bar(back, x, half, y - m * share, y - m * (share - 0.14))
    seat = c.ink("bench", "seat", "wood", shade(wood, 1.12), below=shade(wood, 0.8))
    c.taper(seat, x, (y - m * 0.5, half * 0.95), (y - m * 0.36, half * 1.06))


def street_lamp(c: Canvas, x: Number, y: Number, m: Number) -> None:
    r, tall = c.chance, m * c.chance.between(3.4, 4.8)
    iron = r.tone((*of.METAL[1:2], *of.METAL[3:], (60, 84, 76)))
    c.shadow(x, y, m * 0.5, m * 0.1)
    c.bar(c.ink("lamp", "pole", "metal", iron, form="pillar"), x, m * 0.07, y - tall, y)
    c.bar(c.ink("lamp", "pole", "metal", iron, form="pillar"), x, m * 0.15, y - m * 0.4, y)
    _bulb(c, x, y - tall - m * 0.2, m * 0.27)
    cap = c.ink("lamp", "shade", "metal", shade(iron, 0.9), form="lifted")
    c.dome(cap, x, y - tall - m * 0.32, m * 0.4, m * 0.3)


def _bulb(c: Canvas, x: Number, y: Number, radius: Number) -> None:
    if c.light.dark:
        c.glow(x, y, radius * 7, of.LAMPLIGHT, 0.5)
    color = of.LAMPLIGHT if c.light.dark else (236, 232, 214)
    shine = 0.9 if c.light.dark else 0.2
    c.oval(c.ink("lamp", "bulb", "glass", color, shine=shine, form="even"), x, y, radius)


def lamp(c: Canvas, x: Number, y: Number, m: Number, tall: Number = 0.55) -> None:
    """A lamp with a shade: on a table, or with tall = 1.6 on the floor."""
    r, high = c.chance, m * tall
    pole = c.ink("lamp", "pole", "metal", r.tone((*of.METAL, *of.WOOD)), form="pillar")
    size = m * r.between(0.15, 0.22)
    c.bar(pole, x, m * 0.03, y - high * 0.8, y)
    c.oval(pole, x, y - m * 0.03, size * 0.75, m * 0.05)
    lit = r.maybe(0.85 if c.light.dark else 0.3)
    color = r.tone(((250, 226, 170), (244, 200, 150), (238, 232, 214), *of.VIVID[:5]), 0.05)
    if lit:
        c.glow(x, y - high * 0.85, m * 1.3, of.LAMPLIGHT, 0.4)
        bulb = c.ink("lamp", "bulb", "glass", (255, 244, 206), shine=1)
        c.oval(bulb, x, y - high * 0.8, size * 0.4, size * 0.5)
    cover = c.ink("lamp", "shade", "fabric", color, below=1.1, form="pillar", shine=0.85 if lit else 0.0)
    c.taper(cover, x, (y - high, size * 0.6), (y - high + size * 1.35, size))


def umbrella(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A sunshade on a pole."""
    r, tall, half = c.chance, m * c.chance.between(1.9, 2.3), m * c.chance.between(1.0, 1.4)
    c.shadow(x, y, half, m * 0.22, 1.2)
    c.bar(c.ink("umbrella", "pole", "wood", (214, 206, 190)), x, m * 0.04, y - tall, y)
    texture = r.pick(("", "striped", "banded", "chequered", "polka-dotted"))
    cloth, white = partial(c.ink, "umbrella", "canopy", "fabric"), (246, 242, 232)
    cover = cloth(r.tone(of.VIVID), below=0.82, texture=texture, accent=white, form="ball")
    c.dome(cover, x, y - tall * 0.72, half, tall * 0.36)
    if not texture:
        wedge = cloth(white, form="lifted")
        low, top = y - tall * 0.72, y - tall * 1.07
        for a, b in ((-0.62, -0.25), (0.25, 0.62)):
            c.polygon(wedge, (x, top), (x + a * half, low), (x + b * half, low))


def table(c: Canvas, x: Number, y: Number, m: Number, half: Number | None = None) -> Number:
    """A table; the row of its top's middle comes back, for things to stand on."""
    r = c.chance
    wide, high = half or m * r.between(0.55, 0.9), m * r.between(0.7, 0.78)
    stone = r.maybe(0.15)
    wood = r.tone(of.PLASTER if stone else (*of.WOOD, (236, 232, 224)))
    c.shadow(x, y, wide * 1.25, m * 0.2, 1.2)
    leg = c.ink("table", "leg", "wood", shade(wood, 0.74), form="pillar", grain=0.3)
    back = c.behind(x, y, m, 0.7)
    ratio = (back[1] - c.horizon) / (y - c.horizon)
    for side in (-0.9, 0.9):
        foot = back[0] + side * wide * ratio
        c.bar(leg, foot, m * 0.035, back[1] - high * ratio, back[1])
    for side in (-0.92, 0.92):
        c.bar(leg, x + side * wide, m * 0.045, y - high, y)
    texture = r.pick(("", "", "", "chequered")) if not stone else "marbled"
    slab = partial(c.ink, "table", "tabletop", "stone" if stone else "wood")
    top = slab(shade(wood, 1.14), below=wood, texture=texture, accent=shade(wood, 0.72), grain=0.8)
    edge = slab(shade(wood, 0.86))
    c.block(edge, top, (x - wide, y - high, x + wide, y - high + m * 0.07), m, 0.7)
    lift = c.behind(x, y - high, m, 0.35)
    return lift[1]


def chair(c: Canvas, x: Number, y: Number, m: Number) -> None:
    r, half = c.chance, m * 0.24
    color = r.tone((*of.WOOD, *of.CLOTH))
    material = "wood" if r.maybe(0.55) else "fabric"
    texture = r.pick(("", "striped", "woven")) if material == "fabric" else ""
    c.shadow(x, y, half * 1.6, m * 0.1, 1.1)
    leg = c.ink("chair", "leg", "wood", shade(color, 0.6), form="pillar", grain=0.3)
    for side, foot in ((-0.8, -0.09), (0.8, -0.09), (-0.95, 0.0), (0.95, 0.0)):
        c.bar(leg, x + side * half, m * 0.03, y - m * 0.45, y + foot * m)
    back = c.ink("chair", "backrest", material, color, texture=texture, accent=1.4, form="lifted")
    c.taper(back, x, (y - m * 0.95, half * 0.85), (y - m * 0.5, half * 0.95))
    seat = c.ink("chair", "seat", material, shade(color, 1.12), below=shade(color, 0.85))
    c.taper(seat, x, (y - m * 0.52, half * 0.9), (y - m * 0.4, half * 1.1))
