"""Drawn pictures for training: painted once, kept in a folder, read at random."""

import hashlib
import json
import os
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from unitscope.files import write_whole
from unitscope.lab.world.names import FIRST_ID
from unitscope.lab.world.scenes import paint
from unitscope.lab.world.shading import read_labels, render
from unitscope.lab.world.source import EDITION
from unitscope.lab.zoo.processes import open_processes
from unitscope.progress import follow_each

PLANES = ("object", "part", "material", "texture")
_CHUNK = 250


@dataclass(frozen=True)
class PictureSet:
    """What is painted: picture i shows scene `scenes[i % len(scenes)]` at place i of the seed."""

    scenes: tuple[str, ...]
    count: int
    seed: int
    size: int = 64


@dataclass(frozen=True, eq=False)
class Pictures:
    """Painted pictures: `images[i]`, `kinds[i]` (place of the scene in the set), `labels[i]`.

    Labels have one plane a category of `PLANES`; they count within the category from 1, 0 is none.
    """

    images: UInt8[np.ndarray, "n y x 3"]
    kinds: Int64[np.ndarray, "n"]
    labels: UInt8[np.ndarray, "n 4 y x"]

    def __len__(self) -> int:
        return len(self.images)


def paint_pictures(wanted: PictureSet, folder: Path, *, workers: int = 0) -> Pictures:
    """The pictures of a set, painted into `folder` unless they are there already.

    The folder is named by what it holds, so sets never mix. About 29 kB a picture of 64 pixels.
    """
    name = f"{wanted.seed}-{wanted.count}-{wanted.size}-{_fingerprint(wanted)}"
    home = folder / name
    if not (home / "set.json").is_file():
        home.mkdir(parents=True, exist_ok=True)
        _paint_into(wanted, home, workers or min(4, os.cpu_count() or 1))
        write_whole(home / "set.json", json.dumps({**asdict(wanted), "edition": EDITION}) + "\n")
    kinds = np.arange(wanted.count, dtype=np.int64) % len(wanted.scenes)
    return Pictures(
        np.load(home / "images.npy", mmap_mode="r"), kinds, np.load(home / "labels.npy", mmap_mode="r")
    )


def _fingerprint(wanted: PictureSet) -> str:
    return hashlib.sha256(f"{wanted} {PLANES} {EDITION}".encode()).hexdigest()[:12]


def _paint_into(wanted: PictureSet, home: Path, workers: int) -> None:
    n, s = wanted.count, wanted.size
    images = np.lib.format.open_memmap(home / "images.npy", "w+", np.uint8, (n, s, s, 3))
    labels = np.lib.format.open_memmap(home / "labels.npy", "w+", np.uint8, (n, len(PLANES), s, s))
    chunks = [range(start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK)]
    paint_chunk = partial(_paint_chunk, wanted)
    # One chunk is painted here: starting another process takes longer than its pictures.
    many = open_processes(workers) if len(chunks) > 1 else nullcontext()
    with many as pool:
        done = map(paint_chunk, chunks) if pool is None else pool.map(paint_chunk, chunks)
        followed = follow_each(done, "painting", "chunks", len(chunks))
        for places, (some, named) in zip(chunks, followed, strict=True):
            images[places.start : places.stop], labels[places.start : places.stop] = some, named
    images.flush()
    labels.flush()


def _paint_chunk(wanted: PictureSet, places: range) -> tuple[np.ndarray, np.ndarray]:
    painted = [paint_one(wanted, place) for place in places]
    return np.stack([image for image, _ in painted]), np.stack([labels for _, labels in painted])


def paint_one(
    wanted: PictureSet, index: int
) -> tuple[UInt8[np.ndarray, "y x 3"], UInt8[np.ndarray, "4 y x"]]:
    """Picture `index` of a set and its labels, counted within each category of `PLANES`."""
    _, canvas = paint(wanted.seed, index, wanted.size, wanted.scenes[index % len(wanted.scenes)])
    planes = read_labels(canvas)[: len(PLANES)].astype(np.int64)
    first = np.array([FIRST_ID[category] - 1 for category in PLANES])[:, None, None]
    return render(canvas), np.where(planes > 0, planes - first, 0).astype(np.uint8)
