"""What people set up under the open sky: one short function an object."""

from functools import partial

from unitscope.lab.world import materials as of
from unitscope.lab.world.canvas import Canvas, points_from
from unitscope.lab.world.light import Number, mix, shade


def tent(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A tent with its entrance to the front."""
    r = c.chance
    half, tall, color = m * r.between(1.2, 1.7), m * r.between(1.5, 2.0), r.tone((*of.VIVID, *of.CLOTH[9:]))
    texture = r.pick(("", "", "striped", "banded", "chequered"))
    canvas = partial(c.ink, "tent", "canvas", "fabric", texture=texture, accent=shade(color, 0.75))
    lean = half * r.between(0.5, 0.9) * r.pick((-1, 1))
    c.shadow(x + lean / 2, y, half * 1.6, m * 0.3, 1.3)
    side = canvas(color=shade(color, 0.8))
    edge = x + half if lean > 0 else x - half
    c.polygon(side, (x, y - tall), (x + lean, y - tall * 0.94), (edge + lean, y - m * 0.15), (edge, y))
    c.polygon(canvas(color=shade(color, 1.08), below=color), (x, y - tall), (x + half, y), (x - half, y))
    dark = c.ink("tent", "entrance", "fabric", shade(color, 0.3), below=shade(color, 0.45))
    c.polygon(dark, (x, y - tall * 0.82), (x + half * 0.32, y), (x - half * 0.32, y))
    flap = canvas(color=shade(color, 1.25))
    c.polygon(flap, (x, y - tall * 0.82), (x + half * 0.32, y), (x + half * 0.6, y))


def stall(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A market stall: a counter full of goods under a canopy."""
    r = c.chance
    half, tall = m * r.between(1.2, 1.6), m * r.between(2.3, 2.7)
    color, wood = r.tone(of.VIVID), r.tone(of.WOOD)
    c.shadow(x, y, half * 1.2, m * 0.25, 1.3)
    back = c.ink("stall", "counter", "fabric", shade(color, 0.4))
    c.bar(back, x, half * 0.9, y - tall * 0.75, y - m * 0.8)
    post = c.ink("stall", "post", "wood", shade(wood, 0.85), form="pillar")
    for side in (-0.95, 0.95):
        c.bar(post, x + side * half, m * 0.06, y - tall, y)
    front = c.ink("stall", "counter", "wood", wood, below=0.75, texture=r.pick(("", "striped")), accent=0.8)
    c.bar(front, x, half, y - m * 0.9, y)
    for k in range(5):
        at = x + half * (-0.8 + 0.4 * k)
        goods = c.ink("stall", "counter", "foliage", r.tone((*of.VIVID, *of.FOLIAGE)), form="ball", grain=0.6)
        c.dome(goods, at, y - m * 0.88, half * 0.2, m * r.between(0.2, 0.32))
    texture = r.pick(("striped", "striped", "", "zigzagged", "chequered"))
    roof = c.ink("stall", "canopy", "fabric", color, below=0.85, texture=texture, accent=(246, 240, 228))
    c.taper(roof, x, (y - tall * 1.12, half * 0.85), (y - tall * 0.82, half * 1.2))
    hem = c.ink("stall", "canopy", "fabric", shade(color, 0.72))
    c.bar(hem, x, half * 1.2, y - tall * 0.82, y - tall * 0.76)


def crate(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A crate of boards, or two of them stacked."""
    r = c.chance
    half, tall = m * r.between(0.35, 0.5), m * r.between(0.5, 0.65)
    wood = r.tone((*of.WOOD[:4], *of.PAINTED[1:4]))
    wooden = partial(c.ink, "crate", material="wood")
    c.shadow(x, y, half * 1.3, m * 0.12, 1.2)
    for level in range(2 if r.maybe(0.4) else 1):
        low = y - level * tall
        face, top = wooden(color=wood, below=0.85), wooden(color=shade(wood, 1.15))
        c.block(face, top, (x - half, low - tall, x + half, low), m, 0.6)
        board = wooden(color=shade(wood, 0.6))
        for share in (0.05, 0.48, 0.88):
            c.bar(board, x, half, low - tall * (share + 0.09), low - tall * share)
        c.line(board, [(x - half * 0.9, low - tall * 0.1), (x + half * 0.9, low - tall * 0.9)], half * 0.16)


def sign(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A board with writing, on a pole."""
    r, tall, half = c.chance, m * c.chance.between(1.7, 2.3), m * c.chance.between(0.4, 0.65)
    c.shadow(x, y, half, m * 0.1)
    pole = c.ink("sign", "pole", r.pick(("wood", "metal")), r.tone((*of.WOOD, *of.METAL)), form="pillar")
    c.bar(pole, x, m * 0.07, y - tall, y)
    material, color = r.pick((("metal", r.tone(of.CARS)), ("wood", r.tone(of.WOOD))))
    board = c.ink("sign", "board", material, color, form="lifted", grain=0.4)
    shape, top = r.pick(("box", "box", "disc", "arrow")), y - tall
    if shape == "disc":
        c.oval(board, x, top, half * 0.8)
    elif shape == "arrow":
        at = points_from(x, top, half * r.pick((-1, 1)), half)
        c.polygon(board, *at((-1, 0.4), (0.7, 0.4), (1.15, 0), (0.7, -0.4), (-1, -0.4)))
    else:
        c.bar(board, x, half, top - half * 0.6, top + half * 0.6)
    white = c.ink("sign", "board", material, mix(color, (250, 250, 246), 0.85), grain=0.4)
    for row in (-0.22, 0.14):
        c.bar(white, x, half * 0.5, top + half * row, top + half * (row + 0.14))


def slide(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A playground slide with its ladder."""
    r, way = c.chance, c.chance.pick((-1, 1))
    tall, long = m * r.between(1.9, 2.4), m * r.between(2.4, 3.0)
    color, iron = r.tone(of.VIVID), r.tone((*of.METAL, *of.VIVID))
    c.shadow(x, y, long * 0.7, m * 0.2, 1.2)
    top = x - way * long * 0.35
    step = c.ink("slide", "ladder", "metal", iron, form="pillar")
    for shift in (0.0, 0.5):
        foot = top - way * m * (0.35 + shift)
        c.line(step, [(foot, y), (top - way * m * shift * 0.9, y - tall * 1.1)], m * 0.12)
    for k in range(1, 6):
        end, row = top - way * m * 0.34 * (1 - k / 6), y - tall * k / 6
        c.box(step, end - way * m * 0.48, row - m * 0.06, end, row + m * 0.05)
    head, run = points_from(top, y, way * m, tall), points_from(x, y, way * long, m)
    c.line(step, head((0.2, 1), (0.2, 0)), m * 0.12)
    chute = c.ink("slide", "chute", "metal", shade(color, 1.1), below=shade(color, 0.85), grain=0.3)
    slope = run((0.5, 0.42), (0.75, 0.36), (0.75, 0.08), (0.45, 0.1))
    c.polygon(chute, *head((-0.5, 1.02), (0.35, 1.02)), *slope, *head((0.2, 0.86), (-0.5, 0.88)))


def swing(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A frame with two swings."""
    r = c.chance
    half, tall, color = m * r.between(1.3, 1.7), m * r.between(2.1, 2.6), r.tone((*of.WOOD, *of.VIVID))
    material = r.pick(("wood", "metal"))
    c.shadow(x, y, half * 1.2, m * 0.15)
    post = c.ink("swing", "post", material, color, form="pillar")
    for side in (-1, 1):
        for foot in (-0.35, 0.35):
            c.line(post, [(x + side * half + m * foot, y), (x + side * half, y - tall)], m * 0.14)
    c.bar(post, x, half * 1.05, y - tall - m * 0.08, y - tall + m * 0.1)
    rope = c.ink("swing", "rope", "fabric", (190, 170, 130))
    seat = c.ink("swing", "seat", "rubber", r.tone(of.VIVID))
    for place in (-0.45, 0.45):
        sway, low = m * r.between(-0.4, 0.4), y - m * r.between(0.5, 0.7)
        middle, width = x + place * half, half * 0.2
        for edge in (-width, width):
            c.line(rope, [(middle + edge, y - tall), (middle + edge + sway, low)], max(m * 0.05, 0.4))
        c.box(seat, middle - width * 1.2 + sway, low - m * 0.06, middle + width * 1.2 + sway, low + m * 0.12)


def fountain(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A fountain: a round basin and its jet."""
    r = c.chance
    half, color = m * r.between(1.2, 1.7), r.tone((*of.STONE, *of.PLASTER[:3]))
    texture = r.pick(("", "scaly", "cracked", "marbled"))
    c.shadow(x, y, half * 1.3, m * 0.4, 1.2)
    wall = c.ink("fountain", "basin", "stone", color, below=0.75, texture=texture, accent=0.7, form="pillar")
    flat = half * 0.3
    c.oval(wall, x, y - flat * 0.4, half, flat)
    c.bar(wall, x, half, y - m * 0.55, y - flat * 0.4)
    c.oval(c.ink("fountain", "basin", "stone", shade(color, 1.2)), x, y - m * 0.55, half, flat)
    wet = shade(r.tone(of.WATER), 1.25)
    c.oval(c.ink("fountain", "basin", "water", wet, below=0.85), x, y - m * 0.53, half * 0.85, flat * 0.78)
    c.bar(wall, x, half * 0.1, y - m * 1.2, y - m * 0.5)
    jet = c.ink("fountain", "jet", "water", mix(wet, (250, 252, 255), 0.65), below=wet, shine=0.2)
    high = m * r.between(2.0, 2.6)
    for reach in (-0.75, -0.4, 0.4, 0.75):
        out = half * reach
        bow = [(x + out * 0.4, y - high), (x + out * 0.8, y - high * 0.75), (x + out, y - m * 0.5)]
        c.line(jet, [(x, y - m * 1.15), *bow], max(m * 0.13, 0.6))
    c.bar(jet, x, m * 0.1, y - high * 1.05, y - m * 1.1)


def dog(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A dog, seen from the side."""
    r, way = c.chance, c.chance.pick((-1, 1))
    tall, coat = m * r.between(0.48, 0.72), r.tone((*of.FUR, (206, 172, 120), (120, 118, 116)))
    long = tall * r.between(1.25, 1.5)
    c.shadow(x, y, long * 0.7, tall * 0.12, 1.2)
    at = points_from(x, y, way * long, tall)
    leg = c.ink("dog", "leg", "fur", shade(coat, 0.8), form="pillar")
    for place in (-0.36, -0.22, 0.24, 0.38):
        c.bar(leg, x + way * place * long, tall * 0.07, y - tall * 0.55, y)
    tail = c.ink("dog", "tail", "fur", shade(coat, 0.9))
    c.line(tail, at((-0.4, 0.75), (-0.66, r.between(0.9, 1.25))), tall * 0.13)
    body = c.ink("dog", "torso", "fur", coat, below=0.75, form="roll")
    c.oval(body, x, y - tall * 0.65, long * 0.46, tall * 0.25)
    head = c.ink("dog", "head", "fur", shade(coat, 1.06), below=shade(coat, 0.85), form="ball")
    c.oval(head, x + way * long * 0.5, y - tall * 0.98, tall * 0.25, tall * 0.22)
    c.oval(head, x + way * (long * 0.5 + tall * 0.24), y - tall * 0.9, tall * 0.17, tall * 0.11)
    ear = c.ink("dog", "head", "fur", shade(coat, 0.65))
    c.oval(ear, x + way * (long * 0.5 - tall * 0.12), y - tall * 0.96, tall * 0.09, tall * 0.2)
