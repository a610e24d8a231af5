"""A tiny set laid out as Cityscapes is published."""

from pathlib import Path

import numpy as np

from sets.drawing import draw_halves, write_mask, write_picture, write_text

FRAMES = {
    "train/aachen/aachen_000000_000019": draw_halves(7, 26, 1),
    "train/bochum/bochum_000000_000313": draw_halves(21, 9),
    "val/frankfurt/frankfurt_000000_000294": draw_halves(23, 33, 6),
    "test/berlin/berlin_000000_000019": draw_halves(3, 1),
}
"""The numbers of every fine mask. One picture of train_extra has a coarse mask alone: 0 and building (11)."""

EXTRA = "train_extra/dresden/dresden_000001_000019"


def write_cityscapes(root: Path) -> Path:
    """The folder with leftImg8bit/, gtFine/ and gtCoarse/, of four fine and two coarse masks.

    By picture: aachen has 47 pixels of road, 48 of car, 1 void; bochum 48 of vegetation, 48 of parking;
    frankfurt 47 of sky, 48 of bicycle, 1 void; berlin is void; dresden 48 of building, 48 void.
    """
    for name, numbers in FRAMES.items():
        write_picture(root / "leftImg8bit" / f"{name}_leftImg8bit.png")
        _write_labels(root, "gtFine", name, numbers)
    write_picture(root / "leftImg8bit" / f"{EXTRA}_leftImg8bit.png")
    _write_labels(root, "gtCoarse", EXTRA, draw_halves(0, 11))
    _write_labels(root, "gtCoarse", "val/frankfurt/frankfurt_000000_000294", draw_halves(0, 23))
    return root


def _write_labels(root: Path, kind: str, name: str, numbers: np.ndarray) -> None:
    write_mask(root / kind / f"{name}_{kind}_labelIds.png", numbers)
    write_mask(root / kind / f"{name}_{kind}_instanceIds.png", numbers.astype(np.uint16) * 1000)
    write_mask(root / kind / f"{name}_{kind}_color.png", np.stack([numbers] * 3, axis=-1))
    write_text(root / kind / f"{name}_{kind}_polygons.json", "{}")
