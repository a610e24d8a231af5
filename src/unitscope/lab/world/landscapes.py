"""The scenes under the open sky: what stands together, one short function a scene."""

from functools import partial
from itertools import pairwise

from unitscope.lab.world.arrangement import Stage
from unitscope.lab.world.canvas import Canvas
from unitscope.lab.world.light import Number, Span
from unitscope.lab.world.nature import (
    broad_tree,
    bush,
    conifer,
    grass,
    mountains,
    palm,
    plant,
    rock,
    sand,
    sky,
    surf,
    tree,
    water,
)
from unitscope.lab.world.outfit import bench, bird, chair, cow, person, street_lamp, table, umbrella
from unitscope.lab.world.town import building, house, street_wall
from unitscope.lab.world.ways import boat, car, fence, level_road, long_road, pier, sidewalk


def choose_view(c: Canvas, low: Number, high: Number, eye: Span) -> Number:
    """Chooses where the horizon is and how high the eye; paints the sky; the horizon's row comes back."""
    c.horizon, c.eye, c.center = c.chance.between(low, high), c.chance.between(*eye), c.chance.between(35, 65)
    sky(c, c.horizon)
    return c.horizon


def paint_backdrop(c: Canvas, rows: Span, *, town: Number, hills: Number) -> None:
    """What stands far away: mountains, trees, houses, pale with the distance."""
    r, stage = c.chance, Stage(c)
    if r.maybe(hills):
        c.haze = r.between(0.3, 0.5)
        mountains(c, c.horizon + 1, r.between(10, 26), snow=r.maybe(0.4))
    c.haze = 0.22
    if r.maybe(town):
        stage.scatter(house if r.maybe(0.6) else building, r.count(1, 4), rows)
    stage.scatter(tree, r.count(1, 7), rows)
    grass(c, c.horizon, swell=0.4)
    stage.paint()
    c.haze = 0.0


def release_birds(c: Canvas, probability: Number) -> None:
    """Some birds in the sky, or none."""
    if c.chance.maybe(probability):
        for _ in range(c.chance.count(1, 4)):
            bird(c, c.chance.between(5, 95), c.horizon * c.chance.between(0.25, 0.85), c.chance.between(4, 8))


def street(c: Canvas) -> None:
    """Houses along a road, seen lengthwise or across."""
    if c.chance.maybe(0.5):
        _long_street(c)
    else:
        _cross_street(c)
    release_birds(c, 0.2)


def _long_street(c: Canvas) -> None:
    r, y = c.chance, choose_view(c, 40, 52, (1.6, 2.8))
    half, offset = r.between(2.6, 3.6), r.between(5.2, 7.0)
    sidewalk(c, (-1, y), (101, y), (101, 101), (-1, 101))
    long_road(c, half)
    for side in (-1, 1):
        edges = [4.0 + r.between(0, 2)]
        while edges[-1] < 60:
            edges.append(edges[-1] + r.between(7, 13))
        for near, far in reversed(list(pairwise(edges))):
            if r.maybe(0.88):
                street_wall(c, side, near, far - r.between(0, 0.8), offset)
    stage = Stage(c)
    for distance in (34, 22, 14, 8):
        row = c.row(distance)
        for side in (-1, 1):
            x = c.project(side * (half + 0.6), 0, distance)[0]
            if r.maybe(0.55):
                stage.put(r.pick((street_lamp, broad_tree, bush, person, person, plant)), x, row)
        if r.maybe(0.4):
            stage.put(car, c.project(r.pick((-0.5, 0.5)) * half, 0, distance)[0], row)
    stage.scatter(person, r.count(0, 3), (c.row(20), c.row(5)))
    stage.paint()


def _cross_street(c: Canvas) -> None:
    r, y = c.chance, choose_view(c, 42, 54, (1.8, 3.2))
    paint_backdrop(c, (y + 0.5, y + 3), town=0.7, hills=0.25)
    walk, top = y + r.between(7, 13), y + r.between(17, 24)
    sidewalk(c, (-1, walk - 1), (101, walk - 1), (101, 101), (-1, 101))
    level_road(c, top, top + r.between(14, 24))
    stage, x = Stage(c), r.between(-6, 8)
    while x < 104:
        painter = building if r.maybe(0.55) else house
        if r.maybe(0.9):
            stage.put(painter, x, walk)
        x += c.meter(walk) * r.between(7, 11)
    stage.scatter(street_lamp, r.count(0, 3), (top - 2, top - 1))
    stage.scatter(broad_tree, r.count(0, 2), (top - 3, top - 1))
    stage.scatter(person, r.count(0, 4), (walk + 2, top))
    stage.maybe(0.25, bench, (walk + 2, top - 1))
    if r.maybe(0.3):
        stage.scatter(umbrella, 2, (walk + 3, walk + 4))
        stage.scatter(table, 2, (walk + 4, walk + 5))
    stage.paint()
    stage.scatter(car, r.count(1, 3), (top + 5, top + 11))
    stage.scatter(person, r.count(0, 2), (86, 100))
    stage.paint()


def park(c: Canvas) -> None:
    """A lawn with trees, benches and people, and a path or a pond."""
    r, y = c.chance, choose_view(c, 34, 52, (1.6, 3.4))
    paint_backdrop(c, (y + 0.6, y + 3), town=0.45, hills=0.15)
    grass(c, y + 2, swell=0.8)
    feature = r.pick(("path", "path", "pond", "none"))
    if feature == "path":
        x, bend = r.between(20, 80), r.between(-30, 30)
        sidewalk(
            c,
            (x - 2, y + 4),
            (x + 2, y + 4),
            (x + bend * 0.4 + 9, y + 20),
            (x + bend + 24, 101),
            (x + bend - 18, 101),
            (x + bend * 0.4 - 6, y + 20),
        )
    elif feature == "pond":
        water(c, y + 9, y + r.between(17, 26))
    stage = Stage(c)
    stage.scatter(tree, r.count(2, 6), (y + 4, 84))
    stage.scatter(bush, r.count(1, 5), (y + 6, 96))
    stage.scatter(bench, r.count(1 if feature == "none" else 0, 2), (y + 10, 88))
    stage.scatter(person, r.count(0, 5), (y + 6, 97))
    stage.maybe(0.35, street_lamp, (y + 8, 80))
    stage.maybe(0.2, rock, (y + 10, 90))
    stage.maybe(0.2, umbrella, (y + 12, 85))
    stage.maybe(0.2, table, (y + 14, 92))
    if r.maybe(0.3):
        stage.put(partial(fence_across, left=-1, right=101), 50, y + r.between(5, 12))
    stage.paint()
    release_birds(c, 0.35)


def fence_across(c: Canvas, x: Number, y: Number, m: Number, *, left: Number, right: Number) -> None:
    """A fence from one column to another."""
    fence(c, left, right, y, m)


def beach(c: Canvas) -> None:
    """Sand by the sea, with those who came for it."""
    r, y = c.chance, choose_view(c, 28, 48, (1.8, 4.0))
    if r.maybe(0.3):
        c.haze = 0.4
        mountains(c, y + 0.6, r.between(5, 15), snow=False)
        c.haze = 0.0
    shore = y + r.between(9, 24)
    water(c, y)
    stage = Stage(c)
    stage.scatter(boat, r.count(0, 3), (y + 1.5, shore - 4))
    stage.paint()
    surf(c, shore)
    sand(c, shore + 0.6, swell=1.2)
    if r.maybe(0.25):
        stage.put(partial(fence_across, left=-1, right=r.between(30, 101)), 50, shore + 8)
    stage.scatter(palm if r.maybe(0.65) else broad_tree, r.count(0, 3), (shore + 4, 92))
    stage.scatter(umbrella, r.count(0, 4), (shore + 5, 94))
    stage.scatter(chair, r.count(0, 3), (shore + 8, 96))
    stage.scatter(person, r.count(0, 6), (shore - 1, 97))
    stage.scatter(rock, r.count(0, 3), (shore - 1, 98))
    stage.maybe(0.2, bush, (shore + 5, 96))
    stage.maybe(0.2, bench, (shore + 8, 90))
    stage.maybe(0.12, table, (shore + 10, 92))
    stage.paint()
    release_birds(c, 0.5)


def mountain_lake(c: Canvas) -> None:
    """Water under a high ridge, with woods around it."""
    r, y = c.chance, choose_view(c, 40, 56, (1.8, 3.8))
    c.haze = r.between(0.18, 0.34)
    mountains(c, y + 1, r.between(22, 38), snow=r.maybe(0.65))
    c.haze = 0.1
    stage, shore = Stage(c), y + r.between(2, 4)
    grass(c, y, swell=0.6)
    stage.scatter(conifer if r.maybe(0.6) else tree, r.count(4, 12), (y + 0.8, shore + 0.5))
    stage.maybe(0.35, house, (y + 1.2, shore))
    stage.paint()
    c.haze = 0.0
    near = y + r.between(20, 38)
    water(c, shore)
    stage.scatter(boat, r.count(0, 2), (shore + 3, near - 5))
    stage.paint()
    (grass if r.maybe(0.7) else sand)(c, near, swell=2.0)
    if r.maybe(0.3):
        pier(c, r.between(15, 85), near + 6, shore + (near - shore) * 0.45)
    stage.scatter(tree, r.count(0, 3), (near + 3, 98), r.pick(((2, 30), (70, 98))))
    stage.scatter(rock, r.count(0, 4), (near, 98))
    stage.scatter(bush, r.count(0, 3), (near + 3, 98))
    stage.scatter(person, r.count(0, 3), (near + 3, 96))
    stage.maybe(0.2, cow, (near + 4, 90))
    stage.maybe(0.2, bench, (near + 4, 90))
    stage.maybe(0.2, partial(fence_across, left=-1, right=101), (near + 1, near + 5))
    stage.paint()
    release_birds(c, 0.25)


def harbor(c: Canvas) -> None:
    """Boats between a quay and a town, or a pier."""
    r, y = c.chance, choose_view(c, 36, 52, (2.2, 4.2))
    c.haze = 0.0
    if r.maybe(0.35):
        c.haze = 0.4
        mountains(c, y + 1, r.between(8, 20), snow=r.maybe(0.3))
    stage, quay = Stage(c), y + r.between(3, 7)
    c.haze = 0.1
    sidewalk(c, (-1, y), (101, y), (101, quay + 1), (-1, quay + 1))
    stage.scatter(building if r.maybe(0.4) else house, r.count(3, 7), (y + 2, quay - 0.8), (-4, 104))
    stage.scatter(tree, r.count(0, 3), (y + 2.2, quay))
    stage.scatter(person, r.count(0, 4), (quay - 0.6, quay))
    stage.maybe(0.3, car, (quay - 0.5, quay))
    stage.paint()
    c.haze = 0.0
    water(c, quay)
    near = r.between(86, 96)
    stage.scatter(boat, r.count(3, 6), (quay + 4, min(near - 6, quay + 30)), (6, 94))
    stage.paint()
    if r.maybe(0.5):
        pier(c, r.pick((r.between(4, 25), r.between(75, 96))), 104, quay + r.between(6, 14))
    if r.maybe(0.6):
        sidewalk(c, (-1, near), (101, near - 2), (101, 101), (-1, 101))
        stage.scatter(street_lamp, r.count(0, 2), (near + 1, 99))
        stage.scatter(person, r.count(0, 3), (near + 1, 99))
        stage.maybe(0.3, bench, (near + 1, 98))
        stage.maybe(0.3, plant, (near + 1, 98))
        stage.paint()
    release_birds(c, 0.6)


def farm(c: Canvas) -> None:
    """Meadows with a house, animals and fences."""
    r, y = c.chance, choose_view(c, 34, 52, (1.7, 3.2))
    paint_backdrop(c, (y + 0.6, y + 2.5), town=0.25, hills=0.45)
    (sand if r.maybe(0.25) else grass)(c, y + 1.5, swell=1.4)
    stage = Stage(c)
    if r.maybe(0.3):
        x = r.between(20, 80)
        level_road(c, y + 9, y + 12) if r.maybe(0.4) else sidewalk(
            c, (x - 1, y + 5), (x + 1, y + 5), (x + 26, 101), (x - 12, 101)
        )
    cows = r.count(0, 6)
    stage.scatter(house, r.count(0 if cows else 1, 2), (y + 5, y + 13))
    stage.scatter(tree, r.count(1, 4), (y + 3, y + 22))
    stage.scatter(cow, cows, (y + 6, 96))
    for _ in range(r.count(0, 2)):
        left = r.between(-40, 30)
        stage.put(partial(fence_across, left=left, right=left + r.between(60, 130)), 50, r.between(y + 6, 94))
    stage.scatter(person, r.count(0, 2), (y + 8, 96))
    stage.maybe(0.3, car, (y + 9, 80))
    stage.scatter(bush, r.count(0, 3), (y + 5, 97))
    stage.scatter(rock, r.count(0, 2), (y + 8, 97))
    stage.paint()
    release_birds(c, 0.4)
