"""A tiny set laid out as Mapillary Vistas is published."""

import json
from pathlib import Path

from sets.drawing import draw_halves, write_mask, write_picture, write_text

CLASSES = {
    "v1.2": (
        ("animal--bird", "Bird", True),
        ("nature--sky", "Sky", True),
        ("void--ego-vehicle", "Ego Vehicle", True),
        ("void--unlabeled", "Unlabeled", False),
    ),
    "v2.0": (
        ("animal--bird", "Bird", True),
        ("construction--barrier--curb", "Curb", True),
        ("nature--sky", "Sky", True),
        ("construction--flat--curb", "Curb", True),
        ("void--unlabeled", "Unlabeled", False),
    ),
}
"""Name, readable name, and whether evaluated, of the classes of each version, by number."""


def write_mapillary(root: Path) -> Path:
    """Pictures a (training), b (validation) and c (testing, without labels).

    In v2.0 a has 48 pixels of Bird, 48 of one Curb; b 47 of Sky, 48 of the other Curb, 1 void. In v1.2 a has
    48 of Bird, 48 void; b 96 of Sky.
    """
    for version, classes in CLASSES.items():
        labels = [
            {"name": name, "readable": readable, "evaluate": evaluate, "instances": False, "color": [0, 0, 0]}
            for name, readable, evaluate in classes
        ]
        write_text(root / f"config_{version}.json", json.dumps({"labels": labels, "version": version}))
    for split, name in (("training", "a"), ("validation", "b"), ("testing", "c")):
        write_picture(root / split / "images" / f"{name}.jpg")
    masks = {
        "training/v2.0/labels/a": draw_halves(0, 1),
        "validation/v2.0/labels/b": draw_halves(2, 3, 4),
        "training/v1.2/labels/a": draw_halves(0, 2),
        "validation/v1.2/labels/b": draw_halves(1, 1),
    }
    for key, numbers in masks.items():
        for form in ("labels", "instances", "panoptic"):
            write_mask(root / f"{key.replace('labels', form)}.png", numbers, palette=True)
    return root
