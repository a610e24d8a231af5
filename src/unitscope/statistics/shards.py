"""Statistics of a part of the images as a file: what is computed travels, waits and is named from there.

A file is written once, whole, and has the same bytes whenever the same shard is computed from the same
bounds. Cells lie in it unit by unit, with an index of where each unit begins, so that some units can be read
without the others.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from unitscope.errors import RunError
from unitscope.files import create_arrays
from unitscope.statistics.annotations import FIELDS, Annotations
from unitscope.statistics.cells import Cells
from unitscope.statistics.exemplars import TopImages
from unitscope.statistics.quantiles import TailPlan
from unitscope.statistics.scan import Scan

FORMAT = 2
"""The version of the files of shards."""

_KINDS = {"U8": "u1", "U16": "<u2", "I32": "<i4", "U32": "<u4", "I64": "<i8", "F32": "<f4"}
_DAMAGES = (AttributeError, LookupError, OSError, TypeError, ValueError)


@dataclass(frozen=True)
class Origin:
    """Where a shard comes from: the digest of its run's recipe, and what computed it, in words."""

    digest: str
    machine: str


def write_shard(folder: Path, number: int, shard: Scan, origin: Origin, hint: str) -> None:
    """Write one shard; a file of that name is there as a whole or not at all, and one that is there stays.

    Raises `RunError` where it cannot be written, such as on a full disk; `hint` says what to do.
    """
    arrays = {f"annotations/{name}": array for name, array in shard.annotations.arrays.items()}
    for place, (layer, tail) in enumerate(shard.tails.items()):
        arrays[f"{place}/bound"] = tail.bound
        for name, chunks in (("cells", tail.chunks), ("raw", tail.raw)):
            for chunk in chunks:
                arrays |= _name_arrays(f"{place}/{name}", chunk.part(0, tail.plan.units), tail.plan)
        arrays[f"{place}/top/images"] = shard.tops[layer].images
        arrays[f"{place}/top/peaks"] = shard.tops[layer].peaks
    first = shard.annotations.first
    keys = json.dumps([shard.keys[first + place] for place in range(len(shard.annotations))])
    arrays["keys"] = np.frombuffer(keys.encode(), np.uint8)
    arrays = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    about = {"format": FORMAT, "number": number, "first": first, "images": len(shard.annotations)}
    sums = {name: zlib.crc32(array.data) for name, array in arrays.items()}
    spelled = json.dumps({**about, "digest": origin.digest, "machine": origin.machine, "sums": sums})
    # One entry, for several would stand in the file in any order.
    create_arrays(shard_path(folder, number), arrays, hint, {"unitscope": spelled})


def _name_arrays(place: str, chunk: Cells, plan: TailPlan) -> dict[str, np.ndarray]:
    most = max(int(np.prod(plan.stored_grid.map_size)), int(np.prod(plan.raw_size)))
    kind = np.uint16 if most <= 1 << 16 else np.uint32
    return {
        f"{place}/record_starts": chunk.record_starts,
        f"{place}/cell_starts": chunk.cell_starts,
        f"{place}/image": chunk.image,
        f"{place}/size": chunk.size,
        f"{place}/cells": chunk.cells.astype(kind),
        f"{place}/values": chunk.values,
    }


def measure_cells(chunk: Cells, plan: TailPlan) -> int:
    """Bytes that some cells take in a file, but for the index of its units."""
    arrays = _name_arrays("", chunk, plan).items()
    return sum(array.nbytes for name, array in arrays if not name.endswith("_starts"))


@dataclass(frozen=True, eq=False)
class ShardFile:
    """A shard on disk.

    `places` has by the name of an array its kind, its shape and where it begins, `sums` its CRC-32.
    """

    path: Path
    number: int
    first: int
    images: int
    origin: Origin
    places: Mapping[str, tuple[str, tuple[int, ...], int]]
    sums: Mapping[str, int]

    def check(self) -> None:
        """Reads all of it. Raises `RunError` where it is not what was written, as after a loss of power."""
        for name in self.places:
            if zlib.crc32(self.read(name).data) != self.sums.get(name):
                raise _damaged(self.path, ValueError(f"its {name} are not what was written"))

    def read(self, name: str) -> np.ndarray:
        """One array. Raises `RunError` where it cannot be read."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                return self._read(file, name, 0, self.places[name][1][0])
        except _DAMAGES as error:
            raise _damaged(self.path, error) from error

    def count(self, name: str) -> int:
        """How many cells it has under that name."""
        return self.places[f"{name}/cells"][1][0]

    def cells(self, name: str, start: int, stop: int) -> Cells:
        """The cells of some units. Raises `RunError` where they cannot be read."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                records = self._read(file, f"{name}/record_starts", start, stop + 1)
                cells = self._read(file, f"{name}/cell_starts", start, stop + 1)
                image, size = (
                    self._read(file, f"{name}/{part}", int(records[0]), int(records[-1]))
                    for part in ("image", "size")
                )
                place, values = (
                    self._read(file, f"{name}/{part}", int(cells[0]), int(cells[-1]))
                    for part in ("cells", "values")
                )
            found = Cells(np.diff(records), image, size, place.astype(np.uint32), values)
            if not np.array_equal(found.cell_starts, cells - cells[0]):
                raise ValueError("its index does not fit its cells")
        except _DAMAGES as error:
            raise _damaged(self.path, error) from error
        return found

    def keys(self) -> dict[int, str]:
        """The source's keys of its images, by their numbers. Raises `RunError` where they cannot be read."""
        return dict(enumerate(json.loads(self.read("keys").tobytes()), self.first))

    def annotations(self, mask_size: tuple[int, int]) -> Annotations:
        """The labels of its images. Raises `RunError` where they cannot be read."""
        labels = {name: self.read(f"annotations/{name}") for name in FIELDS}
        return Annotations(mask_size, ((self.first, labels),))

    def tops(self, place: int) -> TopImages:
        """The top images of a layer's units. Raises `RunError` where they cannot be read."""
        return TopImages(self.read(f"{place}/top/images"), self.read(f"{place}/top/peaks"))

    def _read(self, file: BinaryIO, name: str, start: int, stop: int) -> np.ndarray:
        kind, shape, begin = self.places[name]
        array = np.empty((max(0, stop - start), *shape[1:]), kind)
        if not 0 <= start <= stop <= shape[0]:
            raise ValueError(f"its {name} end before {stop}")
        file.seek(begin + start * int(np.prod(shape[1:])) * array.itemsize)
        view, filled = memoryview(array.reshape(-1).view(np.uint8).data), 0
        while filled < len(view):
            if not (more := file.readinto(view[filled:])):  # type: ignore[attr-defined]
                raise ValueError("it ends too early")
            filled += more
        return array


def open_shard(folder: Path, number: int) -> ShardFile | None:
    """One shard, None where it has not been written. Raises `RunError` where it cannot be read."""
    path = shard_path(folder, number)
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                raise ValueError("it ends too early")
            header: dict[str, Any] = json.loads(file.read(length))
        about = json.loads(header.pop("__metadata__", {}).get("unitscope", "{}"))
        places = {
            name: (_KINDS[entry["dtype"]], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
            for name, entry in header.items()
        }
        if path.stat().st_size != 8 + length + max(entry["data_offsets"][1] for entry in header.values()):
            raise ValueError("it ends too early")
        if about.get("format") != FORMAT:
            hint = f"delete {folder} and begin again"
            raise RunError(f"{path} was written by another version of unitscope, in another form; {hint}")
        if about["number"] != number:
            raise ValueError(f"it is shard {about['number']}")
        origin = Origin(about["digest"], about["machine"])
        return ShardFile(path, number, about["first"], about["images"], origin, places, about["sums"])
    except FileNotFoundError:
        return None
    except _DAMAGES as error:
        raise _damaged(path, error) from error


def shard_path(folder: Path, number: int) -> Path:
    """Where one shard is written."""
    return folder / f"{number:06d}.safetensors"


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(f"cannot read {path}: {error}; delete it and go on with --resume")
