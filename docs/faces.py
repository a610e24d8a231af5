"""Draws the pictures of the generator of faces in docs/findings/generator.md.

Run where the commands of that section ended: .venv/bin/python docs/faces.py RUN ERASED
(RUN the dissection, ERASED the folder that `unitscope erase --optimize` wrote).
"""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import unitscope as us
from unitscope.concepts.segmented import Segmenter
from unitscope.interventions.edits import edited, set_units
from unitscope.interventions.generator_run import Studio, open_studio

HOME = Path(__file__).parent / "_static"
SHADES = {
    "background": "#999999",
    "skin": "#F0E4D0",
    "hair": "#D55E00",
    "nose": "#0072B2",
    "mouth": "#CC79A7",
    "eyes": "#009E73",
}
LAYER, UNITS, FIRST = "main.5", 256, 2000
ACROSS = 10


def tile(rows: list[np.ndarray], side: int, gap: int = 2, smooth: bool = True) -> Image.Image:
    """Rows of pictures [n, y, x, 3] under one another."""
    sheet = Image.new("RGB", (ACROSS * (side + gap) - gap, len(rows) * (side + gap) - gap), (255, 255, 255))
    way = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            place = (x * (side + gap), y * (side + gap))
            sheet.paste(Image.fromarray(picture).resize((side, side), way), place)
    return sheet


def draw_labels(studio: Studio, segmenter: Segmenter) -> Image.Image:
    """The first twenty pictures and what the segmenter sees in them."""
    pictures = studio.generator.generate(0, 2 * ACROSS)
    shades = np.zeros((segmenter.vocabulary.size, 3), np.uint8)
    for concept in segmenter.vocabulary:
        shades[concept.id] = [int(SHADES[concept.name][i : i + 2], 16) for i in (1, 3, 5)]
    labels = shades[segmenter(pictures)[:, 0]]
    rows = [half[start : start + ACROSS] for start in (0, ACROSS) for half in (pictures, labels)]
    return tile(rows, 72, smooth=False)


def draw_removal(studio: Studio, erased: Path, name: str, count: int, least: float = 0.15) -> Image.Image:
    """Pictures that show a concept; the same without its units by effect, and without random ones."""
    with (erased / "units.csv").open(newline="", encoding="utf-8") as file:
        ranked = [
            int(row["unit"])
            for row in csv.DictReader(file)
            if row["concept"] == name and row["by"] == "effect"
        ]
    random = np.random.default_rng(0).permutation(UNITS)[:count].tolist()
    generator, concept = studio.generator, studio.find(name).id
    before = generator.generate(FIRST, 64)
    share = (studio.segmenter(before) == concept).any(1).mean((1, 2))
    shown = np.flatnonzero(share >= least)[:ACROSS]
    rows = [before[shown]]
    for units in (ranked[:count], random):
        with edited(generator, set_units(LAYER, units, UNITS)):
            rows.append(generator.generate(FIRST, 64)[shown])
    return tile(rows, 96)


def main(run: Path, erased: Path) -> None:
    """Writes the three pictures."""
    dissection = us.load(run)
    studio = open_studio(us.load_network(dissection.recipe.network.name), dissection)
    draw_labels(studio, studio.segmenter).save(HOME / "findings-faces-masks.jpg", quality=85)
    for name, count in (("hair", 40), ("skin", 80)):
        sheet = draw_removal(studio, erased, name, count)
        sheet.save(HOME / f"findings-faces-{name}.jpg", quality=85)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
