"""How quickly each kind of data set is opened, decoded and packed.

The same pictures of 500 x 375 pixels, much like photographs, with maps of 20 classes, are laid out as each
published set is; then examples are read and brought to 224 x 224, labels to 112 x 112, by one thread, and
packed by all cores.
"""

import io
import json
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet
from pycocotools import mask as coco_masks

from unitscope.concepts.frames import Frame
from unitscope.concepts.packed import pack_source
from unitscope.concepts.sources import open_concepts

CLASSES = 20
SIZE = (375, 500)
FRAME = Frame((224, 224), (112, 112))


@dataclass(frozen=True)
class Rates:
    """Of one kind: seconds to open it, and images a second decoded, packed, and read packed."""

    opened: float
    decoded: float
    packed: float
    read: float


def draw(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures with the spectrum of photographs, and maps of classes in patches."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(count):
        layers = [
            np.asarray(
                Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8)).resize(SIZE[::-1]),
                np.float32,
            )
            for side in (4, 16, 64, 256)
        ]
        image = sum(weight * layer for weight, layer in zip((0.5, 0.25, 0.15, 0.1), layers, strict=True))
        coarse = random.integers(0, CLASSES + 1, (6, 8), np.uint8)
        labels = np.asarray(Image.fromarray(coarse).resize(SIZE[::-1], Image.Resampling.NEAREST))
        found.append((np.asarray(image).astype(np.uint8), labels))
    return found


def jpeg(image: np.ndarray) -> bytes:
    return _encode(image, "JPEG")


def png(array: np.ndarray) -> bytes:
    return _encode(array, "PNG")


def _encode(array: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind)
    return file.getvalue()


def put(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


Drawn = list[tuple[np.ndarray, np.ndarray]]


def write_folder(root: Path, drawn: Drawn) -> str:
    for number, (image, labels) in enumerate(drawn):
        put(root / f"images/{number:05}.jpg", jpeg(image))
        put(root / f"masks/{number:05}.png", png(labels))
    put(root / "classes.json", json.dumps([f"class {number}" for number in range(CLASSES + 1)]))
    return f"folder:{root}"


def write_voc(root: Path, drawn: Drawn) -> str:
    for number, (image, labels) in enumerate(drawn):
        put(root / f"JPEGImages/2007_{number:06}.jpg", jpeg(image))
        put(root / f"SegmentationClass/2007_{number:06}.png", png(labels))
    names = "".join(f"2007_{number:06}\n" for number in range(len(drawn)))
    put(root / "ImageSets/Segmentation/trainval.txt", names)
    return f"voc:{root}"


def write_coco(root: Path, drawn: Drawn) -> str:
    images, annotations = [], []
    for number, (image, labels) in enumerate(drawn):
        name = f"{number:012}.jpg"
        put(root / f"val2017/{name}", jpeg(image))
        images.append({"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
        for value in np.unique(labels[labels > 0]).tolist():
            runs = coco_masks.encode(np.asfortranarray(labels == value, np.uint8))
            shape = {"size": runs["size"], "counts": runs["counts"].decode()}
            about = {"id": len(annotations) + 1, "image_id": number, "category_id": value, "iscrowd": 0}
            annotations.append({**about, "area": 1, "bbox": [0, 0, 1, 1], "segmentation": shape})
    categories = [{"id": value, "name": f"class {value}"} for value in range(1, CLASSES + 1)]
    found = {"images": images, "annotations": annotations, "categories": categories}
    put(root / "annotations/instances_val2017.json", json.dumps(found))
    return f"coco:{root},annotations=instances_val2017.json"


def write_panoptic(root: Path, drawn: Drawn) -> str:
    images, annotations = [], []
    for number, (image, labels) in enumerate(drawn):
        name = f"{number:012}"
        put(root / f"val2017/{name}.jpg", jpeg(image))
        put(root / f"annotations/panoptic_val2017/{name}.png", png(np.stack([labels] * 3, -1)))
        images.append({"id": number, "file_name": f"{name}.jpg", "height": SIZE[0], "width": SIZE[1]})
        segments = [
            {"id": value * 65_793, "category_id": value, "iscrowd": 0, "area": 1, "bbox": [0, 0, 1, 1]}
            for value in np.unique(labels[labels > 0]).tolist()
        ]
        annotations.append({"image_id": number, "file_name": f"{name}.png", "segments_info": segments})
    categories = [{"id": value, "name": f"class {value}", "isthing": 1} for value in range(1, CLASSES + 1)]
    found = {"images": images, "annotations": annotations, "categories": categories}
    put(root / "annotations/panoptic_val2017.json", json.dumps(found))
    return f"coco-panoptic:{root}/val2017,annotations={root}/annotations/panoptic_val2017.json"


def write_ade(root: Path, drawn: Drawn) -> str:
    for number, (image, labels) in enumerate(drawn):
        name = f"images/ADE/training/urban/street/ADE_train_{number:08}"
        codes = np.stack([labels * 0, labels, labels], -1)
        put(root / f"{name}.jpg", jpeg(image))
        put(root / f"{name}_seg.png", png(codes))
        objects = [
            {"id": value, "name": f"class {value}", "name_ndx": value, "hypernym": [], "raw_name": "",
             "attributes": [], "parts": {"hasparts": [], "ispartof": [], "part_level": 0}}
            for value in np.unique(labels[labels > 0]).tolist()
        ]  # fmt: skip
        about = {
            "filename": f"{Path(name).name}.jpg",
            "scene": ["outdoor", "urban", "street"],
            "object": objects,
        }
        put(root / f"{name}.json", json.dumps({"annotation": about}))
    return f"ade20k:{root}"


def write_parquet(root: Path, drawn: Drawn) -> str:
    def cell(data: bytes) -> dict[str, bytes | None]:
        return {"bytes": data, "path": None}

    rows = [{"image": cell(jpeg(image)), "annotation": cell(png(labels))} for image, labels in drawn]
    named = {str(value): f"class {value}" for value in range(1, CLASSES + 1)}
    put(root / "id2label.json", json.dumps({"0": "unlabelled", **named}))
    (root / "data").mkdir(parents=True)
    features = {name: {"_type": "Image"} for name in ("image", "annotation")}
    table = pa.Table.from_pylist(rows)
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, root / "data/train-00000-of-00001.parquet", row_group_size=100)
    return f"hf:{root},image=image,masks=annotation"


def write_tar(root: Path, drawn: Drawn) -> str:
    root.mkdir(parents=True)
    with tarfile.open(root / "train-000000.tar", "w") as file:
        for number, (image, labels) in enumerate(drawn):
            for ending, data in (("jpg", jpeg(image)), ("png", png(labels))):
                about = tarfile.TarInfo(f"{number:06}.{ending}")
                about.size = len(data)
                file.addfile(about, io.BytesIO(data))
    put(root / "classes.json", json.dumps([f"class {number}" for number in range(CLASSES + 1)]))
    return f"wds:{root}/train-000000.tar,image=jpg,masks=png,classes={root}/classes.json"


def write_named(root: Path, drawn: Drawn) -> str:
    for number, (image, _) in enumerate(drawn):
        put(root / f"train/n{number % 9:08}/n{number % 9:08}_{number}.JPEG", jpeg(image))
    return f"imagenet:{root},split=train"


WRITERS: Mapping[str, Callable[[Path, Drawn], str]] = {
    "folder, masks": write_folder,
    "voc": write_voc,
    "coco, RLE": write_coco,
    "coco-panoptic": write_panoptic,
    "ade20k, full": write_ade,
    "hf, parquet": write_parquet,
    "wds": write_tar,
    "imagenet": write_named,
}


def measure(count: int, folder: Path) -> dict[str, Rates]:
    """The rates of every kind, over so many pictures that are written below a folder."""
    drawn, found = draw(count), {}
    for place, (kind, write) in enumerate(WRITERS.items()):
        spec = write(folder / f"set{place}", drawn)
        start = time.perf_counter()
        source = open_concepts(spec)
        opened = time.perf_counter()
        for index in range(len(source)):
            FRAME.fit(source[index])
        decoded = time.perf_counter()
        packed = pack_source(source, FRAME, folder / "packed")
        done = time.perf_counter()
        for index in range(len(packed)):
            packed[index].image.sum()
        read = time.perf_counter()
        count = len(source)
        spans = opened - start, count / (decoded - opened), count / (done - decoded), count / (read - done)
        found[kind] = Rates(*spans)
    return found
