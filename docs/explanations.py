"""Draws the pictures of docs/findings/explanations.md and prints its figures.

Run: .venv/bin/python docs/explanations.py (one minute)
"""

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

import unitscope as us
from unitscope.interventions import explain, explain_image, measure_deletion
from unitscope.views.explanation_sheet import draw_explanation

HOME = Path(__file__).parent / "_static"
RUNS = Path("runs/explain")
LABELS = "drawn:count=1200,seed=3000,size=64"
SCENES = "drawn:count=2400,seed=2000,size=64"
LAYER = "layer5"
SHOWN = {"bedroom": 236, "kitchen": 446, "street": 107, "library": 929, "office": 1869}
"""Pictures of `SCENES`; the last two are mistakes."""
COUNTED = 600


def find_labels(network: us.Network) -> us.Dissection:
    """The run that gives the units their labels, made once."""
    folder = RUNS / "named"
    if not folder.exists():
        us.dissect(network, us.open_source(LABELS), [LAYER], out=folder)
    return us.load(folder)


def draw_pictures(network: us.Network, named: us.Dissection) -> None:
    """One sheet a picture."""
    for name, index in SHOWN.items():
        found = explain(network, f"{SCENES}#{index}", LAYER, run=named)
        print(f"{found}\n")
        sheet = draw_explanation(found.images[0]).quantize(200, dither=Image.Dither.NONE)
        sheet.save(HOME / f"explain-{name}.png", optimize=True)


def count_labels(network: us.Network, named: us.Dissection, scenes: us.ConceptSource) -> None:
    """How often a unit's label, an object or a part, is in the picture: of top contributors, and of all."""
    labels = {unit.unit: unit.concept for unit in named[LAYER] if unit.detector and unit.concept}
    things = {unit: one.id for unit, one in labels.items() if one.category in ("object", "part")}
    hits: dict[str, list[bool]] = {"top contributors": [], "any unit": []}
    for index in tqdm(range(COUNTED), "explaining"):
        example = scenes[index]
        found = explain_image(network, LAYER, example.image)
        there = set(np.unique(example.planes).tolist())
        top = [unit for unit in found.order[:6].tolist() if unit in things]
        hits["top contributors"] += [things[unit] in there for unit in top]
        hits["any unit"] += [one in there for one in things.values()]
    for name, values in hits.items():
        print(f"label in the picture, {name}: {np.mean(values):.1%} of {len(values):,}")


def main() -> None:
    """Draws the pictures, prints the figures."""
    network, scenes = us.load_network("zoo:scene-classifier"), us.open_source(SCENES)
    named = find_labels(network)
    draw_pictures(network, named)
    count_labels(network, named, scenes)
    test = measure_deletion(network, LAYER, scenes)
    print(test)
    test.page(RUNS).replace(HOME / "explain-deletion.svg")


if __name__ == "__main__":
    main()
