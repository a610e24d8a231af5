"""Tiny sets in the three forms of CamVid."""

from pathlib import Path

import numpy as np

from sets.drawing import SIZE, draw_halves, write_mask, write_picture, write_text

ANIMAL, SKY, VOID, STRANGE = (64, 128, 64), (128, 128, 128), (0, 0, 0), (1, 2, 3)


def write_segnet(root: Path) -> Path:
    """SegNet's form: 0001TP_006690 (train) has 48 pixels of Sky, 48 of Bicyclist; 0016E5_07959 (val) 47 of
    Building, 48 of Car, 1 void; 0001TP_008550 (test) 96 of Tree."""
    place = root / "CamVid"
    masks = {
        "train/0001TP_006690": draw_halves(0, 10),
        "val/0016E5_07959": draw_halves(1, 8, 11),
        "test/0001TP_008550": draw_halves(5, 5),
    }
    for key, numbers in masks.items():
        split, name = key.split("/")
        write_picture(place / split / f"{name}.png")
        write_mask(place / f"{split}annot" / f"{name}.png", numbers)
        first, second = f"/SegNet/CamVid/{split}/{name}.png", f"/SegNet/CamVid/{split}annot/{name}.png"
        write_text(place / f"{split}.txt", f"{first} {second}")
    return place


def write_colors(root: Path) -> Path:
    """The form as published: 0001TP_006690 has 48 pixels of Animal, 48 of Sky; Seq05VD_f00000 94 of Sky, 1 of
    a color that is called Void and 1 of a color that has no name."""
    first = np.empty((*SIZE, 3), np.uint8)
    first[:, :6], first[:, 6:] = ANIMAL, SKY
    second = np.empty((*SIZE, 3), np.uint8)
    second[:] = SKY
    second[0, 0], second[0, 1] = VOID, STRANGE
    for name, colors in {"0001TP_006690": first, "Seq05VD_f00000": second}.items():
        write_picture(root / "701_StillsRaw_full" / f"{name}.png")
        write_mask(root / "LabeledApproved_full" / f"{name}_L.png", colors)
    write_text(root / "label_colors.txt", "64 128 64\tAnimal", "128 128 128\t\tSky", "0 0 0\t\tVoid")
    return root


def write_codes(root: Path) -> Path:
    """fast.ai's form: 0001TP_006690 has 48 pixels of Animal, 48 of Sky; 0016E5_07959 (valid) 95 of Wall,
    1 void."""
    for name, numbers in {"0001TP_006690": draw_halves(0, 1), "0016E5_07959": draw_halves(3, 3, 2)}.items():
        write_picture(root / "images" / f"{name}.png")
        write_mask(root / "labels" / f"{name}_P.png", numbers)
    write_text(root / "codes.txt", "Animal", "Sky", "Void", "Wall")
    write_text(root / "valid.txt", "0016E5_07959.png")
    return root
