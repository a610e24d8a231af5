"""The larger furnishings of homes and public rooms: one short function an object.

What stands is painted by `piece(c, x, y, m)` with its foot at (x, y); what hangs on the wall is painted
around its middle.
"""

from functools import partial

from unitscope.lab.world import materials as of
from unitscope.lab.world.canvas import Canvas, points_from
from unitscope.lab.world.light import Number, mix, shade


def sofa(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A sofa seen from the front, with cushions."""
    r = c.chance
    half, color = m * r.between(0.8, 1.15), r.tone(of.CLOTH)
    texture = r.pick(("", "", "striped", "woven", "polka-dotted"))
    cloth = partial(c.ink, "sofa", texture=texture, accent=shade(color, 0.72))
    material = r.pick(("fabric", "fabric", "rubber"))
    c.shadow(x, y, half * 1.25, m * 0.18, 1.3)
    back = cloth("backrest", material, color, below=0.82, form="roll")
    c.bar(back, x, half, y - m * 0.92, y - m * 0.3)
    seat = cloth("seat", material, shade(color, 1.16), below=color)
    c.bar(seat, x, half * 0.9, y - m * 0.5, y - m * 0.3)
    front = cloth("seat", material, shade(color, 0.8))
    c.bar(front, x, half * 0.9, y - m * 0.3, y - m * 0.05)
    arm = cloth("backrest", material, shade(color, 1.05), below=shade(color, 0.78), form="pillar")
    for side in (-1, 1):
        c.bar(arm, x + side * half, m * 0.14, y - m * 0.66, y - m * 0.04)
    color, texture = r.tone(of.CLOTH), r.pick(("", "zigzagged", "grid"))
    pillow = c.ink("sofa", "pillow", "fabric", color, texture=texture, accent=(244, 240, 230), form="ball")
    for place in r.pick(((-0.6, 0.6), (-0.55,), (0.1, 0.55))):
        at = points_from(x + place * half, y, m, m)
        c.polygon(pillow, *at((-0.2, 0.76), (0.18, 0.8), (0.21, 0.46), (-0.17, 0.44)))


def bathtub(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A bathtub along the wall, with its faucet."""
    r = c.chance
    half, tall = m * r.between(0.8, 1.0), m * r.between(0.55, 0.65)
    white = r.tone((*of.WHITEWARE[:3], *of.PLASTER[3:6]))
    basin = partial(c.ink, "bathtub", "basin", "ceramic", grain=0.2)
    c.shadow(x, y, half * 1.15, m * 0.15, 1.2)
    shell = basin(white, below=0.8, form="roll")
    c.taper(shell, x, (y - tall, half), (y, half * 0.86))
    c.oval(basin(shade(white, 1.05)), x, y - tall, half * 1.04, m * 0.16)
    inside = r.pick((shade(white, 0.72), shade(r.tone(of.WATER), 1.5)))
    c.oval(basin(inside), x, y - tall + m * 0.01, half * 0.9, m * 0.11)
    tap = c.ink("bathtub", "faucet", "metal", (170, 176, 184), form="pillar")
    at = points_from(x, y - tall, half * r.pick((-0.8, 0.8)), m)
    c.line(tap, at((1, 0), (1, 0.32), (0.72, 0.3)), m * 0.08)


def toilet(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A toilet with its tank against the wall."""
    white = c.chance.tone(of.WHITEWARE[:3])
    c.shadow(x, y, m * 0.4, m * 0.1, 1.2)
    ware = partial(c.ink, "toilet", material="ceramic", grain=0.2)
    tank = ware("tank", color=white, below=0.85, form="pillar")
    c.bar(tank, x, m * 0.26, y - m * 0.95, y - m * 0.5)
    c.bar(ware("tank", color=shade(white, 1.06)), x, m * 0.29, y - m * 0.99, y - m * 0.92)
    bowl = ware(color=shade(white, 0.96), below=shade(white, 0.74), form="pillar")
    c.taper(bowl, x, (y - m * 0.42, m * 0.25), (y, m * 0.14))
    lid = c.chance.tone((*of.WHITEWARE[:2], *of.WOOD[:2], (60, 64, 72)))
    c.oval(ware("seat", color=lid), x, y - m * 0.44, m * 0.28, m * 0.13)
    c.oval(ware("seat", color=shade(lid, 0.62)), x, y - m * 0.43, m * 0.17, m * 0.07)


def mirror(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A mirror on the wall, round or square."""
    r = c.chance
    half, tall, round_one = m * r.between(0.3, 0.5), m * r.between(0.42, 0.6), r.maybe(0.4)
    edge, color = m * 0.07, r.tone((*of.WOOD, (206, 170, 90), (214, 216, 220), (44, 46, 52)))
    c.shadow(x, y + tall * 0.3, half * 1.2, tall * 1.1, 0.6)
    frame = c.ink("mirror", "mirror frame", r.pick(("wood", "metal")), color)
    pane = partial(c.ink, "mirror", material="glass", form="even")
    glass, glint = pane(color=(208, 226, 236), below=(150, 174, 190), grain=1.6), pane(color=(238, 246, 250))
    if round_one:
        c.oval(frame, x, y, half)
        c.oval(glass, x, y, half - edge)
        tall = half
    else:
        c.bar(frame, x, half, y - tall, y + tall)
        c.box(glass, x - half + edge, y - tall + edge, x + half - edge, y + tall - edge)
    at = points_from(x, y, half, tall)
    for shift in (-0.25, 0.1):
        c.line(glint, at((shift - 0.2, -0.4), (shift + 0.35, 0.45)), m * 0.05)


def towel(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A towel on its rail."""
    r = c.chance
    half, tall, color = m * r.between(0.2, 0.32), m * r.between(0.3, 0.45), r.tone(of.CLOTH)
    texture = r.pick(("", "banded", "striped", "woven", "polka-dotted"))
    rail = c.ink("towel", material="metal", color=(150, 154, 160))
    c.bar(rail, x, half * 1.3, y - tall - m * 0.06, y - tall)
    cloth = partial(c.ink, "towel", material="fabric", form="pillar", grain=1.6)
    ink = cloth(color=color, below=0.85, texture=texture, accent=r.tone(of.CLOTH))
    c.bar(ink, x, half, y - tall - m * 0.03, y + tall)


def blackboard(c: Canvas, x: Number, y: Number, m: Number, wide: Number = 1.3) -> None:
    """A blackboard (or a white one) with writing, `wide` meters to either side of its middle."""
    r = c.chance
    half, tall = m * wide, m * r.between(0.5, 0.62)
    wood, slate = r.tone(of.WOOD), r.pick(((44, 74, 62), (48, 50, 54), (40, 62, 70), (226, 230, 228)))
    c.bar(c.ink("blackboard", material="wood", color=wood), x, half, y - tall, y + tall)
    edge = m * 0.07
    face = c.ink("blackboard", "board", "stone", slate, below=1.15, grain=0.5)
    c.box(face, x - half + edge, y - tall + edge, x + half - edge, y + tall - edge)
    color = mix(slate, (40, 60, 130) if slate[0] > 200 else (244, 244, 238), 0.8)
    chalk = c.ink("blackboard", "board", "stone", color, grain=0.4)
    for row in (-0.55, -0.2, 0.15, 0.5):
        start, top = x - half * r.between(0.6, 0.85), y + tall * row
        c.box(chalk, start, top, start + half * r.between(0.3, 1.3), top + max(m * 0.05, 0.4))
    ledge = c.ink("blackboard", material="wood", color=shade(wood, 0.8))
    c.bar(ledge, x, half, y + tall, y + tall + m * 0.08)


def sculpture(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A figure on a pedestal."""
    r = c.chance
    stone = r.tone((*of.STONE, *of.PLASTER[:2]))
    bronze = r.tone(((118, 92, 62), (86, 112, 98), (232, 228, 220), (60, 60, 64)))
    base, half = m * r.between(0.6, 0.9), m * r.between(0.24, 0.32)
    c.shadow(x, y, half * 1.6, m * 0.12, 1.2)
    pedestal, texture = partial(c.ink, "sculpture", "pedestal", "stone"), r.pick(("", "marbled"))
    c.bar(pedestal(stone, below=0.78, texture=texture, accent=0.75), x, half, y - base, y)
    c.bar(pedestal(shade(stone, 1.15)), x, half * 1.2, y - base - m * 0.06, y - base)
    figure = partial(c.ink, "sculpture", "figure", r.pick(("metal", "stone")), grain=0.5)
    low, tall = y - base - m * 0.06, m * r.between(0.8, 1.1)
    ink = figure(color=bronze, below=shade(bronze, 0.7), form="ball")
    kind = r.pick(("bust", "ring", "tower"))
    if kind == "bust":
        c.dome(ink, x, low, half * 1.15, tall * 0.42)
        c.bar(ink, x, half * 0.3, low - tall * 0.6, low - tall * 0.3)
        c.oval(ink, x, low - tall * 0.72, half * 0.62, tall * 0.25)
    elif kind == "ring":
        c.bar(ink, x, half * 0.15, low - tall * 0.3, low)
        c.oval(ink, x, low - tall * 0.62, half * 1.2, tall * 0.4)
        c.oval(figure(color=shade(bronze, 0.45)), x, low - tall * 0.62, half * 0.55, tall * 0.18)
    else:
        turn = half * r.between(0.4, 0.8) * r.pick((-1, 1))
        top = points_from(x + turn, low, half, tall)((0.3, 1), (-0.5, 1))
        c.polygon(ink, (x - half, low), (x + half, low), *top)
        c.oval(ink, x - turn * 0.3, low - tall * 0.55, half * 1.1, tall * 0.16)


def fireplace(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A fireplace against the wall, burning or cold."""
    r = c.chance
    half, tall = m * r.between(0.7, 0.9), m * r.between(1.05, 1.25)
    material = r.pick(("brick", "stone", "plaster"))
    color = r.tone({"brick": of.BRICK, "stone": of.STONE, "plaster": of.PLASTER}[material])
    texture = r.pick(("", "cracked")) if material == "stone" else ""
    mantel = c.ink("fireplace", "mantel", material, color, below=0.85, texture=texture, accent=0.6)
    c.shadow(x, y, half * 1.2, m * 0.12)
    c.block(mantel, mantel, (x - half, y - tall, x + half, y), m, 0.3)
    board = c.ink("fireplace", "mantel", "wood", r.tone(of.WOOD))
    c.bar(board, x, half * 1.12, y - tall - m * 0.1, y - tall + m * 0.03)
    hole = c.ink("fireplace", material="stone", color=(34, 28, 28), below=(58, 44, 40))
    c.bar(hole, x, half * 0.6, y - tall * 0.68, y - m * 0.02)
    if r.maybe(0.75):
        c.glow(x, y - m * 0.2, m * 1.3, (255, 150, 60), 0.35)
        for place, high in ((-0.3, 0.34), (0.0, 0.5), (0.28, 0.38)):
            for ink_color, size in (((240, 120, 40), 1.0), ((255, 214, 100), 0.55)):
                flame = c.ink("fireplace", "flame", "", ink_color, shine=1)
                at, reach, low = x + place * half, half * 0.2 * size, y - m * 0.06
                c.polygon(flame, (at - reach, low), (at, y - tall * high * 1.2 * size), (at + reach, low))


def refrigerator(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A refrigerator with two doors, one above the other."""
    r = c.chance
    half, tall = m * r.between(0.32, 0.4), m * r.between(1.6, 1.9)
    color = r.tone((*of.WHITEWARE, *of.VIVID[:2], (150, 190, 186)), 0.05)
    c.shadow(x, y, half * 1.3, m * 0.14, 1.2)
    body = c.ink("refrigerator", material="metal", color=shade(color, 0.8), grain=0.4)
    c.block(body, body, (x - half, y - tall, x + half, y), m, 0.6)
    panel = c.ink("refrigerator", "door panel", "metal", color, below=0.88, form="lifted", grain=0.4)
    side = r.pick((-1, 1))
    knob = c.ink("refrigerator", "handle", "metal", (72, 76, 84))
    for high, low in ((0.985, 0.68), (0.66, 0.04)):
        c.bar(panel, x, half * 0.94, y - tall * high, y - tall * low)
        middle = y - tall * (0.8 if high > 0.9 else 0.48)
        c.box(knob, x + side * half * 0.6, middle - m * 0.12, x + side * half * 0.78, middle + m * 0.12)


def stairs(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """Stairs along the back wall that lead up and out of sight."""
    r, way = c.chance, c.chance.pick((-1, 1))
    wood, steps = r.tone((*of.WOOD, *of.PLASTER[:2])), 9
    wide, rise = m * 0.26, m * 0.2
    start = x - way * steps * wide / 2
    c.shadow(x, y, steps * wide * 0.6, m * 0.15)
    for k in range(steps):
        left, right = sorted((start + way * k * wide, start + way * (k + 1) * wide))
        top = y - rise * (k + 1)
        face = c.ink("stairs", "step", "wood", shade(wood, 0.86 if k % 2 else 0.94), below=shade(wood, 0.6))
        c.box(face, left, top, right, y)
        c.box(c.ink("stairs", "step", "wood", shade(wood, 1.25)), left, top, right, top + m * 0.05)
    rail = c.ink("stairs", "rail", "wood", shade(wood, 0.55))
    for k in range(0, steps + 1, 2):
        at, top = start + way * (k + 0.2) * wide, y - rise * (k + 0.7)
        c.bar(rail, at, m * 0.025, top - m * 0.75, top)
    end = start + way * steps * wide
    c.line(rail, [(start, y - m * 0.85), (end, y - rise * steps - m * 0.85)], m * 0.09)
