"""ADE20K in its three forms, with drawn masks.

Pictures are 8 pixels high and 10 wide. In the full forms the first one shows a house (rows 0 to 3) with a
door (2 x 2 pixels) with a knob (1 pixel), a car (row 4) and nothing below; the second one is all wall.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sets.files import write_files

SIZE = (8, 10)
HOUSE, CAR, DOOR, KNOB, WALL = 1530, 401, 774, 1435, 2978
"""Codes of classes, most above 255."""


def write_mask(path: Path, numbers: np.ndarray) -> None:
    """Saves numbers, or colors, as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(numbers.astype(np.uint8)).save(path)


def write_scene_parsing(root: Path) -> Path:
    """SceneParse150: 20 pixels of wall and 10 of bicycle, then 5 of bicycle; the others are 0."""
    texts = {
        "objectInfo150.txt": "Idx\tRatio\tTrain\tVal\tName\n1\t0.1576\t11664\t1172\twall\n"
        "22 \t0.01\t2\t1\tbed \n128\t0.0011\t415\t51\tbicycle, bike, wheel, cycle \n",
        "sceneCategories.txt": "ADE_train_00000001 airport_terminal\nADE_train_00000002 misc\n"
        "ADE_val_00000001 bedroom\n",
    }
    stems = ("training/ADE_train_00000001", "training/ADE_train_00000002", "validation/ADE_val_00000001")
    for number, stem in enumerate(stems):
        mask = np.zeros(SIZE)
        if number == 0:
            mask[:2], mask[2] = 1, 128
        else:
            mask[0, :5] = 128
        write_mask(root / f"annotations/{stem}.png", mask)
    pictures = [f"images/{stem}.jpg" for stem in stems]
    return write_files(root, texts, tuple(_resize(root, pictures)))


def _resize(root: Path, names: list[str]) -> list[str]:
    """Writes pictures of `SIZE`; nothing is left to write."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SIZE, 3), 20 * number, np.uint8)).save(root / name)
    return []


def _color(*painted: tuple[slice, slice, int, int]) -> np.ndarray:
    """Colors of a mask: rows, columns, code and blue."""
    colors = np.zeros((*SIZE, 3))
    for rows, columns, code, blue in painted:
        colors[rows, columns] = code // 256 * 10, code % 256, blue
    return colors


def _write_masks(first: Path, second: Path) -> None:
    rows, all_columns = slice(0, 4), slice(None)
    # The order of the blues is not that of the objects.
    objects = _color((rows, all_columns, HOUSE, 200), (slice(4, 5), all_columns, CAR, 30))
    write_mask(Path(f"{first}_seg.png"), objects)
    write_mask(Path(f"{first}_parts_1.png"), _color((slice(2, 4), slice(0, 2), DOOR, 9)))
    write_mask(Path(f"{first}_parts_2.png"), _color((slice(3, 4), slice(1, 2), KNOB, 77)))
    write_mask(Path(f"{second}_seg.png"), _color((slice(None), all_columns, WALL, 255)))


def write_ade20k_2021(root: Path) -> Path:
    """The full set of 2021."""
    first, second = (
        root / f"images/ADE/{name}"
        for name in (
            "training/urban/street/ADE_train_00016869",
            "validation/home_or_hotel/attic/ADE_val_00000007",
        )
    )
    _write_masks(first, second)
    _resize(root, [f"{one.relative_to(root)}.jpg" for one in (first, second)])
    write_mask(first / "instance_000_ADE_train_00016869.png", np.full(SIZE, 255))
    write_mask(first / "instance_001_ADE_train_00016869.png", np.full(SIZE, 128))
    entries = [
        _entry(0, HOUSE, "house", ["building, edifice", "structure, construction"], hasparts=2),
        _entry(1, CAR, "car, auto, automobile", ["motor vehicle, automotive vehicle"]),
        _entry(2, DOOR, "door", "movable barrier", level=1, ispartof=0, hasparts=[3]),
        _entry(3, KNOB, "knob, boss", [], level=2, ispartof=2),
    ]
    _annotate(first, entries, ["outdoor", "urban", "street"])
    _annotate(second, _entry(0, WALL, "wall", []), "attic")
    return root


def _entry(number, code, name, hypernym, level=0, ispartof=(), hasparts=()):
    parts = {"hasparts": hasparts or [], "ispartof": [] if ispartof == () else ispartof, "part_level": level}
    known = {"id": number, "name": name, "name_ndx": code, "hypernym": hypernym, "raw_name": name}
    return {
        **known,
        "attributes": [],
        "occluded": "no",
        "parts": parts,
        "polygon": {"x": [0, 1], "y": [0, 1]},
    }


def _annotate(picture: Path, entries: object, scene: object) -> None:
    about = {"filename": f"{picture.name}.jpg", "imsize": [*SIZE, 3], "scene": scene, "object": entries}
    Path(f"{picture}.json").write_text(json.dumps({"annotation": about}))


def write_ade20k_2016(root: Path) -> Path:
    """The full set of 2016."""
    first, second = (
        root / f"images/{name}"
        for name in ("training/h/house/outdoor/ADE_train_00000001", "validation/misc/ADE_val_00000001")
    )
    _write_masks(first, second)
    _resize(root, [f"{one.relative_to(root)}.jpg" for one in (first, second)])
    # Of the blues 30 and 200 of objects the car has the first rank.
    lines = (
        '001 # 0 # 0 # car, auto, automobile # car # ""',
        '002 # 0 # 1 # house # house # "old, red"',
        '001 # 1 # 0 # door # door # ""',
        '001 # 2 # 0 # knob, boss # door knob # ""',
    )
    Path(f"{first}_atr.txt").write_text("\n".join(lines) + "\n")
    Path(f"{second}_atr.txt").write_text('001 # 0 # 0 # wall # wall # ""\n')
    write_files(root, {"index_ade20k.pkl": "not to be read"})
    return root


def add_picture(
    root: Path, number: int, names: Sequence[str], *painted: tuple[slice, slice, int, int]
) -> Path:
    """One more picture of 2016 with so many lines of objects; its path without ending."""
    picture = root / f"images/training/s/street/ADE_train_{number:08}"
    write_mask(Path(f"{picture}_seg.png"), _color(*painted))
    _resize(root, [f"{picture.relative_to(root)}.jpg"])
    lines = (f'{place:03} # 0 # 0 # {name} # {name} # ""\n' for place, name in enumerate(names, start=1))
    Path(f"{picture}_atr.txt").write_text("".join(lines))
    return picture
