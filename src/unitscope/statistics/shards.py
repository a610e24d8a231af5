"""Statistics of a part of the images, as files: a killed scan goes on from them."""

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from unitscope.errors import RunError
from unitscope.files import whole_file
from unitscope.statistics.annotations import FIELDS, Annotations
from unitscope.statistics.exemplars import TopImages
from unitscope.statistics.quantiles import restore_tail
from unitscope.statistics.scan import Scan, ScanPlan


def write_shard(folder: Path, number: int, shard: Scan) -> None:
    """Write one shard; a file of that name is there as a whole or not at all.

    Raises `RunError` where it cannot be written, such as on a full disk.
    """
    arrays = {f"annotations/{name}": array for name, array in shard.annotations.arrays.items()}
    for place, layer in enumerate(shard.tails):
        arrays |= {f"{place}/tail/{name}": array for name, array in shard.tails[layer].state().items()}
        arrays[f"{place}/top/images"] = shard.tops[layer].images
        arrays[f"{place}/top/peaks"] = shard.tops[layer].peaks
    first = shard.annotations.first
    keys = json.dumps([shard.keys[first + place] for place in range(len(shard.annotations))])
    hint = f"{number} shards are kept: free some space and go on with --resume"
    with whole_file(shard_path(folder, number), hint) as unfinished:
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        try:
            save_file(contiguous, unfinished, {"first": str(first), "keys": keys})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def read_shard(folder: Path, number: int, plan: ScanPlan) -> Scan | None:
    """One shard, None where it has not been written. Raises `RunError` where it cannot be read."""
    path = shard_path(folder, number)
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata()
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        first = int(about["first"])
        keys = dict(enumerate(json.loads(about["keys"]), first))
        labels = {name: arrays[f"annotations/{name}"] for name in FIELDS}
        tails, tops = {}, {}
        for place, (layer, tail) in enumerate(plan.tails.items()):
            start = f"{place}/tail/"
            state = {
                name.removeprefix(start): part for name, part in arrays.items() if name.startswith(start)
            }
            tails[layer] = restore_tail(tail, state)
            tops[layer] = TopImages(arrays[f"{place}/top/images"], arrays[f"{place}/top/peaks"])
        return Scan(keys, Annotations(plan.frame.mask_size, ((first, labels),)), tails, tops)
    except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}; delete it and go on with --resume") from error


def shard_path(folder: Path, number: int) -> Path:
    """Where one shard is written."""
    return folder / f"{number:06d}.safetensors"
