"""More scenes under the open sky, where people go: what stands together, one short function a scene."""

from functools import partial

from unitscope.lab.world import materials as of
from unitscope.lab.world.arrangement import Painter, Stage
from unitscope.lab.world.canvas import Canvas
from unitscope.lab.world.fixtures import crate, dog, fountain, sign, slide, stall, swing, tent
from unitscope.lab.world.furnishings import sculpture
from unitscope.lab.world.landscapes import choose_view, fence_across, paint_backdrop, release_birds
from unitscope.lab.world.light import Number, Span, mix, shade
from unitscope.lab.world.nature import (
    broad_tree,
    bush,
    conifer,
    grass,
    mountains,
    plant,
    rock,
    sand,
    tree,
    water,
)
from unitscope.lab.world.outfit import bench, chair, lamp, person, street_lamp, table, umbrella
from unitscope.lab.world.rooms import clock
from unitscope.lab.world.town import building, house
from unitscope.lab.world.vehicles import bicycle, bridge, rails, train, truck
from unitscope.lab.world.ways import boat, car, road, sidewalk


def snow(c: Canvas, y: Number) -> None:
    """Snow from row y to the lower edge."""
    white = mix(c.chance.tone(((240, 244, 250), (228, 236, 246)), 0.03), c.light.zenith, 0.06)
    ink = c.ink("snow", material="snow", color=shade(white, 0.95), below=white, grain=1.4, ground=True)
    bend = [c.chance.between(-1.2, 1.2) for _ in range(6)]
    c.polygon(ink, (101, 101), (-1, 101), *((k * 20.4 - 1, y + bend[k]) for k in range(6)))


def lay_ground(c: Canvas, y: Number, kinds: str, *, swell: Number = 0.6) -> str:
    """The ground from row y down: "grass", "snow", "sand", "asphalt" or "paving"; which one it is.

    No ground belongs to one scene: snow falls everywhere, and people play and camp on sand.
    """
    kind = c.chance.pick(kinds.split())
    if kind == "grass":
        grass(c, y, swell=swell)
    elif kind == "snow":
        snow(c, y)
    elif kind == "sand":
        sand(c, y, swell=swell)
    elif kind == "asphalt":
        road(c, ((-1, y), (101, y), (101, 101), (-1, 101)), ())
    else:
        sidewalk(c, (-1, y), (101, y), (101, 101), (-1, 101))
    return kind


def choose_fog(c: Canvas) -> Number:
    """How much of everything fades into the color of the horizon; most days are clear."""
    return c.chance.between(0.15, 0.5) if c.chance.maybe(0.35) else 0.0


def open_shore(c: Canvas, probability: Number) -> None:
    """The sea or a lake behind everything, perhaps: water from the horizon down."""
    fog = c.haze
    if c.chance.maybe(probability):
        if c.chance.maybe(0.5):
            c.haze = max(fog, c.chance.between(0.2, 0.4))
            mountains(c, c.horizon + 1, c.chance.between(8, 30), snow=c.chance.maybe(0.5))
            c.haze = fog
        water(c, c.horizon)
        stage = Stage(c)
        stage.scatter(boat, c.chance.count(0, 2), (c.horizon + 1, c.horizon + 3))
        stage.paint()


def _strew(stage: Stage, rows: Span, chances: dict[Painter, Number]) -> None:
    """Each of some things with its probability, somewhere between two rows."""
    for painter, chance in chances.items():
        stage.maybe(chance, painter, rows)


def forest(c: Canvas) -> None:
    """Trees and more trees, near and far, over ferns and stones."""
    r, y = c.chance, choose_view(c, 32, 56, (1.6, 2.8))
    fog = c.haze = choose_fog(c)
    lay_ground(c, y, "grass grass snow sand", swell=0.8)
    wood: Painter = r.pick((tree, conifer, broad_tree))
    stage = Stage(c)
    for haze, count, rows in (
        (0.35, 16, (y + 0.8, y + 1.6)),
        (0.16, 12, (y + 2, y + 4)),
        (0.06, 8, (y + 4, y + 7)),
    ):
        c.haze = max(haze, fog)
        stage.scatter(wood, count, rows, (-4, 104))
        stage.paint()
    c.haze = fog
    if r.maybe(0.4):
        x = r.between(25, 75)
        path = c.ink("sand", material="sand", color=r.tone(((176, 148, 110), (150, 128, 100))), ground=True)
        c.polygon(
            path, (x - 1, y + 4), (x + 2, y + 4), (x + r.between(14, 30), 101), (x - r.between(14, 30), 101)
        )
    stage.scatter(wood, r.count(4, 6), (y + 8, y + 24), (-4, 104))
    stage.scatter(wood, r.count(1, 2), (84, 99), r.pick(((-4, 28), (72, 104))))
    stage.scatter(bush, r.count(2, 6), (y + 7, 98))
    stage.scatter(rock, r.count(0, 4), (y + 9, 98))
    stage.maybe(0.3, sign, (y + 14, 92))
    stage.maybe(0.3, dog, (y + 16, 97))
    stage.maybe(0.25, bicycle, (y + 16, 95))
    stage.scatter(person, r.count(0, 2), (y + 10, 96))
    stage.maybe(0.15, bench, (y + 16, 92))
    stage.paint()
    release_birds(c, 0.2)


def garden(c: Canvas) -> None:
    """A house near by, a fence, flowers, and what people leave on the lawn."""
    r, y = c.chance, choose_view(c, 30, 44, (1.7, 2.8))
    fog = c.haze = choose_fog(c)
    paint_backdrop(c, (y + 0.8, y + 3), town=0.3, hills=0.2)
    c.haze = fog
    open_shore(c, 0.25)
    lay_ground(c, y + r.between(2, 5), "grass grass snow sand paving")
    stage = Stage(c)
    side, foot = r.pick((-1, 1)), y + r.between(14, 20)
    stage.put(house, 50 + side * r.between(14, 34), foot)
    stage.put(partial(fence_across, left=-1, right=101), 50, y + r.between(8, 11))
    if r.maybe(0.4):
        near = r.between(0, 60)
        stage.put(partial(fence_across, left=near, right=near + r.between(30, 60)), 50, r.between(88, 98))
    stage.scatter(tree, r.count(0, 2), (y + 7, foot + 8))
    stage.scatter(bush, r.count(2, 5), (foot + 3, 97))
    stage.scatter(plant, r.count(1, 4), (foot + 3, 97))
    if r.maybe(0.6):
        x, row = 50 - side * r.between(8, 30), r.between(foot + 10, 92)
        stage.put(table, x, row)
        for at in (-11, 11):
            stage.put(chair, x + at, row + 0.5)
        if r.maybe(0.5):
            stage.put(umbrella, x, row - 1)
    special: dict[Painter, Number] = {fountain: 0.25, sculpture: 0.2, swing: 0.15, slide: 0.15}
    for painter, chance in special.items():
        if r.maybe(chance):
            stage.put(painter, 50 - side * r.between(0, 36), r.between(foot + 4, 88))
            break
    _strew(stage, (foot + 8, 96), dict.fromkeys((dog, bicycle, crate, bench, person, towel_line), 0.2))
    stage.paint()
    release_birds(c, 0.3)


def towel_line(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """Washing on a line between two posts."""
    r, half, tall = c.chance, m * 1.1, m * 1.6
    post = c.ink("towel", material="wood", color=r.tone(of.WOOD), form="pillar")
    for side in (-1, 1):
        c.bar(post, x + side * half, m * 0.05, y - tall, y)
    c.bar(post, x, half, y - tall, y - tall + max(m * 0.04, 0.4))
    for place in (-0.62, -0.05, 0.5):
        color = r.tone(of.CLOTH)
        texture = r.pick(("", "banded", "striped", "chequered"))
        cloth = c.ink(
            "towel", material="fabric", color=color, texture=texture, accent=r.tone(of.CLOTH), form="pillar"
        )
        start = x + place * half
        c.box(cloth, start, y - tall, start + half * 0.42, y - tall + m * r.between(0.6, 0.95))


def market(c: Canvas) -> None:
    """Stalls in a square, crates, and many people."""
    r, y = c.chance, choose_view(c, 34, 48, (1.8, 3.2))
    fog = c.haze = choose_fog(c)
    open_shore(c, 0.3)
    lay_ground(c, y + r.between(0, 4), "paving grass sand snow asphalt asphalt")
    stage = Stage(c)
    c.haze = max(0.12, fog)
    far = y + r.between(5, 7)
    for painter, row, count in (
        (r.pick((building, house)), far, r.count(3, 5)),
        (tree, far + 1.5, r.count(0, 3)),
    ):
        stage.scatter(painter, count, (row - 1, row), (-2, 102))
    stage.paint()
    c.haze = fog
    stage.scatter(stall, r.count(2, 3), (y + 11, y + 16), (8, 92))
    stage.scatter(stall, r.count(1, 2), (y + 22, y + 32), (12, 88))
    stage.drop(0.3, fountain, (20, 80), (y + 16, 90))
    stage.scatter(crate, r.count(1, 4), (y + 14, 98))
    stage.scatter(person, r.count(2, 5), (y + 12, 99))
    _strew(
        stage, (y + 10, 94), {truck: 0.3, bicycle: 0.35, dog: 0.3, umbrella: 0.3, sign: 0.3, street_lamp: 0.3}
    )
    stage.paint()
    release_birds(c, 0.3)


def playground(c: Canvas) -> None:
    """A slide and a swing, children, and benches."""
    r, y = c.chance, choose_view(c, 32, 48, (1.7, 3.0))
    fog = c.haze = choose_fog(c)
    paint_backdrop(c, (y + 0.8, y + 3), town=0.55, hills=0.15)
    c.haze = fog
    open_shore(c, 0.3)
    ground = lay_ground(c, y + r.between(2, 5), "grass grass snow paving asphalt", swell=0.5)
    if ground != "snow" and r.maybe(0.4):
        sand(c, y + r.between(10, 18))
    stage, side = Stage(c), r.pick((-1, 1))
    if r.maybe(0.5):
        stage.put(partial(fence_across, left=-1, right=101), 50, y + r.between(5, 8))
    stage.put(slide, 50 + side * r.between(14, 30), r.between(y + 17, 86))
    stage.put(swing, 50 - side * r.between(14, 30), r.between(y + 17, 86))
    stage.scatter(tree, r.count(0, 3), (y + 4, y + 12))
    stage.scatter(person, r.count(1, 4), (y + 12, 97))
    if r.maybe(0.2):
        stage.put(stall, r.between(15, 85), y + r.between(9, 13))
    if r.maybe(0.15):
        stage.put(fountain, r.between(15, 85), y + r.between(11, 16))
    _strew(
        stage, (y + 10, 95), {bench: 0.45, dog: 0.25, bicycle: 0.35, sign: 0.25, bush: 0.5, street_lamp: 0.2}
    )
    stage.paint()
    release_birds(c, 0.3)


def railway_station(c: Canvas) -> None:
    """A train at the platform, lamps, a clock, and those who wait."""
    r, y = c.chance, choose_view(c, 34, 48, (2.0, 3.4))
    fog = c.haze = choose_fog(c)
    paint_backdrop(c, (y + 0.8, y + 3), town=0.7, hills=0.3)
    c.haze = fog
    if r.maybe(0.25):
        water(c, y + 1.5)  # a line along the shore
    else:
        lay_ground(c, y + 1.5, "grass snow sand asphalt")
    stage = Stage(c)
    stage.scatter(r.pick((house, building)), r.count(0, 3), (y + 3, y + 5), (-2, 102))
    stage.scatter(tree, r.count(0, 3), (y + 2.5, y + 6))
    stage.paint()
    track = y + r.between(13, 19)
    m, way = c.meter(track), r.pick((-1, 1))
    rails(c, track, m)
    train(c, 50 + way * r.between(-18, 40), track, m, cars=4, way=way)
    edge = track + m * 0.9
    lay_ground(c, edge, "paving paving snow asphalt", swell=0.0)
    stripe = c.ink("sidewalk", material="stone", color=r.pick(((232, 200, 80), (236, 234, 226))))
    c.box(stripe, -1, edge + 1.2, 101, edge + 2.2)
    stage.scatter(street_lamp, r.count(1, 2), (edge + 4, edge + 9))
    stage.put(_station_clock, r.between(12, 88), edge + r.between(4, 10))
    stage.maybe(0.5, sign, (edge + 4, 92))
    stage.scatter(person, r.count(1, 4), (edge + 4, 98))
    _strew(stage, (edge + 6, 96), {bench: 0.6, crate: 0.35, bicycle: 0.25, dog: 0.15, plant: 0.3})
    if r.maybe(0.2):
        stage.put(stall, r.between(15, 85), edge + 10)
    stage.paint()


def _station_clock(c: Canvas, x: Number, y: Number, m: Number) -> None:
    """A clock on a post."""
    c.shadow(x, y, m * 0.5, m * 0.1)
    c.bar(
        c.ink("clock", material="metal", color=c.chance.tone(of.METAL), form="pillar"),
        x,
        m * 0.08,
        y - m * 2.6,
        y,
    )
    clock(c, x, y - m * 2.8, m * 2.1)


def campsite(c: Canvas) -> None:
    """Tents among trees, with what campers bring."""
    r, y = c.chance, choose_view(c, 34, 50, (1.7, 3.0))
    fog = c.haze = choose_fog(c)
    if r.maybe(0.4):
        c.haze = r.between(0.25, 0.4)
        mountains(c, y + 1, r.between(14, 30), snow=r.maybe(0.5))
        c.haze = fog
    winter = lay_ground(c, y, "grass grass snow sand", swell=0.8) == "snow"
    stage = Stage(c)
    c.haze = max(0.15, fog)
    stage.scatter(conifer if r.maybe(0.5) else tree, r.count(4, 10), (y + 1.2, y + 5))
    stage.paint()
    c.haze = fog
    if not winter and r.maybe(0.4):
        water(c, y + 3, y + r.between(8, 12))
    stage.scatter(tent, r.count(1, 2), (y + 12, y + 18), (8, 92))
    stage.scatter(tent, r.count(1, 2), (y + 22, 90), (14, 86))
    stage.scatter(tree, r.count(0, 3), (y + 8, y + 22))
    stage.scatter(person, r.count(0, 3), (y + 13, 97))
    baggage: dict[Painter, Number] = {table: 0.35, chair: 0.4, crate: 0.4, dog: 0.3, bicycle: 0.25}
    _strew(stage, (y + 13, 96), {**baggage, rock: 0.4, car: 0.25, sign: 0.2, bush: 0.4, lamp: 0.2})
    if r.maybe(0.15):
        stage.put(truck, r.between(15, 85), y + r.between(9, 12))
    stage.paint()
    release_birds(c, 0.2)


def riverside(c: Canvas) -> None:
    """A bridge over a river, with both its banks."""
    r, y = c.chance, choose_view(c, 32, 46, (2.2, 4.0))
    fog = c.haze = choose_fog(c)
    paint_backdrop(c, (y + 0.8, y + 3), town=0.7, hills=0.35)
    c.haze = fog
    lay_ground(c, y + 1.5, "grass snow paving asphalt", swell=0.5)
    stage = Stage(c)
    shore = y + r.between(5, 8)
    stage.scatter(r.pick((house, building)), r.count(0, 3), (y + 2.5, shore - 1.5), (-2, 102))
    stage.scatter(tree, r.count(1, 5), (y + 2.5, shore))
    stage.paint()
    near = r.between(66, 92)
    water(c, shore, near + 2)
    m = c.meter(shore + 9)
    deck = shore + r.between(-1.0, 4.5)
    left, right = r.pick(((-3, 103), (-3, r.between(72, 90)), (r.between(10, 28), 103)))
    crossing: tuple[Painter | None, ...] = (None, None, partial(train, cars=2), car, bicycle, person, truck)
    over = r.pick(crossing)
    bridge(c, left, right, deck, m)
    if over is not None:
        over(c, (left + right) / 2 + r.between(-14, 14), deck - m * 0.1, m * 0.9)
    stage.scatter(boat, r.count(0, 2), (shore + 10, near - 4), (10, 90))
    stage.paint()
    lay_ground(c, near, "grass sand snow paving", swell=1.2)
    stage.scatter(bush, r.count(0, 3), (near + 2, 99))
    stage.scatter(rock, r.count(0, 3), (near + 1, 99))
    stage.scatter(person, r.count(0, 3), (near + 2, 99))
    _strew(stage, (near + 2, 98), {dog: 0.25, bicycle: 0.25, bench: 0.3, sign: 0.2, tree: 0.15, tent: 0.12})
    stage.paint()
    release_birds(c, 0.35)


def snowfield(c: Canvas) -> None:
    """Winter in the open: snow, a few trees, those who are out in it."""
    r, y = c.chance, choose_view(c, 36, 52, (1.7, 3.4))
    fog = c.haze = choose_fog(c)
    if r.maybe(0.65):
        c.haze = r.between(0.2, 0.4)
        mountains(c, y + 1, r.between(12, 32), snow=True)
    snow(c, y)
    stage = Stage(c)
    c.haze = max(0.15, fog)
    stage.scatter(conifer, r.count(1, 5), (y + 1, y + 4))
    stage.paint()
    c.haze = fog
    if r.maybe(0.45):
        row = y + r.between(4, 13)
        end = row + r.between(8, 24)
        water(c, row, end)
        if r.maybe(0.5):
            bridge(c, r.between(-3, 20), r.between(70, 103), row + 0.5, c.meter(row + 3))
        snow(c, end)
    elif r.maybe(0.15):
        train(c, r.between(55, 95), y + 7, c.meter(y + 7), cars=3, way=1)
    stage.scatter(conifer if r.maybe(0.6) else tree, r.count(1, 4), (y + 8, y + 24))
    stage.scatter(rock, r.count(0, 2), (y + 16, 97))
    stage.scatter(person, r.count(0, 4), (y + 14, 97))
    _strew(stage, (y + 14, 95), {dog: 0.3, car: 0.15, sign: 0.3, crate: 0.15, bench: 0.2, street_lamp: 0.15})
    if r.maybe(0.15):
        stage.put(truck, r.between(15, 85), y + r.between(10, 14))
    stage.paint()
    release_birds(c, 0.2)
