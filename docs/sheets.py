"""Draws the pictures of README, docs/drawn.md and docs/how-to/paint.md.

Every scene, every object and part with its mask, and given scenes that were painted on.

Run: .venv/bin/python docs/sheets.py
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import unitscope as us
from unitscope.dissection.dissect import Confidences
from unitscope.interventions import open_studio
from unitscope.interventions.inversion import choose_layer
from unitscope.lab.given_scenes import paint_given
from unitscope.lab.world.names import OBJECT_IDS, PART_IDS, SCENES
from unitscope.lab.world.scenes import paint
from unitscope.lab.world.shading import read_labels, render
from unitscope.lab.zoo.weights_files import load_zoo
from unitscope.networks.generators import Generator, as_generator
from unitscope.views.drawing import draw_sheet
from unitscope.views.generator_pages import draw_pairs

HOME = Path(__file__).parent / "_static"
SIDE = 112
SHOWN = 3
CAPTION = 14
TRIED = 1500
NAMED = 256
"""So many of its own pictures name the generator's units."""
PAPER, INK = (255, 255, 255), (30, 30, 30)


def draw_world() -> Image.Image:
    """Two rows of painted scenes, one of generated ones."""
    generator = load_zoo("generator")
    assert isinstance(generator, Generator)
    chosen = [scene for place, scene in enumerate(SCENES) if place % 3 != 1]
    painted = [render(paint(3, place, 128, scene)[1]) for place, scene in enumerate(chosen)]
    return draw_sheet([*painted, *generator.generate(64, 8)], 8, 128)


def draw_scenes() -> Image.Image:
    """Every scene in a row of pictures."""
    across, count = 2, 4
    cell = count * (SIDE + 2) + 8
    rows = -(-len(SCENES) // across)
    sheet = Image.new("RGB", (across * cell, rows * (SIDE + CAPTION + 6)), PAPER)
    pen = ImageDraw.Draw(sheet)
    for place, scene in enumerate(SCENES):
        x, y = place % across * cell, place // across * (SIDE + CAPTION + 6)
        pen.text((x, y), scene.replace("_", " "), INK)
        for k in range(count):
            picture = Image.fromarray(render(paint(17, place * count + k, SIDE, scene)[1]))
            sheet.paste(picture, (x + k * (SIDE + 2), y + CAPTION))
    return sheet


def find_best(plane: int, ids: Mapping[str, int]) -> dict[str, list[tuple[int, str, int]]]:
    """The pictures where each concept is largest: (index, scene, pixels), one a scene first."""
    found: dict[str, list[tuple[int, str, int]]] = {name: [] for name in ids}
    names = {number: name for name, number in ids.items()}
    for index in range(TRIED):
        scene, canvas = paint(23, index, 64)
        counts = np.bincount(read_labels(canvas)[plane].reshape(-1))
        for number in np.flatnonzero(counts):
            if number in names:
                found[names[int(number)]].append((index, scene, int(counts[number])))
    chosen = {}
    for name, places in found.items():
        # large, but not so large that nothing else is seen
        places.sort(key=lambda place: abs(place[2] - 500))
        scenes: dict[str, tuple[int, str, int]] = {}
        for place in places:
            scenes.setdefault(place[1], place)
        chosen[name] = (list(scenes.values()) + places)[:SHOWN]
    return chosen


def draw_concepts(plane: int, ids: Mapping[str, int]) -> Image.Image:
    """Every concept in some pictures, each dimmed but for the concept."""
    across = 3
    cell = SHOWN * (SIDE + 2) + 8
    rows = -(-len(ids) // across)
    sheet = Image.new("RGB", (across * cell, rows * (SIDE + CAPTION + 6)), PAPER)
    pen = ImageDraw.Draw(sheet)
    for place, (name, pictures) in enumerate(find_best(plane, ids).items()):
        x, y = place % across * cell, place // across * (SIDE + CAPTION + 6)
        pen.text((x, y), name, INK)
        for k, (index, _, _) in enumerate(pictures):
            _, canvas = paint(23, index, SIDE)
            image, mask = render(canvas).astype(float), read_labels(canvas)[plane] == ids[name]
            gray = image.mean(2, keepdims=True) * 0.35 + 20
            shown = np.where(mask[:, :, None], image, gray).astype(np.uint8)
            sheet.paste(Image.fromarray(shown), (x + k * (SIDE + 2), y + CAPTION))
    return sheet


def draw_given() -> Image.Image:
    """Given scenes in the generator: a tree drawn in, the trees erased."""
    generator = load_zoo("generator")
    source = us.open_source(f"segmenter:zoo:segmenter,count={NAMED}", generator)
    layer, quick = choose_layer(as_generator(generator)), Confidences(shifts=0)
    run = us.dissect(generator, source, [layer], convention="pnas", confidences=quick)
    scenes = paint_given(open_studio(generator, run, source))
    return draw_pairs([scene.pictures for scene in scenes], side=160, group=1)


def save(sheet: Image.Image, name: str) -> None:
    sheet.quantize(160, dither=Image.Dither.NONE).save(HOME / f"{name}.png", optimize=True)


if __name__ == "__main__":
    save(draw_world(), "world")
    save(draw_scenes(), "drawn-scenes")
    save(draw_concepts(0, OBJECT_IDS), "drawn-objects")
    save(draw_concepts(1, PART_IDS), "drawn-parts")
    save(draw_given(), "paint-given")
