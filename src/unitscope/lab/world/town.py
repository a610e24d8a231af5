"""Buildings, with their windows and doors: one short function an object.

A thing that stands somewhere is painted by `thing(c, x, y, m)`, its foot at (x, y).
"""

from functools import partial

from unitscope.lab.world import materials as of
from unitscope.lab.world.canvas import Canvas, Ink, Point
from unitscope.lab.world.light import Color, Number, mix, shade

Quad = tuple[Point, Point, Point, Point]


def window(c: Canvas, x: Number, y: Number, width: Number, height: Number, frame: Color) -> None:
    """A window seen from outside; (x, y) is its upper left corner."""
    edge = min(width, height) * 0.13
    c.box(c.ink("window", "window frame", "wood", frame, grain=0.3), x, y, x + width, y + height)
    x0, y0, x1, y1 = x + edge, y + edge, x + width - edge, y + height - edge
    _pane(c, ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
    bar = c.ink("window", "window frame", "wood", frame, grain=0.3)
    if width * c.scale > 7:
        c.bar(bar, x + width / 2, edge * 0.35, y + edge, y + height - edge)


def _pane(c: Canvas, corners: Quad) -> None:
    """Glass: dark by day with a hint of the sky, often lit in the evening."""
    glass = partial(c.ink, "window", "window pane", "glass")
    if c.light.dark and c.chance.maybe(0.6):
        ink = glass(c.chance.tone((of.LAMPLIGHT, (250, 206, 124))), shine=0.9)
    else:
        top = mix((58, 74, 92), c.light.zenith, 0.4)
        ink = glass(mix(top, c.light.horizon, 0.35), below=top)
    c.polygon(ink, *corners)


def door(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A closed door, with its foot at (x, y)."""
    half, height = m * 0.48, m * 2.05
    color = c.chance.tone((*of.WOOD, *of.PAINTED))
    c.bar(c.ink("door", material="wood", color=shade(color, 0.75)), x, half * 1.15, y - height * 1.04, y)
    c.bar(c.ink("door", material="wood", color=color), x, half, y - height, y)
    panel = c.ink("door", "door panel", "wood", shade(color, 0.86), form="lifted")
    for low, high in ((0.1, 0.45), (0.54, 0.92)):
        c.bar(panel, x, half * 0.7, y - height * high, y - height * low)
    knob = c.ink("door", "handle", "metal", (226, 196, 108), form="ball", shine=0.3)
    c.oval(knob, x + half * 0.82, y - height * 0.48, max(m * 0.06, 0.35))


def _walls(c: Canvas) -> tuple[str, Color]:
    material = c.chance.pick(("brick", "plaster", "plaster", "wood", "stone"))
    palette = {"brick": of.BRICK, "plaster": of.PLASTER, "wood": (*of.WOOD, *of.PAINTED), "stone": of.STONE}
    return material, c.chance.tone(palette[material])


def house(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A house with a pitched roof: gable to the front, or its eaves."""
    r = c.chance
    half, height, rise = m * r.between(2.8, 4.6), m * r.between(2.8, 5.2), m * r.between(1.6, 2.8)
    (material, color), tiles = _walls(c), r.tone(of.ROOF)
    facade = c.ink("house", "facade", material, color, below=0.92)
    roof = c.ink("house", "roof", "ceramic", shade(tiles, 1.08), below=shade(tiles, 0.86), grain=0.8)
    top, over = y - height, half * 0.1
    c.shadow(x, y, half * 1.35, m * 0.45)
    if r.maybe(0.4):
        at, foot = x + half * r.pick((-0.55, 0.55)), top - rise * 0.4
        chimney = c.ink("house", "chimney", "brick", r.tone(of.BRICK), form="pillar")
        c.bar(chimney, at, m * 0.32, foot - rise * 0.95, foot)
    gable = r.maybe(0.5)
    flank = c.ink("house", "facade", material, shade(color, 0.78))
    c.block(flank, roof, (x - half, top, x + half, y), m, half / m * 0.9)
    c.bar(facade, x, half, top, y)
    eaves = (x - half - over, top + over), (x + half + over, top + over)
    if gable:
        c.polygon(roof, eaves[0], (x, top - rise), eaves[1])
        c.polygon(facade, (x - half, top + over), (x, top - rise * 0.78), (x + half, top + over))
    else:
        c.polygon(roof, eaves[0], (x - half * 0.8, top - rise), (x + half * 0.8, top - rise), eaves[1])
    _house_front(c, x, y, m, half, height)


def _house_front(c: Canvas, x: Number, y: Number, m: Number, half: Number, height: Number) -> None:
    r = c.chance
    frame = r.pick(((240, 238, 232), (92, 74, 62), (70, 96, 104)))
    floors, places = max(1, int(height / m / 2.4)), (-0.62, 0.0, 0.62)
    at_door = r.pick(places)
    for level in range(floors):
        for place in places:
            foot = y - height * level / floors
            if level == 0 and place == at_door:
                door(c, x + place * half, y, m)
            else:
                wide, tall = half * 0.3, height / floors * 0.46
                window(c, x + place * half - wide / 2, foot - height / floors * 0.78, wide, tall, frame)


def building(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A block of flats or a shop with several floors above."""
    r = c.chance
    half, floors = m * r.between(3.2, 5), r.count(3, 6)
    material, color = _walls(c)
    height = floors * m * 2.9
    c.shadow(x, y, half * 1.3, m * 0.5)
    facade = c.ink("building", "facade", material, color, below=0.9)
    flank = c.ink("building", "facade", material, shade(color, 0.74))
    c.block(flank, facade, (x - half, y - height, x + half, y), m, 5)
    c.bar(facade, x, half, y - height, y)
    roof = c.ink("building", "roof", "ceramic", r.tone(of.ROOF), form="lifted", grain=0.5)
    c.bar(roof, x, half * 1.05, y - height - m * 0.5, y - height + m * 0.1)
    frame, across = r.pick(((240, 238, 232), (92, 74, 62), (64, 68, 76))), r.count(2, 4)
    for level in range(1, floors):
        for place in range(across):
            left = x - half + 2 * half * (place + 0.25) / across
            window(c, left, y - (level + 0.82) * m * 2.9, half / across, m * 1.7, frame)
    _ground_floor(c, x, y, m, half)


def _ground_floor(c: Canvas, x: Number, y: Number, m: Number, half: Number) -> None:
    r = c.chance
    side = r.pick((-1, 1))
    door(c, x + side * half * 0.6, y, m)
    left, right = sorted((x - side * half * 0.85, x + side * half * 0.25))
    window(c, left, y - m * 2.1, right - left, m * 1.5, (70, 66, 64))
    if r.maybe(0.6):
        awning(c, left - m * 0.2, right + m * 0.2, y - m * 2.2, m)


def awning(c: Canvas, left: Number, right: Number, y: Number, m: Number) -> None:
    texture = c.chance.pick(("striped", "striped", "", "zigzagged"))
    slant, top, low = m * 0.3, y - m * 0.5, y + m * 0.25
    ink = _awning_cloth(c, texture)
    c.polygon(ink, (left, top), (right, top), (right + slant, low), (left - slant, low))


def _awning_cloth(c: Canvas, texture: str) -> Ink:
    cloth = partial(c.ink, "building", "awning", "fabric", accent=(244, 240, 230))
    return cloth(c.chance.tone(of.VIVID), texture=texture)


def street_wall(c: Canvas, side: int, near: Number, far: Number, offset: Number) -> None:
    """One building of a street seen lengthwise: a wall on one side that runs away from us."""
    r = c.chance
    (material, color), floors = _walls(c), r.count(2, 5)
    height = floors * 3.0
    facade = c.ink("building", "facade", material, color, below=0.86, form="even")
    c.polygon(facade, *_wall_quad(c, side * offset, 0, height, near, far))
    end = c.ink("building", "facade", material, shade(color, 0.8), form="even")
    corners = ((offset, 0), (offset, height), (offset + 9, height), (offset + 9, 0))
    c.polygon(end, *(c.project(side * right, up, far) for right, up in corners))
    roof = c.ink("building", "roof", "ceramic", r.tone(of.ROOF), form="even")
    c.polygon(roof, *_wall_quad(c, side * (offset - 0.3), height - 0.2, height + 0.7, near, far))
    frame = c.ink("window", "window frame", "wood", r.pick(((240, 238, 232), (92, 74, 62))), grain=0.3)
    across = max(2, int((far - near) / 3))
    step = (far - near) / across
    for level in range(floors):
        for place in range(across):
            start = near + (place + 0.25) * step
            if level == 0 and place == across // 2:
                _side_door(c, side * offset, start, start + 1.3)
            else:
                _side_window(c, frame, side * offset, level * 3 + 0.9, start, start + step * 0.5)
    if r.maybe(0.5):
        _side_awning(c, side, offset, near, near + (far - near) * 0.6)


def _wall_quad(c: Canvas, right: Number, low: Number, high: Number, near: Number, far: Number) -> Quad:
    first, second = (c.project(right, up, near) for up in (low, high))
    third, fourth = (c.project(right, up, far) for up in (high, low))
    return first, second, third, fourth


def _side_window(c: Canvas, frame: Ink, right: Number, sill: Number, near: Number, far: Number) -> None:
    c.polygon(frame, *_wall_quad(c, right, sill, sill + 1.6, near, far))
    edge = (far - near) * 0.12
    _pane(c, _wall_quad(c, right, sill + 0.15, sill + 1.45, near + edge, far - edge))


def _side_door(c: Canvas, right: Number, near: Number, far: Number) -> None:
    color = c.chance.tone((*of.WOOD, *of.PAINTED))
    c.polygon(c.ink("door", material="wood", color=color), *_wall_quad(c, right, 0, 2.2, near, far))
    panel = c.ink("door", "door panel", "wood", shade(color, 0.82))
    c.polygon(panel, *_wall_quad(c, right, 0.3, 1.9, near + 0.25, far - 0.25))


def _side_awning(c: Canvas, side: int, offset: Number, near: Number, far: Number) -> None:
    edges = ((side * offset, 2.9, near), (side * offset, 2.9, far))
    out = side * (offset - 1.3)
    c.polygon(
        _awning_cloth(c, "striped"),
        *(c.project(*corner) for corner in (*edges, (out, 2.3, far), (out, 2.3, near))),
    )
