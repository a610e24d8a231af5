"""Data sets of the Hugging Face Hub as they lie on disk.

Pictures are 4 pixels high and 6 wide; the one of row number n of a split is all of the gray 10 n.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SIZE = (4, 6)
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def encode(pixels: np.ndarray, form: str = "PNG") -> bytes:
    """The bytes of a picture."""
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, form)
    return stored.getvalue()


def picture(number: int) -> dict[str, Any]:
    """A cell with a gray picture."""
    return {"bytes": encode(np.full((*SIZE, 3), 10 * number, np.uint8)), "path": f"{number}.png"}


def mask(*rows: int) -> dict[str, Any]:
    """A cell with a mask whose rows are of one number each."""
    return {"bytes": encode(np.repeat(np.array(rows, np.uint8)[:, None], SIZE[1], 1)), "path": None}


def make_table(
    columns: dict[str, tuple[Any, Sequence[Any]]], features: dict[str, Any] | None = None
) -> pa.Table:
    """A table of columns with types and cells, with what `datasets` writes about them where there is any."""
    told = {"huggingface": json.dumps({"info": {"features": features}})} if features is not None else None
    schema = pa.schema([(name, kind) for name, (kind, _) in columns.items()], metadata=told)
    return pa.table({name: pa.array(cells, kind) for name, (kind, cells) in columns.items()}, schema=schema)


MASKED = {
    "image": {"_type": "Image"},
    "annotation": {"_type": "Image"},
    "scene_category": {"names": ["beach", "street"], "_type": "ClassLabel"},
}


def make_masked(start: int) -> pa.Table:
    """Three rows as of `scene_parse_150`; the second has no mask, the third no scene."""
    return make_table(
        {
            "image": (IMAGE, [picture(start + number) for number in range(3)]),
            "annotation": (IMAGE, [mask(0, 1, 1, 255), None, mask(2, 2, 2, 1)]),
            "scene_category": (pa.int64(), [1, 0, -1]),
        },
        MASKED,
    )


def write_repository(root: Path) -> Path:
    """A clone: two shards of `train`, one of `validation`, and a list of classes by custom."""
    (root / "data").mkdir(parents=True)
    pq.write_table(make_masked(0), root / "data/train-00000-of-00002.parquet", row_group_size=2)
    pq.write_table(make_masked(3), root / "data/train-00001-of-00002-0a1b2c3d4e5f6789.parquet")
    pq.write_table(make_masked(0).slice(0, 1), root / "data/validation-00000-of-00001.parquet")
    (root / "id2label.json").write_text(json.dumps({"0": "background", "1": "wall", "2": "sky"}))
    (root / "README.md").write_text("---\nlicense: mit\n---\n# A set\n")
    return root


def write_stream(path: Path, table: pa.Table, rows: int = 2) -> None:
    """A stream of batches, as `datasets` writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=rows):
            writer.write_batch(batch)


def write_saved(root: Path) -> Path:
    """What `DatasetDict.save_to_disk` writes: `train` in two files, `test` in one."""
    (root / "train").mkdir(parents=True)
    (root / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    for split, starts in (("train", (0, 3)), ("test", (0,))):
        names = [f"data-{number:05}-of-{len(starts):05}.arrow" for number in range(len(starts))]
        for name, start in zip(names, starts, strict=True):
            write_stream(root / split / name, make_masked(start).replace_schema_metadata(None))
        state = {
            "_data_files": [{"filename": name} for name in names],
            "_fingerprint": "0",
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": split,
        }
        (root / split / "state.json").write_text(json.dumps(state))
        (root / split / "dataset_info.json").write_text(json.dumps({"features": MASKED}))
    (root / "id2label.json").write_text(json.dumps({"0": "background", "1": "wall", "2": "sky"}))
    return root


HOUSE, DOOR, KNOB, CAR = 1530, 774, 1435, 401
"""Classes of ADE20K by number, all above 255."""


def _color(*rows: int) -> dict[str, Any]:
    codes = np.repeat(np.array(rows)[:, None], SIZE[1], 1)
    return {
        "bytes": encode(np.stack([codes // 256 * 10 + 3, codes % 256, codes * 0 + 7], -1).astype(np.uint8))
    }


def _object(number: int, name: str, level: int, kinds: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "id": 0,
        "name": name,
        "name_ndx": number,
        "hypernym": [*kinds],
        "raw_name": "raw",
        "parts": {"is_part_of": None, "part_level": level, "has_parts": []},
        "polygon": {"x": [1], "y": [2]},
    }


def write_ade_rows(root: Path, listed: bool = True) -> Path:
    """The columns of `1aurent/ADE20K`, two rows; objects as lists, or (older) as an object of lists."""
    house = [
        _object(HOUSE, "house", 0, ["building, edifice"]),
        _object(DOOR, "door", 1),
        _object(KNOB, "knob, boss", 2),
    ]
    car = [_object(CAR, "car, auto, automobile", 0)]
    parts = pa.struct(
        [("is_part_of", pa.int64()), ("part_level", pa.int64()), ("has_parts", pa.list_(pa.float64()))]
    )
    polygon = pa.struct([("x", pa.list_(pa.int64())), ("y", pa.list_(pa.int64()))])
    texts = pa.list_(pa.string())
    kinds = {"id": pa.int64(), "name": pa.string(), "name_ndx": pa.int64(), "hypernym": texts,
             "raw_name": pa.string(), "parts": parts, "polygon": polygon}  # fmt: skip
    objects: Any = [house, car]
    kind = pa.list_(pa.struct(list(kinds.items())))
    if not listed:
        kind = pa.struct([(name, pa.list_(one)) for name, one in kinds.items()])
        objects = [{name: [one[name] for one in row] for name in kinds} for row in objects]
    table = make_table(
        {
            "image": (IMAGE, [picture(1), picture(2)]),
            "segmentations": (
                pa.list_(IMAGE),
                [
                    [_color(HOUSE, HOUSE, 0, 0), _color(0, DOOR, 0, 0), _color(0, KNOB, 0, 0)],
                    [_color(0, 0, 0, CAR)],
                ],
            ),
            "instances": (pa.list_(IMAGE), [[], []]),
            "filename": (pa.string(), ["a.jpg", "b.jpg"]),
            "scene": (texts, [["outdoor", "urban", "street"], ["misc"]]),
            "objects": (kind, objects),
        },
        {"image": {"_type": "Image"}, "segmentations": [{"_type": "Image"}]},
    )
    (root / "data").mkdir(parents=True)
    pq.write_table(table, root / "data/train-00000-of-00001.parquet")
    return root
