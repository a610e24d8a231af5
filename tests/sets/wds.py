"""Shards of WebDataset.

Pictures are 4 pixels high and 6 wide, the one of sample number n is all of the gray 10 n.
"""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (4, 6)


def encode(pixels: np.ndarray, form: str = "PNG") -> bytes:
    """The bytes of a picture."""
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, form)
    return stored.getvalue()


def gray(number: int) -> bytes:
    """A picture of one gray."""
    return encode(np.full((*SIZE, 3), 10 * number, np.uint8))


def mask(*rows: int) -> bytes:
    """A mask whose rows are of one number each."""
    return encode(np.repeat(np.array(rows, np.uint8)[:, None], SIZE[1], 1))


def write_tar(path: Path, members: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    """A tar of files by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in members.items():
            add_member(tar, name, data)
    return path


def add_member(tar: tarfile.TarFile, name: str, data: bytes = b"", **fields: Any) -> None:
    """Adds a file, or something else by its fields."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))


def write_shards(root: Path) -> Path:
    """Two shards of two samples each, and a list of the classes; the last sample has no mask and no class."""
    masks = [mask(0, 1, 1, 255), mask(2, 2, 2, 1), mask(1, 1, 1, 1)]
    for shard in range(2):
        members = {}
        for place in range(2):
            number = 2 * shard + place
            name = f"town/{number:04}"
            members[f"{name}.jpg"] = gray(number)
            if number < 3:
                members[f"{name}.png"] = masks[number]
                members[f"{name}.cls"] = f"{number % 2 + 1}\n".encode()
            about = {"scene": ["beach", "street"][:number], "deep": {"name": "fog"}, "none": None}
            members[f"{name}.json"] = json.dumps(about).encode()
        write_tar(root / f"train-{shard:06}.tar", members)
    (root / "classes.txt").write_text("background\nwall\nsky\n")
    return root
