"""Furniture: one short function an object.

A piece is painted by `piece(c, x, y, m)`: its foot is at (x, y) and one meter is `m` long there.
"""

from functools import partial

from unitscope.lab.world import materials as of
from unitscope.lab.world.canvas import Canvas, points_from
from unitscope.lab.world.light import Color, Number, Span, mix, shade


def bed(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A bed seen from its foot; the row y is that of its foot end."""
    r = c.chance
    half, depth, high = m * r.between(0.55, 0.95), r.between(1.9, 2.1), m * 0.5
    wood, linen = r.tone((*of.WOOD, (232, 228, 220))), r.tone(((246, 244, 240), *of.CLOTH[8:]), 0.04)
    far = c.behind(x, y, m, depth)
    ratio = (far[1] - c.horizon) / (y - c.horizon)
    c.shadow(x, y - m * 0.1, half * 1.3, m * 0.35, 1.2)
    head, wide = c.ink("bed", "headboard", "wood", wood, below=0.8, form="lifted"), half * ratio
    c.bar(head, far[0], wide * 1.05, far[1] - m * ratio * 1.15, far[1])
    sheet, sides = (c.ink("bed", "mattress", "fabric", shade(linen, tone)) for tone in (1.04, 0.92))
    c.block(sides, sheet, (x - half, y - high, x + half, y), m, depth)
    _blanket(c, (x - half * 1.03, y - high * 1.06, x + half * 1.03, y - high * 0.2), m, depth * 0.62)
    c.bar(c.ink("bed", "headboard", "wood", shade(wood, 0.85)), x, half, y - high * 0.22, y)
    cushion = c.ink("bed", "pillow", "fabric", linen, below=0.84, form="ball")
    top = c.behind(x, y - high, m, depth * 0.84)
    for side in (-0.47, 0.47):
        c.oval(cushion, top[0] + side * wide, top[1] - m * 0.06, wide * 0.42, m * ratio * 0.15)


def _blanket(c: Canvas, box: tuple[Number, Number, Number, Number], m: Number, depth: Number) -> None:
    r, cloth = c.chance, c.chance.tone(of.CLOTH)
    texture = r.pick(("", "", "striped", "chequered", "banded", "polka-dotted", "zigzagged"))
    ink = partial(c.ink, "bed", "blanket", "fabric", texture=texture)
    second = r.tone(of.CLOTH)
    top = ink(cloth, below=shade(cloth, 1.12), accent=second, grain=1.5)
    c.block(ink(shade(cloth, 0.8), below=shade(cloth, 0.66), accent=shade(second, 0.74)), top, box, m, depth)


def cabinet(
    c: Canvas,
    x: Number,
    y: Number,
    m: Number,
    *,
    half: Number = 0.0,
    tall: Number = 0.0,
    color: Color | None = None,
) -> Number:
    """A cabinet with drawers or doors; the row of its top comes back."""
    r = c.chance
    half, tall = half or m * r.between(0.35, 0.7), tall or m * r.between(0.6, 1.1)
    wood = color or r.tone((*of.WOOD, *of.PAINTED))
    c.shadow(x, y, half * 1.25, m * 0.14, 1.1)
    front = c.ink("cabinet", material="wood", color=wood, below=0.85, grain=0.7)
    top, box = c.ink("cabinet", material="wood", color=shade(wood, 1.16)), (x - half, y - tall, x + half, y)
    c.block(front, top, box, m, 0.45)
    drawers(c, box, m, wood)
    return c.behind(x, y - tall, m, 0.2)[1]


def drawers(c: Canvas, box: tuple[Number, Number, Number, Number], m: Number, wood: Color) -> None:
    """Fronts of drawers or doors over a box, with handles."""
    x0, y0, x1, y1 = box
    across = max(1, round((x1 - x0) / m / 0.5))
    down = max(1, round((y1 - y0) / m / c.chance.pick((0.3, 0.9))))
    color = shade(wood, 1.06)
    panel = c.ink("cabinet", "drawer", "wood", color, below=shade(wood, 0.92), form="lifted", grain=0.7)
    knob = c.ink("cabinet", "handle", "metal", c.chance.pick(((214, 212, 204), (60, 58, 58), (212, 178, 96))))
    gap, wide, high = m * 0.04, (x1 - x0) / across, (y1 - y0) / down
    for i in range(across):
        for j in range(down):
            left, top = x0 + i * wide, y0 + j * high
            c.box(panel, left + gap, top + gap, left + wide - gap, top + high - gap)
            grip = top + high * 0.2
            c.box(knob, left + wide * 0.38, grip, left + wide * 0.62, grip + max(m * 0.04, 0.8))


def shelf(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A high shelf full of books."""
    r = c.chance
    half, tall = m * r.between(0.4, 0.65), m * r.between(1.5, 2.1)
    wood, boards = r.tone((*of.WOOD, (236, 232, 224))), r.count(4, 5)
    c.shadow(x, y, half * 1.2, m * 0.14)
    outer = c.ink("shelf", material="wood", color=wood)
    c.block(outer, outer, (x - half, y - tall, x + half, y), m, 0.3)
    inner, edge, step = c.ink("shelf", material="wood", color=shade(wood, 0.5)), m * 0.05, tall / boards
    for k in range(boards):
        floor = y - k * step - edge
        left = x - half + edge
        c.box(inner, left, floor - step + edge * 1.4, x + half - edge, floor)
        books(c, (left, left + (half - edge) * 2 * r.between(0.5, 1)), floor, m, step * 0.82)


def books(c: Canvas, span: Span, y: Number, m: Number, tall: Number = 0.0) -> None:
    """Books that stand side by side."""
    r, x = c.chance, span[0]
    while x < span[1] - m * 0.03:
        wide = m * r.between(0.05, 0.11)
        ink = c.ink("book", material="paper", color=r.tone(of.CLOTH), form="pillar")
        c.box(ink, x, y - (tall or m * 0.26) * r.between(0.68, 0.98), min(x + wide, span[1]), y)
        x += wide


def monitor(c: Canvas, x: Number, y: Number, m: Number) -> None:
    r, half = c.chance, m * c.chance.between(0.26, 0.42)
    body = c.ink("monitor", "stand", "metal", r.pick(((54, 56, 60), (190, 194, 198))))
    c.bar(body, x, m * 0.04, y - m * 0.16, y)
    c.oval(body, x, y, half * 0.5, m * 0.04)
    edge, top, low = m * 0.035, y - m * 0.13 - half * 1.3, y - m * 0.13
    c.bar(c.ink("monitor", material="metal", color=(40, 42, 46)), x, half, top, low)
    glow = r.tone(((92, 156, 214), (224, 232, 240), (36, 48, 66), (96, 176, 160), (30, 32, 36)))
    screen = c.ink("monitor", "screen", "glass", glow, below=0.75, shine=0.85, grain=0.4)
    c.box(screen, x - half + edge, top + edge, x + half - edge, low - edge)
    if r.maybe(0.6):
        page = c.ink("monitor", "screen", "glass", mix(glow, (255, 255, 255), 0.55), shine=0.85)
        c.box(page, x - half * 0.7, top + half * 0.3, x + half * r.between(-0.1, 0.5), low - half * 0.3)


def stove(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A stove with its oven and four burners."""
    half, tall, body = m * 0.34, m * 0.9, c.chance.tone(of.WHITEWARE, 0.04)
    front = c.ink("stove", material="metal", color=body, below=0.86)
    c.shadow(x, y, half * 1.2, m * 0.12)
    plate = c.ink("stove", material="metal", color=shade(body, 0.62))
    c.block(front, plate, (x - half, y - tall, x + half, y), m, 0.6)
    oven = c.ink("stove", "oven door", "glass", (44, 44, 50), below=(84, 74, 66), form="lifted")
    c.bar(oven, x, half * 0.78, y - tall * 0.62, y - tall * 0.2)
    handle = c.ink("stove", "handle", "metal", (206, 208, 210))
    c.bar(handle, x, half * 0.72, y - tall * 0.72, y - tall * 0.67)
    burner = c.ink("stove", "burner", "metal", (34, 34, 38))
    for depth in (0.15, 0.44):
        spot = c.behind(x, y - tall, m, depth)
        for side in (-0.48, 0.48):
            c.oval(burner, spot[0] + side * half, spot[1], half * 0.28, max(half * 0.09, 0.5))
    for side in (-0.6, -0.2, 0.2, 0.6):
        c.oval(burner, x + side * half, y - tall * 0.88, m * 0.035)


def sink(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A basin set on top of something at row y, with its faucet."""
    half, steel = m * c.chance.between(0.26, 0.36), c.chance.pick(((206, 210, 214), (240, 240, 238)))
    tap = c.ink("sink", "faucet", "metal", (168, 174, 182), form="pillar")
    high = m * 0.34
    c.line(tap, [(x, y - m * 0.06), *points_from(x, y, half, high)((0, 1), (0.5, 1), (0.5, 0.7))], m * 0.055)
    basin = partial(c.ink, "sink", "basin", "ceramic", grain=0.2)
    c.oval(basin(steel, form="lifted"), x, y, half, m * 0.1)
    c.oval(basin(shade(steel, 0.66), below=shade(steel, 0.85)), x, y + m * 0.01, half * 0.84, m * 0.07)
