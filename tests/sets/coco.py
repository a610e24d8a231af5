"""Tiny sets as COCO, LVIS, PACO and COCO panoptic are published, and what is in them by the arrays drawn.

Each `write_...` returns, by the name of its annotation file, what is known of each picture, by its path below
the root: the pixels of every concept, by category and name, and of `void`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Truth = dict[str, dict[str, dict[str, np.ndarray]]]

SIZE = 12, 16
"""Height and width of every picture."""


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    """A mask of a rectangle."""
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def outline(top: int, left: int, bottom: int, right: int) -> list[float]:
    """The polygon of `box`."""
    return [left, top, right, top, right, bottom, left, bottom]


def count_runs(mask: np.ndarray) -> list[int]:
    """Lengths of runs down the columns, zeros first."""
    counts, value = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


def spell_runs(counts: Sequence[int]) -> str:
    """Run lengths in letters, one bit after the other."""
    text = ""
    for place, count in enumerate(counts):
        number = count - (counts[place - 2] if place > 2 else 0)
        while True:
            low, number = number & 31, number >> 5
            more = number != (-1 if low & 16 else 0)
            text += chr(48 + low + 32 * more)
            if not more:
                break
    return text


def as_numbers(mask: np.ndarray) -> dict[str, Any]:
    """A mask as lengths of runs in a list."""
    return {"counts": count_runs(mask), "size": list(mask.shape)}


def as_letters(mask: np.ndarray) -> dict[str, Any]:
    """A mask as lengths of runs in letters."""
    return {"counts": spell_runs(count_runs(mask)), "size": list(mask.shape)}


def image(number: int, **more: Any) -> dict[str, Any]:
    """An entry of images[]."""
    return {"id": number, "height": SIZE[0], "width": SIZE[1], "license": 1, **more}


def write_pictures(root: Path, names: Sequence[str]) -> None:
    """Pictures of one color each."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE[::-1], (number, 40, 90)).save(root / name)


def write_annotations(root: Path, name: str, data: Mapping[str, Any]) -> Path:
    """The file `annotations/name`."""
    path = root / "annotations" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"info": {"year": 2017}, "licenses": [{"id": 1}], **data}))
    return path


def write_coco(root: Path) -> Truth:
    """Two splits: polygons in pieces, both kinds of run lengths, a crowd, an image without annotations."""
    write_pictures(
        root, [f"{split}2017/{n:012d}.jpg" for split, ns in (("train", [9]), ("val", [139, 285])) for n in ns]
    )
    categories = [
        {"id": 1, "name": "person", "supercategory": "person"},
        {"id": 18, "name": "dog", "supercategory": "animal"},
        {"id": 90, "name": "toothbrush", "supercategory": "indoor"},
    ]
    pieces, over, crowd, dog = (1, 1, 4, 6), (3, 4, 9, 9), box(0, 0, 12, 3), box(2, 5, 5, 12)
    annotations = [
        note(1700, 139, 1, [outline(*pieces), outline(8, 12, 10, 16)]),
        note(1701, 139, 1, [outline(*over)]),
        note(1702, 139, 18, as_letters(dog)),
        {**note(900100000139, 139, 1, as_numbers(crowd)), "iscrowd": 1},
    ]
    write_annotations(
        root,
        "instances_val2017.json",
        {
            "images": [
                image(139, file_name="000000000139.jpg", coco_url="http://images/val2017/000000000139.jpg"),
                image(285, file_name="000000000285.jpg"),
            ],
            "annotations": annotations,
            "categories": categories,
        },
    )
    write_annotations(
        root,
        "instances_train2017.json",
        {
            "categories": categories,
            "annotations": [note(1, 9, 90, as_numbers(box(0, 0, 12, 16)))],
            "images": [image(9, file_name="000000000009.jpg")],
        },
    )
    person = box(*pieces) | box(8, 12, 10, 16) | box(*over)
    return {
        "instances_val2017.json": {
            "val2017/000000000139.jpg": {
                "object/person": person,
                "object/dog": dog,
                "void": crowd & ~(person | dog),
            },
            "val2017/000000000285.jpg": {},
        },
        "instances_train2017.json": {"train2017/000000000009.jpg": {"object/toothbrush": box(0, 0, 12, 16)}},
    }


def note(number: int, picture: int, category: int, mask: Any, **more: Any) -> dict[str, Any]:
    """An entry of annotations[] of a file of instances."""
    return {
        "id": number,
        "image_id": picture,
        "category_id": category,
        "segmentation": mask,
        "area": 4.5,
        "bbox": [0.5, 1, 2, 3],
        "iscrowd": 0,
        **more,
    }


def write_lvis(root: Path) -> Truth:
    """LVIS v1: no file names, no crowds, pictures of both of COCO's folders."""
    write_pictures(root, ["train2017/000000391895.jpg", "val2017/000000397133.jpg"])
    url = "http://images.cocodataset.org"
    more = {"neg_category_ids": [7], "not_exhaustive_category_ids": [], "date_captured": "2013"}
    images = [
        image(391895, coco_url=f"{url}/train2017/000000391895.jpg", **more),
        image(397133, coco_url=f"{url}/val2017/000000397133.jpg", **more),
    ]
    names = {207: "car_(automobile)", 3: "air_conditioner", 7: "alarm_clock"}
    categories = [
        {
            "id": number,
            "name": name,
            "synset": f"{name}.n.01",
            "synonyms": [name],
            "def": "-",
            "frequency": "c",
        }
        for number, name in names.items()
    ]
    annotations = [
        note(1, 391895, 207, [outline(0, 0, 4, 4)]),
        note(2, 397133, 3, [outline(2, 2, 6, 6)]),
        note(3, 397133, 207, [outline(4, 4, 8, 8)]),
    ]
    for one in annotations:
        del one["iscrowd"]
    data = {"images": images, "categories": categories, "annotations": annotations}
    write_annotations(root, "lvis_v1_val.json", data)
    return {
        "lvis_v1_val.json": {
            "train2017/000000391895.jpg": {"object/car_(automobile)": box(0, 0, 4, 4)},
            "val2017/000000397133.jpg": {
                "object/air_conditioner": box(2, 2, 6, 6),
                "object/car_(automobile)": box(4, 4, 8, 8),
            },
        }
    }


def write_paco(root: Path, **wrong: Any) -> Truth:
    """PACO: objects, parts of two objects with one name, attributes of both."""
    write_pictures(root, ["train2017/000000000030.jpg", "val2017/000000000042.jpg"])
    chair, leg, stool, foot = box(0, 0, 9, 6), box(6, 0, 9, 2), box(2, 8, 10, 14), box(8, 8, 10, 9)
    tint = {"attribute_ids": [0, 1, 3], "dom_color_ids": [0], "unknown_material": 0}
    data = {
        "images": [
            image(30, file_name="train2017/000000000030.jpg", neg_category_ids=[]),
            image(42, file_name="val2017/000000000042.jpg", neg_category_ids=[]),
        ],
        "annotations": [
            note(1, 30, 232, as_letters(chair), obj_ann_id=1, **tint),
            note(2, 30, 2001, as_letters(leg), obj_ann_id=1, attribute_ids=[1, 4, 2]),
            note(3, 30, 1018, as_letters(stool), obj_ann_id=3, attribute_ids=[]),
            note(4, 30, 2400, as_letters(foot), obj_ann_id=3, attribute_ids=[5]),
            note(5, 42, 232, [], obj_ann_id=5, attribute_ids=[0]),
        ],
        "categories": [
            {"id": 232, "name": "chair", "supercategory": "OBJECT", "synset": "chair.n.01"},
            {"id": 1018, "name": "stool", "supercategory": "OBJECT", "synset": "stool.n.01"},
            {"id": 2001, "name": "chair:leg", "supercategory": "PART"},
            {"id": 2400, "name": "stool:leg", "supercategory": "PART"},
        ],
        "part_categories": [{"id": 0, "name": "leg", "supercategory": "PART"}],
        "attributes": [
            {"id": number, "name": name, "supercategory": "ATTR"}
            for number, name in enumerate(["black", "red", "other(color)", "striped", "wood", "opaque"])
        ],
        "attr_type_to_attr_idxs": {
            "color": [0, 1, 2],
            "pattern_marking": [3],
            "material": [4],
            "transparency": [5],
        },
    }
    write_annotations(root, "paco_lvis_v1_val.json", {**data, **wrong})
    return {
        "paco_lvis_v1_val.json": {
            "train2017/000000000030.jpg": {
                "object/chair": chair,
                "object/stool": stool,
                "part/chair:leg": leg,
                "part/stool:leg": foot,
                "part/leg": leg | foot,
                "color/black": chair,
                "color/red": chair | leg,
                "texture/striped": chair,
                "material/wood": leg,
                "transparency/opaque": foot,
            },
            "val2017/000000000042.jpg": {},
        }
    }


SEGMENTS = {
    3_226_956: (1, 0, box(0, 0, 6, 8)),
    6_979_964: (184, 0, box(0, 8, 12, 16)),
    7: (1, 1, box(9, 0, 12, 5)),
}
"""By number: category, whether a crowd, mask."""


def write_panoptic(root: Path) -> Truth:
    """Panoptic segments of one picture, one without an annotation, one without its mask."""
    write_pictures(root, [f"val2017/{number:012d}.jpg" for number in (139, 285, 632)])
    write_segments(root / "annotations/panoptic_val2017/000000000139.png", SEGMENTS)
    segments = [
        {"id": number, "category_id": category, "iscrowd": crowd, "area": 1, "bbox": [0, 0, 1, 1]}
        for number, (category, crowd, _) in SEGMENTS.items()
    ]
    data = {
        "images": [image(number, file_name=f"{number:012d}.jpg") for number in (139, 285, 632)],
        "annotations": [
            {"image_id": 632, "file_name": "000000000632.png", "segments_info": segments},
            {"image_id": 139, "file_name": "000000000139.png", "segments_info": segments},
        ],
        "categories": [
            {"id": 1, "name": "person", "supercategory": "person", "isthing": 1},
            {"id": 184, "name": "tree-merged", "supercategory": "plant", "isthing": 0},
        ],
    }
    write_annotations(root, "panoptic_val2017.json", data)
    first, tree, crowd = (mask for *_, mask in SEGMENTS.values())
    return {
        "panoptic_val2017.json": {
            "val2017/000000000139.jpg": {
                "object/person": first | crowd,
                "object/tree-merged": tree,
                "void": ~(first | crowd | tree),
            }
        }
    }


def write_segments(path: Path, segments: Mapping[int, tuple[int, int, np.ndarray]]) -> None:
    """A mask with R + 256 G + 65,536 B = the number of the segment."""
    colors = np.zeros((*SIZE, 3), np.uint8)
    for number, (_, _, mask) in segments.items():
        colors[mask] = [number % 256, number // 256 % 256, number // 65_536]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colors).save(path)
