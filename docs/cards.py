"""Draws what docs/zoo.md shows of a training folder: cards, learning curves, generated samples.

Run: .venv/bin/python docs/cards.py runs/zoo [NAME ...]
"""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from unitscope.lab.zoo.cards import grade_zoo
from unitscope.lab.zoo.weights_files import load_zoo
from unitscope.networks.generators import Generator
from unitscope.views.figures import Panel, draw_panels

HOME = Path(__file__).parent
CURVES = {
    "scene-classifier": {"loss": "loss", "accuracy": "accuracy"},
    "segmenter": {"objects": "object", "parts": "part", "materials": "material"},
    "generator": {"critic": "critic", "generator": "generator", "margin": "margin"},
    "captioned": {"loss": "loss", "sentences": "sentences", "words": "words"},
}
POINTS = 20


def read_curve(path: Path, lines: dict[str, str]) -> dict[str, list[tuple[float, float, float]]]:
    """Each line of a training in `POINTS` stretches: the last step, the mean, half of the spread."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    parts = np.array_split(np.arange(len(rows)), POINTS)
    curves = {}
    for label, field in lines.items():
        values = np.array([float(row[field]) for row in rows])
        curves[label] = [
            (int(rows[part[-1]]["step"]) // 100 / 10, float(values[part].mean()), float(values[part].std()))
            for part in parts
        ]
    return curves


def draw_samples() -> None:
    """The generator's first 64 samples, as they come."""
    generator = load_zoo("generator")
    assert isinstance(generator, Generator)
    images = generator.generate(0, 64)
    rows = [np.concatenate(list(images[row * 8 : row * 8 + 8]), 1) for row in range(8)]
    sheet = Image.fromarray(np.concatenate(rows, 0))
    sheet.resize((sheet.width * 2, sheet.height * 2), Image.Resampling.BICUBIC).save(
        HOME / "_static" / "zoo-samples.jpg", quality=88
    )


def draw_network(name: str, trainings: Path) -> None:
    """The learning curve and the card of one network, from its training folder."""
    folder = trainings / f"{name}-0"
    panel = Panel(name, "thousand steps", read_curve(folder / "curve.csv", CURVES[name]))
    draw_panels([panel], HOME / "_static" / f"zoo-{name}.svg", y="", shared=False)
    early = folder / "step-1000.safetensors" if name == "generator" else None
    card = grade_zoo(name, trainings / "pictures", early=early)
    (HOME / "_cards" / f"{name}.md").write_text(card.text() + "\n", "utf-8")


if __name__ == "__main__":
    chosen = sys.argv[2:] or list(CURVES)
    for one in chosen:
        draw_network(one, Path(sys.argv[1]))
    if "generator" in chosen:
        draw_samples()
